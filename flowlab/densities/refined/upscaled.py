"""Densities of fields on a fine lattice made from fields on a coarse one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from flowlab.core import Density, Draw, Flow, LayerState, Reals, System, named_generator
from flowlab.core.arguments import checked
from flowlab.core.density import one_of
from flowlab.densities.pushforward import slope_of
from flowlab.densities.refined.block_noise import BlockNoise, block_average, upsampled
from flowlab.flows.continuous.continuous import ContinuousFlow

LOOKED_AT = 256
"""Coarse fields from which the initial strength of the noise is taken."""


class Parts(NamedTuple):
    """Fields of an :class:`Upscaled` density with what they were made of.

    Attributes:
        root: (n, *coarsest) fields of the coarsest lattice of a stack.
        coarse: (n, *coarse) fields of the next coarser lattice.
        noise: (n, *shape) block noise of this level.
        x: (n, *shape) fields.
        log_q: (n,) ln q(x), without ln Z of the coarsest lattice where its normalisation is unknown.
        score: (n,) as in :class:`flowlab.core.Draw`.
        slope: (n, *shape) ∂ln q/∂x, without a gradient, where it was asked for.
    """

    root: Tensor
    coarse: Tensor
    noise: Tensor
    x: Tensor
    log_q: Tensor
    score: Tensor
    slope: Tensor | None = None


class Upscaled(Density):
    """x = f(φ on blocks of b^d sites + ν): coarse fields φ, upsampled, block noise ν, and a flow f on the fine lattice.

    The noise sums to zero in each of the N_c blocks, so φ is the block average before the flow and both are recovered
    from x. With n = b^d and the density of the n - 1 free values of the noise (:class:`BlockNoise`)

        ln q(x) = ln q_c(φ) + Σ_blocks [ln p(ν_1..ν_{n-1}) - ln n] - ln|det ∂f|

    (Bauer, Kapust, Pawlowski and Temmen 2024, arXiv:2412.12842, eq. 18 to 29; the constant of upsampling and noise
    together is -½ ln n a block beside the Gaussian). A stack of several levels is an ``Upscaled`` whose coarse density
    is another one. ``log_norm``, ``iid`` and the score term are those of the coarsest density; draws have pathwise
    gradients through flow, noise, and coarse fields that carry one.

    Args:
        coarse: density of the coarse fields, on d equal sides; :class:`CoarseFields` for those of a Markov chain.
        shape: d equal sides of the fine lattice, a multiple of the coarse ones.
        flow: f, on ``shape``; None for a :class:`ContinuousFlow` with the symmetries of the
            blocks.
        sigma: initial standard deviation σ of the noise; None for :func:`roughness` of coarse fields drawn for this.
        generator: for these draws; None takes a fixed seed.

    Raises:
        ValueError: for sides that are not equal or not multiples of the coarse ones, or a flow on another lattice.

    >>> from flowlab.densities.normal import Normal
    >>> q = Upscaled(Upscaled(Normal((2, 2)), (4, 4)), (8, 8))
    >>> x, log_q = q.sample(3, generator=torch.Generator().manual_seed(0))
    >>> bool(torch.allclose(q.log_prob(x), log_q, atol=1e-4)), len(q.levels)
    (True, 2)
    """

    variables = Reals()
    refines = True

    @checked
    def __init__(
        self,
        coarse: Density,
        shape: Sequence[int],
        flow: Flow | None = None,
        *,
        sigma: float | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.shape = tuple(int(side) for side in shape)
        for name, sides in (("shape", self.shape), ("the coarse shape", coarse.shape)):
            if len(set(sides)) != 1:
                raise ValueError(f"{name} must be equal sides, got {tuple(sides)}")
        self.block = self.shape[0] // coarse.shape[0]
        if len(self.shape) != len(coarse.shape) or self.block < 2 or self.shape[0] % coarse.shape[0]:
            raise ValueError(
                f"shape must be sides of 2, 3, .. times those of the coarse one, {tuple(coarse.shape)}, "
                f"got {self.shape}"
            )
        if tuple(getattr(flow, "shape", self.shape)) != self.shape:
            raise ValueError(f"the flow must live on {self.shape}, got one on {getattr(flow, 'shape', None)}")
        self.coarse = coarse
        self.flow = flow if flow is not None else ContinuousFlow(self.shape, block=self.block)
        if sigma is None:
            drawn, _ = coarse.sample(LOOKED_AT, generator=generator or named_generator(0, "upscaled"))
            sigma = roughness(drawn)
        self.noise = BlockNoise(self.shape, block=self.block, sigma=sigma)
        self._constant = -math.prod(coarse.shape) * len(self.shape) * math.log(self.block)

    @property
    def iid(self) -> bool:  # type: ignore[override]
        return self.coarse.iid

    @property
    def divisible(self) -> bool:  # type: ignore[override]
        return self.coarse.divisible

    @property
    def log_norm(self) -> float | None:  # type: ignore[override]
        """That of the coarsest density: None, or ln Z_c where its ln q lacks it."""
        return self.coarse.log_norm

    @property
    def levels(self) -> list[Upscaled]:
        """The levels of the stack, coarsest first, this one last."""
        return [*(self.coarse.levels if isinstance(self.coarse, Upscaled) else []), self]

    @property
    def coarse_system(self) -> System | None:
        return self.coarse.coarse_system

    @property
    def learned_couplings(self) -> dict[str, Tensor]:
        return self.coarse.learned_couplings

    def warn_of_gradient(self) -> None:
        self.coarse.warn_of_gradient()

    def metrics(self) -> dict[str, float]:
        """The present coarse couplings, and the noise of the finest level."""
        couplings = {} if self.coarse_system is None else self.coarse_system.couplings
        found = {f"coarse_{name}": float(value.detach()) for name, value in couplings.items()}
        return found | {"noise_sigma": self.noise.sigma}

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        parts = self.draw_parts(n, generator=generator)
        return Draw(parts.x, parts.log_q, parts.score)

    def draw_parts(self, n: int, *, generator: torch.Generator | None = None, slope: bool = False) -> Parts:
        """Fields as ``draw`` makes them, with the coarse fields and the noise that they were made of.

        With ``slope`` also ∂ln q/∂x, for the gradient of an objective along the path of x alone; ln q then has no
        gradient. It needs continuous flows with fixed steps on all levels.
        """
        if isinstance(self.coarse, Upscaled):
            below = self.coarse.draw_parts(n, generator=generator, slope=slope)
            coarse, log_q, score, root = below.x, below.log_q, below.score, below.root
            of_coarse = below.slope
        else:
            coarse, log_q, score = self.coarse.draw(n, generator=generator)
            root, of_coarse = coarse, slope_of(self.coarse, coarse) if slope else None
        noise, log_p, _ = self.noise.draw(n, generator=generator)
        z = upsampled(coarse, self.block).to(noise) + noise
        if of_coarse is None:
            x, log_det = self.flow(z, generator=generator)
            found = None
        else:
            size = self.block ** len(self.shape)
            of_z = upsampled(of_coarse, self.block) / size - noise.detach() / self.noise.sigma**2
            x, log_det, found = self.flow.push(z, of_z)
            log_q, log_p = log_q.detach(), log_p.detach()
        return Parts(root, coarse, noise, x, log_q + log_p + self._constant - log_det, score, found)

    def draw_slope(self, n: int, *, generator: torch.Generator | None = None) -> tuple[Draw, Tensor]:
        parts = self.draw_parts(n, generator=generator, slope=True)
        return Draw(parts.x, parts.log_q, parts.score), cast(Tensor, parts.slope)

    def log_prob(self, x: Tensor) -> Tensor:
        z, log_det = self.flow.inverse(x)
        coarse, noise = self.split(z)
        return self.coarse.log_prob(coarse) + self.noise.log_prob(noise) + self._constant + log_det

    def split(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(n, *shape) fields before the flow -> coarse fields (n, *coarse), and the noise (n, *shape)."""
        coarse = block_average(z, self.block)
        return coarse, z - upsampled(coarse, self.block)

    def stages(
        self,
        n: int | None = None,
        *,
        x: Tensor | None = None,
        z: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[LayerState]:
        """The latent, the stages of the coarse lattice, upsampled, the field with noise, and the flow over time.

        The latent is the latent of the coarse lattice, upsampled, with the noise: everything that is random. ln q of an
        upsampled field is that on the surface of such fields, ln q_c - ½ N_c ln n; of the others it is exact.
        """
        one_of(n=n, x=x, z=z)
        with torch.no_grad():
            states = list(self._states(n, x, z, generator))
        for i, state in enumerate(states):
            yield state._replace(time=i / (len(states) - 1))

    def _states(
        self, n: int | None, x: Tensor | None, z: Tensor | None, generator: torch.Generator | None
    ) -> Iterator[LayerState]:
        if n is not None:
            below = list(self.coarse.stages(n, generator=generator))
            noise, _ = self.noise.sample(n, generator=generator)
        elif x is not None:
            coarse, noise = self.split(self.flow.inverse(x)[0])
            below = list(self.coarse.stages(x=coarse))
        else:
            latent, noise = self.split(cast(Tensor, z))
            below = list(self.coarse.stages(z=latent))
        log_p = self.noise.log_prob(noise) + self._constant
        yield LayerState("latent", "flow", 0.0, upsampled(below[0].x, self.block) + noise, below[0].log_q + log_p)
        sides, fine = (" x ".join(map(str, shape)) for shape in (self.coarse.shape, self.shape))
        for state in below if len(below) == 1 else below[1:]:
            field, log_q = upsampled(state.x, self.block), state.log_q + self._constant / 2
            if state is below[-1]:
                state = LayerState(f"coarse {sides}", "level", 0.0, field, log_q)
            yield state._replace(x=field, log_q=log_q)
        field, log_q = (upsampled(below[-1].x, self.block) + noise).to(noise), below[-1].log_q + log_p
        yield LayerState(f"noise {fine}", "level", 0.0, field, log_q)
        for layer in self.flow.pieces():
            field, log_det = layer(field)
            log_q = log_q - log_det
            yield LayerState(layer.label, self.flow.layer_kind, 0.0, field, log_q)

    def integration_error(
        self, n: int = 64, *, factor: int = 2, generator: torch.Generator | None = None
    ) -> dict[str, float]:
        """:meth:`ContinuousFlow.integration_error` on n draws: over all levels, the root of the sum of squares."""
        total = self.levels[0].coarse.integration_error(n, factor=factor, generator=generator)
        for level in self.levels:
            if level.flow.integrates:
                with torch.no_grad():
                    parts = level.draw_parts(n, generator=generator)
                z = upsampled(parts.coarse, level.block).to(parts.noise) + parts.noise
                found = level.flow.integration_error(z, factor=factor)
                total = {name: math.hypot(total.get(name, 0.0), error) for name, error in found.items()}
        return total

    def fit(self, x: Tensor) -> None:
        """Give the noise the roughness of the coarse fields of samples x (n, *shape) of the target."""
        coarse, _ = self.split(self.flow.fit(x))
        with torch.no_grad():
            self.noise.log_sigma.fill_(math.log(roughness(coarse)))
        self.coarse.fit(coarse)

    def flip_action(self) -> Tensor | None:
        coarse, action = self.coarse.flip_action(), self.noise.flip_action()
        pulled = self.flow.pull_flip(action)
        if coarse is None or pulled is None or not torch.equal(pulled, action):
            return None
        return action if bool((coarse == -1).all()) else None

    def anneal(self, progress: float) -> None:
        self.flow.anneal(progress)
        self.coarse.anneal(progress)

    def warm_start(self, other: Density) -> list[str]:
        """From a stack of other sizes or another depth: level by level, the finest one known for all finer ones.

        Noise and flow of a level do not depend on the size of its lattice. Learned coarse couplings are copied too, or
        moved as far from where they began, see :meth:`.CoarseFields.warm_start`.
        """
        if not isinstance(other, Upscaled):
            return super().warm_start(other)
        mine, theirs = self.levels, other.levels
        copied = []
        for i, level in enumerate(mine):
            source = theirs[min(i, len(theirs) - 1)]
            state, given = level.state_dict(), source.state_dict()
            names = [
                k for k in given if not k.startswith("coarse.") and k in state and state[k].shape == given[k].shape
            ]
            level.load_state_dict({name: given[name] for name in names}, strict=False)
            copied += ["coarse." * (len(mine) - 1 - i) + name for name in names]
        names = mine[0].coarse.warm_start(theirs[0].coarse)
        return copied + ["coarse." * len(mine) + name for name in names]

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """ "base" (noise, and the coarse density's own), "flow", and "couplings" where coarse ones are learned."""
        groups = self.coarse.parameter_groups()
        flow = [*groups.get("flow", []), *(p for p in self.flow.parameters() if p.requires_grad)]
        return groups | {
            "base": [*groups.get("base", []), *self.noise.parameters()],
            "flow": list({id(parameter): parameter for parameter in flow}.values()),  # levels may share them
        }


def roughness(x: Tensor) -> float:
    """How much fields (n, *shape) differ from site to site: √(½ <(φ_x - φ_{x+μ})²>), the mean over directions μ.

    Without correlations it is the standard deviation. In an ordered phase that one counts the mean field too, and noise
    of that strength takes training long to undo.

    >>> roughness(torch.tensor([[2.0, 3.0], [-2.0, -3.0]])) == 0.5**0.5
    True
    """
    fields = x.double()
    sides = [side for side in range(1, x.ndim) if x.shape[side] > 1]
    if not sides:
        return float(fields.std())
    return math.sqrt(sum(float((fields - fields.roll(1, side)).square().mean()) for side in sides) / (2 * len(sides)))
