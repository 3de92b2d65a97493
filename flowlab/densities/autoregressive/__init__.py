"""Densities that draw one site after another."""
