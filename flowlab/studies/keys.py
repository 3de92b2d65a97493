"""What the keys of several studies say, with unit and range, declared once; and what studies refuse of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from flowlab.runs import keys
from flowlab.runs.keys import (
    Count,
    Dimensions,
    Finite,
    Fraction,
    Meaning,
    NotNegative,
    Positive,
    Seed,
    Several,
)

# systems
Side = Annotated[Several, Meaning("side of the lattice", "sites")]
Dimension = Annotated[Dimensions, Meaning("number of dimensions")]
Temperature = Annotated[Positive, Meaning("temperature", "J / k_B")]
Lowest = Annotated[Positive, Meaning("lowest temperature", "J / k_B")]
Highest = Annotated[Positive, Meaning("highest temperature", "J / k_B")]
Points = Annotated[Count, Meaning("number of temperatures, evenly spaced")]
Field = Annotated[Finite, Meaning("external field", "J")]
Beta = Annotated[Finite, Meaning("hopping in the form β Σ φ(x) φ(x + μ), beta = 2 kappa; give this or kappa")]
Kappa = Annotated[Finite, Meaning("hopping in the form 2 κ Σ φ(x) φ(x + μ), kappa = beta / 2; give this or beta")]
Lam = Annotated[NotNegative, Meaning("coupling of φ⁴")]
Spins = Annotated[Several, Meaning("number of spins", "spins")]
States = Annotated[Several, Meaning("number of states")]
Instance = Annotated[Seed, Meaning("seed of the random couplings: the instance of the glass")]

# training
Steps = Annotated[Count, Meaning("of training in all", "steps")]
WarmSteps = Annotated[Count, Meaning("of training after a warm start", "steps")]
Batch = Annotated[Several, Meaning("in a step", "configurations")]
Rate = Annotated[Positive, Meaning("peak learning rate of Adam")]
Schedule = Annotated[
    Literal["constant", "cosine", "exponential"], Meaning("of the learning rate after its rise, over the run")
]
Warmup = Annotated[
    Fraction, Meaning("fraction of the run over which the learning rate rises, at least 0.05 after a warm start")
]
Decay = Annotated[keys.Inside, Meaning("decay of Adam's average, beta1 of the gradient, beta2 of its square")]
Final = Annotated[Fraction, Meaning("what a cosine falls to, as a fraction of the peak learning rate")]
Clip = Annotated[keys.Clip, Meaning("largest norm of a gradient, beyond which it is scaled down")]
Anneal = Annotated[
    Fraction, Meaning("fraction of the run over which beta rises from beta / 5; a warm start does not anneal")
]
AnnealKappa = Annotated[
    Fraction, Meaning("fraction of the run over which kappa rises from half its value; a warm start does not anneal")
]
Patience = Annotated[
    keys.Patience, Meaning("the run ends when its bound has not improved over this many; 0 never does", "steps")
]
Threads = Annotated[
    keys.Threads, Meaning("of torch; more than one pays on large lattices and an otherwise idle machine", "threads")
]
Device = Annotated[str, Meaning('"auto", "cpu" or "cuda"')]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """How a density is trained, by one rate for all of its parts: keys that most studies share."""

    steps: Steps
    batch: Batch
    lr: Rate
    clip: Clip
    threads: Threads = 1
    device: Device = "auto"

    @property
    def given(self) -> dict[str, Any]:
        """The same as arguments of :class:`flowlab.training.Training`."""
        return {"learning_rate" if name == "lr" else name: value for name, value in vars(self).items()}


@dataclass(frozen=True, kw_only=True)
class TrainedByParts:
    """The same for masks over a base, each with a rate of its own, none for one that suits the base."""

    steps: Steps
    batch: Batch
    lr: Rate | None = None
    lr_flow: Positive | None = None
    clip: Clip = 10.0
    threads: Threads = 1
    device: Device = "auto"

    def given(self, base: str) -> dict[str, Any]:
        """The same as arguments of :class:`flowlab.training.Training`."""
        rates = {"base": base_rate(base, self.lr), "flow": flow_rate(base, self.lr_flow)}
        others = {name: value for name, value in vars(self).items() if name not in ("lr", "lr_flow")}
        return others | {"learning_rate": rates}


@dataclass(frozen=True, kw_only=True)
class Falling:
    """How the learning rate rises and falls over a run."""

    schedule: Schedule = "cosine"
    warmup: Warmup = 0.02
    final: Final = 0.01

    def given(self, *, warm: bool) -> dict[str, Any]:
        """The same as arguments of :class:`flowlab.training.Training`; a warm start rises over at least 5 %."""
        return vars(self) | ({"warmup": max(0.05, self.warmup)} if warm else {})


@dataclass(frozen=True, kw_only=True)
class Averages:
    """Adam's averages of the gradient and of its square."""

    beta1: Decay = 0.9
    beta2: Decay = 0.999

    @property
    def given(self) -> dict[str, Any]:
        """The same as an argument of :class:`flowlab.training.Training`."""
        return {"betas": (self.beta1, self.beta2)}


# a range of couplings
Over = Annotated[
    str,
    Meaning(
        "couplings and intervals for which one density is trained, as beta:0.35:0.55 or beta:0.35:0.55,h:0:0.1; "
        "none trains at one coupling"
    ),
]
Degree = Annotated[Count, Meaning("of the polynomials in the couplings of over that the weights are")]
Defence = Annotated[
    float,
    keys.Range("lie in [0, 0.9), a share of the draws", lambda value: 0 <= value < 0.9, least=0, most=0.9),
    Meaning(
        "least share of an evaluation's draws that come from neighbouring couplings of over; it takes more of them "
        "where they are needed, and none at 0"
    ),
]

# chains and evaluations
Chains = Annotated[Count, Meaning("that run side by side", "chains")]
Kept = Annotated[Count, Meaning("configurations kept, over all chains", "configurations")]
Discarded = Annotated[keys.Discarded, Meaning("fraction of the run that is left out as thermalisation")]
Evaluated = Annotated[Several, Meaning("samples of each evaluation", "configurations")]


@dataclass(frozen=True, kw_only=True)
class Chained:
    """How long chains run side by side, and what is kept of them."""

    chains: Chains = 64
    every: Count = 10
    samples: Kept = 10_000
    discard: Discarded = 0.1
    steps: Steps = 300

    @property
    def given(self) -> dict[str, Any]:
        """The same as arguments of :class:`flowlab.runs.ChainRun`."""
        kept = (1 - self.discard) * self.steps * self.chains
        others = {name: value for name, value in vars(self).items() if name != "samples"}
        return others | {"keep_every": max(1, int(kept / self.samples))}


BETA_OR_T: dict[str, tuple[str, Callable[[float], float]]] = {"beta": ("T", lambda beta: 1.0 / beta)}
"""The inverse temperature as another spelling of the key T."""

# why a key has no effect
WARM = "on a run that starts from another's weights"
NO_LAYERS = "where there are no layers"
NO_GROWTH = "on a run that does not grow"
AT_ONE = "at one coupling, without over"
OVER = "on a density for a range of couplings"
ONE_LEVEL = "where nothing lies between the coarsest lattice and L"


# why a study has no key over
OF_CHAINS = {"over": "a chain has no weights: run it at each coupling, sweep(..., over={'T': [2.2, 2.3]})"}
OF_TEMPERING = {"over": "its chains are at many temperatures already: temperatures names those that it keeps"}
OF_SAMPLES = {"over": "it learns from samples of one temperature; the others of a glass learn over a range"}
OF_MATCHING = {"over": "it learns couplings, which a range would hold fixed"}
OF_MANY_RUNS = {"over": "it trains a run at each coupling; phase-diagram trains one model over a range"}
UNTRAINED = {"over": "it has no weights to learn: run it at each coupling, sweep(..., over={'T': [2.2, 2.3]})"}


def over_idle(keys: Mapping[str, Any], degree: str = "degree") -> dict[str, str]:
    """The keys that have no effect with ``over``, or without it; ``degree`` is what that of the polynomials is called.

    >>> sorted(over_idle({"over": None})), sorted(over_idle({"over": "beta:0.35:0.55"}))
    (['defence', 'degree'], ['anneal'])
    """
    return {"anneal": OVER} if keys["over"] is not None else dict.fromkeys((degree, "defence"), AT_ONE)


def intervals(over: str) -> dict[str, tuple[float, float]]:
    """The key ``over`` as coupling -> interval.

    Raises:
        ValueError: for a text that is not like that.

    >>> intervals("beta:0.35:0.55")
    {'beta': (0.35, 0.55)}
    """
    found: dict[str, tuple[float, float]] = {}
    for words in over.split(","):
        name, *ends = (word.strip() for word in words.split(":"))
        try:
            low, high = map(float, ends)
        except ValueError:
            low, high = 0.0, 0.0
        if not name or name in found or not -math.inf < low < high < math.inf:
            raise ValueError(f"over must be a coupling and its interval, as beta:0.35:0.55, got {over!r}")
        found[name] = low, high
    return found


BASES = {"independent": 0.1, "local": 1e-2, "made": 5e-3, "pixelcnn": 5e-3, "row_rnn": 5e-3}
"""Peak learning rates (Adam) by base; one logit a site moves far in few steps, the weights of networks must not."""


def base_rate(base: str, given: float | None = None) -> float:
    """The rate of a base: as given, else the one that suits it, the same in every study of spins.

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


def even_side(L: int, why: str) -> None:
    """Refuse an odd side.

    >>> even_side(5, "a checkerboard")
    Traceback (most recent call last):
    ValueError: L must be even for a checkerboard, got 5
    """
    if L % 2:
        raise ValueError(f"L must be even for {why}, got {L}")


def doubled_side(L: int, coarsest: int) -> None:
    """Refuse a side that is not 2, 4, 8, ... times the coarsest.

    >>> doubled_side(12, 2)
    Traceback (most recent call last):
    ValueError: L must be coarsest · 2^k with k at least 1, got L = 12 and coarsest = 2
    """
    factor = L // coarsest
    if factor < 2 or L % coarsest or factor & (factor - 1):
        raise ValueError(f"L must be coarsest · 2^k with k at least 1, got L = {L} and coarsest = {coarsest}")
