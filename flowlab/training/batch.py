"""How good the draws of one step are."""

from __future__ import annotations

import numpy as np

OF_DRAWS = ("log_z_bound", "log_z_bound_error", "ess", "acceptance", "log_q_mean")


def of_draws(log_weight: np.ndarray, log_q: np.ndarray) -> dict[str, float]:
    """Bound, ESS and acceptance of one batch, (n,) each. Plain numpy, since this is done at every step.

    >>> of_draws(np.zeros(4), np.full(4, -1.0))["ess"]
    1.0
    """
    log_w, n = log_weight - log_q, len(log_q)
    w = np.exp(log_w - log_w.max())
    smaller_of_two = 2.0 * (np.sort(w) @ np.arange(n - 1.0, -1.0, -1.0)) / (n * (n - 1))
    return {
        "log_z_bound": float(log_w.mean()),
        "log_z_bound_error": float(log_w.std(ddof=1) / n**0.5),
        "ess": float(w.mean() ** 2 / np.square(w).mean()),
        "acceptance": float(smaller_of_two / w.mean()),
        "log_q_mean": float(log_q.mean()),
    }
