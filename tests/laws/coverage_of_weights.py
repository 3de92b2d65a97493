"""Coverage of estimators from importance weights, chains and free fields."""

from __future__ import annotations

from collections.abc import Callable
from math import asinh, erfc, exp, log, pi, sin, sqrt
from typing import Any

import numpy as np
from scipy import integrate, stats

import flowlab as fl
from tests.laws.coverage_registry import CASES, SKEWED, TAILS, Case, Found, Rng, case

est = fl.estimators


# Importance weights: q = N(0, 1), p = N(mu, 1) with Z = 1: log-normal weights of width mu, ESS exp(-mu²).


def shifted(rng: Rng, n: int, mu: float) -> tuple[Any, Any]:
    x = rng.normal(size=n)
    return x, mu * x - mu**2 / 2


def weighted(mu: float, n: int) -> Callable[[Rng], Found]:
    def draw(rng: Rng) -> Found:
        x, log_w = shifted(rng, n, mu)
        f = np.cos(2 * x)
        return [(est.reweighted(f, log_w=log_w), np.cos(2 * mu) * exp(-2)), (est.mean(x, log_w=log_w), mu)]

    return draw


for mu, n, known in (
    (0.5, 50, 1.0),
    (0.5, 1000, 1.0),
    (1.0, 1000, 1.0),
    (1.5, 1000, 1.0),
    (2.0, 5000, 0.95),
    (3.0, 200, 0),
):
    heavy = {"wide": SKEWED, "known": known, "unknown": TAILS} if mu > 1 else {"wide": SKEWED}
    CASES.append(Case(f"reweighted, mean: width {mu}, n = {n}", weighted(mu, n), **heavy))
    CASES.append(
        Case(
            f"log_z: width {mu}, n = {n}",
            lambda rng, mu=mu, n=n: [(est.log_z(shifted(rng, n, mu)[1]), 0.0)],
            **heavy,
        )
    )
    CASES.append(
        Case(
            f"ess: width {mu}, n = {n}",
            lambda rng, mu=mu, n=n: [(est.ess(shifted(rng, n, mu)[1]), exp(-(mu**2)))],
            **{"wide": SKEWED} | ({"known": known and 0.9, "unknown": TAILS} if mu > 1 else {}),
        )
    )


@case("log_z: Pareto weights, k = 0.5", wide=SKEWED, unknown=TAILS, known=0.95)
def _(rng: Rng) -> Found:
    return [(est.log_z(0.5 * rng.exponential(size=1000)), log(2))]


@case("reweighted: one weight that counts", known=0.0, unknown=TAILS)
def _(rng: Rng) -> Found:
    return [(est.reweighted(rng.normal(size=100), log_w=np.r_[np.zeros(99), 60.0]), 0.0)]


@case("ess: the widths of the audit", known=0.0, unknown=TAILS, wide=SKEWED)
def _(rng: Rng) -> Found:
    return [(est.ess(shifted(rng, 200, 2.0)[1]), exp(-4.0))]


@case(
    "log_z_bound, acceptance, tau_int_bound, divergences, log_z_from_target, forward_check, effective_mode_dropping",
    wide=SKEWED,
)
def _(rng: Rng) -> Found:
    mu, n = 0.7, 1000
    x, log_w = shifted(rng, n, mu)
    y = mu + rng.normal(size=n)
    log_q, target = stats.norm.logpdf(x), (stats.norm.logpdf(y, mu), stats.norm.logpdf(y))
    A, kl = erfc(mu / 2), mu**2 / 2
    forward = est.forward_check(*target)
    dropped = est.effective_mode_dropping(log_w + log_q, log_q, target_samples=target)
    d = est.divergences(
        log_w_model=log_w,
        log_weight_model=log_w + log_q,
        log_w_target=target[0] - target[1],
        log_weight_target=target[0],
        log_z=0.0,
        T=2.0,
    )
    entropy = 0.5 * log(2 * pi * np.e)
    truths = {
        "kl_reverse": kl,
        "loss_reverse": kl,
        "gibbs_free_energy": 2 * kl,
        "entropy_model": entropy,
        "kl_forward": kl,
        "loss_forward": kl + entropy,
        "entropy": entropy,
        "helmholtz_free_energy": 0,
    }
    return [
        (est.log_z_bound(log_w), -kl),
        (est.acceptance(log_w), A),
        (est.tau_int_bound(est.acceptance(log_w)), 1 / A - 0.5),
        (est.log_z_from_target(*target), 0.0),
        (forward.kl, kl),
        (forward.log_z_upper, kl),
        (forward.ess, exp(-(mu**2))),
        (dropped[:2], 1.0),
        *[(d[name], truths[name]) for name in truths],
    ]


@case("forward_check: an excellent q", wide="")
def _(rng: Rng) -> Found:
    mu = 0.01
    y = mu + rng.normal(size=300)
    return [(est.forward_check(stats.norm.logpdf(y, mu), stats.norm.logpdf(y)).kl, mu**2 / 2)]


@case("acceptance: width 2, n = 1000", wide=SKEWED, unknown=TAILS, known=0.9)
def _(rng: Rng) -> Found:
    return [(est.acceptance(shifted(rng, 1000, 2.0)[1]), erfc(1.0))]


def from_rejections(mu: float) -> float:
    """E_p[1/a(x)] - 1/2 with a(x) = Φ(-x) + e^(-mu x + mu²/2) Φ(x - mu)."""
    cdf = stats.norm.cdf

    def inside(x: float) -> float:
        return float(stats.norm.pdf(x, mu) / (cdf(-x) + exp(-mu * x + mu**2 / 2) * cdf(x - mu)))

    return integrate.quad(inside, mu - 8, mu + 8)[0] - 0.5


STAYS = {mu: from_rejections(mu) for mu in (0.5, 1.0, 2.0)}

for mu, n, known in ((0.5, 2000, 0.8), (1.0, 10_000, 0.7), (2.0, 1000, 0.0)):
    CASES.append(
        Case(
            f"tau_int_rejections: width {mu}, n = {n}",
            lambda rng, mu=mu, n=n: [
                (est.tau_int_rejections(est.independence_chain(mu * rng.normal(size=n), rng).accepted), STAYS[mu])
            ],
            repeats=100,
            known=known,
            unknown="few long stays make up the sum",
            wide=SKEWED,
        )
    )


# Chains with memory: x(t+1) = a x(t) + √(1 - a²) noise has τ = (1 + a) / (2 (1 - a)) and variance 1.


def chains(rng: Rng, steps: int, count: int, a: float) -> Any:
    from scipy.signal import lfilter

    noise = rng.normal(size=(steps, count)) * np.r_[1.0, np.full(steps - 1, sqrt(1 - a**2))][:, None]
    return lfilter([1.0], [1.0, -a], noise, axis=0)


def tau(a: float) -> float:
    return (1 + a) / (2 * (1 - a))


for a, steps, count in ((0.0, 100, 4), (0.8, 500, 4), (0.5, 40, 200)):

    @case(f"chain_mean: tau {tau(a):.3g}, {count} chains of {steps}")
    def _(rng: Rng, a=a, steps=steps, count=count) -> Found:
        found = est.chain_mean(chains(rng, steps, count, a))
        return [((found.value, found.error), 0.0), ((found.tau_int, found.tau_int_error), tau(a))]


for a, steps, count in ((0.0, 40, 1000), (0.5, 40, 300), (0.8, 400, 20)):

    @case(f"chain_agreement: tau {tau(a):.3g}, {count} chains of {steps}", repeats=100)
    def _(rng: Rng, a=a, steps=steps, count=count) -> Found:
        return [(est.chain_agreement(chains(rng, steps, count, a)), 1.0)]


@case("mean, tau_int: one chain, tau 4.5", repeats=100)
def _(rng: Rng) -> Found:
    x = chains(rng, 3000, 1, 0.8)[:, 0]
    return [(est.mean(x), 0.0), (est.tau_int(x), tau(0.8))]


@case("chain_observables: tau 1.5, 50 chains of 200")
def _(rng: Rng) -> Found:
    m, e = chains(rng, 200, 50, 0.5), chains(rng, 200, 50, 0.5)
    first = 0.5 * (chains(rng, 200, 50, 0.5) ** 2 + chains(rng, 200, 50, 0.5) ** 2) / 2
    found = est.chain_observables(
        {"magnetization": m / 4, "energy_per_site": e, "structure_factor_1": first}, n_sites=16, side=4, T=2.0
    )
    truths = {
        "abs_magnetization": sqrt(2 / pi) / 4,
        "susceptibility": 1.0,
        "susceptibility_connected": 1 - 2 / pi,
        "binder": 0.0,
        "specific_heat": 4.0,
        "correlation_length": sqrt(1 / (4 * sin(pi / 4) ** 2)),
    }
    return [(found[name][:2], truth) for name, truth in truths.items()]


@case("spin_observables, magnetization_observables, field_observables, equation_of_motion, jackknife: independent")
def _(rng: Rng) -> Found:
    m, e, first = rng.normal(size=(3, 1000))
    spins = est.spin_observables(e, m / 4, n_sites=16, T=2.0)
    fields = est.field_observables({"magnetization": m / 4, "structure_factor_1": first**2 / 2}, n_sites=16, side=4)
    ratio = est.jackknife(est.block_sums(np.stack([m**2, 1 + e**2], 1)), lambda s: s[0] / s[1])
    return [
        (spins["energy_per_site"], 0.0),
        (spins["specific_heat"], 4.0),
        (spins["susceptibility"], 1.0),
        (ratio, 0.5),
        (est.magnetization_observables(m / 4, n_sites=16)["binder"], 0.0),
        (est.equation_of_motion(m**2), 1.0),
        (fields["correlation_length"], sqrt(1 / (4 * sin(pi / 4) ** 2))),
    ]


# Free fields with <|φ̃(q)|²>/N = 1/(m² + 4 Σ sin²(q/2)).

MASS, SIDE = 0.7, 6
MODES = 2 * pi * np.fft.fftfreq(SIDE)
SPECTRUM = 1 / (MASS**2 + 4 * np.sin(MODES[:, None] / 2) ** 2 + 4 * np.sin(MODES[None, :] / 2) ** 2)
TWO_POINT = np.fft.ifft2(SPECTRUM).real
SLICES = TWO_POINT.sum(0)[: SIDE // 2 + 1]


def free_fields(rng: Rng, noise: Any) -> Any:
    return np.fft.ifft2(np.fft.fft2(noise.reshape(-1, SIDE, SIDE)) * np.sqrt(SPECTRUM)).real


@case("two_point, momentum_two_point, time_slices, correlation_function: independent", repeats=100)
def _(rng: Rng) -> Found:
    phi = free_fields(rng, rng.normal(size=(300, SIDE**2)))
    axis = (TWO_POINT[0] + TWO_POINT[:, 0])[: SIDE // 2 + 1] / 2
    return [
        (est.two_point(phi), TWO_POINT),
        (est.momentum_two_point(phi), SPECTRUM),
        (est.time_slices(phi), SLICES),
        (est.correlation_function(phi), axis),
    ]


@case("time_slices, function_of_means: a chain, bootstrap, tau 9.5", repeats=60)
def _(rng: Rng) -> Found:
    phi = free_fields(rng, chains(rng, 2000, SIDE**2, 0.9))
    return [(est.time_slices(phi, errors="bootstrap"), SLICES)]


@case("time_slices: a chain, Gamma method, tau 4.5", repeats=60)
def _(rng: Rng) -> Found:
    return [(est.time_slices(free_fields(rng, chains(rng, 1000, SIDE**2, 0.8)), errors="gamma"), SLICES)]


@case("function_of_means: a short chain", known=0.0, unknown="fewer than 10 stretches of 10 tau", repeats=20)
def _(rng: Rng) -> Found:
    return [(est.function_of_means(chains(rng, 60, 1, 0.9), lambda mean: mean[0], errors="bootstrap"), 0.0)]


@case("correlation_length: independent", repeats=12, unknown="the two-point function does not fall", known=0.9)
def _(rng: Rng) -> Found:
    found = est.correlation_length(free_fields(rng, rng.normal(size=(1000, SIDE**2))))
    pole = 1 / (2 * asinh(MASS / 2))
    return [(found.second_moment, 1 / MASS), (found.cosh_ratio, pole), (found.cosh_fit, pole)]
