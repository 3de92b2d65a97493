"""What a card says of a study: its picture, what one will see, what it costs, and where its couplings are critical."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from math import floor, log10
from typing import NamedTuple

import torch

from flowlab.runs.keys import Key, Scalar
from flowlab.runs.registry import studies
from flowlab.runs.schema import Study
from flowlab.widgets.controls import duration

T_C, BETA_C = 2.269, 0.4407
"""Of the square lattice, for J = 1."""


@dataclass(frozen=True)
class Card:
    """A way to begin.

    Attributes:
        study: its name.
        title: of the card.
        kind: of its picture.
        sees: what one will see.
        seconds: what a run with these keys takes where ``_work`` takes ``REFERENCE``; None where nobody has measured.
        keys: that differ from the study's defaults.
    """

    study: str
    title: str
    kind: str = "layers"
    sees: str = ""
    seconds: float | None = None
    keys: Mapping[str, Scalar] = field(default_factory=dict)


class Mark(NamedTuple):
    """Where a coupling is critical: between ``least`` and ``most``, at ``at``, and the phases on either side."""

    at: float
    name: str
    least: float
    most: float
    below: str
    above: str


FIRST = (
    Card("ising-coloured", "Grow a critical lattice", "growth",
         "how lattices of 2, 4, 8 and 16 sites a side are drawn one from the other, and the free energy come down to "
         "the exact line", 98),
    Card("phi4-flow", "A flow trivialises a field", "field",
         "noise become a correlated field, layer by layer, while the acceptance rises", 176),
    Card("ising-xor", "Sort bits into domains", "layers",
         "independent bits sorted into domains, layer by layer: click on a latent and see what it moves", 60,
         {"construction": "sorting", "base": "independent"}),
)  # fmt: skip
"""Those to begin with: their layers visibly do something."""

OTHERS = (
    Card("glass-autoregressive", "", "raster", "a bound for any couplings, beside parallel tempering", 95),
    Card("glass-forward", "", "glass", "a flow that learns every valley of any glass from samples of tempering", 329),
    Card("glass-pt", "", "glass", "any couplings by replicas that travel between temperatures", 40),
    Card("glass-reverse", "", "valleys", "a flow lose valleys of any glass when it is cold", 285),
    Card("glass-xor", "", "glass", "valleys of any couplings, their overlaps and triangles", 14),
    Card("ising-chain", "", "chain", "energy, magnetization, and how long the chain remembers", 2),
    Card("ising-cluster-ais", "", "cooled", "ln Z with its error, from chains that are cooled", 57),
    Card("ising-han", "", "walls", "ever smaller domains drawn, and the bound beside the exact line", 96),
    Card("ising-mlmc-hb", "", "growth", "what heat baths with renormalised couplings give without any training", 11),
    Card("ising-rigcs", "", "growth", "a published multilevel sampler grow from 2 x 2", 675),
    Card("ising-tokens", "", "raster", "one ansatz after the other on the same lattice", 188),
    Card("ising-van", "", "raster", "the bound of a plain autoregressive network come down to the exact line", 716),
    Card("ising-xor", "", "layers", "what masks over a network learn, taken apart in Latent and Defects", 511),
    Card("phi4-affine", "", "field", "the acceptance that affine layers reach", 99),
    Card("phi4-cnf", "", "field", "a field flow in time, and the couplings of its kernel", 159),
    Card("phi4-free", "", "field", "how close layers come to the Fourier transform, which is exact here", 14),
    Card("phi4-hmc", "", "field-chain", "action and magnetization along a chain, and its autocorrelation", 21),
    Card("phi4-hybrid", "", "field", "the published recipe, and its loss of one sign when couplings are strong", 253),
    Card("phi4-ir-matching", "", "field-growth", "a coarse lattice refined, and its couplings learned", 72),
    Card("phi4-multilevel", "", "field-growth", "fields drawn level by level, with an ESS near one", 554),
    Card("phi4-pixelcnn", "", "field-raster", "a field drawn site after site", 818),
    Card("phi4-spline", "", "field", "what splines gain over affine layers", 1439),
    Card("phi4-uv-matching", "", "field-growth", "refinement with fine couplings that are learned", 58),
    Card("potts-chain", "", "chain", "clusters of equal states take new ones, and how long the chain remembers", 4),
    Card("potts-coloured", "", "growth", "a lattice of three states drawn from 2 x 2 to 16 x 16, all states alike", 60),
    Card("sk-autoregressive", "", "raster", "a rigorous bound without a flow, beside parallel tempering", 382),
    Card("sk-forward", "", "glass", "a flow that learns every valley from samples of tempering", 329),
    Card("sk-pt", "", "glass", "replicas travel between temperatures; overlaps and triangles of states", 40),
    Card("sk-reverse", "", "valleys", "a flow lose valleys when it is cold: the overlaps tell", 285),
    Card("sk-xor", "", "glass", "many valleys, their overlaps and their triangles", 14),
    Card("tensor-network", "", "raster", "a plane drawn row by row at an ESS of one, with nothing to learn", 2),
    Card("xy-chain", "", "chain", "clusters of planar spins mirrored, vortices, and how long the chain remembers", 5),
    Card("xy-coloured", "", "growth", "planar spins drawn from 2 x 2 to 16 x 16, all directions alike", 200),
)  # fmt: skip

MARKS: dict[tuple[str, str], Mark] = {
    ("ising", "T"): Mark(T_C, "T_c", 1.0, 4.0, "ordered", "disordered"),
    ("ising", "beta"): Mark(BETA_C, "β_c", 0.2, 1.0, "disordered", "ordered"),
    ("potts", "T"): Mark(0.995, "T_c of 3 states", 0.5, 2.0, "ordered", "disordered"),
    ("xy", "T"): Mark(0.893, "T_KT", 0.4, 1.6, "bound vortices", "free vortices"),
    ("sk", "T"): Mark(1.0, "T_c", 0.1, 2.0, "glass, for many spins", "paramagnet"),
}
"""(First word of the study's name, key) -> where it is critical, on the infinite lattice."""
KAPPA_C = {0.5: 0.34, 0.02: 0.27}
"""lam -> kappa of the transition in two dimensions, to two digits."""

FRONT = (
    "couplings", "L", "N", "coarse", "d", "T", "h", "beta", "kappa", "lam", "mass", "seed_J", "layers", "construction",
    "steps",
)  # fmt: skip
"""Keys that are asked for first; the others fold away."""
FEW = 6
"""Keys that are all shown."""


def all_cards() -> list[Card]:
    """A card of every study that is one run, those to begin with first, own studies last."""
    runs = {name: study for name, study in studies().items() if not study.sweep}
    known = [card for card in (*FIRST, *OTHERS) if card.study in runs]
    own = [Card(name, "") for name in runs if name not in {card.study for card in known}]
    return [*known, *own]


def mark_of(study: Study, key: Key) -> Mark | None:
    """Where a key is critical, None where that is not known."""
    if key.name in ("kappa", "beta") and key.name in (name for group in study.one_of for name in group):
        at = KAPPA_C.get(float(study.defaults.get("lam") or 0.0))
        if at is None:
            return None
        double = 2 if key.name == "beta" else 1
        name, where = ("β_c", "κ_c")[double == 1], f", for lam = {study.defaults['lam']:g} in d = 2"
        return Mark(double * at, name, 0.0, double * 0.5, f"symmetric{where}", f"symmetry broken{where}")
    return MARKS.get((study.name.partition("-")[0], key.name))


def fold(keys: list[Key]) -> tuple[list[Key], list[Key]]:
    """Those to ask for first, and the advanced ones."""
    front = [key for key in keys if key.name in FRONT or len(keys) <= FEW]
    return (front, [key for key in keys if key not in front]) if front else (keys, [])


REFERENCE = 0.009
"""Seconds of ``_work`` on the machine on which the cards were measured."""


@cache
def slowness() -> float:
    """How much longer this machine takes than the one on which the cards were measured."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(256, 256, generator=generator)
    times = []
    for _ in range(9):
        started = time.perf_counter()
        _work(matrix)
        times.append(time.perf_counter() - started)
    return sorted(times)[4] / REFERENCE


def _work(matrix: torch.Tensor) -> None:
    for _ in range(10):
        (matrix @ matrix).tanh().sum()


def about(seconds: float) -> str:
    """A time that is not meant exactly.

    >>> about(0.4), about(97), about(718)
    ('a second', 'about 97 s', 'about 12 min')
    """
    if seconds < 1.5:
        return "a second"
    rounded = round(seconds, 0 if seconds < 10 else 1 - floor(log10(seconds)))
    if rounded < 180:
        return f"about {rounded:g} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 90 else f"about {duration(3600 * round(seconds / 3600)).split(' 0 ')[0]}"
