"""Couplings that a user brings: lists of pairs, matrices and graphs in memory, and files of them."""

from __future__ import annotations

import math
import re
import zipfile
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MOST_SITES = 1 << 16
MOST_DENSE = 1 << 12
"""Sites of a matrix in a file."""
MOST_COUPLINGS = MOST_DENSE * (MOST_DENSE - 1) // 2
MOST_BYTES = 1 << 29
"""Of a file: 10⁸ entries have more."""


class Couplings(NamedTuple):
    """Couplings and fields of N spins, as lists.

    Attributes:
        sites: (E, 2) int64, the two sites of each coupled pair, once, the smaller one first, in raster order.
        values: (E,) float64, J_ij in energy units.
        fields: (N,) float64, h_i.

    >>> pairs = Couplings(np.array([[0, 1], [1, 2]]), np.array([1.0, -1.0]), np.zeros(3))
    >>> pairs.matrix().to_dense().tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, -1.0], [0.0, -1.0, 0.0]]
    """

    sites: NDArray[np.int64]
    values: NDArray[np.float64]
    fields: NDArray[np.float64]

    def matrix(self) -> Tensor:
        """(N, N) sparse symmetric J, float64."""
        n = len(self.fields)
        both = torch.from_numpy(np.concatenate([self.sites, self.sites[:, ::-1]]).T.copy())
        values = torch.from_numpy(np.tile(self.values, 2))
        return torch.sparse_coo_tensor(both, values, (n, n), check_invariants=False)


def couplings_of(J: Any) -> Couplings:
    """The couplings of a matrix or graph, without fields.

    Args:
        J: (N, N), symmetric with zero diagonal: an array, a dense or sparse tensor, a SciPy sparse matrix; or an
            undirected graph with ``nodes`` and ``edges(data=True)``, as networkx has them, whose edges carry ``J`` or
            ``weight``, 1 where neither; sites are its nodes in their order.

    Raises:
        ValueError: for a matrix that is not symmetric, not finite or not square, a site coupled to itself, a directed
            graph, or an edge that is there twice.

    >>> couplings_of(np.array([[0.0, 2.0], [2.0, 0.0]])).values.tolist()
    [2.0]
    """
    n, rows, columns, values = entries(J)
    upper = rows < columns
    return Couplings(np.stack([rows[upper], columns[upper]], 1), values[upper], np.zeros(n))


def read_couplings(path: str | Path) -> Couplings:
    """The couplings, and fields if there are any, in a file.

    Text (``.txt``, ``.dat``, ``.csv``) has a line ``i j J`` for each pair, once, and ``i h`` for fields, separated by
    blanks, tabs, commas or semicolons; sites are numbered from 0; ``#`` begins a comment, in which ``N=100`` says how
    many sites there are. ``.npy`` has a symmetric (N, N) matrix; ``.npz`` one of the name ``J``, with ``h`` (N,) if
    there are fields, or a matrix by ``scipy.sparse.save_npz``.

    Raises:
        ValueError: for an unknown kind of file, one beyond 4,096 x 4,096 entries of a matrix, 8,386,560 lines of
            couplings or 65,536 sites, and what does not describe couplings: names the file and the line.
        OSError: where it cannot be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "J.csv"
    >>> _ = path.write_text("i,j,J\\n0,1,0.5\\n1,2,-1\\n")
    >>> read_couplings(path).sites.tolist(), read_couplings(path).values.tolist()
    ([[0, 1], [1, 2]], [0.5, -1.0])
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], Couplings]] = {
        ".txt": _read_text, ".dat": _read_text, ".csv": _read_text, ".npy": _read_matrix, ".npz": _read_archive,
    }  # fmt: skip
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path} must be a file {', '.join(readers)}, got {path.suffix or 'no suffix'!r}")
    _refuse_large(path, path.stat().st_size)
    try:
        found = readers[path.suffix.lower()](path)
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    return found


def read_fields(path: str | Path) -> NDArray[np.float64]:
    """(N,) fields in a file: a number a line (``.txt``, ``.dat``, ``.csv``), or an array (``.npy``).

    Raises:
        ValueError: for another kind of file, and for what is no list of finite numbers.
        OSError: where it cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() not in (".txt", ".dat", ".csv", ".npy"):
        raise ValueError(f"{path} must be a file .txt, .dat, .csv or .npy, got {path.suffix or 'no suffix'!r}")
    _refuse_large(path, path.stat().st_size)
    try:
        if path.suffix.lower() == ".npy":
            found = floats(np.load(path, mmap_mode="r", allow_pickle=False), "h")
        else:
            found = np.loadtxt(path, max_rows=MOST_SITES + 1, ndmin=1)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: {error}") from None
    fields = np.asarray(found, dtype=np.float64) if found.ndim == 1 and len(found) <= MOST_SITES else np.empty(0)
    if not len(fields) or not np.isfinite(fields).all():
        raise ValueError(f"{path} must hold a finite field for each site, at most {MOST_SITES}, got {found.shape}")
    return fields


def _refuse_large(path: Path, size: int) -> None:
    if size > MOST_BYTES:
        raise ValueError(f"{path} must have at most {MOST_BYTES >> 20} MiB, got {size >> 20}: it is too large to read")


def random_regular(n: int, degree: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The pairs of a random graph of n sites with ``degree`` neighbours each, (n · degree / 2, 2), in raster order.

    Ends of bonds are paired at random; those that would join a site to itself, or a pair twice, are paired again, and
    where nothing else is left all of them are (Steger and Wormald 1999).

    Raises:
        ValueError: for numbers of which there is no such graph.

    >>> np.bincount(random_regular(6, 3, np.random.default_rng(0)).ravel()).tolist()
    [3, 3, 3, 3, 3, 3]
    """
    if int(n) != n or n < 2:
        raise ValueError(f"n must be a number of sites of at least 2, got {n}")
    if int(degree) != degree or not 1 <= degree < n or n * degree % 2:
        raise ValueError(f"degree must be from 1 to n - 1, and n · degree even, got n = {n} and degree = {degree}")
    if 2 * degree > n - 1:  # all pairs but those of a sparse graph
        others = random_regular(n, n - 1 - degree, rng) if degree < n - 1 else np.empty((0, 2), np.int64)
        rows, columns = np.triu_indices(n, 1)
        kept = ~np.isin(rows * n + columns, others[:, 0] * n + others[:, 1])
        return np.stack([rows[kept], columns[kept]], axis=1)
    while True:
        taken: NDArray[np.int64] = np.empty(0, np.int64)
        left, failed = np.repeat(np.arange(n), degree), 0
        while failed < 8:
            pairs = np.sort(rng.permutation(left).reshape(-1, 2), axis=1)
            numbers = pairs[:, 0] * n + pairs[:, 1]
            good = (pairs[:, 0] != pairs[:, 1]) & ~np.isin(numbers, taken)
            good[good] &= _first(numbers[good])
            failed = 0 if good.any() else failed + 1
            taken, left = np.append(taken, numbers[good]), pairs[~good].ravel()
            if not len(left):
                taken.sort()
                return np.stack([taken // n, taken % n], axis=1)


def _first(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each is the first of its like."""
    found = np.zeros(len(numbers), dtype=bool)
    found[np.unique(numbers, return_index=True)[1]] = True
    return found


# text


def _read_text(path: Path) -> Couplings:
    pairs, values, lines = array("q"), array("d"), array("q")
    fields: dict[int, float] = {}
    stated = None
    first = True
    for number, line in _lines(path):
        line, _, comment = line.partition("#")
        if comment and stated is None and (said := re.search(r"\bN\s*=\s*(\d+)", comment)):
            stated = int(said[1])
        words = line.replace(",", " ").replace(";", " ").split()
        names = first and bool(words) and not any(map(_is_number, words))  # of columns
        first = first and not words
        if not words or names:
            continue
        named, value = _parsed(path, number, words)
        if len(named) == 2:
            pairs.extend(named)
            values.append(value)
            lines.append(number)
            if len(lines) > MOST_COUPLINGS:
                raise ValueError(f"{path} line {number}: there must be at most {MOST_COUPLINGS} couplings")
        elif named[0] in fields:
            raise ValueError(f"{path} line {number}: the field of site {named[0]} is there twice")
        else:
            fields[named[0]] = value
        if (largest := max(named)) >= (most := MOST_SITES if stated is None else min(stated, MOST_SITES)):
            raise ValueError(f"{path} line {number}: index {largest} is out of range, there are at most {most} sites")
    sites = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    _refuse_from_one(path, sites, fields, stated)
    n = stated or 1 + max(int(sites.max(initial=-1)), max(fields, default=-1))
    _refuse_twice(path, sites, np.array(lines), n)
    external = np.zeros(n)
    external[list(fields)] = list(fields.values())
    return _ordered(sites, np.array(values), external)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8-sig") as lines:
        try:
            yield from enumerate(lines, 1)
        except UnicodeDecodeError:
            raise ValueError(f"{path} must be text, got other bytes") from None


def _parsed(path: Path, number: int, words: list[str]) -> tuple[list[int], float]:
    """Sites and value of a line, checked as far as a line can be."""
    if len(words) not in (2, 3) or not all(map(_is_number, words)):
        raise ValueError(f"{path} line {number}: must be a pair 'i j J' or a field 'i h', got {' '.join(words)[:60]!r}")
    *sites, value = map(float, words)
    if not math.isfinite(value):
        raise ValueError(f"{path} line {number}: {'J' if len(sites) == 2 else 'h'} must be finite, got {value}")
    if not all(math.isfinite(site) and site >= 0 and site == int(site) for site in sites):
        raise ValueError(f"{path} line {number}: index must be a whole number of at least 0, got {' '.join(words)!r}")
    if len(set(sites)) < len(sites):
        raise ValueError(f"{path} line {number}: site {int(sites[0])} is coupled to itself")
    return list(map(int, sites)), value


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _refuse_from_one(path: Path, sites: NDArray[np.int64], fields: dict[int, float], stated: int | None) -> None:
    """A list that begins at site 1 would else have one free spin more."""
    if stated is None and len(sites) and sites.min() == 1 and min(fields, default=1) == 1:
        raise ValueError(
            f"{path}: no line names site 0, and sites are numbered from 0: subtract 1, or say '# N={sites.max() + 1}' "
            "where site 0 has no couplings"
        )


def _refuse_twice(path: Path, sites: NDArray[np.int64], lines: NDArray[np.int64], n: int) -> None:
    if not len(sites):
        raise ValueError(f"{path}: there must be a coupling at least, got none")
    pair = sites.min(1) * n + sites.max(1)
    order = np.argsort(pair, kind="stable")
    twice = order[1:][np.diff(pair[order]) == 0]
    if len(twice):
        at = int(twice.min())
        before = int(np.flatnonzero(pair == pair[at])[0])
        i, j = map(int, sites[at])
        raise ValueError(f"{path} line {lines[at]}: the pair {i} {j} is there twice, first in line {lines[before]}")


def _ordered(sites: NDArray[np.int64], values: NDArray[np.float64], fields: NDArray[np.float64]) -> Couplings:
    sites = np.sort(sites, axis=1)
    order = np.lexsort((sites[:, 1], sites[:, 0]))
    kept = order[values[order] != 0]
    return Couplings(sites[kept], values[kept], fields)


# matrices in files


def _read_matrix(path: Path) -> Couplings:
    with path.open("rb") as file:
        _check_header(file, "J")
    return couplings_of(np.load(path, allow_pickle=False))


def _read_archive(path: Path) -> Couplings:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            _refuse_large(path, member.file_size)
            with archive.open(member) as file:
                _check_header(file, member.filename.removesuffix(".npy"))
    with np.load(path, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    if "J" not in found and {"format", "shape", "data"} <= found.keys():
        return couplings_of(_Sparse(found))
    if "J" not in found:
        raise ValueError(f"{path} must hold J, or a sparse matrix of SciPy, got {', '.join(found) or 'nothing'}")
    pairs = couplings_of(found["J"])
    if "h" not in found:
        return pairs
    h = floats(found["h"], "h").astype(np.float64)
    if h.shape != pairs.fields.shape or not np.isfinite(h).all():
        raise ValueError(f"{path}: h must hold a finite field for each of the {len(pairs.fields)} sites")
    return pairs._replace(fields=h)


def _check_header(file: IO[bytes], name: str) -> None:
    """Refuse an array that is too large, or no array of numbers, before it is read."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError(f"{name} must hold numbers, got objects")
    if math.prod(shape) * dtype.itemsize > MOST_BYTES or (len(shape) == 2 and max(shape) > MOST_DENSE):
        raise ValueError(f"{name} must be at most {MOST_DENSE} x {MOST_DENSE}, got {' x '.join(map(str, shape))}")


class _Sparse:
    """A matrix as ``scipy.sparse.save_npz`` writes it, with rows and columns for what may be both."""

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        kind = arrays["format"].item()
        self.shape = tuple(int(side) for side in arrays["shape"])
        if len(self.shape) != 2 or max(self.shape) > MOST_SITES:
            raise ValueError(f"J must be a square matrix of at most {MOST_SITES} sites, got {self.shape}")
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        if kind == "coo":
            rows, columns = arrays["row"], arrays["col"]
        elif kind in ("csr", "csc"):
            rows = np.repeat(np.arange(len(arrays["indptr"]) - 1), np.diff(arrays["indptr"]))
            columns = arrays["indices"]
        else:
            raise ValueError(f"J must be a sparse matrix in format coo, csr or csc, got {kind!r}")
        self.data, self.row, self.col = arrays["data"], rows.astype(np.int64), columns.astype(np.int64)
        if not len(self.data) == len(self.row) == len(self.col):
            raise ValueError("J must have as many indices as values")
        if len(self.row) and not (0 <= min(self.row.min(), self.col.min()) <= max(self.row.max(), self.col.max())
                                  < self.shape[0]):  # fmt: skip
            raise ValueError(f"J has an index out of range for {self.shape[0]} sites")

    def tocsr(self) -> _Sparse:
        return self

    tocoo = tocsr


# matrices and graphs in memory


def entries(J: Any) -> tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """N and the rows, columns and values of the entries of J other than 0, in raster order, checked."""
    size, rows, columns, values = _coordinates(J)
    if len(size) != 2 or size[0] != size[1] or size[0] == 0:
        raise ValueError(f"J must be a square matrix, one row a site, got shape {size}")
    n, tolerance = size[0], 64 * np.finfo(values.dtype).eps
    values = values.astype(np.float64)
    for wrong, problem in ((~np.isfinite(values), "be finite"), ((rows == columns) & (values != 0), "be 0 for i = j")):
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise ValueError(f"J[i, j] must {problem}, got J[{rows[at]}, {columns[at]}] = {values[at]:g}")
    entry, index = np.unique(np.append(rows * n + columns, columns * n + rows), return_inverse=True)
    mean = np.bincount(index, np.tile(values, 2), minlength=len(entry)) / 2
    half = np.bincount(index, np.append(values, -values), minlength=len(entry)) / 2
    if len(entry) and np.abs(half).max() > tolerance * np.abs(mean).max():
        at = int(np.abs(half).argmax())
        i, j = divmod(int(entry[at]), n)
        one, other = mean[at] + half[at], mean[at] - half[at]
        hint = ": of one triangle, give J + J.T" if np.array_equal(np.abs(half), np.abs(mean)) else ""
        raise ValueError(f"J must be symmetric, got J[{i}, {j}] = {one:g} and J[{j}, {i}] = {other:g}{hint}")
    kept = mean != 0
    return n, entry[kept] // n, entry[kept] % n, mean[kept]


def _coordinates(J: Any) -> tuple[tuple[int, ...], NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Shape, rows, columns and values of a matrix of any kind; of a dense one every entry but 0."""
    if callable(getattr(J, "edges", None)) and hasattr(J, "nodes"):
        return _graph(J)
    if isinstance(J, Tensor):
        J = J.detach().cpu()
        if J.layout != torch.strided:
            J = J.to_sparse_coo().coalesce()
            (rows, columns), values = J.indices().numpy(), J.values().numpy()
            return tuple(J.shape), rows, columns, floats(values)
    if hasattr(J, "tocoo"):  # a SciPy sparse matrix or array, whose duplicates tocsr adds up
        J = J.tocsr().tocoo()
        return tuple(J.shape), J.row.astype(np.int64), J.col.astype(np.int64), floats(J.data)
    dense = floats(as_array(J, "J"))
    if dense.ndim != 2:
        return dense.shape, np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    rows, columns = np.nonzero(dense)
    return dense.shape, rows, columns, dense[rows, columns]


def _graph(graph: Any) -> tuple[tuple[int, ...], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    if callable(getattr(graph, "is_directed", None)) and graph.is_directed():
        raise ValueError("J must be an undirected graph, got a directed one")
    place = {node: i for i, node in enumerate(graph.nodes)}
    found: dict[tuple[int, int], float] = {}
    for one, other, data in graph.edges(data=True):
        i, j = place[one], place[other]
        if (min(i, j), max(i, j)) in found:
            raise ValueError(f"J must have each edge once, got {one!r} - {other!r} twice")
        found[min(i, j), max(i, j)] = float(data.get("J", data.get("weight", 1.0)))
    pairs, values = np.array(list(found), dtype=np.int64).reshape(-1, 2), np.array(list(found.values()))
    apart = pairs[:, 0] != pairs[:, 1]  # the diagonal stands once in a matrix
    rows = np.append(pairs[:, 0], pairs[apart, 1])
    return (len(place),) * 2, rows, np.append(pairs[:, 1], pairs[apart, 0]), np.append(values, values[apart])


def as_array(values: Any, name: str) -> NDArray[Any]:
    """An array of whatever NumPy makes one of; ValueError for rows of unequal lengths.

    >>> as_array([[1.0, 2.0], [3.0]], "J")
    Traceback (most recent call last):
    ValueError: J must be an array whose rows have one length, got [[1.0, 2.0], [3.0]]
    """
    try:
        return np.asarray(values)
    except ValueError:
        text = repr(values)
        shown = text if len(text) <= 80 else f"{text[:80]}..."
        raise ValueError(f"{name} must be an array whose rows have one length, got {shown}") from None


def floats(values: NDArray[Any], name: str = "J") -> NDArray[Any]:
    """Numbers in their own floating precision, whole ones in double; ValueError for what are none."""
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, got {values.dtype}")
    return values if values.dtype.kind == "f" else values.astype(np.float64)
