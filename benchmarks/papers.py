"""docs/papers.md: what the papers say, number by number, and what was measured; made of the studies and of results.

python benchmarks/papers.py [--check]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import xarray as xr

from flowlab.runs.registry import Study, studies

PAGE = Path(__file__).parents[1] / "docs" / "papers.md"
SOURCES = {
    "discrete flows": ("Discrete normalizing flows as variational ansätze, notes, 2026", ("ising-xor",)),
    "trivializing maps": (
        "Del Debbio, Marsh Rossney and Wilson 2021, arXiv:2105.12481",
        ("phi4-hybrid", "phi4-affine"),
    ),
    "normalizing flows on spin glasses": ("Hartnett and Mohseni 2020, arXiv:2001.00585", ("sk-forward", "sk-reverse")),
    "multilevel samplers at criticality": (
        "Singha et al. 2025, arXiv:2503.08918",
        ("ising-rigcs", "ising-mlmc-hb", "ising-van", "ising-han", "phi4-multilevel", "phi4-pixelcnn"),
    ),
}
RESULTS = Path(__file__).parents[1] / "notebooks" / "results"
SLIPS = """## Slips in the sources

- arXiv:2503.08918, eq. 3: s J s sums every bond twice; beta = .44 is critical where each counts once.
- arXiv:2503.08918, eq. 19: exp(-beta sum J s s) has the sign of an antiferromagnet.
- arXiv:2503.08918, before eq. 22: exp(beta J (1 + s s')) is 1 where the spins differ, not 0.
"""
HEAD = """# The papers, number by number

Made by `python benchmarks/papers.py` from the studies themselves; `flowlab help STUDY` prints the same lines.
`tests/studies/test_papers.py` builds every preset named here and reads its values off the built objects. "left open" is
what the paper does not say, with flowlab's choice; "differs" is what is not as the paper says, and why.
"""


def page(results: Path = RESULTS) -> str:
    """The page: a section for every paper, a table for every study."""
    lines = [HEAD, *measured(results), SLIPS]
    known = studies()
    for title, (source, names) in SOURCES.items():
        lines += [f"## {title[0].upper()}{title[1:]}\n", f"{source}.\n"]
        for name in names:
            lines += table(known[name])
    return "\n".join(lines)


def measured(results: Path) -> Iterator[str]:
    """What was measured beyond smoke: the statements, and whether they hold here."""
    yield "## Measured\n"
    yield "`flowlab reproduce PAPER --figure N --scale S` runs a figure again; its results are in `notebooks/results/`."
    yield "An answer follows from the 95 % interval over seeds, of runs that may be trusted. What is not listed"
    yield "was not run beyond the smoke scale, at which nothing can be said.\n"
    yield "| paper, figure | statement | criterion | L | measured | seeds | scale | same? |"
    yield "|---|---|---|---|---|---|---|---|"
    for path in sorted(results.glob("*.nc")):
        found = xr.load_dataset(path)
        if found.attrs["scale"] == "smoke":
            continue
        for claim in found.claim.values:
            for side in found.L.values:
                one = found.sel(claim=claim, L=side)
                number = f"{float(one.compared):.4f} ± {float(one.compared_error):.4f}"
                yield (
                    f"| {found.attrs['paper']}, {found.attrs['figure']} | {claim} | {one.criterion.item()} | {side} | "
                    f"{number} | {int(one.seeds_used)} | {found.attrs['scale']} | {one.answer.item()} |"
                )
    yield ""


def table(study: Study) -> Iterator[str]:
    """The lines of a study: what the paper says, where, and the keys."""
    literal = {preset for line in study.stated for preset in line.presets}
    yield f"### {study.name}\n\nPresets {', '.join(preset for preset in study.presets if preset in literal)}.\n"
    yield "| paper says | where | here | presets |\n|---|---|---|---|"
    for line in study.stated:
        of = "all" if set(line.presets) == literal else ", ".join(line.presets)
        yield f"| {line.says} | {line.where} | {line.here()} | {of} |"
    yield ""


def main() -> int:
    """Write the page, or with --check say whether it is what would be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where the page is another")
    if parser.parse_args().check:
        return int(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
