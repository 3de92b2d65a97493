"""Notes of 2026 on discrete flows as variational ansätze: section 9, on the Ising model."""

from __future__ import annotations

import math

from flowlab.runs.keys import Scalar, Stated
from flowlab.studies.papers import of

XOR: dict[str, dict[str, Scalar]] = {
    "section-9": {
        "L": 8, "layers": 4, "construction": "xor", "start": "random", "parity": "none", "kernel": 7,
        "mask_depth": 2, "mask_width": 16, "gradient": "identity", "base": "made", "width": 4, "depth": 1,
        "order": "raster", "z2": False, "anneal": 0.0, "baseline": "learned", "clip": math.inf,
    }
}  # fmt: skip
STATED_XOR = of(
    XOR,
    Stated("Ising model, periodic, L = 8, 16 and 32", "section 9", {"L": 8}, differs="give L=16 or L=32 beside"),
    Stated("base: MADE in raster order, hidden layers of 4N units", "section 9",
           {"base": "made", "width": 4, "order": "raster"}),
    Stated("how many hidden layers", "section 9", {"depth": 1}, open=True),
    Stated("4 to 8 XOR layers of alternating checkerboards", "section 9", {"layers": 4, "construction": "xor"}),
    Stated("masks: 2 to 3 layers of 3 x 3 convolutions", "section 9", {"kernel": 7, "mask_depth": 2},
           differs="one window of their joint reach, and pointwise layers after it"),
    Stated("channels of the masks", "section 9", {"mask_width": 16}, open=True),
    Stated("straight-through gradient, the derivative of the sign 1", "eq. 22", {"gradient": "identity"}),
    Stated("score-function gradient of the base with a learned baseline", "section 9", {"baseline": "learned"}),
    Stated("masks start at random, no symmetry is built in", "sections 4, 9",
           {"start": "random", "parity": "none", "z2": False}),
    Stated("rates, schedule, steps and batch", "section 9", open=True, differs="those of ising-xor"),
    Stated("no ramp of beta and no clipping is mentioned", "section 9", {"anneal": 0.0, "clip": math.inf}, open=True),
    Stated("instead, Gumbel noise whose tau falls to 0", "eq. 23", open=True,
           differs="no part of the preset: gradient=gumbel, and tau where it ends"),
)  # fmt: skip
