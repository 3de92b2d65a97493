"""Parallel tempering's energies: thermodynamics and ln Z at every temperature with errors, and whether to trust them.

``energies`` are (steps, replicas, temperatures), E of the whole system; replicas are independent. Errors are one
standard error by the jackknife over replicas x time blocks, :data:`BLOCKS` blocks a replica: long blocks, so that
neighbouring ones are nearly independent. Where correlations outlive a block, replicas differ by more than these
errors, which :func:`thermalisation` tests.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowlab.estimators.estimate import Estimate, FloatArray
from flowlab.estimators.series.chains import chain_mean

BLOCKS = 18
"""Time blocks of a replica: six in each third of the run."""
LEVEL = 0.001
"""Chance that a thermalised run fails the comparison of thirds, or that of replicas, all temperatures together."""
MIN_SWAP_ACCEPTANCE = 0.05
MIN_ROUND_TRIPS = 10
"""Round trips, cold to hot and back, that each replica must have made."""
MIN_STEPS = 10 * BLOCKS


class Thermodynamics(NamedTuple):
    """Estimates with (K,) values and errors: E/N, and C/N = Var(E) / (N T²), k_B = 1."""

    energy_per_site: Estimate
    specific_heat: Estimate


def thermodynamics(energies: ArrayLike, temperatures: Sequence[float], n_sites: int) -> Thermodynamics:
    """E/N and C/N = (<E²> - <E>²) / (N T²) at every temperature.

    Args:
        energies: (steps, replicas, K) E of the whole system, at equilibrium.
        temperatures: K of them, increasing; the last may be infinite (there C = 0).
        n_sites: N.

    Raises:
        ValueError: for energies that are not finite, of another shape, or fewer than 18 steps.

    >>> energies = np.random.default_rng(0).normal(0.0, 2.0, (900, 4, 1))
    >>> found = thermodynamics(energies, [2.0], n_sites=1)
    >>> bool(abs(found.specific_heat.value[0] - 1.0) < 4 * found.specific_heat.error[0])
    True
    """
    values, betas = _checked(energies, temperatures)
    mean = values.mean((0, 1))
    first, second = (_block_means((values - mean) ** power) for power in (1, 2))
    heat = betas**2 / n_sites
    specific_heat = _jackknife(heat * (second.mean(0) - first.mean(0) ** 2), heat * _variance_without(first, second))
    energy = Estimate(mean / n_sites, first.std(0, ddof=1) / math.sqrt(len(first)) / n_sites)
    return Thermodynamics(energy, specific_heat)


def log_z_integration(energies: ArrayLike, temperatures: Sequence[float], n_sites: int) -> Estimate:
    """ln Z at every temperature, N ln 2 - ∫ <E> dβ from β = 0, with d<E>/dβ = -Var(E) at the nodes.

    Between neighbours, b = β' - β:  ∫ <E> dβ ≈ b (<E> + <E>')/2 - b² (Var E - Var E')/12, exact for cubics.

    Args:
        energies: (steps, replicas, K) E of the whole system, at equilibrium.
        temperatures: K of them, increasing; the last is infinite.
        n_sites: N spins of two values each.

    Returns:
        Estimate of (K,) ln Z in nats; the last is N ln 2 exactly.

    Raises:
        ValueError: for temperatures that end before infinity; see also :func:`thermodynamics`.

    >>> log_z_integration(np.zeros((180, 2, 2)), [1.0, np.inf], n_sites=2).value.round(6)
    array([1.386294, 1.386294])
    """
    values, betas = _checked(energies, temperatures, to_infinity=True)
    mean = values.mean((0, 1))
    first, second = (_block_means((values - mean) ** power) for power in (1, 2))
    width = betas[:-1] - betas[1:]

    def log_z(energy: FloatArray, variance: FloatArray) -> FloatArray:
        slope = -(energy[..., :-1] + energy[..., 1:]) / 2
        curvature = (variance[..., 1:] - variance[..., :-1]) / 12
        return n_sites * math.log(2) + _from_the_right(width * slope + width**2 * curvature)

    whole = log_z(mean, second.mean(0) - first.mean(0) ** 2)
    return _jackknife(whole, log_z(mean + _mean_without(first), _variance_without(first, second)))


def log_z_bennett(energies: ArrayLike, temperatures: Sequence[float], n_sites: int) -> Estimate:
    """ln Z at every temperature by Bennett's acceptance ratio between neighbours, summed up from N ln 2 at β = 0.

    For a hot neighbour a and a cold one b, l = ln(Z_b/Z_a) and W = (β_b - β_a) E solve
    <1/(1 + e^(W + l))>_a = <1/(1 + e^(-W - l))>_b; unlike an integral it has no error of the rule. The error is the
    linearised jackknife of the sum, so that the energies that two pairs share are counted rightly.

    Args, Returns, Raises: as :func:`log_z_integration`.

    Source: C. H. Bennett, J. Comput. Phys. 22, 245 (1976).

    >>> energies = np.random.default_rng(0).choice([-1.0, 1.0], (1800, 2, 2))  # one spin in a field, at β = 0
    >>> energies[:, :, 0] = np.random.default_rng(1).choice([-1.0, 1.0], (1800, 2), p=[0.880797, 0.119203])  # β = 1
    >>> value, error = log_z_bennett(energies, [1.0, np.inf], n_sites=1)
    >>> bool(abs(value[0] - np.log(2 * np.cosh(1))) < 4 * error[0] < 0.1)
    True
    """
    values, betas = _checked(energies, temperatures, to_infinity=True)
    pairs = [_bennett(values[..., k + 1], values[..., k], betas[k] - betas[k + 1]) for k in range(len(betas) - 1)]
    value = n_sites * math.log(2) + _from_the_right(np.array([pair[0] for pair in pairs]))
    influence = _from_the_right(np.stack([pair[1] for pair in pairs], -1))
    return Estimate(value, influence.std(0, ddof=1) / math.sqrt(len(influence)))


def _bennett(hot: FloatArray, cold: FloatArray, width: float) -> tuple[float, FloatArray]:
    """ln(Z_cold/Z_hot) of (steps, replicas) energies, and what each block adds to it, (blocks,)."""
    from scipy.special import expit

    w_hot, w_cold = width * hot, width * cold
    low, high = -max(w_hot.max(), w_cold.max()), -min(w_hot.min(), w_cold.min())  # the root is between
    root = -(w_hot.mean() + w_cold.mean()) / 2
    while True:
        a, b = expit(-w_hot - root), expit(w_cold + root)
        excess = a.mean() - b.mean()
        slope = (a * (1 - a)).mean() + (b * (1 - b)).mean()
        low, high = (root, high) if excess > 0 else (low, root)
        step = excess / slope if slope > 0 else math.inf
        if abs(step) < 1e-9 or high - low < 1e-9:
            break
        root = root + step if low < root + step < high else (low + high) / 2
    return float(root), (_block_means(a[..., None]) - _block_means(b[..., None]))[:, 0] / max(slope, 1e-300)


def swap_acceptance(energies: ArrayLike, temperatures: Sequence[float]) -> FloatArray:
    """(K - 1,) mean of min(1, exp[(β_k - β_k+1)(E_k - E_k+1)]), the acceptance of swaps between neighbours.

    >>> swap_acceptance(np.zeros((20, 1, 2)), [1.0, 2.0])
    array([1.])
    """
    values, betas = _checked(energies, temperatures)
    gain = (betas[:-1] - betas[1:]) * (values[..., :-1] - values[..., 1:])
    return np.asarray(np.exp(np.minimum(gain, 0)).mean((0, 1)))


def round_trips(walkers: ArrayLike) -> NDArray[np.int64]:
    """(replicas,) times that a walker went from the coldest temperature to the hottest and came back.

    Args:
        walkers: (steps, replicas, K) the walker at each temperature, at every step.

    >>> round_trips(np.array([[[0, 1]], [[1, 0]], [[0, 1]]]))
    array([1])
    """
    walkers = np.asarray(walkers)
    if walkers.ndim != 3:
        raise ValueError(f"walkers must have shape (steps, replicas, temperatures), got {walkers.shape}")
    counts = np.zeros(walkers.shape[1], dtype=np.int64)
    for replica, walker in itertools.product(range(walkers.shape[1]), range(walkers.shape[2])):
        at_cold, at_hot = walkers[:, replica, 0] == walker, walkers[:, replica, -1] == walker
        visits = (at_hot.astype(int) - at_cold)[at_cold | at_hot]  # -1 cold, 1 hot
        counts[replica] += int(((visits[1:] == -1) & (visits[:-1] == 1) & (np.cumsum(visits == -1)[:-1] > 0)).sum())
    return counts


@dataclass(frozen=True)
class Thermalisation:
    """Whether a run looks like equilibrium; ``text`` says so in words, and which test failed.

    Attributes:
        z_thirds: largest |difference| / error of the mean energy between thirds of the run, and between its first 18th
            and its later two thirds, over all temperatures.
        z_replicas: the same between each replica and all of them; 0 for a single replica.
        z_thirds_limit, z_replicas_limit: what they may be, by Student's t for as many comparisons at level 0.001.
        swap_acceptance: the smallest of all neighbours.
        round_trips: of the replica that made fewest; None where not given.
        thermalised: whether every test passed.
        text: the verdict.
    """

    z_thirds: float
    z_thirds_limit: float
    z_replicas: float
    z_replicas_limit: float
    swap_acceptance: float
    round_trips: int | None
    thermalised: bool
    text: str


def thermalisation(
    energies: ArrayLike, temperatures: Sequence[float], *, round_trips: ArrayLike | None = None
) -> Thermalisation:
    """Test a run for signs that it is not at equilibrium; passing is no proof.

    Mean energies of the three thirds of the run, of its beginning, and of the replicas must agree at every temperature
    within errors from time blocks, swaps be accepted, and configurations travel the whole ladder. Correlations longer
    than a quarter of a block would make all errors too small, and the run fails: their τ is measured by the Gamma
    method. Limits are for all comparisons together: an equilibrated run fails each of the first two tests with a
    chance of about 0.001.

    Args:
        energies: (steps, replicas, K) E of the whole system, the part of the run that is used.
        temperatures: K of them, increasing.
        round_trips: (replicas,) round trips of each replica in that part.

    Raises:
        ValueError: see :func:`thermodynamics`.

    >>> noise = np.random.default_rng(0).standard_normal((900, 3, 2))
    >>> thermalisation(noise, [1.0, 2.0]).thermalised
    True
    >>> thermalisation(noise + np.linspace(1, 0, 900)[:, None, None], [1.0, 2.0]).text
    'not thermalised: thirds of the run differ by 12.4 errors (limit 4.3)'
    """
    values, _ = _checked(energies, temperatures)
    replicas = values.shape[1]
    means = _block_means(values).reshape(BLOCKS, *values.shape[1:])
    drift, drift_limit = _drift(means)
    between, between_limit = _between_replicas(means)
    swaps = float(swap_acceptance(values, temperatures).min(initial=1.0))
    memory, block = _longest_memory(values), len(values) / BLOCKS
    trips = None if round_trips is None else int(np.min(round_trips))
    problems = []
    if len(values) < MIN_STEPS:
        problems.append(f"only {len(values)} steps were measured, at least {MIN_STEPS} are needed")
    if drift > drift_limit:
        problems.append(f"thirds of the run differ by {drift:.1f} errors (limit {drift_limit:.1f})")
    if between > between_limit:
        problems.append(f"replicas differ by {between:.1f} errors (limit {between_limit:.1f})")
    if memory > block / 4:
        problems.append(f"correlations last {memory:.3g} steps, too long for blocks of {block:.3g} (at most a quarter)")
    if swaps < MIN_SWAP_ACCEPTANCE:
        problems.append(f"a swap is accepted with probability {swaps:.2g} only (at least {MIN_SWAP_ACCEPTANCE})")
    if trips is not None and trips < MIN_ROUND_TRIPS:
        problems.append(f"a replica made {trips} round trips (at least {MIN_ROUND_TRIPS})")
    text = "not thermalised: " + "; ".join(problems)
    if not problems:
        text = f"thermalised: thirds agree within {drift:.1f} errors, swaps are accepted with {swaps:.0%} or more"
        text += f", replicas agree within {between:.1f} errors" if replicas > 1 else ""
        text += f", {trips} round trips or more a replica" if trips is not None else ""
    return Thermalisation(drift, drift_limit, between, between_limit, swaps, trips, not problems, text)


def _longest_memory(values: FloatArray) -> float:
    """τ of the energy in steps, the largest of all temperatures; 1/2 where no energy changes."""
    times = [chain_mean(values[:, :, k]).tau_int for k in range(values.shape[2])]
    return max((time for time in times if not math.isnan(time)), default=0.5)


def _drift(means: FloatArray) -> tuple[float, float]:
    """Largest |z| between thirds, and between the first block and the later thirds; (BLOCKS, replicas, K) means.

    The error comes from the later thirds, since a drift at the start would hide in its own variance. Where most of
    their blocks are all the same, a rare excitation must not count as a drift: there it comes from all thirds.
    """
    thirds = means.reshape(3, -1, means.shape[2])
    later = thirds[1:].reshape(-1, means.shape[2])
    rare = (np.abs(later - np.median(later, 0)) < _rounding(means)).mean(0) > 0.5
    variance = np.where(rare, thirds.var(1, ddof=1).mean(0), thirds[1:].var(1, ddof=1).mean(0))
    first, second, third = thirds.mean(1)
    n, replicas = thirds.shape[1], means.shape[1]
    differences = np.stack([first - second, first - third, second - third, means[0].mean(0) - later.mean(0)])
    factors = np.array([2 / n, 2 / n, 2 / n, 1 / replicas + 1 / (2 * n)])[:, None]
    return _largest_z(differences, factors * variance, _rounding(means), 2 * (n - 1))


def _between_replicas(means: FloatArray) -> tuple[float, float]:
    """Largest |z| between a replica and all of them; (BLOCKS, replicas, K) means."""
    replicas = means.shape[1]
    if replicas == 1:
        return 0.0, math.inf
    variance = means.var(0, ddof=1).mean(0) / BLOCKS * (1 - 1 / replicas)
    return _largest_z(means.mean(0) - means.mean((0, 1)), variance, _rounding(means), replicas * (BLOCKS - 1))


def _rounding(means: FloatArray) -> float:
    """Differences of energies that may be rounding."""
    return float(1e-6 * np.abs(means).max(initial=1.0))


def _largest_z(differences: FloatArray, variance: FloatArray, rounding: float, dof: int) -> tuple[float, float]:
    """Largest |difference| / error, infinite for frozen states that differ, and its limit."""
    from scipy.stats import t

    error = np.where(variance > rounding**2, np.sqrt(variance), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(np.abs(differences) > rounding, np.abs(differences) / error, 0.0)
    return float(z.max()), float(t.isf(LEVEL / 2 / differences.size, dof))


def _checked(
    energies: ArrayLike, temperatures: Sequence[float], *, to_infinity: bool = False
) -> tuple[FloatArray, FloatArray]:
    values = np.asarray(energies, dtype=np.float64)
    given = np.asarray(temperatures, dtype=np.float64)
    if values.ndim != 3 or given.ndim != 1 or values.shape[2] != len(given):
        raise ValueError(
            f"energies must have shape (steps, replicas, {given.size}), as many as temperatures, got {values.shape}"
        )
    if len(values) < BLOCKS or values.shape[1] < 1:
        raise ValueError(f"energies must have at least {BLOCKS} steps and one replica, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"energies must be finite, got {int((~np.isfinite(values)).sum())} that are not")
    if not (given > 0).all() or not (np.diff(given) > 0).all():
        raise ValueError(f"temperatures must be positive and increase, got {given.tolist()}")
    if to_infinity and given[-1] != math.inf:
        raise ValueError(f"ln Z is summed up from infinite temperature, but temperatures end at {given[-1]:g}")
    return values, 1 / given


def _block_means(values: FloatArray) -> FloatArray:
    """(steps, replicas, K) -> (BLOCKS · replicas, K); steps that fill no block are left out at the start."""
    length = len(values) // BLOCKS
    blocks = values[-BLOCKS * length :].reshape(BLOCKS, length, *values.shape[1:])
    return np.asarray(blocks.mean(1).reshape(-1, values.shape[2]))


def _mean_without(blocks: FloatArray) -> FloatArray:
    return np.asarray((blocks.sum(0) - blocks) / (len(blocks) - 1))


def _variance_without(first: FloatArray, second: FloatArray) -> FloatArray:
    return np.asarray(_mean_without(second) - _mean_without(first) ** 2)


def _jackknife(value: FloatArray, without: FloatArray) -> Estimate:
    return Estimate(value, np.sqrt((len(without) - 1) * (without - value).var(0)))


def _from_the_right(parts: FloatArray) -> FloatArray:
    """Sums of parts k, k+1.. to the last, and a zero behind."""
    sums = np.cumsum(parts[..., ::-1], -1)[..., ::-1]
    return np.asarray(np.concatenate([sums, np.zeros((*parts.shape[:-1], 1))], -1))
