"""Optimisers, their learning rates over the run, and the ramp of the inverse temperature."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from flowlab.core.generators import portion_of

Schedule = Literal["constant", "cosine", "exponential"]
SCHEDULES = ("constant", "cosine", "exponential")


def learning_rate_factor(
    schedule: Schedule, progress: float, warmup: float = 0.0, restarts: int = 0, final: float = 0.01
) -> float:
    """The factor on a learning rate at ``progress`` (0 to 1): a linear warm-up, then the schedule.

    "cosine" falls to ``final`` as (1 + cos(π t)) / 2, "exponential" to 1 % as 0.01^t, with t the progress after the
    warm-up. With ``restarts`` the schedule runs that many times more, each over an equal part of the run (Loshchilov
    and Hutter 2017, arXiv:1608.03983).

    >>> learning_rate_factor("cosine", 0.0), round(learning_rate_factor("cosine", 1.0), 3)
    (1.0, 0.01)
    >>> round(learning_rate_factor("cosine", 0.49, restarts=1), 2), learning_rate_factor("cosine", 0.5, restarts=1)
    (0.01, 1.0)
    """
    if progress < warmup:
        return (progress + 1e-3) / (warmup + 1e-3)
    t = (progress - warmup) / max(1.0 - warmup, 1e-9)
    if restarts and t < 1:
        t = t * (restarts + 1) % 1
    if schedule == "cosine":
        return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * min(t, 1.0)))
    return float(0.01**t) if schedule == "exponential" else 1.0


def inverse_temperature_ramp(progress: float, anneal: float) -> float:
    """The factor on beta at ``progress``: a smooth rise from 0.2 to 1 over the first ``anneal`` of the run, then 1.

    >>> [round(inverse_temperature_ramp(progress, 0.4), 3) for progress in (0.0, 0.2, 0.4, 1.0)]
    [0.2, 0.8, 1.0, 1.0]
    """
    if progress >= anneal:
        return 1.0
    return 1.0 - 0.8 * (1.0 - progress / anneal) ** 2


def beta_ramp(T: float, anneal: float) -> Callable[[float], dict[str, float | Tensor]] | None:
    """Progress -> the couplings to train at: beta rises to 1/T by :func:`inverse_temperature_ramp`; None for no ramp.

    >>> ramp = beta_ramp(1.0, 0.5)
    >>> round(ramp(0.0)["T"], 9), ramp(0.5)
    (5.0, {})
    """
    if not 0 <= anneal <= 1:
        raise ValueError(f"anneal must lie in [0, 1], a fraction of the run, got {anneal}")
    if anneal == 0:
        return None
    return lambda progress: {"T": T / inverse_temperature_ramp(progress, anneal)} if progress < anneal else {}


class _AdamW(torch.optim.AdamW):
    """AdamW without torch's marks for its compiler: the first call of a marked method imports that, for two seconds."""

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)
    _step = inspect.unwrap(torch.optim.AdamW.step)

    def step(self, closure: Any = None) -> Any:
        with torch.no_grad():
            return self._step(closure)


class Optimisation:
    """One Adam a role ("base", "flow", ...), each with its own learning rate, under one schedule and one clipping rule.

    With ``weight_decay`` the decay is apart from the gradient (AdamW; Loshchilov and Hutter 2019, arXiv:1711.05101).

    Args:
        groups: role -> parameters.
        learning_rate: role -> peak learning rate, or one for all roles.
        schedule: over the run, see :func:`learning_rate_factor`.
        warmup: fraction of the run over which the rates rise linearly.
        clip: largest gradient norm of a role; inf for none.
        betas: decay of Adam's averages of the gradient and of its square.
        weight_decay: by which weights shrink a step, as a fraction of the learning rate.
        restarts: how often the schedule starts again.
        final: what a cosine falls to, as a fraction of the peak.

    Raises:
        ValueError: for a role without a learning rate, a rate or clip that is not positive, or an unknown schedule.
    """

    def __init__(
        self,
        groups: dict[str, list[nn.Parameter]],
        learning_rate: float | Mapping[str, float],
        *,
        schedule: Schedule = "cosine",
        warmup: float = 0.0,
        clip: float = math.inf,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        restarts: int = 0,
        final: float = 0.01,
    ) -> None:
        if not 0 <= final <= 1:
            raise ValueError(f"final must lie in [0, 1], a fraction of the peak rate, got {final}")
        if restarts < 0:
            raise ValueError(f"restarts must be 0 or more, got {restarts}")
        if not 0 <= weight_decay < math.inf:
            raise ValueError(f"weight_decay must be 0 or more, got {weight_decay}")
        if not 0 <= warmup <= 1:
            raise ValueError(f"warmup must lie in [0, 1], a fraction of the run, got {warmup}")
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}")
        if not clip > 0:
            raise ValueError(f"clip must be positive, got {clip}")
        self.groups = {role: parameters for role, parameters in groups.items() if parameters}
        self.learning_rate = _rates(learning_rate, list(self.groups))
        self.schedule, self.warmup, self.clip = schedule, warmup, clip
        self.restarts, self.final = int(restarts), final
        self._halved = 0
        self.adam = {
            role: _AdamW(p, lr=self.learning_rate[role], betas=betas, weight_decay=weight_decay, fused=True)
            for role, p in self.groups.items()
        }

    def step(self, losses: Iterable[Tensor], progress: float) -> tuple[float, float]:
        """Follow once the gradient of a sum of losses, each of which may be made when it is asked for.

        Returns:
            The norm of the gradient before clipping, and the learning rate of the base.
        """
        if not self.groups:
            raise ValueError("the density has no parameters: there is nothing to train")
        factor = learning_rate_factor(self.schedule, progress, self.warmup, self.restarts, self.final) / 2**self._halved
        for adam in self.adam.values():
            adam.zero_grad(set_to_none=True)
        for loss in losses:
            loss.backward()
        gradients = (parameter.grad for parameters in self.groups.values() for parameter in parameters)
        portion_of(0).average(gradient for gradient in gradients if gradient is not None)
        norms = [torch.nn.utils.clip_grad_norm_(p, self.clip) for p in self.groups.values()]
        for role, adam in self.adam.items():
            adam.param_groups[0]["lr"] = self.learning_rate[role] * factor
        norm = float(torch.stack(norms).norm())
        if math.isfinite(norm):
            for adam in self.adam.values():
                adam.step()
        first = next(iter(self.groups))
        return norm, self.learning_rate[first] * factor

    def halve(self, times: int) -> None:
        """Let all rates be those of the schedule, halved so many times in all."""
        self._halved = times

    @property
    def settings(self) -> dict[str, Any]:
        """All that was asked for, rates by role too."""
        first = next(iter(self.adam.values())).defaults if self.adam else {}
        return {
            "learning_rate": dict(self.learning_rate),
            **{name: getattr(self, name) for name in ("schedule", "warmup", "clip", "restarts", "final")},
            **{name: first[name] for name in ("betas", "weight_decay") if name in first},
        }

    def state_dict(self) -> dict[str, Any]:
        return {role: adam.state_dict() for role, adam in self.adam.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for role, adam in self.adam.items():
            adam.load_state_dict(state[role])


def _rates(given: float | Mapping[str, float], roles: list[str]) -> dict[str, float]:
    """The learning rate of each role."""
    rates = given if isinstance(given, Mapping) else dict.fromkeys(roles, given)
    missing = [role for role in roles if role not in rates]
    if missing:
        raise ValueError(f"learning_rate has none for {', '.join(missing)}, got rates for {', '.join(rates)}")
    for role in roles:
        rate = rates[role]
        if not (isinstance(rate, Real) and 0 < float(rate) < math.inf):
            raise ValueError(f"learning_rate must be positive, one or one for each role, got {rate!r} for {role}")
    return {role: float(rates[role]) for role in roles}


def has_plateaued(bound: ArrayLike, patience: int) -> bool:
    """Whether the mean of the last ``patience`` values is no better (higher) than that of the ``patience`` before.

    "Better" is by more than one standard error of the difference.

    >>> has_plateaued(np.r_[0:100], patience=20), has_plateaued(np.zeros(100), patience=20)
    (False, True)
    """
    values = np.asarray(bound, dtype=float)[-2 * patience :]
    if patience < 2 or len(values) < 2 * patience:
        return False
    before, last = values[:patience], values[patience:]
    error = math.sqrt((before.var() + last.var()) / patience)
    return bool(last.mean() - before.mean() <= error)
