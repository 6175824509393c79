"""What every part of QuantDG shares and none of them owns: errors and name lookup."""
