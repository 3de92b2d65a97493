"""Panels that a person writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flowlab.figures import Figure
from flowlab.widgets import FigurePanel, Lab, Panel, lab_of, register, registered, unregister


def mine(title: str = "Mine", fits: bool = True, fails: bool = False) -> type[Panel]:
    """A panel as a cell of a notebook defines it."""

    class Mine(FigurePanel):
        @classmethod
        def fits(cls, experiment) -> bool:
            return fits

        def __init__(self, experiment, publisher=None) -> None:
            if fails:
                raise RuntimeError("no <luck>")
            super().__init__(experiment, publisher)

        def figure(self) -> Figure:
            return Figure(layout_title_text=f"step {self.experiment.step}").add_scatter(y=[self.experiment.step])

    Mine.title = title
    return Mine


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    before = registered()
    yield
    for panel in set(registered()) - set(before):
        unregister(panel)


def test_a_registered_panel_is_a_tab_and_follows_the_run(make_run, until) -> None:
    panel = register(mine())
    run = make_run(steps=30)
    lab = Lab(run)
    assert lab.widget.titles == ("Train", "Configurations", "Layers", "Retrain", "Mine")
    assert isinstance(lab.mine, panel)
    lab.widget.selected_index = 4
    run.start()
    until(lambda: not lab.publisher.alive)
    assert list(lab.mine.live.figure.data[0].y) == [30]
    assert lab.snapshot().layout.title.text == "step 30"
    lab.close()


def test_a_panel_that_does_not_fit_is_no_tab(make_run) -> None:
    register(mine(fits=False))
    lab = Lab(make_run())
    assert "Mine" not in lab.tabs
    assert lab.mine is None
    lab.close()


def test_a_panel_that_cannot_be_built_says_why_and_the_others_are_there(make_run) -> None:
    register(mine(fails=True))
    lab = Lab(make_run())
    assert lab.widget.titles == ("Train", "Configurations", "Layers", "Retrain", "Mine")
    assert "RuntimeError: no &lt;luck&gt;" in lab.tabs["Mine"].message.value
    lab.close()


def test_a_cell_that_is_run_twice_replaces_its_panel() -> None:
    register(mine())
    again = register(mine())
    assert [panel for panel in registered() if panel.title == "Mine"] == [again]


def test_a_title_is_one_panels() -> None:
    with pytest.raises(ValueError, match="title must be that of no other panel, got 'Layers', which LayersPanel has"):
        register(mine("Layers"))
    with pytest.raises(ValueError, match="a panel needs a title, got Mine"):
        register(mine(""))


def test_an_installed_package_brings_its_panels(make_run, monkeypatch) -> None:
    class Installed:
        @staticmethod
        def load() -> type[Panel]:
            return panel

    panel = mine("Brought")
    monkeypatch.setattr("flowlab.widgets.registry.entry_points", lambda group: {"flowlab.panels": [Installed]}[group])
    lab = Lab(make_run())
    assert "Brought" in lab.tabs
    lab.close()


def test_a_run_has_one_lab(make_run) -> None:
    run, other = make_run(), make_run()
    lab = lab_of(run)
    assert lab_of(run) is lab
    assert lab_of(other) is not lab
    lab.close()
    assert lab_of(run) is not lab
    lab_of(run).close()
    lab_of(other).close()


def test_a_lab_that_nobody_looks_at_rests(make_run, until) -> None:
    run = make_run(steps=100_000)
    lab = Lab(run)
    lab._repr_mimebundle_()
    run.start()
    view = lab.train.live.widget
    view._handle_custom_msg({"type": "built", "view": "a", "version": view.version}, [])
    until(lambda: len(lab.train.live.figure.data[0].x) > 3)
    view._handle_custom_msg({"type": "gone", "view": "a"}, [])
    until(lambda: not lab.publisher.alive)
    assert run.state == "running"
    view._handle_custom_msg({"type": "built", "view": "b", "version": view.version}, [])
    until(lambda: lab.publisher.alive)
    lab.close()


def test_an_unknown_name_of_a_lab_is_refused(make_run) -> None:
    lab = Lab(make_run())
    with pytest.raises(AttributeError, match="the lab has no 'colour'"):
        _ = lab.colour
    lab.close()
