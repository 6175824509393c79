"""Reads records, writes tables and figures; trains nothing and never imports torch."""
