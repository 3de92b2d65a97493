"""What a system of ±1 spins looks like to a Monte Carlo kernel: neighbours, couplings, fields."""

from __future__ import annotations

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


def _array(values: Any, dtype: Any) -> NDArray[Any]:
    return np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values, dtype=dtype)


def stacked(graphs: list[SpinGraph]) -> tuple[NDArray[Any], ...]:
    """Couplings of D systems for the kernels: matrices, indices, couplings, fields.

    Where at least a quarter of the pairs have a coupling, matrices are (D, N, N) float32, elsewhere (D, 0, 0); the
    tables are (D, N, z), the fields (D, N) float32.
    """
    N, z = len(graphs[0].fields), max(graph.indices.shape[1] for graph in graphs)
    D = len(graphs)
    indices, couplings = np.zeros((D, N, z), dtype=np.int64), np.zeros((D, N, z), dtype=np.float32)
    for d, graph in enumerate(graphs):
        indices[d, :, : graph.indices.shape[1]], couplings[d, :, : graph.indices.shape[1]] = (
            graph.indices,
            graph.couplings,
        )
    matrices = np.zeros((D, 0, 0), dtype=np.float32)
    if 4 * z > N:
        matrices = np.zeros((D, N, N), dtype=np.float32)
        np.add.at(matrices, (np.arange(D)[:, None, None], np.arange(N)[:, None], indices), couplings)
    return matrices, indices, couplings, np.stack([graph.fields for graph in graphs]).astype(np.float32)
