"""Hydra's configuration: a group for each kind of component, a file for each choice."""
