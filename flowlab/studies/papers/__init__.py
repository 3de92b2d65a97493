"""What the papers say of their runs, number by number, and the presets that say the same."""

import dataclasses
from collections.abc import Iterable

from flowlab.runs.keys import Stated


def of(presets: Iterable[str], *lines: Stated) -> tuple[Stated, ...]:
    """Lines of a study, those that name no preset being of all these."""
    return tuple(dataclasses.replace(line, presets=line.presets or tuple(presets)) for line in lines)
