"""Coupling layers for spins: some sites decide which of the others are flipped."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from flowlab.core import Flow, named_generator
from flowlab.core.arguments import checked
from flowlab.flows.discrete.mask import Gradient, HardSign
from flowlab.flows.discrete.partitions import deciding_sites, everything, offsets, patterns
from flowlab.nn.given_network import Factory, GivenMask
from flowlab.nn.window_network import Parity as Parity
from flowlab.nn.window_network import SideBySide, WindowNetwork
from flowlab.systems.lattice import window

Sublattice = Literal["even", "odd"]
Start = Literal["identity", "local_field", "random"]
MaskNetwork = Literal["window", "mlp"]


class XorCoupling(Flow):
    """σ_A = z_A, σ_B = z_B ⊙ m(z_A) with a mask m in {-1, +1}: a bijection of the spins that is its own inverse.

    The mask is the sign of a small network of the sites A that decide: on a lattice a periodic ConvNet, the same
    function of what each flipped site sees around it; on a graph one fully connected network from all of A to all of B.
    Discrete maps have no Jacobian, so ln q(σ) = ln p(z) (Tran et al. 2019, arXiv:1905.10347, bipartite flows).

    Under the global flip an even mask, m(-z_A) = m(z_A), commutes: f(-z) = -f(z). An odd one, m(-z_A) = -m(z_A),
    as the local-field rule sign(Σ_j J_ij z_j) is, turns a flip of A alone into the global flip: f(-z_A, z_B) = -f(z).

    Args:
        shape: (n, m), or any sides with ``network="mlp"``.
        reads: the sites A that decide; the others are flipped. "even" or "odd" is that sublattice (both sides even),
            any other partition is booleans (*shape), see :mod:`flowlab.flows.discrete.partitions`.
        parity: "even", "odd", or None for a mask without symmetry (the one to use in a field).
        network: "window" or "mlp"; None is a window on two sides, else a fully connected network. Or a module that
            maps the sites A, (n, |A|), to a number for each of the others, whose sign is the mask, or a function that
            makes it from the numbers of its inputs and outputs; it starts as it is, and has its even or odd part taken.
        kernel: side of the window that the mask sees: 3, 5 and 7 are the reach of one, two and three 3x3 layers.
        hidden: widths of the mask network's hidden layers.
        start: the mask to start near: "identity" (m = +1; not odd), "local_field" (the sign of the sum of the nearest
            neighbours in A, or of Σ_j J_ij z_j where couplings are given; not even) or "random".
        couplings: who is coupled to whom, for the local field: (N, k) site numbers and (N, k) couplings, as
            ``neighbours()`` of a spin glass or a triangular lattice gives them.
        gradient: the stand-in for the sign's derivative, see :class:`flowlab.flows.discrete.mask.HardSign`.
        generator: for the initial weights.

    Raises:
        ValueError: for a partition that does not fit the shape, or a start that contradicts the parity.

    >>> layer = XorCoupling((4, 4), reads="even", parity="odd", start="local_field")
    >>> z = torch.ones(1, 4, 4)
    >>> z[0, 0, 1] = -1                                     # one odd site against its four neighbours ...
    >>> layer(torch.ones(1, 4, 4))[0].unique().tolist()     # ... all-up latents stay along the local field
    [1.0]
    >>> bool((layer.inverse(layer(z)[0])[0] == z).all())
    True
    """

    label = "xor"

    @checked
    def __init__(
        self,
        shape: tuple[int, ...],
        reads: Sublattice | Tensor = "even",
        *,
        parity: Parity | None = "even",
        network: MaskNetwork | Factory | None = None,
        kernel: int = 5,
        hidden: tuple[int, ...] = (16,),
        start: Start = "identity",
        couplings: tuple[Tensor, Tensor] | None = None,
        gradient: Gradient = "tanh",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if parity not in ("even", "odd", None):
            raise ValueError(f"parity must be 'even', 'odd' or None, got {parity!r}")
        if (network is None or isinstance(network, str)) and network not in ("window", "mlp", None):
            raise ValueError(f"network must be 'window', 'mlp' or None, got {network!r}; or a module, or a function")
        deciding = deciding_sites(reads, shape)
        self.shape, self.parity, self.start = tuple(shape), parity, start
        given = None if network is None or isinstance(network, str) else network
        named = network if isinstance(network, str) else None
        self.kind = "given" if given is not None else named or ("window" if len(self.shape) == 2 else "mlp")
        seen = patterns(deciding, kernel) if self.kind == "window" else [everything(deciding)]
        self.register_buffer("deciding", deciding, persistent=False)
        self.register_buffer("updated", torch.cat([sites for sites, _ in seen]), persistent=False)
        self.sign = HardSign(gradient)
        if given is not None:
            count, odd = len(self.updated), parity == "odd"
            of = {"even": 0 if odd else count, "odd": count if odd else 0}
            self.network: nn.Module = GivenMask(given, seen[0][1][0], parity=parity is not None, **of)
            return
        if generator is None:
            generator = named_generator(0, "xor", reads if isinstance(reads, str) else "partition")
        networks = [
            WindowNetwork(
                around,
                hidden=hidden,
                parity=parity,
                outputs=len(sites) if self.kind == "mlp" else 1,
                generator=generator,
            )
            for sites, around in seen
        ]
        self.network = networks[0] if len(networks) == 1 else SideBySide(networks)
        self._start(start, [(net, *sites) for net, sites in zip(networks, seen, strict=True)], couplings)

    deciding: Tensor
    updated: Tensor

    def _start(
        self,
        start: Start,
        networks: list[tuple[WindowNetwork, Tensor, Tensor]],
        couplings: tuple[Tensor, Tensor] | None,
    ) -> None:
        """Set the networks, each with its flipped sites and what they see, near ``start``."""
        if start == "random":
            return
        if start == "identity" and self.parity == "odd":
            raise ValueError("an odd mask cannot start at the identity: use start='local_field' or parity='even'")
        if start == "local_field" and self.parity == "even":
            raise ValueError("the local-field mask is odd: use parity='odd' or None, or start='identity'")
        if start not in ("identity", "local_field"):
            raise ValueError(f"start must be 'identity', 'local_field' or 'random', got {start!r}")
        if start == "local_field" and couplings is None and self.kind == "mlp":
            raise ValueError("start='local_field' with network='mlp' needs couplings=system.neighbours()")
        with torch.no_grad():
            for network, sites, around in networks:
                if start == "identity":
                    network.weights[-1].mul_(0.01)
                    network.biases[-1].fill_(1.0)
                elif couplings is None:
                    network.weights[-1].mul_(0.01)
                    network.skip[:, : self._nearest(sites)] = 0.5
                    network.skip.copy_(broken_ties(network.skip))
                else:
                    network.weights[-1].zero_()
                    network.skip.copy_(local_field(self._matrix(couplings), sites, around))

    def _nearest(self, sites: Tensor) -> int:
        """How many of the four nearest neighbours of each of these sites decide: they come first in its window."""
        return int(self.deciding.flatten()[window(self.shape, offsets(3)[:4])[sites[0]]].sum())

    def _matrix(self, couplings: tuple[Tensor, Tensor]) -> Tensor:
        """(N, N) couplings from those of each site's neighbours."""
        sites, values = couplings
        n = self.deciding.numel()
        if sites.shape != values.shape or sites.ndim != 2 or len(sites) != n:
            raise ValueError(
                f"couplings must be the neighbours of {n} sites and their couplings, ({n}, k) each, got shapes "
                f"{tuple(sites.shape)} and {tuple(values.shape)}"
            )
        return torch.zeros(n, n, dtype=torch.float64).scatter_add_(1, sites.cpu(), values.detach().double().cpu())

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

    def decides(self) -> Tensor | None:
        return self.deciding

    def flip_logits(self, z: Tensor) -> Tensor:
        logits = z.new_zeros(self.deciding.numel(), len(z))
        return logits.index_copy(0, self.updated, self.network(z.flatten(1).T)).T.reshape(z.shape)

    def extra_repr(self) -> str:
        return (
            f"shape={self.shape}, {len(self.updated)} sites flipped, parity={self.parity}, network={self.kind}, "
            f"start={self.start}, gradient={self.sign.gradient}"
        )


def local_field(J: Tensor, sites: Tensor, around: Tensor) -> Tensor:
    """Weights for the sign of Σ_j J_ij z_j over the sites j that are seen, of order 1 in all.

    Args:
        J: (N, N) couplings.
        sites: (M,) flipped sites i.
        around: (M, k) sites that each of them sees, or (1, k) that all of them see.

    Returns:
        (1, k) weights of a window, the same for all sites, or (M, k).

    Raises:
        ValueError: for a window around sites whose couplings differ.
    """
    J = J[sites[:, None], around]
    if len(around) > 1 or len(sites) == 1:
        J = J / (around[:, :, None] == around[:, None, :]).sum(-1)  # around a small torus a site is seen repeatedly
        if not torch.allclose(J, J[:1]):
            raise ValueError("a window mask needs couplings that are the same around every site: use network='mlp'")
        J = J[:1]
    weights = J / J.square().sum(1).mean().sqrt().clamp(min=1e-30)
    size = weights.abs()
    alike = torch.isclose(size, size.amax(1, keepdim=True)) | (size == 0)
    return torch.where(alike.all(1, keepdim=True), broken_ties(weights), weights)


def broken_ties(weights: Tensor) -> Tensor:
    """(M, k) weights of equal size or 0, the first of each row half as large again.

    It decides where the others cancel: the noise of small initial weights would be hard for a base to learn there.
    """
    first = (weights != 0) & ((weights != 0).cumsum(1) == 1)
    return torch.where(first, 1.5 * weights, weights)


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
    return window(shape, [(dy, dx) for dy, dx in offsets(kernel) if (dy + dx) % 2])[sites]
