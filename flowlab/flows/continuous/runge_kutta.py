"""Fixed steps of the fourth-order Runge-Kutta method for the vector field of a continuous lattice flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowlab.nn.field_kernel import FieldKernel, waves


class Stage(NamedTuple):
    """One evaluation of a Runge-Kutta step: how far along the last slope, with which weight, at which half step."""

    reach: float
    weight: float
    half: int


STAGES = (Stage(0, 1 / 6, 0), Stage(0.5, 1 / 3, 1), Stage(0.5, 1 / 3, 1), Stage(1, 1 / 6, 2))


def runge_kutta(
    rows: Tensor, matrices: Sequence[Tensor], omega: Tensor, kernel: FieldKernel, h: float
) -> tuple[Tensor, Tensor]:
    """Fields (N, n) through steps of h with the weights at every half step; their ln|det| in double precision.

    Where no gradient is wanted the fields are summed up in double precision too.
    """
    dtype = rows.dtype
    log_det = torch.zeros(rows.shape[1], dtype=torch.float64, device=rows.device)
    rows = rows if torch.is_grad_enabled() else rows.double()
    for i in range(0, len(matrices) - 1, 2):
        v, rows_before = torch.zeros_like(rows), rows
        for stage in STAGES:
            at = torch.add(rows_before, v, alpha=stage.reach * h) if stage.reach else rows_before
            v, div = kernel.velocity(at.to(dtype), matrices[i + stage.half], omega)
            rows = torch.add(rows, v, alpha=stage.weight * h)
            log_det = torch.add(log_det, div, alpha=stage.weight * h)
    return rows.to(dtype), log_det


def runge_kutta_with_slope(
    rows: Tensor, slopes: Tensor, matrices: Sequence[Tensor], omega: Tensor, kernel: FieldKernel, h: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The same with g = ∂ln q/∂φ (N, n): dg/dt = -(∂v/∂φ)ᵀ g - ∇ div v. Only the fields have a gradient."""
    log_det = torch.zeros(rows.shape[1], dtype=torch.float64, device=rows.device)
    for i in range(0, len(matrices) - 1, 2):
        v, rows_before = torch.zeros_like(rows), rows
        pulled, slopes_before = torch.zeros_like(slopes), slopes
        for stage in STAGES:
            at = torch.add(rows_before, v, alpha=stage.reach * h) if stage.reach else rows_before
            slopes_at = torch.add(slopes_before, pulled, alpha=-stage.reach * h)
            v, div, pulled = kernel.velocity_and_slope(at, slopes_at, matrices[i + stage.half], omega)
            rows = torch.add(rows, v, alpha=stage.weight * h)
            log_det = torch.add(log_det, div, alpha=stage.weight * h)
            slopes = torch.add(slopes, pulled, alpha=-stage.weight * h)
    return rows, log_det, slopes


class Adjoint(torch.autograd.Function):
    """The gradient by integrating a(t) = dL/dφ(t) and φ(t) backwards: da/dt = -(∂v/∂φ)ᵀ a - dL/d(ln|det|) ∇ div v."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, matrices: Tensor, omega: Tensor, kernel: FieldKernel, h: float
    ) -> tuple[Tensor, Tensor]:
        rows, log_det = runge_kutta(rows, matrices.unbind(), omega, kernel, h)
        ctx.kernel, ctx.h = kernel, h
        ctx.save_for_backward(rows, matrices, omega)
        return rows, log_det

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, a: Tensor, of_log_det: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        rows, matrices, omega = ctx.saved_tensors
        of_div = of_log_det.to(a.dtype).contiguous()
        return *backwards(rows, matrices, omega, ctx.kernel, ctx.h, a, of_div), None, None


class AdjointWithSlope(torch.autograd.Function):
    """:func:`runge_kutta_with_slope` with the gradient of the fields by :class:`Adjoint`'s equation."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, slopes: Tensor, matrices: Tensor, omega: Tensor, kernel: FieldKernel, h: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows, log_det, slopes = runge_kutta_with_slope(rows, slopes, matrices.unbind(), omega, kernel, h)
        ctx.kernel, ctx.h = kernel, h
        ctx.save_for_backward(rows, matrices, omega)
        ctx.mark_non_differentiable(log_det, slopes)
        return rows, log_det, slopes

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, a: Tensor, of_log_det: Tensor, of_slopes: Tensor
    ) -> tuple[Tensor, None, Tensor, Tensor, None, None]:
        rows, matrices, omega = ctx.saved_tensors
        a, of_matrices, of_omega = backwards(rows, matrices, omega, ctx.kernel, ctx.h, a, None)
        return a, None, of_matrices, of_omega, None, None


def backwards(
    rows: Tensor, matrices: Tensor, omega: Tensor, kernel: FieldKernel, h: float, a: Tensor, of_div: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients in the first fields, the weights and the frequencies, from ``a`` in the last fields ``rows`` (N, n).

    ``of_div`` is that in ln|det|, (n,), None where it counts for nothing.
    """
    of_matrices, of_omega = torch.zeros_like(matrices), torch.zeros_like(omega)
    for i in range(len(matrices) - 1, 0, -2):
        v, slope = torch.zeros_like(rows), torch.zeros_like(a)
        rows_before, a_before = rows, a
        for stage in STAGES:
            at = torch.add(rows_before, v, alpha=-stage.reach * h)
            a_at = torch.add(a_before, slope, alpha=stage.reach * h)
            matrix, found = matrices[i - stage.half], waves(at, omega)
            v, _ = kernel.evaluate(at, matrix, found)
            slope, of_matrix, of_frequencies = kernel.pull_back(at, matrix, found, a_at, of_div)
            rows = torch.add(rows, v, alpha=-stage.weight * h)
            a = torch.add(a, slope, alpha=stage.weight * h)
            of_matrices[i - stage.half].add_(of_matrix, alpha=stage.weight * h)
            of_omega.add_(of_frequencies, alpha=stage.weight * h)
    return a, of_matrices, of_omega
