"""What multilevel densities of spins and of real fields share: order of sites, levels, growth."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from flowlab.core import Density, LayerState, System, Variables
from flowlab.core.density import one_of
from flowlab.core.symmetry import cannot_fit
from flowlab.densities.multilevel import geometry
from flowlab.densities.multilevel.coarse import Table
from flowlab.densities.multilevel.geometry import Group
from flowlab.nn.windows import at_once

SAMPLES_AT_ONCE = 1024
"""Without gradients: a batch of these, lattices and all, stays in a processor's cache."""


class Rows(NamedTuple):
    """Configurations in the order of drawing, the batch last.

    Attributes:
        state: (N + 1, n) values, a row of zeros after them.
        base: (n,) ln q of the coarsest lattice.
        log_q: (N - coarsest sites, n) ln q of the others given the sites before them.
        score: (n,) of the coarsest lattice as a draw has it, see :class:`flowlab.core.Draw`; None else.
        coarse: (n, N_0, N_0) the coarsest lattice as its base drew it, with the gradient that this has; None else.
    """

    state: Tensor
    base: Tensor
    log_q: Tensor
    score: Tensor | None = None
    coarse: Tensor | None = None


class Levels(Density):
    """A density of the even sublattice of a torus of side L that draws coarse lattices first.

    Sites are kept in the order of drawing: the coarsest lattice, then group after group of each doubling, with one
    conditional for each group key in ``conditionals``.

    Args:
        shape: (L, ..., L//2).
        coarsest: side N_0 of the coarsest lattice, L = N_0 · 2^k.
        groups: in the order of drawing, without the coarsest lattice where ``base`` draws it.
        base: density of the coarsest lattice, N_0 a side; None where it is among the groups.
    """

    variables: Variables
    in_levels = True
    order: Tensor
    places: Tensor

    def __init__(self, shape: tuple[int, ...], coarsest: int, groups: Sequence[Group], base: Density | None) -> None:
        super().__init__()
        self.shape, self.coarsest, self.groups = tuple(map(int, shape)), coarsest, list(groups)
        self.base = base
        whole = (coarsest,) * len(self.shape)
        if base is not None and tuple(base.shape) != whole:
            raise ValueError(f"base must have the coarsest lattice's shape {whole}, got {tuple(base.shape)}")
        side = 2 * self.shape[-1]
        first = [geometry.coarsest_sites(side, coarsest, len(whole))] if base is not None else []
        order = np.concatenate([*first, *(group.sites for group in groups)])
        self.register_buffer("order", torch.from_numpy(order), persistent=False)
        self.register_buffer("places", torch.from_numpy(order.argsort()), persistent=False)
        row = np.append(order.argsort(), len(order))
        ends = [sum(map(len, first)) + int(n) for n in np.cumsum([len(group.sites) for group in groups])]
        self.spans = [slice(end - len(group.sites), end) for end, group in zip(ends, groups, strict=True)]
        for i, block in enumerate(self.blocks()):
            windows = np.concatenate([row[group.window] for group in block])
            self.register_buffer(f"windows{i}", torch.from_numpy(windows), persistent=False)
        self.conditionals = nn.ModuleDict()

    @property
    def iid(self) -> bool:  # type: ignore[override]
        return self.base is None or self.base.iid

    @property
    def divisible(self) -> bool:  # type: ignore[override]
        return self.base is None or self.base.divisible

    @property
    def log_norm(self) -> float | None:  # type: ignore[override]
        return 0.0 if self.base is None else self.base.log_norm

    def integration_error(
        self, n: int = 64, *, factor: int = 2, generator: torch.Generator | None = None
    ) -> dict[str, float]:
        return {} if self.base is None else self.base.integration_error(n, factor=factor, generator=generator)

    @property
    def site_order(self) -> Tensor | None:
        return self.order

    def blocks(self) -> list[list[Group]]:
        """Groups that follow each other and have one conditional."""
        return [list(block) for _, block in itertools.groupby(self.groups, key=lambda group: group.key)]

    def steps(self) -> Iterator[tuple[nn.Module, Tensor, slice]]:
        """For each group, in the order of drawing: its conditional, the (M, k) rows that it sees, and its own rows."""
        spans = iter(self.spans)
        for i, block in enumerate(self.blocks()):
            windows = self.get_buffer(f"windows{i}").split([len(group.sites) for group in block])
            yield from ((self.conditionals[block[0].key], rows, next(spans)) for rows in windows)

    def evaluated(self, state: Tensor) -> list[Tensor]:
        """What each block's conditional makes of given configurations."""
        blocks = enumerate(self.blocks())
        return [self.conditionals[block[0].key](state, self.get_buffer(f"windows{i}")) for i, block in blocks]

    @property
    def first_row(self) -> int:
        """The first row that a group draws: how many sites the base has."""
        return self.spans[0].start

    def rows(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (N + 1, n) in the order of drawing and the parameters' dtype, with a row of zeros.

        Raises:
            ValueError: for another shape.
        """
        if x.ndim != 1 + len(self.shape) or tuple(x.shape[1:]) != self.shape:
            sides = ", ".join(map(str, self.shape))
            raise ValueError(f"configurations must have shape (n, {sides}), got {tuple(x.shape)}")
        state = x.flatten(1).index_select(1, self.order).T.to(self.like().dtype)
        return torch.cat([state, state.new_zeros(1, len(x))])

    def configurations(self, state: Tensor) -> Tensor:
        """(N + 1, n) rows -> (n, *shape)."""
        return state[:-1].index_select(0, self.places).T.reshape(-1, *self.shape)

    def like(self) -> Tensor:
        """A parameter of the conditionals, for dtype and device: a base may have others, as learned couplings."""
        return next(self.conditionals.parameters())

    def draw_rows(self, n: int, *, generator: torch.Generator | None = None, given: Tensor | None = None) -> Rows:
        """n fresh configurations, or ``given`` rows (N + 1, n) completed where they are NaN."""
        raise NotImplementedError

    def evaluate_rows(self, state: Tensor) -> Rows:
        """ln q of given configurations."""
        raise NotImplementedError

    def _base_log_q(self, state: Tensor) -> Tensor:
        assert self.base is not None
        return self.base.log_prob(state[: self.first_row].T.reshape(-1, *self.base.shape))

    def _complete_base(self, state: Tensor, generator: torch.Generator | None) -> None:
        """Draw the coarsest lattice in the rows of the base where it is NaN."""
        if self.base is None or not bool((unknown := state[: self.first_row].isnan()).any()):
            return
        some = unknown.any(0)
        if isinstance(self.base, Table):
            x = self.base.complete(state[: self.first_row, some].T.reshape(-1, *self.base.shape), generator=generator)
        elif bool(unknown[:, some].all()):
            x, _ = self.base.sample(int(some.sum()), generator=generator)
        else:
            raise ValueError(
                f"a {type(self.base).__name__} draws the {' x '.join(map(str, self.base.shape))} lattice as a whole: "
                "give all of its sites, or NaN at all of them"
            )
        state[: self.first_row, some] = x.flatten(1).T.to(state)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        together = at_once(SAMPLES_AT_ONCE, self.order.device)
        sizes = [min(together, n - first) for first in range(0, n, together)]
        parts = [super(Levels, self).sample(size, generator=generator) for size in sizes or [n]]
        return torch.cat([x for x, _ in parts]), torch.cat([log_q for _, log_q in parts])

    def log_prob(self, x: Tensor) -> Tensor:
        found = self.evaluate_rows(self.rows(x))
        return found.base + found.log_q.sum(0)

    def stages(
        self,
        n: int | None = None,
        *,
        x: Tensor | None = None,
        z: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[LayerState]:
        """The configurations after each level, NaN at the sites that come later, with ln q of the sites so far.

        The levels are the coarsest lattice and, for each doubling, what the centres and the edges add. ``z`` are
        configurations with NaN at some sites, as the stages have them: those are drawn, given all before them.

        Raises:
            ValueError: for other than one of ``n``, ``x`` and ``z``, a wrong shape, spins that are not ±1, or some
                unknown sites of a coarsest lattice that an outer base can only draw as a whole.
        """
        one_of(n=n, x=x, z=z)
        with torch.no_grad():
            if x is not None:
                found = self.evaluate_rows(self.rows(x))
            elif z is not None:
                found = self.draw_rows(len(z), generator=generator, given=self.rows(z))
            else:
                assert n is not None
                found = self.draw_rows(n, generator=generator)
        ends = self.level_ends()
        for i, (name, end) in enumerate(ends):
            state = found.state.clone()
            state[end:] = torch.nan
            log_q = found.base + found.log_q[: max(end - self.first_row, 0)].sum(0)
            time = i / (len(ends) - 1)
            yield LayerState(name, "level", time, self.configurations(state), log_q)

    def level_ends(self) -> list[tuple[str, int]]:
        """What each level is called, and how many rows are known after it."""
        side, dims = self.coarsest, len(self.shape)
        ends = [(" × ".join([str(side)] * dims), side**dims)]
        spans = [(g, span) for g, span in zip(self.groups, self.spans, strict=True) if not g.name.startswith("site")]
        for (_, kind), members in itertools.groupby(spans, key=lambda pair: (pair[0].level, pair[0].name.split()[0])):
            end = list(members)[-1][1].stop
            if kind == "edge":
                side *= 2
            sides = " × ".join([str(side)] * dims)
            ends.append((sides if kind == "edge" else f"{sides} and centres", end))
        return ends

    def warm_start(self, other: Density, *, aligned: Literal["finest", "coarsest"] = "finest") -> list[str]:
        """Take over the networks of another size or coupling, level from level.

        Args:
            other: the density that hands on.
            aligned: "finest" lets the finest levels correspond, as they do at one physical coupling: levels that the
                other does not have take the networks of its coarsest doubling that fits. "coarsest" lets the coarsest
                doublings correspond, as they do where the other was trained at the renormalised coupling: the finest
                levels, which it does not have, take the networks of its finest doubling that fits (Singha et al. 2025,
                arXiv:2503.08918, algorithm 1). The coarsest lattice is taken from one of its kind and size.

        Returns:
            The names of the parameters that were copied.

        Raises:
            ValueError: for a multilevel density with another coarsest lattice.
        """
        if not isinstance(other, Levels):
            return super().warm_start(other)
        if other.coarsest != self.coarsest:
            raise ValueError(
                f"growth keeps the coarsest lattice: expected a side of {self.coarsest}, got {other.coarsest}"
            )
        theirs, copied = other.state_dict(), []
        for name, mine in self.state_dict().items():
            found = next((theirs[n] for n in self._origins(name, other, aligned) if n in theirs), None)
            if found is not None and found.shape == mine.shape:
                mine.copy_(found)
                copied.append(name)
        return copied

    def _origins(self, name: str, other: Levels, aligned: str) -> Iterator[str]:
        """Names under which another density may have what belongs here, the best first."""
        folder, _, rest = name.partition(".")
        if folder != "conditionals":
            yield name
            return
        key, _, rest = rest.partition(".")
        level, _, group = key.partition(" ")
        seen = {g.key: g.offsets for g in other.groups}
        offsets = next(g.offsets for g in self.groups if g.key == key)
        top = geometry.doublings(other.shape, other.coarsest)
        candidates: Sequence[int] = range(top if group.startswith("site") else min(int(level), top), -1, -1)
        if aligned == "coarsest" and not group.startswith("site"):
            same = int(level) + top - geometry.doublings(self.shape, self.coarsest)
            candidates = range(max(same, 0), top)
        for candidate in candidates:
            if seen.get(f"{candidate} {group}") == offsets:
                yield f"conditionals.{candidate} {group}.{rest}"

    def bind(self, target: System) -> None:
        """Check the target.

        Raises:
            ValueError: for a target that is not decimated, of another shape, of other variables, or one that is not
                symmetric under a flip where the density is.
        """
        if not target.sublattice:
            raise ValueError(
                f"a multilevel density has shape {self.shape}, every other site of a square lattice with nearest "
                f"neighbours: expected what .decimate() makes of one, got {target.title}"
            )
        super().bind(target)
        if not target.flip_symmetric and self.flip_action() is not None:
            raise ValueError(f"a flip-symmetric density {cannot_fit(target)}")

    def flip_action(self) -> Tensor | None:
        if self.base is not None and not _flips_all(self.base):
            return None
        return -torch.ones(self.shape, device=self.order.device)


def _flips_all(base: Density) -> bool:
    action = base.flip_action()
    return action is not None and bool((action == -1).all())
