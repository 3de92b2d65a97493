"""An autoregressive density that knows the couplings of its target, and learns what they leave out."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from flowlab.core import System
from flowlab.core.arguments import checked
from flowlab.densities.autoregressive.autoregressive import Order
from flowlab.densities.autoregressive.made import MADE
from flowlab.systems.spin_glass import SpinGlass


class CoupledMADE(MADE):
    """Spins of E(s) = -Σ_{i<j} J_ij s_i s_j - Σ_i h_i s_i, each from the field of those before it, corrected by a MADE.

    With β and the couplings of the target that was bound last, and f a masked network with a linear part,

        ln q(s_i = +1 | s_<i) - ln q(s_i = -1 | s_<i) = β (2 h_i + 2 Σ_{j<i} J_ij s_j + f_i(s_<i)).

    f starts at zero and stands for what the spins still to come send back, in units of energy: where β rises, the
    logits follow at once. Without f the last conditional is exact, and all are where there are no fields and no site
    couples to two earlier ones (Biazzo, Wu and Carleo 2024, "Sparse autoregressive neural networks for classical spin
    systems"). Without fields the spins are drawn relative to the first one, a fair bit: q(-s) = q(s) at no cost.

    Args:
        target: what to fit: its couplings, fields and temperature hold until another is bound.
        hidden, layers: of the network, see :class:`MADE`.
        order: of the sites, see :func:`leading_sites_first` ("leading") and :class:`Autoregressive` (the others).
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        TypeError: for a target without couplings J between pairs of sites.
        ValueError: for an order, hidden or layers that are not as above.

    >>> from flowlab.systems import SpinGlass
    >>> q = CoupledMADE(SpinGlass.sherrington_kirkpatrick(10, T=2.0, seed=1))
    >>> x, log_q = q.sample(5, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(q.log_prob(-x), log_q, atol=1e-5))
    (torch.Size([5, 10]), True)
    """

    J: Tensor
    h: Tensor
    beta: Tensor

    @checked
    def __init__(
        self,
        target: System,
        *,
        hidden: int | None = None,
        layers: int = 1,
        order: Literal["leading"] | Order = "leading",
        generator: torch.Generator | None = None,
    ) -> None:
        glass = _glass(target)
        if isinstance(order, str) and order == "leading":
            order = leading_sites_first(glass.J)
        super().__init__(glass.shape, hidden=hidden, layers=layers, order=order, generator=generator)
        with torch.no_grad():
            self.output.weight.zero_()
        for name, shape in {"J": (self.n_sites, self.n_sites), "h": (self.n_sites,), "beta": ()}.items():
            self.register_buffer(name, torch.zeros(shape), persistent=False)
        self.symmetric = glass.flip_symmetric
        self.bind(glass)

    def bind(self, target: System) -> None:
        """Take up the couplings, fields and temperature of a target.

        Raises:
            TypeError: for a target without couplings J between pairs of sites.
            ValueError: for another shape, or fields where the density has been built without.
        """
        super().bind(target)
        glass = _glass(target)
        if self.symmetric and not glass.flip_symmetric:
            raise ValueError(f"a density that was built without fields cannot fit a target that has them: {target}")
        sites = self.sites.to(glass.h.device)
        with torch.no_grad():
            # new tensors: over a range of couplings a loss at those before waits for its gradient
            self.J = glass.J.index_select(0, sites).index_select(1, sites).tril(-1).to(self.J)
            self.h = glass.h.flatten().index_select(0, sites).to(self.h)
            self.beta = (1.0 / glass.couplings["T"]).to(self.beta)

    def last_weights(self) -> tuple[Tensor, Tensor, Tensor | None]:
        weight, bias, skip = super().last_weights()
        assert skip is not None
        return self.beta * weight, self.beta * (bias + 2 * self.h), self.beta * (skip + 2 * self.J)

    def logits(self, x: Tensor) -> Tensor:
        if not self.symmetric:
            return super().logits(x)
        spins = self.flatten_sites(x)
        first = spins[:, :1]
        relative = super().logits(self.unflatten_sites(first * spins))
        return first * relative * (torch.arange(self.n_sites, device=x.device) > 0)

    def choose(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        if not self.symmetric:
            return super().choose(thresholds)
        first = torch.where(thresholds[:, :1] <= 0, 1.0, -1.0).to(thresholds)
        relative = first * thresholds
        relative[:, 0] = -math.inf
        x, logits = super().choose(relative)
        logits = first * logits
        logits[:, 0] = 0.0
        return first * x, logits

    def flip_action(self) -> Tensor | None:
        return -torch.ones(self.shape, device=self.beta.device) if self.symmetric else None


def leading_sites_first(J: Tensor) -> Tensor:
    """(N, N) couplings -> (N,) sites, those that carry the leading eigenvectors first.

    The site with the largest Σ_k λ_k v_k(i)², over the N/16 (at least one) largest eigenvalues of J, is taken out, and
    the same is done with the matrix that is left: at every step what is still to be drawn orders as little as it can.

    >>> J = torch.zeros(4, 4)
    >>> J[1, 2] = J[2, 1] = 2.0
    >>> J[2, 3] = J[3, 2] = 1.0
    >>> leading_sites_first(J).tolist()[0]
    2
    """
    J = J.detach().double().cpu()
    left, taken = torch.arange(len(J)), []
    while len(left):
        values, vectors = torch.linalg.eigh(J[left][:, left])
        k = max(1, len(left) // 16)
        weight = (vectors[:, -k:].square() * values[-k:]).sum(1)
        site = int(weight.argmax())
        taken.append(int(left[site]))
        left = torch.cat([left[:site], left[site + 1 :]])
    return torch.tensor(taken)


def _glass(target: System) -> SpinGlass:
    if not isinstance(target, SpinGlass):
        raise TypeError(f"target: a coupled density needs a SpinGlass for its couplings, got {type(target).__name__}")
    return target
