"""Tests and intervals for paired gains; every function takes plain arrays and knows no records."""
