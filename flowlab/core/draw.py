"""What a density hands out: configurations with their log-probabilities."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Draw(NamedTuple):
    """Configurations drawn from a density, with what an objective needs to differentiate.

    All three have the same values with gradients and without them (``torch.no_grad``). The likelihood is ``log_q``,
    always; ``score`` is there for its gradient, and a wrapper that changes q changes both.

    Attributes:
        x: (n, *shape) configurations; may carry a pathwise or a straight-through gradient.
        log_q: (n,) ln q(x) of exactly these x, as ``log_prob`` has it, with the pathwise gradient only.
        score: (n,) ln p of the discrete choices that led to x, for score-function gradients: the value of ``log_q``
            where these choices are all there is to x, zeros where there was none, else neither.
    """

    x: Tensor
    log_q: Tensor
    score: Tensor
