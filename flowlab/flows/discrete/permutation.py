"""Coupling layers for Potts states: some sites decide how the states of the others are permuted."""

from __future__ import annotations

import itertools
from typing import Literal

import torch
from torch import Tensor, nn

from flowlab.core import Flow, named_generator
from flowlab.core.arguments import checked
from flowlab.core.one_hot import one_hot, states
from flowlab.flows.discrete.partitions import deciding_sites, everything, patterns
from flowlab.flows.discrete.xor import MaskNetwork, Sublattice
from flowlab.nn.given_network import Factory, GivenMask
from flowlab.nn.window_network import SideBySide, WindowNetwork

Group = Literal["all", "cyclic"]
MAX_ALL = 5


class PermutationCoupling(Flow):
    """x_A = z_A, x_B = π(z_A)(z_B): each site of B has its states 0 .. q-1 permuted as the sites of A decide.

    A network of the one-hot states of A gives a score for each permutation of a group; the highest one is applied, so
    the map is an exact bijection without Jacobian (for shifts, the discrete flows of Tran et al. 2019,
    arXiv:1905.10347). The backward pass differentiates the mean over all of the group's permutations, weighed by the
    softmax of the scores: only the gradient is a surrogate, the value never. It flows through the one-hot form that the
    states remember, see :func:`flowlab.core.one_hot.states`.

    Args:
        shape: (n, m), or any sides with ``network="mlp"``.
        reads: the sites A that decide, "even", "odd" or booleans (*shape), see :mod:`partitions`.
        q: number of states, at least 2.
        group: "all" q! permutations, for q up to 5, or "cyclic", the q shifts s -> s + k mod q, for any q.
        network: "window" or "mlp"; None is a window on two sides, else a fully connected network. Or a module that
            maps the one-hot states of the sites A, (n, q |A|) with all sites in state 0 first, to a score of each
            permutation for each of the other sites, (n, permutations, |B|), or a function that makes it from the
            numbers of its inputs and outputs; it starts as it is.
        kernel: side of the window that the network sees.
        hidden: widths of the network's hidden layers.
        start: the map to start near, "identity" or "random".
        generator: for the initial weights.

    Raises:
        ValueError: for q < 2, "all" with q > 5, an unknown option, or a partition that does not fit the shape.

    >>> layer = PermutationCoupling((4, 4), "even", start="random")
    >>> z = torch.arange(16.0).reshape(1, 4, 4) % 3
    >>> x, log_det = layer(z)
    >>> bool((layer.inverse(x)[0] == z).all()), bool((x == z).all())
    (True, False)
    """

    label = "permutation"

    @checked
    def __init__(
        self,
        shape: tuple[int, ...],
        reads: Sublattice | Tensor = "even",
        *,
        q: int = 3,
        group: Group | None = None,
        network: MaskNetwork | Factory | None = None,
        kernel: int = 3,
        hidden: tuple[int, ...] = (32,),
        start: Literal["identity", "random"] = "identity",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if start not in ("identity", "random"):
            raise ValueError(f"start must be 'identity' or 'random', got {start!r}")
        given = None if network is None or isinstance(network, str) else network
        if given is None and network not in ("window", "mlp", None):
            raise ValueError(f"network must be 'window', 'mlp' or None, got {network!r}; or a module, or a function")
        self.shape, self.q = tuple(shape), int(q)
        self.group: Group = group or ("all" if q <= MAX_ALL else "cyclic")
        permutations = group_of_permutations(q, self.group)
        deciding = deciding_sites(reads, shape)
        kind = "given" if given is not None else network or ("window" if len(self.shape) == 2 else "mlp")
        seen = patterns(deciding, kernel) if kind == "window" else [everything(deciding)]
        self.register_buffer("deciding", deciding, persistent=False)
        self.register_buffer("updated", torch.cat([sites for sites, _ in seen]), persistent=False)
        self.register_buffer("matrices", torch.eye(q)[permutations].mT.contiguous(), persistent=False)
        n, outputs = deciding.numel(), len(permutations)
        if given is not None:
            (sites, around), *_ = seen
            read = torch.cat([around[0] + n * state for state in range(q)])
            self.network: nn.Module = GivenMask(given, read, even=outputs * len(sites), odd=0, parity=False)
            return
        if generator is None:
            generator = named_generator(0, "permutation", reads if isinstance(reads, str) else "partition")
        networks = [
            WindowNetwork(
                torch.cat([around + n * state for state in range(q)], 1),
                hidden=hidden,
                outputs=outputs * len(sites) if kind == "mlp" else outputs,
                generator=generator,
            )
            for sites, around in seen
        ]
        self.network = networks[0] if len(networks) == 1 else SideBySide(networks)
        if start == "identity":
            with torch.no_grad():
                for net in networks:
                    net.weights[-1].mul_(0.01)
                    net.biases[-1].view(outputs, -1)[0] = 1.0

    deciding: Tensor
    updated: Tensor
    matrices: Tensor

    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return self._permute(z, self.matrices.to(z.dtype))

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._permute(x, self.matrices.mT.to(x.dtype))

    def _permute(self, z: Tensor, matrices: Tensor) -> tuple[Tensor, Tensor]:
        """Apply to each changed site the (q, q) matrix, to state from state, of the permutation it is given."""
        n = z.shape[0]
        low, high = (float(bound) for bound in z.detach().aminmax())
        if low < 0 or high > self.q - 1:
            raise ValueError(f"states must be 0, ..., {self.q - 1}, got {low if low < 0 else high}")
        e = one_hot(z, self.q).flatten(1, -2)
        scores = self.network(e.permute(2, 1, 0).flatten(0, 1)).view(len(matrices), -1, n)
        chosen = torch.zeros_like(scores).scatter_(0, scores.argmax(0, keepdim=True), 1.0)
        if torch.is_grad_enabled() and scores.requires_grad:
            weights = scores.softmax(0)
            chosen = chosen + (weights - weights.detach())
        mean = torch.einsum("pmn,pkj->nmkj", chosen, matrices)
        moved = (mean @ e.index_select(1, self.updated)[..., None]).squeeze(-1)
        e = e.index_copy(1, self.updated, moved)
        return states(e.reshape(*z.shape, self.q)), z.new_zeros(n)

    def extra_repr(self) -> str:
        return f"shape={self.shape}, q={self.q}, group={self.group}, {len(self.updated)} sites changed"


def group_of_permutations(q: int, group: Group) -> Tensor:
    """(P, q) images of the states 0 .. q-1, the identity first.

    Raises:
        ValueError: for q < 2, "all" with q > 5 (whose q! scores a site are too many), or another group.

    >>> group_of_permutations(3, "cyclic").tolist()
    [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    """
    if int(q) != q or q < 2:
        raise ValueError(f"q must be a number of states of at least 2, got {q}")
    if group == "cyclic":
        return (torch.arange(q)[:, None] + torch.arange(q)) % q
    if group != "all":
        raise ValueError(f"group must be 'all' or 'cyclic', got {group!r}")
    if q > MAX_ALL:
        raise ValueError(f"group='all' takes q up to {MAX_ALL}, since it scores all q! permutations, got q={q}")
    return torch.tensor(list(itertools.permutations(range(q))))
