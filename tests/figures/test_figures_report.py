from __future__ import annotations

import re
from pathlib import Path

import pytest
import xarray as xr
from plotly.offline import get_plotlyjs

from flowlab import figures
from flowlab.figures.report import evaluation_rows


def test_report_is_self_contained(tmp_path: Path, data: xr.Dataset, evaluation: xr.Dataset) -> None:
    pictures = [("the <bound>", figures.training_curve(data)), ("ESS", figures.ess_curve(data))]
    path = figures.write_report(tmp_path / "report.html", title="8×8 & more", table=evaluation, figures=pictures)
    page = path.read_text(encoding="utf-8")
    assert page.count(get_plotlyjs()) == 1
    own = page.replace(get_plotlyjs(), "")
    assert not re.search(r"""(src|href)\s*=|https?://|@import|url\(""", own)
    assert "default-src 'none'" in own
    assert own.count("Plotly.newPlot") == 2
    assert "8×8 &amp; more" in own
    assert "the &lt;bound&gt;" in own
    assert "0.9730 ± 0.0010" in own
    assert "ESS &lt;b&gt;small&lt;/b&gt;" in own
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_the_same_report_twice_is_the_same_file(tmp_path: Path, data: xr.Dataset) -> None:
    a, b = (
        figures.write_report(tmp_path / f"{k}.html", title="t", figures=[("c", figures.training_curve(data))])
        for k in "ab"
    )
    assert a.read_bytes() == b.read_bytes()


def test_a_report_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = figures.write_report(tmp_path / "report.html", title="first")
    before = path.read_bytes()
    with pytest.raises(UnicodeEncodeError):
        figures.write_report(path, title="a lone surrogate \ud800")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_rows_as_dicts(tmp_path: Path) -> None:
    table = [{"quantity": "F/N", "value": -2.1103512, "exact": -2.11}, {"quantity": "ESS", "value": float("nan")}]
    page = figures.write_report(tmp_path / "r.html", title="t", table=table).read_text()
    assert "<td>−2.1104</td><td>−2.11</td>" in page
    assert '<th scope="col">exact</th>' in page


def test_several_evaluations_are_columns(evaluation: xr.Dataset) -> None:
    rows = evaluation_rows([evaluation.assign_attrs(study="a"), evaluation.drop_vars("ess").assign_attrs(study="b")])
    ess = next(row for row in rows if row["quantity"] == "ess")
    assert ess == {"quantity": "ess", "a": "0.9730 ± 0.0010", "b": "—"}
