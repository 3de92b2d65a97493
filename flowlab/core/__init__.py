"""The nouns every other folder speaks of: System, Representation, Density, Draw, Flow, LayerState, MarkovChain."""

from flowlab.core.density import Density
from flowlab.core.draw import Draw
from flowlab.core.flow import Flow
from flowlab.core.generators import named_generator
from flowlab.core.layer_state import LayerState
from flowlab.core.markov_chain import MarkovChain
from flowlab.core.representation import Representation
from flowlab.core.system import System

__all__ = ["Density", "Draw", "Flow", "LayerState", "MarkovChain", "Representation", "System", "named_generator"]
