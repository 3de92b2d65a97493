"""What orders in a glass: overlaps of two configurations, where the magnetization of one says nothing."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate
from flowlab.estimators.observables.overlaps import overlap_distribution
from flowlab.estimators.weights.evidence import shown
from flowlab.estimators.weights.pareto import weights_problem

FORMULAS = {  # name -> what a variable of it says besides its long name
    "susceptibility": {"order_parameter": "overlap q of two configurations", "formula": "N<q²>"},
    "binder": {"order_parameter": "overlap q of two configurations", "formula": "3/2 - <q⁴>/(2<q²>²)"},
}
FERROMAGNETIC = ("abs_magnetization", "susceptibility", "susceptibility_connected", "binder")
"""What is said of the magnetization where the couplings are not random."""


def glass_observables(
    spins: ArrayLike, *, log_w: ArrayLike | None = None, rng: np.random.Generator
) -> dict[str, Estimate]:
    """``susceptibility`` N <q²> and ``binder`` 3/2 - <q⁴> / (2 <q²>²), q = Σ_i s_i s'_i / N of two configurations.

    These are the names that a ferromagnet has for its magnetization, which in a glass is near 0 in any phase, and far
    from 0 where a sampler has collapsed into one valley.

    Args:
        spins: (n, N) independent configurations, or (chains, n, N) of independent chains, at least 2.
        log_w: (n,) log_weight - log_q of independent draws from q; None for samples of the target.
        rng: groups the configurations into pairs.

    Returns:
        name -> Estimate; errors are NaN where the weights cannot be trusted, both numbers are NaN for a single chain.

    Raises:
        ValueError: see :func:`flowlab.estimators.overlap_distribution`.

    Source: K. Binder, A. P. Young, Rev. Mod. Phys. 58, 801 (1986); the cumulant of R. N. Bhatt, A. P. Young, Phys. Rev.
    Lett. 54, 924 (1985).

    >>> two = np.array([[1, 1, 1, 1], [-1, -1, -1, -1]] * 50)
    >>> {name: value for name, (value, _) in glass_observables(two, rng=np.random.default_rng(0)).items()}
    {'susceptibility': 4.0, 'binder': 1.0}
    """
    values = np.asarray(spins)
    nothing = Estimate(math.nan, math.nan)
    if len(values) < 2:
        return dict.fromkeys(FORMULAS, nothing)
    with shown():  # whoever asks says so, of all that is reweighted
        found = overlap_distribution(values, log_w=log_w, rng=rng)
    N, trusted = values.shape[-1], log_w is None or not weights_problem(log_w)
    numbers = {"susceptibility": (N * found.mean_q2.value, N * found.mean_q2.error), "binder": found.binder}
    return {name: Estimate(value, error if trusted else math.nan) for name, (value, error) in numbers.items()}
