"""How a law is held against what it is about, and what is said where it is broken; inputs to try it on."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from flowlab.core import Variables, named_generator

MOST = 1024
"""Configurations up to which all of them are tried."""


class LawBroken(AssertionError):
    """Which law, on which input, and by how much."""


def hold(who: Any, law: str, holds: bool, why: str = "") -> None:
    """Raise LawBroken unless it holds."""
    if not holds:
        name = who if isinstance(who, str) else type(who).__name__
        raise LawBroken(f"{name}: {law}{f': {why}' if why else ''}")


def same(
    who: Any, law: str, found: Tensor, wanted: Tensor, *, atol: float, rtol: float = 0.0, on: Tensor | None = None
) -> None:
    """Raise LawBroken where two tensors differ by more than ``atol`` + ``rtol`` |wanted|, with the input of the worst.

    Args:
        who: the object that the law is about.
        law: in words.
        found, wanted: (n, ...).
        atol, rtol: what rounding may make.
        on: (n, ...) inputs, one a row.
    """
    found, wanted = found.detach().double(), wanted.detach().double()
    hold(who, law, found.shape == wanted.shape, f"shapes {tuple(found.shape)} and {tuple(wanted.shape)}")
    off = torch.where(found.isnan() & wanted.isnan(), 0.0, (found - wanted).abs().nan_to_num(math.inf))
    over = off - atol - rtol * wanted.abs().nan_to_num(0.0)
    if over.numel() == 0 or float(over.max()) <= 0:
        return
    place = int(over.argmax())
    row = place // max(off[0].numel(), 1) if off.ndim else 0
    input_ = "" if on is None else f", on {on[row].flatten()[:16].tolist()}"
    values = f"{float(found.flatten()[place]):.6g}, not {float(wanted.flatten()[place]):.6g}"
    hold(who, law, False, f"off by {float(off.flatten()[place]):.3g} ({values}){input_}")


def generator(seed: int, name: str) -> torch.Generator:
    """For the inputs of one law."""
    return named_generator(seed, "testing", name)


def enumerable(variables: Variables, shape: tuple[int, ...]) -> bool:
    """Whether all configurations can be tried."""
    return variables.count is not None and math.prod(shape) * math.log(variables.count) <= math.log(MOST) + 1e-9


def every(variables: Variables, shape: tuple[int, ...]) -> Tensor:
    """All configurations of discrete variables, (q^N, *shape)."""
    q, n = variables.count or 0, math.prod(shape)
    numbers = torch.arange(q**n)[:, None] // q ** torch.arange(n) % q
    return variables.numbered(numbers).reshape(-1, *shape).double()


def some(variables: Variables, shape: tuple[int, ...], n: int, seed: int) -> Tensor:
    """n random configurations, (n, *shape) float64."""
    drawn = generator(seed, "configurations")
    if variables.count is not None:
        return variables.numbered(torch.randint(variables.count, (n, *shape), generator=drawn)).double()
    return variables.principal(torch.randn(n, *shape, generator=drawn, dtype=torch.float64))


def inputs(variables: Variables, shape: tuple[int, ...], n: int, seed: int) -> Tensor:
    """All configurations where they are few, else n random ones."""
    return every(variables, shape) if enumerable(variables, shape) else some(variables, shape, n, seed)


def shaken(module: nn.Module, scale: float, seed: int) -> None:
    """Move every parameter at random, so that no law holds only where training begins."""
    drawn = generator(seed, "shaken")
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=drawn, dtype=torch.float64)
            parameter.add_((scale * noise).to(parameter))
