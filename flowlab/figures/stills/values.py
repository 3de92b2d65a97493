"""What stands in the JSON of a figure: numbers, colours and texts, as the drawing wants them."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from colorsys import hls_to_rgb
from html import unescape
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgba

Color = tuple[float, float, float, float]


def at(part: Mapping[str, Any], path: str, otherwise: Any = None) -> Any:
    """What stands at a dotted path; ``otherwise`` where nothing does.

    >>> at({"line": {"width": 2}}, "line.width"), at({}, "line.width", 1)
    (2, 1)
    """
    here: Any = part
    for name in path.split("."):
        here = here.get(name) if isinstance(here, Mapping) else None
    return otherwise if here is None else here


def array(value: Any) -> np.ndarray:
    """A list, an array, or an array as plotly writes it in base 64; None becomes NaN among numbers.

    >>> array([1, None]), array({"dtype": "i1", "bdata": "AQI="})
    (array([ 1., nan]), array([1, 2], dtype=int8))
    """
    if isinstance(value, Mapping):
        shape = [int(n) for n in str(value.get("shape", "-1")).split(",")]
        return np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"]).reshape(shape)
    found = np.asarray(value)
    if found.dtype == object and all(each is None or isinstance(each, int | float) for each in found.ravel()):
        return found.astype(float)
    return found.astype(float) if found.dtype == bool else found


def color(text: Any, opacity: float = 1.0) -> Color:
    """Red, green, blue and opacity from 0 to 1.

    >>> color("rgba(255,0,0,0.5)"), color("white", 0.5)
    ((1.0, 0.0, 0.0, 0.5), (1.0, 1.0, 1.0, 0.5))
    """
    parts = re.match(r"(rgb|hsl)a?\(([^)]*)\)", str(text).strip())
    if parts is None:
        red, green, blue, own = to_rgba(str(text))
        return red, green, blue, own * opacity
    numbers = [float(part.strip(" %")) for part in parts[2].split(",")]
    own = numbers[3] if len(numbers) > 3 else 1.0
    if parts[1] == "hsl":
        red, green, blue = hls_to_rgb(numbers[0] / 360, numbers[2] / 100, numbers[1] / 100)
    else:
        red, green, blue = (number / 255 for number in numbers[:3])
    return red, green, blue, own * opacity


def colormap(scale: Any) -> LinearSegmentedColormap:
    """A scale of (place, colour), which may have steps."""
    return LinearSegmentedColormap.from_list("scale", [(float(place), color(name)) for place, name in scale])


def plain(text: Any) -> str:
    """A text without the marks of HTML.

    >>> plain("<b>F</b>/N<br>10<sup>3</sup> &lt; $")
    'F/N\\n10³ < \\\\$'
    """
    line = re.sub(r"<br\s*/?>", "\n", str(text or ""))
    line = re.sub(r"<sup>(.*?)</sup>", lambda found: _high(found[1]), line)
    return unescape(re.sub(r"<[^>]*>", "", line)).replace("$", r"\$")


def _high(text: str) -> str:
    return text.translate(str.maketrans("0123456789-−+", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻⁺"))
