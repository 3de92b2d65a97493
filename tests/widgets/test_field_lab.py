"""The lab of a flow of real fields: the panels that make sense, in the words of a field."""

from __future__ import annotations

import re

import numpy as np
import pytest

from flowlab.runs import experiment
from flowlab.studies.phi4.flows import phi4
from flowlab.widgets import Lab
from flowlab.widgets.panels.layers import most_changed
from flowlab.widgets.panels.sampled import blank_layers

KEYS = dict(L=4, beta=0.8, steps=3, batch=16, device="cpu")


@pytest.fixture(scope="module")
def lab():
    run = experiment("phi4-flow", blocks="aff", hidden=4, window=3, **KEYS)
    run.run(progress=False)
    made = Lab(run)
    for panel in made.tabs.values():
        panel.refresh()
    yield made
    made.close()


def test_only_panels_that_make_sense_appear(lab):
    assert list(lab.tabs) == ["Train", "Configurations", "Layers", "Retrain", "Check"]
    assert lab.latent is lab.defects is lab.overlaps is lab.triangles is None


def test_the_layers_speak_of_a_field_before_and_after_the_first_samples(lab):
    for figure in (lab.layers.live.figure, lab.layers.snapshot()):
        titles = [axis.title.text for axis in figure.select_xaxes()] + [
            axis.title.text for axis in figure.select_yaxes()
        ]
        assert "field φ" in titles and "⟨φ(0) φ(r)⟩" in titles
    assert lab.layers.data.sizes["x"] == 4 and lab.layers.data.sizes["x_field"] == 2
    assert "odd sites given even ones" in lab.layers.line.value


def test_a_sign_that_the_layers_lose_is_named(lab):
    layers = lab.layers
    assert "M &gt; 0" not in layers.describe()
    data = layers.data
    layers.data = data.assign(magnetization=abs(data.magnetization))
    try:
        assert "M &gt; 0 in 100 " in layers.describe() and "odd layers keep it" in layers.describe()
    finally:
        layers.data = data


def test_the_ess_is_drawn_and_the_run_named_by_its_beta(lab):
    ess = next(trace for trace in lab.train.snapshot().data if str(trace.name).startswith("ESS"))
    np.testing.assert_array_equal(ess.y, lab.experiment.data.ess)
    assert ess.name == "ESS β = 0.8"


def test_retraining_changes_beta(lab):
    assert lab.retrain.coupling == "beta"
    lab.retrain.temperature.value, lab.retrain.steps.value = 0.76, 2
    lab.retrain.button.click()
    lab.retrain.refresh()
    new = lab.retrain.current
    new.wait()
    assert new.keys["beta"] == 0.76 and re.search("β = 0.76", lab.retrain.message.value)
    names = {trace.name for trace in lab.retrain.snapshot().data}
    assert {"β = 0.76", "β = 0.8"} <= names


def test_the_sample_with_the_largest_changes_is_shown_first(lab):
    layers = lab.layers.data
    x = layers.configuration.values
    assert most_changed(layers) == ((x[1:] - x[:-1]) ** 2).sum((0, 2, 3)).argmax()


def test_a_system_without_samples_knows_that_it_is_a_field():
    run = phi4(**KEYS, blocks="aff", hidden=4, window=3)
    assert blank_layers(run.system).attrs["domain"] == "real"
