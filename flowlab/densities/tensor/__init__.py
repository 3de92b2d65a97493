"""Densities from tensor networks."""
