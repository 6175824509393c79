"""Flatness of a trained network, each measure in a file of its own; `quantdg.bench.flatness.measure` runs them all."""
