"""Mode collapse of a sampler of spins: its samples are more alike than those of a reference that sees every valley.

A sampler trained on its own draws can look excellent by every number made from them, its bound included, and yet see
one valley of many. Two of its samples then overlap more than two of the reference do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray
from flowlab.estimators.observables.overlaps import Overlaps, folded_histogram, overlap_distribution, total_variation
from flowlab.estimators.weights.symmetry import symmetry_breaking

SIGMAS = 4.0
MIN_BLOCKS = 4
MIN_TOTAL_VARIATION = 0.1  # above what noise makes
MIN_EXCESS = 0.03  # of <q²>, above the reference
MIN_ONE_SIDED = 0.1  # of <q> over <|q|>: one of s and -s is drawn twice as often as the other


@dataclass(frozen=True, eq=False)
class ModeCollapse:
    """The verdict; see :func:`mode_collapse`.

    Attributes:
        collapsed: valleys or mirror images are missing.
        valleys_lost: two samples of the model are too alike, whatever the sign of their overlap.
        sign_broken: the model prefers one of s and -s where the reference does not.
        other_states: the model's states are not the reference's: its pair correlations <s_i s_j> differ.
        text: the verdict in one sentence.
        total_variation: of P(|q|), model with model against reference with reference.
        total_variation_floor: what noise alone makes of it, on average.
        total_variation_signed: of P(q).
        total_variation_signed_floor: the same for it.
        correlation_distance: (1/N²) Σ_ij (<s_i s_j> - <s_i s_j>_reference)² = <q²> of the model, plus that of the
            reference, minus twice that of one with the other; its error leaves out what the three have in common and
            is too large, not too small.
        symmetry_breaking: z of the model's site magnetizations, see
            :func:`flowlab.estimators.weights.symmetry.symmetry_breaking`.
        model: overlaps of the model with itself.
        reference: overlaps of the reference with itself.
        cross: overlaps of the model with the reference.
    """

    collapsed: bool
    valleys_lost: bool
    sign_broken: bool
    other_states: bool
    text: str
    total_variation: Estimate
    total_variation_floor: float
    total_variation_signed: Estimate
    total_variation_signed_floor: float
    correlation_distance: Estimate
    symmetry_breaking: float
    model: Overlaps = field(repr=False)
    reference: Overlaps = field(repr=False)
    cross: Overlaps = field(repr=False)


def mode_collapse(model: ArrayLike, reference: ArrayLike, *, rng: np.random.Generator) -> ModeCollapse:
    """Does the model see fewer states than the reference?

    ``valleys_lost`` where three things hold, each beyond 4 standard deviations of its noise: P(|q|) differs, by a total
    variation of 0.1 above its floor, and <q²> of the model is larger, by 0.03. ``sign_broken`` where <q> of the model
    exceeds the reference's, by 0.1 of <|q|>. Less than that is not called a collapse: a valley of a few per cent
    can be missing unseen. ``total_variation`` says how near the two are.

    Args:
        model: (n, N) independent configurations of ±1, or (sets, n, N) from independent sets.
        reference: configurations of the reference, such as parallel tempering (sets, n, N), at the same temperature.
        rng: numpy generator.

    Returns:
        ModeCollapse.

    Raises:
        ValueError: as :func:`overlap_distribution`; for fewer configurations than make 8
            blocks (8 independent ones or sets, or sets of 4).

    >>> rng = np.random.default_rng(0)
    >>> valleys = rng.choice([-1, 1], (4, 64))
    >>> all_four, again, one = rng.choice([-1, 1], (3, 800, 1)) * valleys[rng.integers([[4], [4], [1]], size=(3, 800))]
    >>> mode_collapse(again, all_four, rng=rng).collapsed, mode_collapse(one, all_four, rng=rng).collapsed
    (False, True)
    """
    own, true = overlap_distribution(model, rng=rng), overlap_distribution(reference, rng=rng)
    cross = overlap_distribution(model, reference, rng=rng)
    for name, found in (("model", own), ("reference", true)):
        if found.n_blocks < MIN_BLOCKS:
            raise ValueError(
                f"{name} must hold configurations for {MIN_BLOCKS} blocks (16 independent ones, or sets of 8), "
                f"got {found.n_blocks}"
            )
    folded, floor, differs = _compared(own, true, fold=True)
    signed, signed_floor, _ = _compared(own, true, fold=False)
    excess = _difference(own.mean_q2, true.mean_q2)
    lost = differs and folded.value - floor > MIN_TOTAL_VARIATION and _above(excess, MIN_EXCESS)
    z = symmetry_breaking(model)
    one_sided = _above(_difference(own.mean_q, true.mean_q), MIN_ONE_SIDED * own.mean_abs_q.value) and z > SIGMAS
    twice = Estimate(2 * cross.mean_q2.value, 2 * cross.mean_q2.error)
    both = Estimate(own.mean_q2.value + true.mean_q2.value, float(np.hypot(own.mean_q2.error, true.mean_q2.error)))
    distance = _difference(both, twice)
    elsewhere = _above(distance, MIN_EXCESS)
    return ModeCollapse(
        collapsed=lost or one_sided,
        valleys_lost=lost,
        sign_broken=one_sided,
        other_states=elsewhere,
        text=_sentence(lost, one_sided, elsewhere, differs, own, true, folded.value, floor),
        total_variation=folded,
        total_variation_floor=floor,
        total_variation_signed=signed,
        total_variation_signed_floor=signed_floor,
        correlation_distance=distance,
        symmetry_breaking=z,
        model=own,
        reference=true,
        cross=cross,
    )


def _compared(own: Overlaps, true: Overlaps, *, fold: bool) -> tuple[Estimate, float, bool]:
    """The total variation, its mean if both were one distribution with this noise, and whether it is beyond that."""
    p, other = own.probability, true.probability
    draws, noise = own.replicas - true.replicas, _noise(own) - _noise(true)
    if fold:
        p, other, noise, draws = (folded_histogram(x) for x in (p, other, noise, draws))
    by_chance = 0.5 * np.abs(noise).sum(-1)
    value, floor = total_variation(p, other), float(by_chance.mean())
    error = float((0.5 * np.abs(draws).sum(-1)).std())
    return Estimate(value, error), floor, bool(value > floor + SIGMAS * by_chance.std())


def _noise(found: Overlaps) -> FloatArray:
    scale = np.sqrt(found.n_blocks / (found.n_blocks - 1))
    return np.asarray(scale * (found.replicas - found.probability))


def _difference(a: Estimate, b: Estimate) -> Estimate:
    return Estimate(a.value - b.value, float(np.hypot(a.error, b.error)))


def _above(difference: Estimate, size: float) -> bool:
    return bool(difference.value > size and difference.value > SIGMAS * difference.error)


def _sentence(
    lost: bool, one_sided: bool, elsewhere: bool, differs: bool, own: Overlaps, true: Overlaps, tv: float, floor: float
) -> str:
    squares = f"two samples of the model overlap by <q²> = {_text(own.mean_q2)}, two of the reference by "
    squares += f"{_text(true.mean_q2)} (total variation {tv:.2f}"
    signs = f"<q> = {_text(own.mean_q)}, in the reference {_text(true.mean_q)}: s and -s are not drawn alike"
    if lost:
        return f"mode collapse: {squares})" + (f", and {signs}" if one_sided else "")
    if one_sided:
        return f"mode collapse onto one side: two samples of the model overlap by {signs} (total variation {tv:.2f})"
    if elsewhere:
        return f"no collapse seen, but other states than the reference's: {squares})"
    if differs:
        return f"no collapse seen, but P(|q|) differs from the reference's: {squares})"
    return f"no collapse seen: {squares}, {floor:.2f} from noise alone)"


def _text(estimate: Estimate) -> str:
    digits = 2 if not estimate.error > 0 else int(np.clip(np.ceil(-np.log10(estimate.error)), 2, 6))
    return f"{estimate.value:.{digits}f} ± {estimate.error:.{digits}f}"
