"""Optimizers: what turns gradients and a learning rate into new weights. One file each, built on torch.optim."""

from .compiler import spare_compiler

spare_compiler()
