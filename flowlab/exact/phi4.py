"""ln Z of small phi^4 lattices by the transfer matrix of slices, with orthogonal polynomials at every site."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowlab.exact.free_field import gaussian_log_z
from flowlab.systems.phi4 import Phi4

Array = NDArray[np.float64]

MAX_STATES = 1 << 24  # 8 nodes on each of 8 sites
ROUNDING = 1e-11  # of ln Z, relative
DENSE, VECTORS = 512, 48  # states up to which all eigenvalues of a sector are kept, and how many above
LARGE, SMALL_PART = 1 << 16, 1e-6  # states above which eigenvalues with a smaller part in the trace stay as they were
COLD, WARM = 12, 3  # subspace iterations from random vectors, and from those of fewer nodes
DEGREE, GRID = 32, 4001
SAFETY, LEAST = 3.0, 0.03  # of the error that four sites show; of the change over the last n
WEIGHTS = (0.5, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25)  # c / κ


class TransferLogZ(NamedTuple):
    """ln Z and how far it may be off: a truncation error, not a statistical one."""

    value: float
    error: float


def phi4_log_z(system: Phi4, *, tolerance: float = 1e-9, max_states: int = MAX_STATES) -> TransferLogZ:
    """ln Z = ln ∫ Π dφ exp(-S) of a small lattice, ln Tr T^L over the longest side L, constants of S included.

    T = W (⊗ K) W acts on the fields of a slice of m sites, with K(a, b) = exp(2κab - V(a)/2 - V(b)/2) at every site
    and half of the bonds within the slice in W. A site has n = 4, 6, 8, ... Gauss nodes of the weight
    exp(-V(φ) + cφ²), whose c serves 2 x 2 sites best. The leading eigenvalues of T among the even and the odd states
    come from subspace iteration, each n starting from the eigenvectors of the last, until ln Z settles.

    At λ = 0.5 around the transition this takes about a second for 6 x 6 (error 1e-8) and half a minute and 3 GB for
    8 x 8 (1e-6); broad fields, as deep in the ordered phase, need more nodes. λ = 0 is closed form at any size.

    Args:
        system: a lattice in one, two or three dimensions.
        tolerance: error at which n stops growing.
        max_states: largest n^m; where it stops n first, the error says so.

    Returns:
        TransferLogZ(value, error): the error from the eigenvalues left out, and the change over the last n or, for
        wide slices that do not settle, what as many nodes miss on slices of four sites, three times.

    Raises:
        ValueError: where even 6 nodes a site are more than ``max_states``, or the tolerance is not positive.

    >>> value, error = phi4_log_z(Phi4.from_beta((4, 4), beta=0.5, lam=0.5))
    >>> round(value, 8), error < 1e-8
    (5.49549385, True)
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, got {tolerance}")
    kappa, lam = (float(system.couplings[name].detach()) for name in ("kappa", "lam"))
    if lam == 0:
        return TransferLogZ(gaussian_log_z(system.shape, 2.0, 2 * kappa), 0.0)
    m = system.n_sites // max(system.shape)
    if 6**m > max_states:
        raise ValueError(
            f"the transfer matrix of {tuple(system.shape)} acts on {m} sites, and 6 nodes on each are {6**m:.3g} "
            f"states, more than {max_states}"
        )
    value, error = _settled(tuple(sorted(system.shape)), kappa, lam, tolerance, max_states)
    return TransferLogZ(value - float(system.constant), error)


@lru_cache(maxsize=256)
def _settled(sides: tuple[int, ...], kappa: float, lam: float, tolerance: float, max_states: int) -> TransferLogZ:
    """Without the constant of S; ``sides`` ascending."""
    *slice_sides, length = sides if kappa != 0 else (math.prod(sides),)
    if all(side % 2 == 0 for side in sides):
        kappa = abs(kappa)  # turning every other field changes its sign
    site = _Site(kappa, lam, _best_weight(kappa, lam))
    m = math.prod(slice_sides)
    nodes = [n for n in range(4, DEGREE + 1, 2) if n**m <= max_states]
    found: list[float] = []
    left_out, error, before = 0.0, math.inf, None
    for n in nodes:
        last = n == nodes[-1]
        value, left_out, before = _log_trace(_Slices(site, n, tuple(slice_sides)), length, before, left_out, last=last)
        found.append(value)
        error = _error(found)
        if error < max(tolerance, left_out):
            break
    if error > tolerance and len(slice_sides) == 1 and m > 4:
        error = max(m / 4 * SAFETY * _error_on_four(site, n, length), LEAST * abs(found[-1] - found[-2]))
    return TransferLogZ(found[-1], error + left_out + ROUNDING * max(1.0, abs(found[-1])))


def _error(found: list[float]) -> float:
    """Of the last of a sequence: the rest of a geometric one, but at least a tenth of the change before the last.

    Every other change may be small. Infinite for one alone, and where nothing was found.
    """
    if not all(map(math.isfinite, found[-3:])):
        return math.inf
    if len(found) < 3:
        return abs(found[1] - found[0]) if len(found) == 2 else math.inf
    before, last = (abs(found[i] - found[i - 1]) for i in (-2, -1))
    ratio = min(0.9, max(0.1, last / before)) if before > 0 else 0.9
    return max(last * ratio / (1 - ratio), 0.1 * before)


def _error_on_four(site: _Site, n: int, length: int) -> float:
    """What n nodes miss on a slice of four sites."""
    few, more = (_log_trace(_Slices(site, k, (4,)), length)[0] for k in (n, n + 4))
    return abs(more - few)


def _best_weight(kappa: float, lam: float) -> float:
    """The c with which 6 and 8 nodes give ln Z of 2 x 2 sites best."""

    def log_z(c: float, n: int) -> float:
        return _log_trace(_Slices(_Site(kappa, lam, c, n), n, (2,)), 2)[0]

    exact = log_z(abs(kappa), 24)
    return min((factor * abs(kappa) for factor in WEIGHTS), key=lambda c: sum(abs(log_z(c, n) - exact) for n in (6, 8)))


class _Site:
    """Orthogonal polynomials of the weight exp(-V(φ) + cφ²) by their recursion, which gives every Gauss rule."""

    def __init__(self, kappa: float, lam: float, c: float, degree: int = DEGREE) -> None:
        self.kappa, self.lam, self.c = kappa, lam, c
        edge = peak = math.sqrt(max(0.0, (c + 2 * lam - 1) / (2 * lam)))
        while self.log_weight(edge) > self.log_weight(peak) - 100:
            edge += 0.1
        x = np.linspace(-edge, edge, GRID)
        log_w = self.log_weight(x)
        p = np.exp(log_w - log_w.max())
        self.log_norm = float(log_w.max() + np.log(p.sum() * (x[1] - x[0])))
        basis, self.off_diagonal = np.sqrt(p / p.sum())[None], np.zeros(degree)
        for k in range(degree):  # Lanczos on the grid
            after = x * basis[-1]
            for _ in range(2):
                after -= basis.T @ (basis @ after)
            self.off_diagonal[k] = np.linalg.norm(after)
            basis = np.vstack([basis, after / self.off_diagonal[k]])

    def potential(self, x: Array) -> Array:
        return (1 - 2 * self.lam) * x**2 + self.lam * x**4

    def log_weight(self, x: Array | float) -> Array:
        x = np.asarray(x)
        return self.c * x**2 - self.potential(x)

    def gauss(self, n: int) -> tuple[Array, Array, Array]:
        """n nodes, ln of what each counts for in ∫ dφ, and the (degree, node) polynomials there times √weight."""
        from scipy.linalg import eigh_tridiagonal  # slow to import

        nodes, vectors = eigh_tridiagonal(np.zeros(n), self.off_diagonal[: n - 1])
        vectors *= np.sign(vectors[0])
        nodes, first = (nodes - nodes[::-1]) / 2, (vectors[0] + vectors[0, ::-1]) / 2
        return nodes, 2 * np.log(first) + self.log_norm - self.log_weight(nodes), vectors


class _Slices:
    """T for n nodes at each site of a slice; states of one parity are kept where the first site's node is positive."""

    def __init__(self, site: _Site, n: int, sides: tuple[int, ...]) -> None:
        self.m = math.prod(sides)
        nodes, log_measure, self.polynomials = site.gauss(n)
        half = (log_measure - site.potential(nodes)) / 2
        bond = 2 * site.kappa * np.multiply.outer(nodes, nodes)
        log_K = bond + half[:, None] + half
        log_W = np.zeros((n,) * self.m)
        for a, b in _bonds(sides):
            log_W += bond.reshape([n if i in (a, b) else 1 for i in range(self.m)]) / 2
        log_W = log_W[n // 2 :].ravel()
        self.log_scale = float(self.m * log_K.max() + 2 * log_W.max())
        self.K, self.W = np.exp(log_K - log_K.max()), np.exp(log_W - log_W.max())

    def apply(self, x: Array, parity: int) -> Array:
        """T on each row of x, (k, states)."""
        y = np.empty_like(x)
        for i, one in enumerate(x):
            y[i] = self.W * _kronecker(self.K, self.W * one, self.m, parity)
        return y

    def leading(self, parity: int, start: Array | None) -> tuple[Array, Array]:
        """Eigenvalues of T among the states ψ(-φ) = ``parity`` ψ(φ), all or the largest, and the states in rows."""
        from scipy.linalg import eigh  # slow to import

        size = self.W.size
        if size <= DENSE:
            values, vectors = eigh(self.apply(np.eye(size), parity))
            return values, vectors.T
        x, rounds = start, WARM
        if x is None:
            x, rounds = np.random.default_rng(2 + parity).standard_normal((VECTORS, size)) * self.W, COLD
        for _ in range(rounds):
            y = self.apply(x, parity)
            product = x @ y.T
            sizes, basis = eigh(x @ x.T)
            basis = basis[:, sizes > 1e-13 * sizes[-1]] / np.sqrt(sizes[sizes > 1e-13 * sizes[-1]])
            values, vectors = eigh(basis.T @ (product + product.T) @ basis / 2)
            x = (basis @ vectors).T @ y
            x /= np.linalg.norm(x, axis=1, keepdims=True)
        return values, x

    def square(self) -> float:
        """Tr T²."""
        return 2 * float(self.W**2 @ _kronecker(self.K**2, self.W**2, self.m, 1))


def _kronecker(matrix: Array, x: Array, m: int, parity: int) -> Array:
    """``matrix`` on each of the m sites of a state that is kept on the positive half of its first site."""
    to, n = matrix.shape
    x = x.reshape(n // 2, -1)
    positive, negative = matrix[to // 2 :, n // 2 :], matrix[to // 2 :, n // 2 - 1 :: -1]
    x = x.T @ positive.T + parity * (x[:, ::-1].T @ negative.T)
    for _ in range(m - 1):
        x = x.reshape(n, -1).T @ matrix.T  # takes the first axis and puts it last
    return x.ravel()


def _bonds(sides: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Pairs of sites (raster order) that the bonds of a periodic slice join; two bonds on a side of length 2."""
    sites = np.arange(math.prod(sides)).reshape(sides)
    for axis in range(len(sides)):
        yield from zip(sites.ravel().tolist(), np.roll(sites, -1, axis).ravel().tolist(), strict=True)


class _Spectrum(NamedTuple):
    """What was found with some number of nodes: the polynomials there, eigenvalues and states of each parity.

    ``rest`` are eigenvalues followed no longer, as a fraction of the largest.
    """

    polynomials: Array
    values: list[Array]
    states: list[Array]
    rest: Array

    def start(self, slices: _Slices, length: int, i: int) -> tuple[Array | None, Array]:
        """States of parity i for more nodes to start from, the same polynomials; and what is not followed further."""
        order, rest = np.argsort(-np.abs(self.values[i]))[:VECTORS], np.empty(0)
        if slices.W.size > LARGE:
            e = self.values[i][order] / max(float(np.abs(one).max()) for one in self.values)
            keep = max(1, int((np.abs(e) ** length > SMALL_PART).sum()))
            order, rest = order[:keep], e[keep:]
        elif len(order) < VECTORS or slices.W.size <= DENSE:
            return None, rest
        prolong = slices.polynomials[: len(self.polynomials)].T @ self.polynomials
        parity = (1, -1)[i]
        return np.stack([_kronecker(prolong, self.states[i][k], slices.m, parity) for k in order]), rest


def _log_trace(
    slices: _Slices, length: int, before: _Spectrum | None = None, left_out: float = 0.0, *, last: bool = True
) -> tuple[float, float, _Spectrum]:
    """ln Tr T^length, a bound of what the eigenvalues that were left out add to it, and the spectrum.

    ``before`` and ``left_out`` are those of fewer nodes. The ``last`` keeps no states. Where nodes are so far apart
    that all of T is too small for a number, ln Tr is minus infinity.
    """
    found = _Spectrum(slices.polynomials, [], [], np.empty(0))
    rest = np.empty(0) if before is None else before.rest
    for i, parity in enumerate((1, -1)):
        start, dropped = (None, rest[:0]) if before is None else before.start(slices, length, i)
        values, states = slices.leading(parity, start)
        found.values.append(values)
        found.states.append(states[:0].copy() if last else states)
        rest = np.append(rest, dropped)
    largest = max(float(np.abs(one).max()) for one in found.values)
    if largest == 0:
        return -math.inf, left_out, found
    e = np.concatenate([*(one / largest for one in found.values), rest])
    trace = float((e**length).sum())
    if DENSE < slices.W.size <= LARGE:
        other = max(slices.square() / largest**2 - float((e**2).sum()), 0.0)
        smallest = max(float(np.abs(one).min()) for one in found.values) / largest
        left_out = other * smallest ** (length - 2) / trace
    value = length * (math.log(largest) + slices.log_scale) + math.log(trace)
    return value, left_out, found._replace(rest=rest)
