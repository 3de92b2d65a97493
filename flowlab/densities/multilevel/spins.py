"""Conditionals of ±1 spins given the known sites around them: log-odds that are odd in what they see."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import pad

from flowlab.nn.window_transformer import WindowTransformer
from flowlab.nn.windows import gather, on_windows

WINDOWS = 256
"""How many windows a transformer works on together: one token for each of their sites has to fit into the cache."""


class OddLogits(nn.Module):
    """ln q(+1)/q(-1) = s·v + w·tanh(... tanh(W v)), odd in the window v, the same function at every site.

    The hidden layers have no constants, unless ``symmetric`` is False: W v has, and the log-odds have one, all zero at
    the start, so that they are odd no longer. It starts near s·v, with s the coupling ``start`` on the nearest known
    sites (one row of log-odds 2 K v) and zero elsewhere.

    Args:
        offsets: displacements of the k sites in a window.
        hidden: widths of the hidden layers, at least one.
        start: K.
        symmetric: whether the log-odds are odd.
        generator: draws the initial weights.
    """

    bias: Tensor

    def __init__(
        self,
        offsets: Sequence[tuple[int, ...]],
        *,
        hidden: Sequence[int],
        start: float,
        symmetric: bool = True,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        inputs = len(offsets)
        widths = [inputs, *hidden]
        self.weights = nn.ParameterList(
            normal(b, a, 1 / math.sqrt(a), generator) for a, b in itertools.pairwise(widths)
        )
        self.output = nn.Parameter(normal(1, widths[-1], 0.1 / math.sqrt(widths[-1]), generator))
        self.skip = nn.Parameter(2 * start * nearest(offsets)[None])
        self.symmetric = symmetric
        if not symmetric:
            self.bias = nn.Parameter(torch.zeros(widths[1] + 1, 1))

    def forward(self, state: Tensor, windows: Tensor) -> Tensor:
        """(N, n) spins, the batch last, and (M, k) rows of them -> (M, n) log-odds."""
        weights = [self.skip, self.output, *self.weights]
        if self.symmetric:
            return on_windows(_odd, state, windows, weights, slopes=_slopes if len(weights) == 3 else None)[0]
        return on_windows(_with_constants, state, windows, [self.bias, *weights])[0]

    def exported(self) -> dict[str, Any]:
        """What a page needs to evaluate it; ``learned`` is linear in the weights."""
        bias = [0.0] * (len(self.weights[0]) + 1) if self.symmetric else self.bias.flatten().tolist()
        layers = [weight.tolist() for weight in self.weights]
        learned = {"skip": self.skip[0].tolist(), "output": self.output[0].tolist(), "bias": bias, "layers": layers}
        return {"kind": "network", "learned": learned}


def _odd(v: Tensor, skip: Tensor, output: Tensor, first: Tensor, *others: Tensor) -> Tensor:
    """(k, m) windows -> (1, m); 2 sigmoid - 1 of half the argument is a tanh, which takes five times as long."""
    return _of_both(torch.cat([first, skip]) @ v, output, others)


def _slopes(v: Tensor, above: Tensor, skip: Tensor, output: Tensor, first: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of the weights of one hidden layer, from that of the (1, m) log-odds."""
    units = (first @ v).sigmoid()
    of_output = above @ units.T - 0.5 * above.sum()
    changes = torch.addcmul(units, units, units, value=-1).mul_(above)
    return above @ v.T, of_output, output.T * (changes @ v.T)


def _with_constants(v: Tensor, bias: Tensor, skip: Tensor, output: Tensor, first: Tensor, *others: Tensor) -> Tensor:
    return _of_both(torch.addmm(bias, torch.cat([first, skip]), v), output, others)


def _of_both(both: Tensor, output: Tensor, others: Sequence[Tensor]) -> Tensor:
    units = both[:-1].sigmoid()
    for weight in others:
        units = torch.addmm(-0.5 * weight.sum(1, keepdim=True), weight, units).sigmoid()
    return torch.addmm(both[-1:] - 0.5 * output.sum(), output, units)


class NoLogits(nn.Module):
    """Log-odds of a first spin, which knows of no other: zero, or a learned number where ``symmetric`` is False."""

    def __init__(self, *, symmetric: bool = True) -> None:
        super().__init__()
        self.bias = None if symmetric else nn.Parameter(torch.zeros(()))

    def forward(self, state: Tensor, windows: Tensor) -> Tensor:
        """(N, n) spins, the batch last, and (M, 0) rows of them -> (M, n)."""
        zeros = state.new_zeros(len(windows), state.shape[1])
        return zeros if self.bias is None else zeros + self.bias

    def exported(self) -> dict[str, Any]:
        """What a page needs to evaluate it."""
        return {"kind": "constant", "learned": {"value": 0.0 if self.bias is None else float(self.bias)}}


class ConvolutionalLogits(nn.Module):
    """Log-odds from a window by two convolutions, tanh between them: to some channels, and to the result.

    Neither has constants, so that the log-odds are odd, unless ``symmetric`` is False: both have, zero at the start.

    Args:
        channels: units at each site.
        kernels: odd sides of the two convolutions; the window's is their sum less 1.
        symmetric: whether the log-odds are odd.
        generator: draws the initial weights.
    """

    nowhere: Tensor

    def __init__(
        self,
        *,
        channels: int,
        kernels: tuple[int, int] = (5, 3),
        symmetric: bool = True,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        (a, b), self.kernels = kernels, kernels
        self.kernel = nn.Parameter(normal(channels, a * a, 1 / a, generator))
        self.output = nn.Parameter(normal(b * b, channels, 0.1 / math.sqrt(b * b * channels), generator))
        self.register_buffer("nowhere", torch.zeros(1, (a + b - 1) ** 2), persistent=False)
        self.bias = None if symmetric else nn.Parameter(torch.zeros(channels))
        self.constant = None if symmetric else nn.Parameter(torch.zeros(1))

    def forward(self, state: Tensor, windows: Tensor) -> Tensor:
        """(N, n) spins, the batch last, and (M, k) rows of them -> (M, n) log-odds."""
        a, b = self.kernels
        kernel, end = self.kernel.view(-1, a, a), b - 1
        shifted = [pad(kernel, (x, end - x, y, end - y)).flatten(1) for y in range(b) for x in range(b)]
        weights = [self.nowhere, self.output.view(1, -1), torch.cat(shifted)]
        if self.bias is None or self.constant is None:
            return on_windows(_odd, state, windows, weights, slopes=_slopes)[0]
        bias = torch.cat([self.bias.repeat(b * b), self.constant])[:, None]
        return on_windows(_with_constants, state, windows, [bias, *weights])[0]


class TransformerLogits(nn.Module):
    """Log-odds from the known spins of a window by a small transformer, odd in them.

    It starts near the coupling ``start`` on the nearest spins that are always known, as :class:`OddLogits` does.

    Args:
        offsets: displacements of the k sites in a window.
        known: (k,) whether a site is known in every window; of the others some windows have zeros.
        hidden: units of each block's hidden layer.
        heads: of the attention.
        start: K.
        generator: draws the initial weights.
    """

    def __init__(
        self,
        offsets: Sequence[tuple[int, ...]],
        *,
        known: Sequence[bool],
        hidden: Sequence[int],
        heads: int,
        start: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        always = torch.tensor(known)
        skip = torch.zeros(len(offsets))
        skip[always] = 2 * start * nearest([offset for offset, here in zip(offsets, known, strict=True) if here])
        self.network = WindowTransformer(len(offsets), hidden=hidden, heads=heads, start=skip, generator=generator)

    def forward(self, state: Tensor, windows: Tensor) -> Tensor:
        """(N, n) spins, the batch last and zeros in the last row, and (M, k) rows of them -> (M, n) log-odds."""
        seen = None
        if state.device.type == "cpu":  # a GPU is not waited for: there all are looked at, and zeros have no weight
            seen = (windows != len(state) - 1).any(0).nonzero().flatten()
            windows = windows[:, seen]
        names, weights = zip(*self.network.named_parameters(), strict=True)

        def evaluated(v: Tensor, *weights: Tensor) -> Tensor:
            found: Tensor = functional_call(self.network, dict(zip(names, weights, strict=True)), (v, seen))
            return found

        return on_windows(evaluated, state, windows, weights, columns=WINDOWS)[0]


class HeatBathLogits(nn.Module):
    """Log-odds 2 (K + k) Σ s over the nearest known sites: a spin in the field of its neighbours.

    K is what ``set_coupling`` says, k is the learned ``shift``, 0 at the start: where K is as small as renormalised
    couplings become, a learned factor would do nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))
        self.K = 0.0

    def set_coupling(self, K: float) -> None:
        """K between nearest neighbours of the level, in units of the temperature."""
        self.K = K

    def forward(self, state: Tensor, windows: Tensor) -> Tensor:
        """(N, n) spins, the batch last, and (M, k) rows of them -> (M, n) log-odds."""
        return 2 * (self.K + self.shift) * gather(state, windows).sum(0).view(len(windows), -1)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        learned_factor(state, prefix, self.K)
        super()._load_from_state_dict(state, prefix, *rest)


def learned_factor(state: dict[str, Any], prefix: str, K: float) -> None:
    """Weights of an earlier version, which had a factor ``scale`` on K, as the ``shift`` that is the same."""
    if f"{prefix}scale" in state:
        state[f"{prefix}shift"] = K * (state.pop(f"{prefix}scale") - 1)


class ExactLogits(nn.Module):
    """The exact log-odds of an even site on the decimated lattice, all the sites it interacts with being known.

    Each of the four odd neighbours was summed over and left ln 2cosh(K Σ s + H) of its even neighbours, H = h/T being
    the field; with t the sum of the other three, the log-odds are
    2 H + Σ_4 ln cosh(K (t + 1) + H) - ln cosh(K (t - 1) + H). In the plane t is ±1 or ±3, so that each term is a
    polynomial a + b t + c t² + d t³ exactly, without field b t + d t³; in d dimensions there are 2d odd neighbours, and
    t goes up to 2d - 1.

    Args:
        offsets: displacements of the known sites in the window.
    """

    sums: Tensor

    def __init__(self, offsets: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.register_buffer("sums", sums_of_others(offsets), persistent=False)
        self.powers: tuple[float, ...] = ()

    def set_coupling(self, K: float, field: float = 0.0) -> None:
        """K = βJ between nearest neighbours of the fine lattice, and H = βh."""
        most = len(self.sums) - 1
        values = {t: log_cosh(K * (t + 1) + field) - log_cosh(K * (t - 1) + field) for t in range(-most, most + 1, 2)}
        if most == 3:  # the plane
            d = ((values[3] - values[-3]) / 3 - (values[1] - values[-1])) / 16
            c = ((values[3] + values[-3]) - (values[1] + values[-1])) / 16
            powers = [(values[1] + values[-1]) / 2 - c, (values[1] - values[-1]) / 2 - d, c, d]
        else:
            powers = np.linalg.solve(np.vander(list(values), increasing=True), list(values.values())).tolist()
        powers[0] += 2 * field / len(self.sums)
        self.powers = tuple(power if field or i % 2 else 0.0 for i, power in enumerate(powers))

    def forward(self, state: Tensor, windows: Tensor) -> Tensor:
        """(N, n) spins, the batch last, and (M, k) rows of them -> (M, n) log-odds."""
        t = self.sums.to(state.dtype) @ gather(state, windows)
        squared = t.square()
        even, odd = (_horner(powers, squared) for powers in (self.powers[::2], self.powers[1::2]))
        terms = t * odd if not any(self.powers[::2]) else t * odd + even
        return terms.sum(0).view(len(windows), -1)

    def exported(self) -> dict[str, Any]:
        """What a page needs to evaluate it, which knows K and that there is no field."""
        return {"kind": "exact", "sums": self.sums.tolist(), "learned": {}}


def _horner(powers: Sequence[float], x: Tensor) -> Tensor | float:
    """Σ_k powers_k x^k."""
    found: Tensor | float = 0.0
    for power in reversed(powers):
        found = power + found * x if isinstance(found, Tensor) or found else power
    return found


def nearest(offsets: Sequence[tuple[int, ...]]) -> Tensor:
    """(k,) ones at the displacements of least distance, zeros elsewhere."""
    distances = torch.tensor([float(sum(one * one for one in offset)) for offset in offsets])
    return (distances == distances.min()).float() if offsets else distances


def sums_of_others(offsets: Sequence[tuple[int, ...]]) -> Tensor:
    """(2d, k) matrix that sums, for each odd neighbour of an even site, its other even neighbours in a window."""
    place = {offset: i for i, offset in enumerate(offsets)}
    steps = [tuple(sign * one for one in row) for row in np.eye(len(offsets[0]), dtype=int) for sign in (-1, 1)]
    sums = torch.zeros(len(steps), len(offsets))
    for row, step in enumerate(steps):
        for other in steps:
            seen = tuple(int(a + b) for a, b in zip(step, other, strict=True))
            if any(seen):
                sums[row, place[seen]] = 1.0
    return sums


def check_spins(x: Tensor, *, unknown: bool = False) -> None:
    """ValueError where something is not ±1, nor NaN if spins may be unknown."""
    wrong = x.detach().abs() != 1
    if unknown:
        wrong &= ~x.isnan()
    if bool(wrong.any()):
        raise ValueError(f"spins must be -1 or +1{', or NaN to be drawn' * unknown}, got {x[wrong][0].item()}")


def log_cosh(x: float) -> float:
    """ln cosh x, for large x and small x too."""
    if abs(x) < 1e-4:
        return x * x / 2
    return abs(x) + math.log1p(math.exp(-2 * abs(x))) - math.log(2)


def normal(rows: int, columns: int, scale: float, generator: torch.Generator) -> Tensor:
    """(rows, columns) initial weights."""
    noise = torch.randn(rows, columns, generator=generator, device=generator.device)
    return noise.to(torch.get_default_device()) * scale
