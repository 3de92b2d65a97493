"""What training minimises, and the gradient it follows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from flowlab.core import Density, Draw, System
from flowlab.core.generators import Portion, portion_of
from flowlab.core.made import Made
from flowlab.core.types import Report, silent
from flowlab.training.objectives.learned import Learned

Baseline = Literal["leave_one_out", "running", "learned"]


class Loss(NamedTuple):
    """A loss to differentiate, the draws it was made from, and what else is worth recording.

    Attributes:
        value: 0-d; its gradient is the gradient to follow, its value is not always the loss (see ``loss``).
        loss: the number that is minimised.
        draw: configurations drawn from the density, detached; None where this step drew none.
        log_weight: (n,) of these configurations at the target that was trained on, detached; None without a draw.
        metrics: further numbers for the record.
    """

    value: Tensor
    loss: Tensor
    draw: Draw | None
    log_weight: Tensor | None
    metrics: dict[str, float]


def together(losses: Sequence[Loss]) -> Loss:
    """The parts of one batch, each from a share of its draws, as one loss; metrics are averaged."""
    if len(losses) == 1:
        return losses[0]
    drawn = [(loss.draw, loss.log_weight) for loss in losses if loss.draw is not None and loss.log_weight is not None]
    return Loss(
        torch.stack([loss.value for loss in losses]).mean(),
        torch.stack([loss.loss for loss in losses]).mean(),
        Draw(*(torch.cat(parts) for parts in zip(*(draw for draw, _ in drawn), strict=True))) if drawn else None,
        torch.cat([log_weight for _, log_weight in drawn]) if drawn else None,
        {name: sum(loss.metrics[name] for loss in losses) / len(losses) for name in losses[0].metrics},
    )


class Objective(Made, nn.Module, ABC):
    """A loss over a density and a target; may own parameters (a learned baseline) and state (a running one).

    To write one: give ``loss``, which draws n configurations (or takes samples of the target) and returns a
    :class:`Loss`. Everything else has a default, and is worth giving only if the objective needs it: ``prepare`` for
    what takes time before the first step, ``parameter_groups`` for parameters of its own, ``unseen`` if it trains on a
    part of the run's comparison, ``learned`` and ``present`` if it learns couplings of the target, ``divisible`` if
    several processes can take a step together. State that the next step depends on is a parameter or a buffer: it is
    then kept in checkpoints.

    Attributes:
        watched: the column of the records by which early stopping judges, and whether it should rise or fall.
        own_draws: whether the loss is made of the density's own draws, and not of samples of the target.
        from_neighbours: over a range of couplings, the weight of draws at a neighbour beside the loss, and the
            deviation of ln q - ln p, in nats, beyond which these count linearly; see :class:`.OverCouplings`.
    """

    watched: tuple[str, Literal["rises", "falls"]] = ("log_z_bound", "rises")
    own_draws: bool = True
    from_neighbours: tuple[float, float] = 0.3, math.inf

    def prepare(self, density: Density, target: System, *, fresh: bool, report: Report = silent) -> None:
        """Whatever takes time before the first step, e.g. training samples.

        Args:
            density, target: what will be trained, and on what.
            fresh: whether training has not begun: only then may the density be changed.
            report: called with what is being done, in words.
        """

    @abstractmethod
    def loss(self, density: Density, target: System, n: int, *, generator: torch.Generator | None = None) -> Loss:
        """The loss on n fresh draws."""

    def divisible(self, n: int) -> int:
        """Draws of a loss on n of which several processes can have a portion each; 0 where they cannot.

        The ``value`` of such a loss is that of the process's own rows, with the gradient whose mean over the processes
        is that of the whole batch (:func:`flowlab.core.generators.portion_of`); all else is of the whole batch.
        """
        return 0

    def learned(
        self, density: Density, target: System, drawn: int, *, generator: torch.Generator | None = None
    ) -> Learned | None:
        """The couplings that ``drawn`` draws of training have learned, with errors; None where none are learned."""
        return None

    def present(self, target: System) -> System:
        """The target as it is by now: the one given, or the same at couplings that were learned so far."""
        return target

    def unseen(self, samples: Tensor) -> Tensor:
        """Those samples of a run's comparison, (n, *shape), that are not trained on; all of them by default."""
        return samples

    def parameter_groups(self, density: Density) -> dict[str, list[nn.Parameter]]:
        """Parameters by role, each role with its own learning rate and schedule."""
        return density.parameter_groups()


class ReverseKL(Objective):
    """The variational free energy over T: E_q[R], R = ln q(x) - log_weight(x) = KL(q | p) - ln Z.

    Discrete choices get the score-function gradient (R - b) ∇ ln q, maps with a gradient (continuous flows, and XOR
    masks straight through, whose ln q does not depend on the mask) the gradient of R itself (Wu, Wang and Zhang 2019,
    arXiv:1809.10606).

    Args:
        baseline: what is subtracted from R in the score term, with zero mean effect:

            - "leave_one_out": the mean R of the other draws of the batch;
            - "running": an exponential average over the steps;
            - "learned": b_k(z_<k), linear in the earlier spins, one for every site k of an autoregressive base.
        decay: of the running average, in [0, 1).
        n_sites: number of sites of the base, for the learned baseline.

    Raises:
        ValueError: for a baseline that does not exist, a decay outside [0, 1), or a learned baseline without n_sites.
    """

    def __init__(
        self, baseline: Baseline = "leave_one_out", *, decay: float = 0.95, n_sites: int | None = None
    ) -> None:
        super().__init__()
        if baseline not in ("leave_one_out", "running", "learned"):
            raise ValueError(f"baseline must be 'leave_one_out', 'running' or 'learned', got {baseline!r}")
        if baseline == "learned" and n_sites is None:
            raise ValueError("a learned baseline needs n_sites, the number of sites of its base")
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}")
        self.baseline, self.decay = baseline, decay
        self.register_buffer("average", torch.tensor(float("nan"), dtype=torch.float64))
        self.site_baseline = SiteBaseline(n_sites) if baseline == "learned" and n_sites else None

    average: Tensor

    def loss(self, density: Density, target: System, n: int, *, generator: torch.Generator | None = None) -> Loss:
        portion = portion_of(n)
        draw = portion.rows(density.draw, n, generator)
        log_weight = target.log_weight(draw.x)
        R = draw.log_q - log_weight
        value, whole = R.mean(), portion.whole(R.detach())
        metrics: dict[str, float] = {}
        if draw.score.requires_grad:
            if self.site_baseline is not None:
                centred = portion.mine(whole - _mean_of_others(whole))
                term, misfit = self._learned(density, draw.x.detach(), centred)
                metrics = {"baseline_misfit": float(portion.whole(misfit[None]).mean())}
            else:
                term = (portion.mine(whole - self._level(whole)) * draw.score).mean()
            value = value + term
        return Loss(value, whole.mean(), whole_draw(portion, draw), portion.whole(log_weight.detach()), metrics)

    def divisible(self, n: int) -> int:
        return n

    def _level(self, R: Tensor) -> Tensor:
        if self.baseline == "leave_one_out":
            return _mean_of_others(R)
        level = torch.where(self.average.isnan(), R.mean(), self.average.to(R.dtype))
        self.average.copy_(self.decay * level + (1 - self.decay) * R.mean())
        return level

    def _learned(self, density: Density, x: Tensor, centred: Tensor) -> tuple[Tensor, Tensor]:
        """The score term, R less the mean of the others being ``centred``, and how far it is from what is guessed."""
        assert self.site_baseline is not None
        base = density.latent_density
        if not base.autoregressive or base.site_order is None:
            raise TypeError(f"a learned baseline needs an autoregressive base, got {type(base).__name__}")
        with torch.no_grad():
            z = density.latents_of(x)
        guess = self.site_baseline(z.flatten(1).index_select(1, base.site_order))
        fit = (centred[:, None] - guess).square().mean()
        score = ((centred[:, None] - guess.detach()) * base.log_conditionals(z)).sum(-1).mean()
        return score + fit, fit.detach()

    def parameter_groups(self, density: Density) -> dict[str, list[nn.Parameter]]:
        groups = super().parameter_groups(density)
        return groups | ({"baseline": list(self.parameters())} if self.site_baseline is not None else {})


class PathGradient(Objective):
    """The same loss as :class:`ReverseKL`, with the gradient that vanishes where q is exact ("sticking the landing").

    ∇_θ E_q[R] = E[∇_x (ln q_θ'(x) - log_weight(x)) · ∂x/∂θ], θ' = θ held fixed: the other term of the derivative of
    ln q_θ(x(θ)) has mean zero, and is left out with its variance (Roeder, Wu and Duvenaud 2017, arXiv:1703.09194). It
    needs ln q once more, at the configurations that were drawn.

    Raises:
        TypeError: by ``loss``, for a density whose configurations are no differentiable function of its parameters.
    """

    from_neighbours = 0.3, 2.0  # its own gradient has little noise: a few heavy draws would drown it

    def loss(self, density: Density, target: System, n: int, *, generator: torch.Generator | None = None) -> Loss:
        portion = portion_of(n)
        draw = portion.rows(density.draw, n, generator)
        if draw.score.requires_grad or not draw.x.requires_grad:
            raise TypeError(
                f"a path gradient needs real fields x(θ) with a derivative in θ, got {type(density).__name__} "
                f"on {target.title}: use ReverseKL"
            )
        log_weight = target.log_weight(draw.x)
        fixed = {f"density.{name}": parameter.detach() for name, parameter in density.named_parameters()}
        log_q = torch.func.functional_call(_LogProb(density), fixed, (draw.x,))
        R, whole = portion.whole((draw.log_q - log_weight).detach()), whole_draw(portion, draw)
        return Loss((log_q - log_weight).mean(), R.mean(), whole, portion.whole(log_weight.detach()), {})

    def divisible(self, n: int) -> int:
        return n


class _LogProb(nn.Module):
    """ln q as the call of a module, which is what can be evaluated at other parameters."""

    def __init__(self, density: Density) -> None:
        super().__init__()
        self.density = density

    def forward(self, x: Tensor) -> Tensor:
        return self.density.log_prob(x)


def whole_draw(portion: Portion, draw: Draw) -> Draw:
    """The draws of all processes, without gradients."""
    return Draw(*(portion.whole(part.detach()) for part in draw))


def _mean_of_others(R: Tensor) -> Tensor:
    return (R.sum() - R) / max(len(R) - 1, 1)


class SiteBaseline(nn.Module):
    """b_k(z_<k) = Σ_{j<k} w_kj z_j + c_k ((Σ_{j<k} z_j)² / k - 1): one number a site, from the sites before it.

    Args:
        n_sites: N.
    """

    def __init__(self, n_sites: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_sites, n_sites))
        self.curvature = nn.Parameter(torch.zeros(n_sites))

    def forward(self, z: Tensor) -> Tensor:
        """(n, N) spins -> (n, N) baselines."""
        n_sites = z.shape[-1]
        before = z.cumsum(-1) - z
        spread = before.square() / torch.arange(n_sites, device=z.device, dtype=z.dtype).clamp(min=1.0)
        return z @ self.weight.tril(-1).T + self.curvature * (spread - 1.0)
