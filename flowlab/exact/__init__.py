"""Exact answers: Kaufman's torus, Onsager's infinite lattice, enumeration of small spin systems."""

from flowlab.exact.enumeration import SpinMoments, configurations, distribution, enumerate_log_z, enumerate_spins
from flowlab.exact.finite_ising import IsingExact, kaufman, ring_log_z
from flowlab.exact.infinite_ising import OnsagerExact, critical_temperature, onsager
from flowlab.exact.mean_field_theory import MeanField, mean_field, replica_symmetric_free_energy
from flowlab.exact.overlaps import overlap_distribution
from flowlab.exact.partition_function import log_z, moments_per_site
from flowlab.exact.phi4 import TransferLogZ, phi4_log_z
from flowlab.exact.plane import plane_log_z
from flowlab.exact.potts import PottsMoments, enumerate_potts, enumerate_potts_log_z, potts_configurations
from flowlab.exact.raster import conditional_entropies
from flowlab.exact.replica_symmetry import ReplicaSymmetric, almeida_thouless, replica_symmetric
from flowlab.exact.transfer_matrix import transfer_log_z

__all__ = [
    "IsingExact",
    "MeanField",
    "OnsagerExact",
    "PottsMoments",
    "ReplicaSymmetric",
    "SpinMoments",
    "TransferLogZ",
    "almeida_thouless",
    "conditional_entropies",
    "configurations",
    "critical_temperature",
    "distribution",
    "enumerate_log_z",
    "enumerate_potts",
    "enumerate_potts_log_z",
    "enumerate_spins",
    "kaufman",
    "log_z",
    "mean_field",
    "moments_per_site",
    "onsager",
    "overlap_distribution",
    "phi4_log_z",
    "plane_log_z",
    "potts_configurations",
    "replica_symmetric",
    "replica_symmetric_free_energy",
    "ring_log_z",
    "transfer_log_z",
]
