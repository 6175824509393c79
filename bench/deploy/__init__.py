"""What a trained cell costs: bytes of real files, time of real calls."""
