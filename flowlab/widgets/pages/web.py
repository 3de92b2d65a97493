"""A page that draws: the weights of a trained sampler, and a sampler in JavaScript that knows its ln q."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import torch

from flowlab.figures.report import write_whole
from flowlab.widgets.view import script

DIGITS = 9
"""Of a weight, as many as make it the same 32 bits again."""


def export_web(
    run: Any,
    path: str | os.PathLike[str],
    *,
    words: Sequence[str] = (),
    after: str = "",
    title: str | None = None,
    about: str | None = None,
) -> Path:
    """Write a page that draws fresh samples of a trained sampler by itself, with ln q, ln w and ln Z from weights.

    It loads nothing and needs no kernel, so that a class of any size can draw. Its numbers are those of the weights in
    double precision. Of a run over a range of beta or T it has a slider, which draws from the same random numbers.

    Args:
        run: of a coloured multilevel density of Ising spins, e.g. ``ising-coloured``, without a field.
        path: where to write.
        words: paragraphs of HTML above the picture.
        after: HTML beneath it.
        title: the heading; the system where not given.
        about: the line beside it; study and step of the run where not given.

    Returns:
        The path.

    Raises:
        ValueError: for a density or a system that no page can draw.
    """
    density, target = getattr(run, "density", None), run.target
    if density is None:
        raise ValueError("a page draws from a trained density, and this run has none")
    numbers = density.exported()
    if float(target.physical.couplings.get("h", torch.tensor(0.0))) != 0:
        raise ValueError("a page draws spins without a field, got h ≠ 0")
    if len(target.physical.shape) != 2:
        raise ValueError(f"a page draws a plane, got the shape {tuple(target.physical.shape)}")
    name, *_ = numbers.setdefault("over", ["", 0, 0])
    if name not in ("", "beta", "T"):
        raise ValueError(f"a page has a slider for beta or T, and this run is over {name}")
    L, J = target.physical.shape[0], float(target.physical.couplings["J"])
    if title is None:
        title = f"Ising {L} × {L}, one model of a range of {name}" if name else run.system.title
    told = f"{getattr(run, 'study', '') or 'run'} · step {run.step} of {run.steps} · drawn in this page"
    model = numbers | {
        "L": L, "J": J, "beta": float(target.physical.bond) / J, "place": _place(L), "neighbours": _neighbours(L),
        "title": title, "about": told if about is None else about, "words": list(words), "after": after,
    }  # fmt: skip
    page = Template(script("sampler.html")).substitute(
        style=script("page.html").partition("<style>")[2].partition("</style>")[0], title=escape(title),
        model=json.dumps(_short(model)).replace("</", "<\\/"), script=script("sampler.js"),
    )  # fmt: skip
    return write_whole(Path(path), page)


def _place(L: int) -> list[int]:
    """Where each site of a lattice is among its even sites, row by row, and then the odd ones."""
    sites = [(y, x) for y in range(L) for x in range(L)]
    return [(y + x) % 2 * (L * L // 2) + y * (L // 2) + x // 2 for y, x in sites]


def _neighbours(L: int) -> list[list[int]]:
    """The four neighbours of each site of a torus."""
    sites = torch.arange(L * L).reshape(L, L)
    around: list[list[int]] = (
        torch.stack([sites.roll(by, d) for d in (0, 1) for by in (1, -1)], -1).flatten(0, 1).tolist()
    )
    return around


def _short(value: Any) -> Any:
    """Numbers without digits that the weights do not have."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {name: _short(part) for name, part in value.items()}
    return [_short(part) for part in value] if isinstance(value, list | tuple) else value
