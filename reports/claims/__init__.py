"""Claims that someone makes, written in a file beforehand, and what a run folder answers to each."""
