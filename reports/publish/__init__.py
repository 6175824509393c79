"""A run folder as others may have it: its records in one file, what a report makes of them, and a card that says so."""
