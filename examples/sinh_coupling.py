"""A coupling layer of one's own: x_A = sinh(e^s asinh(z_A)) + t, which changes tails; s and t are read off the rest."""

import torch

import flowlab as fl


class SinhCoupling(fl.Flow):
    """Any network (n, N) -> (n, 2N) of the sites that stay, the others set to 0.

    Args:
        mask: (*shape) booleans, True on A, the sites that are changed.
        network: a function (inputs, outputs) of a module that makes it, so that runs can be loaded again.
    """

    label = "sinh"

    def __init__(self, mask, network=None):
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        N = mask.numel()
        self.network = (network or two_layers)(N, 2 * N)

    def _numbers(self, x):
        found = self.network(torch.where(self.mask, 0.0, x).flatten(1))
        s, t = found.view(len(x), 2, *x.shape[1:]).unbind(1)
        return 0.5 * s.tanh() * self.mask, t * self.mask

    def forward(self, z):
        s, t = self._numbers(z)
        return _stretched(z, s, t)

    def inverse(self, x):
        s, t = self._numbers(x)
        return _stretched(x - t, -s, torch.zeros_like(t))


def _stretched(x, s, t):
    u = s.exp() * x.asinh()
    log_slope = s + u.cosh().log() - 0.5 * (1 + x.square()).log()
    return u.sinh() + t, log_slope.flatten(1).sum(1)


def two_layers(inputs, outputs, width=64):
    return torch.nn.Sequential(torch.nn.Linear(inputs, width), torch.nn.SiLU(), torch.nn.Linear(width, outputs))
