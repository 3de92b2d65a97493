"""Information, entropy and work."""
