"""The papers' experiments by name: importing this folder registers them all."""

from flowlab.studies.ising_depth import ising_depth
from flowlab.studies.ising_sweep import ising_sweep
from flowlab.studies.ising_tokens import ising_tokens
from flowlab.studies.ising_xor import ising_xor
from flowlab.studies.sk_xor import sk_xor
from flowlab.studies.spin_glass import sk_autoregressive, sk_forward, sk_pt, sk_reverse

__all__ = [
    "ising_depth",
    "ising_sweep",
    "ising_tokens",
    "ising_xor",
    "sk_autoregressive",
    "sk_forward",
    "sk_pt",
    "sk_reverse",
    "sk_xor",
]
