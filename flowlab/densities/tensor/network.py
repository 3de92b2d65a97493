"""A plane drawn row by row, each site from its conditional given all before, the rows below summed approximately."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from flowlab.core import Density, Draw, LayerState, System
from flowlab.core.arguments import checked
from flowlab.core.density import one_of
from flowlab.core.numbers import whole_number
from flowlab.densities.tensor.messages import Contraction

AT_ONCE = 1024
"""Configurations drawn side by side."""

NUMBERS = 1 << 23
"""Of one row that are kept while it is drawn, at most."""

LEAST = 1e-12
"""Smallest conditional probability, as a part of the largest: what a compressed message has as 0 or below it."""

OFTEN = 8
"""Sites after which a vector is brought back to a size of 1."""

MOST_STAGES = 32


class TensorNetwork(Density):
    """q(x) = Π_y Π_x q(x_{y,x} | before) of a plane, by boundary matrix-product states: exact ln q, nothing to train.

    Rows are drawn from the first, y = 0, to the last. What all rows below add to a row's weight is a matrix-product
    state of bond dimension chi, found once; where chi cuts nothing off, q is the Boltzmann distribution itself. Else
    ``truncation`` says how much was cut off, and importance weights make up for it.

    On n x m sites it costs n m q⁴ chi³ once and n m q² chi² a configuration. Planes with open edges need a chi that
    grows slowly with their size, cylinders one that grows fast with their circumference m.

    Args:
        system: a plane of spins or of q states, open along y, with bonds of any sign between nearest neighbours, and
            fields: :meth:`.SpinGlass.edwards_anderson`, :meth:`.SpinGlass.uniform`, :class:`.Potts`, each with
            ``boundary="open"`` or ``"cylinder"``, or a :class:`.SpinGlass` with J of your own and a ``shape``.
        chi: largest bond dimension.

    Raises:
        TypeError: for a system that is no plane of nearest neighbours.
        ValueError: for one that is periodic along y, or chi < 1.

    Source: A. J. Ferris and G. Vidal 2012, arXiv:1201.3974; for spin glasses arXiv:2409.06538 and 2509.19006.

    >>> from flowlab.systems import SpinGlass
    >>> glass = SpinGlass.edwards_anderson((6, 6), T=0.5, seed=1, boundary="open")
    >>> density = TensorNetwork(glass, chi=8)
    >>> x, log_q = density.sample(100, generator=torch.Generator().manual_seed(0))
    >>> bool(((glass.log_weight(x) - log_q - density.log_z).abs() < 1e-6).all())
    True
    """

    autoregressive = True
    in_levels = True
    learns = False

    @checked
    def __init__(self, system: System, chi: int = 16) -> None:
        super().__init__()
        self.chi = whole_number("chi", chi)
        if self.chi < 1:
            raise ValueError(f"chi must be at least 1, got {chi}")
        self.shape, self.variables = tuple(system.shape), system.variables
        self.register_buffer("states", _states(system), persistent=False)
        self._contraction = _contraction(system, self.chi)

    states: Tensor

    def bind(self, target: System) -> None:
        super().bind(target)
        new = _contraction(target, self.chi)
        if any(not torch.equal(a, b) for a, b in zip(new.plane, self._contraction.plane, strict=True)):
            self._contraction = new

    @property
    def log_z(self) -> float:
        """ln Z of the contraction: exact where nothing was cut off, else without an error to quote."""
        return self._contraction.messages(self.states.device).log_z

    @property
    def truncation(self) -> float:
        """The largest part of a squared norm that a bond lost, over all messages."""
        return float(self._contraction.messages(self.states.device).truncation.max())

    def metrics(self) -> dict[str, float]:
        return {"truncation": self.truncation}

    @property
    def site_order(self) -> Tensor:
        return torch.arange(math.prod(self.shape), device=self.states.device)

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        """n configurations; there are no parameters, so that nothing has a gradient."""
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        x, log_q = self._completed(self.states.new_full((n, *self.shape), math.nan), generator)
        total = log_q.flatten(1).sum(1)
        return Draw(x, total, total)

    def log_prob(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n,): ln q(x) = Σ ln q(x_i | x_<i)."""
        return self.log_conditionals(x).sum(1)

    def log_conditionals(self, x: Tensor) -> Tensor:
        x = x.to(self.states)
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"configurations must have shape (n, {', '.join(map(str, self.shape))}), got {x.shape}")
        assert self.variables is not None
        self.variables.check(x)
        return self._completed(x, None)[1].flatten(1)

    def stages(
        self,
        n: int | None = None,
        *,
        x: Tensor | None = None,
        z: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[LayerState]:
        """The configurations after so many rows, NaN in the rows that come later, with ln q of the rows so far.

        Of a ``z``, as the stages have them, the rows with a NaN and all after the first of these are drawn.
        """
        one_of(n=n, x=x, z=z)
        if n is not None:
            start = self.states.new_full((n, *self.shape), math.nan)
        else:
            start = (x if x is not None else z).to(self.states)  # type: ignore[union-attr]
        with torch.no_grad():
            whole_x, log_q = self._completed(start, generator)
        rows, total = self.shape[0], log_q.sum(2).cumsum(1)
        step = -(-rows // MOST_STAGES)
        for done in [*range(step, rows, step), rows]:
            seen = whole_x.clone()
            seen[:, done:] = math.nan
            name = f"{done} row{'s' * (done > 1)} of {rows}"
            yield LayerState(name, "level", done / rows, seen, total[:, done - 1])

    def _completed(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """(n, *shape) -> the same with the rows from the first NaN on drawn, and ln q of every site, both float64."""
        plane, (_, columns, q) = self._contraction.plane, self._contraction.plane.site.shape
        ring = q if bool(plane.right[:, -1].any()) else 1
        size = max(1, min(AT_ONCE, NUMBERS // (columns * q * ring * self.chi)))
        found = [self._in_rows(part, generator) for part in x.split(size)]
        return found[0] if len(found) == 1 else (torch.cat([x for x, _ in found]), torch.cat([q for _, q in found]))

    @torch.no_grad()
    def _in_rows(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        site, right, down = (part.to(x.device) for part in self._contraction.plane)
        messages = self._contraction.messages(x.device).sites
        known = int((~x.isnan()).flatten(2).all(2).all(0).double().cumprod(0).sum())
        columns = torch.arange(x.shape[2], device=x.device)[:, None]
        rows: list[Tensor] = []
        log_q = []
        for y, message in enumerate(messages):
            given = uniforms = None
            if y < known:
                given = (x[:, y, :, None] == self.states).double().argmax(2).T
            else:
                uniforms = torch.rand(x.shape[2], len(x), generator=generator, dtype=x.dtype, device=x.device)
            weight = site[y][:, None] + (down[y - 1] if y else 0.0)  # (m, q above or 1, q)
            weight = (weight - weight.amax(2, keepdim=True)).exp()
            above = rows[-1] if y else torch.zeros_like(columns).expand(-1, len(x))
            state, found = _row(message, weight[columns, above], right[y], given, uniforms)
            rows.append(state)
            log_q.append(found)
        number = torch.stack(rows).permute(2, 0, 1)
        return self.states[number], torch.stack(log_q).permute(2, 0, 1).contiguous()


def _row(
    message: list[Tensor], field: Tensor, right: Tensor, given: Tensor | None, uniforms: Tensor | None
) -> tuple[Tensor, Tensor]:
    """One row of n configurations, site by site: the numbers of its states (m, n), and ln q of each (m, n).

    Args:
        message: of the rows below; site -> (q, left, right).
        field: (m, n, q) weight of each state at each site, by itself and by the row above.
        right: (m, q, q) ln weights of the bonds in the row.
        given: (m, n) the states, if they are known.
        uniforms: (m, n) numbers in [0, 1) that choose them, if they are not.
    """
    m, n, q = field.shape
    bonds = (right - right.amax((1, 2), keepdim=True)).exp()
    behind = _environments(message, field, bonds, ring=bool(right[-1].any()))
    every = torch.arange(n, device=field.device)
    states, log_q = torch.empty(m, n, dtype=torch.long, device=field.device), field.new_empty(m, n)
    left = field.new_ones(n, 1)
    for x in range(m):
        q, bond, after = message[x].shape
        grown = (left @ message[x].transpose(0, 1).reshape(bond, q * after)).reshape(n, q, after)
        rest = behind[x]  # (states of the first site, n, q, after)
        if len(rest) == 1:
            rest = rest[0]
        elif x == 0:
            rest = rest.diagonal(dim1=0, dim2=2).movedim(-1, 1)
        else:
            rest = rest[states[0], every]
        weight = (grown * rest).sum(2) * field[x]
        if x:
            weight = weight * bonds[x - 1][states[x - 1]]
        weight = torch.maximum(weight, LEAST * weight.abs().amax(1, keepdim=True))
        upto = weight.cumsum(1)
        if given is not None:
            states[x] = given[x]
        else:
            assert uniforms is not None
            states[x] = (uniforms[x][:, None] * upto[:, -1:] >= upto).sum(1).clamp(max=q - 1)
        log_q[x] = (weight[every, states[x]] / upto[:, -1]).log()
        left = grown[every, states[x]]
        if x % OFTEN == 0:
            left = left / left.abs().amax(1, keepdim=True)
    return states, log_q


def _environments(message: list[Tensor], field: Tensor, bonds: Tensor, *, ring: bool) -> list[Tensor]:
    """What lies behind each site, (r, n, q, bond): by its state and, around a ring, by that of the first (else r = 1).

    A factor for each configuration is left out.
    """
    m, n, q = field.shape
    last = bonds[-1].T[:, None, :, None] if ring else field.new_ones(1, 1, q, 1)
    behind = [last.expand(-1, n, -1, -1)]
    for x in range(m - 1, 0, -1):
        _, left, after = message[x].shape
        step = message[x].transpose(1, 2)[:, :, None] * bonds[x - 1].T[:, None, :, None]  # (q, after, q before, left)
        part = (behind[-1] * field[x][:, :, None]).reshape(-1, q * after) @ step.reshape(q * after, q * left)
        part = part.reshape(-1, n, q, left)
        if x % OFTEN == 0:
            part /= part.abs().amax((0, 2, 3), keepdim=True)
        behind.append(part)
    return behind[::-1]


def _states(system: System) -> Tensor:
    count = system.variables.count
    if count is None:
        raise TypeError(f"system must have spins or states on its sites, got {system.title}, with {system.variables}")
    return system.variables.numbered(torch.arange(count)).double()


def _contraction(system: System, chi: int) -> Contraction:
    plane = system.plane()
    if plane is None:
        raise TypeError(f"system must be a plane of spins or states with bonds between neighbours, got {system!r}")
    if bool(plane.down[-1].any()):
        hint = "; SpinGlass.uniform(shape, T) is an open Ising model" if system.bond is not None else ""
        raise ValueError(f'system must have boundary "open" or "cylinder", got {system.title}, periodic along y{hint}')
    return Contraction(plane, chi)
