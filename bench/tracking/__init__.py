"""What is measured, handed to the tools that people keep their experiments in. Everything comes from records, nothing from training."""
