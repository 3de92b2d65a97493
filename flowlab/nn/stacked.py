"""Square convolutions one upon another, of the sites of a periodic lattice that stay."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad


class StackedConvolutions(nn.Module):
    """(n, |B|) fields of the sites that stay -> (n, outputs, |A|) numbers for those that change.

    The fields are put on the lattice with zeros on A; every layer is a periodic convolution, with tanh between them
    (Del Debbio, Marsh Rossney and Wilson 2021, arXiv:2105.12481, eq. 37).

    Args:
        mask: (L, L) booleans, True on A.
        channels: of each hidden layer.
        outputs: numbers for a site.
        kernel: side of the convolutions, odd.
        biases: without them the network is odd.
        generator: for the initial weights, uniform in ±1/√inputs.

    Raises:
        ValueError: for a mask that is not of two sides, no hidden layer, or an even kernel.

    >>> mask = torch.eye(4) > 0
    >>> network = StackedConvolutions(mask, channels=(3,), outputs=2, generator=torch.Generator().manual_seed(0))
    >>> network(torch.ones(5, 12)).shape
    torch.Size([5, 2, 4])
    """

    read: Tensor
    changed: Tensor

    def __init__(
        self,
        mask: Tensor,
        *,
        channels: tuple[int, ...],
        outputs: int,
        kernel: int = 3,
        biases: bool = True,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if mask.ndim != 2 or mask.dtype != torch.bool:
            raise ValueError(f"mask must be booleans on a lattice of two sides, got {mask.dtype} in {mask.ndim}")
        if not channels or min(channels) < 1:
            raise ValueError(f"channels must name at least one positive number, got {channels}")
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {kernel}")
        self.shape, self.kernel = tuple(mask.shape), kernel
        self.register_buffer("changed", mask.flatten().nonzero().flatten(), persistent=False)
        self.register_buffer("read", (~mask).flatten().nonzero().flatten(), persistent=False)
        steps = list(itertools.pairwise((1, *channels, outputs)))

        def uniform(shape: tuple[int, ...], inputs: int) -> nn.Parameter:
            noise = torch.rand(shape, generator=generator, device=generator.device)
            bound = 1 / math.sqrt(inputs * kernel**2)
            return nn.Parameter(noise.to(torch.get_default_device()).mul_(2 * bound).sub_(bound))

        self.weights = nn.ParameterList(uniform((b, a, kernel, kernel), a) for a, b in steps)
        self.biases = nn.ParameterList(uniform((b,), a) for a, b in steps if biases)

    def forward(self, v: Tensor) -> Tensor:
        """(n, |B|) -> (n, outputs, |A|)."""
        lattice = v.new_zeros(len(v), math.prod(self.shape)).index_copy(1, self.read, v)
        y, reach = lattice.view(-1, 1, *self.shape), self.kernel // 2
        for i, weight in enumerate(self.weights):
            y = y.tanh() if i else y
            y = conv2d(pad(y, (reach,) * 4, mode="circular"), weight, self.biases[i] if len(self.biases) else None)
        return y.flatten(2).index_select(2, self.changed)

    def extra_repr(self) -> str:
        return f"{len(self.weights)} layers of {self.kernel} x {self.kernel}, constants={len(self.biases) > 0}"
