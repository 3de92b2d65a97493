"""A page without a notebook, in which a view is built by hand against a model that a test changes."""

from __future__ import annotations

import base64
import json
from typing import Any

import plotly.graph_objects as go
from playwright.sync_api import Page

from flowlab.figures.page import PALETTE, as_json, plotly_js
from flowlab.widgets.view import script

PAGE = "<!DOCTYPE html><html><body style='margin:0'><div id='view' style='width:900px'></div></body></html>"
SET_UP = """
async ({script, page, state, library}) => {
    const url = (text) => URL.createObjectURL(new Blob([text], {type: 'text/javascript'}));
    const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const {Model} = await import(url(page + '\\nexport {Model};'));
    window.holder = new Model({source: bytes(library)});
    let deliver;
    const late = new Promise((done) => { deliver = () => done(window.holder); });
    window.deliver = deliver;
    for (const name of Object.keys(state)) if (name === 'frames') state[name] = new DataView(bytes(state[name]).buffer);
    window.model = new Model(state, {library: late});
    window.view = (await import(url(script))).default;
    window.el = document.getElementById('view');
}
"""


def set_up(page: Page, names: list[str], state: dict[str, Any], with_library: bool = True) -> None:
    """Load the scripts and the state of a view into an empty page: ``model``, ``view``, ``el``, and ``deliver()``."""
    page.goto("about:blank")
    page.set_content(PAGE)
    library = base64.b64encode(plotly_js()).decode() if with_library else ""
    state = json.loads(json.dumps(state))
    page.evaluate(SET_UP, {"script": script(*names), "page": script("page.js"), "state": state, "library": library})


def plot_state(figure: go.Figure) -> dict[str, Any]:
    """The state of a Plot of a figure."""
    return dict(library="IPY_MODEL_library", palette=PALETTE, figure=as_json(figure), selections=[], version=0)
