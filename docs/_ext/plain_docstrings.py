"""Docstrings hold formulas in plain letters: their ``|``, ``*`` and trailing ``_`` are signs, not markup."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref, pending_xref_condition
from sphinx.application import Sphinx

CODE = re.compile(r"(:[\w:]+:`[^`]*`|``.*?``|`[^`]*`_?)")
SIGN = re.compile(r"(?<!\\)([|*]|(?<=\w)_(?=\W|$))")


def plain(line: str) -> str:
    r"""A line with its signs escaped, except in code and roles.

    >>> plain("the mean of |m| and ``|x|``, a* b_")
    'the mean of \\|m\\| and ``|x|``, a\\* b\\_'
    """
    parts = CODE.split(line)
    return "".join(part if k % 2 else SIGN.sub(r"\\\1", part) for k, part in enumerate(parts))


def escape(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape the signs in the prose of a docstring, before its sections are read."""
    example = False
    for k, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        if not example:
            lines[k] = plain(line)


def unlink(app: Sphinx, doctree: nodes.document) -> None:
    """A word in small letters before a colon, as in ``Attributes:``, is no link to its namesakes."""
    for link in list(doctree.findall(pending_xref)):
        target = str(link.get("reftarget", ""))
        if link.get("refdomain") == "py" and target.islower() and "." not in target:
            first = link.children[0]  # in an annotation, one of two spellings
            link.replace_self(first.children if isinstance(first, pending_xref_condition) else link.children)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", unlink)
    app.connect("autodoc-process-docstring", escape, priority=1)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
