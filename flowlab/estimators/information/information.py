"""What the first latents know: mutual information, predictability; and what an order leaves open, bit by bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowlab.estimators.estimate import Estimate, FloatArray
from flowlab.estimators.series.jackknife import jackknife, starts

Labels = NDArray[np.intp]
SHUFFLES = 4
FEW = 20  # samples for each pair of values, from which the first correction of a bias is enough


def mutual_information(x: ArrayLike, y: ArrayLike) -> Estimate:
    """I(x; y) of two discrete variables from n samples, in nats, with its bias corrected.

    Observed frequencies alone know too much. Where each pair of values could occur 20 times, the Miller-Madow
    correction, (K - 1)/(2n) added to each entropy (Miller 1955), is enough. Where values are many, entropies by
    Grassberger's counting function (2003, arXiv:physics/0307138) leave too much information; taking off what shuffled
    labels have takes off too much where the two depend on each other, and nothing where they do not. The value lies two
    fifths of the way from the shuffled one to the other, where exact values were found, and half their distance is part
    of the error. So is the error of the mean of ln p(x,y)/(p(x)p(y)), and the spread of a chi² of (K_x - 1)(K_y - 1)
    degrees of freedom, K the number of values that occur, which is all that is left for independent variables.

    Args:
        x: (n,) integer labels, n >= 2; any values.
        y: (n,) integer labels.

    Returns:
        Estimate of two floats in nats. It may come out below 0 within its error.

    Raises:
        ValueError: for arrays of different lengths, or fewer than 2 samples.

    >>> bit = np.arange(1000) % 2
    >>> round(mutual_information(bit, bit).value, 3)  # ln 2 + 1/(2n)
    0.694
    """
    x, y = _labels(x), _labels(y)
    if x.shape != y.shape or len(x) < 2:
        raise ValueError(f"x and y must have one length n >= 2, got {len(x)} and {len(y)}")
    n, K_x, K_y = len(x), int(x.max()) + 1, int(y.max()) + 1
    freedom = (K_x - 1) * (K_y - 1)
    pair = x * K_y + y
    of_x, of_y, of_pair = (np.bincount(labels) for labels in (x, y, pair))
    pointwise = np.log(of_pair[pair] * n / (of_x[x].astype(float) * of_y[y]))
    spread = pointwise.var(ddof=1) / n + freedom / (2 * n**2)
    if FEW * K_x * K_y <= n:
        surplus = ((of_pair > 0).sum() - K_x - K_y + 1) / (2 * n)
        return Estimate(float(pointwise.mean() - surplus), float(np.sqrt(spread)))
    rng = np.random.default_rng(0)
    by_chance = [_n_log_n(np.bincount(x * K_y + rng.permutation(y))) for _ in range(SHUFFLES)]
    low = (_n_log_n(of_pair) - float(np.mean(by_chance))) / n
    entropies = [np.log(n) - float(count @ _counting(count)) / n for count in (of_x, of_y, of_pair)]
    gap = max(entropies[0] + entropies[1] - entropies[2] - low, 0.0)
    return Estimate(float(low + 0.4 * gap), float(np.hypot(np.sqrt(spread), gap / 2)))


def conditional_entropy(log_conditionals: ArrayLike) -> Estimate:
    """Mean entropy H(x_k | x_<k) of each binary conditional, in nats: 0 is decided by the sites before, ln 2 is free.

    The mean over samples of h(p) = -p ln p - (1 - p) ln(1 - p), with p the probability of the value that was drawn;
    h averages over that last choice exactly, so it has less noise than -ln p of the same mean. Summed over k it
    estimates the entropy of q.

    Args:
        log_conditionals: (n, N) ln p(x_k | x_<k) of the values drawn, n >= 2 samples of N sites; -inf allowed.

    Returns:
        Estimate of two (N,) arrays in nats, in the order of the autoregression.

    Raises:
        ValueError: for another shape, NaN, or a log probability above 0 by more than rounding (1e-5).

    >>> conditional_entropy(np.log([[0.5, 1.0], [0.5, 1.0]])).value.round(6).tolist()
    [0.693147, 0.0]
    """
    log_p = np.asarray(log_conditionals, dtype=np.float64)
    if log_p.ndim != 2 or len(log_p) < 2:
        raise ValueError(f"log_conditionals must have shape (n, N) with n >= 2, got {log_p.shape}")
    n_bad = int((~(log_p <= 1e-5)).sum())
    if n_bad:
        raise ValueError(f"log_conditionals must be logs of probabilities, got {n_bad} NaN or positive of {log_p.size}")
    log_p = np.clip(log_p, -700.0, 0.0)
    other = -np.expm1(log_p)
    h = -np.exp(log_p) * log_p - other * np.log(np.maximum(other, np.finfo(float).tiny))
    return Estimate(h.mean(0), h.std(0, ddof=1) / np.sqrt(len(h)))


def _n_log_n(count: Labels) -> float:
    count = count[count > 0]
    return float(count @ np.log(count))


def _counting(count: Labels) -> FloatArray:
    """Grassberger's G(n) = ψ(n) + (-1)^n [ψ((n+1)/2) - ψ(n/2)]/2 in place of ln n; 0 where nothing was counted."""
    from scipy.special import digamma

    n = np.maximum(count, 1).astype(np.float64)
    sign = np.where(count % 2, -1.0, 1.0)
    return np.where(count > 0, digamma(n) + sign * (digamma((n + 1) / 2) - digamma(n / 2)) / 2, 0.0)


def binary_information(z: ArrayLike, w: ArrayLike) -> Estimate:
    """I(z_i; w_j) of every bit i of one set with every bit j of another, in nats, with the Miller-Madow correction.

    Args:
        z: (n, N) spins of ±1.
        w: (n, M) spins of ±1 on the same samples.

    Returns:
        Estimate of two (N, M) arrays in nats.

    Raises:
        ValueError: for arrays that do not hold the same number of samples, at least 2.

    >>> bits = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]] * 100)
    >>> binary_information(bits, bits).value.round(2).tolist()
    [[0.69, -0.0], [-0.0, 0.69]]
    """
    z, w = np.asarray(z, dtype=np.float64), np.asarray(w, dtype=np.float64)
    if z.ndim != 2 or w.ndim != 2 or len(z) != len(w) or len(z) < 2:
        raise ValueError(f"z and w must be (n, N) and (n, M) with n >= 2, got {z.shape} and {w.shape}")
    n = len(z)
    mean_z, mean_w, both = z.mean(0)[:, None], w.mean(0)[None, :], z.T @ w / n
    value, square, cells = np.zeros_like(both), np.zeros_like(both), np.zeros_like(both)
    for a in (1, -1):
        for b in (1, -1):
            p = np.maximum((1 + a * mean_z + b * mean_w + a * b * both) / 4, 0.0)
            seen = p > 0.5 / n
            chance = (1 + a * mean_z) * (1 + b * mean_w) / 4
            ratio = np.log(np.where(seen, p, 1.0) / np.where(seen, chance, 1.0))
            value, square, cells = value + p * ratio, square + p * ratio**2, cells + seen
    states_z, states_w = 1.0 + (np.abs(mean_z) < 1), 1.0 + (np.abs(mean_w) < 1)
    spread = np.maximum(square - value**2, 0.0) / n + (states_z - 1) * (states_w - 1) / (2 * n**2)
    return Estimate(value - (cells - states_z - states_w + 1) / (2 * n), np.sqrt(spread))


def quantile_bins(values: ArrayLike, bins: int = 8) -> Labels:
    """(n,) numbers -> (n,) labels 0 .. bins - 1 of nearly equally filled bins; equal numbers share one.

    >>> quantile_bins([3.0, 1.0, 1.0, 2.0], bins=2).tolist()
    [1, 0, 0, 1]
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or bins < 1:
        raise ValueError(f"values must have shape (n,) and bins be at least 1, got {values.shape} and {bins}")
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="higher")) if bins > 1 else np.empty(0)
    return np.searchsorted(edges, values, side="right").astype(np.intp)


def words(z: ArrayLike, k: int) -> Labels:
    """(n, N) spins -> (n,) numbers 0 .. 2^k - 1 that their first k spins spell.

    >>> words([[1, -1, 1], [-1, 1, 1]], 2).tolist()
    [2, 1]
    """
    z = np.asarray(z)
    if z.ndim != 2 or not 0 <= k <= min(z.shape[1], 30):
        raise ValueError(f"z must have shape (n, N) with at least k <= 30 columns, got {z.shape} and k = {k}")
    return np.asarray((z[:, :k] > 0) @ (1 << np.arange(k)[::-1]), dtype=np.intp)


def predictability(
    z: ArrayLike, sign: ArrayLike, first: list[int], *, ridge: float = 1.0, rng: np.random.Generator
) -> Estimate:
    """How often a logistic regression on the first k latents tells a sign, on samples it was not fitted to.

    Every sample is predicted by a fit to the other half of the samples (Newton's method, ridge ½ ridge |w|² on the
    log-likelihood, the constant left free).

    Args:
        z: (n, N) spins in the order of the latents, n >= 4.
        sign: (n,) of ±1.
        first: the numbers k of latents to use; 0 leaves only the more frequent sign to guess.
        ridge: strength of the penalty.
        rng: splits the samples.

    Returns:
        Estimate of two (len(first),) arrays, fractions of right answers.

    Raises:
        ValueError: for shapes that do not fit, or signs other than ±1.

    >>> z = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]] * 5)
    >>> predictability(z, z[:, 1], [1, 2], rng=np.random.default_rng(0)).value[1]
    np.float64(1.0)
    """
    z, sign = np.asarray(z, dtype=np.float64), np.asarray(sign, dtype=np.float64)
    if z.ndim != 2 or sign.shape != (len(z),) or len(z) < 4:
        raise ValueError(f"z must have shape (n, N) with n >= 4 and sign (n,), got {z.shape} and {sign.shape}")
    if not (np.abs(sign) == 1).all():
        raise ValueError("sign must be -1 or +1 for every sample")
    if not all(0 <= k <= z.shape[1] for k in first):
        raise ValueError(f"first must be numbers of latents up to {z.shape[1]}, got {first}")
    X = np.concatenate([np.ones((len(z), 1)), z], axis=1)
    halves = np.array_split(rng.permutation(len(z)), 2)
    right = np.zeros((len(first), len(z)))
    for fit, test in (halves, halves[::-1]):
        for i, k in enumerate(first):
            score = X[test, : k + 1] @ _logistic(X[fit, : k + 1], sign[fit], ridge)
            right[i, test] = np.where(score == 0, 0.5, score * sign[test] > 0)
    return Estimate(right.mean(1), right.std(1, ddof=1) / np.sqrt(len(z)))


def _logistic(X: FloatArray, y: FloatArray, ridge: float) -> FloatArray:
    """(p,) weights of P(y | x) = 1/(1 + exp(-y x·w)), by Newton's method; the first column is not penalised."""
    penalty = np.full(X.shape[1], ridge)
    penalty[0] = 1e-6
    w = np.zeros(X.shape[1])
    for _ in range(20):
        p = 0.5 * (1 + np.tanh(0.5 * X @ w))
        gradient = X.T @ (p - (y > 0)) + penalty * w
        curvature = (X * (p * (1 - p) + 1e-9)[:, None]).T @ X + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        w = w - step * min(1.0, 5.0 / max(np.abs(X @ step).max(), 1e-12))
        if np.abs(step).max() < 1e-3:
            break
    return w


def explained_variance(features: ArrayLike, y: ArrayLike, first: list[int]) -> Estimate:
    """R² of linear fits of y to the first k features, corrected for their number: for k = 1 the squared correlation.

    1 - (1 - R²)(n - 1)/(n - k - 1), which is 0 on average where the features know nothing. With residuals e the error
    is that of the ratio Σe²/Σy², whatever the distribution: its influence is [e² - (1 - R²) y²]/<y²>; 2k/n² is added to
    its square, the spread that is left where nothing is known.

    Args:
        features: (n, p) numbers; constant and dependent columns add nothing.
        y: (n,) numbers, or (n, g, m) for g quantities; the variances of the m parts of one are pooled, as for the real
            and imaginary part of an amplitude.
        first: the numbers k of features to use, each below n - 1.

    Returns:
        Estimate of two (len(first),) or (len(first), g) arrays; NaN where y is constant.

    Raises:
        ValueError: for shapes that do not fit, or too many features.

    >>> x = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]] * 100)
    >>> explained_variance(x, x[:, 1], [1, 2]).value.round(2).tolist()
    [-0.0, 1.0]
    """
    X, given = np.asarray(features, dtype=np.float64), np.asarray(y, dtype=np.float64)
    n = len(X)
    if X.ndim != 2 or given.ndim not in (1, 3) or len(given) != n or n < 3:
        raise ValueError(f"features must be (n, p) and y (n,) or (n, g, m), n >= 3, got {X.shape} and {given.shape}")
    if not all(0 <= k <= min(X.shape[1], n - 2) for k in first):
        raise ValueError(f"first must be numbers of features up to {min(X.shape[1], n - 2)}, got {first}")
    Y = given if given.ndim == 3 else given[:, None, None]
    X, Y = X - X.mean(0), Y - Y.mean(0)
    Q, R = np.linalg.qr(X)
    real = np.abs(np.diag(R)) > 1e-8 * max(np.sqrt((X**2).sum(0)).max(initial=0.0), 1e-300)
    total = (Y**2).sum((0, 2))
    gained = (np.tensordot(Q, Y, axes=(0, 0)) ** 2).sum(2) * real[:, None]
    gained = np.concatenate([np.zeros((1, Y.shape[1])), gained.cumsum(0)])
    used = np.append(0, np.cumsum(real))[np.array(first, dtype=int)][:, None]
    R2 = gained[np.array(first, dtype=int)] / np.where(total > 1e-12 * n, total, np.nan)
    value = 1 - (1 - R2) * (n - 1) / (n - used - 1)
    error = np.sqrt(_influence(Q * real, Y, first).var(1, ddof=1) / n + 2 * used / n**2)
    error = np.where(np.isnan(value), np.nan, error)
    return Estimate(value, error) if given.ndim == 3 else Estimate(value[:, 0], error[:, 0])


def _influence(Q: FloatArray, Y: FloatArray, first: list[int]) -> FloatArray:
    """(len(first), n, g) what each sample adds to Σe²/Σy² of fits of Y (n, g, m) to the first columns of Q."""
    size = (Y**2).sum(2)
    mean = np.maximum(size.mean(0), np.finfo(float).tiny)
    rows = []
    for k in first:
        left = ((Y - np.tensordot(Q[:, :k], np.tensordot(Q[:, :k], Y, axes=(0, 0)), axes=1)) ** 2).sum(2)
        rows.append((left - left.mean(0) / mean * size) / mean)
    return np.array(rows)


def conditional_kurtosis(m: ArrayLike, labels: ArrayLike) -> Estimate:
    """Excess kurtosis of m at fixed label, pooled: Σ_c p_c κ_4(m|c) / (Σ_c p_c κ_2(m|c))², 0 where m is Gaussian.

    κ_2 and κ_4 are the unbiased estimates of the cumulants within each label (k-statistics); labels that occur fewer
    than 4 times are left out. The error is a jackknife over 20 blocks of samples.

    Args:
        m: (n,) order parameter, n >= 4.
        labels: (n,) integer labels, e.g. :func:`words` of the first latents.

    Returns:
        Estimate of two floats; NaN where m does not fluctuate within any label.

    Raises:
        ValueError: for arrays of different lengths.

    >>> round(conditional_kurtosis([-1.0, 1.0] * 500, np.zeros(1000, int)).value, 2)  # two deltas
    -2.0
    """
    m, labels = np.asarray(m, dtype=np.float64), _labels(labels)
    if m.shape != labels.shape or len(m) < 4:
        raise ValueError(f"m and labels must have one length n >= 4, got {m.shape} and {labels.shape}")
    cells = int(labels.max()) + 1
    centre = np.bincount(labels, m, cells) / np.maximum(np.bincount(labels, minlength=cells), 1)
    powers = (m - centre[labels])[None, :] ** np.arange(5)[:, None]
    begin = starts(len(m))
    block = np.repeat(np.arange(len(begin)), np.diff(np.append(begin, len(m))))
    sums = np.stack(
        [np.bincount(block * cells + labels, power, len(begin) * cells).reshape(-1, cells) for power in powers], axis=1
    )
    value, error = jackknife(sums.astype(np.float64), _pooled_kurtosis)
    return Estimate(float(value), float(error))


def _pooled_kurtosis(sums: FloatArray) -> float:
    """(5, cells) sums of m^0 .. m^4 about fixed centres -> pooled κ_4 / κ_2²."""
    sums = sums[:, sums[0] >= 3.5]
    n = sums[0]
    if not n.size:
        return np.nan
    shift, m2, m3, m4 = sums[1:] / n
    c2 = m2 - shift**2
    c4 = m4 - 4 * shift * m3 + 6 * shift**2 * m2 - 3 * shift**4
    k2 = n / (n - 1) * c2
    k4 = n**2 * ((n + 1) * c4 - 3 * (n - 1) * c2**2) / ((n - 1) * (n - 2) * (n - 3))
    variance = (n * k2).sum() / n.sum()
    return float((n * k4).sum() / n.sum() / variance**2) if variance > 1e-15 else np.nan


def _labels(values: ArrayLike) -> Labels:
    """Any labels as 0 .. K - 1."""
    return np.unique(np.asarray(values), return_inverse=True)[1].ravel().astype(np.intp)
