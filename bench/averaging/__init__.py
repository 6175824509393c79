"""Weight averaging as observers of a training: they watch, the training does not notice."""
