"""Flows of real fields in closed form."""
