"""The XY model sampled by a flow of angles: a system, a base density and a layer whose variables are on a circle."""

import torch

import flowlab as fl


class XY(fl.System):
    """Angles on a square lattice: E = -Σ_<xy> cos(θ_x - θ_y), ln weight = -E/T."""

    def __init__(self, L, T):
        super().__init__()
        self.shape, self.dims, self.variables = (L, L), ("y", "x"), fl.Angles()
        self.couplings = {"T": torch.tensor(float(T), dtype=torch.float64)}

    def log_weight(self, x):
        x = self.batch(x)
        return sum((x - x.roll(1, d)).cos().flatten(1).sum(1) for d in (1, 2)) / self.couplings["T"].to(x)

    def observables(self, x):
        energy = -self.couplings["T"] * self.log_weight(x)
        return {"energy_per_site": energy / self.n_sites, "magnetization": self.variables.magnetization(x)}


class UniformAngles(fl.Density):
    def __init__(self, shape):
        super().__init__()
        self.shape, self.variables = tuple(shape), fl.Angles()
        self.register_buffer("log_q", -torch.Size(shape).numel() * torch.tensor(2 * torch.pi).log(), persistent=False)

    def draw(self, n, *, generator=None):
        x = 2 * torch.pi * (torch.rand(n, *self.shape, generator=generator, dtype=self.log_q.dtype) - 0.5)
        return fl.core.Draw(x, self.log_prob(x), x.new_zeros(n))

    def log_prob(self, x):
        return self.log_q.expand(len(x))


class CircleCoupling(fl.Flow):
    """x_A = t + 2 atan(e^s tan(z_A / 2)), x_B = z_B: Möbius maps of the circle, s and t read off cos and sin of z_B."""

    def __init__(self, mask, width=32):
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        into, out = torch.nn.Linear(2 * mask.numel(), width), torch.nn.Linear(width, 3 * mask.numel())
        self.network = torch.nn.Sequential(into, torch.nn.Tanh(), out)

    def forward(self, x, *, generator=None, back=False):
        seen = torch.where(self.mask, 0.0, torch.stack([x.cos(), x.sin()], 1)).flatten(1)
        s, c, d = self.network(seen).view(len(x), 3, *x.shape[1:]).unbind(1)
        s, t = s.tanh() * self.mask * (-1 if back else 1), torch.atan2(d, c + 1) * self.mask
        half = (x - t if back else x) / 2
        x = fl.Angles().principal(2 * torch.atan2(s.exp() * half.sin(), half.cos()) + (0 if back else t))
        return x, (s - (half.cos().square() + (2 * s).exp() * half.sin().square()).log()).flatten(1).sum(1)

    def inverse(self, x):
        return self.forward(x, back=True)
