"""Sweeps that lose nothing: leases, plans, status, merging, and the places where jobs run."""
