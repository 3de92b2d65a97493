"""The laws of objectives."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from flowlab.core import Density, System
from flowlab.testing.laws import generator, hold, same

if TYPE_CHECKING:
    from flowlab.training.objectives.reverse_kl import Objective


def check_objective(objective: Objective, density: Density, target: System, *, n: int = 64, seed: int = 0) -> None:
    """An objective gives a loss to follow and a record that is of its draws; tried on copies.

    - the loss is one finite number with a finite gradient, which reaches a parameter;
    - equal generators give equal losses;
    - the draws that it reports have the ln q of the density and the ln weight of the target;
    - ``state_dict`` takes it to where it was, and ``parameter_groups`` names no parameter twice.

    Args:
        objective, density, target: as a Training has them.
        n: draws.
        seed: of them.

    Raises:
        LawBroken: which law, and by how much.

    >>> from flowlab.densities import MADE
    >>> from flowlab.systems import Ising
    >>> from flowlab.training import ReverseKL
    >>> check_objective(ReverseKL(), MADE((4, 4)), Ising(4, T=3.0))
    """
    objective, density = copy.deepcopy(objective), copy.deepcopy(density)
    density.bind(target)
    objective.prepare(density, target, fresh=True)
    before = copy.deepcopy(objective)
    loss = objective.loss(density, target, n, generator=generator(seed, "loss"))
    hold(objective, "the loss is one number", loss.value.shape == loss.loss.shape == (), f"got {loss.value.shape}")
    hold(
        objective, "the loss is finite", bool(loss.value.isfinite()) and bool(loss.loss.isfinite()), f"got {loss.loss}"
    )
    hold(objective, "the loss has a gradient", loss.value.requires_grad)
    loss.value.backward()
    groups = objective.parameter_groups(density)
    reached = [p.grad for group in groups.values() for p in group if p.grad is not None]
    hold(objective, "the gradient reaches a parameter", any(bool(grad.any()) for grad in reached))
    hold(objective, "the gradient is finite", all(bool(grad.isfinite().all()) for grad in reached))
    named = [id(p) for group in groups.values() for p in group]
    hold(objective, "parameter_groups names no parameter twice", len(named) == len(set(named)))
    again = copy.deepcopy(before)
    again.load_state_dict(before.state_dict())
    repeated = again.loss(density, target, n, generator=generator(seed, "loss")).loss
    same(objective, "equal generators give equal losses", repeated[None], loss.loss[None], atol=1e-5, rtol=1e-5)
    if loss.draw is None or loss.log_weight is None:
        return
    x = loss.draw.x.detach()
    hold(objective, "the draws that it reports are detached", not loss.draw.log_q.requires_grad)
    with torch.no_grad():
        law = "the draws that it reports have the density's ln q"
        same(objective, law, loss.draw.log_q, density.log_prob(x), atol=1e-3, rtol=1e-4, on=x)
        law = "the draws that it reports have the target's ln weight"
        same(objective, law, loss.log_weight, target.log_weight(x), atol=1e-3, rtol=1e-4, on=x)
