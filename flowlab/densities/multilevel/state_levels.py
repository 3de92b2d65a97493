"""Multilevel densities of Potts states, exactly symmetric under permutations of the states."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from flowlab.core import Density, Draw, States, System, named_generator
from flowlab.core.arguments import checked
from flowlab.core.generators import everyone, own
from flowlab.densities.multilevel import geometry
from flowlab.densities.multilevel.coarse import MAX_STATES, StateTable
from flowlab.densities.multilevel.levels import Levels, Rows
from flowlab.densities.multilevel.states import EqualLogits, ExactStateLogits, StateLogits, check_states

KINDS = ("coloured", "autoregressive")


class MultilevelStates(Levels):
    """Potts states from a coarse lattice to the fine one, with exact ln q, on the even sublattice of an L x L torus.

    Levels and groups are those of :class:`Multilevel`. A site's logits come from a network that sees the nearest known
    sites, the same for all sites of a group, and that a permutation of the states permutes: q(π·x) = q(x) exactly.
    With two colours or more the last group follows exactly from the target's coupling.

    Args:
        shape: (L, L//2), L = coarsest · 2^k with k at least 1.
        q: number of states, at least 2.
        kind: "coloured", or "autoregressive", site after site with a window of 7 x 7; see :class:`Multilevel`.
        coarsest: N_0, at least 2.
        base: density of the coarsest lattice, (N_0, N_0). None is a learned table of up to 2^16 configurations, else
            networks like the others, site by site.
        colours: groups of centres, and of edges, in each doubling: 1, 2, 4, ...
        window: how many known sites a coloured site sees at most.
        hidden: units in the two layers of a network.
        start: the coupling J/T of nearest known neighbours that networks start with.
        K: J/T of the fine lattice, until :meth:`bind` takes it from a target.
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        ValueError: for an L that is not N_0 · 2^k, q < 2, an unknown kind, or sizes that are not as above.

    >>> density = MultilevelStates((8, 4), 3)
    >>> x, log_q = density.sample(10, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(log_q, density.log_prob((x + 1) % 3), atol=1e-4))
    (torch.Size([10, 8, 4]), True)
    """

    divisible = Levels.divisible

    @checked
    def __init__(
        self,
        shape: tuple[int, ...],
        q: int = 3,
        kind: Literal["coloured", "autoregressive"] = "coloured",
        *,
        coarsest: int = 2,
        base: Density | None = None,
        colours: int = 4,
        window: int = 32,
        hidden: tuple[int, int] = (32, 32),
        start: float = 0.6,
        K: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
        if q < 2:
            raise ValueError(f"q must be a number of states of at least 2, got {q}")
        if min(hidden) < 1:
            raise ValueError(f"hidden must be at least 1 unit in each of the two layers, got {tuple(hidden)}")
        if len(shape) != 2:
            raise ValueError(f"shape must be (L, L//2), of states in the plane, got {tuple(shape)}")
        geometry.doublings(shape, coarsest)  # before the table of a coarsest lattice that there is not
        if base is None and q ** (coarsest**2) <= MAX_STATES:
            base = StateTable(coarsest, q, start=start)
        reach = 3 if kind == "autoregressive" else None
        groups = geometry.in_order(shape, coarsest, colours=colours, window=window, reach=reach, alone=base is not None)
        super().__init__(shape, coarsest, groups, base)
        self.kind, self.q, self.variables = kind, q, States(q)
        generator = named_generator(0, "multilevel") if generator is None else generator
        for group, *_ in self.blocks():
            conditional: nn.Module
            if not group.offsets:
                conditional = EqualLogits(q)
            elif group.exact:
                conditional = ExactStateLogits(group.offsets, q)
            else:
                conditional = StateLogits(group.offsets, q, hidden=hidden, start=start, generator=generator)
            self.conditionals[group.key] = conditional
        self.set_coupling(K)

    def set_coupling(self, K: float) -> None:
        """K = J/T of the fine lattice, for the conditionals that follow from it."""
        self.K = K
        for conditional in self.conditionals.values():
            if isinstance(conditional, ExactStateLogits):
                conditional.set_coupling(K)

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        """n configurations; ``score`` is ln q with its gradient, ``log_q`` the same number without."""
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        state, base, log_q, of_base, _ = self.draw_rows(n, generator=generator)
        assert of_base is not None
        rest = log_q.sum(0)
        return Draw(self.configurations(state), base.detach() + rest.detach(), of_base + rest)

    def draw_rows(self, n: int, *, generator: torch.Generator | None = None, given: Tensor | None = None) -> Rows:
        like = self.like()
        first, sites = self.first_row, len(self.order)
        if given is None:
            state, base = like.new_full((sites + 1, n), -1.0), like.new_zeros(n)
            score = base
            if self.base is not None:
                x, base, score = self.base.draw(n, generator=generator)
                state[:first] = x.detach().flatten(1).T
        else:
            check_states(given[:-1], self.q, unknown=True)
            state = given
            state[-1] = -1.0
            self._complete_base(state, generator)
            base = score = like.new_zeros(n) if self.base is None else self._base_log_q(state)
        sizes = (sites - first, everyone(n))
        u = own(torch.rand(sizes, generator=generator, dtype=like.dtype, device=like.device), 1)
        logits = []
        for conditional, rows, span in self.steps():
            found = conditional(state, rows)
            logits.append(found)
            edges = found.detach().softmax(0).cumsum(0)[:-1]
            drawn = (u[span.start - first : span.stop - first] >= edges).sum(0).to(state)
            state[span] = drawn if given is None else torch.where(state[span].isnan(), drawn, state[span])
        return Rows(state, base, self._log_q(torch.cat(logits, 1), state), score)

    def evaluate_rows(self, state: Tensor) -> Rows:
        check_states(state[:-1], self.q)
        state = torch.cat([state[:-1], state.new_full((1, state.shape[1]), -1.0)])
        base = state.new_zeros(state.shape[1]) if self.base is None else self._base_log_q(state)
        return Rows(state, base, self._log_q(torch.cat(self.evaluated(state), 1), state))

    def _log_q(self, logits: Tensor, state: Tensor) -> Tensor:
        """(q, N, n) logits of the sites that networks draw -> (N, n) ln q of their states."""
        return logits.log_softmax(0).gather(0, state[None, self.first_row : -1].long())[0]

    def bind(self, target: System) -> None:
        """Check the target, a decimated Potts model, and take up its coupling K = J/T.

        Raises:
            ValueError: for a target that is not decimated, of another shape or of other variables.
        """
        super().bind(target)
        assert target.physical.bond is not None
        self.set_coupling(float(target.physical.bond.detach()))

    def flip_action(self) -> None:
        """None: states have no sign."""
        return None
