"""Networks: a featurizer and a linear classifier."""
