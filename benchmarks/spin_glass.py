"""Three models of the Sherrington-Kirkpatrick glass: how far each is from equilibrium after a given number of steps.

    python benchmarks/spin_glass.py [--only sk-forward N=64 T=0.5] [--quick]

Each row is one run of a study; overlaps and the Kullback-Leibler divergences are against parallel tempering of the same
instance, ln Z also against the reference values of the tests where these have it.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from pathlib import Path
from typing import Any

import _machine as machine

import flowlab as fl

GLASS = {"N": 64, "T": 0.5, "seed_J": 0}
ROWS: list[tuple[str, dict[str, Any]]] = [
    ("sk-forward", GLASS | {"steps": 20_000}),
    ("sk-forward", GLASS | {"seed_J": 1, "steps": 20_000}),
    ("sk-forward", GLASS | {"T": 2.0, "steps": 20_000}),
    ("sk-forward", GLASS | {"N": 256, "batch": 50, "steps": 20_000}),
    ("sk-reverse", GLASS | {"steps": 8000}),
    ("sk-reverse", GLASS | {"T": 2.0, "steps": 8000}),
    ("sk-autoregressive", GLASS | {"steps": 20_000}),
    ("sk-autoregressive", GLASS | {"seed_J": 1, "steps": 20_000}),
    ("sk-autoregressive", GLASS | {"T": 1.0, "steps": 8000}),
    ("sk-autoregressive", GLASS | {"T": 2.0, "steps": 2000}),
    ("sk-autoregressive", GLASS | {"N": 128, "steps": 25_000}),
    ("sk-autoregressive", GLASS | {"N": 128, "seed_J": 1, "steps": 25_000}),
    *(("sk-forward", {"N": 10, "T": T, "seed_J": 0, "samples": 20_000, "steps": 2000}) for T in (0.5, 1.0, 2.0)),
]
REFERENCE = Path(__file__).parents[1] / "tests" / "data" / "public_sk_pt.json"
NUMBERS = (
    "forward_kl", "reverse_kl", "ess", "log_z", "log_z_bound", "log_z_reference", "overlap_total_variation",
    "overlap_total_variation_floor", "overlap_peak", "reference_overlap_peak", "mode_collapse",
)  # fmt: skip
HEADS = (
    "study", "N", "T", "J", "steps", "wall", "cpu", "KL(p|q)", "KL(q|p)", "ESS", "TV", "peak", "peak PT", "ln Z - ref",
)  # fmt: skip
WIDTHS = (17, 4, 4, 2, 6, 6, 6, 14, 14, 7, 6, 6, 8, 20)


def measure(study: str, keys: dict[str, Any]) -> dict[str, Any]:
    """Train and evaluate; parallel tempering is not part of the time."""
    run = fl.experiment(study, device="cpu", **keys)
    run.comparison.run()
    wall, cpu = time.perf_counter(), time.process_time()
    run.run(progress=False)
    row: dict[str, Any] = {"study": study, **keys, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fl.estimators.UntrustedWarning)
        found = run.evaluate(40_000)
    for name in NUMBERS:
        row[name] = float(found[name])
        if f"{name}_error" in found:
            row[f"{name}_error"] = float(found[f"{name}_error"])
    return row | published(keys) | {"verdict": found.attrs["verdict"]}


def published(keys: dict[str, Any]) -> dict[str, float]:
    """ln Z of the reference values, or the exact one, or nothing."""
    if keys["N"] <= 16:
        glass = fl.SpinGlass.sherrington_kirkpatrick(keys["N"], keys["T"], keys["seed_J"])
        return {"log_z_published": fl.exact.log_z(glass), "log_z_published_error": 0.0}
    for case in json.loads(REFERENCE.read_text())["cases"]:
        if (case["N"], case["seed"]) == (keys["N"], keys["seed_J"]):
            for row in case["thermodynamics"]:
                if row["T"] == keys["T"]:
                    return {"log_z_published": row["lnZ"], "log_z_published_error": row["lnZ_err"]}
    return {}


def text(row: dict[str, Any]) -> str:
    """One line of the table; ln Z against the published value where there is one, in joint errors too."""
    exact = row.get("log_z_published", row["log_z_reference"])
    error = row.get("log_z_published_error", row["log_z_reference_error"])
    off = row["log_z"] - exact
    words = [
        row["study"], row["N"], row["T"], row["seed_J"], row["steps"], f"{row['wall']:.0f}", f"{row['cpu']:.0f}",
        f"{row['forward_kl']:.3f}±{row['forward_kl_error']:.3f}",
        f"{row['reverse_kl']:.3f}±{row['reverse_kl_error']:.3f}",
        f"{row['ess']:.4f}", f"{row['overlap_total_variation']:.3f}", f"{row['overlap_peak']:.3f}",
        f"{row['reference_overlap_peak']:.3f}",
        f"{off:+.4f} ({off / math.hypot(row['log_z_error'], error):+.1f}σ)",
    ]  # fmt: skip
    return " ".join(str(word).rjust(width) for word, width in zip(words, WIDTHS, strict=True))


def main() -> None:
    parser = machine.parser(__doc__, "spin_glass")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the steps")
    parser.add_argument("--only", nargs="+", default=[], help="study and keys that rows must have, e.g. N=64")
    options = parser.parse_args()
    rows = []
    print(" ".join(head.rjust(width) for head, width in zip(HEADS, WIDTHS, strict=True)))
    for study, keys in ROWS:
        words = {study, *(f"{key}={value:g}" for key, value in keys.items())}
        if set(options.only) <= words:
            rows.append(measure(study, keys | {"steps": max(50, keys["steps"] // (100 if options.quick else 1))}))
            print(text(rows[-1]), flush=True)
            print(" " * 18 + rows[-1]["verdict"], flush=True)
    machine.write(options.out, rows)


if __name__ == "__main__":
    main()
