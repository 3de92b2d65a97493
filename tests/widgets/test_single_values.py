"""A control that has one value is text; and what is shown says where the kernel does not answer."""

from __future__ import annotations

from pathlib import Path

import ipywidgets

from flowlab.widgets import Gallery, Lab, LayersPanel
from flowlab.widgets.panels.sampled import or_value
from flowlab.widgets.saved import choice, slider
from flowlab.widgets.view import Works
from tests.widgets.test_every_study import all_widgets, single


def on_show(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    if widget.layout.display == "none":
        return []
    return [widget, *(each for child in getattr(widget, "children", ()) for each in on_show(child))]


def test_a_choice_of_one_is_text_until_there_are_more() -> None:
    device = ipywidgets.Dropdown(options=["cpu"], description="device")
    row = or_value(device)
    assert device not in on_show(row) and [w.value for w in on_show(row)[1:]] == ["device: cpu"]
    device.options = ["cpu", "cuda"]
    assert on_show(row)[1:] == [device]
    device.options = [("a & b", 1)]
    assert [w.value for w in on_show(row)[1:]] == ["device: a &amp; b"]


def test_a_slider_of_one_value_is_text_with_its_play() -> None:
    play, layer = ipywidgets.Play(), ipywidgets.IntSlider(0, 0, 1, description="layer", disabled=True)
    row = or_value(layer, play)
    assert [w.value for w in on_show(row)[1:]] == ["layer: 0"]
    layer.description, layer.disabled = "level", False
    assert on_show(row)[1:] == [play, layer]
    layer.disabled = True
    assert [w.value for w in on_show(row)[1:]] == ["level: 0"]


def test_a_saved_page_has_no_control_of_one_value() -> None:
    assert slider("layer", 0, 0, "picture")["frames"] == ["picture: 0"]
    assert slider("layer", 0, 0, "coupling", texts=["β = 0.4"])["frames"] == ["coupling: β = 0.4"]
    assert choice("retraining", ["all"])["frames"] == ["retraining: all"]
    assert slider("layer", 1, 0, "picture")["kind"] == "slider" and choice("x", ["a", "b"])["kind"] == "choice"


def test_a_lab_says_so_of_what_has_one_value(make_run) -> None:
    lab = Lab(make_run())
    for panel in lab.tabs.values():
        panel.refresh()
        assert single(panel.widget) == [], panel.title
    lab.close()


def test_what_is_shown_asks_the_kernel_whether_it_answers(make_run, tmp_path: Path) -> None:
    def asking(widget: ipywidgets.Widget) -> list[Works]:
        return [each for each in all_widgets(widget) if isinstance(each, Works)]

    panel = LayersPanel(make_run())
    (works,) = asking(panel.show())
    assert panel.show() is panel.show() and "flowlab-watched" in panel.show()._dom_classes
    sent: list[dict] = []
    works.send = sent.append
    works._handle_custom_msg({"type": "asked", "view": "a", "number": 3}, [])
    assert sent == [{"view": "a", "number": 3}]
    panel.close()
    gallery = Gallery(tmp_path)
    assert len(asking(gallery.widget)) == 1 and "flowlab-watched" in gallery.widget._dom_classes
    gallery.close()


def test_cards_and_keys_make_room_for_a_lab(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    gallery.buttons["Sort bits into domains"].click()
    keys = gallery.form.widget
    for name, value in {"L": "4", "steps": "2", "batch": "10", "layers": "2"}.items():
        gallery.form.fields[name].control.value = value
    gallery.start()
    gallery.run.wait()
    assert keys not in all_widgets(gallery._top) and gallery.lab is not None
    named = {each.description: each for each in all_widgets(gallery._top) if isinstance(each, ipywidgets.Button)}
    assert list(named) == ["All studies", "Keys"]
    named["Keys"].click()
    assert keys in all_widgets(gallery._top)
    gallery.back()
    named = {each.description for each in all_widgets(gallery._top) if isinstance(each, ipywidgets.Button)}
    assert "Grow a critical lattice" in named and gallery.lab is not None
    gallery.close()
