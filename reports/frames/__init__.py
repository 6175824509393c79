"""From records to arrays: every number is computed from these."""
