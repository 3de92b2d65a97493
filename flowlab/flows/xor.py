"""Coupling layers for spins: one sublattice decides which spins of the other are flipped."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from flowlab.core import Flow, named_generator
from flowlab.flows.mask import Gradient, HardSign
from flowlab.nn.window_network import Parity as Parity
from flowlab.nn.window_network import WindowNetwork
from flowlab.systems.lattice import checkerboard, window

Sublattice = Literal["even", "odd"]
Start = Literal["identity", "local_field", "random"]


class XorCoupling(Flow):
    """σ_A = z_A, σ_B = z_B ⊙ m(z_A) with a mask m in {-1, +1}: a bijection of the spins that is its own inverse.

    The mask is the sign of a small periodic ConvNet of the sublattice A. Discrete maps have no Jacobian, so
    ln q(σ) = ln p(z) (Tran et al. 2019, arXiv:1905.10347, bipartite flows).

    Under the global flip an even mask, m(-z_A) = m(z_A), commutes: f(-z) = -f(z). An odd one, m(-z_A) = -m(z_A),
    as the local-field rule sign(Σ_j z_j) is, turns a flip of A alone into the global flip: f(-z_A, z_B) = -f(z).

    Args:
        shape: (n, m), both even.
        reads: the sublattice A that decides, "even" or "odd"; the other one is updated.
        parity: "even", "odd", or None for a mask without symmetry (the one to use in a field).
        kernel: side of the window that the mask sees: 3, 5 and 7 are the reach of one, two and three 3x3 layers.
        hidden: widths of the mask network's hidden layers.
        start: the mask to start near: "identity" (m = +1; not odd), "local_field" (m = sign of the sum of the four
            neighbours; not even) or "random".
        gradient: the stand-in for the sign's derivative, see :class:`flowlab.flows.mask.HardSign`.
        generator: for the initial weights.

    Raises:
        ValueError: for odd sides, or a start that contradicts the parity.

    >>> layer = XorCoupling((4, 4), reads="even", parity="odd", start="local_field")
    >>> z = torch.ones(1, 4, 4)
    >>> z[0, 0, 1] = -1                                     # one odd site against its four neighbours ...
    >>> layer(torch.ones(1, 4, 4))[0].unique().tolist()     # ... all-up latents stay along the local field
    [1.0]
    >>> bool((layer.inverse(layer(z)[0])[0] == z).all())
    True
    """

    label = "xor"

    def __init__(
        self,
        shape: tuple[int, int],
        reads: Sublattice = "even",
        *,
        parity: Parity | None = "even",
        kernel: int = 5,
        hidden: tuple[int, ...] = (16,),
        start: Start = "identity",
        gradient: Gradient = "tanh",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if reads not in ("even", "odd"):
            raise ValueError(f"reads must be 'even' or 'odd', got {reads!r}")
        if parity not in ("even", "odd", None):
            raise ValueError(f"parity must be 'even', 'odd' or None, got {parity!r}")
        even = checkerboard(shape)
        self.shape, self.parity, self.start = tuple(shape), parity, start
        deciding = even if reads == "even" else ~even
        self.register_buffer("deciding", deciding, persistent=False)
        self.register_buffer("updated", (~deciding).flatten().nonzero().flatten(), persistent=False)
        self.network = WindowNetwork(
            windows(self.shape, self.updated, kernel),
            hidden=hidden,
            parity=parity,
            generator=generator if generator is not None else named_generator(0, "xor", reads),
        )
        self.sign = HardSign(gradient)
        self._start(start)

    deciding: Tensor
    updated: Tensor

    def _start(self, start: Start) -> None:
        network = self.network
        if start == "random":
            return
        if start == "identity" and self.parity == "odd":
            raise ValueError("an odd mask cannot start at the identity: use start='local_field' or parity='even'")
        if start == "local_field" and self.parity == "even":
            raise ValueError("the local-field mask is odd: use parity='odd' or None, or start='identity'")
        if start not in ("identity", "local_field"):
            raise ValueError(f"start must be 'identity', 'local_field' or 'random', got {start!r}")
        with torch.no_grad():
            network.weights[-1].mul_(0.01)
            if start == "identity":
                network.biases[-1].fill_(1.0)
            else:  # the first neighbour decides where the others cancel: noise there would be hard for a base to learn
                network.skip[:, :4] = 0.5
                network.skip[:, 0] = 0.75

    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        n = z.shape[0]
        rows = z.reshape(n, -1).T
        mask = self.sign(self.network(rows), generator=generator)
        rows = rows.index_copy(0, self.updated, rows.index_select(0, self.updated) * mask)
        return rows.T.reshape(z.shape), z.new_zeros(n)

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.forward(x)

    def pull_flip(self, action: Tensor) -> Tensor | None:
        decided = action[self.deciding]
        if bool((decided == 1).all()):
            return action
        if self.parity is None or not bool((decided == -1).all()):
            return None
        return action if self.parity == "even" else torch.where(self.deciding, action, -action)

    def anneal(self, progress: float) -> None:
        self.sign.anneal(progress)

    def extra_repr(self) -> str:
        return f"shape={self.shape}, parity={self.parity}, start={self.start}, gradient={self.sign.gradient}"


def windows(shape: tuple[int, ...], sites: Tensor, kernel: int) -> Tensor:
    """The sites of the other sublattice in a square window around each of ``sites``, nearest first.

    Args:
        shape: (n, m), both even.
        sites: (M,) site numbers, all of one sublattice.
        kernel: side of the window, an odd number of at least 3.

    Returns:
        (M, (kernel² - 1) / 2) site numbers, the four neighbours in the first four columns.

    Raises:
        ValueError: for an even or too small kernel.
    """
    if kernel < 3 or kernel % 2 == 0:
        raise ValueError(f"kernel must be an odd number of at least 3, got {kernel}")
    reach = range(-(kernel // 2), kernel // 2 + 1)
    offsets = [(dy, dx) for dy in reach for dx in reach if (dy + dx) % 2]
    return window(shape, sorted(offsets, key=lambda offset: offset[0] ** 2 + offset[1] ** 2))[sites]
