"""What is asked for: frozen settings, one file for each configuration group."""
