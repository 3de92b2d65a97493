"""What is sampled: lattice geometry and the systems on it."""

from flowlab.systems.decimated import Decimated, NearestNeighbour
from flowlab.systems.free_field import FreeField
from flowlab.systems.hubbard_stratonovich import ContinuousSpinGlass
from flowlab.systems.ising import CRITICAL_TEMPERATURE, Ising
from flowlab.systems.phi4 import Phi4
from flowlab.systems.potts import Potts
from flowlab.systems.spin_glass import SpinGlass
from flowlab.systems.triangular import TriangularIsing
from flowlab.systems.xy import XY

__all__ = [
    "CRITICAL_TEMPERATURE",
    "XY",
    "ContinuousSpinGlass",
    "Decimated",
    "FreeField",
    "Ising",
    "NearestNeighbour",
    "Phi4",
    "Potts",
    "SpinGlass",
    "TriangularIsing",
]
