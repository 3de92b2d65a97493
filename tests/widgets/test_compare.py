"""Several runs on the same axes."""

from __future__ import annotations

from pathlib import Path

import pytest

import flowlab as fl
from flowlab.widgets import Compare
from flowlab.widgets.registry import fitting


def small(**keys: object) -> fl.Experiment:
    return fl.experiment("ising-van", L=4, steps=4, batch=10, **keys)


def test_runs_and_directories_share_axes_and_differences_stand_out(tmp_path: Path) -> None:
    kept = small(T=2.5, out=tmp_path / "kept")
    kept.run(progress=False)
    live, third = small(T=3.0), small(T=2.5, seed=3)
    panel = Compare([live, str(tmp_path / "kept"), third])
    assert panel.update()
    live.run(progress=False)
    third.run(progress=False)
    assert not panel.update()
    bounds = {trace.name: trace for trace in panel.live.figure.data if trace.showlegend}
    assert set(bounds) == {"T = 3.0, seed = 0", "T = 2.5, seed = 0", "T = 2.5, seed = 3"}
    assert len({trace.line.color for trace in bounds.values()}) == 3
    highlighted = panel.table.value.split("<tr style=")[1:]
    assert [row.split("</th>")[0].split(">")[-1] for row in highlighted] == ["T", "seed"]
    assert "L = 4" in panel.table.value.split("<details>")[1]
    panel.close()


def test_a_lab_has_no_tab_for_it_and_one_run_is_refused() -> None:
    run = small(T=2.5)
    assert Compare not in fitting(run)
    with pytest.raises(ValueError, match="two or more"):
        Compare([run])
    with pytest.raises(ValueError, match="train a density"):
        Compare([run, fl.experiment("ising-chain", L=4, T=2.3, steps=5, chains=2)])
