"""A vector-quantised autoencoder of spins with an autoregressive prior: bounds without a tractable ln q(σ)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from flowlab.core import Density, Draw, Spins, named_generator
from flowlab.core.arguments import checked
from flowlab.core.density import NoLikelihood
from flowlab.densities.autoregressive.potts_made import PottsMADE
from flowlab.nn.mlp import MLP
from flowlab.systems.lattice import window

CELL = 2


class Joint(NamedTuple):
    """Spins drawn together with their codes, and the logarithms of what made them.

    Attributes:
        x: (n, *shape) spins σ.
        z: (n, *cells) codes 0 .. codes - 1.
        log_prior: (n,) ln p(z).
        log_decoder: (n,) ln p(σ|z).
        log_encoder: (n,) ln r(z|σ).
    """

    x: Tensor
    z: Tensor
    log_prior: Tensor
    log_decoder: Tensor
    log_encoder: Tensor


class VQVAE(Density):
    """q(σ) = Σ_z p(z) p(σ|z): one code for each 2 x 2 cell, an autoregressive prior, spins independent given the codes.

    The sum over all z is out of reach, so there is no ln q(σ): ``log_prob`` refuses. What is exact is the joint
    q(σ, z), and an encoder r(z|σ), which guesses the codes back, makes it into a density of its own: draws carry

        log_q = ln p(z) + ln p(σ|z) - ln r(z|σ),

    whose mean is at least that of ln q(σ), by the mean of KL(q(z|σ) | r(z|σ)). So E_q[log_weight - log_q] is a rigorous
    lower bound on ln Z for any encoder, and weights exp(log_weight - log_q) have the mean Z (Agakov and Barber 2004;
    Ranganath et al. 2016, arXiv:1511.02386). With the prior in place of the encoder it is the joint bound
    E_q[log_weight - ln p(σ|z)], short of E_q[log_weight - ln q(σ)] by the mutual information of σ and z: loose where
    the codes say much, while a good encoder loses nothing. All of these, and the estimates that are no bounds, are
    given by :func:`flowlab.analysis.vqvae_bounds.latent_bounds`.

    The encoder's features v of a cell, from the 4 x 4 spins around it, choose code k with probability proportional to
    exp(-|v - e_k|²), e_k being the vectors from which the decoder works (van den Oord et al. 2017, arXiv:1711.00937;
    with the nearest code alone r would vanish on others, and the bound with it). The decoder of a cell sees the codes
    of the 3 x 3 cells around.

    Args:
        shape: (n, m), both sides even.
        codes: number of codes, at least 2.
        features: length of the vectors e_k.
        hidden: units of the encoder and of the decoder.
        width: hidden units of the prior for each cell.
        generator: draws the initial weights; None takes a fixed seed.

    Raises:
        ValueError: for odd sides, or numbers that are not as above.

    >>> q = VQVAE((4, 4))
    >>> x, log_q = q.sample(10, generator=torch.Generator().manual_seed(0))
    >>> x.shape, log_q.shape
    (torch.Size([10, 4, 4]), torch.Size([10]))
    """

    variables = Spins()

    spins_of: Tensor
    spins_around: Tensor
    cells_around: Tensor

    @checked
    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        codes: int = 8,
        features: int = 8,
        hidden: int = 32,
        width: int = 16,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        sides = tuple(shape)
        if len(sides) != 2 or any(side < 2 or side % 2 for side in sides):
            raise ValueError(f"shape must be two even sides for cells of 2 x 2 spins, got {sides}")
        if codes < 2 or features < 1 or hidden < 1:
            raise ValueError(
                f"codes must be at least 2, features and hidden at least 1, got {codes}, {features} and {hidden}"
            )
        self.shape, self.codes = sides, int(codes)
        generator = named_generator(0, "vqvae") if generator is None else generator
        cells = (sides[0] // CELL, sides[1] // CELL)
        self.prior = PottsMADE(cells, codes, width=width, generator=generator)
        corner = torch.arange(sides[0] * sides[1]).view(sides)[::CELL, ::CELL].flatten()
        inside = [(dy, dx) for dy in range(CELL) for dx in range(CELL)]
        beside = [(dy, dx) for dy in range(-1, 3) for dx in range(-1, 3)]
        near = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        self.register_buffer("spins_of", window(sides, inside)[corner], persistent=False)
        self.register_buffer("spins_around", window(sides, beside)[corner], persistent=False)
        self.register_buffer("cells_around", window(cells, near), persistent=False)

        noise = torch.randn(codes, features, generator=generator, device=generator.device)
        self.vectors = nn.Parameter(noise.to(torch.get_default_device()) / math.sqrt(features))
        self.encoder = MLP((len(beside), hidden, features), generator=generator)
        self.decoder = MLP((len(near) * features, hidden, len(inside)), generator=generator)

    def draw_joint(self, n: int, *, generator: torch.Generator | None = None) -> Joint:
        """n configurations with their codes, drawn from p(z) p(σ|z); see :class:`Joint`."""
        z, _, log_prior = self.prior.draw(n, generator=generator)
        logits = self._spin_logits(z)
        u = torch.rand(logits.shape, generator=generator, dtype=logits.dtype, device=logits.device)
        spins = torch.where(u < logits.detach().sigmoid(), 1.0, -1.0).to(logits.dtype)
        x = torch.empty(n, spins[0].numel(), dtype=spins.dtype, device=spins.device)
        x = x.index_copy(1, self.spins_of.flatten(), spins.flatten(1)).view(n, *self.shape)
        log_decoder = functional.logsigmoid(spins * logits).sum((1, 2))
        return Joint(x, z, log_prior, log_decoder, self.log_encoder(z, x))

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        """n configurations; ``log_q`` is ln q(σ, z) - ln r(z|σ), ``score`` ln q(σ, z), which made the choices."""
        joint = self.draw_joint(n, generator=generator)
        score = joint.log_prior + joint.log_decoder
        return Draw(joint.x, score.detach() - joint.log_encoder, score)

    def log_prob(self, x: Tensor) -> Tensor:
        """Refuses: ln q(σ) is a sum over all codes.

        Raises:
            NoLikelihood: always, a TypeError.
        """
        raise NoLikelihood("a VQVAE has no exact ln q(x): see log_joint, and log_prob_estimate, which is no bound")

    def log_joint(self, z: Tensor, x: Tensor) -> Tensor:
        """(n, *cells) codes and (n, *shape) spins -> (n,) ln p(z) + ln p(σ|z), exact."""
        spins = x.flatten(1)[:, self.spins_of]
        return self.prior.log_prob(z) + functional.logsigmoid(spins * self._spin_logits(z)).sum((1, 2))

    def log_encoder(self, z: Tensor, x: Tensor) -> Tensor:
        """(n, *cells) codes and (n, *shape) spins -> (n,) ln r(z|σ), exact."""
        log_r = self._code_logits(x).log_softmax(-1)
        return log_r.gather(-1, z.flatten(1).long()[..., None]).sum((1, 2))

    def log_prob_estimate(
        self, x: Tensor, k: int, *, z: Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """ln of the mean of q(σ, z_i) / r(z_i|σ) over codes z_i from the encoder: (n, *shape) -> (n,) estimates.

        Args:
            x: (n, *shape) spins.
            k: how many codes are drawn for each.
            z: (n, *cells) the codes with which x was drawn, to be counted as one more: the mean is then at least ln
                q(σ), while without it the mean is at most that (k = 1: the ELBO), so free energies from it are no
                bounds (Burda et al. 2015, arXiv:1509.00519; Grosse et al. 2015, arXiv:1511.02543).
        """
        with torch.no_grad():
            p = self._code_logits(x).softmax(-1)
            codes = torch.multinomial(p.flatten(0, 1), k, replacement=True, generator=generator)
            codes = codes.view(len(x), -1, k).permute(2, 0, 1).to(p.dtype).reshape(k, len(x), *self.prior.shape)
            given = [] if z is None else [z]
            ratios = [self.log_joint(one, x) - self.log_encoder(one, x) for one in [*given, *codes]]
            return torch.stack(ratios).logsumexp(0) - math.log(len(ratios))

    def _spin_logits(self, z: Tensor) -> Tensor:
        """(n, *cells) codes -> (n, C, 4) log-odds of the spins of each cell."""
        seen = self.vectors[z.flatten(1).long()][:, self.cells_around].flatten(2)
        logits: Tensor = self.decoder(seen.flatten(0, 1))[0].unflatten(0, seen.shape[:2])
        return logits

    def _code_logits(self, x: Tensor) -> Tensor:
        """(n, *shape) spins -> (n, C, codes): -|v - e_k|² up to a constant."""
        seen = x.detach().flatten(1)[:, self.spins_around]
        v: Tensor = self.encoder(seen.flatten(0, 1))[0].unflatten(0, seen.shape[:2])
        return 2 * v @ self.vectors.T - self.vectors.square().sum(-1)
