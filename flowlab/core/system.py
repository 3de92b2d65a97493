"""The target of a sampler: an unnormalised density over lattice configurations."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, NamedTuple, Self, TypeVar

import torch
from torch import Tensor, nn

from flowlab.core.arguments import given
from flowlab.core.made import Made
from flowlab.core.symmetry import flips_measured
from flowlab.core.variables import Domain, Variables, variables_of


def _apart(module: Part) -> Part:
    """A copy with the same tensors: moving it leaves the buffers of the module, and of those inside, where they are."""
    other = copy.copy(module)
    for name in ("_parameters", "_buffers", "_modules"):
        other.__dict__[name] = module.__dict__[name].copy()
    for name, child in module._modules.items():
        other._modules[name] = None if child is None else _apart(child)
    return other


Part = TypeVar("Part", bound=nn.Module)


class Plane(NamedTuple):
    """A plane of sites that act on their nearest neighbours only.

    ln weight(x) = Σ site[y, x, s] + Σ right[y, x, s, s'] + Σ down[y, x, s, s'] over n rows of m sites of q states.

    s and s' are the numbers of the states at (y, x) and at its neighbour, as :meth:`.Variables.numbered` has them.

    Attributes:
        site: (n, m, q) float64.
        right: (n, m, q, q) float64, to (y, x + 1); the last column's goes around, and is 0 where it is open.
        down: (n, m, q, q) float64, to (y + 1, x); the last row's goes around, and is 0 where it is open.
    """

    site: Tensor
    right: Tensor
    down: Tensor


MUST_BE_SET = {
    "shape": "e.g. self.shape = (8, 8)",
    "dims": 'a name for each side, e.g. self.dims = ("y", "x")',
    "couplings": 'e.g. self.couplings = {"T": torch.tensor(2.0)}, or {} where it has none',
}
"""What a system has no default for."""


class System(Made, nn.Module, ABC):
    """A target p(x) ∝ exp(log_weight(x)); it holds couplings and geometry and trains nothing.

    To write one: set ``shape``, ``dims``, ``variables`` (or ``domain``) and ``couplings``, and give ``log_weight`` and
    ``observables``, which begin with ``x = self.batch(x)``. Couplings are 0-d tensors, live outside ``state_dict`` and
    may require a gradient.

    Everything else has a default and is worth giving only if the system knows better: ``temperature``, ``title``,
    ``critical_temperature``, ``flip_symmetric``, ``force``, ``square``, ``hypercubic`` and ``bond``; for the
    replica exchange of spins also ``neighbours()`` and ``h``, see :func:`flowlab.mcmc.kernels.graphs.spin_graph`. A
    system that stands for another one in other variables is a :class:`.Representation`.

    Attributes:
        shape: sides of one configuration, e.g. ``(8, 8)``.
        dims: a name for each side, e.g. ``("y", "x")``.
        couplings: name -> 0-d tensor, e.g. ``{"T": ..., "J": ..., "h": ...}``.
        positive: names of couplings that must be positive, or 0 at the edge.
        disordered: whether the couplings are random, so that what orders is the overlap of two configurations, and not
            their magnetization.
        square: whether ln weight is Σ_<xy> J s_x s_y / T + Σ_x h s_x / T of spins, or Σ_<xy> J δ(s_x, s_y) / T of
            states, over the bonds of the periodic square lattice, J, T and h being the couplings of these names.
        log_z_offset: ln Z of the ``physical`` system minus ln Z of this one.
        sublattice: whether a configuration is a part of that of the ``physical`` system, whose other sites ``restore``
            draws.
    """

    shape: tuple[int, ...]
    dims: tuple[str, ...]
    couplings: dict[str, Tensor]
    positive: tuple[str, ...] = ()
    disordered: bool = False
    square: bool = False
    log_z_offset: float | Tensor = 0.0
    sublattice: bool = False

    def __getattr__(self, name: str) -> Any:
        if name in MUST_BE_SET:
            raise TypeError(f"{type(self).__name__} must set {name} when it is made, {MUST_BE_SET[name]}")
        return super().__getattr__(name)

    def check_made(self) -> None:
        """Raise TypeError where a system of one's own lacks what it must have, before work is begun with it."""
        for name in MUST_BE_SET:
            getattr(self, name)

    @property
    def physical(self) -> System:
        """The system that this one stands for, itself unless it is a :class:`.Representation`."""
        return self

    @property
    def variables(self) -> Variables:
        """What sits on a site, e.g. ``Spins()``; see :mod:`flowlab.core.variables`."""
        found = self.__dict__.get("_variables")
        if found is not None:
            return found  # type: ignore[no-any-return]
        domain = self.__dict__.get("_domain", type(self).domain)
        if isinstance(domain, property):
            raise TypeError(f"{type(self).__name__} must set variables, e.g. to Spins(), or domain")
        return variables_of(domain, getattr(self, "q", None))

    @variables.setter
    def variables(self, variables: Variables) -> None:
        self.__dict__["_variables"] = variables

    @property
    def domain(self) -> Domain:
        """The kind of the variables as one word: ``"spin"`` (±1), ``"potts"``, ``"real"`` or ``"angle"``."""
        return self.variables.domain

    @domain.setter
    def domain(self, domain: Domain) -> None:
        self.__dict__.pop("_variables", None)
        self.__dict__["_domain"] = domain

    @property
    def temperature(self) -> Tensor | None:
        """T where log_weight = -E/T, by default the coupling of that name; None where log_weight = -S, an action."""
        return self.couplings.get("T")

    @property
    def critical_temperature(self) -> float | None:
        """T_c of the infinite lattice at these other couplings, None where it is not known or there is none."""
        return None

    @property
    def n_sites(self) -> int:
        """Number of sites N."""
        return math.prod(self.shape)

    @property
    def title(self) -> str:
        """What a person calls it, couplings included; used in Datasets and figures."""
        return repr(self)

    @property
    def conventions(self) -> dict[str, dict[str, float]]:
        """Its couplings in every convention of the field: name of the convention -> coupling -> value."""
        return {"own": {name: float(value.detach()) for name, value in self.couplings.items()}}

    @property
    def action_in_words(self) -> str:
        """What log_weight is, in a formula; that of a class says its docstring."""
        return f"-log_weight of {self.title}"

    @property
    def flip_symmetric(self) -> bool:
        """Whether log_weight(-x) = log_weight(x) for every x; measured on a few, where a system does not say so."""
        return flips_measured(self)

    @property
    def hypercubic(self) -> bool:
        """Whether what ``square`` says holds over the bonds of a periodic lattice of one, two or three dimensions."""
        return self.square

    @property
    def bond(self) -> Tensor | None:
        """K, if a site x is in the field K Σ x over its nearest neighbours and in no other but its own; else None."""
        return None

    def plane(self) -> Plane | None:
        """The weight as a sum over the sites and bonds of a plane, if it is one of states that can be numbered.

        A :class:`flowlab.TensorNetwork` is made from it.
        """
        return None

    def force(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n, *shape): the gradient of log_weight in x.

        If a coupling requires a gradient and gradients are on, it has the graph to couplings and x.
        """
        x = self.batch(x)
        graph = torch.is_grad_enabled() and any(value.requires_grad for value in self.couplings.values())
        with torch.enable_grad():
            x = x if graph and x.requires_grad else x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.log_weight(x).sum(), x, create_graph=graph)
        return gradient

    def restore(self, x: Tensor, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """(n, *shape) -> configurations of the ``physical`` system, and ln p(what was drawn for them | x), (n,)."""
        return x, x.new_zeros(len(x))

    def reduce(self, s: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Configurations of the ``physical`` system -> (n, *shape), drawn if they do not fix these."""
        return s

    def embed(self, x: Tensor) -> Tensor:
        """(n, *shape) -> the same values at their sites of the ``physical`` system, NaN at those that x leaves out."""
        return x

    def physical_order(self, order: Tensor) -> Tensor:
        """An order of the sites of x (N,) -> the sites of the ``physical`` system in the order that follows from it."""
        return order

    @abstractmethod
    def log_weight(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n,): -E/T for spins, -S for fields; differentiable in x."""

    @abstractmethod
    def observables(self, x: Tensor) -> dict[str, Tensor]:
        """(n, *shape) -> name -> (n,), per site where intensive."""

    def at(self, **couplings: float | Tensor) -> Self:
        """The same system with other couplings: cheap, shares every buffer; tensors keep their gradient.

        Raises:
            ValueError: for a coupling that this system does not have, or a value it cannot have.
        """
        unknown = sorted(set(couplings) - set(self.couplings))
        if unknown:
            raise ValueError(f"{type(self).__name__} has the couplings {sorted(self.couplings)}, got {unknown}")
        other = _apart(self)
        other.couplings = self.couplings | {name: as_coupling(name, value) for name, value in couplings.items()}
        other.check_couplings()
        return other

    def spelled(self, name: str, value: float) -> tuple[str, float]:
        """A coupling in this system's own words: ``beta`` is T = 1/beta where there is a T.

        >>> from flowlab.systems import Ising
        >>> Ising((2, 2), T=2.0).spelled("beta", 0.4), Ising((2, 2), T=2.0).spelled("h", 0.1)
        (('T', 2.5), ('h', 0.1))
        """
        return ("T", 1.0 / value) if name == "beta" and "T" in self.couplings else (name, value)

    def in_its_form(self, name: str, value: float) -> tuple[str, float]:
        """A coupling by the key with which a study builds this system again, constants of its log weight included."""
        return name, value

    def value_of(self, name: str) -> float:
        """The value of a coupling, also by a name that :meth:`spelled` knows.

        >>> from flowlab.systems import Ising
        >>> Ising((2, 2), T=2.0).value_of("beta")
        0.5

        Raises:
            ValueError: for a coupling that this system does not have.
        """
        own, _ = self.spelled(name, 1.0)
        if own not in self.couplings:
            raise ValueError(f"{self.title} has the couplings {', '.join(self.couplings)}, got {name}")
        value = float(self.couplings[own].detach())
        return 1.0 / value if own != name else value

    def set_besides(self) -> dict[str, Any]:
        return super().set_besides() | {"couplings": {name: _number(value) for name, value in self.couplings.items()}}

    def set_again(self, besides: Mapping[str, Any]) -> Self:
        own = {name: _number(value) for name, value in self.couplings.items()}
        couplings = {name: value for name, value in besides["couplings"].items() if value != own.get(name)}
        other = self.at(**couplings) if couplings else self
        return super(System, other).set_again({name: value for name, value in besides.items() if name != "couplings"})

    def check_couplings(self) -> None:
        """Raise ValueError where a coupling has a value that makes no sense; called by ``at``."""
        for name, value in self.couplings.items():
            number = float(value.detach())
            if not math.isfinite(number):
                raise ValueError(f"{name} must be a finite number, got {number}")
            if name == "T" and number <= 0:
                raise ValueError(f"T must be positive, got {number}")

    def numbers(self, x: Any) -> Tensor:
        """Values of sites as numbers to compute with: integers and half floats in the precision of the couplings.

        Without this a coupling that is cast to the type of x would be cut off: T = 2.27 is 2 among integers. They are
        put where the tables of the system are, if it has any.

        Raises:
            TypeError: for a dtype that cannot hold such values, by name.
        """
        precision = torch.float64
        if self.couplings:
            precision = reduce(torch.promote_types, (value.dtype for value in self.couplings.values()))
        numbers, home = self.variables.numbers(x, precision), next(self.buffers(), None)
        return numbers if home is None or home.device == numbers.device else numbers.to(home.device)

    def batch(self, x: Any) -> Tensor:
        """Configurations (n, *shape) as :meth:`numbers`, their shape checked: what log_weight and its like begin with.

        >>> from flowlab.systems import Ising
        >>> Ising((2, 2), T=2.27).log_weight(torch.ones(1, 2, 2, dtype=torch.int8)).dtype
        torch.float64
        """
        numbers = self.numbers(x)
        self.check_batch(numbers)
        return numbers

    def check_batch(self, x: Tensor) -> None:
        """Raise ValueError where the shape of x is not (n, *shape)."""
        if x.ndim != len(self.shape) + 1 or tuple(x.shape[1:]) != tuple(self.shape):
            raise ValueError(
                f"configurations must have shape (n, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}"
            )

    def check_configurations(self, x: Tensor) -> None:
        """Raise ValueError where x is not a batch of configurations of this system."""
        self.variables.check(self.batch(x).detach())

    def extra_repr(self) -> str:
        values = ", ".join(f"{name}={float(value.detach()):g}" for name, value in self.couplings.items())
        return f"shape={self.shape}, {values}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        # numbers of the processor, wherever the rest goes: a GPU takes them as they are, and nobody waits to read them
        self.couplings = {name: value.to(fn(value.new_empty(0)).dtype) for name, value in self.couplings.items()}
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


def _number(coupling: Tensor) -> float | Tensor:
    """A coupling as a number, where it is one in double precision, which is what a number becomes."""
    return float(coupling.detach()) if coupling.dtype == torch.float64 else coupling.detach()


def as_coupling(name: str, value: float | Tensor) -> Tensor:
    """A coupling as a 0-d tensor: numbers become float64, tensors stay what they are (with their gradient)."""
    if not isinstance(value, Tensor):
        return torch.tensor(given(name, value, float), dtype=torch.float64)
    if value.ndim != 0 or not value.is_floating_point():
        raise ValueError(f"{name} must be one number, got a tensor of shape {tuple(value.shape)} and {value.dtype}")
    return value


def measured(system: System, x: Tensor) -> dict[str, Tensor]:
    """The observables of (n, *shape) configurations, each (n,), without gradients.

    With ``magnetization``, the order parameter of the system's variables, if a physical system has none of its own. For
    real fields also ``equation_of_motion``, -Σ_x φ_x ∂log_weight/∂φ_x / N, whose mean is exactly 1.

    >>> from flowlab.systems import Ising
    >>> sorted(measured(Ising((4, 4), T=2.0), torch.ones(1, 4, 4)))
    ['energy_per_site', 'magnetization']
    """
    x = system.batch(x)
    with torch.no_grad():
        found = dict(system.observables(x))
        if system.physical is system:
            found.setdefault("magnetization", system.variables.magnetization(x))
        if system.variables.equation_of_motion:
            found["equation_of_motion"] = -(x * system.force(x)).flatten(1).sum(1) / system.n_sites
    return found
