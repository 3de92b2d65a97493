"""Invertible maps between latent and physical configurations."""

from flowlab.flows.composed import Composed
from flowlab.flows.xor import XorCoupling

__all__ = ["Composed", "XorCoupling"]
