"""Spline coupling layers for real fields: half of the sites pass monotone splines set by a network of the others."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad, softplus

from flowlab.core import named_generator
from flowlab.core.arguments import checked
from flowlab.flows.real.coupling import Coupling, Network
from flowlab.flows.real.odd_spline import odd_spline
from flowlab.nn.mlp import Activation, Perceptron

LARGEST_LOG_SCALE = 3.0
SMALLEST_SLOPE = 1e-2  # at the knots; zuko's 1e-3 loses two more digits where float32 is inverted


class SplineCoupling(Coupling):
    """x_A = r(z_A; z_B), x_B = z_B, with ln|det dx/dz| = Σ_A ln r': rational quadratic splines r on [-a, a].

    Outside [-a, a] they go on as straight lines of the slope at ±a, so they are strictly increasing and C¹ everywhere.
    Widths, heights and slopes of the K bins are numbers that a network reads off z_B (Durkan et al. 2019,
    arXiv:1906.04032; for φ⁴, Del Debbio, Marsh Rossney and Wilson 2021, arXiv:2105.12481). The layer starts near
    the identity.

    Without ``odd`` the tails are the identity. With it, x_A = t(z_B) + e^{s(z_B)} r(z_A + u(z_B); z_B), where r is an
    odd spline with even parameters, mirrored at zero, s is even, with values between ±3, and t and u are odd: the layer
    commutes with a flip of all fields, exactly in floating point. It is one smooth map; no configuration is treated by
    its sign. A steep r splits one mode into two, and u says how often each is taken.

    Args:
        mask: (*shape) booleans, True on A, the sites that are changed; B is the rest.
        bins: K, at least 2; even with ``odd``.
        bound: a, positive, in units of the fields.
        odd: whether f(-z) = -f(z).
        network: "mlp", fully connected, "conv", the same function of a window around every site of A, or "stack", 3 x 3
            convolutions one upon another; or a module
            (n, |B|) -> (n, k, |A|), k = 3 ``bins`` - 1, with ``odd`` 3 ``bins``/2 + 3,
            or a function of inputs and outputs that makes it, see :class:`Coupling`.
        windows: (|A|, k) site numbers for "conv"; None takes :func:`coupling_windows` of the mask.
        hidden: width of the hidden layers; None takes the number of sites N, for "conv" 16, for "stack" 8.
        layers: number of hidden layers.
        activation: between the layers.
        limited: whether bins and slopes are kept from 0 and infinity; without it widths and heights are a softmax and
            slopes a softplus of what the network gives, whose weights start uniform in ±1/√inputs, as in
            arXiv:2105.12481. Odd layers always are.
        generator: for the initial weights.

    Raises:
        ValueError: for a bound that is not positive, too few bins or an odd number of mirrored ones; a mask that is not
            boolean, or that leaves A or B empty; windows that do not fit.

    >>> layer = SplineCoupling(torch.tensor([True, False, True, False]), odd=True)
    >>> z = torch.tensor([[0.3, -1.0, 40.0, 2.0]])
    >>> x, log_det = layer(z)
    >>> bool((layer(-z)[0] == -x).all()), torch.allclose(layer.inverse(x)[0], z)
    (True, True)
    """

    label = "spline"

    @checked
    def __init__(
        self,
        mask: Tensor,
        *,
        bins: int = 8,
        bound: float = 5.0,
        odd: bool = False,
        network: Network = "mlp",
        windows: Tensor | None = None,
        hidden: int | None = None,
        layers: int = 1,
        activation: Activation = "tanh",
        limited: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(mask, odd=odd)
        if not 0 < bound < math.inf:
            raise ValueError(f"bound must be positive, got {bound}")
        if bins < 2 or (odd and bins % 2):
            raise ValueError(f"bins must be at least 2, and even for an odd layer, got {bins}")
        if odd and not limited:
            raise ValueError("limited=False is for layers that are not odd; the splines of odd ones always are")
        self.bins, self.bound, self.limited = bins, float(bound), limited
        generator = generator if generator is not None else named_generator(0, "spline")
        if network == "mlp" and not limited:
            width = mask.numel() if hidden is None else hidden
            network = partial(_perceptron, hidden=[width] * layers, activation=activation, generator=generator)
        self.network = self._network(
            network,
            windows,
            even=3 * (bins // 2) + 1 if odd else 3 * bins - 1,
            odd=2 if odd else 0,
            hidden=hidden,
            layers=layers,
            activation=activation,
            generator=generator,
        )

    def _move(self, own: Tensor, sites: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        numbers, shifts = self._heads(self.network, sites)
        move = self._mirrored if self.odd else self._plain
        moved, log_slope = move(own.T.contiguous(), numbers, shifts, inverse)
        return moved.T, log_slope.sum(0)

    def _mirrored(self, own: Tensor, numbers: Tensor, shifts: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        """t + e^s r(own + u) with K/2 widths, heights and slopes, and s; see :func:`odd_spline`."""
        k, (t, u) = self.bins // 2, shifts.unbind()
        widths, heights, slopes, s = numbers.split((k, k, k, 1))
        s = LARGEST_LOG_SCALE * (s.squeeze(0) / LARGEST_LOG_SCALE).tanh()
        if inverse:
            own = (own - t) * (-s).exp()
            moved, log_slope = odd_spline(own, widths, heights, slopes, bound=self.bound, inverse=True)
            return moved - u, log_slope - s
        moved, log_slope = odd_spline(own + u, widths, heights, slopes, bound=self.bound)
        return torch.addcmul(t, moved, s.exp()), log_slope + s

    def _plain(self, own: Tensor, numbers: Tensor, shifts: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        """zuko's spline: K widths, K heights and K - 1 slopes at the inner knots; the slopes at ±a are 1, no shifts."""
        from zuko.transforms import MonotonicRQSTransform

        k = self.bins
        widths, heights, slopes = numbers.movedim(0, -1).split((k, k, k - 1), dim=-1)
        spline = MonotonicRQSTransform(widths, heights, slopes, bound=self.bound, slope=SMALLEST_SLOPE)
        if not self.limited:
            spline.horizontal, spline.vertical = (self.bound * _knots(sizes) for sizes in (widths, heights))
            spline.derivatives = pad(softplus(slopes), (1, 1), value=1.0)
        moved: Tensor
        log_slope: Tensor
        if inverse:
            moved = spline.inv(own)
            return moved, -spline.call_and_ladj(moved)[1]
        moved, log_slope = spline.call_and_ladj(own)
        return moved, log_slope

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, bins={self.bins}, bound={self.bound:g}, limited={self.limited}"


def _perceptron(
    inputs: int, outputs: int, *, hidden: list[int], activation: Activation, generator: torch.Generator
) -> Perceptron:
    """A network whose weights start as torch's own do: not near the identity."""
    return Perceptron((inputs, *hidden, outputs), activation=activation, generator=generator)


def _knots(sizes: Tensor) -> Tensor:
    """(..., K) numbers -> (..., K + 1) knots from -1 to 1, a softmax of them apart."""
    return 2 * pad(sizes.softmax(-1), (1, 0)).cumsum(-1) - 1
