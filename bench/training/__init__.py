"""One float phase, one branch."""
