"""Milliseconds of a training step through continuous flows, and of the solvers that may integrate them.

    python benchmarks/continuous.py [--quick] [--sizes 8 16 32] [--batch 128] [--out FILE]

The first table is one step of IR matching for phi^4 upscaled from 4 x 4: a draw through all levels with the gradient of
its ln q, 8 Runge-Kutta steps each, the gradient, and Adam; the coarse fields are unit Gaussians and cost nothing.
"study" is the mean step of phi4-ir-matching, its Hybrid Monte Carlo on the coarse lattice included. The second is draw
and gradient of one flow by each solver, on the same vector field, with the error of ln|det| against 128 steps:
"flowlab" solvers, and torchdiffeq's with plain backpropagation and with the adjoint equation. All on one thread, in
processor time, which other programs on the machine change less: the shortest of several.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import _machine as machine
import torch
import torchdiffeq
from torch import Tensor

from flowlab.core import Density, named_generator
from flowlab.densities.normal import Normal
from flowlab.densities.refined.upscaled import Upscaled
from flowlab.flows.continuous.continuous import ContinuousFlow, refined
from flowlab.runs import experiment
from flowlab.systems.phi4 import Phi4
from flowlab.training.objectives.ir_matching import IRMatching

GOALS = {8: 65.0, 16: 250.0, 32: 1000.0}
"""Milliseconds of a training step from 4 x 4, by the side of the fine lattice, at batch 128."""

Step = Callable[[], object]


def shortest(step: Step, repeats: int) -> float:
    """Milliseconds of processor time of the fastest of several calls after a first one."""
    step()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        step()
        found.append(time.process_time() - start)
    return 1000 * min(found)


def moved(module: torch.nn.Module, scale: float) -> None:
    """Weights away from the identity, as after some training."""
    generator = named_generator(0, "benchmark", "weights")
    for name, parameter in module.named_parameters():
        if name.endswith("weight"):
            parameter.data.add_(scale * torch.randn(parameter.shape, generator=generator))


def training_step(side: int, batch: int, repeats: int) -> dict[str, float | int | None]:
    q: Density = Normal((4, 4))
    for fine in (2**k for k in range(3, side.bit_length())):
        q = Upscaled(q, (fine, fine), sigma=0.7)
    moved(q, 0.02)
    target, optimiser = Phi4((side, side), 0.26, 0.02), torch.optim.Adam(q.parameters(), lr=1e-4)
    generator, objective = named_generator(0, "benchmark", "draws"), IRMatching(jitter=0)

    def step() -> None:
        optimiser.zero_grad()
        objective.loss(q, target, batch, generator=generator).value.backward()
        optimiser.step()

    goal = GOALS.get(side) if batch == 128 else None
    return {"side": side, "batch": batch, "cpu ms": shortest(step, repeats), "goal ms": goal}


def study_step(side: int, batch: int, repeats: int) -> float:
    """Milliseconds of processor time of a step on the finest lattice, the mean of several after a first one."""
    keys = {"L": side, "kappa": 0.26, "lam": 0.02, "batch": batch, "stage_steps": 1, "check_every": 10**6}
    run = experiment("phi4-ir-matching", coarse=4, steps=repeats + 2, device="cpu", **keys)
    stream = run.stream()
    for record in stream:
        if record["stage"] == len(run.before):
            break
    start = time.process_time()
    for _ in range(repeats):
        next(stream)
    return 1000 * (time.process_time() - start) / repeats


def solvers(side: int, batch: int, repeats: int) -> list[dict[str, float | int | str]]:
    flow = ContinuousFlow((side, side))
    moved(flow, 0.02)
    z = torch.randn(batch, side, side, generator=named_generator(0, "benchmark", "fields"))
    with torch.no_grad(), refined(flow, 16):
        _, exact = flow(z)
    evaluations = 0

    def field(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        nonlocal evaluations
        evaluations += 1
        return flow.velocity(state[0], t)

    def ours(gradient: str) -> Tensor:
        flow.gradient = gradient
        return flow(z)[1]

    def theirs(method: str, adjoint: bool, **options: object) -> Tensor:
        state, ends = (z, torch.zeros(batch)), torch.tensor([0.0, 1.0])
        if adjoint:
            options["adjoint_params"] = tuple(flow.parameters())
        integrate = torchdiffeq.odeint_adjoint if adjoint else torchdiffeq.odeint
        return integrate(field, state, ends, method=method, **options)[1][-1]

    fixed, adaptive = {"options": {"step_size": 1 / 8}}, {"rtol": 1e-5, "atol": 1e-5}
    runs: dict[str, Callable[[], Tensor]] = {
        "flowlab rk4, 8 steps": lambda: ours("backprop"),
        "flowlab rk4, 8 steps, adjoint": lambda: ours("adjoint"),
        "torchdiffeq rk4, 8 steps": lambda: theirs("rk4", False, **fixed),
        "torchdiffeq rk4, 8 steps, adjoint": lambda: theirs("rk4", True, **fixed),
        **{
            f"torchdiffeq {name} 1e-5": lambda name=name: theirs(name, False, **adaptive)
            for name in ("bosh3", "dopri5")
        },
        "torchdiffeq dopri5 1e-5, adjoint": lambda: theirs("dopri5", True, **adaptive),
    }
    rows = []
    for name, run in runs.items():
        evaluations = 0
        with torch.no_grad():
            error = float((run() - exact).square().mean().sqrt())
        calls = evaluations or 32
        cpu = shortest(lambda run=run: run().sum().backward(), repeats)
        rows.append({"side": side, "solver": name, "evaluations": calls, "cpu ms": cpu, "error of ln|det|": error})
    return rows


def main() -> None:
    parser = machine.parser(__doc__, "continuous")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, and solvers at the first size only")
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--batch", type=int, default=128)
    args = parser.parse_args()
    torch.set_num_threads(1)
    repeats = 3 if args.quick else 10

    here = machine.describe()
    print(f"5 x 5 kernel, 9 sines, float32, one thread, {here['cpu']}, torch {here['torch']}")
    print("lattice    batch   cpu ms  goal ms  study, cpu ms")
    steps = []
    for side in args.sizes:
        row = training_step(side, args.batch, repeats) | {"study cpu ms": study_step(side, args.batch, repeats)}
        steps.append(row)
        goal = "-" if row["goal ms"] is None else f"{row['goal ms']:.0f}"
        print(
            f"4 -> {side:<5} {args.batch:>5} {row['cpu ms']:>8.1f} {goal:>8} {row['study cpu ms']:>14.1f}", flush=True
        )
    print("\nlattice  solver                              calls   cpu ms  error of ln|det|")
    compared = []
    for side in args.sizes[:1] if args.quick else args.sizes:
        for row in solvers(side, args.batch, repeats):
            compared.append(row)
            print(
                f"{side:>7}  {row['solver']:<34} {row['evaluations']:>6} {row['cpu ms']:>8.1f} "
                f"{row['error of ln|det|']:>12.1e}",
                flush=True,
            )
    machine.write(args.out, {"quick": args.quick, "steps": steps, "solvers": compared})


if __name__ == "__main__":
    main()
