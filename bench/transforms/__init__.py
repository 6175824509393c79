"""Batch transforms: data mixing that any algorithm can train on."""
