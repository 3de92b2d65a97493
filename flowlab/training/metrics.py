"""How good the draws of one step are."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from flowlab.analysis.representations import to_array
from flowlab.core import System
from flowlab.training.objectives.reverse_kl import Loss

OF_DRAWS = ("log_z_bound", "log_z_bound_error", "ess", "acceptance", "log_q_mean")

RESTORED = 64
"""Draws of a decimated target that get their other sites at every step, for the mean energy or action."""


def draw_metrics(log_weight: np.ndarray, log_q: np.ndarray) -> dict[str, float]:
    """Bound, ESS and acceptance of one batch, (n,) each. Plain numpy, since this is done at every step.

    >>> draw_metrics(np.zeros(4), np.full(4, -1.0))["ess"]
    1.0
    """
    log_w, n = log_weight - log_q, len(log_q)
    w = np.exp(log_w - log_w.max())
    smaller_of_two = 2.0 * (np.sort(w) @ np.arange(n - 1.0, -1.0, -1.0)) / (n * (n - 1))
    return {
        "log_z_bound": float(log_w.mean()),
        "log_z_bound_error": float(log_w.std(ddof=1) / n**0.5),
        "ess": float(w.mean() ** 2 / np.square(w).mean()),
        "acceptance": float(smaller_of_two / w.mean()),
        "log_q_mean": float(log_q.mean()),
    }


def loss_metrics(loss: Loss, target: System, *, annealed: bool, generator: torch.Generator | None) -> dict[str, float]:
    """How good the draws of a loss are for the final target; NaN for a step that drew none.

    Args:
        loss: with the log weights at what was trained on.
        target: the final one.
        annealed: whether these differ.
        generator: for the sites that a decimated target does not have.
    """
    T = target.temperature
    mean = "action_mean" if T is None else "energy_mean"
    if loss.draw is None or loss.log_weight is None:
        return dict.fromkeys([*OF_DRAWS, mean], math.nan)
    x, log_weight = loss.draw.x, loss.log_weight
    with torch.no_grad():
        if annealed:
            log_weight = target.log_weight(x)
        whole = log_weight
        if target.sublattice:
            whole = target.physical.log_weight(target.restore(x[:RESTORED], generator=generator)[0])
    log_weight, log_q, average = fetched(log_weight, loss.draw.log_q, whole.mean())
    metrics = draw_metrics(to_array(log_weight), to_array(log_q))
    metrics["log_z_bound"] += float(target.log_z_offset)
    return metrics | {mean: -float(average) * (1.0 if T is None else float(T))}


def fetched(*tensors: Tensor) -> list[Tensor]:
    """Tensors of a device on the CPU, in one copy: to wait for a GPU costs more than what comes.

    >>> fetched(torch.ones(1), torch.zeros(()))
    [tensor([1.]), tensor(0.)]
    """
    if all(tensor.device.type == "cpu" for tensor in tensors):
        return list(tensors)
    together = torch.cat([tensor.detach().flatten().double() for tensor in tensors]).cpu()
    parts = together.split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape).to(tensor.dtype) for part, tensor in zip(parts, tensors, strict=True)]


def trained_at(target: System) -> dict[str, float]:
    """The couplings of this step, which annealing or learning may change: ``inverse_temperature``, or each by name.

    >>> from flowlab.systems import Ising
    >>> trained_at(Ising((4, 4), T=2.0))
    {'inverse_temperature': 0.5}
    """
    if target.temperature is not None:
        return {"inverse_temperature": 1.0 / float(target.temperature)}
    return {f"trained_{name}": float(value.detach()) for name, value in target.couplings.items()}
