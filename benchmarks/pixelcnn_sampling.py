"""Seconds for a PixelCNN to draw samples with its cache, against the network run once per site.

    python benchmarks/pixelcnn_sampling.py [--quick] [--sides 16 32] [--batch 64] [--threads 1] [--out FILE]

The network has the size of the published ones: 6 layers, 32 channels, windows of 13 x 13. The naive sampler runs where
that takes minutes at most (16 x 16); elsewhere its seconds are N times those of one evaluation, of which it needs N.
Seconds are processor time (of all threads together), which other programs on the machine change less, the shortest of
several. Both samplers also draw from the same uniforms in float64: the table says whether they choose the same spins.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import _machine as machine
import torch

from flowlab.core import named_generator
from flowlab.densities.autoregressive.autoregressive import Autoregressive
from flowlab.densities.autoregressive.pixelcnn import PixelCNN

GOALS = {16: 20.0, 32: 100.0}
"""How many times faster than the naive sampler, by side."""

SAME_SPINS = {"channels": 32, "layers": 6, "kernel": 5}
"""A network of smaller windows, in which the naive sampler takes seconds in float64, for the comparison of spins."""

COLUMNS = [
    ("L", 3, "d"),
    ("batch", 6, "d"),
    ("threads", 7, "d"),
    ("cached s", 9, ".2f"),
    ("one evaluation s", 16, ".2f"),
    ("naive s", 9, ".1f"),
    ("naive ran", 9, "d"),
    ("times faster", 12, ".0f"),
    ("goal", 5, ".0f"),
    ("same spins", 10, "d"),
]


class NaivePixelCNN(PixelCNN):
    """The network once per site."""

    choose = Autoregressive.choose


def seconds(action: Callable[[], object], repeats: int) -> float:
    """The shortest of several timings, in processor time."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        action()
        best = min(best, time.process_time() - start)
    return best


def uniforms(side: int, batch: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.rand(batch, side * side, generator=named_generator(0, "benchmark"), dtype=dtype)


def same_spins(side: int) -> bool:
    """Whether both samplers choose the same in float64, strongly coupled."""
    networks = [kind((side, side), **SAME_SPINS).double() for kind in (PixelCNN, NaivePixelCNN)]
    u = uniforms(side, 2, torch.float64)
    with torch.no_grad():
        for network in networks:
            network.output.weight.mul_(30)
    cached, naive = (network.from_uniforms(u)[0] for network in networks)
    return torch.equal(cached, naive)


def measure(side: int, batch: int, threads: int, quick: bool) -> dict[str, float | int | None]:
    torch.set_num_threads(threads)
    network, naive = PixelCNN((side, side)), NaivePixelCNN((side, side))
    u = uniforms(side, batch, torch.float32)
    x = network.from_uniforms(u)[0]
    with torch.no_grad():
        cached = seconds(lambda: network.from_uniforms(u), 1 if quick else 3)
        evaluation = seconds(lambda: network.logits(x), 1 if quick else 3)
    runs = side <= 16 and not quick
    slow = seconds(lambda: naive.from_uniforms(u), 1) if runs else side * side * evaluation
    return {
        "L": side,
        "batch": batch,
        "threads": threads,
        "cached s": cached,
        "one evaluation s": evaluation,
        "naive s": slow,
        "naive ran": runs,
        "times faster": slow / cached,
        "goal": GOALS.get(side),
        "same spins": same_spins(side),
    }


def main() -> None:
    parser = machine.parser(__doc__, "pixelcnn_sampling")
    parser.add_argument("--quick", action="store_true", help="one repetition, the naive sampler never run in full")
    parser.add_argument("--sides", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    args = parser.parse_args()

    here = machine.describe()
    print(f"PixelCNN, 6 layers, 32 channels, 13 x 13, float32, {here['cpu']}, torch {here['torch']}")
    print(" ".join(name.rjust(width) for name, width, _ in COLUMNS))
    rows = []
    for threads in args.threads:
        for side in args.sides:
            row = measure(side, args.batch, threads, args.quick)
            rows.append(row)
            texts = [
                ("-" if row[name] is None else format(row[name], spec)).rjust(width) for name, width, spec in COLUMNS
            ]
            print(" ".join(texts), flush=True)
    machine.write(args.out, {"quick": args.quick, "sampling": rows})


if __name__ == "__main__":
    main()
