from __future__ import annotations

import numpy as np
import pytest

from flowlab.densities import CoarseFields, Normal, Upscaled
from flowlab.systems import Phi4
from flowlab.training import Training
from flowlab.training.objectives.ir_matching import IRMatching
from flowlab.widgets import Lab
from flowlab.widgets.panels.refinement import RefinementPanel, refines


def gaussian(system, n, generator):
    import torch

    return torch.randn(n, *system.shape, generator=generator) / 2**0.5


@pytest.fixture
def run() -> Training:
    coarse = CoarseFields(Phi4((2, 2), kappa=0.05, lam=0.02), gaussian, learned=["kappa"], iid=True)
    density = Upscaled(Upscaled(coarse, (4, 4)), (8, 8))
    return Training(
        Phi4((8, 8), kappa=0.05, lam=0.02), density, IRMatching(), steps=4, batch=8,
        learning_rate={"base": 1e-3, "flow": 1e-3, "couplings": 1e-3}, device="cpu",
    )  # fmt: skip


def test_the_slider_walks_through_both_doublings(run: Training, until) -> None:
    panel = RefinementPanel(run, n=4)
    assert panel.data is None
    assert len(panel.live.figure.data) == 4
    panel.publisher.wake()
    until(lambda: "4 samples drawn" in panel.message.value)
    assert panel.layer.max == 9
    assert panel.layer.value == 9, "it shows the finished field first"
    fields = panel.data["configuration"].values
    np.testing.assert_array_equal(panel.live.figure.data[3].z, fields[-1, 0])
    panel.layer.value = 0
    assert [np.shape(trace.z) for trace in panel.live.figure.data] == [(2, 2), (4, 4), (4, 4), (4, 4)]
    assert "4 × 4, t = 0" in panel.line.value
    panel.sample.value = 2
    np.testing.assert_array_equal(panel.live.figure.data[0].z, fields[1, 2, ::4, ::4])
    panel.close()


def test_the_couplings_follow_the_training(run: Training, until) -> None:
    panel = RefinementPanel(run, n=4, every=0.0)
    panel.follow.value = True
    run.run(progress=False)
    until(lambda: len(panel.couplings.figure.data[1].x) == 4)
    np.testing.assert_array_equal(panel.couplings.figure.data[1].y, run.data["coarse_kappa"])
    assert float(run.data["coarse_kappa"][-1]) != 0.05
    until(lambda: "at step 4" in panel.message.value)
    panel.close()


def test_only_a_density_of_refined_fields_has_it(run: Training, make_run) -> None:
    lab = Lab(run)
    assert "Refinement" in lab.tabs
    lab.close()
    other = make_run()
    other.density = Normal((4, 4))
    assert not refines(other)
    other.system.title = "Ising 4 × 4"
    with pytest.raises(TypeError, match="needs a density of refined coarse fields, got Ising"):
        RefinementPanel(other)
