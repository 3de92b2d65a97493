"""Coverage of estimators from spins, tempering, words, maps and fits."""

from __future__ import annotations

from functools import cache
from math import sqrt
from typing import Any

import numpy as np
from scipy import stats

import flowlab as fl
from tests.laws.coverage_registry import SKEWED, TAILS, Found, Rng, case

est = fl.estimators


# Spins: N independent ones of mean m; each stays as it is with probability a from one configuration to the next.


def spins(rng: Rng, length: int, sets: int, n_sites: int, m: float, a: float = 0.0) -> Any:
    fresh = np.where(rng.random((length, sets, n_sites)) < (1 + m) / 2, 1, -1).astype(np.int8)
    since = np.where(rng.random(fresh.shape) < a, 0, np.arange(length)[:, None, None])
    since[0] = 0
    return np.take_along_axis(fresh, np.maximum.accumulate(since, axis=0), axis=0).swapaxes(0, 1)


def overlap_truth(n_sites: int, m: float) -> tuple[Any, float]:
    same = (1 + m**2) / 2
    probability = stats.binom.pmf(np.arange(n_sites + 1), n_sites, same)
    return probability, 1 / n_sites + (1 - 1 / n_sites) * m**4


for name, shape, a, keys in (
    ("200 independent", (1, 200), 0.0, {}),
    ("32 sets, tau 9.5", (60, 32), 0.9, {}),
    ("6 sets of 800, tau 9.5", (800, 6), 0.9, {}),
):

    @case(f"overlap_distribution: {name}", repeats=60, wide="a bin that was never seen allows for one pair", **keys)
    def _(rng: Rng, shape=shape, a=a) -> Found:
        s = spins(rng, *shape, 16, 0.5, a)
        found = est.overlap_distribution(s[:, 0] if shape[0] == 1 else s, rng=rng)
        probability, q2 = overlap_truth(16, 0.5)
        return [((found.probability, found.error), probability), *[(found.mean_q2, q2)] * 17]  # both count alike

    @case(f"site_magnetizations: {name}", repeats=60, **keys)
    def _(rng: Rng, shape=shape, a=a) -> Found:
        s = spins(rng, *shape, 16, 0.5, a)
        return [(est.site_magnetizations(s[:, 0] if shape[0] == 1 else s), 0.5)]


@case("overlap_distribution: weights of 250 worth 215", repeats=300)
def _(rng: Rng) -> Found:
    s = spins(rng, 1, 250, 16, 0.0)[:, 0]  # tanh h = 0.1: most of the error is noise of pairs
    found = est.overlap_distribution(s, log_w=np.arctanh(0.1) * s.sum(1), rng=rng)
    probability, q2 = overlap_truth(16, 0.1)
    return [(found.mean_q2, q2), (found.mean_q4, probability @ np.linspace(-1, 1, 17) ** 4)]


@case("overlap_distribution: weights worth 1000", repeats=60, wide=SKEWED, unknown=TAILS, known=0.9)
def _(rng: Rng) -> Found:
    s = spins(rng, 1, 2000, 16, 0.0)[:, 0]  # tilted by exp(h Σs), tanh h = 0.2
    found = est.overlap_distribution(s, log_w=np.arctanh(0.2) * s.sum(1), rng=rng)
    return [(found.mean_q2, overlap_truth(16, 0.2)[1])]


@case("overlap_distribution: weights worth 200", repeats=60, wide=SKEWED, unknown=TAILS, known=0.5)
def _(rng: Rng) -> Found:
    s = spins(rng, 1, 2000, 16, 0.0)[:, 0]  # tanh h = 0.4
    found = est.overlap_distribution(s, log_w=np.arctanh(0.4) * s.sum(1), rng=rng)
    return [(found.mean_q2, overlap_truth(16, 0.4)[1])]


@case("overlap_distribution: weights of 1000 worth 200", repeats=100, wide=SKEWED, unknown=TAILS, known=0.8)
def _(rng: Rng) -> Found:
    s = spins(rng, 1, 1000, 16, 0.0)[:, 0]  # tanh h = 0.3
    found = est.overlap_distribution(s, log_w=np.arctanh(0.3) * s.sum(1), rng=rng)
    probability, q2 = overlap_truth(16, 0.3)
    return [(found.mean_q2, q2), (found.mean_q4, probability @ np.linspace(-1, 1, 17) ** 4)]


@case("overlap_distribution: weights worth 50", repeats=20, unknown="worth fewer than 100", known=0.0)
def _(rng: Rng) -> Found:
    s = spins(rng, 1, 2000, 32, 0.0)[:, 0]  # tanh h = 0.4
    found = est.overlap_distribution(s, log_w=np.arctanh(0.4) * s.sum(1), rng=rng)
    return [(found.mean_q2, overlap_truth(32, 0.4)[1])]


@case("glass_observables: 500 independent", repeats=60)
def _(rng: Rng) -> Found:
    found = est.glass_observables(spins(rng, 1, 500, 16, 0.5)[:, 0], rng=rng)
    probability, q2 = overlap_truth(16, 0.5)
    q4 = probability @ np.linspace(-1, 1, 17) ** 4
    return [(found["susceptibility"], 16 * q2), (found["binder"], 1.5 - q4 / (2 * q2**2))]


@case("glass_observables: weights", repeats=60, wide=SKEWED, unknown=TAILS, known=0.5)
def _(rng: Rng) -> Found:
    s = spins(rng, 1, 2000, 16, 0.0)[:, 0]  # tilted by exp(h Σs), tanh h = 0.3
    found = est.glass_observables(s, log_w=np.arctanh(0.3) * s.sum(1), rng=rng)
    return [(found["susceptibility"], 16 * overlap_truth(16, 0.3)[1])]


@case("site_magnetizations, positive_fraction: rare flips", wide="a flip that was never seen is allowed for")
def _(rng: Rng) -> Found:
    s = spins(rng, 1, 100, 50, 0.99)[:, 0]
    return [(est.site_magnetizations(s), 0.99), (est.positive_fraction(s[:, 0]), 0.995)]


KIND_TRUTH: dict[str, float] = {}


def kinds(s: Any, n: int, rng: Rng) -> dict[str, Any]:
    return est.triangles(s, n=n, rng=rng).fractions(0.05)


for name, shape, a in (("300 independent", (1, 300), 0.0), ("60 sets, tau 9.5", (40, 60), 0.9)):

    @case(f"triangles, triangle_fractions: {name}", repeats=60, wide="a kind that was never seen is allowed for")
    def _(rng: Rng, shape=shape, a=a) -> Found:
        if not KIND_TRUTH:
            many = spins(np.random.default_rng(1), 1, 100_000, 16, 0.5)[:, 0]
            KIND_TRUTH.update({k: v.value for k, v in kinds(many, 200_000, np.random.default_rng(2)).items()})
        s = spins(rng, *shape, 16, 0.5, a)
        found = kinds(s[:, 0] if shape[0] == 1 else s, 4000, rng)
        return [(found[name], truth) for name, truth in KIND_TRUTH.items()]


@case("mode_collapse: the same sampler twice", repeats=40, wide="what the three overlaps have in common is left out")
def _(rng: Rng) -> Found:
    a, b = spins(rng, 1, 400, 16, 0.5)[:, 0], spins(rng, 1, 400, 16, 0.5)[:, 0]
    return [(est.mode_collapse(a, b, rng=rng).correlation_distance, 0.0)]


# Parallel tempering of N spins in unit fields: E = -Σ s, ln Z = N ln(2 cosh β).

LADDER, N_SPINS = [1.0, 1.4, 2.2, 4.5, np.inf], 16
BETAS = 1 / np.array(LADDER)


def ladder(rng: Rng, steps: int, replicas: int, a: float) -> Any:
    parts = [spins(rng, steps, replicas, N_SPINS, np.tanh(b), a).sum(-1) for b in BETAS]
    return -np.stack(parts, -1).swapaxes(0, 1).astype(float)


for name, steps, a in (("independent", 180, 0.0), ("tau 4.5, blocks of 50", 900, 0.8)):

    @case(f"thermodynamics, log_z_bennett, log_z_integration: {name}", repeats=100)
    def _(rng: Rng, steps=steps, a=a) -> Found:
        energies = ladder(rng, steps, 3, a)
        found = est.thermodynamics(energies, LADDER, N_SPINS)
        truth = N_SPINS * np.log(2 * np.cosh(BETAS))
        return [
            (found.energy_per_site, -np.tanh(BETAS)),
            (found.specific_heat, BETAS**2 / np.cosh(BETAS) ** 2),
            (est.log_z_bennett(energies, LADDER, N_SPINS), truth),
            (est.log_z_integration(energies, LADDER, N_SPINS), truth),
        ]


@case(
    "thermodynamics: memory as long as a block",
    repeats=60,
    known=0.0,
    unknown="correlations last longer than a quarter of a block, which thermalisation says",
)
def _(rng: Rng) -> Found:
    energies = ladder(rng, 180, 3, 0.9)
    found = est.thermodynamics(energies, LADDER, N_SPINS)
    fine = est.thermalisation(energies, LADDER).thermalised
    return [
        ((found.specific_heat.value, found.specific_heat.error if fine else np.nan), BETAS**2 / np.cosh(BETAS) ** 2)
    ]


# Information.


def exact_information(p: Any) -> float:
    """I in nats of a table of probabilities."""
    p = p / p.sum()
    chance = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    return float((p * np.log(np.where(p > 0, p, 1) / chance)).sum())


def table(words: int, bins: int, strength: float) -> Any:
    """A smooth dependence of bins on words, as of energies on spins, with rare words among them."""
    k = np.arange(words)
    bits = np.bitwise_count(k.astype(np.uint64)).astype(float)
    centre = bits / max(bits.max(), 1) * (bins - 1)
    shape = np.exp(-strength * (np.arange(bins) - centre[:, None]) ** 2)
    return np.exp(-0.15 * bits)[:, None] * shape / shape.sum(1, keepdims=True)


for words, strength, n in ((2, 0.3, 300), (16, 0.3, 1000), (256, 0.0, 1000), (256, 0.3, 1000), (1024, 0.3, 4000)):

    @case(
        f"mutual_information: {words} words, strength {strength}, n = {n}",
        repeats=100,
        wide="half the distance of two corrections is part of the error",
    )
    def _(rng: Rng, words=words, strength=strength, n=n) -> Found:
        p = table(words, 8, strength)
        drawn = rng.choice(p.size, n, p=(p / p.sum()).ravel())
        return [(est.mutual_information(drawn // 8, drawn % 8), exact_information(p))]


@cache
def ising_words(k: int, T: float) -> Any:
    """(2^k, energies) probabilities of the first k spins of 4 x 4 and of the energy."""
    s = 2 * ((np.arange(2**16)[:, None] >> np.arange(16)) & 1) - 1
    board = s.reshape(-1, 4, 4)
    energy = -(board * np.roll(board, 1, 1) + board * np.roll(board, 1, 2)).sum((1, 2))
    levels, place = np.unique(energy, return_inverse=True)
    p = np.zeros((2**k, levels.size))
    np.add.at(p, (np.arange(2**16) % 2**k, place), np.exp(-energy / T))
    return p


for k, T, n in ((4, 2.27, 1000), (8, 2.27, 4000), (8, 4.0, 4000)):

    @case(
        f"mutual_information: {k} spins and the energy of Ising 4x4, T = {T}, n = {n}",
        repeats=60,
        wide="half the distance of two corrections is part of the error",
    )
    def _(rng: Rng, k=k, T=T, n=n) -> Found:
        p = ising_words(k, T)
        drawn = rng.choice(p.size, n, p=(p / p.sum()).ravel())
        return [(est.mutual_information(*np.divmod(drawn, p.shape[1])), exact_information(p))]


@case("binary_information: dependent and independent bits")
def _(rng: Rng) -> Found:
    z = spins(rng, 1, 500, 2, 0.2)[:, 0].astype(float)
    w = np.where(rng.random(500) < 0.2, -z[:, 0], z[:, 0])
    p = np.array([[0.6 * 0.8, 0.6 * 0.2], [0.4 * 0.2, 0.4 * 0.8]])
    found = est.binary_information(z, w[:, None])
    return [((found.value[0], found.error[0]), exact_information(p))]


@case("explained_variance, predictability: spins and heavy tails")
def _(rng: Rng) -> Found:
    x = spins(rng, 1, 500, 4, 0.0)[:, 0].astype(float)
    noise = rng.standard_t(8, size=500) / sqrt(8 / 6)
    sign = np.where(rng.random(500) < 0.2, -x[:, 0], x[:, 0])
    known = est.explained_variance(x, 2 * x[:, 0] + noise, [1, 3])
    rare = est.explained_variance(x, x[:, 0] * (rng.random(500) < 0.1), [1])
    return [(known, 0.8), (rare, 0.1), (est.predictability(x, sign, [1, 3], rng=rng), 0.8)]


@case("conditional_kurtosis, conditional_entropy")
def _(rng: Rng) -> Found:
    labels = rng.integers(4, size=2000)
    p = rng.random((300, 3))
    drawn = np.where(rng.random(p.shape) < p, p, 1 - p)
    return [
        (est.conditional_kurtosis(labels + rng.random(2000), labels), -1.2),
        (est.conditional_entropy(np.log(drawn)), 0.5),
    ]


# Maps, layers and fits.


@case("response: rare and common", wide="a change that was never seen is allowed for")
def _(rng: Rng) -> Found:
    n, p = 150, np.array([0.6, 0.1, 0.002])
    square = np.minimum(np.arange(4), 4 - np.arange(4))
    distance = np.minimum(np.hypot(square[:, None], square[None, :]), 2).astype(int)
    changed = rng.random((n, 4, 4)) < p[distance]
    found = est.response(np.ones((n, 4, 4)), np.where(changed, -1, 1), np.zeros(n, int))
    separation = np.minimum(found.separation, 2).astype(int)
    return [(found.probability, p[separation]), (found.changed, p[distance].sum())]


@case("mask_agreement, kernel_alignment, topology_distance, overlap: independent")
def _(rng: Rng) -> Found:
    m = spins(rng, 1, 100, 12, 0.5)[:, 0].astype(float)
    other = np.where(rng.random(m.shape) < 0.3, -m, m)
    agreement = est.mask_agreement(np.stack([m, other]))
    x = rng.normal(size=(400, 4))
    aligned = est.kernel_alignment([x, x + rng.normal(size=x.shape)])
    images = spins(rng, 1, 100, 2 * 9, 0.5)[:, 0].reshape(100, 2, 9)
    distance = est.topology_distance(images, ["one island", "wall pair"])
    return [
        ((agreement.fraction.value[0, 1], agreement.fraction.error[0, 1]), 0.7),
        (agreement.flips.value * 0, 0.0),
        ((aligned.value[0, 1], aligned.error[0, 1]), 0.5),
        (distance.different, 0.375),
        (est.overlap(m, other), 0.4),
    ]


@case("wall_overlap: noisy walls", repeats=30)
def _(rng: Rng) -> Found:
    s = rng.choice([-1.0, 1.0], size=(300, 5, 5))
    z = est.domain_walls(s)
    found = est.wall_overlap(np.where(rng.random(s.shape) < 0.1, -z, z), s)
    return [(found.agreement, 0.9)]


WALLS: list[float] = []


@case("wall_dimension: infinite temperature", repeats=30)
def _(rng: Rng) -> Found:
    if not WALLS:
        WALLS.append(est.wall_dimension(np.random.default_rng(3).choice([-1, 1], size=(4000, 8, 8))).value)
    return [(est.wall_dimension(rng.choice([-1, 1], size=(60, 8, 8))), WALLS[0])]


@case("work, work_distribution", wide=SKEWED)
def _(rng: Rng) -> Found:
    z = rng.normal(size=(2, 500))
    widths = np.array([0.8, 0.4])
    log_w = widths[:, None] * z - widths[:, None] ** 2 / 2
    found = est.work(log_w, T=2.0)
    steps = rng.choice(3, size=500, p=[0.2, 0.5, 0.3])
    _, share = est.work_distribution([np.zeros(500), -steps.astype(float)])
    return [
        (found.free_energy_bound, widths**2),
        (found.log_z, 0.0),
        (found.log_z_change, 0.0),
        (found.ess, np.exp(-(widths**2))),
        (found.change, -0.48),
        (found.variance, 4 * 0.8),
        (share, [[0.2, 0.5, 0.3]]),
    ]


@case(
    "power_law, log_slope: scatter as the errors say",
    repeats=100,
    wide="errors widen where points scatter by chance",
)
def _(rng: Rng) -> Found:
    x = np.arange(1.0, 13.0)
    y = 2 * x**-0.75
    error = 0.05 * y
    seen = y + error * rng.normal(size=12)
    fit = est.power_law(x, seen, error)
    return [(fit.exponent, 0.75), (fit.amplitude, 2.0), (est.log_slope(x, seen, error), -0.75)]
