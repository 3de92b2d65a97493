"""What a density hands out: configurations with their log-probabilities."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Draw(NamedTuple):
    """Configurations drawn from a density, with what an objective needs to differentiate.

    Attributes:
        x: (n, *shape) configurations; may carry a pathwise or a straight-through gradient.
        log_q: (n,) ln q(x), with the pathwise gradient only.
        score: (n,) ln p of the discrete choices made, for score-function gradients; zeros where there was none.
    """

    x: Tensor
    log_q: Tensor
    score: Tensor
