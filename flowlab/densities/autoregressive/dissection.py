"""An order of the sites of any graph in which what is left falls apart: separators first, then the parts between."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowlab.densities.autoregressive.coupled import leading_sites_first

WHOLE = 1 / 3
"""Where no fewer than this fraction of the sites separates them, they stay together."""
DENSE = 1024
"""Sites up to which all eigenvectors are computed."""

IntArray = NDArray[np.int64]


def dissected(sites: Tensor, bonds: Tensor) -> Tensor:
    """Nested dissection of a graph: the sites of a small separator, then the parts that it leaves, each in this way.

    A part is halved along the second eigenvector of its Laplacian, and the separator is a smallest set of sites that
    meets every coupling between the halves. Parts that only a third of their sites or more would separate, such as
    dense graphs, are ordered as a whole by :func:`.leading_sites_first`.

    Args:
        sites, bonds: (N, z) neighbours of each site and their couplings, zero where a row is filled up.

    Returns:
        (N,) site numbers.

    Source: A. George, SIAM J. Numer. Anal. 10, 345 (1973); A. Pothen, H. D. Simon, K.-P. Liou, SIAM J. Matrix Anal.
    Appl. 11, 430 (1990).

    >>> chain = torch.tensor([[1, 1], [0, 2], [1, 3], [2, 4], [3, 3]])
    >>> bonds = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    >>> int(dissected(chain, bonds)[0]) in (1, 2)
    True
    """
    from scipy.sparse import coo_array  # slow to import
    from scipy.sparse.csgraph import connected_components

    to, values = sites.cpu().numpy(), bonds.detach().cpu().double().numpy()
    n = len(to)
    here = np.broadcast_to(np.arange(n)[:, None], to.shape)
    there = values != 0
    J = coo_array((values[there], (here[there], to[there])), shape=(n, n)).tocsr()
    found: list[int] = []
    parts: list[IntArray] = [np.arange(n)]
    while parts:
        part = parts.pop()
        inside = J[part][:, part]
        count, label = connected_components(inside, directed=False)
        if count > 1:
            parts += [part[label == k] for k in reversed(range(count))]
            continue
        between = _separator(inside) if len(part) > 1 else np.array([True])
        if between.mean() > max(WHOLE, 1.5 / len(part)):
            found += part[leading_sites_first(torch.from_numpy(inside.toarray())).numpy()].tolist()
            continue
        found += part[between].tolist()
        if not between.all():
            parts.append(part[~between])
    return torch.tensor(found)


def _separator(J: Any) -> NDArray[np.bool_]:
    """(n,) whether a site of a connected graph belongs to the separator of its halves."""
    from scipy.sparse.csgraph import maximum_bipartite_matching

    second = _second_eigenvector(J)
    ranked = np.argsort(second, kind="stable")
    half = np.zeros(len(ranked), dtype=bool)
    half[ranked[: len(ranked) // 2]] = True
    a, b = np.flatnonzero(half), np.flatnonzero(~half)
    cut = J[a][:, b].tocsr()
    match = maximum_bipartite_matching(cut, perm_type="column")
    # König: from unmatched sites of a, along any coupling to b and back along those of the matching
    reached_a, reached_b = match < 0, np.zeros(len(b), dtype=bool)
    partner = np.full(len(b), -1)
    partner[match[match >= 0]] = np.flatnonzero(match >= 0)
    todo = np.flatnonzero(reached_a & (np.diff(cut.indptr) > 0)).tolist()
    while todo:
        row = todo.pop()
        for column in cut.indices[cut.indptr[row] : cut.indptr[row + 1]]:
            if not reached_b[column]:
                reached_b[column] = True
                if not reached_a[partner[column]]:
                    reached_a[partner[column]] = True
                    todo.append(int(partner[column]))
    between = np.zeros(len(ranked), dtype=bool)
    between[a[~reached_a]] = True
    between[b[reached_b]] = True
    return between


def _second_eigenvector(J: Any) -> NDArray[np.float64]:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import laplacian
    from scipy.sparse.linalg import lobpcg

    L = laplacian(csr_array(abs(J) > 0, dtype=np.float64))
    n = L.shape[0]
    # a weak potential breaks ties between directions that a lattice does not tell apart
    tilt = np.cos(np.arange(n) * 0.7) * 1e-6
    if n <= DENSE:
        return np.asarray(np.linalg.eigh(L.toarray() + np.diag(tilt))[1][:, 1])
    start = np.random.default_rng(0).standard_normal((n, 3))
    _, vectors = lobpcg(L, start, Y=np.ones((n, 1)), largest=False, tol=1e-3, maxiter=200)
    return np.asarray(vectors[:, 0])
