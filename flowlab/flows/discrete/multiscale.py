"""A multiscale transform of spins: coarse spins, and what the fine ones differ in, level by level.

Why there is no transform to Fourier modes here: the real modes of ±1 spins are correlated numbers on a set that is no
product, so no density of independent or of freely chosen modes is a density of spins. Nor is there a Fourier transform
in the arithmetic of bits (F2): a lattice whose side is a power of two has no roots of unity there, since
x^n - 1 = (x - 1)^n modulo 2. What F2 does have are transforms by scale. ``packets=True`` is the one that treats every
bit alike, as Walsh and Hadamard's does for real numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from flowlab.core import Flow
from flowlab.core.arguments import checked
from flowlab.systems.lattice import plane


class MultiscaleXor(Flow):
    """σ = f(d): one coarse spin and differences at every scale, linear over F2 (bits multiply), like Haar's wavelets.

    Each 2 x 2 block of spins (a, b; c, d) becomes its coarse spin a and the differences (ab; ac, ad); the coarse spins
    are a lattice of half the sides, and are transformed again, down to one spin. Bits keep their places: the coarse
    spin that is left is at (0, 0), the differences at spacing s are at the odd multiples of s. In the order
    "hierarchical" (:mod:`flowlab.systems.orders`) a base draws coarse bits first. Of two unequal sides only the longer
    one is halved once the other has come to 1.

    With ``packets`` the differences are split again too, one axis after the other: the matrix (1 0; 1 1) on every
    binary digit of the coordinates, the Möbius (Reed-Muller, polar) transform, which is its own inverse.

    A global flip of the spins changes the bit at (0, 0) only. There is nothing to train.

    Args:
        shape: (n, m), powers of two, at least 2.
        packets: whether differences are split again.

    Raises:
        ValueError: for sides that are not powers of two.

    >>> flow = MultiscaleXor((2, 4))
    >>> bits, _ = flow.inverse(torch.tensor([[[1.0, 1, -1, -1], [1, -1, -1, -1]]]))
    >>> bits[0].tolist()
    [[1.0, 1.0, -1.0, 1.0], [1.0, -1.0, 1.0, 1.0]]
    """

    label = "multiscale"

    @checked
    def __init__(self, shape: tuple[int, ...], *, packets: bool = False) -> None:
        super().__init__()
        self.shape, self.packets = plane(shape), bool(packets)
        if any(side & (side - 1) for side in self.shape):
            raise ValueError(f"shape must be two powers of two, to be halved down to one spin, got {tuple(shape)}")
        n, m = self.shape
        y, x = torch.arange(n)[:, None], torch.arange(m)
        levels = []  # (changed, by which), site numbers, from fine to coarse
        for s in (2**level for level in range(max(n, m).bit_length() - 1)):
            for a, b in [(s, 0), (0, s)] if self.packets else [(s, s)]:
                changed = (((y & a) | (x & b)) != 0) & (self.packets | ((y % s == 0) & (x % s == 0)))
                by = (y & ~a) * m + (x & ~b)
                levels.append((changed.flatten().nonzero().flatten(), by[changed]))
        for name, sites in zip(("changed", "by"), zip(*levels, strict=True), strict=True):
            for i, level in enumerate(sites):
                self.register_buffer(f"{name}_{i}", level, persistent=False)
        self.n_levels = len(levels)

    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return self._apply_levels(z, range(self.n_levels - 1, -1, -1))

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._apply_levels(x, range(self.n_levels))

    def _apply_levels(self, x: Tensor, levels: range) -> tuple[Tensor, Tensor]:
        bits = x.reshape(len(x), -1).T
        for i in levels:
            changed, by = self.get_buffer(f"changed_{i}"), self.get_buffer(f"by_{i}")
            bits = bits.index_copy(0, changed, bits.index_select(0, changed) * bits.index_select(0, by))
        return bits.T.reshape(x.shape), x.new_zeros(len(x))

    def pull_flip(self, action: Tensor) -> Tensor:
        return self.inverse(action[None])[0][0]  # f is linear over F2: f(a z) = f(a) f(z)

    def extra_repr(self) -> str:
        return f"shape={self.shape}, packets={self.packets}"
