"""The harness: trains each quantizer beside its float twin and stores one record for each cell."""
