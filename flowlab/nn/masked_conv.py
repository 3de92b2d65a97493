"""A convolution that sees what comes before a site in raster order, whole or at one site at a time."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_inside, _changing = 0, threading.Lock()
_before = True


@contextlib.contextmanager
def whole_float32(device: torch.device) -> Iterator[None]:
    """Within it a GPU convolves in all the digits of float32, and not in TF32: ln q would differ in the third one.

    PyTorch has one switch for the process: it is set back when the last thread leaves.
    """
    global _inside, _before
    if device.type == "cpu":
        yield
        return
    with _changing:
        if not _inside:
            _before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
        _inside += 1
    try:
        yield
    finally:
        with _changing:
            _inside -= 1
            if not _inside:
                torch.backends.cudnn.allow_tf32 = _before


class CausalConv(nn.Module):
    """y(site) = b + Σ_taps W_tap x(site + tap), over the taps of a K x K window that come before its centre.

    The taps are the (K²-1)/2 in the rows above and to the left and, with ``own``, the centre. Only their weights exist,
    so there is no mask. Outside the lattice x is zero: around the torus the window would reach sites that come later.

    Args:
        inputs, outputs: channels.
        kernel: side K of the window, odd.
        own: whether the site itself is seen.
        gain: scale of the initial weights, W ~ gain · N(0, 1) / √(inputs · taps); b starts at zero.
        bias: whether there is b; without, y is odd in x.
        generator: draws the initial weights.

    Raises:
        ValueError: for a kernel that is even or below 1, or one without a tap.

    >>> conv = CausalConv(1, 2, kernel=3, own=False, generator=torch.Generator().manual_seed(0))
    >>> conv.weight.shape, conv(torch.ones(5, 1, 4, 6)).shape
    (torch.Size([2, 1, 4]), torch.Size([5, 2, 4, 6]))
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int,
        own: bool,
        gain: float = 1.0,
        bias: bool = True,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        taps = kernel * kernel // 2 + own
        if kernel < 1 or kernel % 2 == 0 or not taps:
            raise ValueError(f"kernel must be odd, and at least 3 where a site does not see itself, got {kernel}")
        self.reach = kernel // 2
        noise = torch.randn(outputs, inputs, taps, generator=generator, device=generator.device)
        self.weight = nn.Parameter(noise.to(torch.get_default_device()) * (gain / math.sqrt(inputs * taps)))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, height, width) -> (n, outputs, height, width)."""
        r = self.reach
        # columns that conv2d pads by itself cost no arithmetic: up to 1.8 times faster than padding all of them
        with whole_float32(x.device):
            y: Tensor = functional.conv2d(functional.pad(x, (0, 0, r, 0)), self.window(), self.bias, padding=(0, r))
        return y

    def window(self) -> Tensor:
        """(outputs, inputs, reach + 1, 2 reach + 1): the weights in the upper half of the window, zero off the taps."""
        r = self.reach
        rest = (r + 1) * (2 * r + 1) - self.weight.shape[2]
        padded: Tensor = functional.pad(self.weight, (0, rest))
        return padded.view(*padded.shape[:2], r + 1, 2 * r + 1)

    def rows(self) -> Tensor:
        """The window as :meth:`at` takes it: (reach + 1, outputs, (2 reach + 1) inputs), a matrix for each row."""
        return self.window().permute(2, 0, 3, 1).flatten(2).contiguous()

    def at(self, rows: Tensor, x: Tensor | Sequence[Sequence[Tensor]], row: int, column: int) -> Tensor:
        """The output at one site, for one matrix product a row of its window.

        Args:
            rows: as :meth:`rows` gives them.
            x: (height, width, inputs, n), the batch last, or (inputs, n) for each site of each row; sites from this one
                on do not matter, but where ``own`` is.
            row, column: of the site.

        Returns:
            (outputs, n).
        """
        r, (inputs, n), width = self.reach, x[0][0].shape, len(x[0])
        first, last = max(0, column - r), min(width, column + r + 1)
        out = rows.new_zeros(rows.shape[1], 1) if self.bias is None else self.bias[:, None]
        out = out.expand(-1, n)
        for up in range(min(r, row), -1, -1):
            end = last if up else column + 1
            weight = rows[r - up, :, (first - column + r) * inputs : (end - column + r) * inputs]
            seen = x[row - up][first:end]
            out = torch.addmm(out, weight, seen.flatten(0, 1) if isinstance(seen, Tensor) else torch.cat(list(seen)))
        return out

    def alone(self, x: Tensor) -> Tensor:
        """(inputs, n) at one site -> (outputs, n), for a kernel of 1, which sees nothing else."""
        weight = self.weight[:, :, 0]
        return weight @ x if self.bias is None else torch.addmm(self.bias[:, None], weight, x)
