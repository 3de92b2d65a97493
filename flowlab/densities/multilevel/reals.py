"""Conditionals of real fields given the known sites around them, symmetric under a flip of all fields."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from flowlab.core.generators import everyone, own
from flowlab.densities.multilevel.maps import HIGHEST, LOWEST, Bends, _asinh, log_normal
from flowlab.nn.windows import on_windows


class OddEvenNetwork(nn.Module):
    """Numbers that are odd and numbers that are even in a window v, the same functions at every site.

    o = tanh(W v) is odd and o² even; a second layer makes O = tanh(A o) (B o² + b) and E = tanh(C o² + c) of them. The
    odd numbers are linear in O and v, the even ones in E, and start at ``constants``.

    Args:
        inputs: how many sites a window has; 0 leaves zeros and constants.
        hidden: units in each of the two layers.
        odd: how many odd numbers.
        constants: what the even numbers start at.
        features: (f, k) sums of the window that the network sees in place of its k sites, None for the sites.
        start: (inputs,) how the first odd number begins to depend on them, None for not at all.
        symmetric: False adds a bias b, which starts at zero, to W v (to the odd numbers where there is no window):
            what is called odd and even above is so no longer.
        generator: draws the initial weights.
    """

    def __init__(
        self,
        inputs: int,
        *,
        hidden: tuple[int, int],
        odd: int,
        constants: Tensor,
        features: Tensor | None = None,
        start: Tensor | None = None,
        symmetric: bool = True,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        first, second = hidden
        inputs = inputs if features is None else len(features)

        def random(rows: int, columns: int, gain: float) -> nn.Parameter:
            noise = torch.randn(rows, columns, generator=generator, device=generator.device)
            return nn.Parameter(noise.to(torch.get_default_device()) * (gain / math.sqrt(max(columns, 1))))

        self.odd = odd
        self.register_buffer("features", features, persistent=False)
        self.constants = nn.Parameter(constants[:, None].clone())
        bias = torch.zeros(first if inputs else odd, 1)
        if symmetric:
            self.register_buffer("bias", bias, persistent=False)
        else:
            self.bias = nn.Parameter(bias)
        if not inputs:
            return
        self.window = random(first, inputs, 1.0)
        self.skip = nn.Parameter(torch.zeros(odd, inputs))
        if start is not None:
            self.skip.data[0] = start
        self.mixed = random(second, first, 1.0)
        self.gates = random(2 * second, first, 1.0)
        self.levels = nn.Parameter(torch.cat([torch.ones(second, 1), torch.zeros(second, 1)]))
        self.of_odd = random(odd, second, 0.1)
        self.of_even = random(len(constants), second, 0.1)

    features: Tensor | None
    bias: Tensor

    def forward(self, state: Tensor, windows: Tensor) -> Tensor:
        """(N, n) fields, the batch last, and (M, k) rows -> (numbers, M, n), the odd ones first."""
        outputs = self.odd + len(self.constants)
        if not windows.shape[1]:
            return torch.cat([self.bias, self.constants])[:, :, None].expand(-1, len(windows), state.shape[1])
        return on_windows(_odd_even, state, windows, self._weights(), outputs)

    def at_once(self, v: Tensor) -> Tensor:
        """(k, m) windows -> (numbers, m), all kept for the backward pass: faster where the windows are few."""
        return _odd_even(v, *self._weights())

    def _weights(self) -> list[Tensor]:
        weights = [self.window, self.skip, self.mixed, self.gates, self.levels, self.of_odd, self.of_even]
        features = [] if self.features is None else [self.features]
        return [*weights, self.constants, self.bias, *features]


def _odd_even(
    v: Tensor,
    window: Tensor,
    skip: Tensor,
    mixed: Tensor,
    gates: Tensor,
    levels: Tensor,
    of_odd: Tensor,
    of_even: Tensor,
    constants: Tensor,
    bias: Tensor,
    features: Tensor | None = None,
) -> Tensor:
    """(k, m) windows -> (odd and even numbers, m)."""
    if features is not None:
        v = features @ v
    # 2 sigmoid(2 x) - 1 is tanh x, which takes five times as long; the factors are where the weights are
    o = torch.addmm(2 * bias, 2 * window, v).sigmoid().sub(0.5)
    e = o.square()
    gate, even = torch.addmm(levels, 4 * gates, e).chunk(2)
    odd = ((4 * mixed) @ o).sigmoid().sub(0.5) * gate
    odd_numbers = torch.addmm((2 * of_odd) @ odd, skip, v)
    even_numbers = torch.addmm(constants - of_even.sum(1, keepdim=True), 2 * of_even, even.sigmoid())
    return torch.cat([odd_numbers, even_numbers])


class Maps:
    """x = f(z; known), z a standard normal number and f a monotone map, see :class:`Bends`.

    Args:
        steps: K, how many tanh the map has.

    Attributes:
        odd: how many of the numbers that make a map change sign under a flip: μ and the shifts c_k.
        constants: what the others are at the start: ln a, the logit of δ's place between its bounds, ln a_k, ln b_k.
    """

    def __init__(self, steps: int) -> None:
        self.steps, self.odd = steps, 1 + steps
        slopes = torch.linspace(0.0, 1.0, steps) if steps > 1 else torch.zeros(steps)
        self.constants = torch.cat([torch.tensor([-0.5, 1.5]), torch.full((steps,), -2.0), slopes])

    def bends(self, numbers: Tensor) -> Bends:
        """(numbers, ...) of a network -> (...) maps."""
        K = self.steps
        mu, shifts, a, delta, sizes, slopes = numbers.split([1, K, 1, 1, K, K])
        delta = LOWEST + (HIGHEST - LOWEST) * delta[0].sigmoid()
        return Bends(mu[0], a[0].exp(), delta, sizes.exp(), slopes.exp(), shifts)

    def draw(self, numbers: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Fields x and ln q(x | known), with the gradient of the map at fixed z."""
        sizes = (*numbers.shape[1:-1], everyone(numbers.shape[-1]))
        z = own(torch.randn(sizes, generator=generator, dtype=numbers.dtype, device=numbers.device), -1)
        x, log_slope = self.bends(numbers).forward(_asinh(z))
        return x, -0.5 * (z.square() + math.log(2 * math.pi)) - log_slope

    def log_prob(self, numbers: Tensor, x: Tensor) -> Tensor:
        """ln q(x | known)."""
        t, log_slope = self.bends(numbers).inverse(x)
        return log_normal(t) - log_slope


class Mixtures:
    """Mixtures of normal densities, in pairs on either side of a centre, and one of its own where their number is odd.

    Weights, means and widths come from the network; a flip exchanges the two of a pair (Singha et al. 2025,
    arXiv:2503.08918, appendix H.4, without that symmetry).

    Args:
        components: how many normal densities.

    Attributes:
        odd: how many of the numbers that make a mixture change sign under a flip: the mean of the one, and for each
            pair its centre and what tells the two apart in weight and in width.
        constants: what the others are at the start: for each pair ln of half the distance of the two and their weight
            as a logit, ln of the width of the one, ln of the widths of each pair.

    Raises:
        ValueError: for no component.
    """

    def __init__(self, components: int = 3) -> None:
        if components < 1:
            raise ValueError(f"components must be at least 1 normal density, got {components}")
        pairs, single = divmod(components, 2)
        self.odd = single + 3 * pairs
        self.sizes = [single, pairs, pairs, pairs, pairs, pairs, single, pairs]
        apart = -0.5 + torch.linspace(0.0, 1.0, pairs) if pairs > 1 else torch.full((pairs,), -0.5)
        self.constants = torch.cat([apart, torch.zeros(pairs), torch.full((single + pairs,), -0.5)])

    def components(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(numbers, ...) of a network -> ln weights, means and widths, each (components, ...)."""
        mean, centre, tilt, unlike, apart, weight, width, widths = numbers.split(self.sizes)
        unlike, apart = unlike.tanh(), apart.exp()
        means = torch.cat([mean, centre + apart, centre - apart])
        log_weights = torch.cat([torch.zeros_like(mean), weight + tilt, weight - tilt]).log_softmax(0)
        return log_weights, means, torch.cat([width, widths + unlike, widths - unlike]).exp()

    def draw(self, numbers: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Fields x and ln q(x | known), with the gradient of x at a fixed value of the distribution function.

        That is implicit reparametrisation (Figurnov, Mohamed and Mnih 2018, arXiv:1805.08498).
        """
        log_weights, means, widths = self.components(numbers)
        with torch.no_grad():
            sizes = (*means.shape[1:-1], everyone(means.shape[-1]))
            u, z = (
                own(draw(sizes, generator=generator, dtype=means.dtype, device=means.device), -1)
                for draw in (torch.rand, torch.randn)
            )
            chosen = (u > log_weights.exp().cumsum(0)[:-1]).sum(0, keepdim=True)
            x = torch.addcmul(means.gather(0, chosen)[0], widths.gather(0, chosen)[0], z)
        if not torch.is_grad_enabled():
            return x, self._log_density(log_weights, means, widths, x)
        below = (log_weights.exp() * torch.special.ndtr((x - means) / widths)).sum(0)
        density = self._log_density(log_weights, means, widths, x).detach().exp()
        x = x - (below - below.detach()) / density
        return x, self._log_density(log_weights, means, widths, x)

    def log_prob(self, numbers: Tensor, x: Tensor) -> Tensor:
        """ln q(x | known)."""
        return self._log_density(*self.components(numbers), x)

    def _log_density(self, log_weights: Tensor, means: Tensor, widths: Tensor, x: Tensor) -> Tensor:
        z = (x - means) / widths
        terms = log_weights - widths.log() - 0.5 * (z.square() + math.log(2 * math.pi))
        return terms.logsumexp(0)
