"""Milliseconds of one maximum-likelihood step of a flow of affine couplings, symmetrised under x -> -x.

    python benchmarks/forward_step.py [--quick] [--threads 1 2] [--layers 4] [--out FILE]

A step is ln q of x and -x in one batch, its gradient, and Adam. The flow has ``--layers`` couplings with three hidden
layers of N units and a fixed linear map. Prints a table and writes JSON: the shortest of several steps, in wall-clock
time and in processor time (of all threads together), which other programs on the machine change less.
"""

from __future__ import annotations

import time

import _machine as machine
import torch

from flowlab.core import named_generator
from flowlab.densities.normal import Normal
from flowlab.densities.pushforward import Pushforward
from flowlab.densities.z2 import Z2Symmetrized
from flowlab.flows.composed import Composed
from flowlab.flows.real.affine import AffineCoupling, complementary_masks
from flowlab.flows.real.linear import Linear

GOALS = {(256, 256): 100.0, (256, 50): 25.0}
"""Milliseconds a step on two threads, by N and batch, at four layers."""

COLUMNS = [
    ("N", 4, "d"),
    ("batch", 6, "d"),
    ("threads", 7, "d"),
    ("wall ms", 8, ".1f"),
    ("cpu ms", 8, ".1f"),
    ("goal ms", 8, ".0f"),
    ("parameters", 11, ",d"),
]


def density(n_sites: int, layers: int) -> Z2Symmetrized:
    """Couplings with random complementary masks over a unit Gaussian."""
    generator = named_generator(0, "benchmark", "flow")
    masks = complementary_masks((n_sites,), layers, generator=generator)
    couplings = [AffineCoupling(mask, generator=generator) for mask in masks]
    return Z2Symmetrized(Pushforward(Composed([*couplings, Linear((n_sites,))]), Normal((n_sites,))))


def measure(n_sites: int, batch: int, threads: int, layers: int, repeats: int) -> dict[str, float | int | None]:
    torch.set_num_threads(threads)
    q = density(n_sites, layers)
    optimiser = torch.optim.Adam(q.parameters(), lr=1e-4, fused=True)
    x = torch.randn(batch, n_sites, generator=named_generator(0, "benchmark", "samples"))
    wall, cpu = [], []
    for _ in range(repeats + 3):
        start, start_cpu = time.perf_counter(), time.process_time()
        loss = -q.log_prob(x).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    return {
        "N": n_sites,
        "batch": batch,
        "threads": threads,
        "wall ms": 1000 * min(wall[3:]),
        "cpu ms": 1000 * min(cpu[3:]),
        "goal ms": GOALS.get((n_sites, batch)) if (threads, layers) == (2, 4) else None,
        "parameters": sum(p.numel() for p in q.parameters()),
    }


def main() -> None:
    parser = machine.parser(__doc__, "forward_step")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--layers", type=int, default=4)
    args = parser.parse_args()

    here = machine.describe()
    print(f"{args.layers} affine couplings, hidden N, three layers, float32, {here['cpu']}, torch {here['torch']}")
    print(" ".join(format(name, f">{width}") for name, width, _ in COLUMNS))
    rows = []
    for threads in args.threads:
        for n_sites, batch in ((64, 50), (64, 256), (256, 50), (256, 256)):
            row = measure(n_sites, batch, threads, args.layers, repeats=10 if args.quick else 50)
            rows.append(row)
            texts = [
                ("-" if row[name] is None else format(row[name], spec)).rjust(width) for name, width, spec in COLUMNS
            ]
            print(" ".join(texts), flush=True)

    machine.write(args.out, {"layers": args.layers, "quick": args.quick, "steps": rows})


if __name__ == "__main__":
    main()
