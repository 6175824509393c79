"""Several finished cells as one predictor: mean of logits, or mean of weights."""
