"""docs/papers.md: what the papers say, number by number, and what was measured; made of the studies and of results.

python benchmarks/papers.py [--check]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import xarray as xr

from flowlab.runs.registry import Study, studies
from flowlab.studies.papers.verdicts import HEAD as TABLE

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
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
RESULTS = NOTEBOOKS / "results"
SLIPS = """## Slips in the sources

- Discrete flows, section 4.2: compositions of coupling layers are no subgroup of Aut(F_2^N), the linear maps: on four
  spins they are all even permutations of the 16 states, 16!/2 of them, where the linear maps are 20160.
- Discrete flows, section 7.6: below T_c the entropies are said to drop "to about ln 2", which is the largest that a bit
  can have, and H(z_1) to be far below ln 2, which no base that is even can have.
- arXiv:2503.08918, eq. 3: s J s sums every bond twice; beta = .44 is critical where each counts once.
- arXiv:2503.08918, eq. 19: exp(-beta sum J s s) has the sign of an antiferromagnet.
- arXiv:2503.08918, before eq. 22: exp(beta J (1 + s s')) is 1 where the spins differ, not 0.
- arXiv:2503.08918, algorithm 1: the lattice after L levels has the side 2^(L/2) N_0.
"""
HEAD = """# The papers, number by number

Made by `python benchmarks/papers.py` from the studies themselves; `flowlab help STUDY` prints the same lines.
`tests/studies/test_papers.py` builds every preset named here and reads its values off the built objects. "left open" is
what the paper does not say, with flowlab's choice; "differs" is what is not as the paper says, and why.
"""


def page(results: Path = RESULTS, notebooks: Path = NOTEBOOKS) -> str:
    """The page: what was measured, what the notebooks say, a section for every paper and a table for every study."""
    lines = [HEAD, *measured(results), *said(notebooks), SLIPS]
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


def said(notebooks: Path) -> Iterator[str]:
    """The tables that the notebooks end with, as they are stored."""
    yield "## Statement by statement\n"
    yield "The last table of each notebook, as stored there. `yes` and `no` follow from the 95 % interval over three"
    yield "seeds or more, or from what is exact; what is known of larger lattices alone cannot be said at a small one."
    yield "`make notebooks` runs them again.\n"
    for path in sorted(notebooks.glob("*.ipynb")):
        if found := last_table(path):
            yield f"### notebooks/{path.name}\n"
            yield found + "\n"


def last_table(path: Path) -> str:
    """The last table of verdicts among the outputs of a notebook, empty where there is none."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    shown = [output.get("data", {}).get("text/markdown", "") for cell in cells for output in cell.get("outputs", ())]
    tables = [text for text in map("".join, shown) if text.startswith(TABLE)]
    return tables[-1] if tables else ""


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
