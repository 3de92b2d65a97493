"""Couplings of spins, held in the way in which summing over them is cheapest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

GATHER_BELOW = 1 / 16
"""Largest degree / N up to which gathering neighbours is cheaper than a matrix product."""
MANY = 1024
"""Sites from which a graph with few couplings goes without a matrix even where a site has many neighbours."""


class Bonds(NamedTuple):
    """Symmetric J as a table of neighbours, as both ends of each coupling, or as a matrix; see :func:`hold`.

    A table (z, N) costs O(N z) a configuration, with z the largest number of neighbours; on large graphs with hubs both
    ends of each coupling, O(couplings); a matrix O(N²).

    Attributes:
        values: couplings, (z, N), (couplings,) or (N, N).
        sites: (z, N) whom each is with, None where there is no table.
        ends: (2, couplings) rows and columns, None where there are none.
    """

    values: Tensor
    sites: Tensor | None = None
    ends: Tensor | None = None

    def times(self, x: Tensor) -> Tensor:
        """(n, N) -> (n, N): Σ_j J_ij x_j."""
        values = self.values.to(x.dtype)
        if self.ends is not None:
            rows, columns = self.ends
            along = x.T.index_select(0, columns) * values[:, None]
            return torch.zeros_like(x.T).index_add(0, rows, along).T
        if self.sites is None:
            return x @ values
        total = torch.zeros_like(x)
        for site, value in zip(self.sites, values, strict=True):
            total = torch.addcmul(total, value, x.index_select(1, site))
        return total

    def dense(self, n: int) -> Tensor:
        """(N, N) J of n sites, made anew where it is not held as a matrix."""
        if self.sites is None and self.ends is None:
            return self.values
        empty = torch.zeros(n, n, dtype=self.values.dtype, device=self.values.device)
        if self.ends is not None:
            return empty.index_put_((self.ends[0], self.ends[1]), self.values)
        assert self.sites is not None
        return empty.scatter_add_(1, self.sites.T, self.values.T)

    def neighbours(self, n: int) -> tuple[Tensor, Tensor]:
        """(N, z) site numbers and (N, z) couplings, float64; rows are filled up with the site itself."""
        if self.sites is not None:
            return self.sites.T.contiguous(), self.values.T.contiguous().double()
        values = self.values.cpu().double().numpy()
        rows, columns = np.nonzero(values) if self.ends is None else self.ends.cpu().numpy()
        found = table(n, rows, columns, values[rows, columns] if self.ends is None else values)
        sites, bonds = (part.T.contiguous().to(self.values.device) for part in found)
        return sites, bonds


def hold(n: int, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> Bonds:
    """Couplings of n sites from their entries in raster order, held so that sums over them are cheapest.

    >>> J = hold(3, np.array([0, 1]), np.array([1, 0]), np.array([0.5, 0.5]))
    >>> J.times(torch.tensor([[1.0, -1.0, 1.0]], dtype=torch.float64)).tolist(), J.dense(3).sum().item()
    ([[-0.5, 0.5, 0.0]], 1.0)
    """
    if np.bincount(rows, minlength=n).max() <= GATHER_BELOW * n:
        sites, bonds = table(n, rows, columns, values)
        return Bonds(bonds, sites=sites)
    if n >= MANY and len(rows) <= GATHER_BELOW * n**2:
        return Bonds(torch.from_numpy(values), ends=torch.from_numpy(np.stack([rows, columns])))
    matrix = torch.zeros(n, n, dtype=torch.float64)
    matrix[rows, columns] = torch.from_numpy(values)
    return Bonds(matrix)


def table(n: int, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> tuple[Tensor, Tensor]:
    """(z, N) site numbers of the neighbours and (z, N) couplings, from entries in raster order."""
    degree = np.bincount(rows, minlength=n)
    rank = np.arange(len(rows)) - (np.cumsum(degree) - degree)[rows]
    sites = np.tile(np.arange(n), (int(degree.max()), 1))
    bonds = np.zeros(sites.shape)
    sites[rank, rows], bonds[rank, rows] = columns, values
    return torch.from_numpy(sites), torch.from_numpy(bonds)
