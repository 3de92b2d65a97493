"""The main job in a few minutes: two discrete flows on the 2D Ising model, a table of numbers, and a report to open.

    python demo.py

trains 4 XOR coupling layers over a MADE on the 8 x 8 lattice at the critical temperature, and one layer over
independent spins at T = 4. It writes the runs ``demo/critical`` and ``demo/weak`` and the page ``demo/report.html``.
"""

from __future__ import annotations

import math
import shutil
import sys
from pathlib import Path

import torch
import xarray as xr

import flowlab as fl
from flowlab import figures
from flowlab.estimators.weights.evidence import shown

OUT = Path("demo")


def trained(title: str, name: str, **keys: object) -> fl.Training:
    """The study with these keys, trained with a progress bar and kept in ``demo/name``."""
    print(f"{title}: ising-xor " + " ".join(f"{key}={value}" for key, value in keys.items()), flush=True)
    run = fl.experiment("ising-xor", seed=1, out=OUT / name, device="cpu", **keys)
    run.run()
    return run


def rows(result: xr.Dataset) -> list[dict[str, str]]:
    """The table that is printed and goes into the report."""

    def number(name: str, digits: int = 4) -> str:
        error = f" ± {float(result[f'{name}_error']):.{digits}f}" if f"{name}_error" in result else ""
        return f"{float(result[name]):.{digits}f}{error}"

    N, T = result.attrs["n_sites"], result.attrs["T"]
    exact = fl.exact.kaufman((math.isqrt(N),) * 2, 1 / T)
    return [
        {"quantity": "free energy, variational bound", "here": number("free_energy_bound"), "exact": ""},
        {
            "quantity": "free energy, importance-weighted",
            "here": number("free_energy"),
            "exact": f"{-T * exact.log_z:.4f}",
        },
        {"quantity": "effective sample size", "here": number("ess"), "exact": ""},
        {
            "quantity": "energy per site",
            "here": number("energy_per_site"),
            "exact": f"{exact.energy / N:.4f}",
        },
        {"quantity": "|m| per site", "here": number("abs_magnetization"), "exact": ""},
    ]


def show(table: list[dict[str, str]]) -> None:
    """Print it."""
    for row in [{"quantity": "", "here": "here", "exact": "exact"}, *table]:
        print(f"  {row['quantity']:<34s}{row['here']:>22s}{row['exact']:>12s}")
    print(flush=True)


def check(result: xr.Dataset) -> None:
    """Exit where the numbers cannot be right."""
    bound, error = float(result.free_energy_bound), float(result.free_energy_bound_error)
    exact = -result.attrs["T"] * float(result.log_z_exact)
    if bound < exact - 4 * error:
        sys.exit(f"demo failed: the bound {bound:.4f} ± {error:.4f} lies below the exact free energy {exact:.4f}")
    if float(result.ess) < 0.5:
        sys.exit(f"demo failed: the effective sample size is {float(result.ess):.2f}, expected at least 0.5")


def gain(run: fl.Training, n: int = 20_000) -> tuple[float, float]:
    """How much the flow's layers lower the free-energy bound per site, on the same latents, with its error."""
    layers = run.layers(n)
    R = (layers.log_q - layers.log_weight) * layers.attrs["T"] / layers.attrs["n_sites"]
    change = R.isel(layer=-1) - R.isel(layer=0)
    return float(change.mean()), float(change.std() / n**0.5)


def main() -> None:
    """Train, print, check, report."""
    torch.set_num_threads(min(2, torch.get_num_threads()))
    for old in ("critical", "weak"):
        shutil.rmtree(OUT / old, ignore_errors=True)

    critical = trained(
        "Critical point, strong base", "critical", L=8, layers=4, start="local_field", steps=3000, batch=500
    )
    result = critical.evaluate(20_000)
    critical.keep(result, "evaluation.nc")
    table = rows(result)
    show(table)
    print(f"  {result.attrs['verdict']}\n")
    check(result)

    mask = {"layers": 1, "construction": "xor", "start": "local_field"}
    weak = trained("T = 4, weak base", "weak", L=8, T=4.0, **mask, base="independent", steps=600, batch=500)
    with shown():
        weak_result = weak.evaluate(20_000)
    weak.keep(weak_result, "evaluation.nc")
    show(rows(weak_result))
    print(f"  {weak_result.attrs['verdict']}\n")
    change, error = gain(weak)
    alone = -4.0 * math.log(2.0)
    trained_bound = float(weak_result.free_energy_bound_per_site)
    print(f"  its one layer changes the bound per site by {change:.4f} ± {error:.4f}, to {trained_bound:.4f};")
    print(f"  independent spins alone reach at best {alone:.4f}")
    if not change < -5 * error or not trained_bound < alone - 5 * float(weak_result.free_energy_bound_per_site_error):
        sys.exit("demo failed: the layer over the weak base does not lower the bound by more than 5 errors")

    layers, weak_layers = critical.layers(1000), weak.layers(1000)
    figures.write_report(
        OUT / "report.html",
        title="A discrete flow on the 8 × 8 Ising model",
        table=table,
        figures=[
            (
                "The bound approaches the exact free energy while the flow trains.",
                figures.training_curve(critical.data),
            ),
            ("One configuration on its way from latent to sample.", figures.strip(layers, 0)),
            ("Correlations of the latents and of the physical spins.", figures.correlation(layers, -1)),
            (
                "What each latent spin adds, given those before it.",
                figures.conditional_entropy(critical.diagnose(20_000)),
            ),
            (
                "T = 4, independent latents with one shared bit: a single mask layer builds the correlations.",
                figures.strip(weak_layers, 0),
            ),
            ("What that layer does to the bound.", figures.bound_by_layer(weak_layers)),
        ],
    )
    print(f"\nThe runs are in {OUT}/, the report is {OUT / 'report.html'}")


if __name__ == "__main__":
    main()
