"""Multilevel densities of Ising spins: coloured groups, site by site, and heat bath with renormalised couplings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from flowlab.core import Density, Draw, Spins, System, named_generator
from flowlab.core.arguments import checked
from flowlab.core.generators import everyone, own
from flowlab.densities.multilevel import geometry
from flowlab.densities.multilevel.coarse import SpinTable, Table
from flowlab.densities.multilevel.levels import Levels, Rows
from flowlab.densities.multilevel.spins import (
    ConvolutionalLogits,
    ExactLogits,
    HeatBathLogits,
    NoLogits,
    OddLogits,
    TransformerLogits,
    check_spins,
    log_cosh,
)

Kind = Literal["coloured", "autoregressive", "heat_bath"]
KINDS = ("coloured", "autoregressive", "heat_bath")
Network = Literal["convolution", "transformer"]
NETWORKS = ("convolution", "transformer")
CRITICAL = math.log(1 + math.sqrt(2)) / 2


class Multilevel(Levels):
    """Ising spins from a coarse lattice to the fine one, with exact ln q, on the even sublattice of an L x L torus.

    The coarsest N_0 x N_0 spins come first. Each doubling of the lattice then draws the centres of its squares, group
    after group, and the edges between them; the edges of the last doubling are the odd sublattice, which a decimated
    target sums over. Coloured groups may be on a line or in a cube of side L, too, and a heat bath on a line, where it
    is exact. A group is drawn in one pass: its spins are independent given all before them. Kinds:

    - "coloured": groups of sites far from each other, each with a network of its own that sees the nearest known sites
      and is the same function everywhere, its log-odds odd. With two colours or more the last group follows exactly
      from the target's coupling.
    - "autoregressive": site after site in each half of a doubling, by two convolutions whose ``kernels`` of 5 x 5 and
      3 x 3 see 7 x 7 sites (RiGCS: Singha et al. 2025, arXiv:2503.08918), without constants if ``symmetric``.
    - "heat_bath": every spin in the field of its four nearest known neighbours (Schmidt 1983), with couplings that
      follow from the target's by K <- (3/8) ln cosh 4K for each half of a doubling (appendix D there), plus what is
      learned, 0 at the start; the coarsest lattice is exact.

    A small transformer can take the place of the networks of the first two (appendix H.3 there), its tokens the known
    sites of the same windows and its log-odds odd: see :class:`flowlab.nn.window_transformer.WindowTransformer`.

    Args:
        shape: (L, L//2), L = coarsest · 2^k with k at least 1; (L//2,) of a line, (L, L, L//2) of a cube.
        kind: see above.
        coarsest: N_0, at least 2.
        base: flip-symmetric or any density of the coarsest lattice, (N_0, N_0). None is a learned table for N_0 of 2
            and 3, else networks like the others, site by site; the exact table for a heat bath, N_0 up to 4.
        colours: groups of centres, and of edges, in each doubling: 1, 2, 4, ...
        window: how many known sites a coloured spin sees at most.
        hidden: widths of the networks' hidden layers, None for (64,); channels of an autoregressive network, (12,);
            units of a transformer's hidden layers, one for each block, (32,).
        network: "convolution", or "transformer" for all but the coarsest lattice and the exact last group.
        heads: of a transformer, of 8 channels each.
        start: the coupling of nearest known neighbours that coloured networks and transformers start with.
        kernels: sides of the two convolutions of an autoregressive network, odd.
        symmetric: whether q(-s) = q(s) exactly. False gives constants to convolutions and to the table, for a target in
            a field if they are coloured.
        K: J/T of the fine lattice, until :meth:`bind` takes it from a target.
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        ValueError: for an L that is not N_0 · 2^k, an unknown kind or network, a transformer for a heat bath, no
            symmetry of other than convolutions, or sizes that are not as above.

    >>> q = Multilevel((8, 4), colours=2)
    >>> x, log_q = q.sample(10, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(log_q, q.log_prob(x), atol=1e-5))
    (torch.Size([10, 8, 4]), True)
    >>> [stage.name for stage in q.stages(1)]
    ['2 × 2', '2 × 2 and centres', '4 × 4', '4 × 4 and centres']
    """

    variables = Spins()
    divisible = Levels.divisible

    @checked
    def __init__(
        self,
        shape: tuple[int, ...],
        kind: Kind = "coloured",
        *,
        coarsest: int = 2,
        base: Density | None = None,
        colours: int = 4,
        window: int = 32,
        hidden: Sequence[int] | None = None,
        network: Network = "convolution",
        heads: int = 2,
        start: float = 0.3,
        kernels: Sequence[int] = (5, 3),
        symmetric: bool = True,
        K: float = CRITICAL,
        generator: torch.Generator | None = None,
    ) -> None:
        _check_kind(kind, network, len(shape), symmetric)
        if len(kernels) != 2 or min(kernels) < 1 or any(side % 2 == 0 for side in kernels):
            raise ValueError(f"kernels must be two odd sides of at least 1, got {tuple(kernels)}")
        if hidden is not None and (not hidden or min(hidden) < 1):
            raise ValueError(f"hidden must be widths of at least 1 unit, got {tuple(hidden)}")
        if heads < 1:
            raise ValueError(f"heads must be at least 1, got {heads}")
        geometry.doublings(shape, coarsest)  # before the table of a coarsest lattice that there is not
        dims = len(shape)
        table = base is None and coarsest**dims <= (16 if kind == "heat_bath" else 9)
        if kind == "heat_bath" and not table:
            raise ValueError(f"a heat bath needs its own coarsest lattice of side 2, 3 or 4, got {coarsest} and {base}")
        if table:
            base = SpinTable(coarsest, dims, exact=kind == "heat_bath", symmetric=symmetric)
        if kind == "heat_bath":
            colours, window = 1, 2 * dims
        reach = sum(kernels) // 2 - 1 if kind == "autoregressive" else None
        groups = geometry.in_order(shape, coarsest, colours=colours, window=window, reach=reach, alone=base is not None)
        super().__init__(shape, coarsest, groups, base)
        self.kind, self.network, self.symmetric = kind, network, symmetric
        generator = named_generator(0, "multilevel") if generator is None else generator
        for block in self.blocks():
            group, coarse = block[0], block[0].name.startswith("site")
            conditional: nn.Module
            if kind == "heat_bath":
                conditional = HeatBathLogits()
            elif not group.offsets:
                conditional = NoLogits(symmetric=symmetric)
            elif group.exact and kind == "coloured":
                conditional = ExactLogits(group.offsets)
            elif network == "transformer" and not coarse:
                known = [bool(one) for one in np.concatenate([member.window for member in block]).min(0) >= 0]
                widths = tuple(hidden) if hidden else (32,)
                conditional = TransformerLogits(
                    group.offsets, known=known, hidden=widths, heads=heads, start=start, generator=generator
                )
            elif kind == "autoregressive" and not coarse:
                conditional = ConvolutionalLogits(
                    channels=hidden[0] if hidden else 12, kernels=(kernels[0], kernels[1]), symmetric=symmetric,
                    generator=generator,
                )  # fmt: skip
            else:
                widths = tuple(hidden) if hidden and network == "convolution" else (64,)
                conditional = OddLogits(
                    group.offsets, hidden=widths, start=start, symmetric=symmetric, generator=generator
                )
            self.conditionals[group.key] = conditional
        self.set_coupling(K)

    def set_coupling(self, K: float, field: float = 0.0) -> None:
        """K = βJ of the fine lattice, and βh, for the conditionals that follow from them."""
        self.K, dims = K, len(self.shape)
        for group, *_ in self.blocks():
            conditional = self.conditionals[group.key]
            if isinstance(conditional, ExactLogits):
                conditional.set_coupling(K, field)
            if isinstance(conditional, HeatBathLogits):
                steps = dims * group.level + (dims == 2 and group.name.startswith("centre"))
                conditional.set_coupling(renormalised(K, steps, dims))
        coarsest = renormalised(K, dims * geometry.doublings(self.shape, self.coarsest), dims)
        for part in [] if self.base is None else self.base.modules():  # the base, or what a wrapper holds
            if isinstance(part, Table):
                part.set_coupling(coarsest)

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        """n configurations; ``score`` is ln q with its gradient, ``log_q`` the same number without.

        Where the base draws spins with a gradient, straight through as the masks of XOR layers have it, x carries it
        on, and both have that of ln q of the finer spins in these, at fixed finer spins.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        state, base, log_q, of_base, coarse = self.draw_rows(n, generator=generator)
        assert of_base is not None
        rest = log_q.sum(0)
        if coarse is None or not coarse.requires_grad:
            return Draw(self.configurations(state), base.detach() + rest.detach(), of_base + rest)
        through = coarse.flatten(1).T.to(state)
        whole = torch.cat([through, state[self.first_row :]])
        path = ((through - through.detach()) * self._slope(state)).sum(0)
        return Draw(self.configurations(whole), base + rest.detach() + path, of_base + rest + path)

    def exported(self) -> dict[str, Any]:
        """All that a page needs to draw from it and to know ln q: order, windows and networks as plain numbers.

        Those that are linear in the weights lie in ``learned``, a list with one entry.

        Raises:
            ValueError: for a kind, a network or a coarsest lattice that a page cannot draw.
        """
        parts = {key: getattr(conditional, "exported", None) for key, conditional in self.conditionals.items()}
        table = getattr(self.base, "exported", None)
        if table is None or None in parts.values():
            raise ValueError(
                "a page can draw the kind coloured, with its table of the coarsest lattice and networks that are no "
                f"transformers; this one is of kind {self.kind} with network {self.network}"
            )
        steps = zip(self.groups, self.steps(), strict=True)
        groups = [{"key": group.key, "windows": rows.tolist()} for group, (_, rows, _) in steps]
        base, networks = table(), {key: of() for key, of in parts.items() if of is not None}
        learned = {"table": base.pop("learned"), "networks": {key: one.pop("learned") for key, one in networks.items()}}
        return {
            "order": self.order.tolist(), "first": self.first_row, "table": base, "groups": groups,
            "networks": networks, "levels": self.level_ends(), "learned": [learned],
        }  # fmt: skip

    def _slope(self, state: Tensor) -> Tensor:
        """(coarsest sites, n) ∂ ln q(finer spins | coarsest)/∂(coarsest), at given rows."""
        coarse = state[: self.first_row].detach().requires_grad_()
        whole = torch.cat([coarse, state[self.first_row :]])
        (found,) = torch.autograd.grad(self.finer_log_q(whole).sum(), coarse)
        return found

    def finer_log_q(self, state: Tensor) -> Tensor:
        """(N - coarsest sites, n) ln q of the finer spins given those before them."""
        return logsigmoid(torch.cat(self.evaluated(state)) * state[self.first_row : -1])

    def draw_rows(self, n: int, *, generator: torch.Generator | None = None, given: Tensor | None = None) -> Rows:
        like = self.like()
        first, sites = self.first_row, len(self.order)
        if given is None:
            state, base = like.new_zeros(sites + 1, n), like.new_zeros(n)
            score, coarse = base, None
            if self.base is not None:
                coarse, base, score = self.base.draw(n, generator=generator)
                state[:first] = coarse.detach().flatten(1).T
        else:
            check_spins(given[:-1], unknown=True)
            state = given
            self._complete_base(state, generator)
            coarse = None
            base = score = like.new_zeros(n) if self.base is None else self._base_log_q(state)
        sizes = (sites - first, everyone(n))
        u = own(torch.rand(sizes, generator=generator, dtype=like.dtype, device=like.device), 1)
        u.clamp_(min=torch.finfo(u.dtype).eps / 4)
        logits = []
        for conditional, rows, span in self.steps():
            found = conditional(state, rows)
            logits.append(found)
            drawn = torch.where(found.detach().sigmoid() >= u[span.start - first : span.stop - first], 1.0, -1.0)
            state[span] = drawn if given is None else torch.where(state[span].isnan(), drawn.to(state), state[span])
        return Rows(state, base, logsigmoid(torch.cat(logits) * state[first:-1]), score, coarse)

    def evaluate_rows(self, state: Tensor) -> Rows:
        check_spins(state[:-1])
        base = state.new_zeros(state.shape[1]) if self.base is None else self._base_log_q(state)
        return Rows(state, base, self.finer_log_q(state))

    def bind(self, target: System) -> None:
        """Check the target, a decimated Ising model, and take up its coupling K = J/T and its field.

        Raises:
            ValueError: for a target that is not decimated, of another shape, of other variables, or in a field if the
                density is symmetric.
        """
        super().bind(target)
        assert target.physical.bond is not None
        couplings = {name: float(value.detach()) for name, value in target.physical.couplings.items()}
        field = 0.0 if self.symmetric else couplings.get("h", 0.0) / couplings["T"]
        self.set_coupling(float(target.physical.bond.detach()), field)

    def flip_action(self) -> Tensor | None:
        return super().flip_action() if self.symmetric else None


def _check_kind(kind: str, network: str, dims: int, symmetric: bool) -> None:
    """Refuse kinds and networks that do not exist, or not in a field or these dimensions."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if network not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {network!r}")
    if kind == "heat_bath" and network == "transformer":
        raise ValueError("a heat bath has no networks: a transformer needs the kind coloured or autoregressive")
    if not symmetric and (kind == "heat_bath" or network != "convolution"):
        raise ValueError(f"symmetric must be True for a heat bath and for a transformer, got {kind}, {network}")
    if dims != 2 and (network == "transformer" or kind not in ("coloured", "heat_bath" if dims == 1 else "coloured")):
        raise ValueError(
            f"kind must be coloured, and network convolution, for d = {dims}, got {kind!r} and {network!r}"
        )


def renormalised(K: float, steps: int, dims: int = 2) -> float:
    """The coupling after that many sublattices are summed over: K <- (3/8) ln cosh 4K each (Maris and Kadanoff 1978).

    On a line it is K <- (1/2) ln cosh 2K, which is exact.

    >>> round(renormalised(0.44, 1), 4), renormalised(0.44, 0), round(renormalised(0.44, 1, dims=1), 4)
    (0.411, 0.44, 0.1728)
    """
    for _ in range(steps):
        K = 0.375 * log_cosh(4 * K) if dims == 2 else 0.5 * log_cosh(2 * K)
    return K
