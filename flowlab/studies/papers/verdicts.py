"""Statements of a paper, what was measured on each, and whether it holds: the table that a notebook ends with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from flowlab.estimators.criteria import Answer, Finding

UNSAID: Answer = "cannot be said at this size"
HEAD = "| statement of the paper | measured here | scale | same? |\n|---|---|---|---|"
"""By which the table is found in a stored notebook."""


class Verdicts:
    """Statements, one a row; "yes" and "no" follow from three seeds or more, or from what has no error at all.

    Args:
        scale: of the runs, as the table shows it, e.g. "smoke, 8 x 8".

    Shown by Jupyter as a table; :attr:`answers` gives the answer by statement.

    >>> from flowlab.estimators.criteria import exceeds
    >>> table = Verdicts("smoke, L = 6")
    >>> table.measured("the ESS is above .5", exceeds([0.6, 0.61, 0.62], 0.5), "ESS")
    'yes'
    >>> table.measured("the ESS of one run is above .5", exceeds([0.6], 0.5), "ESS")
    'cannot be said at this size'
    >>> print(table.markdown.splitlines()[2])
    | the ESS is above .5 | ESS 0.610 ± 0.006, 3 seeds | smoke, L = 6 | yes |
    """

    def __init__(self, scale: str) -> None:
        self.scale = scale
        self.rows: list[tuple[str, str, str, Answer]] = []

    def measured(
        self,
        statement: str,
        found: Finding | Sequence[Finding],
        of: str,
        *,
        also: str = "",
        scale: str | None = None,
        about: bool = True,
        digits: int = 3,
        each: str = "seed",
    ) -> Answer:
        """A row from numbers over seeds.

        Args:
            statement: of the paper.
            found: a finding of :mod:`flowlab.estimators.criteria`; of several each must hold.
            of: what their values are, as a word before the numbers.
            also: what else was seen, after them.
            scale: of these runs, where it is not that of the table.
            about: whether the statement is about runs of this size; if not, nothing can be said.
            digits: of the numbers after the point.
            each: what a finding is of several of, in the singular.

        Returns:
            The answer.
        """
        several = list(found) if isinstance(found, Sequence) else [found]
        answers = {one.answer for one in several} if about else {UNSAID}
        answer: Answer = "no" if "no" in answers else UNSAID if UNSAID in answers or not answers else "yes"
        numbers = "; ".join(_number(one, digits) for one in several)
        seeds = min((one.seeds for one in several), default=0)
        text = f"{of} {numbers}, {seeds} {each}{'s' * (seeds != 1)}" + (f"; {also}" if also else "")
        return self._row(statement, text, scale, answer)

    def exactly(self, statement: str, holds: bool, how: str, *, scale: str = "exact") -> Answer:
        """A row from what has no error: a proof, an enumeration, a closed form."""
        return self._row(statement, how, scale, "yes" if holds else "no")

    def unsaid(self, statement: str, why: str, *, scale: str | None = None) -> Answer:
        """A row on which nothing can be said, with the reason."""
        return self._row(statement, why, scale, UNSAID)

    @property
    def answers(self) -> dict[str, Answer]:
        """The answer by statement."""
        return {statement: answer for statement, _, _, answer in self.rows}

    @property
    def markdown(self) -> str:
        """The table."""
        lines = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in self.rows)
        return "\n".join([HEAD, *lines])

    def _repr_markdown_(self) -> str:
        return self.markdown

    def _row(self, statement: str, text: str, scale: str | None, answer: Answer) -> Answer:
        if statement in self.answers:
            raise ValueError(f"statement must be a new one, got {statement!r} twice")
        self.rows.append((statement, text, self.scale if scale is None else scale, answer))
        return answer


def _number(found: Finding, digits: int) -> str:
    if not math.isfinite(found.value):
        return "nothing"
    error = f" ± {found.error:.{digits}f}" if math.isfinite(found.error) else ""
    return f"{found.value:.{digits}f}{error}"
