"""What a system of ±1 spins looks like to a Monte Carlo kernel: neighbours, couplings, fields."""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from flowlab.systems import Ising
from flowlab.systems.lattice import neighbours

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class SpinGraph(NamedTuple):
    """Couplings and fields of E(s) = -½ Σ_i Σ_k couplings[i, k] s_i s_indices[i, k] - Σ_i fields[i] s_i.

    Attributes:
        indices: (N, z) neighbours of each site; a row with fewer than z is filled up with any site.
        couplings: (N, z) their couplings, zero where filled up; each bond stands in the rows of both its sites.
        fields: (N,).
    """

    indices: IntArray
    couplings: FloatArray
    fields: FloatArray


@singledispatch
def spin_graph(system: Any) -> SpinGraph:
    """The couplings and fields of a system of ±1 spins.

    A new kind of system gives them by ``@spin_graph.register``, or by having ``neighbours()``, which returns (N, z)
    site numbers and (N, z) couplings, and ``h``, (N,).

    Raises:
        TypeError: for a system whose energy is not known to be a sum over pairs and sites.

    >>> spin_graph(Ising((4, 4), T=1.0, h=0.5)).couplings.shape
    (16, 4)
    """
    if not callable(getattr(system, "neighbours", None)) or not hasattr(system, "h"):
        raise TypeError(f"parallel tempering needs spins with pair couplings and fields, got {type(system).__name__}")
    indices, couplings = system.neighbours()
    return SpinGraph(_array(indices, np.int64), _array(couplings, np.float64), _array(system.h, np.float64))


@spin_graph.register
def _(system: Ising) -> SpinGraph:
    J, h = (float(system.couplings[name].detach()) for name in ("J", "h"))
    indices = neighbours(system.shape).numpy()
    return SpinGraph(indices, np.full(indices.shape, J), np.full(system.n_sites, h))


def spread(*graphs: SpinGraph) -> float:
    """√(mean over sites of Σ_j J_ij² + 2 h_i²), the unit in which couplings are of order one; 1 where there are none.

    At infinite temperature the energy has the variance ½ N spread², and a local field without h has spread² on average:
    about 1 in the Sherrington-Kirkpatrick model, 2 on the square lattice with J = 1.

    >>> spread(spin_graph(Ising((4, 4), T=1.0, J=-3.0)))
    6.0
    """
    largest = max(float(np.abs(part).max(initial=0.0)) for graph in graphs for part in graph[1:])
    if largest == 0:
        return 1.0
    total = sum(_squares(graph, largest) for graph in graphs)
    return largest * math.sqrt(total / sum(len(graph.fields) for graph in graphs))


def _squares(graph: SpinGraph, unit: float) -> float:
    """Σ_i [Σ_j J_ij² + 2 h_i²] over units²; two bonds of a pair, as on a side of 2, are one of their sum."""
    n = len(graph.fields)
    pairs, place = np.unique(np.arange(n)[:, None] * n + graph.indices, return_inverse=True)
    bonds = np.bincount(place.ravel(), (graph.couplings / unit).ravel(), minlength=len(pairs))
    return float((bonds**2).sum() + 2 * ((graph.fields / unit) ** 2).sum())


def _array(values: Any, dtype: Any) -> NDArray[Any]:
    return np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values, dtype=dtype)


def stacked(graphs: list[SpinGraph], unit: float = 1.0) -> tuple[NDArray[Any], ...]:
    """Couplings of D systems for the kernels, in a ``unit``: matrices, indices, couplings, degrees, fields.

    Where at least a quarter of the pairs have a coupling, matrices are (D, N, N) float32, elsewhere (D, 0, 0); the
    tables are (D, N, z), of which the rows of a site are filled up to its degree, (D, N); the fields (D, N) float32.
    """
    N, z = len(graphs[0].fields), max(graph.indices.shape[1] for graph in graphs)
    D = len(graphs)
    indices, couplings = np.zeros((D, N, z), dtype=np.int64), np.zeros((D, N, z), dtype=np.float32)
    for d, graph in enumerate(graphs):
        indices[d, :, : graph.indices.shape[1]], couplings[d, :, : graph.indices.shape[1]] = (
            graph.indices,
            graph.couplings / unit,
        )
    degrees = z - (couplings[:, :, ::-1] != 0).argmax(-1)
    degrees[~couplings.any(-1)] = 0
    matrices = np.zeros((D, 0, 0), dtype=np.float32)
    if 4 * degrees.sum(1).max() > N**2:
        matrices = np.zeros((D, N, N), dtype=np.float32)
        np.add.at(matrices, (np.arange(D)[:, None, None], np.arange(N)[:, None], indices), couplings)
    return matrices, indices, couplings, degrees, np.stack([graph.fields / unit for graph in graphs]).astype(np.float32)
