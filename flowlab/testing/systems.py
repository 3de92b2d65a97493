"""The laws of systems."""

from __future__ import annotations

from typing import Any

import torch

from flowlab.core import System
from flowlab.testing.laws import hold, same, some


def check_system(system: System, *, n: int = 20, tolerance: float = 1e-9, seed: int = 0) -> None:
    """A system weighs every configuration for itself, and says of itself what is so.

    - ln weight and each observable are one number a configuration, whatever else is in the batch;
    - configurations of another shape are refused;
    - ``flip_symmetric`` means that ln weight is that of the flipped fields;
    - ln weight has the derivative of its differences, in the fields and in every coupling;
    - ``at`` changes one coupling of a new system, and T divides ln weight where it is -E/T;
    - NumPy arrays are taken, and couplings are no state.

    Args:
        system: any.
        n: configurations.
        tolerance: of ln weight, as a fraction of it.
        seed: of the configurations.

    Raises:
        LawBroken: which law, on which input, by how much.

    >>> from flowlab.systems import Ising
    >>> check_system(Ising(4, T=2.2))
    """
    x = some(system.variables, tuple(system.shape), n, seed)
    system.check_configurations(x)
    near = {"atol": tolerance, "rtol": tolerance}
    log_weight = system.log_weight(x)
    hold(system, "ln weight is one number a configuration", log_weight.shape == (n,), f"got {tuple(log_weight.shape)}")
    alone = torch.cat([system.log_weight(one[None]) for one in x])
    same(system, "ln weight does not depend on the batch", alone, log_weight, on=x, **near)
    array: Any = x.numpy()
    same(system, "arrays are taken too", system.log_weight(array), log_weight, on=x, **near)
    for name, value in system.observables(x).items():
        hold(system, f"{name} is one number a configuration", value.shape == (n,), f"got {tuple(value.shape)}")
    hold(system, "it has a name for each side", len(system.dims) == len(system.shape), f"dims {system.dims}")
    for wrong in (x[0], torch.cat([x, x], -1)):
        _check_refused(system, wrong)
    if system.variables.signed:
        flipped = bool(torch.isclose(system.log_weight(-x), log_weight, atol=1e-6, rtol=1e-6).all())
        says = (
            f"it says {system.flip_symmetric}, and ln weight of the flipped fields is {'' if flipped else 'not '}that"
        )
        hold(system, "flip_symmetric means it", flipped == system.flip_symmetric, says)
    few = x[:2].clone().requires_grad_()
    law = "ln weight has the derivative of its differences in the fields"
    hold(system, law, torch.autograd.gradcheck(system.log_weight, (few,), raise_exception=False))
    _check_couplings(system, x, log_weight)
    hold(system, "couplings are no state", not system.state_dict(), f"state_dict has {', '.join(system.state_dict())}")


def _check_refused(system: System, wrong: torch.Tensor) -> None:
    try:
        system.log_weight(wrong)
    except ValueError:
        return
    hold(system, "configurations of another shape are refused", False, f"begin with x = self.batch(x); {wrong.shape}")


def _check_couplings(system: System, x: torch.Tensor, log_weight: torch.Tensor) -> None:
    for name, value in system.couplings.items():
        before = float(value.detach())

        def total(new: torch.Tensor, name: str = name) -> torch.Tensor:
            return system.at(**{name: new}).log_weight(x).sum()

        new = torch.tensor(before + 0.01, dtype=torch.float64, requires_grad=True)
        law = f"ln weight has the derivative of its differences in {name}"
        hold(system, law, torch.autograd.gradcheck(total, (new,), rtol=1e-4, raise_exception=False))
        unchanged = float(system.couplings[name].detach()) == before
        hold(system, f"at({name}=...) leaves the system as it is", unchanged)
    T = system.temperature
    if T is not None and system.physical is system and "T" in system.couplings:
        hotter = 1.5 * float(T.detach())
        law = "ln weight is -E/T"
        same(system, law, system.at(T=hotter).log_weight(x) * 1.5, log_weight, atol=1e-9, rtol=1e-9, on=x)
