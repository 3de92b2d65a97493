"""The sine-Gordon action, S = Σ_x [½ Σ_μ (φ_x - φ_{x+μ})² + ½ m² φ_x² - α cos φ_x], and a study that samples it.

flowlab run sine-gordon L=8 alpha=2 --import examples.sine_gordon --out runs/sine-gordon
"""

import torch

import flowlab as fl
from flowlab.systems.lattice import checkerboard


class SineGordon(fl.System):
    """Real fields on a square lattice; one more line, ``force``, would spare chains the automatic derivative."""

    def __init__(self, L, m2=0.5, alpha=1.0):
        super().__init__()
        self.shape, self.dims, self.variables = (L, L), ("y", "x"), fl.Reals()
        self.couplings = {
            name: torch.tensor(float(v), dtype=torch.float64) for name, v in (("m2", m2), ("alpha", alpha))
        }

    def log_weight(self, x):
        x = self.batch(x)
        m2, alpha = (self.couplings[name].to(x) for name in ("m2", "alpha"))
        bonds = sum((x - x.roll(1, side)).square() for side in (1, 2)) / 2
        return -(bonds + m2 / 2 * x.square() - alpha * x.cos()).flatten(1).sum(1)

    def observables(self, x):
        x = self.batch(x)
        return {"magnetization": x.mean((1, 2)), "cos_phi": x.cos().mean((1, 2))}


@fl.study("sine-gordon")
def sine_gordon(
    *, L: int = 8, m2: float = 0.5, alpha: float = 1.0, layers: int = 4, steps: int = 600, batch: int = 256,
    lr: float = 1e-2, seed: int = 0, warm: bool = False,
):  # fmt: skip
    """Affine layers on a checkerboard for the sine-Gordon action.

    Keys:
        L: side of the lattice.
        m2: mass squared.
        alpha: height of the periodic potential.
        layers: coupling layers.
        steps: of training.
        batch: draws of a step.
        lr: learning rate.
    """
    even, named = checkerboard((L, L)), fl.core.named_generator(seed, "weights")
    masks = [even if i % 2 else ~even for i in range(layers)]
    flow = fl.Composed([fl.AffineCoupling(mask, network="conv", generator=named) for mask in masks])
    density = fl.Pushforward(flow, fl.Normal((L, L)))
    how = {"steps": steps, "batch": batch, "learning_rate": lr, "clip": 5.0, "seed": seed}
    return fl.Training(SineGordon(L, m2, alpha), density, fl.PathGradient(), **how)
