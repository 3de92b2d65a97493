"""May an evaluation be believed? Evidence for and against it, and a verdict in words.

Numbers made from draws of q alone look perfect where q never draws a part of the target. So a verdict says
"consistent" only where something independent of the draws was compared (an exact ln Z, an enumeration, a Markov chain)
and nothing speaks against the evaluation; "not to be trusted" where anything does; else "not checked".
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.weights.pareto import low_ess, pareto_k, weights_problem, worth_by_spread
from flowlab.estimators.weights.weights import Estimate, FloatArray, ess, log_z, reweighted

SIGMAS = 4.0
"""Errors by which an estimate of ln Z may lie off an exact value, or a symmetric share off its value."""
IDENTITY_SIGMAS = 5.0
"""Errors by which one of several identities may be off: there are more of them, and their tails are heavier."""
UNEVEN = 0.1
"""A symmetric share below this fraction of its value is hardly drawn."""
UNSURE = 0.6
"""The error of an ESS, as a part of it, beyond which the largest weights alone decide."""


NEARLY_UNSURE, LUCKY = 0.3, 1.3
"""The same, and how much more than their spread tells weights of an ESS below 1/2 are worth, beyond which other draws
of the same density may be flagged."""
SELECTED = (
    "few weights decide, and other draws may be flagged for one that is larger: ln Z of those that are not, as these, "
    "is rather too low"
)


class UntrustedWarning(UserWarning):
    """Something speaks against an evaluation; its ``reasons`` say what."""


class LowESSWarning(UntrustedWarning):
    """The weights are worth too few draws, or their tail is too heavy, for importance-weighted estimates."""


class LostSignWarning(UntrustedWarning):
    """One sign of the magnetization of a symmetric system is hardly drawn, and missing from every estimate."""


class EquationOfMotionWarning(UntrustedWarning):
    """The reweighted <φ ∂S/∂φ> is not 1: the draws miss part of the target, however good their ESS looks."""


_shown: ContextVar[bool] = ContextVar("shown", default=False)


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Whoever shows the verdict in words wants no warning besides: none is given here, in this thread alone."""
    token = _shown.set(True)
    try:
        yield
    finally:
        _shown.reset(token)


def is_shown() -> bool:
    """Whether somebody shows the verdict in words, see :func:`shown`."""
    return _shown.get()


@dataclass(frozen=True)
class Evidence:
    """One thing that speaks for or against an evaluation.

    Attributes:
        sentence: what was found, with its number.
        fails: whether it speaks against the evaluation.
        independent: whether it would have seen a part of the target that the draws miss.
        warning: the category of the warning where it alone fails.
        caution: what whoever reads the verdict should know where it does not fail; part of the verdict.
    """

    sentence: str
    fails: bool = False
    independent: bool = False
    warning: type[UntrustedWarning] = UntrustedWarning
    caution: str = ""


class Verdict(NamedTuple):
    """What the evidence says together.

    Attributes:
        text: "consistent", "not to be trusted" or "not checked", then a colon and why.
        reasons: a sentence for each piece of evidence, those that speak against the evaluation first.
        warning: category of the warning to give; None where nothing speaks against the evaluation.
        against: the reasons that speak against it.
    """

    text: str
    reasons: tuple[str, ...]
    warning: type[UntrustedWarning] | None
    against: tuple[str, ...] = ()

    @property
    def attrs(self) -> dict[str, str]:
        """As attributes of a Dataset: ``verdict``, ``reasons`` and, against the evaluation, ``warnings``."""
        return {"verdict": self.text, "reasons": "\n".join(self.reasons), "warnings": "\n".join(self.against)}


def warn(judged: Verdict, stacklevel: int = 2) -> None:
    """Warn once where something speaks against an evaluation, unless its verdict is :func:`shown`."""
    if judged.warning is not None and not is_shown():
        warnings.warn(judged.text, judged.warning, stacklevel=stacklevel + 1)


def verdict(evidence: Sequence[Evidence]) -> Verdict:
    """All the evidence in one word and its reasons.

    Args:
        evidence: in any order; where several fail, the first one is named.

    >>> verdict([Evidence("ln Z is 0.3 errors from the exact value", independent=True)]).text
    'consistent: ln Z is 0.3 errors from the exact value'
    >>> verdict([Evidence("the weights are worth 812 of 1000 draws")]).text.split(":")[0]
    'not checked'
    """
    failing = [found for found in evidence if found.fails]
    supporting = [found for found in evidence if found.independent and not found.fails]
    reasons = (*(f.sentence for f in failing), *(f.sentence for f in evidence if not f.fails))
    if failing:
        others = f" (and {len(failing) - 1} more of the reasons)" * (len(failing) > 1)
        categories = {found.warning for found in failing}
        category = categories.pop() if len(categories) == 1 else UntrustedWarning
        against = tuple(found.sentence for found in failing)
        return Verdict(f"not to be trusted: {failing[0].sentence}{others}", reasons, category, against)
    cautions = "".join(f"; but {found.caution}" for found in evidence if found.caution)
    if supporting:
        return Verdict("consistent: " + "; ".join(f.sentence for f in supporting) + cautions, reasons, None)
    why = "nothing independent of the draws is known, and a part of the target that they miss would not be seen"
    return Verdict(f"not checked: {why}; run.check() compares with Markov chains{cautions}", reasons, None)


def exact_evidence(log_z: Estimate, bound: Estimate, exact: float, n: int, accuracy: float = 0.0) -> list[Evidence]:
    """An exact ln Z beside its estimate and its lower bound.

    What n draws cannot see holds a share of about 1/n of the weight, so that no error counts as less than 1/n.

    Args:
        log_z: importance-weighted estimate, in nats.
        bound: the variational lower bound, in nats.
        exact: the exact value, in nats.
        n: number of draws.
        accuracy: of the exact value, one standard error in nats.

    >>> exact_evidence(Estimate(80.450, 0.053), Estimate(79.1, 0.1), 86.387, 10_000)[0].sentence
    'ln Z is 80.450 ± 0.053 and 86.387 exactly: 112 errors too low'
    """
    floor = accuracy + _unseen(exact, n)
    if not math.isfinite(log_z.error):
        sentence = f"ln Z is {log_z.value:.4f}, its error not known, and {exact:.4f} exactly"
        return [Evidence(sentence, fails=not abs(log_z.value - exact) < 1, independent=False)]
    error = math.hypot(log_z.error, floor)
    off = (log_z.value - exact) / error
    if abs(off) > SIGMAS or math.isnan(off):
        digits = _digits(error)
        sentence = (
            f"ln Z is {log_z.value:.{digits}f} ± {log_z.error:.2g} and {exact:.{digits}f} exactly: "
            f"{abs(off):.3g} errors too {'low' if off < 0 else 'high'}"
        )
        found = [Evidence(sentence, fails=True, independent=True)]
    else:
        found = [Evidence(f"ln Z is {abs(off):.2g} errors from the exact value", independent=True)]
    above = (bound.value - exact) / math.hypot(bound.error if math.isfinite(bound.error) else 0.0, floor)
    if above > SIGMAS:
        sentence = f"the lower bound of ln Z is {above:.3g} errors above the exact value: ln q is not that of the draws"
        found.append(Evidence(sentence, fails=True, independent=True))
    return found


def reference_evidence(log_z: Estimate, reference: Estimate, n: int) -> list[Evidence]:
    """ln Z from weights beside that of a Markov chain, both with errors; nothing where the former has none.

    Args:
        log_z: importance-weighted estimate from n draws, in nats.
        reference: of the chain, in nats.
        n: number of draws.

    >>> reference_evidence(Estimate(8.0, 0.1), Estimate(10.0, 0.1), 1000)[0].sentence
    'ln Z is 8.00 ± 0.1 and 10.00 ± 0.1 by the reference: 14.1 errors too low'
    """
    error = math.hypot(log_z.error, reference.error, _unseen(reference.value, n))
    off = (log_z.value - reference.value) / error
    if math.isnan(off):
        return []
    if abs(off) <= SIGMAS:
        return [Evidence(f"ln Z is {abs(off):.2g} errors from that of the reference", independent=True)]
    digits = _digits(error)
    own, other = (f"{one.value:.{digits}f} ± {one.error:.2g}" for one in (log_z, reference))
    side = "low" if off < 0 else "high"
    sentence = f"ln Z is {own} and {other} by the reference: {abs(off):.3g} errors too {side}"
    return [Evidence(sentence, fails=True, independent=True)]


def weight_evidence(log_w: FloatArray, *, pooled: bool = False) -> list[Evidence]:
    """How many draws the weights are worth, how heavy their tail is, see :func:`.weights_problem`, and is either known?

    Where the error of the ESS is a large part of it, a few of the weights decide: more of them may not be drawn yet.
    The largest weights are drawn last, so that sets of draws that happen to look good are those that miss them, which
    the spread of all log weights tells (:func:`.worth_by_spread`); not so of ``pooled`` draws of several densities, of
    which some are meant to weigh little.

    >>> weight_evidence(np.zeros(100))[0].sentence
    'the 100 weights are worth 100 equal ones'
    """
    problem, found = weights_problem(log_w), ess(log_w)
    if not problem and found.error > UNSURE * found.value:
        problem = f"the ESS is {found.value:.2g} ± {found.error:.1g}, so that a few of the {log_w.size} weights decide"
    expected = worth_by_spread(log_w)
    if not problem and not pooled and low_ess(expected / log_w.size, log_w.size):
        spread = f"the {log_w.size} log weights are spread so far above their mean"
        problem = f"{spread} that they should be worth {max(expected, 1):.3g} equal ones"
    if problem:
        why = "importance-weighted estimates may miss modes and their errors are too small; rely on the bound, train"
        return [Evidence(f"{problem}: {why} longer or draw more samples", fails=True, warning=LowESSWarning)]
    worth, k = log_w.size * found.value, pareto_k(log_w)
    tail = f", Pareto k̂ = {k:.2f}" if math.isfinite(k) else ""
    near = found.error > NEARLY_UNSURE * found.value or (found.value < 0.5 and not pooled and worth > LUCKY * expected)
    caution = f"the ESS is {found.value:.2g} ± {found.error:.1g}: {SELECTED}" if near else ""
    return [Evidence(f"the {log_w.size} weights are worth {worth:.4g} equal ones{tail}", caution=caution)]


def target_sample_evidence(log_w: FloatArray, log_weight_p: ArrayLike, log_q_p: ArrayLike) -> list[Evidence]:
    """What independent samples of the target say: is their mass where q draws?

    Args:
        log_w: (n,) log weights of draws from q.
        log_weight_p: (m,) ln of the target's weight on samples of the target, with ln Z as its normalisation.
        log_q_p: (m,) ln q of the same samples.

    >>> target_sample_evidence(np.zeros(100), np.zeros(100), np.full(100, -np.inf))[0].fails
    True
    """
    log_q_p = np.asarray(log_q_p, dtype=np.float64)
    if np.isneginf(log_q_p).any():
        share = 100 * np.isneginf(log_q_p).mean()
        return [Evidence(f"q gives no probability to {share:.3g} % of the target's samples", True, True)]
    log_w_p = np.asarray(log_weight_p, dtype=np.float64) - log_q_p
    m = log_w_p.size
    if weights_problem(-log_w_p):
        return [Evidence(f"{m} samples of the target are too few to say what share of it q covers")]
    here, there = log_z(log_w), log_z(-log_w_p)
    error = math.hypot(here.error, there.error, 1 / m)
    covered = min(math.exp(min(here.value + there.value, 0.0)), 1.0)
    off = (here.value + there.value) / error
    if off < -SIGMAS:
        sentence = f"the draws cover {100 * covered:.3g} % of the target, by samples of the target"
        return [Evidence(f"{sentence} ({-off:.3g} errors from all)", fails=True, independent=True)]
    return [
        Evidence(f"the draws cover all of the target within {max(-off, 0.0):.2g} errors, by its samples", False, True)
    ]


def variance_evidence(log_w: FloatArray, seen: Iterable[FloatArray], *, known: bool) -> list[Evidence]:
    """Weights that are all the same, to rounding: their error of zero says nothing.

    Args:
        log_w: (n,) log weights.
        seen: other numbers of the same draws, each (n,): ln of the target's weight, the observables.
        known: whether something independent says how good the evaluation is.

    >>> variance_evidence(np.zeros(9), [np.full(9, -2.0)], known=False)[0].fails
    True
    """
    if known or np.ptp(log_w) > 1e-5 * (1 + np.abs(log_w).max()):
        return []
    if all(np.ptp(values) <= 1e-5 * (1 + np.abs(values).max()) for values in seen):
        sentence = "every draw is alike, in weight and observables: nothing else of the target is drawn"
        return [Evidence(sentence, fails=True)]
    return [Evidence("the weights have no variance, so that the error of ln Z is zero whatever is missing")]


def repeat_evidence(seen: Iterable[FloatArray]) -> list[Evidence]:
    """Draws of continuous variables that come again: each counts once at most, and all errors are too small.

    Args:
        seen: numbers of the draws, each (n,): ln of the target's weight, the observables.

    >>> repeat_evidence([np.repeat(np.arange(5.0), 4)])[0].sentence
    'only 5 of 20 draws differ, so that errors are too small'
    """
    n, distinct = max((values.size, np.unique(values).size) for values in seen)
    if distinct > 0.9 * n:
        return []
    return [Evidence(f"only {distinct} of {n} draws differ, so that errors are too small", fails=True)]


def share_evidence(
    name: str, drawn: ArrayLike, fair: float, log_w: FloatArray, *, stretch: float = 1.0, cure: str = ""
) -> Evidence | None:
    """A share that a symmetry of the target fixes: of the draws as they are, and reweighted.

    It fails where the weights do not make up for what the draws break, within 4 errors, or where the share is hardly
    drawn at all; the weights of the few that were drawn then decide alone.

    Args:
        name: what has the share, e.g. "M > 0".
        drawn: (n,) 1 where a draw has it, 0 where not, 1/2 where it cannot be said.
        fair: the share that the symmetry fixes.
        log_w: (n,) log weights of the draws.
        stretch: factor of all errors, above 1 for draws with a memory.
        cure: what would mend it.

    >>> m = np.ones(1000)
    >>> share_evidence("M > 0", m, 0.5, np.zeros(1000)).sentence
    'M > 0 in 100 ± 0.1 % of the samples and not in 50 %: the rest is missing from every estimate'
    """
    values = np.asarray(drawn, dtype=np.float64)
    n = values.size
    smoothed = (values.sum() + 2 * fair) / (n + 2)
    raw = Estimate(float(values.mean()), stretch * math.sqrt(smoothed * (1 - smoothed) / (n + 2)))
    if not abs(raw.value - fair) > SIGMAS * raw.error:  # nor where the error is not known
        return None
    text = f"{name} in {100 * raw.value:.4g} ± {100 * raw.error:.2g} % of the samples and not in {100 * fair:.4g} %: "
    rarer = min(raw.value / fair, (1 - raw.value) / (1 - fair))
    weighted = reweighted(values, log_w=log_w)
    cure = f"; {cure}" * bool(cure)
    if rarer < UNEVEN:
        return Evidence(f"{text}the rest is missing from every estimate{cure}", fails=True, warning=LostSignWarning)
    unsure = not math.isfinite(weighted.error)
    if unsure or abs(weighted.value - fair) > SIGMAS * max(stretch * weighted.error, 1 / n):
        after = "not known" if unsure else f"{100 * weighted.value:.4g} ± {100 * stretch * weighted.error:.2g} %"
        return Evidence(f"{text}reweighted it is {after}, and the weights do not make up for it{cure}", fails=True)
    return Evidence(f"{text}the density breaks the symmetry, and the weights make up for it, at a lower ESS{cure}")


def identity_evidence(name: str, found: Estimate, known: float, *, warning: type[UntrustedWarning]) -> Evidence:
    """A reweighted mean whose value is known for every target of its kind.

    Args:
        name: of the mean, in words.
        found: the mean with its error.
        known: its exact value.
        warning: the category of the warning where it fails.

    >>> identity_evidence("<phi dS/dphi> per site", Estimate(0.9, 0.01), 1.0, warning=EquationOfMotionWarning).fails
    True
    """
    error = found.error if found.error > 0 else math.nan
    off = (found.value - known) / error
    if not abs(off) > IDENTITY_SIGMAS and not (found.error == 0 and abs(found.value - known) > 1e-3):
        return Evidence(f"{name} is {found.value:.4g} ± {found.error:.1g}, as it must be ({known:g})")
    sentence = (
        f"{name} is {found.value:.4g} ± {found.error:.2g} and not {known:g}, as it must be: the draws miss part of the "
        "target"
    )
    return Evidence(sentence, fails=True, warning=warning)


def vanishing_evidence(name: str, values: FloatArray, log_w: FloatArray, *, stretch: float = 1.0) -> Evidence | None:
    """Means that a symmetry of the target makes zero, judged together by the one that is farthest off.

    Args:
        name: the symmetry, e.g. "translations along x".
        values: (n, k) of the draws.
        log_w: (n,) their log weights.
        stretch: factor of all errors, above 1 for draws with a memory.

    Returns:
        Evidence against where one is more than 5 errors from zero, else for; None where nothing varies.
    """
    mean, error = reweighted(values, log_w=log_w)
    error = stretch * np.asarray(error)
    scale = np.sqrt((values**2).mean(0))
    seen = scale > 0
    if not seen.any() or not np.isfinite(error[seen]).all():
        return None
    z = np.abs(mean[seen]) / np.maximum(error[seen], scale[seen] / values.shape[0])
    if z.max() <= IDENTITY_SIGMAS:
        return Evidence(f"{name} kept, within {z.max():.2g} errors")
    return Evidence(f"{name} broken by {z.max():.3g} errors, and the weights do not make up for it", fails=True)


def _unseen(log_z: float, n: int) -> float:
    """The least error in nats: what n draws cannot see, a share of about 1/n, and rounding."""
    return 1 / n + 8 * float(np.finfo(np.float32).eps) * abs(log_z)


def _digits(error: float) -> int:
    return int(np.clip(np.ceil(-np.log10(max(error, 1e-12))) + 1, 0, 8))
