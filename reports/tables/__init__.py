"""One file for each table."""
