"""Couplings that a training learns, with errors, and in words which of them the data does not determine."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from flowlab.core import System
from flowlab.core.names import about

DRAWS, STEP = 4000, 1e-4
FLAT, TOGETHER = 0.1, 0.9
"""Error as a fraction of a coupling, and correlation of two errors, from which couplings are called undetermined."""
WAVES = (0.5, 1.0, 2.0)


class Learned(NamedTuple):
    """Learned couplings.

    Attributes:
        where: of which lattice, "coarse" or "fine".
        values: by name.
        covariance: (k, k) of their errors; NaN where none is known.
    """

    where: str
    values: Mapping[str, float]
    covariance: np.ndarray

    @classmethod
    def unknown(cls, where: str, values: Mapping[str, float]) -> Learned:
        """Without errors, as before training."""
        return cls(where, values, np.full((len(values), len(values)), np.nan))

    @property
    def errors(self) -> dict[str, float]:
        """One standard error each."""
        return dict(zip(self.values, np.sqrt(np.diag(self.covariance)).tolist(), strict=True))

    @property
    def notes(self) -> list[str]:
        """What is not determined, in sentences."""
        found = []
        for name, error in self.errors.items():
            value = self.values[name]
            if error > FLAT * abs(value):
                found.append(
                    f"the learned {self.where} {name} = {value:.3g} ± {error:.2g} is hardly determined: the flow makes "
                    "up for another value, to which a longer training may drift; runs that begin alike scatter by less "
                    f"than this error, so compare runs that begin at another {name}"
                )
        for (i, one), (j, other) in itertools.combinations(enumerate(self.values), 2):
            scale = math.sqrt(self.covariance[i, i] * self.covariance[j, j])
            if abs(self.covariance[i, j]) > TOGETHER * scale:
                slope = self.covariance[i, j] / self.covariance[j, j]
                found.append(
                    f"the learned {self.where} {one} and {other} are not determined apart: they drift along a flat "
                    f"direction, {one} by {slope:.2g} times {other} (errors {self.errors[one]:.2g}, "
                    f"{self.errors[other]:.2g})"
                )
        return found

    def add_to(self, evaluation: xr.Dataset) -> xr.Dataset:
        """The evaluation with ``learned_<name>`` and its error, and the notes among ``warnings`` and ``reasons``."""
        for name, value in self.values.items():
            for column, number in ((f"learned_{name}", value), (f"learned_{name}_error", self.errors[name])):
                evaluation[column] = ((), number, about(column, lattice=self.where))
        said = {name: [evaluation.attrs.get(name, ""), *self.notes] for name in ("warnings", "reasons")}
        return evaluation.assign_attrs({name: "\n".join(filter(None, notes)) for name, notes in said.items()})


def information(own: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Fisher information on couplings at a fixed flow, and what is left of it where the flow follows; both (k, k).

    Args:
        own: (n, k) derivatives of ln q - ln p in the couplings, at n draws.
        flow: (n, m) the same in directions of the flow, which are fitted to ``own`` and taken away.
    """
    own, flow = own - own.mean(0), flow - flow.mean(0)
    scale = flow.std(0).clamp(min=1e-300)
    fitted = torch.linalg.lstsq(flow / scale, own, driver="gelsd").solution
    left = own - (flow / scale) @ fitted
    degrees = max(len(own) - flow.shape[1] - 1, 1)
    return own.T @ own / (len(own) - 1), left.T @ left / degrees


def slopes(system: System, x: Tensor, names: Sequence[str]) -> Tensor:
    """(n, k) ∂log_weight/∂g at x (n, *shape), for couplings of which log_weight is a smooth function."""
    columns = []
    for name in names:
        value = float(system.couplings[name].detach())
        h = STEP * max(abs(value), 0.01)
        h = min(h, value / 2) if name in system.positive else h
        up, down = (system.at(**{name: value + side * h}).log_weight(x) for side in (1, -1))
        columns.append((up - down).detach().double() / (2 * h))
    return torch.stack(columns, 1)


def directions(target: System, x: Tensor, reach: int) -> Tensor:
    """(n, m) derivatives of ln q at x (n, *shape) as fields move by v_x = Σ_y f(φ_y) over a shell of neighbours y.

    -(∇·v + v·∇ln p), for f(φ) = φ and sines, and shells of up to ``reach`` sites along an axis: what the last moment of
    a continuous flow can do, with ln p for ln q.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        (force,) = torch.autograd.grad(target.log_weight(x).sum(), x)
    fields, axes = x.detach(), tuple(range(1, x.ndim))
    wave = float(fields.square().mean().sqrt())
    functions: list[tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = [(lambda y: y, torch.ones_like)]
    for w in (k / wave for k in WAVES):
        functions.append((lambda y, w=w: (w * y).sin(), lambda y, w=w: w * (w * y).cos()))  # type: ignore[misc]
    around = [[k for k in range(-(side // 2), (side + 1) // 2) if abs(k) <= reach] for side in x.shape[1:]]  # each once
    shells: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for offset in itertools.product(*around):
        shells.setdefault(tuple(sorted(map(abs, offset))), []).append(offset)
    columns = []
    for f, slope in functions:
        values = f(fields)
        for shell, offsets in shells.items():
            v = torch.stack([values.roll(offset, axes) for offset in offsets]).sum(0)
            divergence = slope(fields).flatten(1).sum(1) if not any(shell) else 0.0
            columns.append(-(divergence + (v * force).flatten(1).sum(1)))
    return torch.stack(columns, 1).double()
