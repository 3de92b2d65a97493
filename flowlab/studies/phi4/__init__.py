"""Studies of lattice phi^4."""
