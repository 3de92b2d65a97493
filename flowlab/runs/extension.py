"""Steps that are added to a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from flowlab.core.numbers import whole_number
from flowlab.storage.store import StoreError


class Extension(NamedTuple):
    """Steps that were added to a run when it was finished.

    Attributes:
        after: steps that it had done by then.
        steps: how many more.
        restart: whether the schedule of the learning rate runs again over them.

    >>> from flowlab.runs import experiment
    >>> run = experiment("ising-xor", L=4, T=2.5, steps=3, batch=50)
    >>> data = run.run(progress=False)
    >>> run.extend(2)
    >>> run.run(progress=False).sizes["step"], run.extensions
    (5, [Extension(after=3, steps=2, restart=False)])
    """

    after: int
    steps: int
    restart: bool

    @classmethod
    def of(cls, run: Any, steps: int, restart: bool) -> Extension:
        """That of a run which is finished; see :meth:`flowlab.Experiment.extend`."""
        if (steps := whole_number("steps", steps)) < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        if not run._ended():
            raise RuntimeError(f"only a finished run is extended, this one is at step {run.step} of {run.steps}")
        return cls(run.step, steps, bool(restart))


def extensions_in(described: Mapping[str, Any]) -> list[Extension]:
    """Those of the run that an ``experiment.json`` describes, in order; StoreError where they make no sense."""
    kept = described.get("extended", [])
    types = {"after": int, "steps": int, "restart": bool}
    for one in kept if isinstance(kept, list) else [kept]:
        good = isinstance(one, dict) and {name: type(value) for name, value in one.items()} == types
        if not good or one["after"] < 0 or one["steps"] < 1:
            raise StoreError(f"extended in experiment.json must list after, steps and restart, got {one!r}")
    return [Extension(**one) for one in kept]
