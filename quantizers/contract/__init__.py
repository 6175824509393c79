"""What every quantizer has to keep, as checks that a stranger's class runs too."""
