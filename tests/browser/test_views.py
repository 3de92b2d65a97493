"""A figure is drawn from the state of its model: whenever it is built, and however late plotly.js comes."""

from __future__ import annotations

import itertools
import os
import signal

import plotly.graph_objects as go
from playwright.sync_api import Page, expect

from flowlab.figures.page import as_json
from flowlab.figures.shared.style import INK, styled
from tests.browser.helpers import Lab, artifact, run_all
from tests.browser.panels import one_cell
from tests.browser.views import plot_state, set_up

IN_EVERY_ORDER = """
async ({orders, later}) => {
    const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
    const drawn = [];
    for (const order of orders) {
        const el = document.createElement('div');
        Object.assign(el.style, {display: 'none', width: '900px'});
        document.body.replaceChildren(el);
        let deliver;
        globalThis[Symbol.for('flowlab.plotly')] = new Promise((done) => { deliver = () => done(Plotly); });
        const state = {...model.state};
        const fresh = new model.constructor(state);
        const steps = {
            render: () => { view.render({model: fresh, el}); },
            change: () => fresh.change({figure: later}),
            deliver: () => deliver(),
            show: () => { el.style.display = 'block'; },
        };
        for (const step of order) { steps[step](); await wait(5); }
        const lines = () => el.querySelectorAll('.scatterlayer .js-line').length;
        for (let k = 0; k < 200 && lines() < 3; k++) await wait(50);
        drawn.push(`${el.querySelector('.gtitle')?.textContent} ${lines()}`);
    }
    return drawn;
}
"""


def figure(title: str, y: list[float | None], rows: int = 1) -> go.Figure:
    made = go.Figure()
    for k in range(1, rows + 1):
        axis = "" if k == 1 else str(k)
        made.add_scatter(y=y, mode="lines", line_color=INK, xaxis=f"x{axis}", yaxis=f"y{axis}")
        made.update_layout({f"yaxis{axis}": {"domain": [(k - 1) / rows, k / rows]}})
    return styled(made, title=title, height=300)


def test_whatever_the_order_the_newest_state_is_drawn(page: Page) -> None:
    set_up(page, ["theme.js", "menu.js", "plot.js"], plot_state(figure("nothing yet", [None] * 3)))
    orders = list(itertools.permutations(["render", "change", "deliver", "show"]))
    later = as_json(figure("a curve", [0, 1, 4], rows=3))
    page.evaluate("async () => { deliver(); await view.render({model, el}); }")
    assert page.evaluate(IN_EVERY_ORDER, {"orders": orders, "later": later}) == ["a curve 3"] * len(orders)


def test_plotly_that_is_not_there_yet_is_waited_for(page: Page) -> None:
    """JupyterLab makes the models of a page one by one, and asking for one that is not there fails."""
    set_up(page, ["theme.js", "menu.js", "plot.js"], plot_state(figure("a curve", [0, 1, 4])))
    page.evaluate(
        "() => { let asked = 0; model.widget_manager.get_model = async () => {"
        " if (asked++ < 2) throw Error('widget model not found'); return holder; }; view.render({model, el}); }"
    )
    expect(page.locator(".gtitle")).to_have_text("a curve", timeout=10_000)


def test_plotly_that_fails_once_is_asked_for_by_the_next_picture(page: Page) -> None:
    set_up(page, ["theme.js", "menu.js", "plot.js"], plot_state(figure("a curve", [0, 1, 4])))
    page.evaluate(
        "async () => { deliver(); const right = URL.createObjectURL;"
        " URL.createObjectURL = () => { throw Error('lost'); };"
        " await view.render({model, el}); URL.createObjectURL = right; }"
    )
    lost = page.get_by_text("this picture could not be drawn: lost")
    expect(lost).to_be_visible()
    page.evaluate("(later) => model.change({figure: later})", as_json(figure("later", [1, 2])))
    expect(page.locator(".gtitle")).to_have_text("later", timeout=10_000)
    expect(lost).to_have_count(0)


def test_a_figure_wears_the_colours_of_the_page(page: Page) -> None:
    set_up(page, ["theme.js", "menu.js", "plot.js"], plot_state(figure("a curve", [0, 1, 4])))
    stroke = "() => getComputedStyle(document.querySelector('.js-line')).stroke"
    page.evaluate("async () => { deliver(); await view.render({model, el}); }")
    page.evaluate(
        "() => { document.body.style.setProperty('--jp-ui-font-color1', '#fedcba');"
        " document.body.dataset.jpThemeLight = 'false'; }"
    )
    page.wait_for_function(f"({stroke})() === 'rgb(254, 220, 186)'")
    background = "() => getComputedStyle(document.querySelector('.main-svg')).backgroundColor"
    assert page.evaluate(background) == "rgba(0, 0, 0, 0)"


def test_a_zoom_and_a_selection_outlive_an_update(page: Page) -> None:
    box = dict(type="rect", xref="x", yref="y", x0=0.5, x1=1.5, y0=0.0, y1=2.0)
    set_up(page, ["theme.js", "menu.js", "plot.js"], plot_state(figure("a curve", [0, 1, 4])) | {"selections": [box]})
    page.evaluate("async () => { deliver(); await view.render({model, el}); }")
    picture = "document.querySelector('.flowlab-plot')"
    zoom = "(p) => Plotly.relayout(p, {'xaxis.range': [0.2, 0.8]})"
    page.evaluate(f"async () => {{ const p = {picture}; p._fullLayout.xaxis; await ({zoom})(p); }}")
    page.evaluate("(later) => model.change({figure: later})", as_json(figure("a longer curve", [0, 1, 4, 9])))
    expect(page.locator(".gtitle")).to_have_text("a longer curve")
    assert page.evaluate(f"{picture}.layout.selections.length") == 1
    page.evaluate(f"() => {picture}.emit('plotly_relayout', {{'selections[0].x0': 1}})")
    assert page.evaluate("model.get('selections')[0].x1") == 1.5


def test_a_long_title_is_wrapped_and_not_cut(page: Page) -> None:
    words = " · ".join(f"{k} measured steps" for k in range(9))
    set_up(page, ["theme.js", "menu.js", "plot.js"], plot_state(figure(words, [0, 1, 4])))
    page.evaluate("async () => { deliver(); await view.render({model, el}); }")
    title, box = page.locator(".gtitle"), page.locator("#view").bounding_box()
    expect(title.locator("tspan.line")).to_have_count(2)
    found = title.bounding_box()
    assert box is not None and found is not None
    assert found["x"] + found["width"] <= box["x"] + box["width"]


def test_two_pages_of_one_model_and_what_ends_a_view(page: Page) -> None:
    set_up(page, ["theme.js", "menu.js", "plot.js"], plot_state(figure("a curve", [0, 1, 4])))
    page.evaluate(
        "async () => { deliver(); const second = el.cloneNode(); document.body.append(second);"
        " window.ends = [await view.render({model, el}), await view.render({model, el: second})]; }"
    )
    expect(page.locator(".gtitle")).to_have_count(2)
    page.evaluate("(later) => { window.ends[0](); model.change({figure: later}); }", as_json(figure("later", [1, 2])))
    expect(page.locator(".gtitle").last).to_have_text("later")
    kinds = page.evaluate("model.sent.map((m) => m.type)")
    assert kinds == ["built", "built", "gone"]


CELL = """
import ipywidgets
import plotly.graph_objects as go
from flowlab.widgets.plot import Plot

def figure(title, y):
    return go.Figure(go.Scatter(x=[0, 1, 2], y=y, mode="lines"), layout=dict(title_text=title, width=500))

live = Plot(figure("nothing yet", [None] * 3))
live.redraw(figure("a curve", [0, 1, 4]))
ipywidgets.VBox([live.widget])
"""


def test_a_page_loaded_anew_shows_the_figure_as_it_is(page: Page, lab: Lab) -> None:
    notebook = one_cell(lab, "live", CELL)
    run_all(page, lab, notebook)
    for _ in range(2):
        expect(page.locator(".gtitle")).to_have_text("a curve", timeout=60_000)
        expect(page.locator(".scatterlayer path.js-line")).to_be_visible(timeout=60_000)
        page.keyboard.press("Control+s")
        page.locator(f".lm-TabBar-tab[title*='{notebook}']:not(.jp-mod-dirty)").wait_for()  # it is saved
        page.goto(f"{lab.url}/lab/tree/{notebook}?token={lab.token}")


KILLED = """
import os
from pathlib import Path
import flowlab as fl
Path("pid").write_text(str(os.getpid()))
fl.experiment("ising-xor", L=4, T=2.5, layers=2, steps=3, batch=10, device="cpu").lab()
"""


def test_a_lab_says_that_its_kernel_has_ended(page: Page, lab: Lab) -> None:
    run_all(page, lab, one_cell(lab, "killed", KILLED))
    output = page.locator(".jp-OutputArea-output").filter(has=page.locator(".jupyter-widget-tab"))
    expect(output.locator(".gtitle").first).to_be_visible(timeout=90_000)
    said = output.get_by_text("The kernel has ended; run the cell again")
    expect(said).to_have_count(0)
    os.kill(int((lab.root / "pid").read_text()), signal.SIGKILL)
    expect(said).to_be_visible(timeout=60_000)
    expect(said).to_have_count(1)
    page.screenshot(path=artifact("kernel-ended.png"))
    page.keyboard.press("Escape")
