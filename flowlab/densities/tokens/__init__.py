"""Densities over blocks and tokens."""
