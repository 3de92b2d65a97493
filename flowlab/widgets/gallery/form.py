"""Labelled controls for the keys of a study, made from what the study says of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import anywidget
import ipywidgets
import traitlets

from flowlab.runs.keys import Key, Scalar
from flowlab.runs.schema import Study
from flowlab.widgets.gallery.cards import Mark, fold, mark_of
from flowlab.widgets.view import script

NONE = "none"
_LABEL = {"description_width": "110px"}


class Marked(anywidget.AnyWidget):
    """A number as text, by slider or typed, with a mark where it is critical."""

    _esm = script("theme.js", "marked.js")
    name = traitlets.Unicode().tag(sync=True)
    value = traitlets.Unicode().tag(sync=True)
    least = traitlets.Float().tag(sync=True)
    most = traitlets.Float().tag(sync=True)
    at = traitlets.Float().tag(sync=True)
    mark = traitlets.Unicode().tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)


class Start(anywidget.AnyWidget):
    """A button whose click brings what some controls hold: a page may send changes of state later than a click.

    Args:
        controls: widgets with a ``value``, or an ``index`` that stands for it.
        clicked: called when they have what they have on the page.
    """

    _esm = script("start.js")
    description = traitlets.Unicode("Start").tag(sync=True)
    tooltip = traitlets.Unicode("build the run, open its lab below and train").tag(sync=True)
    controls: traitlets.List[ipywidgets.Widget] = traitlets.List().tag(sync=True, **ipywidgets.widget_serialization)

    def __init__(self, controls: Sequence[ipywidgets.Widget], clicked: Callable[[], None]) -> None:
        super().__init__(controls=list(controls))
        self._clicked = clicked
        self.on_msg(self._hear)

    def _hear(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        if content.get("type") != "click":
            return
        for control, value in zip(self.controls, content["values"], strict=True):
            setattr(control, "index" if "index" in control.keys else "value", value)
        self._clicked()


class Field:
    """One key: its control, what it means, and in which phase its value lies where that is known.

    Attributes:
        key: what it stands for.
        control: the widget that holds the value.
        widget: the row.
    """

    def __init__(self, study: Study, key: Key) -> None:
        self.key, self.mark = key, mark_of(study, key)
        self.control = _control(key, self.mark)
        self.note = ipywidgets.HTML(layout={"flex": "1 1 0", "min_width": "200px"})
        self.widget = ipywidgets.HBox([self.control, self.note], layout={"align_items": "center", "overflow": "hidden"})
        self.control.observe(lambda _: self._explain(), "value")
        self._explain()

    def put(self, value: Scalar) -> None:
        """Show a value."""
        self.control.value = value if self.key.type is bool and not self.key.optional else spelled(value)

    @property
    def given(self) -> Any:
        """The value, None where it is the default: what is shown of that is rounded."""
        value = self.control.value
        value = value.strip() if isinstance(value, str) else value
        untouched = value == (self.key.default if isinstance(value, bool) else spelled(self.key.default))
        return None if untouched else value

    def _explain(self) -> None:
        default = f"default {spelled(self.key.default)}"
        words = [plain(self.key.meaning).removesuffix("."), f"[{self.key.unit}]" if self.key.unit else ""]
        allowed = [self.key.range, default]
        phase = "" if self.mark is None else _phase(self.mark, self.control.value)
        line = f"{escape(' '.join(filter(None, words)))} <small>({escape('; '.join(filter(None, allowed)))})</small>"
        self.note.value = f"<div class='flowlab-note'>{line}{f' <b>{escape(phase)}</b>' if phase else ''}</div>"


class Form:
    """All keys of a study: those that are asked for first, and the others behind a click.

    Args:
        study: whose keys.
        start: values to begin with.
        changed: called after each change of a value.

    Attributes:
        fields: by key.
        seed, out: of the run, as text.
        widget: all of it.
    """

    def __init__(self, study: Study, start: Mapping[str, Scalar], out: str, changed: Callable[[], None]) -> None:
        self.study = study
        front, advanced = fold(study.keys)
        self.fields = {key.name: Field(study, key) for key in (*front, *advanced)}
        for name, value in start.items():
            self.fields[name].put(value)
        self.seed = _text("seed", "0", "of every random number of the run; the same seed gives the same run")
        self.out = _text("directory", out, "in which the run is kept; empty for memory only", width="420px")
        rows = [self.fields[key.name].widget for key in front]
        rows += [_row(self.seed), _row(self.out)]
        folded = ipywidgets.VBox([self.fields[key.name].widget for key in advanced])
        self.advanced = ipywidgets.Accordion(
            [folded], titles=(f"Advanced: {len(advanced)} more keys with their defaults",), selected_index=None
        )
        self.presets = ipywidgets.Dropdown(options=[NONE, *study.presets], description="preset", style=_LABEL)
        self.presets.observe(lambda change: self._fill(change["new"]), "value")
        self.widget = ipywidgets.VBox(
            [*[self.presets] * bool(study.presets), *rows, *[self.advanced] * bool(advanced)]
        ).add_class("flowlab-form")
        for row in self.fields.values():
            row.control.observe(lambda _: changed(), "value")

    @property
    def controls(self) -> list[ipywidgets.Widget]:
        """All that a person can set."""
        return [*(row.control for row in self.fields.values()), self.seed, self.out]

    def values(self) -> dict[str, Any]:
        """The keys that differ from their defaults, as they were typed."""
        return {name: row.given for name, row in self.fields.items() if row.given is not None}

    def checked(self) -> tuple[dict[str, Any], int]:
        """Keys and seed, converted.

        Raises:
            ValueError: for a value that cannot be; begins with the key's name.
        """
        text = self.seed.value.strip()
        if not re.fullmatch(r"\d+", text):
            raise ValueError(f"seed must be a whole number, 0 or more, got {text!r}")
        return self.study.given(self.values()), int(text)

    def _fill(self, preset: str) -> None:
        values = self.study.presets.get(preset, {})
        for name, row in self.fields.items():
            row.put(values.get(name, row.key.default))


def spelled(value: Scalar) -> str:
    """A value as a person types it.

    >>> spelled(None), spelled(2.2691853), spelled(True)
    ('none', '2.26919', 'True')
    """
    if value is None:
        return NONE
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def plain(text: str) -> str:
    """Without the marks of reStructuredText.

    >>> plain("see :class:`flowlab.densities.MADE`, ``layers``")
    'see MADE, layers'
    """
    return re.sub(r":\w+:`(?:[\w.]*\.)?(\w+)`|``(.*?)``", r"\1\2", text)


def _control(key: Key, mark: Mark | None) -> Any:
    shown = spelled(key.default)
    if mark is not None:
        return Marked(name=key.name, value=shown, least=mark.least, most=mark.most, at=mark.at,
                      mark=f"{mark.name} {mark.at:g}")  # fmt: skip
    about = {"description": key.name, "tooltip": plain(key.meaning), "style": _LABEL, "layout": {"width": "270px"}}
    if key.type is bool and not key.optional:
        return ipywidgets.Checkbox(value=bool(key.default), indent=True, **about)
    options = list(key.choices) or ([str(True), str(False)] if key.type is bool else [])
    if options:
        return ipywidgets.Dropdown(options=[*[NONE] * key.optional, *options], value=shown, **about)
    return ipywidgets.Text(value=shown, continuous_update=False, **about)


def _text(name: str, value: str, meaning: str, width: str = "270px") -> ipywidgets.Text:
    return ipywidgets.Text(
        value=value, description=name, tooltip=meaning, style=_LABEL, layout={"width": width}, continuous_update=False
    )


def _row(control: ipywidgets.Text) -> ipywidgets.HBox:
    note = ipywidgets.HTML(f"<div class='flowlab-note'>{escape(control.tooltip)}</div>", layout={"flex": "1 1 0"})
    return ipywidgets.HBox([control, note], layout={"align_items": "center", "overflow": "hidden"})


def _phase(mark: Mark, text: str) -> str:
    """Where a value lies, in words; nothing where it is no number."""
    try:
        value = float(text)
    except ValueError:
        return ""
    if abs(value / mark.at - 1) < 0.01:
        return "critical"
    return mark.below if value < mark.at else mark.above
