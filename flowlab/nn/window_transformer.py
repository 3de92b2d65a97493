"""A small transformer over the spins around a site, odd under a flip of all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention


class WindowTransformer(nn.Module):
    """One number for each window of k values, which changes its sign with them; zeros are values that are not known.

    A token is a value times the learned embedding of its position. Each block adds attention of several heads, then a
    layer of tanh units, both without constants and after division by the root mean square of each token. Every step is
    odd: scores are bilinear and so even, and the values that they weigh are odd. The result is linear in all tokens
    and in the values themselves. Nobody attends to a value that is not known.

    Args:
        positions: k.
        hidden: units of each block's layer of tanh, one number a block.
        heads: of the attention.
        head: channels of a head; tokens have heads · head.
        start: (k,) how the result begins to depend on the values, but for a small random part; None for not at all.
        generator: draws the initial weights.

    Raises:
        ValueError: for no block, no head, or sizes below 1.

    >>> network = WindowTransformer(4, hidden=(8,), generator=torch.Generator().manual_seed(0))
    >>> v = torch.tensor([[1.0, -1.0, 0.0], [1.0, 1.0, 1.0], [-1.0, -1.0, 1.0], [1.0, 1.0, 0.0]])
    >>> network(v).shape, bool(torch.equal(network(-v), -network(v)))
    (torch.Size([1, 3]), True)
    """

    def __init__(
        self,
        positions: int,
        *,
        hidden: Sequence[int],
        heads: int = 2,
        head: int = 8,
        start: Tensor | None = None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if not hidden or min(*hidden, heads, head) < 1:
            raise ValueError(
                f"a transformer needs at least one block, with one head and one unit or more, got hidden = "
                f"{tuple(hidden)}, {heads} heads of {head} channels"
            )
        width = heads * head

        def random(rows: int, columns: int, gain: float = 1.0) -> nn.Parameter:
            noise = torch.randn(rows, columns, generator=generator, device=generator.device)
            return nn.Parameter(noise.to(torch.get_default_device()) * (gain / math.sqrt(columns)))

        self.heads, self.blocks = heads, len(hidden)
        self.embedding = random(positions, width, math.sqrt(width))
        self.attention = nn.ParameterList(random(3 * width, width) for _ in hidden)
        self.mixing = nn.ParameterList(random(width, width, 0.5) for _ in hidden)
        self.rising = nn.ParameterList(random(units, width) for units in hidden)
        self.falling = nn.ParameterList(random(width, units, 0.5) for units in hidden)
        self.output = random(positions, width, 0.1 / math.sqrt(positions))
        self.skip = nn.Parameter(torch.zeros(positions) if start is None else start.clone())

    def forward(self, v: Tensor, seen: Tensor | None = None) -> Tensor:
        """(k, m) windows -> (1, m).

        Args:
            v: values, one window a column.
            seen: positions that ``v`` has, where the others are known nowhere.
        """
        embedding, output, skip = (
            weights if seen is None else weights.index_select(0, seen)
            for weights in (self.embedding, self.output, self.skip)
        )
        known = v.T != 0
        there = v.device.type == "cpu" and bool(known.all())  # a GPU is not waited for
        mask = None if there else known[:, None, None, :]
        tokens = v.T[:, :, None] * embedding
        for block in range(self.blocks):
            tokens = tokens + linear(self._attended(_normed(tokens), block, mask), self.mixing[block])
            units = linear(_normed(tokens), self.rising[block]).tanh()
            tokens = tokens + linear(units, self.falling[block])
        if mask is not None:
            tokens = tokens * known[:, :, None]
        result: Tensor = skip @ v + (tokens * output).sum((1, 2))
        return result[None]

    def _attended(self, tokens: Tensor, block: int, mask: Tensor | None) -> Tensor:
        """(m, k, width) -> (m, k, width): in each head the values of all tokens, weighed by softmax q·k/√channels."""
        m, k, width = tokens.shape
        query, key, value = linear(tokens, self.attention[block]).view(m, k, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        return scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).reshape(m, k, width)


def _normed(tokens: Tensor) -> Tensor:
    """Tokens divided by their root mean square; zeros stay zeros."""
    return rms_norm(tokens, tokens.shape[-1:], eps=1e-6)
