"""What is read out of a density or a chain, as Datasets with names and units."""

from flowlab.analysis.disorder.averages import average, crossings
from flowlab.analysis.disorder.theory import replica_theory
from flowlab.analysis.measurements import (
    measure_defect,
    measure_overlaps,
    measure_proposals,
    measure_signs,
    measure_tempering,
    measure_triangle_fractions,
    measure_triangles,
    measure_two_point,
)
from flowlab.analysis.vqvae_bounds import latent_bounds

__all__ = [
    "average",
    "crossings",
    "latent_bounds",
    "measure_defect",
    "measure_overlaps",
    "measure_proposals",
    "measure_signs",
    "measure_tempering",
    "measure_triangle_fractions",
    "measure_triangles",
    "measure_two_point",
    "replica_theory",
]
