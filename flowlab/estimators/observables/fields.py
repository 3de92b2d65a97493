"""Two-point functions of real fields on periodic lattices, in position, in momentum and along one axis.

Every function takes independent samples, weighted or not, or the configurations of a Markov chain in their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from flowlab.estimators.estimate import Estimate, FloatArray, checked_log_w, relative_weights
from flowlab.estimators.observables.spins import magnetization_observables
from flowlab.estimators.series.chains import chain_mean
from flowlab.estimators.series.jackknife import block_sums, jackknife, spread
from flowlab.estimators.weights.pareto import error_factor
from flowlab.estimators.weights.weights import reweighted

Errors = Literal["independent", "gamma", "bootstrap"]
BLOCKS, RESAMPLED = 100, 200
STRETCHES = 10  # of a chain, from which a bootstrap knows an error


def two_point(
    fields: ArrayLike,
    *,
    log_w: ArrayLike | None = None,
    errors: Errors = "independent",
    seed: int = 0,
    connected: bool = False,
) -> Estimate:
    """G(y) = (1/N) Σ_x <φ_x φ_{x+y}>, less <\\|m\\|>² where ``connected``, m = Σφ/N.

    Args:
        fields: (n, *shape) samples, n >= 2.
        log_w: (n,) log_weight - log_q of independent draws from q; None for samples of the target.
        errors: see :func:`function_of_means`.
        seed: of the bootstrap.
        connected: as is right in an ordered phase, and only there: in a symmetric one \\|m\\| does not vanish either.

    Returns:
        Estimate of two (*shape) arrays, in units of φ²; element 0 is y = 0.

    Raises:
        ValueError: for a shape without sides, values that are not finite, or log weights that do not fit.

    >>> two_point(np.ones((2, 2, 4))).value.tolist()
    [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """
    power, shape = _power(fields)
    sides = tuple(range(1, power.ndim))
    each = np.fft.ifftn(power, axes=sides).real.reshape(len(power), -1)
    found = _less_order(each, fields, np.ones(each.shape[1]), log_w, errors, seed, connected)
    return Estimate(found.value.reshape(shape), found.error.reshape(shape))


def two_point_along(direction: Sequence[int]) -> Callable[[ArrayLike], FloatArray]:
    """The function x -> G(k v) = (1/N) Σ_y x_y x_{y + k v} of each configuration, k = 0, 1, ... along a direction v.

    An observable as ``run.expect`` and ``run.evaluate(observables=...)`` take it: of models, chains and ensembles.

    Args:
        direction: v, whole steps along each axis of the lattice, e.g. ``(1, 1)`` for the diagonal of a plane.

    Returns:
        A function of configurations (n, *shape) with values (n, K + 1): k up to half the way around the torus.

    Raises:
        ValueError: for a direction of zeros; of the function, for lattices of another number of axes.

    >>> two_point_along((1, 1))(np.array([[[1.0, -1.0], [-1.0, 1.0]]])).tolist()
    [[1.0, 1.0]]
    """
    steps = tuple(int(step) for step in direction)
    if not any(steps) or steps != tuple(direction):
        raise ValueError(f"direction must be whole steps along each axis, not all 0, got {tuple(direction)}")

    def along(x: ArrayLike) -> FloatArray:
        fields = np.asarray(x, dtype=np.float64)
        if fields.ndim - 1 != len(steps):
            raise ValueError(f"direction {steps} has {len(steps)} axes, and configurations have {fields.ndim - 1}")
        around = math.lcm(*(side // math.gcd(side, step) for side, step in zip(fields.shape[1:], steps, strict=True)))
        axes = tuple(range(1, fields.ndim))
        moved = [np.roll(fields, [-k * step for step in steps], axes) for k in range(around // 2 + 1)]
        return np.stack([(fields * one).mean(axes) for one in moved], axis=1)

    return along


def momentum_two_point(
    fields: ArrayLike,
    *,
    log_w: ArrayLike | None = None,
    errors: Errors = "independent",
    seed: int = 0,
    connected: bool = False,
) -> Estimate:
    """G̃(q) = Σ_y exp(iq·y) G(y) = <\\|φ̃(q)\\|²> / N, in the order of ``numpy.fft.fftn``; χ = G̃(0).

    Arguments, shapes and errors are those of :func:`two_point`.

    >>> momentum_two_point(np.ones((2, 2, 4))).value.tolist()
    [[8.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    power, shape = _power(fields)
    each = power.reshape(len(power), -1)
    zero = np.zeros(each.shape[1])
    zero[0] = zero.size
    found = _less_order(each, fields, zero, log_w, errors, seed, connected)
    return Estimate(found.value.reshape(shape), found.error.reshape(shape))


def time_slices(
    fields: ArrayLike,
    *,
    log_w: ArrayLike | None = None,
    errors: Errors = "independent",
    seed: int = 0,
    connected: bool = False,
) -> Estimate:
    """Ĝ(t), the sum of G over all sites at distance t along an axis, for t = 0 .. L/2.

    The mean over both directions and over the axes of the longest side L. Other arguments are those of
    :func:`two_point`.

    >>> time_slices(np.ones((2, 4, 4))).value.tolist()
    [4.0, 4.0, 4.0]
    """
    each = per_sample_slices(fields)
    sites = np.shape(fields)[1:]
    across = np.full(each.shape[1], np.prod(sites) / max(sites))
    return _less_order(each, fields, across, log_w, errors, seed, connected)


def _less_order(
    each: FloatArray,
    fields: ArrayLike,
    shares: FloatArray,
    log_w: ArrayLike | None,
    errors: Errors,
    seed: int,
    connected: bool,
) -> Estimate:
    """The mean of each (n, k), less ``shares`` (k,) times <|m|>² where it is to be connected."""
    if not connected:
        return function_of_means(each, np.array, log_w=log_w, errors=errors, seed=seed)
    both = np.concatenate([each, order_of(fields)[:, None]], axis=1)
    return function_of_means(
        both, lambda means: means[:-1] - shares * means[-1] ** 2, log_w=log_w, errors=errors, seed=seed
    )


def order_of(fields: ArrayLike) -> FloatArray:
    """(n, *shape) -> (n,) |m|, m = Σφ/N."""
    values = _checked(fields)
    return np.asarray(np.abs(values.reshape(len(values), -1).mean(1)))


def per_sample_slices(fields: ArrayLike) -> FloatArray:
    """(n, *shape) fields -> (n, L//2 + 1), what :func:`time_slices` is the mean of."""
    fields = _checked(fields)
    shape = fields.shape[1:]
    length = max(shape)
    total = np.zeros((len(fields), length))
    along = [axis for axis, side in enumerate(shape) if side == length]
    for axis in along:
        lines = np.moveaxis(fields, axis + 1, -1).reshape(len(fields), -1, length).sum(1)
        total += np.fft.irfft(np.abs(np.fft.rfft(lines)) ** 2, n=length)
    return total[:, : length // 2 + 1] / (len(along) * np.prod(shape))


def equation_of_motion(
    phi_gradient: ArrayLike, *, log_w: ArrayLike | None = None, errors: Errors = "independent", seed: int = 0
) -> Estimate:
    """<φ_x ∂S/∂φ_x> per site, which is 1 for every action: what no correct sampler can miss.

    Args:
        phi_gradient: (n, *shape) φ_x ∂S/∂φ_x on the samples, or (n,) of their means over the sites.

    Returns:
        Estimate of two floats. Other arguments are those of :func:`two_point`.

    >>> equation_of_motion([1.0, 1.0])
    Estimate(value=1.0, error=0.0)
    """
    values = np.asarray(phi_gradient, dtype=np.float64)
    each = values.reshape(len(values), -1).mean(1, keepdims=True)
    value, error = function_of_means(each, lambda mean: mean[0], log_w=log_w, errors=errors, seed=seed)
    return Estimate(float(value), float(error))


def field_observables(
    columns: Mapping[str, ArrayLike], *, n_sites: int, side: int | None = None, log_w: ArrayLike | None = None
) -> dict[str, Estimate]:
    """What follows from the magnetization m and the structure factor G_1 of weighted samples.

    All of :func:`magnetization_observables`; and with G_1 ``correlation_length`` ξ by the
    second moment without subtraction, ξ² = (N <m²> / <G_1> - 1) / (4 sin²(π/L)), NaN where ξ² is not positive. Where it
    would be longer than the lattice, the field is ordered: it is NaN, and ``correlation_length_connected`` is given,
    with <m²> - <\\|m\\|>² in the place of <m²>.

    Args:
        columns: ``magnetization`` (n,) m = Σφ/N and, for ξ, ``structure_factor_1`` (n,) \\|φ̃(2π/L)\\|²/N.
        n_sites: number of sites N.
        side: L, the longest side; None for no ξ.
        log_w: (n,) log_weight - log_q of independent draws from q; None for independent samples of the target.

    Raises:
        ValueError: for what :func:`flowlab.estimators.weights.weights.reweighted` refuses.

    Source: L. Del Debbio, J. Marsh Rossney, M. Wilson, arXiv:2105.12481 (2021), eq. 47.

    >>> found = field_observables({"magnetization": [1, -1], "structure_factor_1": [8, 8]}, n_sites=16, side=4)
    >>> round(found["correlation_length"].value ** 2, 6)
    0.5
    """
    log_w = np.zeros(np.shape(columns["magnetization"])) if log_w is None else log_w
    found = magnetization_observables(columns["magnetization"], n_sites=n_sites, log_w=log_w)
    if side is not None and "structure_factor_1" in columns:
        zero = n_sites * np.asarray(columns["magnetization"], dtype=np.float64) ** 2
        first = np.asarray(columns["structure_factor_1"], dtype=np.float64)
        modulus = np.abs(np.asarray(columns["magnetization"], dtype=np.float64))
        around = n_sites * (modulus - found["abs_magnetization"].value) ** 2
        found["correlation_length"] = _second_moment(zero, first, side, log_w)
        if found["correlation_length"].value > side:
            found["correlation_length"] = Estimate(np.nan, np.nan)
            found["correlation_length_connected"] = _second_moment(around, first, side, log_w)
    return found


def _second_moment(zero: FloatArray, first: FloatArray, side: int, log_w: ArrayLike) -> Estimate:
    G0, G1 = reweighted(zero, log_w=log_w).value, reweighted(first, log_w=log_w).value
    if not G0 > G1 > 0:
        return Estimate(np.nan, np.nan)
    scale = 4 * np.sin(np.pi / side) ** 2
    xi = float(np.sqrt((G0 / G1 - 1) / scale))
    return Estimate(xi, reweighted((zero - G0 / G1 * first) / (2 * xi * scale * G1), log_w=log_w).error)


def function_of_means(
    each: ArrayLike,
    function: Callable[[FloatArray], ArrayLike],
    *,
    log_w: ArrayLike | None = None,
    errors: Errors = "independent",
    seed: int = 0,
) -> Estimate:
    """A smooth function of the target's means, with its error.

    Args:
        each: (n, k) k numbers of every sample.
        function: (k,) means -> a number or an array of one axis.
        log_w: (n,) log_weight - log_q of independent draws from q; None for samples of the target.
        errors: ``"independent"`` leaves out one of 100 blocks after the other; ``"gamma"`` takes the samples as one
            Markov chain and linearises; ``"bootstrap"`` draws samples with replacement, independent ones or, without
            ``log_w``, stretches of a chain: √n long, or 10 τ where that is more; NaN where that leaves fewer than 10.
        seed: of the bootstrap.

    Returns:
        Estimate in the shape of the function's values.

    Raises:
        ValueError: for arrays that do not fit, numbers that are not finite, an unknown kind of errors, or log weights
            with ``errors="gamma"``.

    >>> x = np.random.default_rng(0).normal(2.0, 1.0, (10_000, 1))
    >>> value, error = function_of_means(x, lambda mean: mean[0] ** 2)
    >>> abs(value - 4) < 4 * error, bool(0.03 < error < 0.05)
    (np.True_, True)
    """
    values = np.asarray(each, dtype=np.float64)
    if values.ndim != 2 or len(values) < 2:
        raise ValueError(f"an error needs at least 2 samples of shape (n, k), got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"samples must be finite, got {int((~np.isfinite(values)).sum())} values that are not")
    if errors not in ("independent", "gamma", "bootstrap"):
        raise ValueError(f"errors must be 'independent', 'gamma' or 'bootstrap', got {errors!r}")
    if log_w is not None and np.shape(log_w) != (len(values),):
        raise ValueError(f"log_w must have shape ({len(values)},), one for each sample, got {np.shape(log_w)}")
    if errors == "gamma":
        if log_w is not None:
            raise ValueError("weighted samples are no chain: errors='gamma' takes no log_w")
        return _gamma(values, function)
    w = np.ones(len(values)) if log_w is None else relative_weights(checked_log_w(log_w))[0]
    weighted = np.concatenate([w[:, None] * values, w[:, None]], axis=1)
    if errors == "independent":
        found = jackknife(block_sums(weighted, BLOCKS), lambda sums: function(sums[:-1] / sums[-1]))
    else:
        found = _bootstrap(weighted, function, 1 if log_w is not None else _stretch(values), seed)
    return found if log_w is None else Estimate(found.value, found.error * error_factor(w))


def _stretch(values: FloatArray) -> int:
    """How many steps of a chain a block must hold: √n, or 10 τ of the slowest number where that is longer."""
    tau = max((chain_mean(column).tau_int for column in values.T if np.ptp(column) > 0), default=0.5)
    return int(max(np.sqrt(len(values)), 10 * np.nan_to_num(tau, nan=0.5)))


def _gamma(values: FloatArray, function: Callable[[FloatArray], ArrayLike]) -> Estimate:
    means, spread = values.mean(0), values.std(0) / np.sqrt(len(values))
    value = np.asarray(function(means))
    slopes = np.zeros((values.shape[1], value.size))
    for i in np.flatnonzero(spread > 0):
        step = np.zeros_like(means)
        step[i] = 0.1 * spread[i]
        slopes[i] = (np.ravel(function(means + step)) - np.ravel(function(means - step))) / (2 * step[i])
    linear = (values - means) @ slopes
    error = np.array([chain_mean(one).error if np.isfinite(one).all() else np.nan for one in linear.T])
    return Estimate(value[()], error.reshape(value.shape)[()])


def _bootstrap(weighted: FloatArray, function: Callable[[FloatArray], ArrayLike], stretch: int, seed: int) -> Estimate:
    sums = block_sums(weighted, max(len(weighted) // stretch, 2))
    rng = np.random.default_rng(seed)
    total = sums.sum(0)
    drawn = [rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums))) @ sums for _ in range(RESAMPLED)]
    value = np.asarray(function(total[:-1] / total[-1]))
    error = spread(np.array([np.asarray(function(one[:-1] / one[-1])) for one in drawn]))
    known = stretch == 1 or len(sums) >= STRETCHES
    return Estimate(value[()], (error * np.sqrt(len(sums) / (len(sums) - 1)) if known else error * np.nan)[()])


def _checked(fields: ArrayLike) -> FloatArray:
    values = np.asarray(fields, dtype=np.float64)
    if values.ndim < 2 or len(values) < 2:
        raise ValueError(f"fields must have shape (n, *shape) with n >= 2, got {values.shape}")
    return values


def _power(fields: ArrayLike) -> tuple[FloatArray, tuple[int, ...]]:
    """|φ̃(q)|² / N of each sample, and the lattice's shape."""
    values = _checked(fields)
    shape = values.shape[1:]
    return np.abs(np.fft.fftn(values, axes=tuple(range(1, values.ndim)))) ** 2 / np.prod(shape), shape
