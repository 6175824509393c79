"""How values are written: escaped, and as numbers."""
