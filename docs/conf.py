"""The site, as Sphinx builds it from the root of the repository: ``make docs``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_ext")]

import flowlab  # noqa: E402

project = "flowlab"
author = "flowlab developers"
copyright = author
version = release = flowlab.__version__
root_doc = "docs/index"
language = "en"

extensions = [
    "myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "sphinx_design",
    "mathml", "plain_docstrings", "public_names", "explorables",
]  # fmt: skip
# Pages are read where they lie, so that a link works on a forge's page as it does here.
include_patterns = [
    "docs/**.md", "tutorials/**.md", "tutorials/*.ipynb", "notebooks/*.ipynb", "CHANGELOG.md", "CONTRIBUTING.md",
]  # fmt: skip
exclude_patterns = [
    "**/.*",
    ".*",
    "build",
    "dist",
    "demo",
    "runs",
    "**/runs",
    "flowlab",
    "tests",
    "benchmarks",
    "binder",
]

# `make notebooks` runs them; they are shown with what they stored, a picture before what only a kernel makes live.
nb_execution_mode = "off"
nb_merge_streams = True
nb_mime_priority_overrides = [
    ("html", "image/png", 1), ("html", "image/svg+xml", 2), ("html", "application/vnd.plotly.v1+json", None),
    ("html", "application/vnd.jupyter.widget-view+json", None),
]  # fmt: skip
nb_render_plugin = "default"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 4
suppress_warnings = ["mystnb.unknown_mime_type", "config.cache"]

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "flowlab"
html_baseurl = ""
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_additional_pages = {"index": "start.html"}
templates_path = ["_templates"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#b45309", "color-brand-content": "#1d4ed8"},
    "dark_css_variables": {"color-brand-primary": "#f5b942", "color-brand-content": "#7ab0ff"},
    "top_of_page_buttons": [],
}
