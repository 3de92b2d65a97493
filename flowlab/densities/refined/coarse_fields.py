"""Fields of a coarse lattice that a Markov chain draws, as a density with an unknown normalisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from flowlab.core import Density, Draw, Reals, System
from flowlab.core.arguments import checked
from flowlab.core.generators import everyone, own
from flowlab.densities.refined.learned_couplings import LearnedCouplings

Sampler = Callable[[System, int, torch.Generator | None], Tensor]
LogZ = Callable[[System], float | None]


class CoarseFields(Density):
    """q(φ) = exp(-S(φ)) / Z of a system whose fields come from elsewhere: ln q is given without ln Z, ``log_norm``.

    Couplings named in ``learned`` are parameters of the density. Fields without a gradient of their own then come with
    ``score`` = -S(φ), whose gradient in κ is 2 Σ φφ: the score-function gradient of a reverse KL divergence is
    Cov(ln q + S_fine, 2 Σ φφ), in which ln Z drops out (a baseline must be subtracted). Fields that carry a gradient
    (a differentiable Langevin chain) give it to ``x`` and ``log_q`` instead, and the gradient of ln Z is for the
    objective to add.

    Args:
        system: the coarse system with its initial couplings.
        sampler: called with (system, n, generator), the couplings being the present ones; returns fields (n, *shape).
            A module, as :class:`.CoarseHMC`, is saved with the density.
        learned: names of the couplings to learn.
        log_z: ln Z, where it is known: a number, or with learned couplings a function of the system.
        iid: whether the fields of one call are independent.

    Raises:
        ValueError: for a system of anything but real fields, a coupling that it does not have, or a number for the ln
            Z of learned couplings.

    >>> import math
    >>> from flowlab.systems.phi4 import Phi4
    >>> def gaussian(system, n, generator):
    ...     return torch.randn(n, *system.shape, generator=generator) / 2**0.5
    >>> coarse = CoarseFields(Phi4((2, 2), kappa=0.0, lam=0.0), gaussian, log_z=2 * math.log(math.pi), iid=True)
    >>> phi, log_q = coarse.sample(5, generator=torch.Generator().manual_seed(0))
    >>> bool(torch.allclose(log_q, -phi.square().sum((1, 2)))), round(coarse.log_norm, 4)
    (True, 2.2895)
    """

    variables, divisible = Reals(), True

    @checked
    def __init__(
        self,
        system: System,
        sampler: Sampler,
        *,
        learned: Sequence[str] = (),
        log_z: float | LogZ | None = None,
        iid: bool = False,
    ) -> None:
        super().__init__()
        if system.variables != Reals():
            raise ValueError(f"the system of coarse fields must be one of real fields, got {system.title}")
        if learned and log_z is not None and not callable(log_z):
            raise ValueError("ln Z changes with learned couplings: give log_z as a function of the system")
        self.shape, self.iid, self.sampler, self._start, self._log_z = system.shape, iid, sampler, system, log_z
        self.couplings = LearnedCouplings(system, learned)

    @property
    def system(self) -> System:
        """The coarse system at the present couplings; learned ones are attached to their parameters.

        Raises:
            FloatingPointError: where these have left the values that the system can have.
        """
        return at_learned(self._start, dict(self.couplings)) if len(self.couplings) else self._start

    @property
    def coarse_system(self) -> System | None:
        return self.system

    @property
    def learned_couplings(self) -> dict[str, Tensor]:
        return dict(self.couplings)

    def warn_of_gradient(self) -> None:
        """Hand the couplings to the sampler's own ``warn(system, names)``, if it has one."""
        warn = getattr(self.sampler, "warn", None)
        if warn is not None:
            warn(self.system, self.couplings)

    @property
    def log_norm(self) -> float | None:  # type: ignore[override]
        """ln Z of the coarse system, None where it is unknown."""
        return self._log_z(self.system) if callable(self._log_z) else self._log_z

    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        system = self.system
        sizes = (everyone(n), *self.shape)
        x = self.sampler(system, everyone(n), generator)  # chains of all rows, in every process the same
        if tuple(x.shape) != sizes:
            raise ValueError(f"the sampler must return fields of shape {sizes}, got {tuple(x.shape)}")
        x = own(x)
        log_weight = system.log_weight(x)
        learned = any(coupling.requires_grad for coupling in system.couplings.values())
        if x.requires_grad or not learned:
            return Draw(x, log_weight, torch.zeros_like(log_weight))
        return Draw(x, log_weight.detach(), log_weight)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.system.log_weight(x)

    def flip_action(self) -> Tensor | None:
        device = next((t.device for t in (*self.parameters(), *self.buffers())), None)
        return -torch.ones(self.shape, device=device) if self._start.flip_symmetric else None

    def warm_start(self, other: Density) -> list[str]:
        """Chains and learned couplings of another density of coarse fields.

        Where that began at other couplings, each learned one is as far from its beginning as there, by the same factor
        where it must be positive, and chains begin anew; it stays at its beginning where the field has no distribution
        so far from it.
        """
        if not isinstance(other, CoarseFields) or self._begins_like(other):
            return super().warm_start(other)
        names = [name for name in self.couplings if name in other.couplings]
        here, there = self._start.couplings, other._start.couplings
        moved = {name: (here[name] - there[name] + other.couplings[name]).detach() for name in names}
        for name in set(self._start.positive) & set(names):
            moved[name] = (here[name] / there[name] * other.couplings[name]).detach()
        try:
            self._start.at(**moved)
        except ValueError:
            return []
        for name, value in moved.items():
            self.couplings.set(name, value)
        return [f"couplings.{name}" for name, _ in self.couplings.named_parameters()]

    def _begins_like(self, other: CoarseFields) -> bool:
        here, there = self._start.couplings, other._start.couplings
        return {name: float(value.detach()) for name, value in here.items()} == {
            name: float(value.detach()) for name, value in there.items()
        }

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        learned = list(self.couplings.parameters())
        return {"couplings": learned} if learned else {}

    def extra_repr(self) -> str:
        return f"{self.system.title}, learned={list(self.couplings)}"


def at_learned(system: System, couplings: Mapping[str, Tensor]) -> System:
    """A system at couplings that are being learned.

    Raises:
        FloatingPointError: where training has taken them to values that the system cannot have.
    """
    try:
        return system.at(**couplings)
    except ValueError as error:
        raise FloatingPointError(
            f"learned couplings left the values at which the field has a distribution: {error}; use a smaller learning "
            "rate for them (lr_kappa in the studies), or learn others"
        ) from None
