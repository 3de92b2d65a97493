"""The gallery: a card and a form of every study, Start, and the runs on disk."""

from __future__ import annotations

import json
import math
import shutil
import socket
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest

import flowlab as fl
from flowlab.runs import studies
from flowlab.storage.files import StoreError, WriterLock
from flowlab.storage.shelf import kept_in, throw_away
from flowlab.widgets.gallery import Gallery
from flowlab.widgets.gallery.cards import FIRST, Card, about, all_cards, mark_of, slowness
from flowlab.widgets.gallery.form import Form, plain
from flowlab.widgets.gallery.pictures import KINDS, picture
from tests.laws.test_key_laws import RUNS, small

ROOT = Path(__file__).parents[2]
TINY = {"L": "4", "layers": "1", "steps": "3", "batch": "10"}


@pytest.fixture
def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Gallery, "_measured", lambda self, question: 0.001)
    made = Gallery(tmp_path)
    yield made
    if made.run is not None:
        made.run.stop()
        made.run.wait()
    made.close()


def card(name: str) -> Card:
    return next(card for card in all_cards() if card.study == name and not card.title)


def fill(form: Form, **values: str) -> None:
    for name, value in values.items():
        form.fields[name].control.value = value


def train(gallery: Gallery, tmp_path: Path, name: str = "a") -> fl.Experiment:
    gallery.choose(card("ising-xor"))
    fill(gallery.form, **TINY, T="2.5")
    gallery.form.out.value = str(tmp_path / name)
    gallery.start()
    assert gallery.message.value.endswith("></span>"), gallery.message.value
    gallery.run.wait()
    gallery.table.refresh()
    return gallery.run


def test_a_click_on_start_brings_the_values_of_the_page(gallery: Gallery, tmp_path: Path) -> None:
    gallery.choose(card("ising-xor"))
    form = gallery.form
    start = gallery._top.children[-1].children[0]
    typed = {form.fields[name].control: value for name, value in {**TINY, "T": "2.5"}.items()}
    typed |= {form.seed: "7", form.out: str(tmp_path / "typed")}
    held = [each.index if "index" in each.keys else each.value for each in start.controls]
    values = [typed.get(control, here) for control, here in zip(start.controls, held, strict=True)]
    start._hear(start, {"type": "click", "values": values}, [])
    assert gallery.run is not None, gallery.message.value
    assert (gallery.run.keys["L"], gallery.run.keys["T"], gallery.run.seed) == (4, 2.5, 7)
    assert gallery.run.path == tmp_path / "typed"


def test_every_study_has_a_card_and_what_acts_comes_first(gallery: Gallery) -> None:
    assert {card.study for card in all_cards()} == set(RUNS)
    assert [card.study for card in all_cards()[:3]] == ["ising-coloured", "phi4-flow", "ising-xor"]
    assert list(gallery.buttons)[:3] == [card.title for card in FIRST]
    for each in all_cards():
        assert each.kind in KINDS and each.sees and each.seconds, each
        assert "<path" in picture(each.kind) and "aria-label" in picture(each.kind)
    assert len(gallery.buttons) == len(all_cards())


@pytest.mark.parametrize("name", RUNS)
def test_the_form_of_every_study_builds_its_run(name: str) -> None:
    study = studies()[name]
    form = Form(study, {}, "", lambda: None)
    assert set(form.fields) == set(study.defaults) and form.checked() == ({}, 0)
    wanted = small(name)
    idle = study.idle(study.defaults | wanted | {"warm": False})
    wanted = {key: value for key, value in wanted.items() if key not in idle}
    fill(form, **{key: str(value) for key, value in wanted.items()})
    form.seed.value = "3"
    keys, seed = form.checked()
    run = fl.experiment(name, seed=seed, **keys)
    assert run.seed == 3 and {key: run.keys[key] for key in wanted} == wanted
    for row in form.fields.values():
        label = getattr(row.control, "description", "") or row.control.name
        assert label == row.key.name
        assert plain(row.key.meaning).removesuffix(".") in unescape(row.note.value)


def test_couplings_are_marked_where_they_are_critical() -> None:
    form = Form(studies()["ising-xor"], {}, "", lambda: None)
    T = form.fields["T"]
    assert T.control.mark == "T_c 2.269" and "critical" in T.note.value
    T.control.value = "3.1"
    assert "<b>disordered</b>" in T.note.value and T.given == "3.1"
    keys = {key.name: key for key in studies()["phi4-flow"].keys}
    assert mark_of(studies()["phi4-flow"], keys["kappa"]).at == 0.34
    assert mark_of(studies()["phi4-flow"], keys["lam"]) is None


def test_a_preset_fills_the_form() -> None:
    form = Form(studies()["ising-van"], {}, "", lambda: None)
    form.presets.value = "paper"
    published = {"channels": "32", "layers": "6", "batch": "100", "lr": "0.001", "steps": "50000"}
    assert form.values().items() >= published.items() and form.values()["symmetric"] is False
    form.presets.value = "none"
    assert form.values() == {}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("T", "-1", "T must be positive, got -1"),
        ("L", "seven", "L must be a whole number, got &#x27;seven&#x27;"),
        ("L", "7", "L must be even for a checkerboard, got 7"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_key(gallery: Gallery, key: str, value: str, said: str) -> None:
    gallery.choose(card("ising-xor"))
    fill(gallery.form, **{key: value})
    gallery.start()
    assert said in gallery.message.value and "<details>" not in gallery.message.value
    assert gallery.lab is None


def test_a_wrong_seed_is_named(gallery: Gallery) -> None:
    gallery.choose(card("ising-xor"))
    gallery.form.seed.value = "one"
    gallery.start()
    assert "seed must be a whole number" in gallery.message.value


def test_start_opens_the_lab_below_and_trains_in_the_directory(gallery: Gallery, tmp_path: Path) -> None:
    run = train(gallery, tmp_path)
    assert run.state == "finished" and run.path == tmp_path / "a" and run.keys["T"] == 2.5
    assert gallery.lab.show() in gallery._place.children and gallery.lab is run.lab()
    assert gallery.form.out.value == str(tmp_path / "ising-xor-1")


def test_the_sorting_card_builds_sorting_layers(gallery: Gallery) -> None:
    gallery.choose(FIRST[2])
    keys, _ = gallery.form.checked()
    assert keys == {"construction": "sorting", "base": "independent"}


def test_chosen_runs_are_compared(gallery: Gallery, tmp_path: Path) -> None:
    for name, T in (("a", 2.5), ("b", 3.0)):
        run = fl.experiment("ising-xor", L=4, T=T, layers=1, steps=2, batch=10, out=tmp_path / name)
        run.run(progress=False)
    gallery.table.refresh()
    first, second = gallery.table.rows
    first.chosen.value = True
    assert gallery.table.compare.disabled
    second.chosen.value = True
    gallery.table.compare.click()
    assert "error-color" not in gallery.message.value
    assert gallery.comparison.show() in gallery._place.children
    assert "T = 2.5" in gallery.comparison._table() and "T = 3.0" in gallery.comparison._table()
    first.buttons["Open"].click()
    assert gallery.comparison is None and gallery.lab is not None


def test_the_table_lists_opens_resumes_and_deletes_after_a_question(gallery: Gallery, tmp_path: Path) -> None:
    assert gallery.table.rows == []
    train(gallery, tmp_path)
    half = fl.experiment("ising-xor", L=4, layers=1, steps=6, batch=10, out=tmp_path / "b")
    half.run(2, progress=False)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "experiment.json").write_text("{")
    gallery.table.refresh()
    rows = {row.name: row for row in gallery.table.rows}
    assert set(rows) == {"a", "b", "c"}
    shown = [cell.value for cell in rows["b"].cells[:-1]]
    assert shown[1:4] == ["ising-xor", "<span>L = 4, T = 2.26919, layers = 1</span>", "2 of 6"] and shown[4]
    assert "broken" in rows["c"].cells[5].value and rows["c"].buttons["Open"].disabled
    assert rows["a"].buttons["Resume"].disabled and not rows["b"].buttons["Resume"].disabled

    rows["b"].buttons["Open"].click()
    assert gallery.run.step == 2 and gallery.run.state == "stopped"
    rows["b"].buttons["Resume"].click()
    gallery.run.wait()
    assert gallery.run.step == 6 and fl.load(tmp_path / "b").step == 6

    rows["c"].buttons["Delete"].click()
    assert list(rows["c"].buttons) == ["Yes", "Keep"] and (tmp_path / "c").exists()
    rows["c"].buttons["Keep"].click()
    assert list(rows["c"].buttons) == ["Open", "Resume", "Delete"]
    rows["c"].buttons["Delete"].click()
    rows["c"].buttons["Yes"].click()
    assert not (tmp_path / "c").exists() and {row.name for row in gallery.table.rows} == {"a", "b"}


def test_resume_goes_on_with_a_paused_run_and_a_killed_writer_is_none(
    gallery: Gallery, tmp_path: Path, until: Callable[[Callable[[], object]], None]
) -> None:
    gallery.choose(card("ising-xor"))
    fill(gallery.form, **TINY | {"steps": "100000"})
    gallery.start()
    run = gallery.run
    run.pause()
    until(lambda: run.state == "paused")
    gallery.table.refresh()
    (row,) = gallery.table.rows
    assert "training" in row.cells[3].value
    row.buttons["Resume"].click()
    until(lambda: run.state == "running")
    assert gallery.run is run
    run.stop()
    run.wait()
    (run.path / "lock").write_text(json.dumps({"pid": 2**22 + 1, "host": socket.gethostname(), "since": "then"}))
    assert not kept_in(tmp_path)[0].writing


def test_what_a_run_was_judged_is_in_the_table(tmp_path: Path) -> None:
    run = fl.experiment("ising-xor", L=4, layers=1, steps=2, batch=10, out=tmp_path / "a")
    run.run(progress=False)
    run.keep(run.evaluate(100).assign_attrs(verdict="consistent: it agrees"), "evaluation.nc")
    (found,) = kept_in(tmp_path)
    assert found.verdict == "consistent" and found.size > 1000 and not found.writing and not math.isnan(found.ess)


def test_a_run_without_a_whole_checkpoint_is_broken(tmp_path: Path) -> None:
    run = fl.experiment("ising-xor", L=4, layers=1, steps=2, batch=10, out=tmp_path / "a")
    run.run(progress=False)
    for manifest in (tmp_path / "a" / "checkpoints").glob("*/*"):
        manifest.write_bytes(b"")
    assert "checkpoints" in kept_in(tmp_path)[0].broken


def test_only_a_run_that_nobody_trains_is_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "a"
    fl.experiment("ising-xor", L=4, layers=1, steps=2, batch=10, out=path)
    lock = WriterLock(path / "lock")
    with pytest.raises(StoreError, match="is being written by this process"):
        throw_away(path)
    lock.release()
    (path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"more than a run \(notes.txt\)"):
        throw_away(path)
    (path / "notes.txt").unlink()
    throw_away(path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match="there is no run"):
        throw_away(tmp_path)


def test_the_run_that_is_shipped_is_small_and_opens(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "binder" / "runs", tmp_path / "runs")
    (kept,) = kept_in(tmp_path / "runs")
    assert kept.size < 1_000_000 and kept.broken == "" and kept.verdict == "consistent"
    assert fl.load(kept.path).state == "finished"


def test_what_it_costs_is_said_as_on_the_card_and_then_as_measured(gallery: Gallery, until) -> None:
    assert about(98 * slowness()) in json.dumps([w.value for w in gallery._first.children[1].children[0].children[2:]])
    gallery.choose(card("ising-xor"))
    until(lambda: "2000 steps of 1 ms, measured here" in gallery.cost.value)
    fill(gallery.form, steps="5000")
    assert gallery.cost.value == "about 5 s: 5000 steps of 1 ms, measured here"


def test_a_study_of_ones_own_has_a_card_and_a_form(tmp_path: Path) -> None:
    from flowlab.runs.registry import _studies

    @fl.study("mine")
    def mine(*, colour: str = "red", seed: int = 0, warm: bool = False) -> fl.Training:
        """My own."""
        return fl.experiment("ising-xor", L=4, steps=2, batch=10)

    try:
        made = Gallery(tmp_path)
        made.buttons["mine"].click()
        assert made.form.fields["colour"].control.value == "red" and made.form.advanced not in made.form.widget.children
        made.close()
    finally:
        del _studies["mine"]
