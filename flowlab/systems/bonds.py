"""Couplings of spins, held in the way in which summing over them is cheapest."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

GATHER_BELOW = 1 / 16
"""Largest degree / N up to which gathering neighbours is cheaper than a matrix product."""
MANY = 1024
"""Sites from which a graph with few couplings goes without a matrix even where a site has many neighbours."""


class Bonds(nn.Module):
    """Symmetric J, from its entries other than 0 in raster order: a table of neighbours, both ends, or a matrix.

    A table (z, N) costs O(N z) a configuration, with z the largest number of neighbours; on large graphs with hubs both
    ends of each coupling, O(couplings); a matrix O(N²).

    Args:
        n: number of sites N.
        rows, columns, values: of each entry.

    >>> J = Bonds(3, np.array([0, 1]), np.array([1, 0]), np.array([0.5, 0.5]))
    >>> J.times(torch.tensor([[1.0, -1.0, 1.0]])).tolist(), J.dense().sum().item()
    ([[-0.5, 0.5, 0.0]], 1.0)
    """

    values: Tensor
    sites: Tensor | None
    ends: Tensor | None

    def __init__(self, n: int, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> None:
        super().__init__()
        self.n_sites = n
        held: dict[str, Tensor | None] = {"sites": None, "ends": None}
        if np.bincount(rows, minlength=n).max() <= GATHER_BELOW * n:
            held["sites"], held["values"] = table(n, rows, columns, values)
        elif n >= MANY and len(rows) <= GATHER_BELOW * n**2:
            held |= {"ends": torch.from_numpy(np.stack([rows, columns])), "values": torch.from_numpy(values)}
        else:
            matrix = torch.zeros(n, n, dtype=torch.float64)
            matrix[rows, columns] = torch.from_numpy(values)
            held["values"] = matrix
        for name, value in held.items():
            self.register_buffer(name, value, persistent=False)

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

    def dense(self) -> Tensor:
        """(N, N) J, made anew where it is not held as a matrix."""
        if self.sites is None and self.ends is None:
            return self.values
        empty = torch.zeros(self.n_sites, self.n_sites, dtype=self.values.dtype, device=self.values.device)
        if self.ends is not None:
            return empty.index_put_((self.ends[0], self.ends[1]), self.values)
        assert self.sites is not None
        return empty.scatter_add_(1, self.sites.T, self.values.T)

    def neighbours(self) -> tuple[Tensor, Tensor]:
        """(N, z) site numbers and (N, z) couplings, float64; rows are filled up with the site itself."""
        if self.sites is not None:
            return self.sites.T.contiguous(), self.values.T.contiguous().double()
        values = self.values.cpu().double().numpy()
        rows, columns = np.nonzero(values) if self.ends is None else self.ends.cpu().numpy()
        found = table(self.n_sites, rows, columns, values[rows, columns] if self.ends is None else values)
        sites, bonds = (part.T.contiguous().to(self.values.device) for part in found)
        return sites, bonds


def table(n: int, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> tuple[Tensor, Tensor]:
    """(z, N) site numbers of the neighbours and (z, N) couplings, from entries in raster order."""
    degree = np.bincount(rows, minlength=n)
    rank = np.arange(len(rows)) - (np.cumsum(degree) - degree)[rows]
    sites = np.tile(np.arange(n), (int(degree.max()), 1))
    bonds = np.zeros(sites.shape)
    sites[rank, rows], bonds[rank, rows] = columns, values
    return torch.from_numpy(sites), torch.from_numpy(bonds)
