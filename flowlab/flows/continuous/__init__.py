"""Flows of real fields that follow a vector field in time."""
