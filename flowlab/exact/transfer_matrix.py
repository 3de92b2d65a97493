"""Two-dimensional lattices, row by row: the transfer matrix of a strip closed to a torus."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from flowlab.core.one_hot import one_hot
from flowlab.exact.enumeration import configurations
from flowlab.exact.potts import potts_configurations
from flowlab.systems.potts import Potts
from flowlab.systems.triangular import TriangularIsing

MAX_ROW_STATES = 2048


def transfer_log_z(system: Potts | TriangularIsing) -> float:
    """ln Z of an n x m torus, ln Tr T^n with the row of the shorter side m (Kramers and Wannier 1941).

    Args:
        system: a Potts or a triangular Ising lattice whose shorter side has at most 2048 row states, as 6 sites of
            q = 3 or 11 spins have; the other side may have any length.

    Raises:
        ValueError: for a shorter side with more states.
        ArithmeticError: where a cold, frustrated system underflows double precision.

    >>> round(transfer_log_z(Potts((8, 4), T=1.0)), 9)
    67.152353798
    """
    m, n = sorted(system.shape)
    q, states = system.variables.count or 2, system.variables.scale == "categorical"
    if q**m > MAX_ROW_STATES:
        raise ValueError(
            f"the transfer matrix takes at most {MAX_ROW_STATES} states of a row, got {q}^{m} = {q**m} for the shape "
            f"{tuple(system.shape)}"
        )
    if states:
        features, steps = one_hot(potts_configurations((m,), q), q), [0]
    else:
        features, steps = configurations((m,))[..., None], [0, 1]
    K = float(system.couplings["J"].detach()) / float(system.couplings["T"].detach())
    return _log_trace(K * _bonds(features, steps), n)


def _bonds(features: Tensor, steps: Sequence[int]) -> Tensor:
    """(R, R) bonds within a row and to the next one, from (R, m, k) features whose inner product is a bond.

    Site x of a row is bound to the sites x + step of the next one.
    """
    within = (features * features.roll(1, 1)).sum((1, 2))
    across = [features.flatten(1) @ features.roll(-step, 1).flatten(1).T for step in steps]
    return within[:, None] + torch.stack(across).sum(0)


def _log_trace(log_matrix: Tensor, power: int) -> float:
    """ln Tr exp(log_matrix)^power, elementwise exp, by repeated squaring with the largest entry taken out."""
    total: Tensor | None = None
    scale = total_scale = 0.0
    top = float(log_matrix.max())
    matrix, scale = (log_matrix - top).exp(), top
    while power:
        if power % 2:
            total, total_scale = (matrix, scale) if total is None else _rescaled(total @ matrix, total_scale + scale)
        power //= 2
        if power:
            matrix, scale = _rescaled(matrix @ matrix, 2 * scale)
    assert total is not None
    trace = float(total.diagonal().sum())
    if not (trace > 0 and math.isfinite(trace)):
        raise ArithmeticError("the transfer matrix underflows: the temperature is too low for double precision")
    return total_scale + math.log(trace)


def _rescaled(matrix: Tensor, scale: float) -> tuple[Tensor, float]:
    top = float(matrix.max())
    return (matrix / top, scale + math.log(top)) if top > 0 else (matrix, scale)
