"""Invertible maps between latent and physical configurations."""

from flowlab.flows.affine import AffineCoupling
from flowlab.flows.composed import Composed
from flowlab.flows.domain_walls import DomainWalls
from flowlab.flows.linear import Linear
from flowlab.flows.multiscale import MultiscaleXor
from flowlab.flows.permutation import PermutationCoupling
from flowlab.flows.sorting import SortingCoupling, coarse_to_fine
from flowlab.flows.xor import XorCoupling

__all__ = [
    "AffineCoupling",
    "Composed",
    "DomainWalls",
    "Linear",
    "MultiscaleXor",
    "PermutationCoupling",
    "SortingCoupling",
    "XorCoupling",
    "coarse_to_fine",
]
