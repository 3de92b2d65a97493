from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import xarray as xr

from flowlab.analysis import measure_overlaps
from flowlab.figures import Figure
from flowlab.widgets import Lab, OverlapsPanel

N = 16


def valleys(rng: np.random.Generator, size: tuple[int, ...], strength: float) -> np.ndarray:
    up = rng.random((*size, N)) < (1 + strength) / 2
    return np.where(up, 1.0, -1.0) * rng.choice([-1.0, 1.0], (*size, 1))


@pytest.fixture
def make_glass(make_run) -> Callable:
    """A run of a spin glass: three layers, and parallel tempering at three temperatures."""

    def make(**options):
        run = make_run(T=0.5, **options)
        run.system.shape, run.system.dims, run.system.disordered = (N,), ("site",), True
        run.temperatures = (0.2, 0.5, 2.0)
        run.strength = 0.95

        def layers(n: int, *, seed: int) -> xr.Dataset:
            rng = np.random.default_rng(seed)
            s = np.stack([valleys(rng, (n,), strength) for strength in (0.0, 0.5, run.strength)])
            names = ("layer", ["latent", "affine 1", "affine 2"])
            grid = ("layer", "sample")
            variables = {"configuration": ((*grid, "site"), s), "magnetization": (grid, s.mean(-1))}
            bound = {"log_z_bound": ("layer", [1.0, 2.0, 3.0]), "log_z_bound_error": ("layer", [0.1] * 3)}
            attrs = dict(n_sites=N, T=0.5, step=run.step)
            return xr.Dataset(variables | bound, coords={"layer_name": names}, attrs=attrs)

        def reference(T: float) -> xr.Dataset:
            run.asked.append({"T": T})
            s = valleys(np.random.default_rng(9), (5, 120), 0.2 if T > 1 else 0.95)
            attrs = dict(T=T, n_sites=N, thermalised=1, thermalisation="thermalised: thirds agree")
            return xr.Dataset({"configuration": (("replica", "sample", "site"), s)}, attrs=attrs)

        run.layers, run.reference = layers, reference
        return run

    return make


@pytest.fixture
def panel(make_glass, until) -> Iterator[OverlapsPanel]:
    shown = OverlapsPanel(make_glass(), n=300)
    shown.publisher.wake()
    until(lambda: shown.reference is not None and "working" not in shown.verdict.value + shown.message.value)
    yield shown
    shown.close()


def curve(panel: OverlapsPanel, name: str) -> np.ndarray:
    return np.asarray(next(t for t in panel.live.figure.data if t.name == name).y)


def test_the_slider_changes_the_curve(panel: OverlapsPanel, unmarked) -> None:
    model = measure_overlaps(panel.data)
    assert panel.layer.max == 2
    for layer in (2, 1, 0):
        panel.layer.value = layer
        np.testing.assert_allclose(curve(panel, "this layer"), model["density"][layer])
        assert f"layer {layer} of 2" in panel.live.figure.layout.title.text
    heads, model_row, reference_row = unmarked(panel.line.value).split("</tr>")[:3]
    assert "Binder cumulant" in heads and "total variation" in heads
    assert "latent" in model_row and "noise alone" in model_row and "parallel tempering" in reference_row


def test_the_temperature_begins_at_the_models_own_and_changes_the_reference(panel: OverlapsPanel, until) -> None:
    assert panel.temperature.value == 0.5
    assert ": thermalised</span></summary>" in panel.about.value and "thirds agree" in panel.about.value
    cold = curve(panel, "parallel tempering")
    panel.temperature.value = 2.0
    until(lambda: "at T = 2: thermalised" in panel.about.value)
    assert not np.array_equal(curve(panel, "parallel tempering"), cold)
    assert panel.live.figure.layout.title.text.endswith("parallel tempering at T = 2")
    assert panel.live.figure.layout.title.text.startswith("model T = 0.5, tempering T = 2 · ")
    until(lambda: "needs parallel tempering at its own T = 0.5" in panel.verdict.value)
    panel.temperature.value = 0.5
    until(lambda: np.array_equal(curve(panel, "parallel tempering"), cold))
    assert [a["T"] for a in panel.experiment.asked] == [0.5, 2.0], "each temperature is worked out once"


def test_a_model_that_sees_one_valley_is_named(panel: OverlapsPanel, until) -> None:
    assert "<b>no collapse seen</b>" in panel.verdict.value, "nothing is lost here"
    layers = panel.experiment.layers

    def one_valley(n: int, *, seed: int) -> xr.Dataset:
        found = layers(n, seed=seed)
        return found.assign(configuration=found["configuration"] * xr.where(found["magnetization"] < 0, -1, 1))

    panel.experiment.layers = one_valley
    panel.new_samples.click()
    until(lambda: "warn-color" in panel.verdict.value)


def test_it_says_working_and_answers_while_the_reference_runs(make_glass, until) -> None:
    run = make_glass()
    there, reference = threading.Event(), run.reference

    def slow(T: float) -> xr.Dataset:
        there.wait(5.0)
        return reference(T)

    run.reference = slow
    panel = OverlapsPanel(run, n=100)
    panel.publisher.wake()
    until(lambda: panel.data is not None)
    until(lambda: "parallel tempering at T = 0.5: working…" in panel.about.value)
    panel.layer.value = 2
    assert "layer 2 of 2" in panel.live.figure.layout.title.text
    there.set()
    until(lambda: len(curve(panel, "parallel tempering")))
    panel.close()


def test_a_reference_that_fails_says_why_and_the_layers_are_still_shown(make_glass, until) -> None:
    run = make_glass()
    run.reference = lambda T: 1 / 0
    panel = OverlapsPanel(run, n=100)
    panel.publisher.wake()
    until(lambda: "parallel tempering at T = 0.5: division by zero" in panel.about.value)
    assert len(curve(panel, "this layer"))
    panel.close()


def test_without_a_reference_it_says_so(make_glass, until) -> None:
    run = make_glass()
    run.reference = lambda T: None
    panel = OverlapsPanel(run, n=100)
    panel.publisher.wake()
    until(lambda: "no parallel tempering to compare with" in panel.about.value)
    until(lambda: "no verdict without parallel tempering" in panel.verdict.value)
    panel.close()


def test_following_draws_the_same_random_numbers_through_new_weights(panel: OverlapsPanel, until) -> None:
    run, seeds = panel.experiment, []
    layers = run.layers
    panel.every, run.steps, run.strength = 0.05, 100_000, 0.7
    panel.layer.value = 2
    before = curve(panel, "this layer")
    run.layers = lambda n, *, seed: seeds.append(seed) or layers(n, seed=seed)
    run.start()
    panel.follow.value = True
    until(lambda: len(seeds) > 2 and not np.array_equal(curve(panel, "this layer"), before))
    panel.follow.value = False
    assert len(set(seeds)) == 1


def test_a_lab_of_a_spin_glass_has_overlaps_and_triangles(make_glass, until) -> None:
    lab = Lab(make_glass())
    assert lab.widget.titles == ("Train", "Configurations", "Layers", "Overlaps", "Triangles", "Retrain")
    for index, name in ((2, "layer 2"), (3, "overlap distribution"), (4, "triangles")):
        lab.widget.selected_index = index
        until(lambda: "samples drawn" in lab.front.message.value)
        assert name in lab.front.live.figure.layout.title.text
        assert isinstance(lab.snapshot(), Figure)
    lab.close()


def test_a_simulation_shows_itself_alone(make_glass, until, unmarked) -> None:
    source = make_glass()

    class Simulation:
        def __getattr__(self, name: str):
            if name == "layers":
                raise AttributeError(name)
            return getattr(source, name)

    energy = np.random.default_rng(0).normal(-8.0, 1.0, (100, 5, 3))
    source.__class__ = type("Energies", (type(source),), {"data": xr.Dataset(
        {"energy": (("step", "replica", "temperature"), energy), "energy_mean": ("step", energy[:, :, 0].mean(1)),
         "round_trips": ("step", np.arange(100.0))},
        coords={"step": np.arange(1, 101), "temperature": [0.2, 0.5, 2.0]}, attrs=dict(n_sites=N, T=0.5),
    )})  # fmt: skip
    lab = Lab(Simulation())
    assert lab.widget.titles == ("Run", "Overlaps", "Triangles")
    lab.refresh()
    assert "round trips" in lab.train.controls.numbers.value
    for index in (1, 2):
        lab.widget.selected_index = index
        until(lambda: lab.front.reference is not None)
        assert "layer" not in lab.front.live.figure.layout.title.text
        assert lab.front.layer not in lab.front.controls
    assert "parallel tempering" in unmarked(lab.overlaps.line.value)
    lab.close()
