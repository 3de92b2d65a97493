"""Invertible maps between latent and physical configurations."""

from flowlab.flows.additive import AdditiveCoupling
from flowlab.flows.affine import AffineCoupling, checkerboard_masks, row_masks
from flowlab.flows.composed import Composed
from flowlab.flows.continuous import ContinuousFlow, refined
from flowlab.flows.coupling import coupling_windows
from flowlab.flows.domain_walls import DomainWalls
from flowlab.flows.linear import Linear
from flowlab.flows.multiscale import MultiscaleXor
from flowlab.flows.permutation import PermutationCoupling
from flowlab.flows.rescaling import Rescaling
from flowlab.flows.sorting import SortingCoupling, coarse_to_fine
from flowlab.flows.spectral import SpectralScaling
from flowlab.flows.spline import SplineCoupling
from flowlab.flows.xor import XorCoupling

__all__ = [
    "AdditiveCoupling",
    "AffineCoupling",
    "Composed",
    "ContinuousFlow",
    "DomainWalls",
    "Linear",
    "MultiscaleXor",
    "PermutationCoupling",
    "Rescaling",
    "SortingCoupling",
    "SpectralScaling",
    "SplineCoupling",
    "XorCoupling",
    "checkerboard_masks",
    "coarse_to_fine",
    "coupling_windows",
    "refined",
    "row_masks",
]
