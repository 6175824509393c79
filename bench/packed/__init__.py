"""The packed model file."""
