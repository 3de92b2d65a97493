"""What the rows below say to a row: boundary matrix-product states, compressed row by row.

The message M_y(s) is the sum, over all rows below row y, of the weight of these rows and of their bonds to it. As a
matrix-product state over the sites of the row it grows by a factor q with every row, and is cut back to chi by a sweep
of QR decompositions and one of singular values, which together drop as little of its norm as can be.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowlab.core import Plane

Array = NDArray[np.float64]

NOISE = 1e-15
"""Singular values below this part of the largest are rounding errors, and are dropped."""


class Messages(NamedTuple):
    """The message to each row.

    Attributes:
        sites: row -> site -> (q, left bond, right bond).
        log_z: ln of the sum over all rows, as the compressed messages have it.
        truncation: (n,) the largest part of a squared norm that a bond of the message to a row lost.
    """

    sites: list[list[Tensor]]
    log_z: float
    truncation: Array


class Contraction:
    """The messages of a plane, found when they are asked for first. Copies share them; several threads may ask.

    Args:
        plane: open along y.
        chi: largest bond dimension.
    """

    def __init__(self, plane: Plane, chi: int) -> None:
        self.plane, self.chi = plane, chi
        self._lock = threading.Lock()
        self._found: dict[torch.device, Messages] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Contraction:
        return self

    def messages(self, device: torch.device) -> Messages:
        """The messages, on a device."""
        with self._lock:
            if device not in self._found:
                home = torch.device("cpu")
                if home not in self._found:
                    self._found[home] = contracted(self.plane, self.chi)
                here = self._found[home]
                self._found[device] = here._replace(sites=[[site.to(device) for site in row] for row in here.sites])
            return self._found[device]


def contracted(plane: Plane, chi: int) -> Messages:
    """The message to every row, from the last row up.

    >>> one = torch.zeros(2, 2, 2, 2, dtype=torch.float64)
    >>> round(contracted(Plane(one[..., 0], one, one), 4).log_z, 9)  # 16 configurations of weight 1
    2.772588722
    """
    site, right, down = (part.cpu().numpy() for part in plane)
    n, m, q = site.shape
    row, log_norm = [np.ones((1, q, 1)) for _ in range(m)], 0.0
    rows, truncation = [row], np.zeros(n)
    for y in range(n - 1, 0, -1):
        grown = _with_row(row, site[y], right[y], down[y - 1])
        row, log_norm, truncation[y - 1] = _compressed(grown, log_norm, chi)
        rows.append(row)
    top, log_norm, _ = _compressed(_with_row(row, site[0], right[0], np.zeros((m, q, q))), log_norm, chi)
    total = np.ones(1)
    for tensor in top:
        total = total @ tensor[:, 0]
    sites = [[torch.from_numpy(np.ascontiguousarray(a.transpose(1, 0, 2))) for a in row] for row in rows[::-1]]
    return Messages(sites, log_norm + float(np.log(np.abs(total[0]))), truncation)


def _with_row(row: list[Array], site: Array, right: Array, down: Array) -> list[Array]:
    """A message and the row that it is to, as one to the row above; the bonds grow by q, around a ring by q².

    Args:
        row: site -> (left, q, right), the message.
        site, right: of its row.
        down: (m, q, q), from the row above.
    """
    m, q = site.shape
    ring = bool(right[-1].any())
    grown = []
    for x, tensor in enumerate(row):
        before = np.exp(right[x - 1]) if x else np.ones((1, q))
        one = before[:, None] * np.exp(site[x] + down[x])  # (state to the left, state above, state)
        part = tensor.transpose(0, 2, 1)[:, None, None] * one[:, :, None]  # (left, to the left, above, right, state)
        if ring:
            part = _around(part, x, m, np.exp(right[-1]))
        elif x == m - 1:
            part = part.sum(-1)
        left = tensor.shape[0] * (1 if x == 0 else q * q if ring else q)
        grown.append(part.reshape(left, q, -1))
    return grown


def _around(part: Array, x: int, m: int, closing: Array) -> Array:
    """Carry the state of the first site along a ring, in the last place of each bond."""
    q = len(closing)
    if x == 0:
        return part[..., None] * np.eye(q)
    if x < m - 1:
        return part[:, :, None, ..., None] * np.eye(q)[:, None, None, None, :]
    closed: Array = np.einsum("liurj,ja->liaur", part, closing)
    return closed


def _compressed(row: list[Array], log_norm: float, chi: int) -> tuple[list[Array], float, float]:
    """A message with bonds of at most ``chi``, ln of its norm, and the largest part that one bond lost."""
    row, lost = list(row), 0.0
    for x in range(len(row) - 1):
        left, q, _ = row[x].shape
        basis, rest = np.linalg.qr(row[x].reshape(left * q, -1))
        row[x] = basis.reshape(left, q, -1)
        size = np.abs(rest).max()
        row[x + 1], log_norm = np.tensordot(rest / size, row[x + 1], 1), log_norm + np.log(size)
    for x in range(len(row) - 1, 0, -1):
        left, q, _ = row[x].shape
        u, s, basis = np.linalg.svd(row[x].reshape(left, -1), full_matrices=False)
        kept = max(1, min(chi, int((s > NOISE * s[0]).sum())))
        lost = max(lost, float((s[kept:] ** 2).sum() / (s**2).sum()))
        row[x] = basis[:kept].reshape(kept, q, -1)
        rest = u[:, :kept] * (s[:kept] / s[0])
        row[x - 1], log_norm = np.tensordot(row[x - 1], rest, 1), log_norm + np.log(s[0])
    size = np.abs(row[0]).max()
    row[0], log_norm = row[0] / size, log_norm + np.log(size)
    return row, float(log_norm), lost
