"""Systems: copies at other couplings."""

from __future__ import annotations

import torch
from torch import nn

import flowlab as fl


class WithTable(fl.Ising):
    """A system with modules of its own, one inside the other."""

    def __init__(self) -> None:
        super().__init__((4, 4), T=2.0)
        self.part = nn.Sequential(nn.Module())
        self.part[0].register_buffer("table", torch.zeros(3))


def test_moving_a_copy_leaves_the_modules_of_the_first() -> None:
    system = WithTable()
    other = system.at(T=3.0)
    assert other.part[0].table is system.part[0].table, "a copy is cheap"
    other.to(torch.float64)
    assert (other.part[0].table.dtype, system.part[0].table.dtype) == (torch.float64, torch.float32)
