"""Spin glasses: energies against plain sums, recipes of the instances, sparse against dense, bad input."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from torch import Tensor

from flowlab.core import named_generator
from flowlab.systems.spin_glass import SpinGlass

PAIR = np.array([[0.0, 1.0], [1.0, 0.0]])


def spins(n: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return 2.0 * torch.randint(0, 2, (n, *shape), generator=named_generator(0, "spins")).to(dtype) - 1


def couplings(n: int, seed: int = 0) -> np.ndarray:
    J = np.triu(np.random.default_rng(seed).standard_normal((n, n)), 1)
    return J + J.T


def ring(n: int) -> np.ndarray:
    """Random couplings along a ring: two neighbours a site."""
    J = np.zeros((n, n))
    J[np.arange(n), (np.arange(n) + 1) % n] = np.random.default_rng(1).standard_normal(n)
    return J + J.T


def energy_by_loops(s: np.ndarray, J: np.ndarray, h: np.ndarray) -> float:
    pairs = sum(J[i, j] * s[i] * s[j] for i in range(len(s)) for j in range(i + 1, len(s)))
    return -pairs - sum(h[i] * s[i] for i in range(len(s)))


@pytest.mark.parametrize("J", [couplings(7), ring(40)], ids=["dense", "sparse"])
def test_energy_and_local_fields(J: np.ndarray) -> None:
    n = len(J)
    h = np.random.default_rng(2).standard_normal(n)
    glass, x = SpinGlass(J, T=1.7, h=h), spins(9, n)
    expected = torch.tensor([energy_by_loops(s, J, h) for s in x.numpy()], dtype=torch.float64)
    torch.testing.assert_close(glass.energy(x), expected)
    torch.testing.assert_close(glass.log_weight(x), -expected / 1.7)
    torch.testing.assert_close(glass.observables(x)["energy_per_site"], expected / n)
    torch.testing.assert_close(glass.observables(x)["magnetization"], x.mean(1))
    fields = glass.local_fields(x)
    for i in range(n):
        flipped = x.clone()
        flipped[:, i] *= -1
        torch.testing.assert_close(glass.energy(flipped) - expected, 2 * x[:, i] * fields[:, i])


@pytest.mark.parametrize("J", [couplings(20), ring(40)], ids=["dense", "sparse"])
def test_every_kind_of_matrix_gives_the_same_glass(J: np.ndarray) -> None:
    n, tensor, x = len(J), torch.from_numpy(J), spins(5, len(J))
    sparse = scipy.sparse.coo_array(J)
    twice = scipy.sparse.coo_array(
        (np.tile(sparse.data / 2, 2), (np.tile(sparse.coords[0], 2), np.tile(sparse.coords[1], 2))), shape=J.shape
    )
    kinds = [J.tolist(), tensor, tensor.to_sparse(), sparse, scipy.sparse.csr_matrix(J), twice]
    for kind in kinds:
        glass = SpinGlass(kind, T=2.0)
        assert torch.equal(glass.J, tensor) and glass.J.dtype == torch.float64
        torch.testing.assert_close(glass.energy(x), -0.5 * ((x @ tensor) * x).sum(1))
        sites, bonds = glass.neighbours()
        assert sites.dtype == torch.int64 and bonds.dtype == torch.float64
        assert sites.shape == bonds.shape == (n, int((tensor != 0).sum(1).max()))
        assert torch.equal(torch.zeros(n, n, dtype=torch.float64).scatter_add_(1, sites, bonds), tensor)


def test_sherrington_kirkpatrick_recipe() -> None:
    J = np.zeros((12, 12))
    J[np.triu_indices(12, 1)] = np.random.default_rng(5).standard_normal(66) / math.sqrt(12)
    glass = SpinGlass.sherrington_kirkpatrick(12, T=0.5, seed=5)
    assert np.array_equal(glass.J.numpy(), J + J.T)
    assert (glass.shape, glass.dims, glass.domain, glass.n_sites) == ((12,), ("site",), "spin", 12)
    assert glass.title == "Sherrington-Kirkpatrick N = 12, instance 5, T = 0.5"
    assert glass.at(T=2.0).title == "Sherrington-Kirkpatrick N = 12, instance 5, T = 2"


@pytest.mark.parametrize("kind", ["gaussian", "pm1"])
@pytest.mark.parametrize("shape", [(9,), (2,), (3, 5), (8, 8), (2, 4), (2, 2), (4, 3, 2), (5, 4, 4)], ids=str)
def test_edwards_anderson(shape: tuple[int, ...], kind: str) -> None:
    glass = SpinGlass.edwards_anderson(shape, T=1.0, seed=3, kind=kind)
    rng, size = np.random.default_rng(3), (len(shape), *shape)
    J = rng.standard_normal(size) if kind == "gaussian" else 2.0 * rng.integers(0, 2, size) - 1
    x, expected = spins(6, *shape), 0.0
    for axis in range(len(shape)):
        expected = expected - (torch.from_numpy(J[axis]) * x * x.roll(-1, axis + 1)).flatten(1).sum(1)
    torch.testing.assert_close(glass.energy(x), expected)
    assert glass.shape == shape and glass.dims == ("z", "y", "x")[-len(shape) :]
    assert glass.local_fields(x).shape == x.shape
    torch.testing.assert_close(glass.local_fields(x.flatten(1)), glass.local_fields(x).flatten(1))
    dense = SpinGlass(glass.J, T=1.0, shape=shape)
    torch.testing.assert_close(dense.energy(x), glass.energy(x))
    assert kind == "gaussian" or set(J.flatten()) == {-1.0, 1.0}


def test_a_large_lattice_never_makes_a_matrix() -> None:
    glass = SpinGlass.edwards_anderson((64, 64), T=1.0)
    assert sum(buffer.numel() for buffer in glass.buffers()) <= 9 * 64**2
    x = spins(50, 64, 64, dtype=torch.float32)
    start = time.process_time()
    glass.energy(x)
    assert time.process_time() - start < 0.5  # as a matrix product it takes 1.7 GFlop and 64 MiB


def test_a_large_graph_with_hubs_never_makes_a_matrix() -> None:
    n, rng = 2000, np.random.default_rng(0)
    rows, columns = np.append(np.zeros(n - 1, int), np.arange(n - 1)), np.append(np.arange(1, n), np.arange(1, n))
    J = scipy.sparse.coo_array((rng.standard_normal(len(rows)), (rows, columns)), shape=(n, n)).tocsr()
    J = J + J.T
    glass = SpinGlass(J, T=1.0, h=0.3)
    assert sum(buffer.numel() for buffer in glass.buffers()) < 40 * n
    x = torch.from_numpy(rng.integers(0, 2, (5, n)) * 2.0 - 1).requires_grad_()
    energy = glass.energy(x)
    expected = -0.5 * ((J @ x.detach().numpy().T).T * x.detach().numpy()).sum(1) - 0.3 * x.detach().numpy().sum(1)
    np.testing.assert_allclose(energy.detach(), expected, rtol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(energy.sum(), x)[0], -glass.local_fields(x.detach()))
    assert abs(glass.J.numpy() - J.toarray()).max() == 0
    sites, bonds = glass.neighbours()
    assert sites.shape[0] == n and bonds[5].count_nonzero() == 3


def test_flip_symmetry_and_fields() -> None:
    x = spins(5, 7)
    plain, inside = SpinGlass(couplings(7), T=2.0), SpinGlass(couplings(7), T=2.0, h=0.3)
    assert plain.flip_symmetric and torch.equal(plain.log_weight(x), plain.log_weight(-x))
    assert not inside.flip_symmetric
    torch.testing.assert_close(inside.energy(x), plain.energy(x) - 0.3 * x.sum(1))
    assert inside.h.tolist() == [0.3] * 7 and inside.h.dtype == torch.float64
    on_lattice = SpinGlass(ring(6), T=1.0, h=np.arange(6.0).reshape(2, 3), shape=(2, 3))
    assert on_lattice.h.tolist() == list(range(6))
    assert inside.title == "Spin glass N = 7, in fields, T = 2"


def test_at_is_cheap_and_leaves_the_rest() -> None:
    glass, x = SpinGlass(couplings(7), T=2.0), spins(5, 7)
    T = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    other = glass.at(T=T)
    assert other.J.data_ptr() == glass.J.data_ptr()
    torch.testing.assert_close(other.log_weight(x), glass.log_weight(x) / 2)
    (gradient,) = torch.autograd.grad(other.log_weight(x).sum(), T)
    torch.testing.assert_close(gradient, glass.energy(x).sum() / 16)
    assert float(glass.couplings["T"]) == 2
    other.to(torch.float32)  # moving the copy moves the copy alone
    assert (other.J.dtype, glass.J.dtype, glass.h.dtype) == (torch.float32, torch.float64, torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("J", [couplings(7), ring(40)], ids=["dense", "sparse"])
def test_spins_keep_their_type(J: np.ndarray, dtype: torch.dtype) -> None:
    glass, x = SpinGlass(J, T=2.0, h=0.1), spins(4, len(J), dtype=dtype)
    values = [glass.log_weight(x), glass.local_fields(x), *glass.observables(x).values()]
    assert {value.dtype for value in values} == {dtype}
    assert not glass.state_dict() and not list(glass.parameters())


@pytest.mark.parametrize("J", [couplings(5), ring(40)], ids=["dense", "sparse"])
def test_gradient_reaches_the_spins(J: np.ndarray) -> None:
    glass, x = SpinGlass(J, T=2.0, h=0.2), spins(3, len(J)).requires_grad_()
    (gradient,) = torch.autograd.grad(glass.log_weight(x).sum(), x)
    torch.testing.assert_close(gradient, glass.local_fields(x.detach()) / 2)


def test_spins_without_couplings() -> None:
    free = SpinGlass(np.zeros((3, 3)), T=2.0, h=[1.0, 2.0, 3.0])
    assert free.energy(torch.ones(1, 3)).tolist() == [-6.0]
    assert free.neighbours()[0].shape == (3, 0) and not free.J.any()


def changed(i: int, j: int, value: float) -> np.ndarray:
    J = couplings(4)
    J[i, j] = value
    return J


@pytest.mark.parametrize(
    ("J", "message"),
    [
        (changed(0, 2, 9.0), r"J must be symmetric, got J\[0, 2\] = 9 and J\[2, 0\] = "),
        (np.triu(couplings(4), 1), r"J must be symmetric, got J\[.*\] = .* and J\[.*\] = "),
        (changed(1, 1, 0.5), r"J\[i, j\] must be 0 for i = j, got J\[1, 1\] = 0.5"),
        (changed(1, 3, math.nan), r"J\[i, j\] must be finite, got J\[1, 3\] = nan"),
        (changed(2, 0, -math.inf), r"J\[i, j\] must be finite, got J\[2, 0\] = -inf"),
        (np.zeros((3, 4)), r"J must be a square matrix, one row a site, got shape \(3, 4\)"),
        (np.zeros(4), r"J must be a square matrix, one row a site, got shape \(4,\)"),
        (np.zeros((0, 0)), r"J must be a square matrix, one row a site, got shape \(0, 0\)"),
        (couplings(4) * 1j, "J must hold real numbers, got complex128"),
    ],
)
def test_bad_couplings(J: np.ndarray, message: str) -> None:
    for kind in [J, torch.from_numpy(J)] + ([scipy.sparse.csr_array(J)] if J.ndim == 2 and J.size else []):
        with pytest.raises(ValueError, match=message):
            SpinGlass(kind, T=1.0)


def test_rounding_is_no_asymmetry() -> None:
    J = couplings(6)
    J[0, 1] *= 1 + 1e-15
    glass = SpinGlass(J, T=1.0)
    assert torch.equal(glass.J, glass.J.T)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpinGlass(PAIR, T=0.0), "T must be positive, got 0.0"),
        (lambda: SpinGlass(PAIR, T=1.0).at(T=-1.0), "T must be positive, got -1.0"),
        (lambda: SpinGlass(PAIR, T=math.nan), "T must be a finite number, got nan"),
        (
            lambda: SpinGlass(PAIR, T=1.0, h=[1.0]),
            r"h must have one field for each of the 2 sites of J, got shape \(1,\)",
        ),
        (lambda: SpinGlass(PAIR, T=1.0, h=[1.0, math.nan]), "h must be finite, got nan"),
        (lambda: SpinGlass(PAIR, T=1.0, h=[1.0, [1.0]]), "h must be an array whose rows have one length"),
        (lambda: SpinGlass([[0.0, 1.0], [1.0]], T=1.0), "J must be an array whose rows have one length"),
        (lambda: SpinGlass(PAIR, T=1.0, shape=(2, 2)), "shape must be up to three sides with 2 sites"),
        (lambda: SpinGlass.sherrington_kirkpatrick(1, T=1.0), "n must be a number of sites of at least 2, got 1"),
        (lambda: SpinGlass.sherrington_kirkpatrick(2**62, T=1.0), "n must be smaller, got 4611.*: there is no memory"),
        (lambda: SpinGlass.sherrington_kirkpatrick(4, T=1.0, seed=-1), "seed must be a whole number of at least 0"),
        (lambda: SpinGlass.edwards_anderson((4, 1), T=1.0), "shape must be one, two or three sides of at least 2"),
        (lambda: SpinGlass.edwards_anderson((2,) * 5, T=1.0), "shape must be one, two or three sides of at least 2"),
        (lambda: SpinGlass.edwards_anderson((4, 4), 1.0, kind="xy"), "kind must be 'gaussian' or 'pm1', got 'xy'"),
    ],
)
def test_bad_input(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_frustrated_plaquette() -> None:
    """One negative bond of four: the ground state is eightfold at E = -2, where the ferromagnet's is twofold at -4."""
    J = np.zeros((4, 4))
    for (i, j), value in {(0, 1): -1.0, (1, 2): 1.0, (2, 3): 1.0, (0, 3): 1.0}.items():
        J[i, j] = J[j, i] = value
    every = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=4)))
    energy = SpinGlass(J, T=1.0).energy(every)
    assert sorted(energy.tolist()) == [-2.0] * 8 + [2.0] * 8
