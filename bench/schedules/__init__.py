"""Schedules: the share of the learning rate at each step. Pure functions of the step, so that a resumed run needs no state."""
