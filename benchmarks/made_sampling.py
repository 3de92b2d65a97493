"""Samples per second of MADE with exact ln q, against the network run once per site and one bare evaluation of it.

    python benchmarks/made_sampling.py [--quick] [--threads 1 2] [--batch 1000] [--out FILE]

Prints a table and writes JSON. Every number is the best of several repetitions, taken in turns within one run.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import _machine as machine
import torch

from flowlab.core import named_generator
from flowlab.densities.autoregressive.autoregressive import Autoregressive
from flowlab.densities.autoregressive.made import MADE

GOALS = {8: 60_000, 16: 12_000, 32: 2_000}
"""Samples per second to reach on two threads at batch 1000."""

COLUMNS = [
    ("L", 3, "d"),
    ("threads", 7, "d"),
    ("samples/s", 11, ",.0f"),
    ("goal", 8, ",d"),
    ("naive/s", 8, ",.0f"),
    ("network/s", 11, ",.0f"),
    ("vs naive", 8, ".1f"),
    ("vs network", 10, ".3f"),
]


class NaiveMADE(MADE):
    """The network once per site."""

    choose = Autoregressive.choose


def best_seconds(actions: dict[str, Callable[[], object]], repeats: dict[str, int]) -> dict[str, float]:
    """The shortest of several timings of each action; the actions take turns, so that all meet the same load."""
    for name, action in actions.items():
        if repeats[name] > 1:
            action()
    best = dict.fromkeys(actions, float("inf"))
    for turn in range(max(repeats.values())):
        for name, action in actions.items():
            if turn < repeats[name]:
                start = time.perf_counter()
                action()
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def measure(side: int, batch: int, threads: int, quick: bool) -> dict[str, float | int | None]:
    torch.set_num_threads(threads)
    fast, naive = MADE((side, side)), NaiveMADE((side, side))
    generator = named_generator(0, "benchmark")
    x, _ = fast.sample(batch, generator=generator)
    actions = {
        "fast": lambda: fast.sample(batch, generator=generator),
        "network": lambda: fast.logits(x),
        "naive": lambda: naive.sample(batch, generator=generator),
    }
    repeats = {8: 40, 16: 20, 32: 10}.get(side, 5) // (4 if quick else 1)
    turns = {"fast": repeats, "network": repeats, "naive": 3 if side <= 8 else 1 if side <= 16 and not quick else 0}
    with torch.no_grad():
        best = best_seconds(actions, turns)
    return {
        "L": side,
        "threads": threads,
        "samples/s": batch / best["fast"],
        "goal": GOALS.get(side) if (threads, batch) == (2, 1000) else None,
        "naive/s": batch / best["naive"] if turns["naive"] else None,
        "network/s": batch / best["network"],
        "vs naive": best["naive"] / best["fast"] if turns["naive"] else None,
        "vs network": best["network"] / best["fast"],
    }


def main() -> None:
    parser = machine.parser(__doc__, "made_sampling")
    parser.add_argument("--quick", action="store_true", help="8x8 and 16x16 only, fewer repetitions")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, default=1000)
    args = parser.parse_args()

    here = machine.describe()
    print(f"MADE, hidden 4N, one layer, float32, batch {args.batch}, {here['cpu']}, torch {here['torch']}")
    print(" ".join(format(name, f">{width}") for name, width, _ in COLUMNS))
    rows = []
    for threads in args.threads:
        for side in (8, 16) if args.quick else (8, 16, 32):
            row = measure(side, args.batch, threads, args.quick)
            rows.append(row)
            texts = [
                ("-" if row[name] is None else format(row[name], spec)).rjust(width) for name, width, spec in COLUMNS
            ]
            print(" ".join(texts), flush=True)

    machine.write(args.out, {"batch": args.batch, "quick": args.quick, "sampling": rows})


if __name__ == "__main__":
    main()
