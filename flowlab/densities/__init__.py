"""What can be drawn together with its exact ln q."""

from flowlab.densities.autoregressive.coupled import CoupledMADE
from flowlab.densities.autoregressive.field_pixelcnn import FieldPixelCNN
from flowlab.densities.autoregressive.graph import GraphAutoregressive
from flowlab.densities.autoregressive.independent import IndependentPotts, IndependentSpins
from flowlab.densities.autoregressive.local import LocalAutoregressive
from flowlab.densities.autoregressive.made import MADE
from flowlab.densities.autoregressive.pixelcnn import PixelCNN
from flowlab.densities.autoregressive.potts_autoregressive import PottsAutoregressive
from flowlab.densities.autoregressive.potts_made import PottsMADE
from flowlab.densities.autoregressive.row_rnn import RowRNN
from flowlab.densities.conditional import Conditional
from flowlab.densities.mixture import Mixture
from flowlab.densities.multilevel import Multilevel, MultilevelAngles, MultilevelFields, MultilevelStates
from flowlab.densities.multilevel.hierarchical import Hierarchical
from flowlab.densities.normal import Normal
from flowlab.densities.permutation_symmetrized import PermutationSymmetrized
from flowlab.densities.pushforward import Pushforward
from flowlab.densities.refined.block_noise import BlockNoise
from flowlab.densities.refined.coarse_chain import CoarseHMC, CoarseLangevin
from flowlab.densities.refined.coarse_fields import CoarseFields
from flowlab.densities.refined.upscaled import Upscaled
from flowlab.densities.tensor.network import TensorNetwork
from flowlab.densities.tokens.block_spin import BlockSpins
from flowlab.densities.tokens.vqvae import VQVAE
from flowlab.densities.z2 import Z2Symmetrized

__all__ = [
    "MADE",
    "VQVAE",
    "BlockNoise",
    "BlockSpins",
    "CoarseFields",
    "CoarseHMC",
    "CoarseLangevin",
    "Conditional",
    "CoupledMADE",
    "FieldPixelCNN",
    "GraphAutoregressive",
    "Hierarchical",
    "IndependentPotts",
    "IndependentSpins",
    "LocalAutoregressive",
    "Mixture",
    "Multilevel",
    "MultilevelAngles",
    "MultilevelFields",
    "MultilevelStates",
    "Normal",
    "PermutationSymmetrized",
    "PixelCNN",
    "PottsAutoregressive",
    "PottsMADE",
    "Pushforward",
    "RowRNN",
    "TensorNetwork",
    "Upscaled",
    "Z2Symmetrized",
]
