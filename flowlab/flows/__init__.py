"""Invertible maps between latent and physical configurations."""

from flowlab.flows.composed import Composed
from flowlab.flows.continuous.continuous import ContinuousFlow, refined
from flowlab.flows.discrete.domain_walls import DomainWalls
from flowlab.flows.discrete.multiscale import MultiscaleXor
from flowlab.flows.discrete.permutation import PermutationCoupling
from flowlab.flows.discrete.sorting import SortingCoupling, coarse_to_fine
from flowlab.flows.discrete.xor import XorCoupling
from flowlab.flows.real.additive import AdditiveCoupling
from flowlab.flows.real.affine import AffineCoupling, checkerboard_masks, row_masks
from flowlab.flows.real.contracting import ContractingCoupling
from flowlab.flows.real.coupling import coupling_windows
from flowlab.flows.real.linear import Linear
from flowlab.flows.real.rescaling import Rescaling
from flowlab.flows.real.spectral import SpectralScaling
from flowlab.flows.real.spline import SplineCoupling

__all__ = [
    "AdditiveCoupling",
    "AffineCoupling",
    "Composed",
    "ContinuousFlow",
    "ContractingCoupling",
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
