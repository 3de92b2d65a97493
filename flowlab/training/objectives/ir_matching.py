"""IR matching: a given fine lattice, and the coarse couplings from which a flow reaches it best."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from flowlab.core import Density, Draw, System
from flowlab.core.flow import integrators
from flowlab.core.generators import ALONE, Portion, portion_of
from flowlab.core.types import Report, silent
from flowlab.densities.refined.upscaled import Upscaled
from flowlab.training.objectives.learned import DRAWS, Learned, directions, information, slopes
from flowlab.training.objectives.reverse_kl import Loss, Objective, whole_draw

Gradient = Literal["score", "pathwise"]
SELDOM = 25
"""Steps from one ln Z of the coarse lattice to the next, where several of its couplings move."""


class IRMatching(Objective):
    """The reverse KL divergence of a density with continuous flows, in their weights and in its coarse couplings.

    KL(q | p) = E_q[ln q̃ + S] - ln Z_c + ln Z, with ln q̃ = ln q + ln Z_c, which needs no partition sum (Bauer, Kapust,
    Pawlowski and Temmen 2024, arXiv:2412.12842, eq. 31 to 35). Gradients of a coarse coupling g, S_c = coarse action:

    - "score": ∂KL/∂g = -Cov(ln q̃ + S, ∂S_c/∂g) over the batch, and along the path of x alone for the flow,
      E[∂(ln q - ln p)/∂x · ∂x/∂θ]; both have no variance left where the flow is exact;
    - "pathwise": backpropagated through flow, noise and coarse fields, which must carry a gradient
      (:class:`.CoarseLangevin`), with ∂ ln Z_c/∂g = -<∂S_c/∂g> from the same coarse fields. Dynamics that is cut off
      keeps part of it only: near the transition 50 steps of 0.01 keep a few per cent. It is there to compare with.

    The density is an :class:`.Upscaled` one or, for comparison, a continuous flow over a base with a known density.

    Args:
        gradient: which of them.
        jitter: the number of integration steps varies by up to this much from step to step, so that training cannot
            lean on the error of one.

    Where ln Z_c is not known, ``log_z_bound`` in the records is NaN, and ``log_z_ratio_bound`` is that on ln(Z/Z_c).
    Where several couplings are learned it is asked for at one step in 25, since it takes longer than the step.

    Raises:
        ValueError: for another gradient, or a negative jitter; for flows without fixed steps when a training is built
            with "score", which carries ∂ln q/∂x along the path.
        TypeError: by ``loss``, for another density, or coarse fields without a gradient where they need one.
    """

    watched = ("ess", "rises")
    steps_done: Tensor

    def __init__(self, gradient: Gradient = "score", *, jitter: int = 2) -> None:
        super().__init__()
        if gradient not in ("score", "pathwise"):
            raise ValueError(f"gradient must be 'score' or 'pathwise', got {gradient!r}")
        if jitter < 0:
            raise ValueError(f"jitter must be 0 steps or more, got {jitter}")
        self.gradient, self.jitter = gradient, int(jitter)
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))

    def prepare(self, density: Density, target: System, *, fresh: bool, report: Report = silent) -> None:
        """Warns of a pathwise gradient that lacks part of itself, see :func:`.kept_shares`."""
        if fresh:
            density.warn_of_gradient()

    def loss(self, density: Density, target: System, n: int, *, generator: torch.Generator | None = None) -> Loss:
        portion = portion_of(n)
        with jittered(density, self.jitter, generator):
            if self.gradient == "pathwise":
                value, draw, log_weight = self._pathwise(density, target, n, generator)
            else:
                parts = draw_path(density, n, generator)
                value, log_weight = along_the_path(parts, target)
                if parts.draw.score.requires_grad:
                    value = value + covariance((parts.draw.log_q - log_weight).detach(), parts.draw.score, portion)
                draw = parts.draw
        draw, log_weight = whole_draw(portion, draw), portion.whole(log_weight)
        several = len(density.parameter_groups().get("couplings", ())) > 1
        due, metrics = not several or int(self.steps_done) % SELDOM == 0, density.metrics()
        self.steps_done += 1
        log_norm = density.log_norm if due else None
        if not several or log_norm is None:
            return with_known_norm(value, draw, log_weight, log_norm, metrics)
        found, error = with_known_norm(value, draw, log_weight, None, metrics), (draw.log_q - log_weight).std()
        now = {"log_z_bound": log_norm + found.metrics["log_z_ratio_bound"]}
        now |= {"log_z_bound_error": float(error) / n**0.5, "log_q_mean": float(draw.log_q.mean()) - log_norm}
        return found._replace(metrics=found.metrics | now)

    def divisible(self, n: int) -> int:
        return n

    def parameter_groups(self, density: Density) -> dict[str, list[nn.Parameter]]:
        if self.gradient == "score":
            check_steps(density)
        return super().parameter_groups(density)

    def learned(
        self, density: Density, target: System, drawn: int, *, generator: torch.Generator | None = None
    ) -> Learned | None:
        """The coarse couplings, with errors H⁻¹ / drawn.

        H is the Fisher information on them, Cov(∂S_c/∂g), without what the flow and the noise can make up for: the
        error is that of a fit to as many draws as were trained on. Over seeds learned couplings scatter by that, within
        a factor of 2: they go where their first steps take them, and along what the flow makes up for hardly move on.
        """
        coarse = density.coarse_system
        if not density.refines or coarse is None or not density.learned_couplings:
            return None
        values = {name: float(value.detach()) for name, value in density.learned_couplings.items()}
        if not drawn:
            return Learned.unknown("coarse", values)
        parts = drawn_parts(density, generator)
        _, left = information(slopes(coarse, parts.root, list(values)), moves(density, target, parts))
        return Learned("coarse", values, (torch.linalg.pinv(left) / drawn).cpu().numpy())

    def _pathwise(
        self, density: Density, target: System, n: int, generator: torch.Generator | None
    ) -> tuple[Tensor, Draw, Tensor]:
        coarse = density.coarse_system
        if coarse is None or not density.refines:
            raise TypeError(f"a pathwise gradient is for Upscaled densities over CoarseFields, got {density}")
        parts = portion_of(n).rows(cast(Upscaled, density).draw_parts, n, generator)
        if density.parameter_groups().get("couplings") and not parts.root.requires_grad:
            raise TypeError("a pathwise gradient needs coarse fields that carry one: use CoarseLangevin, or 'score'")
        log_weight = target.log_weight(parts.x)
        minus_log_z = coarse_gradient(coarse, parts.root)
        draw = Draw(parts.x, parts.log_q, parts.score)
        return (parts.log_q - log_weight).mean() + minus_log_z, draw, log_weight.detach()


class Drawn(NamedTuple):
    """Draws from which the information on learned couplings is taken: the fields of three lattices, see Parts."""

    root: Tensor
    noise: Tensor
    x: Tensor


def drawn_parts(density: Density, generator: torch.Generator | None) -> Drawn:
    """Such draws of a density that ``refines``, without gradients, in double precision."""
    with torch.no_grad():
        several = [cast(Upscaled, density).draw_parts(DRAWS // 8, generator=generator) for _ in range(8)]
    root, noise, x = (torch.cat([getattr(part, name) for part in several]).double() for name in Drawn._fields)
    return Drawn(root, noise, x)


def moves(density: Density, target: System, parts: Drawn) -> Tensor:
    """(n, m) derivatives of ln q in what the flow and the noise of the finest level can do, at n draws."""
    reach = cast(Upscaled, density).flow.reach
    found = directions(target, parts.x, max(parts.x.shape) if reach is None else reach)
    return torch.cat([found, parts.noise.square().flatten(1).sum(1, keepdim=True)], 1)


class Path(NamedTuple):
    """A draw with ∂ln q/∂x.

    Attributes:
        draw: x with its gradient, ln q without one, the score term.
        slope: (n, *shape) ∂ln q/∂x.
    """

    draw: Draw
    slope: Tensor


def check_steps(density: Density) -> None:
    """Raise ValueError unless the continuous flows of a density take fixed steps, as :func:`draw_path` needs."""
    for flow in integrators(density):
        if flow.solver != "rk4":
            raise ValueError(
                f"this objective carries ∂ln q/∂x along the path, in fixed steps: give the flow solver='rk4', got "
                f"{flow.solver!r}, or train it with ReverseKL, PathGradient or IRMatching('pathwise')"
            )


def draw_path(density: Density, n: int, generator: torch.Generator | None = None) -> Path:
    """n draws of a density with continuous flows, of several processes the own rows, and ∂ln q/∂x there.

    Raises:
        TypeError: for a density that cannot say it.
    """
    return Path(*portion_of(n).rows(density.draw_slope, n, generator))


def along_the_path(path: Path, target: System) -> tuple[Tensor, Tensor]:
    """What has the gradient E[(∂ln q/∂x - ∂log_weight/∂x) · ∂x/∂θ], and the log weights (n,), without a gradient."""
    with torch.enable_grad():
        fixed = path.draw.x.detach().requires_grad_()
        log_weight = target.log_weight(fixed)
        (force,) = torch.autograd.grad(log_weight.sum(), fixed)
    return ((path.slope - force) * path.draw.x).flatten(1).sum(1).mean(), log_weight.detach()


def covariance(R: Tensor, score: Tensor, portion: Portion = ALONE) -> Tensor:
    """Whose gradient, as a mean over the processes, is Cov(R, ∂score), R without one; both (own rows,)."""
    whole = portion.whole(R)
    return (portion.mine(whole - whole.mean()) * score).sum() * portion.count / max(len(whole) - 1, 1)


def coarse_gradient(coarse: System, fields: Tensor) -> Tensor:
    """Zero, with the gradient of -ln Z_c in the couplings: <∂S_c>, from fields (n, *shape) drawn at them."""
    action = -coarse.log_weight(fields.detach()).mean()
    return action - action.detach()


def with_known_norm(
    value: Tensor, draw: Draw, log_weight: Tensor, log_norm: float | None, metrics: dict[str, float]
) -> Loss:
    """The loss with ln q normalised where ln Z_c is known; else what needs it is NaN in the records."""
    R = draw.log_q - log_weight
    if log_norm is not None:
        return Loss(value, R.mean() - log_norm, draw._replace(log_q=draw.log_q - log_norm), log_weight, metrics)
    unknown = {"log_z_bound": math.nan, "log_z_bound_error": math.nan, "log_q_mean": math.nan}
    return Loss(value, R.mean(), draw, log_weight, metrics | unknown | {"log_z_ratio_bound": -float(R.mean())})


@contextmanager
def jittered(density: Density, jitter: int, generator: torch.Generator | None) -> Iterator[None]:
    """Every continuous flow inside with a number of steps that is random by up to ``jitter``."""
    flows = integrators(density) if jitter else []
    before = [flow.steps for flow in flows]
    device = torch.device("cpu") if generator is None else generator.device
    if flows:
        more = int(torch.randint(-jitter, jitter + 1, (), generator=generator, device=device))
    try:
        for flow in flows:
            flow.steps = max(1, flow.steps + more)
        yield
    finally:
        for flow, steps in zip(flows, before, strict=True):
            flow.steps = steps
