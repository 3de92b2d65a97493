"""Studies of the Ising model."""
