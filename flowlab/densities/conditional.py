"""One density for a range of couplings: every weight is a polynomial in them."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flowlab.core import Density, System, named_generator
from flowlab.core.arguments import checked
from flowlab.densities.chebyshev import orders_up_to, products, projected
from flowlab.densities.computed import Computed
from flowlab.densities.mixture import Mixture, best_shares

NEAR, FAR = 0.15, 0.45
"""Distances of the neighbours in a defensive mixture, in units of the interval."""
LEAST = 0.1
"""Share of the density at the couplings themselves."""
PILOT = 1000
"""Draws that say how large the shares of a defensive mixture should be."""


class Conditional(Computed):
    """A density whose every weight p is Σ_k T_k(t) p_k, Chebyshev polynomials T_k in the couplings of the target.

    t is the coupling, scaled so that its interval is [-1, 1]; of several couplings, products up to the total degree.
    p_0 are the weights of the density that is given, the others start at 0. At fixed couplings it is that density, with
    its symmetries; :meth:`bind` takes the couplings from the target.

    Args:
        density: any; what it is made of need not know of couplings.
        over: coupling -> its interval, e.g. ``{"beta": (0.35, 0.55)}``; ``T``, ``beta`` = 1/T, ``h``, ``kappa``, ...
        degree: of the polynomials.
        defence: least share of neighbouring couplings in what an evaluation draws from, see :meth:`proposal`; 0 for
            none at all.

    Raises:
        ValueError: for no coupling, an interval that does not rise, a degree below 1, or a defence outside of [0, 0.9).

    >>> from flowlab.densities import MADE
    >>> from flowlab.systems import Ising
    >>> q = Conditional(MADE((4, 4)), over={"beta": (0.35, 0.55)})
    >>> q.bind(Ising((4, 4), T=2.5))
    >>> type(q.at(beta=0.5)).__name__, q.sample(3)[0].shape
    ('MADE', torch.Size([3, 4, 4]))
    """

    @checked
    def __init__(
        self,
        density: Density,
        over: Mapping[str, tuple[float, float]],
        degree: int = 4,
        *,
        defence: float = 0.01,
    ) -> None:
        super().__init__(density)
        if not _are_intervals(over):
            raise TypeError(f"over must give a coupling and its interval, e.g. {{'beta': (0.35, 0.55)}}, got {over!r}")
        self.over = {name: (float(low), float(high)) for name, (low, high) in over.items()}
        if not self.over or not all(low < high and math.isfinite(high - low) for low, high in self.over.values()):
            raise ValueError(f"over must give a coupling and its interval, e.g. {{'beta': (0.35, 0.55)}}, got {over}")
        if degree < 1:
            raise ValueError(f"degree must be at least 1, got {degree}")
        if not 0 <= defence < 1 - LEAST:
            raise ValueError(f"defence must lie in [0, {1 - LEAST:g}), got {defence}")
        self.defence = defence
        self.orders = orders_up_to(degree, len(self.over))
        self.couplings = {name: (low + high) / 2 for name, (low, high) in self.over.items()}
        self._target: tuple[System, ...] = ()  # in a tuple: it is no part of the density
        self._names = self._by_kind()
        named, rows = dict(density.named_parameters()), len(self.orders) - 1
        self.slopes = nn.ParameterDict(
            {
                kind: nn.Parameter(named[names[0]].new_zeros(rows, sum(named[name].numel() for name in names)))
                for kind, names in self._names.items()
            }
        )

    # weights

    def _by_kind(self) -> dict[str, list[str]]:
        """The names of the weights, those of one role and one dtype together: their slopes are one matrix."""
        names = {id(parameter): name for name, parameter in self.density.named_parameters()}
        found: dict[str, list[str]] = {}
        for role, parameters in self.density.parameter_groups().items():
            for parameter in parameters:
                found.setdefault(f"{role} {parameter.dtype}".replace(".", " "), []).append(names[id(parameter)])
        return found

    def weights(self) -> dict[str, Tensor]:
        return self._at(self.couplings)

    def _at(self, couplings: Mapping[str, float]) -> dict[str, Tensor]:
        """Name -> value of each weight at these couplings, differentiable."""
        named, t = dict(self.density.named_parameters()), self._scaled(couplings)
        values: dict[str, Tensor] = {}
        for kind, names in self._names.items():
            first, slopes = [named[name] for name in names], self.slopes[kind]
            factors = slopes.new_tensor(products(self.orders, t)[1:])
            whole = torch.cat([p.flatten() for p in first]) + factors @ slopes
            parts = whole.split([p.numel() for p in first])
            values |= {name: part.view_as(p) for name, p, part in zip(names, first, parts, strict=True)}
        return values

    def _scaled(self, couplings: Mapping[str, float]) -> tuple[float, ...]:
        """Couplings as points of [-1, 1], in the order of ``over``."""
        return tuple((2 * couplings[name] - low - high) / (high - low) for name, (low, high) in self.over.items())

    # at other couplings

    def bind(self, target: System) -> None:
        """Take the couplings from the target.

        Raises:
            ValueError: for a target that the density does not suit, without such couplings, or outside of ``over``.
        """
        couplings = {name: target.value_of(name) for name in self.over}
        self._refuse_outside(couplings)
        super().bind(target)
        self.couplings, self._target = couplings, (target,)

    def at(self, **couplings: float) -> Density:
        """A copy of the density, its weights those at these couplings, bound to the target there.

        Args:
            couplings: e.g. ``beta=0.4``; those that are not given stay as they are.

        Raises:
            ValueError: for a coupling that is not in ``over``, or a value outside of its interval.
        """
        unknown = sorted(set(couplings) - set(self.over))
        if unknown:
            raise ValueError(f"this density is a function of {', '.join(self.over)}, got {', '.join(unknown)}")
        couplings = self.couplings | couplings
        self._refuse_outside(couplings)
        with self._lock, torch.no_grad():
            values = {name: nn.Parameter(value.clone()) for name, value in self._at(couplings).items()}
            fixed = self._copied(values)
        for target in self._target:
            fixed.bind(target.at(**dict(target.spelled(name, value) for name, value in couplings.items())))
        return fixed

    def _refuse_outside(self, couplings: Mapping[str, float]) -> None:
        for name, value in couplings.items():
            low, high = self.over[name]
            if not low - 1e-9 * abs(low) <= value <= high + 1e-9 * abs(high):
                raise ValueError(f"{name} must lie in [{low:g}, {high:g}], for which this density is, got {value:g}")

    def fixed(self, target: System) -> Density:
        return self.at(**{name: target.value_of(name) for name in self.over})

    def mixture(self, shares: Mapping[float | tuple[float, ...], float]) -> Mixture:
        """A mixture of this density at several couplings, a proposal whose weights stay bounded.

        Args:
            shares: coupling -> share, e.g. ``{0.55: 0.8, 0.52: 0.1, 0.46: 0.1}``; of several couplings tuples of values
                in the order of ``over``.
        """
        points = [point if isinstance(point, tuple) else (point,) for point in shares]
        if any(len(point) != len(self.over) for point in points):
            raise ValueError(f"a mixture needs a value for each of {', '.join(self.over)}, got {list(shares)}")
        parts = [self.at(**dict(zip(self.over, point, strict=True))) for point in points]
        return Mixture(parts, list(shares.values()))

    def proposal(self, target: System) -> Density:
        """This density at the couplings of the target, mixed with a share of neighbouring ones, ``defence`` or more.

        Those are 15 and 45 % of the interval away on both sides, as far as they lie inside. In an ordered phase the
        density draws some configurations too seldom that it draws more often on the way to the transition. The shares
        are those whose weights have the largest ESS on pilot draws, see :func:`.best_shares`: where the neighbours are
        not needed their share is ``defence``, and so is the part of the ESS that it may cost.
        """
        couplings = {name: target.value_of(name) for name in self.over}
        self._refuse_outside(couplings)
        centre = tuple(couplings.values())
        neighbours = [
            (*centre[:i], moved, *centre[i + 1 :])
            for i, (low, high) in enumerate(self.over.values())
            for step in (-FAR, -NEAR, NEAR, FAR)
            if low <= (moved := centre[i] + step * (high - low)) <= high
        ]
        bound = copy.copy(self)
        bound._target = (target,)
        if not self.defence or not neighbours:
            return bound.at(**couplings)
        pilot: dict[float | tuple[float, ...], float] = {centre: 1.0}
        even = bound.mixture(pilot | dict.fromkeys(neighbours, 1 / len(neighbours)))
        device = next((p.device for p in self.parameters()), torch.device("cpu"))
        with torch.no_grad():
            x, _ = even.sample(PILOT, generator=named_generator(0, "proposal", device=device))
            log_q = torch.stack([part.log_prob(x) for part in even.parts])
            log_weight = target.log_weight(x.double())
        least = [LEAST] + [self.defence / len(neighbours)] * len(neighbours)
        return Mixture(even.parts, best_shares(log_weight, log_q, even.shares, least))

    def warm_start(self, other: Density, **options: Any) -> list[str]:
        """Take over a density without couplings as p_0, or another conditional one, whatever its degree and interval.

        Of another interval or a lower degree come the polynomials that are nearest at Chebyshev's nodes; outside of its
        interval the other one is taken at the end.
        """
        before: list[tuple[Density, tuple[int, ...]]] = [(other, self.orders[0])]
        matrix = np.eye(len(self.orders), 1)
        if isinstance(other, Conditional):
            before = [(other.at_order(row), orders) for row, orders in enumerate(other.orders)]
            matrix = projected(self.orders, other.orders, lambda t: other.nearest(self._couplings_at(t)))
        copied: list[str] = []
        handed: list[dict[str, Tensor]] = []
        for part, _ in before:
            mine = copy.deepcopy(self.density)
            copied = mine.warm_start(part, **options)
            handed.append(mine.state_dict())
        trained = {name for names in self._names.values() for name in names}
        with torch.no_grad():
            for row, weights in enumerate(self._rows()):
                for name in copied:
                    if name in trained:
                        terms = [float(factor) * given[name] for factor, given in zip(matrix[row], handed, strict=True)]
                        weights[name].copy_(torch.stack(terms).sum(0))
            for name in set(copied) - trained:
                self.density.state_dict()[name].copy_(handed[0][name])
        whole = [f"slopes.{kind}" for kind, names in self._names.items() if set(names) <= set(copied)]
        return [f"density.{name}" for name in copied] + whole

    def _rows(self) -> list[dict[str, Tensor]]:
        """The weights of each order by name, which share their memory with those of this density."""
        named = dict(self.density.named_parameters())
        rows = [{name: named[name].data for names in self._names.values() for name in names}]
        rows += [{} for _ in self.orders[1:]]
        for kind, names in self._names.items():
            for row, flat in zip(rows[1:], self.slopes[kind].data, strict=True):
                parts = flat.split([named[name].numel() for name in names])
                row |= {name: part.view_as(named[name]) for name, part in zip(names, parts, strict=True)}
        return rows

    def at_order(self, row: int) -> Density:
        """A density whose weights are the coefficients of one order, as handed on by a warm start."""
        return self._copied({name: nn.Parameter(value.clone()) for name, value in self._rows()[row].items()})

    def exported(self) -> dict[str, Any]:
        """What a page needs to draw at every coupling: what is learned, for each order of the polynomials.

        Raises:
            ValueError: for several couplings, and for a density that a page cannot draw.
        """
        if len(self.over) != 1:
            raise ValueError(
                f"a page has one slider, for one coupling, and this density is over {', '.join(self.over)}"
            )
        rows = [self.at_order(row).exported() for row in range(len(self.orders))]
        ((name, ends),) = self.over.items()
        return rows[0] | {"over": [name, *ends], "learned": [row["learned"][0] for row in rows]}

    def nearest(self, couplings: Mapping[str, float]) -> tuple[float, ...]:
        """Couplings as points of [-1, 1], at the end where they lie outside; present ones where none is given."""
        return tuple(min(1.0, max(-1.0, t)) for t in self._scaled(self.couplings | dict(couplings)))

    def _couplings_at(self, t: tuple[float, ...]) -> dict[str, float]:
        ends = zip(self.over.items(), t, strict=True)
        return {name: (low + high) / 2 + (high - low) / 2 * at for (name, (low, high)), at in ends}

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        groups = {role: list(parameters) for role, parameters in self.density.parameter_groups().items()}
        for kind, slopes in self.slopes.items():
            groups[kind.split(" torch ")[0]].append(slopes)
        return groups


def _are_intervals(over: object) -> bool:
    """Whether it gives two numbers a name, as a person may have written it."""
    pairs = list(over.values()) if isinstance(over, Mapping) else [None]
    return all(isinstance(pair, tuple | list) and len(pair) == 2 and all(map(_is_number, pair)) for pair in pairs)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
