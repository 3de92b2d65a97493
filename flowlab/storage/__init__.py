"""A run directory: files, lock, store, records, checkpoints; no density and no system."""
