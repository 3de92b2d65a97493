"""Maximum likelihood on samples of the target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from flowlab.analysis.representations import like
from flowlab.core import Density, Draw, System, named_generator
from flowlab.core.types import Report, silent
from flowlab.training.objectives.reverse_kl import Loss, Objective

LOOKED_AT = 2000
"""Held-out samples whose loss is recorded."""
FITTED = 20_000
"""Samples from which the density takes what is estimated before training."""


class ForwardKL(Objective):
    """The cross entropy E_p[-ln q(x)] = KL(p | q) + H[p] (Hartnett and Mohseni 2020, arXiv:2001.00585, eq. 19 and 20).

    Batches are drawn from samples of the physical system with replacement; on a Representation every batch draws the
    continuous variables afresh, x ~ p(x | s), unless ``redraw`` is False. Part of the samples is held out, and the loss
    on them is recorded now and then: training may stop when it no longer falls. The bound and the ESS of the model
    itself are recorded then too, since no model samples are drawn in between.

    Records: ``log_z_upper`` = E_p[log_weight - ln q], which lies above ln Z as ``log_z_bound`` lies below, the
    difference of each to ln Z being the forward and the reverse KL; ``held_out_loss``.

    Args:
        samples: (n, *shape) independent configurations of the physical system, or a function that gives them and is
            called when training starts.
        held_out: fraction of them that is never trained on, the last ones.
        look_every: steps between two looks at the held-out samples and at draws of the model.
        redraw: False draws the continuous variables of every sample once, before training.
        seed: of the continuous variables that are drawn once.

    Raises:
        ValueError: for a fraction outside (0, 1), or fewer than 2 samples on either side of the split.

    >>> from flowlab.densities import IndependentSpins
    >>> from flowlab.systems import Ising
    >>> objective = ForwardKL(torch.ones(100, 2, 2))
    >>> density, target = IndependentSpins((2, 2)), Ising((2, 2), T=2.0)
    >>> objective.prepare(density, target, fresh=True)
    >>> round(float(objective.loss(density, target, 10, generator=torch.Generator().manual_seed(0)).loss), 4)
    2.7726
    """

    watched: tuple[str, Literal["rises", "falls"]] = ("held_out_loss", "falls")
    own_draws = False

    def __init__(
        self,
        samples: Tensor | Callable[[Report], Tensor],
        *,
        held_out: float = 0.1,
        look_every: int = 20,
        redraw: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 < held_out < 1:
            raise ValueError(f"held_out must lie in (0, 1), a fraction of the samples, got {held_out}")
        if look_every < 1:
            raise ValueError(f"look_every must be at least 1, got {look_every}")
        self.samples, self.held_out, self.look_every, self.seed = samples, held_out, int(look_every), seed
        self.redraw = redraw
        self._train: Tensor | None = None
        self._kept: Tensor | None = None
        self.register_buffer("count", torch.tensor(0))

    count: Tensor

    def prepare(self, density: Density, target: System, *, fresh: bool, report: Report = silent) -> None:
        samples = self.samples if isinstance(self.samples, Tensor) else self.samples(report)
        samples = samples.to(device=like(density).device, dtype=torch.get_default_dtype())
        system = target.physical
        system.check_configurations(samples)
        n_kept = self._n_kept(samples)
        generator = named_generator(self.seed, "held out", device=samples.device)
        self._train = samples[:-n_kept].to(torch.int8) if system.variables.discrete else samples[:-n_kept]
        self._kept = target.reduce(samples[-n_kept:][:LOOKED_AT], generator=generator)
        if not self.redraw:
            once = named_generator(self.seed, "drawn once", device=samples.device)
            self._train = target.reduce(samples[:-n_kept], generator=once)
        if fresh:
            with torch.no_grad():
                density.fit(target.reduce(samples[:-n_kept][:FITTED], generator=generator))

    def _n_kept(self, samples: Tensor) -> int:
        n_kept = round(self.held_out * len(samples))
        if n_kept < 2 or len(samples) - n_kept < 2:
            raise ValueError(f"{len(samples)} samples with {self.held_out:g} of them held out leave fewer than 2")
        return n_kept

    def unseen(self, samples: Tensor) -> Tensor:
        """The last ones, which are held out."""
        return samples[-self._n_kept(samples) :]

    def loss(self, density: Density, target: System, n: int, *, generator: torch.Generator | None = None) -> Loss:
        if self._train is None:
            self.prepare(density, target, fresh=False)
        assert self._train is not None
        chosen = torch.randint(len(self._train), (n,), generator=generator, device=self._train.device)
        x = self._train[chosen].to(torch.get_default_dtype())
        x = target.reduce(x, generator=generator) if self.redraw else x
        log_q = density.log_prob(x)
        value = -log_q.mean()
        with torch.no_grad():
            metrics = {"log_z_upper": float((target.log_weight(x) - log_q).mean()) + float(target.log_z_offset)}
        self.count += 1
        if (int(self.count) - 1) % self.look_every:
            return Loss(value, value.detach(), None, None, metrics)
        draw, log_weight, looked = self._look(density, target, n, generator)
        return Loss(value, value.detach(), draw, log_weight, metrics | looked)

    def _look(
        self, density: Density, target: System, n: int, generator: torch.Generator | None
    ) -> tuple[Draw, Tensor, dict[str, float]]:
        assert self._kept is not None
        with torch.no_grad():
            draw = density.draw(n, generator=generator)
            log_weight = target.log_weight(draw.x)
            held_out = -density.log_prob(self._kept).mean()
        return draw, log_weight, {"held_out_loss": float(held_out)}
