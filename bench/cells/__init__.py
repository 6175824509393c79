"""One cell to its record, under a lease."""
