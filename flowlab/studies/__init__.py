"""The papers' experiments by name: importing this folder registers them all."""

from flowlab.studies.ising_xor import ising_xor

__all__ = ["ising_xor"]
