"""Hartnett and Mohseni 2020 (arXiv:2001.00585): normalizing flows on the Sherrington-Kirkpatrick model."""

from __future__ import annotations

import math

from flowlab.runs.keys import Scalar, Stated
from flowlab.studies.papers import of

RECIPE: dict[str, Scalar] = {
    "N": 256, "epsilon": 0.01, "layers": 4, "hidden": None, "whiten": "none", "batch": 50, "lr": 1e-4, "steps": 250_000,
    "schedule": "constant", "warmup": 0.0, "clip": math.inf, "patience": 0,
}  # fmt: skip
"""Section 4.3 and appendix A.1."""
FORWARD: dict[str, dict[str, Scalar]] = {
    "paper": RECIPE | {"z2": False, "samples": 100_000, "sweeps": 1, "redraw": False, "online": False}
}
REVERSE: dict[str, dict[str, Scalar]] = {"paper": RECIPE | {"z2": True, "anneal": 0.0}}
CHANGED = {
    "paper": "no warm-up and no clipping, and spins become fields once, after every sweep; earlier there was a warm-up "
    "of 2 %, gradients were clipped at 5 or 10, and fields were drawn afresh every four sweeps"
}

_BOTH = (
    Stated("N = 256 spins, couplings normal with variance 1/N", "4.3, eq. 8", {"N": 256}),
    Stated("ten instances of the couplings", "4.3", differs="one, by seed_J: sweep over it"),
    Stated("smallest eigenvalue of the shifted couplings: epsilon = .01", "4.3", {"epsilon": 0.01}),
    Stated("unit normal prior, L = 4 affine layers x = t + y exp(s)", "A.1, eq. 24", {"layers": 4, "whiten": "none"}),
    Stated("each site with probability 1/2 in a mask, then the complement", "A.1", {"layers": 4},
           differs="one draw for all seeds, so that weights fit from run to run; the key masks draws others"),
    Stated("networks of their own for s and t: 3 hidden layers of N units, LeakyReLU; tanh on s alone", "A.1",
           {"hidden": None}, differs="they read the sites that stay, where the paper sets the others to 0"),
    Stated("slope of LeakyReLU, initial weights", "-", open=True,
           differs="slope .01; uniform in +-1/sqrt(inputs), a hundredth of it in the last layer"),
    Stated("Adam, rate 1e-4, batches of 50, 250000 steps", "A.1", {"lr": 1e-4, "batch": 50, "steps": 250_000}),
    Stated("no schedule, warm-up, clipping or early end is mentioned", "A.1",
           {"schedule": "constant", "warmup": 0.0, "clip": math.inf, "patience": 0}, open=True),
)  # fmt: skip
STATED_FORWARD = of(
    FORWARD,
    *_BOTH,
    Stated("loss -E_p ln p_G(x), not symmetrised", "eq. 19, A.1", {"z2": False}),
    Stated("100000 spin configurations of parallel tempering, one after every sweep", "4.3",
           {"samples": 100_000, "sweeps": 1}),
    Stated("20 temperatures", "4.3", differs="20 that are kept, more between them where chains swap too seldom, in ten "
           "independent sets"),
    Stated("each spin configuration becomes one x ~ p(x|s)", "4.3", {"redraw": False}),
    Stated("a fixed set of samples, all of them trained on", "4.3, A.1", {"online": False},
           differs="a tenth is held out, and watched alone"),
)  # fmt: skip
STATED_REVERSE = of(
    REVERSE,
    *_BOTH,
    Stated("loss with (p_G(x) + p_G(-x)) / 2 in place of p_G", "A.1", {"z2": True},
           differs="what is drawn is symmetrised too, so that ln q is that of what is drawn; "
           "run.density.density is the flow alone"),
    Stated("no ramp of the temperature", "A.1", {"anneal": 0.0}),
)  # fmt: skip
