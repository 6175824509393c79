"""Tests and intervals for paired gains; every function takes plain arrays and knows no records.

The code is our own on purpose. Importing `scipy.stats` takes one to two seconds, a third of a whole report, so
only `scipy.special` is used; most tests run over whole arrays of hypotheses at once, which `scipy.stats` does for few;
and each is checked against numbers worked out by hand and, in the tests alone, against scipy, statsmodels and
scikit-posthocs.
"""
