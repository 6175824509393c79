"""What lies on disk, and nothing else: all that reports may import. Imports no torch."""
