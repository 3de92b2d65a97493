"""Pages for a class, of what is recorded beside: ``make explore``, or ``python docs/explore/pages.py FOLDER``."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import xarray as xr
from record import RECORDED, RUNS
from safetensors import safe_open

import flowlab as fl
from flowlab import figures
from flowlab.figures.refinement import moments, time_of
from flowlab.widgets import export_web
from flowlab.widgets.lattice import frames_of
from flowlab.widgets.panels.layers import layer_line
from flowlab.widgets.saved import beside, entry, lattice, page, plot, row, slider, strip, text


def recorded(name: str) -> xr.Dataset:
    """What ``record.py`` wrote."""
    return xr.load_dataset(RECORDED / f"{name}.nc", engine="h5netcdf")


def words(name: str) -> str:
    """What stands beneath the pictures, as ``words.toml`` has it, and the run that was recorded."""
    said = tomllib.loads((RECORDED.parent / "words.toml").read_text(encoding="utf-8"))[name]
    asked, noticed = ("".join(f"<li>{one}</li>" for one in said[part]) for part in ("questions", "notice"))
    study, keys = RUNS[name]
    lines = ", ".join(f"{key}={value!r}" for key, value in keys.items())
    return (
        f"<h2>Three questions</h2><ol>{asked}</ol>"
        f"<details><summary>What to notice</summary><ul>{noticed}</ul></details>"
        f"<h2>The pictures in words</h2><p>{said['seen']}</p>"
        "<h2>Keys</h2><p>Tab goes from control to control, arrow keys move a slider or walk through a picture, space "
        "plays or presses; a finger does the same.</p>"
        f"<h2>Your own</h2><p><code>fl.experiment({escape(repr(study))}, {escape(lines)})</code></p>"
        "<p><a href='index.html'>More pages</a></p>"
    )


def untitled(figure: figures.Figure) -> figures.Figure:
    """Without the words that a line above says, so that it fits a phone."""
    legend = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02}
    figure.layout.annotations = ()
    return figure.update_layout(title_text="", legend=legend)


def film() -> str:
    """A flow learns the Ising model, step by step."""
    frames, records = recorded("film"), recorded("film-records")
    drawn = frames.assign_coords(sample_name=("sample", [f"draw {k}" for k in range(12)]))
    steps = frames["frame"].values.tolist()
    lines = []
    for k, step in enumerate(steps):
        at = records.isel(step=max(step - 1, 0))
        bound = float(at["log_z_bound"]) / 64
        m = float(abs(frames["configuration"][k].mean(("y", "x"))).mean())
        lines.append(
            f"<b>step {step}</b> · ln Z / N ≥ {bound:.4f} (exact {frames.attrs['log_z_exact'] / 64:.4f}) · ESS "
            f"{float(at['ess']):.3f} · mean |m| of the 12 draws {m:.2f}"
        )
    curves = figures.training_overview(records, points=500).update_layout(meta={"places": steps})
    parts = [
        text("Twelve draws of a sampler while it is trained, always from the same random numbers: press ▶."),
        row(slider("layer", len(steps) - 1, 0, "training", texts=[f"step {k}" for k in steps], interval=250)),
        text(*lines, by={"layer": len(steps)}),
        lattice(frames_of(drawn) | {"marks": False, "interval": 250, "word": "step"}),
        plot(curves, marks="layer"),
    ]
    after = words("film")
    return page("A flow learns the Ising model", "8 × 8, β = 0.44, recorded", [("Training", parts, "")], after=after)


def drawing(name: str, title: str, about: str, first: str, after: str, path: Path) -> Path:
    """A page that draws from recorded weights."""
    study, keys = RUNS[name]
    run = fl.experiment(study, device="cpu", **keys | {"grow": False})
    with safe_open(RECORDED / f"{name}.safetensors", "pt") as stored:
        run.density.load_state_dict({key: stored.get_tensor(key) for key in stored.keys()})  # noqa: SIM118
        steps = (stored.metadata() or {}).get("steps", "")
    about += f", {steps} steps of training, drawn in this page"
    return export_web(run, path, words=[first], after=after, title=title, about=about)


def levels(path: Path) -> Path:
    """The levels of a sampler at the critical point, drawn afresh."""
    after = words("levels")
    first = "Every press draws a fresh configuration at the critical point, from 2 × 2 spins to 64 × 64, with its ln q."
    return drawing(
        "levels", "The levels of a sampler at the critical point", "Ising 64 × 64, T = 2.269", first, after, path
    )


def dial(path: Path) -> Path:
    """One model from hot to cold, drawn afresh."""
    after = words("dial")
    first = "One model for all β between 0.25 and 0.6: the slider changes β, and the random numbers stay the same."
    return drawing("dial", "From hot to cold", "Ising 32 × 32, all β from 0.25 to 0.6", first, after, path)


def glass() -> str:
    """P(q) and triangles through the layers of flows of a spin glass."""
    known = recorded("glass-tempering-overlaps")
    tabs = []
    for title, name in (("Trained on samples", "samples"), ("Trained on its own energy", "energy")):
        found = recorded(f"glass-{name}-overlaps")
        by = {"layer": found.sizes["layer"]}
        names = [str(one) for one in found["layer_name"].values]
        pictures = [untitled(figures.overlap_distribution(found, k, known)) for k in range(by["layer"])]
        lines = [
            f"<b>{one}</b> · Binder cumulant {float(found['overlap_binder'][k]):.3f} (parallel tempering "
            f"{float(known['overlap_binder']):.3f}) · dip of P(q) at 0: {float(found['overlap_dip'][k]):.2f} "
            f"({float(known['overlap_dip']):.2f})"
            for k, one in enumerate(names)
        ]
        controls = row(slider("layer", by["layer"] - 1, by["layer"] - 1, "layer", texts=names))
        tabs.append((title, [controls, text(*lines, by=by), plot(*pictures, by=by)], ""))
    found, tempering = recorded("glass-samples-triangles"), recorded("glass-tempering-triangles")
    by = {"layer": found.sizes["layer"]}
    clouds = [figures.triangle_cloud(found, k, tempering) for k in range(by["layer"])]
    sentence = "Three configurations make a triangle of distances. In a tree of valleys the two longer sides are equal."
    names = [str(one) for one in found["layer_name"].values]
    controls = row(slider("layer", by["layer"] - 1, by["layer"] - 1, "layer", texts=names))
    tabs.append(("Triangles", [text(sentence), controls, plot(*clouds, by=by)], ""))
    after = words("glass-samples")
    title = "Many valleys: a spin glass through the layers of a flow"
    return page(title, "Sherrington and Kirkpatrick, 16 spins, T = 0.4, recorded", tabs, after=after)


def field() -> str:
    """Normal latents, layer by layer, become a field of the φ⁴ theory; read backwards the field is trivialized."""
    found = recorded("field")
    by = {"layer": found.sizes["layer"]}
    statistics = [figures.layer_statistics(found, 0, k) for k in range(by["layer"])]
    parts = [
        text("To the right a flow makes a field; to the left it makes the field trivial, normal numbers."),
        row(slider("layer", by["layer"] - 1, by["layer"] - 1, "layer"), entry("sample", 20, 0, "sample")),
        text(*(layer_line(found, k) for k in range(by["layer"])), by=by),
        beside(lattice(frames_of(found) | {"layer": by["layer"] - 1}), plot(*statistics, by=by)),
        plot(*(figures.delta_free_energy(found, k) for k in range(by["layer"])), by=by),
    ]
    after = words("field")
    return page("A field is trivialized", "φ⁴ on 12 × 12, β = 0.66, recorded", [("Layers", parts, "")], after=after)


def refined() -> str:
    """Coarse fields become fine ones, and the coarse coupling is learned."""
    found, records = recorded("refined"), recorded("refined-records")
    by = {"sample": found.sizes["sample"], "layer": len(moments(found))}
    pictures = [
        figures.refinement_strip(found, sample, k) for sample in range(by["sample"]) for k in range(by["layer"])
    ]
    times = [time_of(found, k) for k in range(by["layer"])]
    parts = [
        text(
            "A coarse field is copied onto a finer lattice, noise is added, and a continuous flow makes a field of it."
        ),
        row(
            slider("layer", by["layer"] - 1, 0, "time", texts=times, interval=300),
            entry("sample", by["sample"] - 1, 0, "sample"),
        ),
        strip(*pictures, by=by, side=230, across=4),
        plot(figures.learned_couplings(records, points=500)),
    ]
    after = words("refined")
    about = "φ⁴, 4 × 4 to 16 × 16, κ = 0.26, λ = 0.02, recorded"
    return page(
        "From coarse to fine, and the coupling that was learned", about, [("Refinement", parts, "")], after=after
    )


def contents(made: Sequence[Path]) -> str:
    """The page that all of them lead back to, where there is no site around them."""
    titles = [path.read_text(encoding="utf-8").partition("<title>")[2].partition("</title>")[0] for path in made]
    links = [f"<li><a href='{path.name}'>{title}</a></li>" for path, title in zip(made, titles, strict=True)]
    return CONTENTS.format(links="\n".join(links))


CONTENTS = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>flowlab: pages for a class</title>
<style>body {{ font: 16px/1.8 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }}</style>
</head>
<body>
<h1>flowlab: pages for a class</h1>
<ul>
{links}
</ul>
</body>
</html>
"""

PAGES: dict[str, Callable[[], str]] = {
    "ising-film": film, "glass-valleys": glass, "trivialized-field": field, "coarse-to-fine": refined,
}  # fmt: skip
DRAWN: dict[str, Callable[[Path], Any]] = {"levels-at-criticality": levels, "hot-to-cold": dial}


def main(folder: Path, names: Sequence[str] = ()) -> list[Path]:
    """Write these pages, or all of them; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name in names or [*PAGES, *DRAWN]:
        made.append(folder / f"{name}.html")
        if name in PAGES:
            made[-1].write_text(PAGES[name](), encoding="utf-8")
        else:
            DRAWN[name](made[-1])
    if not names and not (index := folder / "index.html").exists():
        index.write_text(contents(made), encoding="utf-8")
    return made


if __name__ == "__main__":
    for written in main(Path(sys.argv[1]), sys.argv[2:]):
        print(f"{written} {written.stat().st_size / 1e6:.2f} MB")
