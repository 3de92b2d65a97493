"""Pictures out of notebooks, and whole pages beside the site's own."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import flowlab as fl


def under(path: Path, heading: str) -> bytes:
    """The first picture that a notebook stores below a heading.

    Raises:
        LookupError: where there is no such heading, or no picture below it.
    """
    seen = False
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        seen = seen or (cell["cell_type"] == "markdown" and f"# {heading}" in "".join(cell["source"]))
        for output in cell.get("outputs", []) if seen else []:
            if "image/png" in output.get("data", {}):
                return base64.b64decode("".join(output["data"]["image/png"]))
    raise LookupError(f"{path} stores no picture below {heading!r}")


class Picture(SphinxDirective):
    """``{picture} notebooks/x.ipynb Heading``: what a notebook drew there; the content is its caption."""

    has_content = True
    required_arguments = 2
    final_argument_whitespace = True
    option_spec: ClassVar = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        root = Path(self.env.srcdir)
        path, heading = self.arguments
        name = f"{Path(path).stem}-{''.join(c if c.isalnum() else '-' for c in heading)}.png".lower()
        stored = root / "build" / "pictures" / name
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_bytes(under(root / path, heading))
        self.env.note_dependency(str(root / path))
        figure = nodes.figure("", nodes.image(uri=f"/build/pictures/{name}", alt=self.options["alt"]))
        figure += nodes.caption("", "", *self.parse_inline(" ".join(self.content))[0])
        return [figure]


def make_pages(app: Sphinx, error: Exception | None) -> None:
    """Put the pages for a class beside the site's own."""
    if error is None and app.builder.format == "html":
        source = Path(app.srcdir) / "docs" / "explore" / "pages.py"
        made = Path(app.outdir) / "docs" / "explore"
        subprocess.run([sys.executable, str(source), str(made)], check=True, capture_output=True)


def save_lab(app: Sphinx, error: Exception | None) -> None:
    """The lab of the start page: that of a run which is kept beside, as ``run.lab().save`` writes it."""
    if error is not None or app.builder.format != "html":
        return
    with tempfile.TemporaryDirectory() as folder:
        path = shutil.copytree(Path(app.srcdir) / "binder" / "runs" / "ising-coloured", Path(folder) / "run")
        lab = fl.load(path).lab()
        lab.save(Path(app.outdir) / "docs" / "explore" / "first-lab.html")
        lab.close()


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("picture", Picture)
    app.connect("build-finished", make_pages)
    app.connect("build-finished", save_lab)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
