"""The picture that stands beside a lab for pages on which nothing is live."""

from __future__ import annotations

import base64

from flowlab.widgets import Gallery, Lab, LayersPanel
from flowlab.widgets.panel import Panel
from flowlab.widgets.publisher import Publisher

LIVE = "application/vnd.jupyter.widget-view+json"


def bundle_of(shown: object) -> dict:
    return shown._repr_mimebundle_()  # type: ignore[attr-defined]


def test_a_lab_is_sent_live_and_as_a_picture_of_its_present_state(make_run) -> None:
    run = make_run()
    lab = Lab(run)
    before = bundle_of(lab)
    assert {LIVE, "image/png"} <= before.keys()
    run.rows, run.step = [(20.0 - 5.0 / (k + 1), 0.1, 0.9) for k in range(30)], 30
    after = bundle_of(lab)
    assert after["image/png"] != before["image/png"]
    lab.layers.sample_now()
    with_lattices = bundle_of(lab)
    assert len(after["image/png"]) < len(with_lattices["image/png"]) < 100_000 * 4 / 3
    lab.close()


def test_a_panel_alone_and_a_gallery_have_one_and_draw_no_samples_for_it(make_run, tmp_path) -> None:
    run = make_run()
    at_rest = Publisher(run)
    at_rest.close()
    panel, gallery = LayersPanel(run, publisher=at_rest), Gallery(tmp_path)
    assert base64.b64decode(bundle_of(panel)["image/png"])[1:4] == b"PNG"
    assert run.asked == []
    assert {LIVE, "image/png"} <= bundle_of(gallery).keys()
    panel.close()
    gallery.close()


def test_a_picture_that_fails_takes_nothing_away(make_run, monkeypatch) -> None:
    def fail(self: Panel) -> list:
        raise ValueError("no picture")

    monkeypatch.setattr(Lab, "stills", fail)
    lab = Lab(make_run())
    assert LIVE in bundle_of(lab) and "image/png" not in bundle_of(lab)
    lab.close()


def test_where_no_widget_is_shown_it_says_where_one_is(make_run, tmp_path) -> None:
    lab, gallery = Lab(make_run()), Gallery(tmp_path)
    for shown, name in ((lab, "Lab of "), (gallery, f"Gallery of {tmp_path}: ")):
        words = bundle_of(shown)["text/plain"]
        assert words == repr(shown) and words.startswith(name)
        assert "live in JupyterLab 4, Notebook 7 and Voila" in words and "lab.save(" in words
        shown.close()
