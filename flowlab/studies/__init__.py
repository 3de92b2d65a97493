"""The papers' experiments by name: importing this folder registers them all."""

from flowlab.studies.glass.samplers import (
    glass_autoregressive,
    glass_forward,
    glass_pt,
    glass_reverse,
    sk_autoregressive,
    sk_forward,
    sk_pt,
    sk_reverse,
)
from flowlab.studies.glass.tensor_network import tensor_network
from flowlab.studies.glass.xor import glass_xor, sk_xor
from flowlab.studies.ising.autoregressive import ising_han, ising_van
from flowlab.studies.ising.chain import ising_chain, ising_cluster_ais
from flowlab.studies.ising.depth import ising_depth
from flowlab.studies.ising.multilevel import ising_multilevel, phi4_multilevel
from flowlab.studies.ising.sweep import ising_sweep
from flowlab.studies.ising.tokens import ising_tokens
from flowlab.studies.ising.xor import ising_xor
from flowlab.studies.phi4.flows import phi4, phi4_free
from flowlab.studies.phi4.hmc import phi4_hmc
from flowlab.studies.phi4.pixelcnn import phi4_pixelcnn
from flowlab.studies.phi4.scaling import phi4_scaling
from flowlab.studies.phi4.super_resolution import cnf, ir_matching, uv_matching
from flowlab.studies.potts import potts_chain, potts_coloured
from flowlab.studies.transitions import phase_diagram
from flowlab.studies.xy import xy_chain, xy_coloured

__all__ = [
    "cnf",
    "glass_autoregressive",
    "glass_forward",
    "glass_pt",
    "glass_reverse",
    "glass_xor",
    "ir_matching",
    "ising_chain",
    "ising_cluster_ais",
    "ising_depth",
    "ising_han",
    "ising_multilevel",
    "ising_sweep",
    "ising_tokens",
    "ising_van",
    "ising_xor",
    "phase_diagram",
    "phi4",
    "phi4_free",
    "phi4_hmc",
    "phi4_multilevel",
    "phi4_pixelcnn",
    "phi4_scaling",
    "potts_chain",
    "potts_coloured",
    "sk_autoregressive",
    "sk_forward",
    "sk_pt",
    "sk_reverse",
    "sk_xor",
    "tensor_network",
    "uv_matching",
    "xy_chain",
    "xy_coloured",
]
