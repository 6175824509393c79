"""Optimizers: what turns gradients and a learning rate into new weights. One file each, built on torch.optim."""
