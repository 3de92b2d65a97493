"""The Kramers-Wannier map of spins to domain walls, and how much of it a learned map found.

On the torus a row of m spins has m walls between right neighbours, whose product is 1: m - 1 of them are free. They
stand where they are; the column that is left holds the sector bits, the walls down the first column and one spin, so
that N spins are N bits and back.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flowlab.estimators.estimate import Estimate, FloatArray
from flowlab.estimators.series.jackknife import block_sums, jackknife

Bonds = Literal["right", "down"]


def domain_walls(s: ArrayLike, bonds: Bonds = "right") -> FloatArray:
    """Wall variables and sector bits of spins on a torus, -1 where there is a wall: a bijection.

    w[y, x] = s[y, x] s[y, x+1] for x < m - 1; in the last column w[y, m-1] = s[y, 0] s[y+1, 0], and the last bit is
    s[0, 0], the sector. ``bonds="down"`` is the same with y and x exchanged.

    Args:
        s: (..., n, m) spins of ±1.
        bonds: which bonds are seen at their own places.

    Returns:
        (..., n, m) of ±1.

    Raises:
        ValueError: for other bonds.

    Source: Kramers and Wannier 1941.

    >>> domain_walls([[1.0, -1.0], [1.0, 1.0]]).tolist()
    [[-1.0, 1.0], [1.0, 1.0]]
    """
    _check(bonds)
    s = np.asarray(s, dtype=np.float64)
    if bonds == "down":
        return np.swapaxes(domain_walls(np.swapaxes(s, -1, -2)), -1, -2)
    w = s * np.roll(s, -1, -1)
    w[..., :-1, -1] = s[..., :-1, 0] * s[..., 1:, 0]
    w[..., -1, -1] = s[..., 0, 0]
    return np.asarray(w)


def spins_from_walls(w: ArrayLike, bonds: Bonds = "right") -> FloatArray:
    """The inverse of :func:`domain_walls`.

    >>> s = np.array([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])
    >>> bool((spins_from_walls(domain_walls(s)) == s).all())
    True
    """
    _check(bonds)
    w = np.asarray(w, dtype=np.float64)
    if bonds == "down":
        return np.swapaxes(spins_from_walls(np.swapaxes(w, -1, -2)), -1, -2)
    first = np.concatenate([w[..., -1:, -1], w[..., :-1, -1]], axis=-1).cumprod(-1)
    return np.asarray(np.concatenate([first[..., None], w[..., :-1]], axis=-1).cumprod(-1))


class WallOverlap(NamedTuple):
    """How much latents look like domain walls; see :func:`wall_overlap`.

    Attributes:
        agreement: Estimate of the fraction of bits that agree with wall variables, after the best relabeling.
        chance: what bits of the same means would reach if they knew nothing of the walls.
        information: Estimate of I(z_x; wall) in nats, each latent with its best bond, the mean over the latents.
        site_information: (n, m) Estimate of the same for each latent.
        relabeling: the best relabeling, in words.
    """

    agreement: Estimate
    chance: float
    information: Estimate
    site_information: Estimate
    relabeling: str


def wall_overlap(z: ArrayLike, s: ArrayLike) -> WallOverlap:
    """Bitwise agreement and mutual information of latents with the domain walls of the spins they stand for.

    The agreement is the best over which bonds (right or down), reflections and rotations, shifts around the torus, the
    complement, and the place of one column (or row) that is left out: it holds sector bits in a bijection. The best
    bond of each latent for the information is looked for among all 2N. Both searches use the first half of the
    samples, and what is returned is measured on the other half. Compare with ``chance`` and with other maps at
    the same temperature: where walls are rare, latents that never change agree with them well, and tell nothing.

    Args:
        z: (k, n, m) latents of ±1, k >= 8 independent samples.
        s: (k, n, m) the spins that they stand for.

    Returns:
        WallOverlap.

    Raises:
        ValueError: for shapes that do not fit, or too few samples.

    >>> s = np.random.default_rng(0).choice([-1.0, 1.0], size=(200, 4, 4))
    >>> found = wall_overlap(np.roll(domain_walls(s), 1, axis=-2), s)
    >>> found.agreement, found.relabeling
    (Estimate(value=1.0, error=0.0), 'walls to the right, shift (3, 0)')
    """
    z, s = np.asarray(z, dtype=np.float32), np.asarray(s, dtype=np.float32)
    if z.ndim != 3 or z.shape != s.shape or len(z) < 8:
        raise ValueError(f"z and s must have one shape (k, n, m) with k >= 8, got {z.shape} and {s.shape}")
    k, n, m = z.shape
    half = k // 2
    flat = z.reshape(k, -1)
    walls = [(s * np.roll(s, -1, axis)).reshape(k, -1) for axis in (-1, -2)]
    together = [flat[:half].T @ w[:half] / half for w in walls]
    best = max(_candidates(together, (n, m)), key=lambda c: c.score)
    w = walls[best.bonds][:, best.bond[best.kept]]
    latent = flat[half:, best.latent[best.kept]] * best.sign
    each = (1 + (latent * w[half:]).mean(1)) / 2
    information, per_site = _best_information(flat, walls, together, half)
    return WallOverlap(
        Estimate(float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each)))),
        float((1 + (latent.mean(0) * w[half:].mean(0)).mean()) / 2),
        information,
        Estimate(per_site.value.reshape(n, m), per_site.error.reshape(n, m)),
        best.words(n, m),
    )


class _Candidate(NamedTuple):
    """Latent number latent[i] is compared with sign times the wall on bond number bond[i], for i in kept."""

    score: float
    bonds: int
    rotation: int
    reflected: bool
    shift: int
    sign: int
    latent: NDArray[np.intp]
    bond: NDArray[np.intp]
    kept: NDArray[np.bool_]

    def words(self, n: int, m: int) -> str:
        text = f"walls {('to the right', 'down')[self.bonds]}, shift ({self.shift // m}, {self.shift % m})"
        text += f", turned by {90 * self.rotation}°" if self.rotation else ""
        return text + (", reflected" if self.reflected else "") + (", complement" if self.sign < 0 else "")


def _candidates(together: list[FloatArray], shape: tuple[int, int]) -> list[_Candidate]:
    """The best shift, sign and left-out line of each choice of bonds, rotation and reflection."""
    n, m = shape
    site = np.arange(n * m).reshape(shape)
    y, x = np.divmod(np.arange(n * m), m)
    moved = (y[None, :] + y[:, None]) % n * m + (x[None, :] + x[:, None]) % m
    found = []
    for bonds, C in enumerate(together):
        for rotation in range(4):
            for reflected in (False, True):
                turned = np.rot90(site, rotation)
                if turned.shape != shape:
                    continue
                latent = (turned[:, ::-1] if reflected else turned).ravel()
                value = C[latent[None, :], moved].reshape(-1, n, m)
                lines = value.sum(1 + bonds)  # columns for bonds to the right, rows for bonds down
                for sign in (1, -1):
                    left = sign * (lines.sum(1) - sign * (sign * lines).min(1))
                    shift = int(left.argmax())
                    line = int((sign * lines[shift]).argmin())
                    kept = ((x if bonds == 0 else y) != line).ravel()
                    score = float(left[shift] / kept.sum())
                    found.append(_Candidate(score, bonds, rotation, reflected, shift, sign, latent, moved[shift], kept))
    return found


def _best_information(
    z: FloatArray, walls: list[FloatArray], together: list[FloatArray], half: int
) -> tuple[Estimate, Estimate]:
    """I(z_x; w) with the bond of the largest |correlation| in the first half, on the second: mean over x, and each."""
    covariance = np.concatenate(
        [C - np.outer(z[:half].mean(0), w[:half].mean(0)) for C, w in zip(together, walls, strict=True)], axis=1
    )
    spread = np.concatenate([w[:half].var(0) for w in walls])
    chosen = (np.abs(covariance) / np.sqrt(spread + 1e-9)).argmax(1)
    w = np.concatenate(walls, axis=1)[half:, chosen].astype(np.float64)
    z = z[half:].astype(np.float64)
    value, error = jackknife(block_sums(np.stack([np.ones_like(z), z, w, z * w], axis=1)), _information)
    return Estimate(float(value[0]), float(error[0])), Estimate(value[1:], error[1:])


def _information(sums: FloatArray) -> FloatArray:
    """(4, N) sums of 1, z, w and zw -> I of each pair in nats, Miller-Madow; the mean over pairs comes first."""
    n = sums[0]
    z, w, both = sums[1:] / n
    value, cells = np.zeros_like(z), np.zeros_like(z)
    for a in (1, -1):
        for b in (1, -1):
            p = np.maximum((1 + a * z + b * w + a * b * both) / 4, 0.0)
            seen = p > 0.5 / n
            chance = np.where(seen, (1 + a * z) * (1 + b * w) / 4, 1.0)
            value += np.where(seen, p * np.log(np.where(seen, p, 1.0) / chance), 0.0)
            cells += seen
    value -= (cells - (np.abs(z) < 1) - (np.abs(w) < 1) - 1) / (2 * n)
    return np.append(value.mean(), value)


def _check(bonds: str) -> None:
    if bonds not in ("right", "down"):
        raise ValueError(f'bonds must be "right" or "down", got {bonds!r}')
