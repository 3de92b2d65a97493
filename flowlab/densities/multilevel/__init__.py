"""Densities that draw coarse lattices first and finer ones given them."""

from flowlab.densities.multilevel.angle_levels import MultilevelAngles
from flowlab.densities.multilevel.field_levels import MultilevelFields
from flowlab.densities.multilevel.spin_levels import Multilevel
from flowlab.densities.multilevel.state_levels import MultilevelStates

__all__ = ["Multilevel", "MultilevelAngles", "MultilevelFields", "MultilevelStates"]
