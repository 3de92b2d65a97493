"""Domain walls instead of spins: the Kramers-Wannier variables of a periodic lattice, as a bijection."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from flowlab.core import Flow, Spins
from flowlab.core.arguments import checked
from flowlab.systems.lattice import plane

Bonds = Literal["right", "down"]


class DomainWalls(Flow):
    """σ = f(w): spins from independent wall variables and one global sign, linear over F2 (bits multiply).

    A wall, -1, stands on a bond between opposite spins. The 2N walls of an n x m torus are not independent: around
    every plaquette, and along every row and column, their product is 1. N - 1 of them fix all: those of a spanning tree
    of bonds. Here it is a comb,

        w[y, x] = σ[y, x] σ[y, x+1]  for x < m - 1,    w[y, m-1] = σ[y, 0] σ[y+1, 0]  for y < n - 1,

    every row but for its last bond, and the walls down the first column, which stand in the column that is left. The
    last bit, w[n-1, m-1] = σ[0, 0], is the global sign. The bonds that close the rows and columns are products of
    these: periodic spins have an even number of walls across every row and column, and no free winding bits. These are
    the coordinates of :func:`flowlab.estimators.domain_walls`.

    A global flip of the spins changes the last bit only, so a density of w is symmetric where that bit is a fair coin
    independent of the rest: ``Z2Symmetrized(base, flow.pull_flip(-torch.ones(shape)))``. There is nothing to train.

    Args:
        shape: (n, m), both at least 2.
        bonds: "right", or "down": the same with y and x exchanged.

    Raises:
        ValueError: for a shape that is no lattice, or other bonds.

    Source: Kramers and Wannier 1941.

    >>> walls, _ = DomainWalls((3, 3)).inverse(torch.tensor([[[1.0, -1, -1], [1, 1, 1], [1, 1, 1]]]))
    >>> walls[0].tolist()
    [[-1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    label = "domain walls"

    @checked
    def __init__(self, shape: tuple[int, ...], bonds: Bonds = "right") -> None:
        super().__init__()
        if bonds not in ("right", "down"):
            raise ValueError(f"bonds must be 'right' or 'down', got {bonds!r}")
        self.shape, self.bonds = plane(shape), bonds

    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        z = Spins().numbers(z)
        w = self._oriented(z)
        first = torch.cat([w[:, -1:, -1], w[:, :-1, -1]], 1).cumprod(1)
        spins = torch.cat([first[:, :, None], w[:, :, :-1]], 2).cumprod(2)
        return self._oriented(spins), z.new_zeros(len(z))

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = Spins().numbers(x)
        s = self._oriented(x)
        last = torch.cat([s[:, :-1, 0] * s[:, 1:, 0], s[:, :1, 0]], 1)
        walls = torch.cat([s[:, :, :-1] * s[:, :, 1:], last[:, :, None]], 2)
        return self._oriented(walls), x.new_zeros(len(x))

    def _oriented(self, x: Tensor) -> Tensor:
        return x if self.bonds == "right" else x.mT

    def pull_flip(self, action: Tensor) -> Tensor:
        return self.inverse(action[None])[0][0]  # f is linear over F2: f(a z) = f(a) f(z)

    def extra_repr(self) -> str:
        return f"shape={self.shape}, bonds={self.bonds}"
