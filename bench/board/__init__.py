"""The live board of a run folder: what it shows, on a terminal and in a browser. Imports no torch."""
