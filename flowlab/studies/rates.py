"""Peak learning rates (Adam) that suit what is trained, where none is given: the same in every study of spins."""

from __future__ import annotations

BASES = {"independent": 0.1, "local": 1e-2, "made": 5e-3, "pixelcnn": 5e-3, "row_rnn": 5e-3}
"""By base; one logit a site moves far in few steps, the weights of networks must not."""


def base_rate(base: str, given: float | None = None) -> float:
    """The rate of a base: as given, else the one that suits it.

    >>> base_rate("independent"), base_rate("made"), base_rate("made", 0.2)
    (0.1, 0.005, 0.2)
    """
    return BASES.get(base, 5e-3) if given is None else given


def flow_rate(base: str, given: float | None = None) -> float:
    """The rate of masks: as given, else larger over independent bits, whose correlations all have to come from them.

    >>> flow_rate("independent"), flow_rate("made")
    (0.005, 0.001)
    """
    return (5e-3 if base == "independent" else 1e-3) if given is None else given
