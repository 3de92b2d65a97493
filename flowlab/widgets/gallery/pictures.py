"""Small pictures of what a study does, drawn from one tiny sample by numpy alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from flowlab.figures.shared.style import MIDDLE, MINUS, PLUS

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
SIDE, GAP, ACROSS = 64, 8, 4
"""Of a tile and between tiles, in pixels, and how many fit beside one another."""
SHADES = 9
"""Colours of a field."""
CRITICAL = 0.4407
UNKNOWN = "var(--jp-border-color2, #dddddd)"


@cache
def picture(kind: str) -> str:
    """A row of tiles as inline SVG.

    Args:
        kind: one of :data:`KINDS`; anything else is drawn as "layers".

    >>> picture("growth").count("scale(")
    4
    """
    words, tiles = KINDS.get(kind, KINDS["layers"])
    drawn = "".join(
        f"<g transform='translate({index * (SIDE + GAP)},0)'>{tile}</g>" for index, tile in enumerate(tiles())
    )
    width = ACROSS * (SIDE + GAP) - GAP
    return f"<svg viewBox='0 0 {width} {SIDE}' role='img' aria-label='{words}'>{drawn}</svg>"


def _tile(values: Array, colors: dict[float, str]) -> str:
    """Squares in the colour of their value."""
    rows, columns = values.shape
    scale = SIDE / max(rows, columns)
    paths = [
        f"<path fill='{color}' d='{''.join(f'M{x} {y}h1v1h-1z' for y, x in np.argwhere(values == value))}'/>"
        for value, color in colors.items()
        if (values == value).any()
    ]
    return f"<g transform='scale({scale:g})' shape-rendering='crispEdges'>{''.join(paths)}</g>"


def _spins(values: Array) -> str:
    return _tile(values, {-1.0: MINUS, 0.0: UNKNOWN, 1.0: PLUS})


def _field(values: Array) -> str:
    """A real field on the diverging scale; NaN is not known yet."""
    level = np.clip(np.round((values / 2 + 1) / 2 * (SHADES - 1)), 0, SHADES - 1)
    colors = {float(k): _between(k / (SHADES - 1)) for k in range(SHADES)}
    return _tile(np.where(np.isnan(values), -1.0, level), {-1.0: UNKNOWN} | colors)


def _between(place: float) -> str:
    """The colour at 0 (below zero) to 1 (above) of the scale of fields."""
    low, high, share = (MINUS, MIDDLE, 2 * place) if place < 0.5 else (MIDDLE, PLUS, 2 * place - 1)
    mixed = [round((1 - share) * int(low[k : k + 2], 16) + share * int(high[k : k + 2], 16)) for k in (1, 3, 5)]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _curve(*lines: Array) -> str:
    """Curves between 0 and 1 in a frame."""
    frame = f"<path d='M1 1V{SIDE - 1}H{SIDE - 1}' fill='none' stroke='currentColor' opacity='.4'/>"
    drawn = [
        "M" + "L".join(f"{2 + 60 * k / (len(line) - 1):.1f} {60 - 56 * value:.1f}" for k, value in enumerate(line))
        for line in lines
    ]
    colors = (PLUS, MINUS)
    return frame + "".join(
        f"<path d='{path}' fill='none' stroke='{color}' stroke-width='2'/>"
        for path, color in zip(drawn, colors, strict=False)
    )


@cache
def _ising(sweeps: int, beta: float = CRITICAL, side: int = 16) -> Array:
    """Spins after some sweeps of a heat bath that began hot."""
    draw = np.random.default_rng(107)
    spins = np.where(draw.random((side, side)) < 0.5, -1.0, 1.0)
    even = np.indices(spins.shape).sum(0) % 2 == 0
    for half in range(2 * sweeps):
        around = sum(np.roll(spins, shift, axis) for shift in (1, -1) for axis in (0, 1))
        up = draw.random(spins.shape) < 1 / (1 + np.exp(-2 * beta * around))
        spins = np.where(even if half % 2 else ~even, np.where(up, 1.0, -1.0), spins)
    return spins


@cache
def _noise(seed: int = 3, side: int = 16) -> Array:
    return np.random.default_rng(seed).standard_normal((side, side))


def _smooth(mass: float, seed: int = 3, side: int = 16) -> Array:
    """Noise, smoothed over 1 / mass sites, of unit variance."""
    k = 2 * np.pi * np.fft.fftfreq(side)
    momentum = 4 * np.sin(k / 2)[:, None] ** 2 + 4 * np.sin(k / 2)[None] ** 2
    field = np.fft.ifft2(np.fft.fft2(_noise(seed, side)) / (momentum + mass**2)).real
    return np.asarray(field / field.std())


def _partly(values: Array, known: Mask, unknown: float) -> Array:
    return np.where(known, values, unknown)


def _first(share: float, side: int = 16) -> Mask:
    """The first sites in the order of reading."""
    return (np.arange(side * side) < share * side * side).reshape(side, side)


def _walls(spacing: int, side: int = 16) -> Mask:
    y, x = np.indices((side, side))
    return np.asarray((x % spacing == 0) | (y % spacing == 0))


def _two_peaks(width: float) -> Array:
    q = np.linspace(-1, 1, 41)
    peaks = np.exp(-((q - 0.65) ** 2) / width) + np.exp(-((q + 0.65) ** 2) / width)
    return np.asarray(peaks / peaks.max())


def _couplings() -> Array:
    J = _noise(9, 14)
    return np.asarray((J + J.T) / np.sqrt(2))


def _replicas() -> str:
    return _spins(np.where(_noise(4, 14).cumsum(0) > 0, 1.0, -1.0))


KINDS: dict[str, tuple[str, Callable[[], list[str]]]] = {
    "growth": (
        "spins on a lattice of 2 x 2, 4 x 4, 8 x 8 and 16 x 16 sites, the large one drawn about the small ones",
        lambda: [_spins(_ising(200)[:: 16 // side, :: 16 // side]) for side in (2, 4, 8, 16)],
    ),
    "layers": (
        "random spins that become domains, layer by layer",
        lambda: [_spins(_ising(sweeps)) for sweeps in (0, 1, 5, 200)],
    ),
    "raster": (
        "spins drawn one after the other, row by row",
        lambda: [_spins(_partly(_ising(200), _first(share), 0.0)) for share in (0.2, 0.45, 0.7, 1.0)],
    ),
    "walls": (
        "spins drawn along ever finer lines",
        lambda: [_spins(_partly(_ising(200), _walls(spacing), 0.0)) for spacing in (8, 4, 2, 1)],
    ),
    "chain": (
        "four configurations of a Markov chain that began hot",
        lambda: [_spins(_ising(sweeps)) for sweeps in (0, 3, 20, 200)],
    ),
    "cooled": (
        "spins cooled from infinite temperature",
        lambda: [_spins(_ising(30, beta)) for beta in (0.0, 0.25, 0.38, CRITICAL)],
    ),
    "field": (
        "a field of noise that becomes smooth, layer by layer",
        lambda: [_field(_smooth(mass)) for mass in (20.0, 1.5, 0.7, 0.3)],
    ),
    "field-growth": (
        "a field on a lattice of 4 x 4, 8 x 8 and 16 x 16 sites, the fine one about the coarse ones",
        lambda: [_field(_smooth(0.4)[:: 16 // side, :: 16 // side]) for side in (4, 8, 16)],
    ),
    "field-raster": (
        "a field drawn site after site, row by row",
        lambda: [_field(_partly(_smooth(0.4), _first(share), np.nan)) for share in (0.2, 0.45, 0.7, 1.0)],
    ),
    "field-chain": (
        "four fields of a Markov chain",
        lambda: [_field(np.cos(a) * _smooth(0.4) + np.sin(a) * _smooth(0.4, 8)) for a in (0, 0.5, 1.0, 1.5)],
    ),
    "glass": (
        "random couplings, spins of several replicas, and the two peaks of their overlaps",
        lambda: [_field(_couplings()), _replicas(), _curve(_two_peaks(0.05))],
    ),
    "valleys": (
        "random couplings, and two valleys of which a flow has found one",
        lambda: [_field(_couplings()), _curve(_two_peaks(0.03)), _curve(_two_peaks(0.03) * (np.arange(41) > 20))],
    ),
}
"""Kind -> what the picture shows, in words, and its tiles."""
