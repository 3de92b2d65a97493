"""What is sampled: lattice geometry and the systems on it."""

from flowlab.systems.ising import CRITICAL_TEMPERATURE, Ising

__all__ = ["CRITICAL_TEMPERATURE", "Ising"]
