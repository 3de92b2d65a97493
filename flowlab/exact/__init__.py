"""Exact answers: Kaufman's torus, Onsager's infinite lattice, enumeration of small spin systems."""

from flowlab.exact.enumeration import SpinMoments, configurations, distribution, enumerate_log_z, enumerate_spins
from flowlab.exact.kaufman import IsingExact, kaufman
from flowlab.exact.onsager import OnsagerExact, critical_temperature, onsager
from flowlab.exact.overlaps import overlap_distribution
from flowlab.exact.partition_function import log_z
from flowlab.exact.sherrington_kirkpatrick import replica_symmetric_free_energy

__all__ = [
    "IsingExact",
    "OnsagerExact",
    "SpinMoments",
    "configurations",
    "critical_temperature",
    "distribution",
    "enumerate_log_z",
    "enumerate_spins",
    "kaufman",
    "log_z",
    "onsager",
    "overlap_distribution",
    "replica_symmetric_free_energy",
]
