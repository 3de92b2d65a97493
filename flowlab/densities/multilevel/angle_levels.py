"""Multilevel densities of planar spins, exactly symmetric under rotations and mirror images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from flowlab.core import Angles, Draw, named_generator
from flowlab.core.arguments import checked
from flowlab.densities.multilevel import geometry
from flowlab.densities.multilevel.angles import AngleNetwork, Isotropic, draw_angles, log_density
from flowlab.densities.multilevel.levels import Levels, Rows


class MultilevelAngles(Levels):
    """Angles from a coarse lattice to the fine one, with exact ln q, on the even sublattice of an L x L torus.

    Levels and groups are those of :class:`flowlab.densities.Multilevel`. A site's conditional is a mixture of von Mises
    densities whose fields turn with the sites that it sees, q(x + α) = q(-x) = q(x) exactly; the first is uniform.

    Args:
        shape: (L, L//2), L = coarsest · 2^k with k at least 1.
        coarsest: N_0, at least 2; this lattice is drawn site by site.
        colours: groups of centres, and of edges, in each doubling: 1, 2, 4, ...
        window: how many known sites a site sees at most.
        hidden: units in the two layers of a network.
        components: how many von Mises densities are mixed.
        start: the coupling J/T of nearest known neighbours that networks start with.
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        ValueError: for an L that is not N_0 · 2^k, or sizes that are not as above.

    >>> density = MultilevelAngles((8, 4))
    >>> x, log_q = density.sample(10, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(log_q, density.log_prob(1.0 - x), atol=1e-4))
    (torch.Size([10, 8, 4]), True)
    """

    variables = Angles()  # drawn by rejection, which takes as many random numbers as it takes: not divisible

    @checked
    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        coarsest: int = 2,
        colours: int = 4,
        window: int = 32,
        hidden: tuple[int, int] = (32, 32),
        components: int = 3,
        start: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        if min(hidden) < 1:
            raise ValueError(f"hidden must be at least 1 unit in each of the two layers, got {tuple(hidden)}")
        if components < 1:
            raise ValueError(f"components must be at least 1 density, got {components}")
        if len(shape) != 2:
            raise ValueError(f"shape must be (L, L//2), of angles in the plane, got {tuple(shape)}")
        groups = geometry.in_order(shape, coarsest, colours=colours, window=window, reach=None, alone=False)
        super().__init__(shape, coarsest, groups, None)
        generator = named_generator(0, "multilevel") if generator is None else generator
        for group, *_ in self.blocks():
            conditional: nn.Module = Isotropic()
            if group.offsets:
                conditional = AngleNetwork(
                    group.offsets, components=components, hidden=hidden, start=start, last=group.exact,
                    generator=generator,
                )  # fmt: skip
            self.conditionals[group.key] = conditional

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        """n configurations; ``score`` is ln q with its gradient, ``log_q`` the same number without."""
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        rows = self.draw_rows(n, generator=generator)
        log_q = rows.log_q.sum(0)
        return Draw(self.configurations(rows.state), log_q.detach(), log_q)

    def draw_rows(self, n: int, *, generator: torch.Generator | None = None, given: Tensor | None = None) -> Rows:
        like = self.like()
        state = like.new_zeros(len(self.order) + 1, n) if given is None else given
        vectors = like.new_zeros(len(state), 2 * n)
        log_q = []
        for conditional, rows, span in self.steps():
            fields, logits = conditional(vectors, rows)
            drawn = draw_angles(fields, logits, generator=generator)
            state[span] = drawn if given is None else torch.where(state[span].isnan(), drawn, state[span])
            vectors[span] = here = _vectors(state[span])
            log_q.append(log_density(fields, logits, here.view(-1, 2, n)))
        return Rows(state, like.new_zeros(n), torch.cat(log_q))

    def evaluate_rows(self, state: Tensor) -> Rows:
        if not bool(state.isfinite().all()):
            raise ValueError(f"angles must be finite, got {state[~state.isfinite()][0].item()}")
        n = state.shape[1]
        vectors = _vectors(state)
        vectors[-1] = 0.0
        log_q, first = [], 0
        for i, block in enumerate(self.blocks()):
            windows = self.get_buffer(f"windows{i}")
            here = vectors[first : first + len(windows)].view(-1, 2, n)
            fields, logits = self.conditionals[block[0].key](vectors, windows)
            log_q.append(log_density(fields, logits, here))
            first += len(windows)
        return Rows(state, state.new_zeros(n), torch.cat(log_q))

    def flip_action(self) -> None:
        """None: angles have no sign."""
        return None


def _vectors(angles: Tensor) -> Tensor:
    """(M, n) angles -> (M, 2 n) their cosines, then their sines."""
    return torch.cat([angles.cos(), angles.sin()], 1)
