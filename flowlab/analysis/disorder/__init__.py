"""Means over instances of random couplings, and what becomes of them."""
