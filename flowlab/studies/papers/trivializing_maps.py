"""Del Debbio, Marsh Rossney and Wilson 2021 (arXiv:2105.12481): flows on lattice phi^4."""

from __future__ import annotations

import math

from flowlab.runs.keys import Scalar, Stated
from flowlab.studies.papers import of

RECIPE: dict[str, Scalar] = {
    "form": "published", "z2": False, "decimated": False, "spectral": False, "rescale": True, "odd": "affine",
    "net": "fc", "hidden": None, "depth": 1, "bins": 8, "bound": 5.0, "gradient": "pathwise",
    "anneal": 0.0, "weight_decay": 0.0, "schedule": "cosine", "warmup": 0.0, "final": 0.0, "clip": math.inf, "lam": 0.5,
}  # fmt: skip
"""Sections III and V B."""

_SIZES = (
    (6, 2, 300, 350, 0.02),
    (8, 2, 500, 750, 0.01),
    (10, 3, 1250, 2000, 0.005),
    (12, 3, 4000, 5000, 0.003),
    (14, 3, 7000, 14000, 0.001),
)
_TABLE: dict[int, dict[str, Scalar]] = {
    L: {"L": L, "blocks": "aff," * affine + "rqs", "batch": batch, "steps": steps, "lr": lr}
    for L, affine, batch, steps, lr in _SIZES
}
LITERAL: dict[str, dict[str, Scalar]] = {f"table3-{L}": RECIPE | values for L, values in _TABLE.items()}
TUNED: dict[str, dict[str, Scalar]] = {f"tuned-{L}": {"z2": False} | values for L, values in _TABLE.items()}
"""The sizes of table III by flowlab's own layers and schedule."""
CHANGED = {
    f"table3-{L}": f"it is the recipe of the paper to the letter; preset=tuned-{L} is what it was" for L in _TABLE
}

MAIN: dict[str, Scalar] = RECIPE | {"blocks": "aff,rqs", "lr": 1e-3, "batch": 16_000, "steps": 16_000}
"""Figures 4 and 10 to 14."""
_WITHOUT_SPLINES = {name: value for name, value in MAIN.items() if name not in ("bins", "bound")}
AFFINE: dict[str, Scalar] = _WITHOUT_SPLINES | {"blocks": ",".join(["aff"] * 7)}
"""Figure 11."""
BROKEN: dict[str, Scalar] = {name: AFFINE[name] for name in AFFINE if name not in ("lr", "batch", "steps")} | {
    "L": 6,
    "beta": 0.8,
    "blocks": "aff,aff",
    "odd": "none",
}
"""Figure 19; its rates, batches and steps are not published."""
CONVOLUTIONS: dict[str, Scalar] = AFFINE | {"blocks": "aff,aff", "net": "stack"}
"""Figure 13."""

HYBRID: dict[str, dict[str, Scalar]] = {"paper": MAIN} | LITERAL
ONLY_AFFINE: dict[str, dict[str, Scalar]] = {"paper": AFFINE, "figure-13": CONVOLUTIONS, "figure-19": BROKEN}

_STATISTIC = (
    "standardised by nothing: the spread of a batch would make ln q of a configuration depend on the others drawn with "
    "it; a constant factor is within the reach of the first layer's weights"
)
EVERYWHERE = (
    Stated("lambda = 1/2", "table I", {"lam": 0.5}),
    Stated(
        "beta at which xi = L/4: .537 (L = 6), .576 (8), .601 (10), .616, .626, .634, .641, .645 (20)",
        "table I",
        {"beta": None},
        presets=("paper",),
    ),
    Stated(
        "latent fields: independent unit normals",
        "eq. 17",
        {"decimated": False, "spectral": False},
        differs="sigma is not said: 1",
    ),
    Stated("checkerboard partition, a block is a layer for each colour", "section III B", {"decimated": False}),
    Stated(
        "affine layers (v - t) exp(-s), s and t networks of their own, no activation after the last layer",
        "eq. 25, sections III C, V B",
        {"form": "published"},
    ),
    Stated(
        "inputs of networks, and of the first spline layer, divided by their standard deviation over batch and sites",
        "sections III C, III D",
        differs=_STATISTIC,
    ),
    Stated("a learned rescaling after all layers", "section III C", {"rescale": True}),
    Stated(
        "loss: reverse Kullback-Leibler divergence, gradient by backpropagation through it",
        "eq. 20, section V C",
        {"gradient": "pathwise"},
    ),
    Stated("Adam", "sections III A, V B", {"weight_decay": 0.0}),
    Stated(
        "rate eta_0 [1 + cos(pi t/T)] / 2, to 0 at the end",
        "eq. 48",
        {"schedule": "cosine", "warmup": 0.0, "final": 0.0},
    ),
    Stated("no ramp of couplings", "sections V B, V C", {"anneal": 0.0}),
    Stated("no clipping of gradients is mentioned", "-", {"clip": math.inf}, open=True),
    Stated("initial weights", "-", open=True, differs="uniform in +-1/sqrt(inputs), torch's own"),
    Stated(
        "Metropolis-Hastings chains of 10^5 steps; three models by figure, mean and range",
        "section V B",
        differs="lengths and seeds are those of flowlab reproduce",
    ),
)

_CONNECTED = (
    Stated(
        "one hidden layer of H = L^2 units",
        "eq. 35, section V B",
        {"hidden": None, "depth": 1, "net": "fc"},
        ("paper", *LITERAL),
    ),
    Stated("tanh", "section III F", {"net": "fc"}, ("paper", *LITERAL)),
)

_EVEN = (
    Stated(
        "affine layers equivariant: tanh networks without constants, s the magnitude of its network",
        "section III F",
        {"odd": "affine"},
        presets=("paper", *LITERAL),
    ),
    Stated("splines: 8 segments, not equivariant", "section V B", {"bins": 8, "odd": "affine", "z2": False}),
    Stated("splines on [-5, 5], the identity outside, slopes 1 at the ends", "section III D", {"bound": 5.0}),
    Stated("widths and heights by softmax, slopes by softplus", "eq. 33, 34", {"form": "published"}),
)

STATED_HYBRID = of(
    HYBRID,
    *EVERYWHERE,
    *_CONNECTED,
    *_EVEN,
    Stated(
        "L = 6: 36 hidden, 2 affine blocks, 8 segments, batch 300, 350 iterations, eta_0 .02",
        "table III",
        {"L": 6, "blocks": "aff,aff,rqs", "bins": 8, "batch": 300, "steps": 350, "lr": 0.02},
        ("table3-6",),
    ),
    Stated(
        "L = 8: 64 hidden, 2 affine blocks, 8 segments, batch 500, 750 iterations, eta_0 .01",
        "table III",
        {"L": 8, "blocks": "aff,aff,rqs", "bins": 8, "batch": 500, "steps": 750, "lr": 0.01},
        ("table3-8",),
    ),
    Stated(
        "L = 10: 100 hidden, 3 affine blocks, 8 segments, batch 1250, 2000 iterations, eta_0 .005",
        "table III",
        {"L": 10, "blocks": "aff,aff,aff,rqs", "bins": 8, "batch": 1250, "steps": 2000, "lr": 0.005},
        ("table3-10",),
    ),
    Stated(
        "L = 12: 144 hidden, 3 affine blocks, 8 segments, batch 4000, 5000 iterations, eta_0 .003",
        "table III",
        {"L": 12, "blocks": "aff,aff,aff,rqs", "bins": 8, "batch": 4000, "steps": 5000, "lr": 0.003},
        ("table3-12",),
    ),
    Stated(
        "L = 14: 196 hidden, 3 affine blocks, 8 segments, batch 7000, 14000 iterations, eta_0 .001",
        "table III",
        {"L": 14, "blocks": "aff,aff,aff,rqs", "bins": 8, "batch": 7000, "steps": 14000, "lr": 0.001},
        ("table3-14",),
    ),
    Stated(
        "couplings of Albergo, Kanwar and Shanahan, 'essentially the same systems' as table I",
        "appendix C",
        {"beta": None},
        tuple(LITERAL),
        open=True,
    ),
    Stated(
        "eta_0 = .001, 16000 iterations, batch 16000",
        "section V B, figures 4, 10 to 14",
        {"lr": 1e-3, "steps": 16_000, "batch": 16_000},
        ("paper",),
    ),
    Stated("1 to 5 affine blocks, then one of splines", "figure 14", {"blocks": "aff,rqs"}, ("paper",)),
)

STATED_AFFINE = of(
    ONLY_AFFINE,
    *EVERYWHERE,
    Stated(
        "one hidden layer of H = L^2 units, tanh",
        "eq. 35, section V B",
        {"hidden": None, "depth": 1, "net": "fc"},
        ("paper",),
    ),
    Stated(
        "affine layers equivariant: tanh networks without constants, s the magnitude of its network",
        "section III F",
        {"odd": "affine"},
        ("paper", "figure-13"),
    ),
    Stated("the density is not made even as a whole", "section VII C", {"z2": False}),
    Stated(
        "seven affine blocks, equivariant",
        "figure 11",
        {"blocks": "aff,aff,aff,aff,aff,aff,aff", "odd": "affine"},
        ("paper",),
    ),
    Stated(
        "eta_0 = .001, 16000 iterations, batch 16000",
        "section V B, figure 11",
        {"lr": 1e-3, "steps": 16_000, "batch": 16_000},
        ("paper", "figure-13"),
    ),
    Stated(
        "affine flows of 1 to 12 blocks by 3 x 3 convolutions",
        "eq. 37, figure 13",
        {"net": "stack", "blocks": "aff,aff"},
        ("figure-13",),
    ),
    Stated(
        "channels and hidden layers of the convolutions are in the legend alone",
        "figure 13",
        {"hidden": None, "depth": 1},
        ("figure-13",),
        open=True,
    ),
    Stated(
        "L = 6, beta = .8, lambda = .5, two affine blocks, not equivariant",
        "figure 19",
        {"L": 6, "beta": 0.8, "lam": 0.5, "blocks": "aff,aff", "odd": "none"},
        ("figure-19",),
    ),
    Stated(
        "one hidden layer of H = L^2 units", "section V B", {"hidden": None, "depth": 1, "net": "fc"}, ("figure-19",)
    ),
    Stated(
        "rates, batches and steps of the figure",
        "figure 19",
        {"lr": 1e-3, "batch": 500, "steps": 2000},
        ("figure-19",),
        open=True,
    ),
)
