"""The nouns every other folder speaks of: System, its Variables, Representation, Density, Draw, Flow, MarkovChain."""

from flowlab.core.density import Density, Wrapper
from flowlab.core.flow import Flow
from flowlab.core.generators import named_generator
from flowlab.core.made import Made
from flowlab.core.representation import Representation
from flowlab.core.system import Plane, System
from flowlab.core.types import Draw, LayerState, MarkovChain
from flowlab.core.variables import Angles, Reals, Spins, States, Variables

__all__ = [
    "Angles",
    "Density",
    "Draw",
    "Flow",
    "LayerState",
    "Made",
    "MarkovChain",
    "Plane",
    "Reals",
    "Representation",
    "Spins",
    "States",
    "System",
    "Variables",
    "Wrapper",
    "named_generator",
]
