"""A report that can be mailed: one HTML file with its numbers and figures, which opens without a network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from math import isfinite
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.offline import get_plotlyjs

from flowlab.figures.shared.style import FONT, INK, QUIET, RULE, number

Table = Sequence[Mapping[str, object]] | xr.Dataset | Sequence[xr.Dataset]

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; \
style-src 'unsafe-inline'; img-src data: blob:; font-src data:">
<title>{title}</title>
<style>
body {{ font: 16px/1.55 {font}; color: {ink}; background: #fff; margin: 0; }}
main {{ max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }}
h1 {{ font-size: 1.7rem; line-height: 1.25; font-weight: 650; margin: 0 0 1.5rem; text-wrap: balance; }}
.table {{ overflow-x: auto; margin: 0 0 2rem; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; padding: .4rem 1.6rem .4rem 0; border-bottom: 1px solid {rule}; vertical-align: top; }}
thead th {{ color: {quiet}; font-weight: 500; font-size: .85rem; white-space: nowrap; }}
tbody th {{ font-weight: 500; }}
td {{ white-space: nowrap; }}
figure {{ margin: 2.25rem 0 0; overflow-x: auto; }}
figure > div {{ min-width: 34rem; }}
figcaption {{ color: {quiet}; font-size: .92rem; max-width: 46rem; padding-left: 1rem; }}
.verdict {{ font-weight: 550; margin: 0 0 1rem; }}
.note {{ border-left: 3px solid #d08a2e; padding: .1rem 0 .1rem .9rem; margin: 1rem 0; }}
@media print {{ figure {{ break-inside: avoid; }} }}
</style>
<script>{plotly}</script>
</head>
<body><main>
<h1>{title}</h1>
{table}
{figures}
</main></body>
</html>
"""


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    table: Table = (),
    figures: Sequence[tuple[str, go.Figure]] = (),
) -> Path:
    """Write one self-contained HTML page: a table, then captioned interactive figures; returns its path.

    plotly.js is inside the page, once, and the page may load nothing. The file appears whole or not at all.

    Args:
        path: where to write.
        title: the page's heading.
        table: rows as dicts with the same keys; or the Dataset(s) of ``Experiment.evaluate``, a column each, whose
            scalar variables become rows (``value ± error``), its ``verdict`` above and its ``warnings`` beneath.
        figures: (caption, figure) in order.

    Raises:
        OSError: when the page cannot be written; an older one at that path is left as it was.
    """
    blocks = [
        f"<figure>{_figure_html(figure, k)}<figcaption>{escape(caption)}</figcaption></figure>"
        for k, (caption, figure) in enumerate(figures)
    ]
    page = _PAGE.format(
        title=escape(title), font=FONT, ink=INK, quiet=QUIET, rule=RULE,
        plotly=get_plotlyjs(), table=_table_html(table), figures="\n".join(blocks),
    )  # fmt: skip
    return write_whole(Path(path), page)


def evaluation_rows(evaluations: Sequence[xr.Dataset]) -> list[dict[str, object]]:
    """A row for each scalar that any of the Datasets has, a column for each Dataset; errors join their values.

    >>> e = xr.Dataset({"ess": ((), 0.98765), "ess_error": ((), 0.0012)})
    >>> evaluation_rows([e])
    [{'quantity': 'ess', 'value': '0.9877 ± 0.0012'}]
    """
    names: dict[str, None] = {}
    for evaluation in evaluations:
        names |= {str(name): None for name, value in evaluation.data_vars.items() if value.ndim == 0}
    columns = ["value"] if len(evaluations) == 1 else _columns(evaluations)
    rows: list[dict[str, object]] = []
    for name in names:
        if name.endswith("_error") and name.removesuffix("_error") in names:
            continue
        first = next(e[name] for e in evaluations if name in e)
        unit = str(first.attrs.get("units", ""))
        quantity = str(first.attrs.get("long_name", name)) + (f" ({unit})" if unit not in ("", "1") else "")
        row: dict[str, object] = {"quantity": quantity}
        rows.append(row | {c: _cell(e, name) for c, e in zip(columns, evaluations, strict=True)})
    return rows


def _columns(evaluations: Sequence[xr.Dataset]) -> list[str]:
    labels = [str(e.attrs.get("label") or e.attrs.get("study") or "run") for e in evaluations]
    return [label if labels.count(label) == 1 else f"{label} ({k + 1})" for k, label in enumerate(labels)]


def _cell(evaluation: xr.Dataset, name: str) -> str:
    if name not in evaluation:
        return "—"
    value = evaluation[name].item()
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return str(value)
    error = evaluation[f"{name}_error"].item() if f"{name}_error" in evaluation else None
    return number(value, error, digits=7)


def _table_html(table: Table) -> str:
    tables = [table] if isinstance(table, xr.Dataset) else list(table)
    if not tables:
        return ""
    datasets = [t for t in tables if isinstance(t, xr.Dataset)]
    rows = evaluation_rows(datasets) if datasets else [dict(t) for t in tables if isinstance(t, Mapping)]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f'<th scope="col">{escape(str(key))}</th>' for key in keys)
    body = "".join(
        "<tr>" + "".join(_td(row.get(key, ""), first=k == 0) for k, key in enumerate(keys)) + "</tr>\n" for row in rows
    )
    verdicts = "".join(f'<p class="verdict">{escape(line)}</p>' for line in _verdicts(datasets))
    notes = "".join(f'<p class="note">{escape(w)}</p>' for w in _warnings(datasets))
    rows_html = f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"
    return f'{verdicts}<div class="table">{rows_html}</div>{notes}'


def _td(value: object, *, first: bool) -> str:
    text = number(float(value)) if isinstance(value, (float, np.floating)) and isfinite(value) else str(value)
    return f'<th scope="row">{escape(text)}</th>' if first else f"<td>{escape(text)}</td>"


def _verdicts(datasets: Sequence[xr.Dataset]) -> list[str]:
    """Whether each evaluation may be believed, with its name where there are several."""
    names = [""] if len(datasets) == 1 else [f"{label}: " for label in _columns(datasets)]
    return [name + str(d.attrs["verdict"]) for name, d in zip(names, datasets, strict=False) if "verdict" in d.attrs]


def _warnings(datasets: Sequence[xr.Dataset]) -> list[str]:
    found = [dataset.attrs.get("warnings", []) for dataset in datasets]
    return [str(w) for each in found for w in ([each] if isinstance(each, str) else each) if str(w)]


def _figure_html(figure: go.Figure, k: int) -> str:
    config = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}
    config |= {"showSendToCloud": False}  # no button sends what is drawn to a server
    return str(
        figure.to_html(
            full_html=False, include_plotlyjs=False, include_mathjax=False, config=config, div_id=f"figure-{k + 1}"
        )
    )


def write_whole(path: Path, text: str) -> Path:
    """Write a file that appears whole or not at all; its path."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
