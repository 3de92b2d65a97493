"""Singha et al. 2025 (arXiv:2503.08918): RiGCS and what it is compared with, at criticality."""

from __future__ import annotations

import math

from flowlab.runs.keys import Scalar, Stated
from flowlab.studies.papers import of

ADAM: dict[str, Scalar] = {"lr": 1e-3, "schedule": "constant", "warmup": 0.0, "clip": math.inf, "anneal": 0.0}
"""Appendix G.4."""
SAMPLER: dict[str, Scalar] = ADAM | {
    "base": "pixelcnn", "coarsest": 2, "hidden": 12, "kernels": "5,3", "symmetric": False, "coupling": "renormalised",
    "batch": 100, "grow": True,
}  # fmt: skip
SHARES = {
    8: (500, 2000, 3000),
    16: (500, 1500, 2000, 3000),
    32: (500, 1000, 1500, 2000, 3000),
    64: (500, 1000, 1000, 1500, 2000, 3000),
    128: (500, 1000, 1000, 1000, 1500, 2000, 3000),
}
"""Steps on 2 x 2, 4 x 4, ... up to L."""
_SIZES: dict[str, dict[str, Scalar]] = {
    f"paper-{L}": SAMPLER | {"L": L, "steps": sum(steps), "shares": ",".join(map(str, steps))}
    for L, steps in SHARES.items()
}
_TRANSFORMER: dict[str, Scalar] = {name: value for name, value in SAMPLER.items() if name != "kernels"} | {
    "L": 16, "network": "transformer", "hidden": 1024, "blocks": 5, "heads": 8, "symmetric": True, "steps": 31_000,
    "shares": "1000,10000,10000,10000",
}  # fmt: skip
RIGCS = _SIZES | {"paper": _SIZES["paper-16"], "paper-transformer": _TRANSFORMER}
HEAT_BATH: dict[str, dict[str, Scalar]] = {"paper": {"steps": 0, "coarsest": 2}}
VAN: dict[str, dict[str, Scalar]] = {
    "paper": ADAM | {"channels": 32, "layers": 6, "kernel": 13, "batch": 100, "steps": 50_000, "symmetric": False}
}
HAN: dict[str, dict[str, Scalar]] = {"paper": ADAM | {"batch": 1000, "steps": 100_000, "grow": False}}
_FIELD: dict[str, Scalar] = ADAM | {"beta1": 0.9, "beta2": 0.999, "batch": 100, "beta": 0.67, "lam": 0.5}
FIELDS: dict[str, dict[str, Scalar]] = {
    f"paper-{L}": _FIELD
    | {
        "L": L,
        "kind": "autoregressive",
        "conditional": "mixture",
        "odd": False,
        "coarsest": 2,
        "hidden": 12,
        "steps": n,
    }
    for L, n in ((4, 5000), (8, 5000), (16, 5000), (32, 10_000))
}
FIELD_VAN: dict[str, dict[str, Scalar]] = {
    "paper": _FIELD | {"channels": 32, "layers": 6, "kernel": 13, "components": 3, "steps": 5000}
}
_NOW = "Adam at one rate without a ramp, a schedule, clipping or a symmetry, as published; it had all of them"
CHANGED = {"paper": _NOW}
CHANGED_RIGCS = dict.fromkeys(
    RIGCS, f"{_NOW}; smaller lattices have renormalised couplings, and 2 x 2 is trained alone"
)

_ADAM = (
    Stated("Adam, rate .001, standard betas, for all models", "G.4", {"lr": 1e-3}),
    Stated(
        "no schedule, warm-up or clipping is mentioned",
        "G.4",
        {"schedule": "constant", "warmup": 0.0, "clip": math.inf},
        open=True,
    ),
    Stated("no ramp of the temperature", "3.3, G.4", {"anneal": 0.0}),
)
_ISING = Stated(
    "beta = .44, J = 1",
    "4",
    {"T": 1 / 0.44},
    differs="eq. 3 counts every bond twice; .44 is critical where it counts once, as it does here",
)
_BATCH = Stated("the batch of RiGCS is not said", "G.4", {"batch": 100}, open=True)
_CNN = (*_SIZES, "paper")

STATED_RIGCS = of(
    RIGCS,
    _ISING,
    *_ADAM,
    Stated(
        "gradient (beta H + ln q) grad ln q with a control variate",
        "G.4",
        {"base": "pixelcnn"},
        differs="the control variate is the mean of the batch's other draws",
    ),
    _BATCH,
    Stated("coarsest lattice 2 x 2 (figure 2)", "3.3, 4.1", {"coarsest": 2}),
    Stated("it is drawn by a PixelCNN of 3 masked layers, 12 channels, K = 13", "4, G.3", {"base": "pixelcnn"}),
    Stated(
        "levels between: two convolutions, 12 channels, K = 5 and 3, a field of 7 x 7",
        "4, G.3",
        {"hidden": 12, "kernels": "5,3"},
        _CNN,
    ),
    Stated("activations of the networks", "G.3", open=True, differs="tanh, and leaky ReLU in the PixelCNN"),
    Stated("no symmetry is built in", "G.1, G.3", {"symmetric": False}, _CNN),
    Stated(
        "last level by the exact heat bath",
        "3.1",
        {"base": "pixelcnn"},
        differs="its sites are summed over instead, and drawn for what is shown: their heat bath is exact",
    ),
    Stated(
        "smaller lattices at renormalised couplings K <- (3/8) ln cosh 4K", "3.3, eq. 37", {"coupling": "renormalised"}
    ),
    Stated("networks handed on: level l from l, new ones from l - 2", "algorithm 1", {"grow": True}),
    Stated(
        "3000 steps at the target, 2000 at L - 2, 1500 at L - 4, 1000 before, 500 at the coarsest",
        "G.4",
        {"shares": "500,2000,3000", "steps": 5500, "L": 8},
        ("paper-8",),
    ),
    Stated("the same", "G.4", {"shares": "500,1500,2000,3000", "steps": 7000, "L": 16}, ("paper-16", "paper")),
    Stated("the same", "G.4", {"shares": "500,1000,1500,2000,3000", "steps": 8000, "L": 32}, ("paper-32",)),
    Stated("the same", "G.4", {"shares": "500,1000,1000,1500,2000,3000", "steps": 9000, "L": 64}, ("paper-64",)),
    Stated(
        "the same", "G.4", {"shares": "500,1000,1000,1000,1500,2000,3000", "steps": 10_000, "L": 128}, ("paper-128",)
    ),
    Stated(
        "transformer: 5 blocks, 8 heads, 1024 units, L = 16",
        "H.3",
        {"network": "transformer", "blocks": 5, "heads": 8, "hidden": 1024, "L": 16, "symmetric": True},
        ("paper-transformer",),
        differs="its log-odds are odd",
    ),
    Stated(
        "1000, 10000 and 10000 steps on the lattices before 16 x 16",
        "H.3",
        {"shares": "1000,10000,10000,10000", "steps": 31_000},
        ("paper-transformer",),
        differs="the text calls them levels 0, 1 and 2; the steps at 16 x 16 are not said: 10000",
    ),
)
STATED_HEAT_BATH = of(
    HEAT_BATH,
    _ISING,
    Stated("nothing is trained; couplings follow from K <- (3/8) ln cosh 4K", "D, eq. 37", {"steps": 0}),
    Stated("the coarsest lattice, of 2^(2 x 2) states, exactly", "4.1", {"coarsest": 2}),
)
STATED_VAN = of(
    VAN,
    _ISING,
    *_ADAM,
    Stated("PixelCNN of 6 masked layers, 32 channels, K = 13", "G.1", {"layers": 6, "channels": 32, "kernel": 13}),
    Stated("no symmetry is built in", "G.1", {"symmetric": False}),
    Stated("50000 steps of batch 100", "G.4", {"steps": 50_000, "batch": 100}),
)
STATED_HAN = of(
    HAN,
    _ISING,
    *_ADAM,
    Stated("100000 steps of batch 1000", "G.4", {"steps": 100_000, "batch": 1000, "grow": False}),
    Stated(
        "networks of arXiv:2203.10989 as its authors have them",
        "G.2",
        {"width": 16},
        open=True,
        differs="log-odds are odd",
    ),
)
_FIELDS = (
    *_ADAM,
    Stated("standard betas", "G.4", {"beta1": 0.9, "beta2": 0.999}),
    Stated(
        "phi^4 'at the critical point': no coupling is given",
        "H.4",
        {"beta": 0.67, "lam": 0.5},
        open=True,
        differs="where arXiv:2105.12481, figure 4, has the transition of its largest lattice",
    ),
    Stated("batch", "H.4", {"batch": 100}, open=True),
)
STATED_FIELDS = of(
    FIELDS,
    *_FIELDS,
    Stated(
        "as for the Ising model, site by site; mixtures of H = 3 normal densities",
        "H.4",
        {"kind": "autoregressive", "conditional": "mixture", "coarsest": 2},
    ),
    Stated("12 channels", "G.3, H.4", {"hidden": 12}, differs="fully connected networks of the same 7 x 7 window"),
    Stated("no symmetry is built in", "H.4", {"odd": False}),
    Stated(
        "convolutions at the finest level too, in place of a heat bath",
        "H.4",
        differs="every other site is summed over, by quadrature",
    ),
    Stated("5000 steps", "figure 10", {"L": 4, "steps": 5000}, ("paper-4",)),
    Stated("5000 steps", "figure 10", {"L": 8, "steps": 5000}, ("paper-8",)),
    Stated("5000 steps", "figure 10", {"L": 16, "steps": 5000}, ("paper-16",)),
    Stated("10000 steps", "figure 10", {"L": 32, "steps": 10_000}, ("paper-32",)),
)
STATED_FIELD_VAN = of(
    FIELD_VAN,
    *_FIELDS,
    Stated(
        "PixelCNN of 6 masked layers, 32 channels, K = 13",
        "G.1, H.4",
        {"layers": 6, "channels": 32, "kernel": 13},
        differs="exactly even",
    ),
    Stated("mixtures of H = 3 normal densities", "H.4", {"components": 3}),
    Stated("5000 steps", "figure 10", {"steps": 5000}),
)
