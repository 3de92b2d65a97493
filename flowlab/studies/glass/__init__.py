"""Studies of spin glasses."""
