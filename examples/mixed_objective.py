"""An objective of one's own: (1 - w) KL(q | p) + w KL(p | q), so that q neither misses modes nor leaves p."""

import torch

import flowlab as fl


class MixedKL(fl.Objective):
    """The reverse KL on draws of q, and the cross entropy on samples of p that short chains give.

    Args:
        forward: w, from 0 (reverse) to 1 (forward).
        chains: samples of the target, the ends of as many chains.
        sweeps: of each chain.
        seed: of the chains.
    """

    def __init__(self, forward=0.5, chains=512, sweeps=200, seed=0):
        super().__init__()
        self.forward_weight, self.chains, self.sweeps, self.seed = forward, chains, sweeps, seed
        self.reverse = fl.ReverseKL()
        self.samples = None

    def prepare(self, density, target, *, fresh, report=lambda what: None):
        if self.samples is None:
            report("drawing samples of the target")
            chain = fl.mcmc.Metropolis(target)
            state = chain.init(self.chains, generator=fl.core.named_generator(self.seed, "samples"))
            for _ in range(self.sweeps):
                state, _ = chain.step(state)
            self.samples = torch.as_tensor(state.configurations).float()

    def loss(self, density, target, n, *, generator=None):
        reverse = self.reverse.loss(density, target, n, generator=generator)
        chosen = torch.randint(len(self.samples), (n,), generator=generator)
        cross_entropy = -density.log_prob(self.samples[chosen]).mean()
        w = self.forward_weight
        return reverse._replace(
            value=(1 - w) * reverse.value + w * cross_entropy,
            loss=(1 - w) * reverse.loss + w * cross_entropy.detach(),
            metrics=reverse.metrics | {"loss_forward": float(cross_entropy.detach())},
        )
