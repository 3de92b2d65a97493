"""What sits on a site: a spin, one of q states, a real number or an angle, and what follows from that."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from flowlab.core.one_hot import one_hot

Domain = Literal["spin", "potts", "real", "angle"]
Scale = Literal["diverging", "categorical", "cyclic"]

SIGNED = (torch.int8, torch.int16, torch.int32, torch.int64)
UNSIGNED = (torch.uint8, torch.uint16, torch.uint32, torch.uint64)
NARROW = (torch.float16, torch.bfloat16)
WIDE = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Variables(ABC):
    """The kind of a system's variables. To write one: set the attributes, and give what is abstract.

    The global symmetry is that of a system which no field breaks; whether a system has it, the system says.

    Attributes:
        domain: the kind as one word, kept in Datasets.
        name: what many of them are called.
        value: what one of them is called, e.g. on the axis of a picture.
        symbol: one letter for it.
        order: the order parameter ``magnetization`` as a formula.
        scale: which colours a picture has: a diverging scale, one a state, or a circle.
        two_point: what two sites at a distance r are correlated by, as a formula.
        discrete: whether a site has finitely many values.
        signed: whether the symmetry changes the sign of the order parameter.
        equation_of_motion: whether <x_i ∂S/∂x_i> = 1, which partial integration gives where x_i has no boundary.
        symmetry: the global symmetry in words.
    """

    domain: ClassVar[Domain]
    name: ClassVar[str]
    value: ClassVar[str]
    symbol: ClassVar[str]
    order: ClassVar[str]
    two_point: ClassVar[str]
    scale: ClassVar[Scale]
    discrete: ClassVar[bool]
    signed: ClassVar[bool] = False
    equation_of_motion: ClassVar[bool] = False
    symmetry: ClassVar[str]
    _numbers: ClassVar[tuple[torch.dtype, ...]] = WIDE + NARROW + SIGNED + UNSIGNED
    _wanted: ClassVar[str] = "floats or integers"

    def __str__(self) -> str:
        return self.name

    @abstractmethod
    def components(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (k, n, *shape): vectors of mean 0 under the symmetry, whose scalar products correlate."""

    @abstractmethod
    def check(self, x: Tensor) -> None:
        """Raise ValueError where x has a value that a site cannot have."""

    @abstractmethod
    def images(self, x: Tensor) -> list[Tensor]:
        """What the symmetry makes of configurations (n, *shape): one batch a generator of its group."""

    @abstractmethod
    def sectors(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n, k): in which of k parts a configuration lies that the symmetry makes equally likely.

        1 in one of them and 0 in the others, or equal shares where it lies between some of them.
        """

    @property
    @abstractmethod
    def sector_names(self) -> tuple[str, ...]:
        """What each of the ``sectors`` is called."""

    @abstractmethod
    def move(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        """Other values (*shape) in place of x, proposed as often as x would be in place of them."""

    @abstractmethod
    def random(self, shape: tuple[int, ...], *, generator: torch.Generator) -> Tensor:
        """(*shape) float64, on the CPU: every value as likely as any other, or fields of a size of order one."""

    def probes(self, n: int, shape: tuple[int, ...], *, generator: torch.Generator) -> Tensor:
        """(n, *shape) float64 on which a symmetry is measured: ``random``, fields of several sizes."""
        return self.random((n, *shape), generator=generator)

    @property
    def ordered(self) -> Tensor | None:
        """(k,) float64: the values that all sites have in the ordered states; None if the weight says which."""
        return None

    @property
    def count(self) -> int | None:
        """How many values a site can have, None for infinitely many."""
        return None

    def numbered(self, numbers: Tensor) -> Tensor:
        """(...) integers 0 .. count - 1 -> (...) the values of that number, in the default precision."""
        raise TypeError(f"{self.name} cannot be numbered")

    def magnetization(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n,) order parameter per site; sites that are NaN are left out, NaN where all are."""
        return self.components(x).flatten(2).nanmean(-1)[0]

    def principal(self, x: Tensor) -> Tensor:
        """The same configurations with every value in its principal range."""
        return x

    def describe(self) -> dict[str, Any]:
        """The kind as attributes of a Dataset, which :func:`variables_of` reads."""
        return {"domain": self.domain}

    def numbers(self, x: Any, precision: torch.dtype = torch.float64) -> Tensor:
        """Configurations as a tensor of numbers to compute with.

        Args:
            x: a tensor, or what NumPy makes an array of.
            precision: of the couplings, which integers and half floats are raised to; float32 and float64 stay.

        Raises:
            TypeError: for a dtype that cannot hold such values, by name.

        >>> Spins().numbers(torch.tensor([[1, -1]], dtype=torch.int8)).dtype
        torch.float64
        """
        tensor = x if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x))
        if tensor.dtype in WIDE:
            return tensor
        if tensor.dtype not in self._numbers:
            raise TypeError(f"{self} cannot be held as {tensor.dtype}: give {self._wanted}")
        return tensor.to(torch.promote_types(precision, torch.float32))


class Signed(Variables):
    """Numbers whose symmetry is the sign of all of them together."""

    signed, scale = True, "diverging"

    def components(self, x: Tensor) -> Tensor:
        return x[None]

    def images(self, x: Tensor) -> list[Tensor]:
        return [-x]

    def sectors(self, x: Tensor) -> Tensor:
        above = 0.5 * (self.magnetization(x).sign() + 1)
        return torch.stack([1 - above, above], -1)

    @property
    def sector_names(self) -> tuple[str, ...]:
        return ("M < 0", "M > 0")


class Spins(Signed):
    """Spins ±1.

    >>> x = torch.tensor([[1.0, 1.0, -1.0, 1.0]])
    >>> Spins().magnetization(x).tolist(), Spins().sectors(x).tolist()
    ([0.5], [[0.0, 1.0]])
    """

    domain, name, value, symbol = "spin", "spins", "spin", "s"
    order, symmetry = "Σs/N", "the sign of all spins"
    two_point = "⟨s(0) s(r)⟩"
    discrete = True
    _numbers = WIDE + NARROW + SIGNED
    _wanted = "floats or signed integers of -1 and +1"

    def check(self, x: Tensor) -> None:
        _check(x.abs() == 1, x, "spins must be -1 or +1")

    def move(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        return -x

    def random(self, shape: tuple[int, ...], *, generator: torch.Generator) -> Tensor:
        return 2.0 * torch.randint(2, shape, generator=generator).double() - 1

    @property
    def ordered(self) -> Tensor | None:
        return torch.tensor([1.0, -1.0], dtype=torch.float64)

    @property
    def count(self) -> int:
        return 2

    def numbered(self, numbers: Tensor) -> Tensor:
        return 2.0 * numbers - 1.0


@dataclass(frozen=True)
class States(Variables):
    """q states 0 .. q-1 without an order among them.

    Args:
        q: number of states, at least 2.

    >>> x = torch.tensor([[2.0, 2.0, 2.0, 0.0]])
    >>> round(float(States(3).magnetization(x)), 6), States(3).sectors(x).tolist()
    (0.625, [[0.0, 0.0, 1.0]])
    """

    q: int

    domain, name, value, symbol = "potts", "states", "state", "s"
    order, symmetry = "(q max_k ρ_k - 1)/(q - 1), ρ_k the share of state k", "permutations of the q states"
    two_point = "⟨(q δ(s(0), s(r)) − 1)/(q − 1)⟩"
    scale, discrete = "categorical", True

    def components(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (q, n, *shape): √(q/(q-1)) (δ(s, k) - 1/q), whose products sum to (q δ(s, s') - 1)/(q - 1)."""
        centred = math.sqrt(self.q / (self.q - 1)) * (one_hot(x, self.q) - 1 / self.q)
        return torch.where(x.isnan()[..., None], math.nan, centred).movedim(-1, 0)

    def magnetization(self, x: Tensor) -> Tensor:
        return (self.q * self._shares(x).amax(-1) - 1) / (self.q - 1)

    def check(self, x: Tensor) -> None:
        _check((x >= 0) & (x < self.q) & (x == x.round()), x, f"states must be 0, ..., {self.q - 1}")

    def images(self, x: Tensor) -> list[Tensor]:
        swapped = torch.where(x < 2, 1 - x, x)
        return [swapped] if self.q == 2 else [swapped, (x + 1) % self.q]

    def sectors(self, x: Tensor) -> Tensor:
        shares = self._shares(x)
        largest = (shares == shares.amax(-1, keepdim=True)).to(shares.dtype)
        return largest / largest.sum(-1, keepdim=True)

    def __str__(self) -> str:
        return f"Potts states with q = {self.q}"

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"q": self.q}

    @property
    def sector_names(self) -> tuple[str, ...]:
        return tuple(f"state {k} at most sites" for k in range(self.q))

    def move(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        return (x + torch.randint(1, self.q, x.shape, generator=generator, device=x.device)) % self.q

    def random(self, shape: tuple[int, ...], *, generator: torch.Generator) -> Tensor:
        return torch.randint(self.q, shape, generator=generator).double()

    @property
    def ordered(self) -> Tensor | None:
        return torch.arange(self.q, dtype=torch.float64)

    @property
    def count(self) -> int:
        return self.q

    def numbered(self, numbers: Tensor) -> Tensor:
        return numbers.to(torch.get_default_dtype())

    def _shares(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n, q): the share of each state among the sites that are not NaN."""
        count = one_hot(x.detach(), self.q).flatten(1, -2).sum(1)
        return count / count.sum(-1, keepdim=True)


class Reals(Signed):
    """Real fields φ.

    >>> x = torch.tensor([[0.5, 1.5]])
    >>> Reals().magnetization(x).tolist(), [image.tolist() for image in Reals().images(x)]
    ([1.0], [[[-0.5, -1.5]]])
    """

    domain, name, value, symbol = "real", "real fields", "field φ", "φ"
    order, symmetry = "Σφ/N", "the sign of the field"
    two_point = "⟨φ(0) φ(r)⟩"
    discrete, equation_of_motion = False, True

    def check(self, x: Tensor) -> None:
        _check(x.isfinite(), x, "fields must be finite")

    def move(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        """x with a Gaussian of standard deviation 1/2 added."""
        return x + 0.5 * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)

    def random(self, shape: tuple[int, ...], *, generator: torch.Generator) -> Tensor:
        """Gaussians of standard deviation 1/2."""
        return 0.5 * torch.randn(shape, dtype=torch.float64, generator=generator)

    def probes(self, n: int, shape: tuple[int, ...], *, generator: torch.Generator) -> Tensor:
        """Gaussian fields of standard deviations from 1/4 to 2."""
        sizes = torch.linspace(math.log(0.25), math.log(2.0), n, dtype=torch.float64).exp()
        noise = torch.randn((n, *shape), dtype=torch.float64, generator=generator)
        return noise * sizes.reshape(-1, *[1] * len(shape))


class Angles(Variables):
    """Angles θ in radians, the same after a turn of 2π.

    An angle that turns has no boundary and <θ ∂S/∂θ> no value of its own: the equation of motion says nothing.

    >>> x = torch.tensor([[0.0, torch.pi / 2]])
    >>> round(float(Angles().magnetization(x)), 6), Angles().sectors(x).tolist()
    (0.707107, [[0.0, 0.0, 1.0, 0.0]])
    """

    domain, name, value, symbol = "angle", "angles", "angle θ", "θ"
    order, symmetry = "|Σ exp(iθ)|/N", "rotations of all angles"
    two_point = "⟨cos(θ(0) − θ(r))⟩"
    scale, discrete = "cyclic", False

    def components(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (2, n, *shape): cos θ and sin θ, whose products sum to cos(θ - θ')."""
        return torch.stack([x.cos(), x.sin()])

    def magnetization(self, x: Tensor) -> Tensor:
        cos, sin = self.components(x).flatten(2).nanmean(-1)
        return torch.hypot(cos, sin)

    def check(self, x: Tensor) -> None:
        _check(x.isfinite(), x, "angles must be finite")

    def images(self, x: Tensor) -> list[Tensor]:
        """A quarter and two thirds of a turn, in [-π, π)."""
        return [self.principal(x + turn) for turn in (math.pi / 2, 4 * math.pi / 3)]

    def principal(self, x: Tensor) -> Tensor:
        """The same angles in [-π, π)."""
        return (x + math.pi) % (2 * math.pi) - math.pi

    def sectors(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n, 4): the quadrant of the mean direction, from -π up."""
        cos, sin = self.components(x).flatten(2).nanmean(-1)
        quadrant = ((torch.atan2(sin, cos) + math.pi) / (math.pi / 2)).floor().clamp(0, 3)
        return one_hot(quadrant, 4)

    @property
    def sector_names(self) -> tuple[str, ...]:
        edges = ("-π", "-π/2", "0", "π/2", "π")
        return tuple(f"the mean direction between {a} and {b}" for a, b in itertools.pairwise(edges))

    def move(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        return (2 * torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype) - 1) * math.pi

    def random(self, shape: tuple[int, ...], *, generator: torch.Generator) -> Tensor:
        return math.pi * (2 * torch.rand(shape, dtype=torch.float64, generator=generator) - 1)

    @property
    def ordered(self) -> Tensor | None:
        return math.pi / 2 * torch.arange(-2, 2, dtype=torch.float64)


def variables_of(domain: str, q: int | None = None) -> Variables:
    """The kind of variables that a domain names.

    Args:
        domain: "spin", "potts", "real" or "angle".
        q: number of states, needed for "potts".

    Raises:
        ValueError: for another name, or states without their number.

    >>> variables_of("potts", 3)
    States(q=3)
    """
    if domain == "potts":
        if q is None:
            raise ValueError("the number of states q is needed for domain 'potts': set q, or variables = States(q)")
        return States(int(q))
    kinds: dict[str, Variables] = {kind.domain: kind for kind in (Spins(), Reals(), Angles())}
    if domain not in kinds:
        raise ValueError(f"domain must be 'spin', 'potts', 'real' or 'angle', got {domain!r}")
    return kinds[domain]


def _check(right: Tensor, x: Tensor, what: str) -> None:
    if not bool(right.all()):
        raise ValueError(f"{what}, got {x.detach()[~right][0].item()}")
