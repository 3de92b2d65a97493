"""Block-spin tokens: an autoregressive density over the states of whole blocks of spins."""

from __future__ import annotations

import torch
from torch import Tensor

from flowlab.core import Density, Draw, Spins
from flowlab.core.arguments import checked
from flowlab.densities.autoregressive.potts_made import PottsMADE
from flowlab.systems.lattice import plane

MAX_SPINS = 8
"""Of one block, whose states are counted out: 2^8 = 256."""


class BlockSpins(Density):
    """q(σ) = Π_B p(t_B | t_<B): block after block in raster order, each drawn as one token of 2^k states for k spins.

    Tokens name block states without loss, so that ln q(σ) is exact, and what the spins of a block know of each other
    costs no depth. The conditionals are a :class:`flowlab.densities.PottsMADE` of one-hot tokens.

    Args:
        shape: (n, m).
        block: sides of a block, which divide n and m; at most 8 spins.
        width: hidden units of each block.
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        ValueError: for sides that the block does not divide, or a block of more than 8 spins.

    >>> q = BlockSpins((4, 4))
    >>> x, log_q = q.sample(10, generator=torch.Generator().manual_seed(0))
    >>> x.shape, bool(torch.allclose(log_q, q.log_prob(x)))
    (torch.Size([10, 4, 4]), True)
    """

    variables = Spins()

    states: Tensor

    @checked
    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        block: tuple[int, int] = (2, 2),
        width: int = 32,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.block = plane(shape), block
        (n, m), (a, b) = self.shape, self.block
        if a < 1 or b < 1 or n % a or m % b:
            raise ValueError(f"shape must be divisible by the {a} x {b} block, got {tuple(shape)}")
        if a * b > MAX_SPINS:
            raise ValueError(f"block must have at most {MAX_SPINS} spins, got {a} x {b}")
        self.tokens = PottsMADE((n // a, m // b), 2 ** (a * b), width=width, generator=generator)
        bits = (torch.arange(2 ** (a * b))[:, None] >> torch.arange(a * b)) & 1
        self.register_buffer("states", 2.0 * bits - 1.0, persistent=False)

    def encode(self, x: Tensor) -> Tensor:
        """(n, *shape) spins -> (n, *blocks) tokens 0 .. 2^k - 1, bit i set where spin i of the block is +1.

        Raises:
            ValueError: for a wrong shape, or spins that are not ±1.
        """
        if tuple(x.shape[1:]) != tuple(self.shape):
            raise ValueError(
                f"configurations must have shape (n, {self.shape[0]}, {self.shape[1]}), got {tuple(x.shape)}"
            )
        wrong = x.detach().abs() != 1
        if bool(wrong.any()):
            raise ValueError(f"spins must be -1 or +1, got {x.detach()[wrong][0].item()}")
        (rows, columns), (a, b) = self.tokens.shape, self.block
        spins = x.detach().reshape(-1, rows, a, columns, b).transpose(2, 3).flatten(3)
        places = 2.0 ** torch.arange(a * b, device=x.device)
        return ((spins > 0) * places).sum(-1).to(next(self.parameters()).dtype)

    def decode(self, tokens: Tensor) -> Tensor:
        """(n, *blocks) tokens -> (n, *shape) spins, the inverse of ``encode``."""
        (rows, columns), (a, b) = self.tokens.shape, self.block
        spins = self.states.to(tokens.dtype)[tokens.long()]
        return spins.reshape(-1, rows, columns, a, b).transpose(2, 3).reshape(-1, *self.shape)

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        tokens, log_q, score = self.tokens.draw(n, generator=generator)
        return Draw(self.decode(tokens), log_q, score)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.tokens.log_prob(self.encode(x))
