"""Invertible maps between latent and physical configurations."""

from flowlab.flows.affine import AffineCoupling
from flowlab.flows.composed import Composed
from flowlab.flows.linear import Linear
from flowlab.flows.permutation import PermutationCoupling
from flowlab.flows.xor import XorCoupling

__all__ = ["AffineCoupling", "Composed", "Linear", "PermutationCoupling", "XorCoupling"]
