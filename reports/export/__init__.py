"""The numbers of a run folder one a row, for notebooks, data bases and whoever makes tables of their own."""
