"""Where cells run: this machine, Slurm, Ray."""
