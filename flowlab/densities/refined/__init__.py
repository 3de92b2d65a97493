"""Densities that refine a coarse field level by level."""
