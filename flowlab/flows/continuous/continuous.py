"""Continuous flows of lattice fields: a differential equation with the symmetries of the lattice."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from flowlab.core import Flow, named_generator
from flowlab.core.arguments import checked
from flowlab.core.flow import integrators
from flowlab.flows.continuous.runge_kutta import Adjoint, AdjointWithSlope, runge_kutta, runge_kutta_with_slope
from flowlab.nn.field_kernel import FieldKernel

Solver = Literal["rk4", "dopri5", "dopri8", "bosh3"]
Gradient = Literal["backprop", "adjoint"]


class ContinuousFlow(Flow):
    """x = φ(1) from φ(0) = z, dφ_x/dt = Σ_y Σ_f W_{x-y,f}(t) s_f(φ_y), ln|det dx/dz| = ∫ dt Σ_x W_{0,f}(t) s_f'(φ_x).

    Features s_0(φ) = φ and s_f(φ) = sin(ω_f φ) with learned ω_f, so the flow is exactly odd in z. The weights are
    W_{o,f}(t) = Σ_{d,i,j} W_{o,i,j} B_{d,i} A_{f,j} K_d(t), with K the first terms 1, cos 2πt, sin 2πt, ... of a
    Fourier series, for the orbits o of the kernel under the lattice symmetries (see :class:`FieldKernel`): rotations,
    mirrors and translations by ``block`` sites. ``block=2`` is for fields upsampled to blocks of 2^d sites (Bauer,
    Kapust, Pawlowski and Temmen 2024, arXiv:2412.12842, eq. 22 to 25), ``block=1`` the flow with all translations
    (Gerdes, de Haan, Rainone, Bondesan and Cheng 2022, arXiv:2207.00283). It starts at the identity, W_{o,i,j} = 0. The
    weights of a finite kernel do not depend on the size of the lattice.

    The divergence is exact, its integral and the field are not: see :meth:`integration_error`.

    Args:
        shape: d equal sides, d = 1 or 2 (or more), a multiple of ``block``.
        block: sites along a side of a block.
        kernel: sites along a side of the kernel, odd; None for the whole lattice.
        frequencies: number of sines; their ω_f start evenly between 0.3 and 3.
        times: number of terms of the Fourier series.
        bonds: ranks in time and in the features (i and j above).
        steps: steps of the fourth-order Runge-Kutta method; an attribute that may be changed at any time.
        solver: "rk4" with fixed steps, or an adaptive one of torchdiffeq's ("dopri5", "dopri8", "bosh3"); IR matching
            by scores and UV matching take fixed steps only.
        gradient: "backprop" through the steps, the exact gradient of what was computed, or "adjoint": the adjoint
            equation backwards in time, in memory that does not grow with the steps.
        tolerance: absolute and relative, of an adaptive solver; without a gradient it integrates in double precision,
            with one it goes no lower than 10 times the rounding error.
        generator: draws the initial A and B; None takes a fixed seed.

    Raises:
        ValueError: for a lattice or a kernel that do not fit (see :class:`FieldKernel`), counts below 1, or an unknown
            solver or gradient.

    >>> flow = ContinuousFlow((8, 8))
    >>> z = torch.ones(3, 8, 8)
    >>> x, log_det = flow(z)
    >>> bool((x == z).all()), flow.kernel.n_orbits, sum(p.numel() for p in flow.parameters())
    (True, 15, 589)
    """

    label = "continuous"
    layer_kind = "time"
    integrates = True

    @checked
    def __init__(
        self,
        shape: Sequence[int],
        *,
        block: int = 2,
        kernel: int | None = 5,
        frequencies: int = 9,
        times: int = 5,
        bonds: tuple[int, int] = (4, 8),
        steps: int = 8,
        solver: Solver = "rk4",
        gradient: Gradient = "backprop",
        tolerance: float = 1e-6,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        counts = {"frequencies": frequencies, "times": times, "steps": steps, "bonds": min(bonds)}
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if solver not in get_args(Solver) or gradient not in get_args(Gradient):
            raise ValueError(
                f"solver must be one of {', '.join(get_args(Solver))} and gradient 'backprop' or 'adjoint', "
                f"got {solver!r} and {gradient!r}"
            )
        self.kernel = FieldKernel(shape, block=block, kernel=kernel)
        self.shape, self.steps, self.tolerance = self.kernel.shape, steps, tolerance
        self.solver = solver
        self.gradient: Gradient = gradient
        generator = generator if generator is not None else named_generator(0, "continuous")
        self.weight = nn.Parameter(torch.zeros(self.kernel.n_orbits, *bonds))
        # A flow that begins almost linear and constant in time takes fewer steps for the same accuracy.
        self.in_time = nn.Parameter(_normal((times, bonds[0]), 0.3, generator))
        self.in_features = nn.Parameter(_normal((frequencies + 1, bonds[1]), 0.4, generator))
        self.omega = nn.Parameter(torch.linspace(0.3, 3.0, frequencies))

    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return self.evolve(z, 0.0, 1.0)

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.evolve(x, 1.0, 0.0)

    def evolve(self, x: Tensor, start: float, stop: float) -> tuple[Tensor, Tensor]:
        """The field at time ``stop`` that was x (n, *shape) at time ``start``, both in [0, 1], and its ln|det|, (n,).

        A part of the time takes its share of the steps, rounded.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"fields must have shape (n, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}")
        if self.solver != "rk4":
            return self._adaptive(x, start, stop)
        matrices, h = self._grid(x, start, stop)
        rows = self.kernel.to_rows(x)
        if self.gradient == "adjoint":
            rows, log_det = Adjoint.apply(rows, matrices, self.omega, self.kernel, h)  # type: ignore[no-untyped-call]
        else:
            rows, log_det = runge_kutta(rows, matrices.unbind(), self.omega, self.kernel, h)
        return self.kernel.from_rows(rows), log_det.to(x.dtype)

    def push(self, z: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x, ln|det| as the flow gives them, and ∂ln q/∂x (n, *shape), where ``slope`` is that at z, (n, *shape).

        x has its gradient in the weights and in z; the other two have none. With g = ∂ln q/∂φ along the path,
        dg/dt = -(∂v/∂φ)ᵀ g - ∇ div v, which costs a fifth of the flow and its gradient (Vaitl, Nicoli,
        Nakajima and Kessel 2022, arXiv:2206.09016). Fixed steps only.
        """
        if self.solver != "rk4":
            raise ValueError(f"only fixed steps carry ∂ln q/∂x along: solver must be 'rk4', got {self.solver!r}")
        rows, slopes = self.kernel.to_rows(z), self.kernel.to_rows(slope.to(z.dtype).detach())
        matrices, h = self._grid(z, 0.0, 1.0)
        if self.gradient == "adjoint":
            rows, log_det, slopes = AdjointWithSlope.apply(rows, slopes, matrices, self.omega, self.kernel, h)  # type: ignore[no-untyped-call]
        else:
            rows, log_det, slopes = runge_kutta_with_slope(rows, slopes, matrices.unbind(), self.omega, self.kernel, h)
        return self.kernel.from_rows(rows), log_det.to(z.dtype), self.kernel.from_rows(slopes)

    def _grid(self, x: Tensor, start: float, stop: float) -> tuple[Tensor, float]:
        """The weights at every half step, and the step."""
        steps = max(1, round(self.steps * abs(stop - start)))
        t = torch.linspace(start, stop, 2 * steps + 1, dtype=x.dtype, device=x.device)
        return self.matrices(t), (stop - start) / steps

    def velocity(self, x: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor]:
        """dφ/dt (n, *shape) and its divergence (n,) at fields x (n, *shape) and time t in [0, 1]."""
        matrix = self.matrices(torch.as_tensor(t, dtype=x.dtype, device=x.device).view(1))[0]
        v, div = self.kernel.velocity(self.kernel.to_rows(x), matrix, self.omega)
        return self.kernel.from_rows(v), div

    def matrices(self, t: Tensor) -> Tensor:
        """(T,) times -> (T, ., .) weights of the kernel as :class:`FieldKernel` multiplies with them."""
        terms = torch.arange(1, len(self.in_time), device=t.device)
        angle = 2 * math.pi * ((terms + 1) // 2) * t[:, None]
        series = torch.cat([torch.ones_like(t)[:, None], torch.where(terms % 2 == 1, angle.cos(), angle.sin())], 1)
        bonds = self.weight @ self.in_features.T
        weights = torch.einsum("ti,oif->tof", series.to(bonds.dtype) @ self.in_time, bonds)
        return self.kernel.matrices(weights)

    def pieces(self, n: int = 4) -> list[Flow]:
        """The flow as a sequence of at most n flows between points of time, each with a whole number of steps."""
        n = min(n, self.steps)
        ends = [round(self.steps * i / n) / self.steps for i in range(n + 1)]
        return [_Piece(self, start, stop) for start, stop in itertools.pairwise(ends)]

    def on(self, shape: Sequence[int]) -> ContinuousFlow:
        """The same flow, sharing its parameters, on a lattice of another size.

        Raises:
            ValueError: for a kernel that spans the whole lattice, whose weights belong to one size.
        """
        if self.kernel.kernel is None:
            raise ValueError("a kernel of the whole lattice belongs to its lattice; give kernel= a number of sites")
        times, bonds = self.in_time.shape[0], (self.weight.shape[1], self.weight.shape[2])
        other = ContinuousFlow(
            shape,
            block=self.kernel.block,
            kernel=self.kernel.kernel,
            frequencies=len(self.omega),
            times=times,
            bonds=bonds,
            steps=self.steps,
            solver=cast(Solver, self.solver),
            gradient=self.gradient,
            tolerance=self.tolerance,
        )
        for name, parameter in self.named_parameters():
            setattr(other, name, parameter)
        return other

    def integration_error(self, z: Tensor, *, factor: int = 2) -> dict[str, float]:
        """How far the integration is from the solution: what an optimiser could exploit.

        Args:
            z: (n, *shape) latents.
            factor: by which the steps are refined for the comparison (the tolerance is divided by factor⁴).

        Returns:
            Root mean squares: ``round_trip`` of f⁻¹(f(z)) - z a site, ``closure`` of the sum of ln|det| there and back,
            and against the refined steps ``field`` a site and ``log_det``.
        """
        with torch.no_grad():
            x, log_det = self(z)
            back, log_det_back = self.inverse(x)
            with refined(self, factor):
                finer, log_det_finer = self(z)
        differences = {
            "round_trip": back - z,
            "closure": log_det + log_det_back,
            "field": finer - x,
            "log_det": log_det_finer - log_det,
        }
        return {name: float(difference.square().mean().sqrt()) for name, difference in differences.items()}

    @property
    def reach(self) -> int | None:
        return None if self.kernel.kernel is None else self.kernel.kernel // 2

    def pull_flip(self, action: Tensor) -> Tensor | None:
        return action if bool((action == -1).all()) else None

    def _adaptive(self, x: Tensor, start: float, stop: float) -> tuple[Tensor, Tensor]:
        import torchdiffeq

        def right_hand_side(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            matrix = self.matrices(t.view(1))[0].to(rows)
            return self.kernel.velocity(state[0], matrix, self.omega.to(rows))

        # In single precision no tolerance below 1e-6 can be met; where no gradient is wanted, double will do.
        rows = self.kernel.to_rows(x if torch.is_grad_enabled() else x.double())
        tolerance = max(self.tolerance, 10 * torch.finfo(rows.dtype).eps)
        options: dict[str, Any] = {"method": self.solver, "rtol": tolerance, "atol": tolerance}
        options["options"] = {"step_t": rows.new_tensor([stop])}  # the end is not to be interpolated
        integrate: Callable[..., tuple[Tensor, Tensor]] = torchdiffeq.odeint
        if self.gradient == "adjoint":
            integrate, options["adjoint_params"] = torchdiffeq.odeint_adjoint, tuple(self.parameters())
            options["adjoint_options"] = {"step_t": rows.new_tensor([start])}
        state = (rows, rows.new_zeros(rows.shape[1]))
        fields, log_dets = integrate(right_hand_side, state, rows.new_tensor([start, stop]), **options)
        return self.kernel.from_rows(fields[-1]).to(x.dtype), log_dets[-1].to(x.dtype)

    def extra_repr(self) -> str:
        return f"steps={self.steps}, solver={self.solver}, gradient={self.gradient}"


@contextmanager
def refined(module: nn.Module, factor: float) -> Iterator[None]:
    """Every flow inside a module that integrates, with ``factor`` times the steps, and 1/factor⁴ of the tolerance.

    >>> flow = ContinuousFlow((4,), steps=8)
    >>> with refined(flow, 3):
    ...     flow.steps
    24
    """
    flows = integrators(module)
    before = [(flow.steps, flow.tolerance) for flow in flows]
    try:
        for flow in flows:
            flow.steps, flow.tolerance = max(1, round(flow.steps * factor)), flow.tolerance / factor**4
        yield
    finally:
        for flow, (steps, tolerance) in zip(flows, before, strict=True):
            flow.steps, flow.tolerance = steps, tolerance


class _Piece(Flow):
    """A continuous flow between two points of time; it owns no parameters, to be looked at rather than trained."""

    def __init__(self, flow: ContinuousFlow, start: float, stop: float) -> None:
        super().__init__()
        self._flow, self.start, self.stop = (flow,), start, stop
        self.label = f"t = {stop:.2g}"

    def forward(self, z: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return self._flow[0].evolve(z, self.start, self.stop)

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._flow[0].evolve(x, self.stop, self.start)

    def pull_flip(self, action: Tensor) -> Tensor | None:
        return self._flow[0].pull_flip(action)


def _normal(shape: tuple[int, int], rest: float, generator: torch.Generator) -> Tensor:
    """Rows of unit length on average, all but the first ``rest`` times as long."""
    noise = torch.randn(shape, generator=generator, device=generator.device) / math.sqrt(shape[1])
    noise[1:] *= rest
    return noise.to(torch.get_default_device())
