"""Potts states 0 .. q-1 and their one-hot form, which is what can carry a gradient."""

from __future__ import annotations

import torch
from torch import Tensor


class OneHotStates(Tensor):
    """States (...) as numbers, with the one-hot form (..., q) that they were made from and that carries the gradient.

    Whatever makes another tensor of them (``detach``, indexing, arithmetic) makes one without it.

    Attributes:
        one_hot: that form.
    """

    one_hot: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]


def one_hot(x: Tensor, q: int) -> Tensor:
    """(...) states -> (..., q): 1 at the state, 0 elsewhere, in x's type.

    States made by :func:`states` give back the one-hot form they were made from, with its gradient. Other states that
    require a gradient go through the polynomials Π_{j≠k} (x - j) / (k - j), which agree at every state.

    Raises:
        ValueError: for states made from a one-hot form of another q.

    >>> one_hot(torch.tensor([0.0, 2.0]), 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if isinstance(x, OneHotStates) and torch.is_grad_enabled():
        if x.one_hot.shape[-1] != q:
            raise ValueError(f"expected states of q = {q}, got states of q = {x.one_hot.shape[-1]}")
        return x.one_hot
    if not (x.requires_grad and torch.is_grad_enabled()):
        return (x[..., None] == torch.arange(q, dtype=x.dtype, device=x.device)).to(x.dtype)
    factors = [x - j for j in range(q)]
    polynomials = []
    for k in range(q):
        others = [factor / (k - j) for j, factor in enumerate(factors) if j != k]
        polynomials.append(torch.stack(others).prod(0))
    return torch.stack(polynomials, -1)


def states(one_hot: Tensor) -> Tensor:
    """(..., q) of 0 and 1 -> (...) states, :class:`OneHotStates` if the one-hot form requires a gradient.

    One number a site cannot say which other state would be better; the one-hot form can.

    >>> states(torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])).tolist()
    [2.0, 0.0]
    """
    x = one_hot @ torch.arange(one_hot.shape[-1], dtype=one_hot.dtype, device=one_hot.device)
    if not one_hot.requires_grad:
        return x
    carrying = x.as_subclass(OneHotStates)
    carrying.one_hot = one_hot
    return carrying
