"""Couplings that a user brings: read as they are, and refused by file, line and name."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
import torch

from flowlab.systems import SpinGlass
from flowlab.systems.couplings import MOST_DENSE, couplings_of, random_regular, read_couplings, read_fields

PUBLIC = Path(__file__).parents[1] / "data/ea2d_couplings_N100_J0_seed370513139.txt"


def matrix(n: int = 7, density: float = 0.6) -> np.ndarray:
    rng = np.random.default_rng(3)
    upper = np.triu(rng.standard_normal((n, n)) * (rng.random((n, n)) < density), 1)
    return upper + upper.T


def test_a_public_file_is_read_as_it_is():
    found = read_couplings(PUBLIC)
    assert found.sites.shape == (200, 2) and found.fields.shape == (100,) and not found.fields.any()
    assert found.values[found.sites.tolist().index([1, 11])] == 2.02416
    x = torch.from_numpy(np.random.default_rng(0).choice([-1.0, 1.0], (3, 100)))
    energy = -sum(float(J) * x[:, int(i)] * x[:, int(j)] for line in PUBLIC.read_text().splitlines()[1:]
                  if len(line.split()) == 3 for i, j, J in [line.split()])  # fmt: skip
    torch.testing.assert_close(SpinGlass.from_file(PUBLIC, T=1.0).energy(x), energy)


def test_all_kinds_of_files_and_objects_give_the_same(tmp_path):
    J, h = matrix(), np.linspace(-1, 1, 7)
    pairs = [(i, j, J[i, j]) for i, j in zip(*np.nonzero(np.triu(J)), strict=True)]
    (tmp_path / "a.txt").write_text("# N=7\n" + "".join(f"{j} {i} {float(v)!r}\n" for i, j, v in reversed(pairs)))
    (tmp_path / "b.csv").write_text("\ni,j,J\n" + "".join(f"{i}, {j}, {float(v)!r}\n" for i, j, v in pairs))
    np.save(tmp_path / "c.npy", J)
    np.savez(tmp_path / "d.npz", J=J, h=h)
    for kind in ("coo", "csr", "csc"):
        scipy.sparse.save_npz(tmp_path / f"{kind}.npz", scipy.sparse.coo_matrix(J).asformat(kind))
    graph = nx.Graph()
    graph.add_nodes_from(range(7))
    graph.add_weighted_edges_from(pairs)
    found = [read_couplings(path) for path in sorted(tmp_path.iterdir())]
    found += [couplings_of(one) for one in (J, torch.tensor(J), scipy.sparse.csr_array(J), graph)]
    for one in found:
        np.testing.assert_array_equal(one.matrix().to_dense().numpy(), J)
    np.testing.assert_array_equal(read_couplings(tmp_path / "d.npz").fields, h)
    np.testing.assert_array_equal(SpinGlass(graph, T=1.0).J.numpy(), J)


def test_a_graph_without_weights_has_couplings_of_one():
    assert couplings_of(nx.cycle_graph("abcd")).sites.tolist() == [[0, 1], [0, 3], [1, 2], [2, 3]]
    assert couplings_of(nx.cycle_graph(4)).values.tolist() == [1.0] * 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 1\n0 1\n1 0 2\n", "a.txt line 3: the pair 1 0 is there twice, first in line 1"),
        ("# N=3\n0 1 1\n0 3 1\n", "a.txt line 3: index 3 is out of range, there are at most 3 sites"),
        ("0 1 1\n0 99999 1\n", "a.txt line 2: index 99999 is out of range"),
        ("0 1 1\n-1 2 1\n", "a.txt line 2: index must be a whole number of at least 0"),
        ("0 1 1\n0 nan 1\n", "a.txt line 2: index must be a whole number"),
        ("0 1 1\n2 2 1\n", "a.txt line 2: site 2 is coupled to itself"),
        ("0 1 1\n\n1 2 nan\n", "a.txt line 3: J must be finite, got nan"),
        ("0 1 1\n1 inf\n", "a.txt line 2: h must be finite, got inf"),
        ("0 1 1\n1 2 J\n", "a.txt line 2: must be a pair 'i j J' or a field 'i h', got '1 2 J'"),
        ("0 1 1\n1 2 3 4\n", "a.txt line 2: must be a pair"),
        ("0 1 1\n1 0.5\n1 0.6\n", "a.txt line 3: the field of site 1 is there twice"),
        ("1 2 1\n2 3 1\n", "a.txt: no line names site 0, and sites are numbered from 0"),
        ("# nothing\n", "a.txt: there must be a coupling at least"),
    ],
)
def test_a_bad_line_is_named(tmp_path, text, message):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_couplings(tmp_path / "a.txt")


def test_other_bytes_and_other_kinds_are_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe0 1 1")
    (tmp_path / "a.pkl").write_bytes(b"")
    (tmp_path / "b.npy").write_bytes(b"nothing")
    (tmp_path / "b.npz").write_bytes(b"nothing")
    np.save(tmp_path / "c.npy", np.array([[None, 1], [1, None]]), allow_pickle=True)
    np.save(tmp_path / "d.npy", np.ones(3))
    np.savez(tmp_path / "e.npz", K=np.zeros((2, 2)))
    for name, message in {
        "a.txt": "a.txt must be text", "a.pkl": "a.pkl must be a file .txt, .dat, .csv, .npy, .npz, got '.pkl'",
        "b.npy": "b.npy: ", "b.npz": "b.npz: ", "c.npy": "c.npy: J must hold numbers, got objects",
        "d.npy": "d.npy: J must be a square matrix", "e.npz": "e.npz must hold J, or a sparse matrix of SciPy, got K",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=message):
            read_couplings(tmp_path / name)


@pytest.mark.parametrize(
    ("i", "j", "value", "message"),
    [
        (0, 1, 5.0, r"a.npy: J must be symmetric, got J\[0, 1\] = 5 and J\[1, 0\] = [-.\d]+$"),
        (2, 2, 1.0, r"a.npy: J\[i, j\] must be 0 for i = j, got J\[2, 2\] = 1"),
        (3, 4, np.nan, r"a.npy: J\[i, j\] must be finite, got J\[3, 4\] = nan"),
    ],
)
def test_a_bad_matrix_is_named(tmp_path, i, j, value, message):
    J = matrix()
    J[i, j] = value
    np.save(tmp_path / "a.npy", J)
    with pytest.raises(ValueError, match=message):
        read_couplings(tmp_path / "a.npy")


def test_of_one_triangle_it_is_said_how_both_are_made(tmp_path):
    np.savez(tmp_path / "a.npz", J=np.triu(matrix()))
    with pytest.raises(ValueError, match=r"must be symmetric, .* = 0: of one triangle, give J \+ J\.T$"):
        read_couplings(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", J=np.triu(matrix()) + np.triu(matrix()).T)
    np.testing.assert_array_equal(read_couplings(tmp_path / "a.npz").values, couplings_of(matrix()).values)


def test_graphs_that_are_none_are_refused():
    twice = nx.MultiGraph([(0, 1), (1, 0)])
    for graph, message in ((twice, "each edge once, got 0 - 1 twice"), (nx.DiGraph([(0, 1)]), "an undirected graph")):
        with pytest.raises(ValueError, match=message):
            couplings_of(graph)
    with pytest.raises(ValueError, match=r"0 for i = j, got J\[1, 1\]"):
        couplings_of(nx.Graph([(0, 1), (1, 1)]))


def header(path: Path, shape: tuple[int, ...]) -> None:
    """A file that says it has an array of this shape, and ends there."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())


def test_what_is_too_large_is_refused_before_it_is_read(tmp_path, monkeypatch):
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(600_000_000)  # 10⁸ lines of six bytes; none is on the disk
    header(tmp_path / "a.npy", (10_000, 10_000))
    with pytest.raises(ValueError, match=r"a\.txt must have at most 512 MiB, got 572: it is too large to read"):
        read_couplings(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"a\.npy: J must be at most 4096 x 4096, got 10000 x 10000"):
        read_couplings(tmp_path / "a.npy")
    monkeypatch.setattr("flowlab.systems.couplings.MOST_COUPLINGS", 3)
    (tmp_path / "b.txt").write_text("".join(f"{i} {i + 1} 1\n" for i in range(9)))
    with pytest.raises(ValueError, match=r"b\.txt line 4: there must be at most 3 couplings"):
        read_couplings(tmp_path / "b.txt")


def test_fields_are_read(tmp_path):
    h = np.array([0.5, -1.0, 2.0])
    np.save(tmp_path / "h.npy", h)
    np.savetxt(tmp_path / "h.txt", h)
    for name in ("h.npy", "h.txt"):
        np.testing.assert_array_equal(read_fields(tmp_path / name), h)
    (tmp_path / "n.txt").write_text("0.5\nnan\n")
    (tmp_path / "w.txt").write_text("0.5\nword\n")
    for name, message in (("n.txt", "must hold a finite field"), ("w.txt", "w.txt: ")):
        with pytest.raises(ValueError, match=message):
            read_fields(tmp_path / name)


@pytest.mark.parametrize(("n", "degree"), [(10, 3), (50, 4), (8, 7), (8, 5), (2, 1), (300, 6)])
def test_random_graphs_are_regular_and_simple(n, degree):
    pairs = random_regular(n, degree, np.random.default_rng(1))
    assert (np.bincount(pairs.ravel(), minlength=n) == degree).all()
    assert len(np.unique(pairs, axis=0)) == len(pairs) == n * degree // 2 and (pairs[:, 0] < pairs[:, 1]).all()


def test_random_graphs_of_five_sites_are_equally_likely():
    """Of degree 2 there are 12, all of them rings."""
    rng = np.random.default_rng(0)
    seen: dict[Any, int] = {}
    for _ in range(600):
        key = tuple(map(tuple, random_regular(5, 2, rng).tolist()))
        seen[key] = seen.get(key, 0) + 1
    assert len(seen) == 12
    assert sum((count - 50) ** 2 / 50 for count in seen.values()) < 31  # chi² with 11, 0.1 %


def test_a_sparse_graph_of_4096_sites_takes_no_matrix(tmp_path):
    pairs = random_regular(MOST_DENSE, 3, np.random.default_rng(0))
    (tmp_path / "a.txt").write_text("".join(f"{i} {j} 1\n" for i, j in pairs))
    glass = SpinGlass.from_file(tmp_path / "a.txt", T=1.0)
    assert sum(part.numel() for part in glass.buffers()) < 8 * MOST_DENSE
    assert float(glass.energy(torch.ones(1, MOST_DENSE))) == -3 * MOST_DENSE / 2
    assert all(part.numel() <= 3 * MOST_DENSE for part in glass.buffers() if part is not None)


def test_a_lattice_of_four_sides():
    glass = SpinGlass.edwards_anderson((3, 3, 3, 3), T=1.0, seed=1, kind="pm1")
    assert glass.shape == (81,) and ((glass.J != 0).sum(1) == 8).all() and torch.equal(glass.J, glass.J.T)
    assert int((SpinGlass.edwards_anderson((2, 2, 2, 2), 1.0, boundary="open").J != 0).sum()) == 2 * 32


def test_hopfield_remembers():
    glass = SpinGlass.hopfield(200, patterns=3, T=0.1, seed=4)
    patterns = 2.0 * np.random.default_rng(4).integers(0, 2, (3, 200)) - 1
    x = torch.from_numpy(patterns)
    assert bool((glass.local_fields(x) * x > 0).all())
