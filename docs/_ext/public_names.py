"""What the reference lists by itself: the names of ``import flowlab as fl``, and studies with their keys."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import flowlab as fl
from flowlab import manual
from flowlab.runs import studies


def first_line(of: Any) -> str:
    """What a name is, in a line."""
    return (inspect.getdoc(of) or "").partition("\n")[0]


class Names(SphinxDirective):
    """A table of what ``fl.`` shows: name, what it is, and a link to its room."""

    def run(self) -> list[nodes.Node]:
        lines = [".. list-table::", "   :header-rows: 0", "   :widths: 30 70", ""]
        for name in fl.__all__:
            room = fl._SHOWN[name]
            what = (
                first_line(getattr(fl, name))
                if not isinstance(getattr(fl, name), float)
                else "T_c of the square lattice."
            )
            lines += [f"   * - :py:obj:`fl.{name} <flowlab.{room}.{name}>`", f"     - {what}"]
        return self.parse_text_to_nodes(StringList(lines, "names"), allow_section_headings=False)


class Modules(SphinxDirective):
    """``{modules} nn``: every module of a room that names nothing itself."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        room = self.arguments[0]
        lines = []
        for module in pkgutil.iter_modules(importlib.import_module(f"flowlab.{room}").__path__):
            lines += [f".. automodule:: flowlab.{room}.{module.name}", "   :ignore-module-all:", ""]
        return self.parse_text_to_nodes(StringList(lines, "modules"), allow_section_headings=False)


class Studies(SphinxDirective):
    """Every study with its keys, as ``flowlab help NAME`` prints it."""

    def run(self) -> list[nodes.Node]:
        found: list[nodes.Node] = []
        for name, study in sorted(studies().items()):
            section = nodes.section(ids=[f"study-{name}"], names=[name])
            section += nodes.title("", name)
            section += nodes.literal_block("", manual.described(study), language="text")
            found.append(section)
        return found


def linked(app: Sphinx, doctree: nodes.document) -> None:
    """Let ``studies.md#study-NAME`` be a link."""
    slugs = app.env.metadata[app.env.docname].get("myst_slugs")
    if slugs is not None:
        for section in doctree.findall(nodes.section):
            slugs |= {
                name: (0, name, name.removeprefix("study-")) for name in section["ids"] if name.startswith("study-")
            }


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("names", Names)
    app.add_directive("modules", Modules)
    app.add_directive("studies", Studies)
    app.connect("doctree-read", linked)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
