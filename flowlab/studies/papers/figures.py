"""Figures and tables of the papers: what is run for each, at which scale, and by which criterion it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from flowlab.runs.keys import Scalar

Size = Literal["smoke", "figures", "paper"]


@dataclass(frozen=True)
class Arm:
    """Runs that are compared with others.

    Attributes:
        name: as it is shown.
        study, preset: of the runs; {L} in the preset is the side, and where it is empty there is none.
        own: keys that hold at every scale.
    """

    name: str
    study: str
    preset: str
    own: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Scale:
    """How large: sides, seeds, samples of an evaluation, and keys of all arms besides those of their presets."""

    sides: tuple[int, ...]
    seeds: int = 3
    samples: int = 10_000
    keys: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """A statement of a paper, and what it is judged by.

    Attributes:
        says: the statement.
        quantity: a variable of the results, see :func:`flowlab.studies.papers.reproduction.reproduce`.
        kind: "exceeds" the bar, "within" it, or "greater" than that of another arm; see
            :mod:`flowlab.estimators.criteria`.
        arm, other: names.
        bar: of "exceeds" and "within".
    """

    says: str
    quantity: str
    kind: Literal["exceeds", "within", "greater"]
    arm: str
    other: str = ""
    bar: float = 0.0

    @property
    def criterion(self) -> str:
        """In words: that what is said holds of the mean over seeds, beyond its interval of 95 %."""
        other = {"exceeds": f"> {self.bar:g}", "within": f"within {self.bar:g} of 0", "greater": f"> {self.other}"}
        return f"{self.quantity} of {self.arm} {other[self.kind]}"


@dataclass(frozen=True)
class Figure:
    """A figure or table of a paper.

    Attributes:
        paper, number, title: which, and what it shows.
        arms: what it compares.
        scales: how large it can be run.
        claims: what it says.
        reference: the arm whose mean over seeds is what observables of the others are compared with.
    """

    paper: str
    number: str
    title: str
    arms: tuple[Arm, ...]
    scales: Mapping[Size, Scale]
    claims: tuple[Claim, ...]
    reference: str = ""


_TABLE_III = Figure(
    "003",
    "table3",
    "Sizes trained to an acceptance of 70 %",
    (Arm("as published", "phi4-hybrid", "table3-{L}"), Arm("our layers", "phi4-hybrid", "tuned-{L}")),
    {
        "smoke": Scale((6,), samples=500, keys={"steps": 4, "batch": 20}),
        "figures": Scale((6,)),
        "paper": Scale((6, 8, 10, 12, 14), samples=100_000),
    },
    (
        Claim("acceptance of at least 70 % after the iterations of table III", "acceptance", "exceeds",
              "as published", bar=0.7),
        Claim("the same by layers of our own", "acceptance", "exceeds", "our layers", bar=0.7),
        Claim("(not the paper's) our layers accept more", "acceptance", "greater", "our layers", "as published"),
    ),
)  # fmt: skip
_SAMPLERS = (
    Arm("RiGCS", "ising-rigcs", "paper-{L}"),
    Arm("VAN", "ising-van", "paper"),
    Arm("HAN", "ising-han", "paper"),
    Arm("MLMC-HB", "ising-mlmc-hb", "paper", {"steps": 0}),
)
_SMALL: dict[str, Scalar] = {"steps": 8, "batch": 20}
_CRITICAL: dict[Size, Scale] = {
    "smoke": Scale((8,), samples=500, keys=_SMALL),
    "figures": Scale((8, 16), keys={"steps": 2000, "batch": 100}),
    "paper": Scale((8, 16, 32), samples=100_000),
}
_CLUSTERS = Arm("Wolff clusters", "ising-chain", "", {"T": 1 / 0.44, "chains": 64, "steps": 300})
_OBSERVED = tuple(
    Claim(f"{arm} finds the {name}{beyond}", f"{quantity}_deviation", "within", arm, bar=1e-2)
    for name, quantity in (("energy", "energy_per_site"), ("magnetization", "abs_magnetization"))
    for arm, beyond in (("RiGCS", ""), ("MLMC-HB", " (the paper: not for large L)"))
)
_FREE = (
    Claim("RiGCS finds the free energy", "relative_error", "within", "RiGCS", bar=1e-3),
    Claim(
        "MLMC-HB finds the free energy (the paper: not for L >= 32)", "relative_error", "within", "MLMC-HB", bar=1e-3
    ),
)
_ESS = tuple(
    Claim(f"the ESS of RiGCS is above that of {other}", "ess", "greater", "RiGCS", other)
    for other in ("VAN", "HAN", "MLMC-HB")
)
_FIELDS = Figure(
    "004",
    "10",
    "ESS on lattice phi^4",
    (Arm("RiGCS", "phi4-multilevel", "paper-{L}"), Arm("VAN", "phi4-pixelcnn", "paper")),
    {
        "smoke": Scale((4,), samples=500, keys=_SMALL),
        "figures": Scale((4, 8), keys={"steps": 1000}),
        "paper": Scale((4, 8, 16)),
    },
    (Claim("the ESS of RiGCS is above that of the plain VAN", "ess", "greater", "RiGCS", "VAN"),),
)
FIGURES = {
    (figure.paper, figure.number): figure
    for figure in (
        _TABLE_III,
        Figure("004", "3", "Relative error of the free energy at criticality", _SAMPLERS, _CRITICAL, _FREE),
        Figure("004", "4", "ESS at criticality", _SAMPLERS, _CRITICAL, _ESS),
        Figure("004", "7", "Energy and magnetization at criticality, against clusters", (*_SAMPLERS, _CLUSTERS),
               _CRITICAL, _OBSERVED, reference="Wolff clusters"),
        _FIELDS,
    )
}  # fmt: skip
