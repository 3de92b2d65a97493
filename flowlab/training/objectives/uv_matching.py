"""UV matching: given coarse fields, and the fine couplings that a flow from them reaches best."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from flowlab.core import Density, System
from flowlab.core.generators import portion_of
from flowlab.densities.refined.coarse_chain import CoarseHMC
from flowlab.densities.refined.coarse_fields import at_learned
from flowlab.densities.refined.learned_couplings import LearnedCouplings
from flowlab.training.objectives.ir_matching import (
    along_the_path,
    check_steps,
    draw_path,
    drawn_parts,
    jittered,
    moves,
    with_known_norm,
)
from flowlab.training.objectives.learned import Learned, information, slopes
from flowlab.training.objectives.reverse_kl import Loss, Objective, whole_draw

Method = Literal["gradient", "scan"]
SCANNED, POINTS, ROUNDS, STEP = 2048, 201, 4, 1e-3


class UVMatching(Objective):
    """The reverse KL divergence of an upscaled density in the weights of its flow and in couplings of the fine lattice.

    KL(q | p) = E_q[ln q + S] + ln Z (Bauer, Kapust, Pawlowski and Temmen 2024, arXiv:2412.12842, appendix A), by

    - "gradient": ∂KL/∂g = E_q[∂S/∂g] - <∂S/∂g>, the second mean from kept fields of Hybrid Monte Carlo on the fine
      lattice, reweighted to the present couplings with w = exp(S_then - S_now) (eq. 36), and drawn anew where the
      effective sample size of these weights falls under ``lowest_ess``;
    - "scan": every ``every`` steps, and at the first, the couplings go to the maximum of the ESS of fresh draws, for
      which the fine lattice need not be sampled at all.

    Args:
        system: the fine system with its initial couplings.
        learn: names of the couplings to learn.
        method: one of the two.
        samples: fields that are kept.
        lowest_ess: bound on the ESS of their weights.
        every: steps between two scans.
        reach: how far from the present value a scan looks to either side, as a fraction of it.
        jitter: as of :class:`.IRMatching`.

    Raises:
        ValueError: for couplings that the system does not have, another method, or numbers out of range; for flows
            without fixed steps when a training is built.
    """

    watched = ("ess", "rises")
    kept_log_weight: Tensor
    kept: Tensor
    resampled: Tensor
    steps_done: Tensor

    def __init__(
        self,
        system: System,
        learn: Sequence[str] = ("kappa",),
        *,
        method: Method = "gradient",
        samples: int = 1024,
        lowest_ess: float = 0.8,
        every: int = 50,
        reach: float = 0.2,
        jitter: int = 2,
    ) -> None:
        super().__init__()
        if not learn:
            raise ValueError(f"{type(system).__name__} has the couplings {sorted(system.couplings)}, got {list(learn)}")
        if method not in ("gradient", "scan"):
            raise ValueError(f"method must be 'gradient' or 'scan', got {method!r}")
        if not 0 < lowest_ess < 1 or not 0 < reach < 1 or samples < 2 or every < 1 or jitter < 0:
            raise ValueError(
                "lowest_ess and reach must lie between 0 and 1, samples be at least 2, every 1 and jitter 0, got "
                f"{lowest_ess}, {reach}, {samples}, {every} and {jitter}"
            )
        self.method, self.lowest_ess, self.every, self.reach = method, lowest_ess, int(every), float(reach)
        self.jitter = int(jitter)
        self.couplings = LearnedCouplings(system, learn).requires_grad_(method == "gradient")
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))
        self.register_buffer("resampled", torch.zeros((), dtype=torch.int64))
        if method == "gradient":
            self.chain = CoarseHMC(system, chains=samples)
            self.register_buffer("kept", torch.zeros(samples, *system.shape, dtype=torch.float64))
            self.register_buffer("kept_log_weight", torch.zeros(samples, dtype=torch.float64))

    def present(self, target: System) -> System:
        """The target at the couplings learned so far, without a gradient."""
        return at_learned(target, {name: self.couplings[name].detach() for name in self.couplings})

    def loss(self, density: Density, target: System, n: int, *, generator: torch.Generator | None = None) -> Loss:
        if self.method == "scan" and int(self.steps_done) % self.every == 0:
            self._scan(density, target, generator)
        now = self.present(target)
        with jittered(density, self.jitter, generator):
            path = draw_path(density, n, generator)
        value, log_weight = along_the_path(path, now)
        portion = portion_of(n)
        metrics = density.metrics()
        if self.method == "gradient":
            weights, ess = self._weights(now, generator)
            learned = target.at(**dict(self.couplings))
            here, there = learned.log_weight(path.draw.x.detach()).mean(), weights @ learned.log_weight(self.kept)
            value = value + (there - here) - (there - here).detach()
            metrics |= {"reweighting_ess": ess, "resampled": float(self.resampled)}
        self.steps_done += 1
        draw = whole_draw(portion, path.draw)
        return with_known_norm(value, draw, portion.whole(log_weight), density.log_norm, metrics)

    def divisible(self, n: int) -> int:
        return n

    def _weights(self, now: System, generator: torch.Generator | None) -> tuple[Tensor, float]:
        """Of the kept fields at the present couplings, and their ESS; fields are drawn anew where that is low."""
        with torch.no_grad():
            if int(self.resampled):
                log_w = now.log_weight(self.kept) - self.kept_log_weight
                weights = torch.softmax(log_w, 0)
                ess = float(1 / weights.square().sum() / len(weights))
                if ess > self.lowest_ess:
                    return weights, ess
            self.kept.copy_(self.chain(now, len(self.kept), generator))
            self.kept_log_weight.copy_(now.log_weight(self.kept))
            self.resampled += 1
            return torch.full_like(self.kept_log_weight, 1 / len(self.kept)), 1.0

    def _scan(self, density: Density, target: System, generator: torch.Generator | None) -> None:
        x, log_q = copy.deepcopy(density).sample(SCANNED, generator=generator)  # its own chains stay where they are
        for name, value in best_couplings(self.present(target), x, log_q, list(self.couplings), self.reach).items():
            self.couplings.set(name, value)

    def learned(
        self, density: Density, target: System, drawn: int, *, generator: torch.Generator | None = None
    ) -> Learned | None:
        """The fine couplings, with errors H⁻¹ C H⁻¹ (1/drawn + 1/kept).

        C = Cov(∂S/∂g) is the noise of one draw in the gradient, H the part of it that the flow cannot make up for, and
        kept the number of fine fields that were drawn in training (fresh draws of the scans): mostly the largest part.
        It is by how much the coupling may still drift while the flow follows, often far more than by what short runs
        that begin alike scatter: H is nearly 0 where the flow can make up for the coupling.
        """
        names = list(self.couplings)
        values = {name: float(self.couplings[name].detach()) for name in names}
        if not density.refines or not drawn:
            return Learned.unknown("fine", values)
        now, parts = self.present(target), drawn_parts(density, generator)
        at_fixed, left = information(slopes(now, parts.x, names), moves(density, now, parts))
        kept = len(self.kept) * int(self.resampled) if self.method == "gradient" else SCANNED
        inverse = torch.linalg.pinv(left)
        covariance = inverse @ at_fixed @ inverse * (1 / drawn + 1 / max(kept, 1))
        return Learned("fine", values, covariance.cpu().numpy())

    def parameter_groups(self, density: Density) -> dict[str, list[nn.Parameter]]:
        check_steps(density)
        groups = super().parameter_groups(density)
        return groups | ({"couplings": list(self.couplings.parameters())} if self.method == "gradient" else {})


def ess_against(system: System, x: Tensor, log_q: Tensor, name: str, values: Tensor) -> Tensor:
    """The ESS of draws x (n, *shape) with ln q (n,) for a coupling at each of ``values`` (k,), (k,).

    For couplings in which the action is linear, as κ and λ of phi^4.
    """
    with torch.no_grad():
        present, x = float(system.couplings[name]), x.double()
        here = system.log_weight(x)
        slope = (system.at(**{name: present + STEP}).log_weight(x) - here) / STEP
        log_w = here - log_q + (values.to(here)[:, None] - present) * slope
        log_w = log_w - log_w.amax(1, keepdim=True)
        w = log_w.exp()
        return w.mean(1).square() / w.square().mean(1)


def best_couplings(
    system: System, x: Tensor, log_q: Tensor, names: Sequence[str], reach: float = 0.2
) -> dict[str, float]:
    """The couplings at which draws have the largest ESS: scans of one after the other, each narrower than the last.

    Args:
        system: at the couplings to start from.
        x, log_q: (n, *shape) draws and their ln q (n,), up to a constant.
        names: of the couplings; the others stay.
        reach: fraction of the coupling that the first scan reaches to either side.
    """
    found = {name: float(system.couplings[name].detach()) for name in names}
    for k in range(ROUNDS):
        for name in names:
            width = reach * abs(found[name]) * 0.3**k
            values = torch.linspace(found[name] - width, found[name] + width, POINTS, dtype=torch.float64)
            ess = ess_against(system.at(**found), x, log_q, name, values)
            found[name] = float(values[ess.argmax()])
    return found
