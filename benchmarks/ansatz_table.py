"""Every ansatz of Table 2 on the Ising model at T_c, in equal seconds: is its bound one, and how close does it come?

    python benchmarks/ansatz_table.py [--seconds 30] [--seeds 0] [--L 8] [--only NAME ...] [--out FILE]

Prints a table and writes JSON. One thread; seconds are of processor time, which a busy machine does not stretch, and
each run is given the steps that fit them, measured before it starts.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import _machine as machine
import numpy as np
import torch

from flowlab.analysis.vqvae_bounds import latent_bounds
from flowlab.core import named_generator
from flowlab.densities.tokens.vqvae import VQVAE
from flowlab.estimators import UntrustedWarning
from flowlab.runs import Experiment, experiment
from flowlab.systems import CRITICAL_TEMPERATURE
from flowlab.training import Training

LOCAL_FIELD = {"layers": 1, "start": "local_field"}
ROWS: dict[str, dict[str, Any]] = {
    "MADE": {"ansatz": "made"},
    "PixelCNN": {"ansatz": "pixelcnn", "batch": 200},
    "RowRNN": {"ansatz": "row_rnn", "batch": 200},
    "local k=4": {"ansatz": "local"},
    "independent": {"ansatz": "independent"},
    "independent + XOR": {"ansatz": "independent", **LOCAL_FIELD},
    "independent + 3 hierarchical XOR": {"ansatz": "independent", "layers": 3, "partition": "hierarchical"},
    "2x2 blocks": {"ansatz": "blocks", "batch": 200},
    "walls, independent": {"ansatz": "walls"},
    "walls, independent + 2 XOR": {"ansatz": "walls", "layers": 2},
    "walls, local": {"ansatz": "walls_local"},
    "multiscale, independent": {"ansatz": "multiscale"},
    "multiscale, independent + 2 XOR": {"ansatz": "multiscale", "layers": 2},
    "multiscale, local": {"ansatz": "multiscale_local"},
    "sorted, independent": {"ansatz": "sorted"},
    "sorted, local": {"ansatz": "sorted_local"},
    "coarse to fine, independent": {"ansatz": "coarse_to_fine"},
    "one level to fine, independent": {"ansatz": "coarse_to_fine", "levels": 1},
    "levels of 4 colours": {"study": "ising-coloured", "T": CRITICAL_TEMPERATURE, "grow": False},
    "VQ-VAE, encoder bound": {"ansatz": "vqvae"},
}
PROBE = 30
"""Steps of a run that say how long one takes."""
COLUMNS = [
    ("ansatz", 32, "<s"),
    ("seed", 4, "d"),
    ("valid bound?", 12, "s"),
    ("gap/site", 9, ".5f"),
    ("error", 8, ".5f"),
    ("ESS", 6, ".3f"),
    ("parameters", 10, "d"),
    ("steps", 6, "d"),
    ("seconds", 7, ".1f"),
]


def measure(name: str, keys: dict[str, Any], L: int, seconds: float, seed: int) -> list[dict[str, Any]]:
    """The row of one run, and for a density with codes the rows of its other bounds and estimates."""
    study = keys.get("study", "ising-tokens")
    keys = {key: value for key, value in keys.items() if key != "study"}
    probe = experiment(study, L=L, seed=seed, device="cpu", steps=100, **keys)
    trained(probe, 3)
    steps = max(10, round(PROBE * seconds / trained(probe, PROBE)))
    run = experiment(study, L=L, seed=seed, device="cpu", steps=steps, **keys)
    assert isinstance(run, Training) and run.log_z_exact is not None
    elapsed = trained(run, steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UntrustedWarning)
        found = run.evaluate(20_000)
    row = {
        "ansatz": name,
        "seed": seed,
        "valid bound?": "yes",
        "gap/site": float(found.free_energy_bound_per_site) - exact_per_site(run),
        "error": float(found.free_energy_bound_per_site_error),
        "ESS": float(found.ess),
        "parameters": sum(p.numel() for p in run.density.parameters()),
        "steps": run.step,
        "seconds": elapsed,
    }
    if not isinstance(run.density, VQVAE):
        return [row]
    others = latent_bounds(run.density, run.target, 5000, generator=named_generator(seed, "bounds"))
    rows = [row | {"ansatz": "VQ-VAE, joint bound (prior)"} | gap(run, others, "joint_bound", "yes")]
    rows += [row, row | {"ansatz": "VQ-VAE, encoder + 16 codes"} | gap(run, others, "importance_bound", "yes")]
    rows += [row | {"ansatz": "VQ-VAE, ELBO"} | gap(run, others, "elbo", "not a bound")]
    rows += [row | {"ansatz": "VQ-VAE, 16 codes"} | gap(run, others, "importance_estimate", "not a bound")]
    low, high = float(others.information_lower), float(others.information_upper)
    print(f"VQ-VAE: T I(spins; codes) per site between {low:.5f} and {high:.5f}")
    return rows


def trained(run: Experiment, steps: int) -> float:
    """Train for so many steps; the seconds of processor time."""
    started = time.process_time()
    run.run(steps, progress=False)
    return time.process_time() - started


def exact_per_site(run: Training) -> float:
    assert run.log_z_exact is not None
    return -float(run.system.couplings["T"]) * run.log_z_exact / run.system.n_sites


def gap(run: Training, found: Any, name: str, bound: str) -> dict[str, Any]:
    value, error = float(found[name]) - exact_per_site(run), float(found[f"{name}_error"])
    return {"valid bound?": bound, "gap/site": value, "error": error, "ESS": None}


def line(row: dict[str, Any]) -> str:
    texts = []
    for name, width, spec in COLUMNS:
        text = "-" if row[name] is None else format(row[name], spec.removeprefix("<"))
        texts.append(text.ljust(width) if spec.startswith("<") else text.rjust(width))
    return " ".join(texts)


def main() -> None:
    parser = machine.parser(__doc__, "ansatz_table")
    parser.add_argument("--seconds", type=float, default=30.0, help="of training, each run, in processor time")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--L", type=int, default=8)
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="NAME", help="some rows of the table")
    args = parser.parse_args()
    torch.set_num_threads(1)

    here = machine.describe()
    print(
        f"Ising {args.L} x {args.L} at T_c, {args.seconds:g} s of processor time each, one thread, {here['cpu']}, "
        f"torch {here['torch']}"
    )
    print(header())
    rows = []
    for name in args.only or ROWS:
        for seed in args.seeds:
            for row in measure(name, ROWS[name], args.L, args.seconds, seed):
                rows.append(row)
                print(line(row), flush=True)
    if len(args.seeds) > 1:
        print("means over seeds, with the standard error of the mean")
        for name in dict.fromkeys(row["ansatz"] for row in rows):
            gaps = np.array([row["gap/site"] for row in rows if row["ansatz"] == name])
            print(f"{name:32s} {gaps.mean():.5f} ± {gaps.std(ddof=1) / np.sqrt(len(gaps)):.5f}")
    machine.write(args.out, {"L": args.L, "seconds": args.seconds, "table": rows})


def header() -> str:
    return " ".join(n.ljust(w) if spec.startswith("<") else n.rjust(w) for n, w, spec in COLUMNS)


if __name__ == "__main__":
    main()
