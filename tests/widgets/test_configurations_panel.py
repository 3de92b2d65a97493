"""The movie of configurations: of chains, of tempering at its temperatures, of a model as it trains."""

from __future__ import annotations

import numpy as np
import pytest

import flowlab as fl
from flowlab.widgets import ConfigurationsPanel
from flowlab.widgets.panels.configurations import MOVES
from tests.laws.test_key_laws import build


def test_chains_stand_side_by_side_and_go_on() -> None:
    run = fl.experiment("ising-chain", L=4, T=2.3, steps=30, chains=3)
    panel = ConfigurationsPanel(run)
    panel.update()
    assert dict(panel.data.sizes) == {"layer": 1, "sample": 3, "y": 4, "x": 4}  # where they begin
    run.run(progress=False)
    panel.update()
    names = panel.data["layer_name"].values.tolist()
    assert names[-1] == "step 30"
    assert panel.layer.value == len(names) - 1
    assert panel.lattice.widget.tiles == ["chain 0", "chain 1", "chain 2"]
    np.testing.assert_array_equal(panel.data["configuration"][-1], run.recent(1)["configuration"][0])
    assert panel.snapshot().data
    assert not panel.update()


def test_single_steps_mark_what_they_change_and_leave_the_run_where_it_is() -> None:
    run = fl.experiment("ising-chain", L=4, T=2.3, steps=5, chains=2)
    run.run(progress=False)
    panel = ConfigurationsPanel(run)
    panel.update()
    panel.what.value = MOVES
    panel.update()
    assert panel.lattice.widget.marks
    assert panel.data["layer_name"].values[:2].tolist() == ["0 single steps on", "1 single steps on"]
    assert (np.diff(panel.data["configuration"].values.astype(int), axis=0) != 0).any()
    np.testing.assert_array_equal(run.recent(1)["configuration"][0], panel.data["configuration"][0])


def test_tempering_shows_a_replica_at_every_temperature() -> None:
    run = build("sk-pt")
    run.run(progress=False)
    panel = ConfigurationsPanel(run)
    panel.update()
    coldest = panel.lattice.widget.tiles[0]
    assert coldest == "T = 0.2"
    last = run.reference(run.temperatures[0])["configuration"][0, -1]
    np.testing.assert_array_equal(panel.data["configuration"][-1, 0], last)
    assert "no lattice" in panel.about.value


def test_annealed_chains_are_shown_once_there_are_some() -> None:
    run = build("ising-cluster-ais")
    panel = ConfigurationsPanel(run)
    panel.update()
    assert panel.data is None
    assert "no configurations" in panel.message.value
    run.run(progress=False)
    panel.update()
    assert panel.data["layer_name"].values[-1] == "step 30"


@pytest.mark.parametrize("follow", [True, False])
def test_a_model_is_followed_with_the_same_latents(make_run, follow: bool) -> None:
    run = make_run(steps=10)
    panel = ConfigurationsPanel(run, every=0.0)
    panel.follow.value = follow
    panel.update()
    run.step = 7
    panel.update()
    assert [asked["step"] for asked in run.asked] == [0, 7][: 1 + follow]
    assert panel.layer.value == int(follow)
    panel.new_samples.click()
    panel.update()
    assert panel.data["layer_name"].values.tolist() == ["step 7"]
    assert run.asked[-1]["seed"] == 1
