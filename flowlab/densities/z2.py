"""Densities made exactly symmetric under a flip."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from flowlab.core import Density, Draw, Flow, LayerState, System, Wrapper
from flowlab.core.arguments import checked
from flowlab.core.generators import everyone, own
from flowlab.core.symmetry import cannot_fit
from flowlab.systems.lattice import checkerboard


class Z2Symmetrized(Wrapper):
    """q(x) = (p(x) + p(a·x)) / 2: a density p and a shared fair bit that applies the flip a or leaves it.

    Args:
        density: p, of spins or real fields.
        action: which sites the bit flips: "all", "even" or "odd" (one sublattice), or a (*shape) tensor of ±1.

    Raises:
        ValueError: for an unknown action, or a tensor that is not ±1 of the density's shape.

    >>> from flowlab.densities import IndependentSpins
    >>> q = Z2Symmetrized(IndependentSpins((2, 2), bias=3.0))
    >>> up = torch.ones(1, 2, 2)
    >>> bool(q.log_prob(up) == q.log_prob(-up))
    True
    """

    @checked
    def __init__(self, density: Density, action: str | Tensor = "all") -> None:
        super().__init__(density)
        self._choices: dict[bool, bool] = {}
        self.register_buffer("action", _action(self.shape, action), persistent=False)

    action: Tensor

    @property
    def divisible(self) -> bool:  # type: ignore[override]
        return self.density.divisible

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        """n configurations; where discrete choices are all there is to them, ``score`` is ln q, else that of p.

        Where p has both choices and a gradient along the path, the gradient of ln q at fixed x has the mean of ∇score;
        it belongs to the score term alone and is taken off.
        """
        p = self.density.draw(n, generator=generator)
        action = self.action.to(p.x.dtype)
        flipped = self.density.log_prob(p.x * action)
        bit = own(torch.rand(everyone(n), generator=generator, device=p.x.device)) < 0.5
        x = torch.where(bit.view(-1, *[1] * len(self.shape)), p.x, p.x * action)
        if self._all_choices(p):
            score = torch.logaddexp(p.score, flipped) - math.log(2)
            return Draw(x, score.detach(), score)
        if not p.score.requires_grad:
            return Draw(x, torch.logaddexp(p.log_q, flipped) - math.log(2), p.score)
        both = torch.logaddexp(self.density.log_prob(p.x), flipped) - math.log(2)
        return Draw(x, both - (p.score - p.score.detach()), p.score)

    def _all_choices(self, p: Draw) -> bool:
        """Whether there is nothing but discrete choices in a draw; of a GPU, which is waited for, asked once."""
        if p.x.device.type == "cpu":
            return torch.equal(p.score.detach(), p.log_q.detach())
        graph = torch.is_grad_enabled()
        if graph not in self._choices:
            self._choices[graph] = torch.equal(p.score.detach(), p.log_q.detach())
        return self._choices[graph]

    def log_prob(self, x: Tensor) -> Tensor:
        both = self.density.log_prob(torch.cat([x, x * self.action.to(x.dtype)]))
        return torch.logaddexp(*both.chunk(2)) - math.log(2)

    @property
    def unsymmetrised(self) -> Density:
        return self.density

    @property
    def flow_layers(self) -> list[Flow]:
        return self.density.flow_layers

    def stages(
        self,
        n: int | None = None,
        *,
        x: Tensor | None = None,
        z: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[LayerState]:
        """The layers of p's flow, if p has one, each symmetrised: x_l or a·x_l by one shared bit, ln (p_l + p_l∘a) / 2.

        The bit belongs to fresh draws; configurations x and latents z that are given keep their sign.
        """
        if not self.density.staged:
            yield from super().stages(n, x=x, z=z, generator=generator)
            return
        states = list(self.density.stages(n, x=x, z=z, generator=generator))
        like = states[-1].x
        action = self.action.to(like.dtype)
        bit = torch.rand(len(like), generator=generator, device=like.device) < (0.5 if n is not None else 0.0)
        bit = bit.view(-1, *[1] * len(self.shape))
        with torch.no_grad():
            for i, (name, kind, time, one, log_q) in enumerate(states):
                other = one * action
                both = torch.logaddexp(log_q, self.density.log_prob_at(i, other)) - math.log(2)
                yield LayerState(name, kind, time, torch.where(bit, other, one), both)

    @property
    def autoregressive(self) -> bool:  # type: ignore[override]
        return self.density.autoregressive

    def log_conditionals(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n, N) ln q(x_k | x_<k) of the symmetrised density, in the order of an autoregressive p."""
        both = self.density.log_conditionals(torch.cat([x, x * self.action.to(x.dtype)])).cumsum(-1)
        joint = torch.logaddexp(*both.chunk(2)) - math.log(2)
        return joint.diff(dim=-1, prepend=joint.new_zeros(len(x), 1))

    def flip_action(self) -> Tensor | None:
        return self.action

    def bind(self, target: System) -> None:
        Density.bind(self, target)
        if not target.flip_symmetric:
            raise ValueError(f"a Z2-symmetrised density {cannot_fit(target)}")
        self.density.bind(target)

    def fit(self, x: Tensor) -> None:
        self.density.fit(torch.cat([x, x * self.action.to(x.dtype)]))


def _action(shape: tuple[int, ...], action: str | Tensor) -> Tensor:
    if isinstance(action, Tensor):
        if tuple(action.shape) != tuple(shape) or not bool(((action == 1) | (action == -1)).all()):
            raise ValueError(f"action must be ±1 of shape {tuple(shape)}, got a tensor of shape {tuple(action.shape)}")
        return action.float()
    if action == "all":
        return -torch.ones(shape)
    if action in ("even", "odd"):
        even = checkerboard(shape)
        return torch.where(even if action == "even" else ~even, -1.0, 1.0)
    raise ValueError(f"action must be 'all', 'even', 'odd' or a tensor of ±1, got {action!r}")
