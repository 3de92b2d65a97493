"""Multilevel densities of real fields."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from flowlab.core import Density, Draw, Reals, named_generator
from flowlab.core.arguments import checked
from flowlab.densities.multilevel import geometry
from flowlab.densities.multilevel.levels import Levels, Rows
from flowlab.densities.multilevel.reals import Maps, Mixtures, OddEvenNetwork
from flowlab.densities.multilevel.spins import nearest, sums_of_others

KINDS = ("coloured", "autoregressive")
CONDITIONALS = ("map", "mixture")


class MultilevelFields(Levels):
    """Real fields from a coarse lattice to the fine one, with exact ln q, on the even sublattice of an L x L torus.

    Levels and groups are those of :class:`Multilevel`, the coarsest lattice site by site. A site's conditional is

    - "map": x = f(z) of a standard normal z, with f monotone, see :class:`flowlab.densities.multilevel.maps.Bends`;
    - "mixture": three normal densities,

    with numbers from a network that sees the nearest known sites, the same for all sites of a group and, unless ``odd``
    is False, exactly symmetric: q(-x | -known) = q(x | known). With two colours or more the last group sees only what
    it interacts with.

    Draws have the gradient of x at fixed random numbers; ``log_prob`` inverts the maps, and is differentiable in x.

    Args:
        shape: (L, L//2), L = coarsest · 2^k with k at least 1; (L//2,) of a line, (L, L, L//2) of a cube.
        kind: "coloured", or "autoregressive", site after site with a window of 7 x 7; see :class:`Multilevel`.
        conditional: "map" or "mixture".
        coarsest: N_0, at least 2.
        base: density of the coarsest lattice, (N_0, N_0); None for conditionals like the others, site by site.
        colours: groups of centres, and of edges, in each doubling: 1, 2, 4, ...
        window: how many known sites a coloured site sees at most.
        hidden: units in the two layers of a network.
        steps: how many tanh a map has.
        start: what the mean of a field has of each nearest known neighbour at the start.
        odd: whether the density is symmetric under a flip of all fields; where it is not, that has to be learned.
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        ValueError: for an L that is not N_0 · 2^k, an unknown kind or conditional, or sizes that are not as above.

    >>> q = MultilevelFields((6, 3), coarsest=3)
    >>> x, log_q = q.sample(10, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(log_q, q.log_prob(x), atol=1e-4))
    (torch.Size([10, 6, 3]), True)
    """

    variables = Reals()
    divisible = Levels.divisible

    @checked
    def __init__(
        self,
        shape: tuple[int, ...],
        kind: Literal["coloured", "autoregressive"] = "coloured",
        *,
        conditional: Literal["map", "mixture"] = "map",
        coarsest: int = 2,
        base: Density | None = None,
        colours: int = 4,
        window: int = 32,
        hidden: tuple[int, int] = (32, 32),
        steps: int = 3,
        start: float = 0.1,
        odd: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
        if conditional not in CONDITIONALS:
            raise ValueError(f"conditional must be one of {', '.join(CONDITIONALS)}, got {conditional!r}")
        if min(hidden) < 1:
            raise ValueError(f"hidden must be at least 1 unit in each of the two layers, got {tuple(hidden)}")
        if steps < 0:
            raise ValueError(f"steps must be 0 or more tanh of a map, got {steps}")
        reach = 3 if kind == "autoregressive" else None
        groups = geometry.in_order(shape, coarsest, colours=colours, window=window, reach=reach, alone=base is not None)
        super().__init__(shape, coarsest, groups, base)
        self.kind, self.conditional, self.odd = kind, conditional, odd
        generator = named_generator(0, "multilevel") if generator is None else generator
        self.family = Maps(steps) if conditional == "map" else Mixtures()
        for group, *_ in self.blocks():
            last = group.exact
            self.conditionals[group.key] = OddEvenNetwork(
                len(group.offsets),
                hidden=hidden,
                odd=self.family.odd,
                constants=self.family.constants,
                features=sums_of_others(group.offsets) if last else None,
                start=torch.full((2 * len(shape),), start / 2) if last else start * nearest(group.offsets),
                symmetric=odd,
                generator=generator,
            )

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        """n configurations x and ln q(x), both with the gradient of x = f(z) at fixed z."""
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        state, base, log_q, score, _ = self.draw_rows(n, generator=generator)
        total = base + log_q.sum(0)
        return Draw(self.configurations(state), total, torch.zeros_like(total) if score is None else score)

    def draw_rows(self, n: int, *, generator: torch.Generator | None = None, given: Tensor | None = None) -> Rows:
        like = self.like()
        state, base, score = like.new_zeros(len(self.order) + 1, n), like.new_zeros(n), None
        if given is not None:
            state = given
            self._complete_base(state, generator)
        elif self.base is not None:
            x, base, score = self.base.draw(n, generator=generator)
            state[: self.first_row] = x.flatten(1).T
        found = []
        for conditional, rows, span in self.steps():
            numbers = conditional(state, rows)
            x, log_q = self.family.draw(numbers, generator)
            if given is not None:
                x = torch.where(given[span].isnan(), x, given[span])
                log_q = self.family.log_prob(numbers, x)
            state[span] = x
            found.append(log_q)
        if given is not None and self.base is not None:
            base = self._base_log_q(state)
        return Rows(state, base, torch.cat(found), score)

    def evaluate_rows(self, state: Tensor) -> Rows:
        base = state.new_zeros(state.shape[1]) if self.base is None else self._base_log_q(state)
        numbers = torch.cat(self.evaluated(state), 1)
        return Rows(state, base, self.family.log_prob(numbers, state[self.first_row : -1]))

    def flip_action(self) -> Tensor | None:
        return super().flip_action() if self.odd else None
