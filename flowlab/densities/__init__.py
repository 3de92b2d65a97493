"""What can be drawn together with its exact ln q."""

from flowlab.densities.block_noise import BlockNoise
from flowlab.densities.block_spin import BlockSpins
from flowlab.densities.coarse_chain import CoarseHMC, CoarseLangevin
from flowlab.densities.coarse_fields import CoarseFields
from flowlab.densities.coupled import CoupledMADE
from flowlab.densities.field_pixelcnn import FieldPixelCNN
from flowlab.densities.hierarchical import Hierarchical
from flowlab.densities.independent import IndependentSpins
from flowlab.densities.independent_potts import IndependentPotts
from flowlab.densities.local import LocalAutoregressive
from flowlab.densities.made import MADE
from flowlab.densities.multilevel import Multilevel, MultilevelFields
from flowlab.densities.normal import Normal
from flowlab.densities.permutation_symmetrized import PermutationSymmetrized
from flowlab.densities.pixelcnn import PixelCNN
from flowlab.densities.potts_autoregressive import PottsAutoregressive
from flowlab.densities.potts_made import PottsMADE
from flowlab.densities.pushforward import Pushforward
from flowlab.densities.row_rnn import RowRNN
from flowlab.densities.upscaled import Upscaled
from flowlab.densities.vqvae import VQVAE
from flowlab.densities.z2 import Z2Symmetrized

__all__ = [
    "MADE",
    "VQVAE",
    "BlockNoise",
    "BlockSpins",
    "CoarseFields",
    "CoarseHMC",
    "CoarseLangevin",
    "CoupledMADE",
    "FieldPixelCNN",
    "Hierarchical",
    "IndependentPotts",
    "IndependentSpins",
    "LocalAutoregressive",
    "Multilevel",
    "MultilevelFields",
    "Normal",
    "PermutationSymmetrized",
    "PixelCNN",
    "PottsAutoregressive",
    "PottsMADE",
    "Pushforward",
    "RowRNN",
    "Upscaled",
    "Z2Symmetrized",
]
