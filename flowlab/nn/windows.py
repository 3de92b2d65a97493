"""Networks on gathered windows, a cacheful of sites at a time, in the backward pass too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

COLUMNS = 2048
"""How many windows are worked on together: what a small network makes of them fits into a processor's cache."""
WITHOUT_CACHE = 64
"""How many times as much at once elsewhere: a GPU waits for each start of an operation, and not for memory."""

Network = Callable[..., Tensor]
Slopes = Callable[..., tuple[Tensor, ...]]


def on_windows(
    network: Network,
    state: Tensor,
    windows: Tensor,
    weights: Sequence[Tensor],
    outputs: int = 1,
    *,
    columns: int = COLUMNS,
    slopes: Slopes | None = None,
) -> Tensor:
    """What a network makes of the windows of some sites, with its gradient in the weights and the state.

    Nothing but the result is kept for the backward pass, which evaluates the network again: for small networks that
    takes less time than writing their units to memory and reading them back. The rows of the state that are seen must
    not change before the backward pass; others may.

    Args:
        network: (k, m) windows and the weights -> (outputs, m).
        state: (N, n) values, the batch last.
        windows: (M, k) rows of ``state``.
        weights: tensors that the network takes.
        outputs: how many numbers it gives.
        columns: how many windows to work on together, on a processor; see :func:`at_once`.
        slopes: (k, m) windows, the gradient of the (outputs, m) numbers and the weights -> that of each weight, where
            a formula takes less time than recording the network; None has it recorded, as it is for the state.

    Returns:
        (outputs, M, n).

    >>> total = on_windows(lambda v, w: w @ v, torch.ones(4, 5), torch.tensor([[0, 1], [2, 3]]), [torch.ones(1, 2)])
    >>> total.shape, float(total[0, 1, 0])
    (torch.Size([1, 2, 5]), 2.0)
    """
    result: Tensor = _OnWindows.apply(network, slopes, state, windows, outputs, columns, *weights)  # type: ignore[no-untyped-call]
    return result


class _OnWindows(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        network: Network,
        slopes: Slopes | None,
        state: Tensor,
        windows: Tensor,
        outputs: int,
        columns: int,
        *weights: Tensor,
    ) -> Tensor:
        columns = at_once(columns, state.device)
        ctx.network, ctx.slopes, ctx.windows, ctx.columns = network, slopes, windows, columns
        ctx.state = state.detach()  # shares the values: later rows may be filled in, those that are seen stay
        ctx.save_for_backward(*weights)
        n = state.shape[1]
        out = state.new_empty(outputs, len(windows), n)
        for sites, rows in _chunks(windows, n, columns):
            out[:, sites] = network(gather(state, rows), *weights).view(outputs, -1, n)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        of_state, of_weights = ctx.needs_input_grad[2], ctx.needs_input_grad[6:]
        n = ctx.state.shape[1]
        weights = [w.detach().requires_grad_(needed) for w, needed in zip(ctx.saved_tensors, of_weights, strict=True)]
        sums = [torch.zeros_like(weight) for weight in weights if weight.requires_grad]
        of_rows = torch.zeros_like(ctx.state) if of_state else None
        for sites, rows in _chunks(ctx.windows, n, ctx.columns):
            v, above = gather(ctx.state, rows), grad[:, sites].reshape(len(grad), -1)
            if of_state or ctx.slopes is None:
                found = _recorded(ctx.network, v.requires_grad_(of_state), above, weights)
            else:
                every = ctx.slopes(v, above, *ctx.saved_tensors)
                found = [one for one, needed in zip(every, of_weights, strict=True) if needed]
            for total, one in zip(sums, found, strict=False):
                total += one
            if of_rows is not None:
                of_rows.index_add_(0, rows.T.flatten(), found[-1].view(-1, n))
        each = iter(sums)
        given = (next(each) if weight.requires_grad else None for weight in weights)
        return None, None, of_rows, None, None, None, *given


def _recorded(network: Network, v: Tensor, above: Tensor, weights: Sequence[Tensor]) -> Sequence[Tensor]:
    """The gradients of the weights that have one, and after them of the windows if these have."""
    with torch.enable_grad():
        out = network(v, *weights)
    return torch.autograd.grad(out, [one for one in (*weights, v) if one.requires_grad], above)


def gather(state: Tensor, windows: Tensor) -> Tensor:
    """(N, n) values and (M, k) rows -> (k, M n) windows, one a column."""
    return state.index_select(0, windows.T.flatten()).view(windows.shape[1], -1)


def at_once(size: int, device: torch.device) -> int:
    """How much to work on together on a device, ``size`` being what suits a processor.

    >>> at_once(2048, torch.device("cpu"))
    2048
    """
    return size if device.type == "cpu" else WITHOUT_CACHE * size


def _chunks(windows: Tensor, n: int, columns: int) -> Iterator[tuple[slice, Tensor]]:
    """Slices of sites, and their windows, with about as many columns each as there should be; none where n is 0."""
    sites = max(1, columns // max(n, 1))
    for first in range(0, len(windows) if n else 0, sites):
        part = slice(first, min(first + sites, len(windows)))
        yield part, windows[part]
