"""What is sampled: lattice geometry and the systems on it."""

from flowlab.systems.hubbard_stratonovich import ContinuousSpinGlass
from flowlab.systems.ising import CRITICAL_TEMPERATURE, Ising
from flowlab.systems.potts import Potts
from flowlab.systems.spin_glass import SpinGlass
from flowlab.systems.triangular import TriangularIsing

__all__ = ["CRITICAL_TEMPERATURE", "ContinuousSpinGlass", "Ising", "Potts", "SpinGlass", "TriangularIsing"]
