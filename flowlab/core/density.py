"""What can be drawn together with its exact log-probability."""

from __future__ import annotations

import functools
import itertools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flowlab.core.flow import Flow
from flowlab.core.generators import ALONE, portion_of
from flowlab.core.made import Made
from flowlab.core.system import System
from flowlab.core.types import Draw, LayerState
from flowlab.core.variables import Variables


class NoLikelihood(TypeError):
    """Raised by ``log_prob`` of a density whose ln q is no sum that can be done, such as one with hidden codes."""


class Density(Made, nn.Module, ABC):
    """A distribution q over configurations with exact ln q.

    To write one: set ``shape`` and give ``draw`` and ``log_prob``, which agree on every configuration.
    ``stages`` is worth overriding where a sample is built in steps that a person would want to see. What changes
    another density, as a symmetry does, is best written as a :class:`flowlab.core.Wrapper`.

    Everything else has a default, and is worth giving only if the density can do more: ``flip_action`` for a symmetry,
    ``bind``, ``fit``, ``anneal``, ``warm_start`` and ``parameter_groups`` for training; ``site_order`` and, with
    ``autoregressive = True``, ``log_conditionals``; ``flow_layers``, ``latent_density`` and ``latents_of`` for a flow
    over another density, with ``staged = True`` and ``log_prob_at`` if wrappers shall show its layers;
    ``integration_error``; ``draw_slope`` for objectives that match scores; ``metrics`` for the records of training.

    Attributes:
        shape: sides of one configuration.
        variables: the kind that it draws, e.g. ``Spins()``; None where that depends on what is inside.
        iid: whether the configurations of one draw are independent.
        divisible: whether several processes can draw a portion of one batch each: rows do not depend on each other, and
            random numbers are asked for ``everyone`` (:mod:`flowlab.core.generators`), of which ``draw`` keeps its own.
        learns: whether there is anything to train; if not, a :class:`flowlab.Training` measures at every step.
        log_norm: ln of log_prob's normalisation; None where unknown (then ln Z is NaN, with the reason). What wraps
            another density has that one's, and its ``iid``.
        autoregressive: whether ``log_conditionals`` can be asked for.
        in_levels: whether it draws coarse sites first, level by level; ``stages`` are then NaN at the sites to come.
        staged: whether ``log_prob_at`` can be asked for.
        over: coupling -> the interval over which its weights are functions of it, as those of a
            :class:`flowlab.Conditional` are; empty where they are numbers.
        refines: whether it makes the fields of a fine lattice from those of a coarse one, as :class:`flowlab.Upscaled`
            does: it then has ``draw_parts``, ``coarse_system`` and ``flow``.
    """

    shape: tuple[int, ...]
    variables: Variables | None = None
    iid: bool = True
    divisible: bool = False
    learns: bool = True
    log_norm: float | None = 0.0
    autoregressive: bool = False
    in_levels: bool = False
    staged: bool = False
    refines: bool = False
    over: Mapping[str, tuple[float, float]] = MappingProxyType({})

    def __init_subclass__(cls, **options: Any) -> None:
        """Let a ``log_prob`` take what ``as_batch`` takes; a class with its own ``draw`` is divisible if it says so."""
        super().__init_subclass__(**options)
        if "draw" in cls.__dict__ and "divisible" not in cls.__dict__:
            cls.divisible = False
        if "log_prob" in cls.__dict__:
            cls.log_prob = _taking_any(cls.log_prob)  # type: ignore[assignment, method-assign]

    @abstractmethod
    def draw(self, n: int, *, generator: torch.Generator | None = None) -> Draw:
        """n configurations with what an objective needs for gradients; see :class:`Draw`."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n,) exact ln q(x), differentiable in the parameters; see ``as_batch`` for what x may be."""

    def as_batch(self, x: Any) -> Tensor:
        """Configurations as a tensor where the density computes and in its precision, that of most of its parameters.

        Args:
            x: a tensor, a NumPy array, a variable of a Dataset, or nested lists; floats of any width, or integers.

        Raises:
            TypeError: for a whole Dataset, or values that are neither floats nor integers.
        """
        if isinstance(x, Tensor):
            tensor = x
        elif hasattr(x, "data_vars"):
            raise TypeError(f"configurations must be one variable, got a whole Dataset: give one of {', '.join(x)}")
        else:
            tensor = torch.as_tensor(np.asarray(x))
        home = next(itertools.chain(self.parameters(), self.buffers()), None)
        if home is not None and home.device != tensor.device:
            tensor = tensor.to(home.device)
        if tensor.dtype == torch.bool or tensor.is_complex():
            raise TypeError(f"configurations must be floats or integers, got {tensor.dtype}")
        sizes: Counter[torch.dtype] = Counter()
        for parameter in self.parameters():
            sizes[parameter.dtype] += parameter.numel()
        if sizes:
            return tensor.to(sizes.most_common(1)[0][0])
        wide = tensor.dtype in (torch.float32, torch.float64)
        return tensor if wide else tensor.to(torch.get_default_dtype())

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """n configurations (n, *shape) and their ln q, (n,), without gradients."""
        portion = portion_of(n) if self.divisible else ALONE
        with torch.no_grad():
            x, log_q, _ = portion.rows(self.draw, n, generator)
        return portion.whole(x), portion.whole(log_q)

    def stages(
        self,
        n: int | None = None,
        *,
        x: Tensor | None = None,
        z: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[LayerState]:
        """The configurations after each layer, latent first, sample last.

        Exactly one of ``n`` (draw that many), ``x`` (run backwards from samples) and ``z`` (the same latents again).
        Without layers the latent is the sample, and there is one stage.
        """
        one_of(n=n, x=x, z=z)
        with torch.no_grad():
            if n is not None:
                x, log_q = self.sample(n, generator=generator)
            else:
                x = x if x is not None else z
                assert x is not None
                log_q = self.log_prob(x)
        yield LayerState("sample", "flow", 1.0, x, log_q)

    def log_prob_at(self, stage: int, x: Tensor) -> Tensor:
        """(n, *shape) -> (n,) ln of the density of the configurations that ``stages`` shows as number ``stage``."""
        raise TypeError(f"{type(self).__name__} does not say the density of its stages")

    @property
    def site_order(self) -> Tensor | None:
        """(N,) numbers of the sites, in raster order, in the order in which they are drawn; None if all at once.

        Of a flow the order in which the latents are drawn.
        """
        return None

    def log_conditionals(self, x: Tensor) -> Tensor:
        """(n, *shape) -> (n, N): ln q(x_i | x_<i), in nats, in the order of ``site_order``, differentiable.

        Raises:
            TypeError: by a density that is not ``autoregressive``.
        """
        raise TypeError(f"conditionals need an autoregressive density, got {type(self).__name__}")

    @property
    def latent_density(self) -> Density:
        """The density of the latents, by itself this one."""
        return self

    def latents_of(self, x: Tensor) -> Tensor:
        """(n, *shape) -> the latents (n, *shape) that made these configurations, by itself the same."""
        return x

    @property
    def unsymmetrised(self) -> Density:
        """The density inside of one that is made symmetric, by itself this one."""
        return self

    @property
    def flow_layers(self) -> list[Flow]:
        """The layers of its flow, latent first; none without a flow."""
        return []

    @property
    def coarse_system(self) -> System | None:
        """The system of the coarsest lattice at its present couplings, None without one."""
        return None

    @property
    def learned_couplings(self) -> dict[str, Tensor]:
        """Those of the ``coarse_system`` that are learned, by name."""
        return {}

    def draw_slope(self, n: int, *, generator: torch.Generator | None = None) -> tuple[Draw, Tensor]:
        """n draws of which ln q has no gradient, and ∂ln q/∂x, (n, *shape), without one.

        Raises:
            TypeError: by a density that does not carry it along.
        """
        raise TypeError(f"this objective trains Upscaled densities and continuous flows, got {type(self).__name__}")

    def warn_of_gradient(self) -> None:
        """Warn, before training, of what its gradient along the path of x lacks; here that is nothing."""

    def metrics(self) -> dict[str, float]:
        """Numbers of its own that the records of training have at every step."""
        return {}

    def integration_error(
        self, n: int = 64, *, factor: int = 2, generator: torch.Generator | None = None
    ) -> dict[str, float]:
        """How far differential equations inside are from solved, on n draws; here nothing is said.

        What wraps another density hands on what that says. Root mean squares over the draws: ``round_trip`` a site,
        ``closure`` of ln|det| there and back, and against ``factor`` times the steps ``field`` a site and ``log_det``;
        see :meth:`flowlab.flows.ContinuousFlow.integration_error`.
        """
        return {}

    def exported(self) -> dict[str, Any]:
        """All that a page needs to draw from it without Python; see :func:`flowlab.widgets.export_web`.

        Raises:
            ValueError: where there is no such page for a density of this class.
        """
        raise ValueError(
            f"no page can draw from a {type(self).__name__}: coloured multilevel densities of spins can be"
        )

    def flip_action(self) -> Tensor | None:
        """(*shape) of ±1 with q(action · x) = q(x) for every parameter value, or None where none is built in."""
        return None

    def bind(self, target: System) -> None:
        """Called when the target changes: check that the density suits it, take up couplings where it uses them."""
        if tuple(self.shape) != tuple(target.shape):
            raise ValueError(
                f"density has shape {tuple(self.shape)}, target {type(target).__name__} has {target.shape}"
            )
        if self.variables is not None and self.variables != target.variables:
            raise ValueError(f"a density of {self.variables} cannot fit {target.title}")

    def fixed(self, target: System) -> Density:
        """This density with weights that are numbers: those at the couplings of the target, where they depend on them.

        A copy where they do, else itself.
        """
        return self

    def proposal(self, target: System) -> Density:
        """What an evaluation at this target draws from; by default this density."""
        return self

    def fit(self, x: Tensor) -> None:
        """Take up, before training, what is estimated from samples (n, *shape) of the target; here that is nothing."""

    def anneal(self, progress: float) -> None:
        """Set what is annealed over training (relaxation noise); progress runs from 0 to 1."""

    def warm_start(self, other: Density) -> list[str]:
        """Copy the parameters of ``other`` that fit by name and shape; returns their names, the rest stay fresh."""
        mine, theirs = self.state_dict(), other.state_dict()
        copied = [name for name, value in theirs.items() if name in mine and mine[name].shape == value.shape]
        self.load_state_dict({name: theirs[name] for name in copied}, strict=False)
        return copied

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Trainable parameters by role: ``"base"`` and ``"flow"``, which may have learning rates of their own."""
        return {"base": [p for p in self.parameters() if p.requires_grad]}


class Wrapper(Density):
    """A density that changes what another one says of a configuration, and passes on the rest.

    To write one: give ``draw`` and ``log_prob``, in terms of ``self.density``. What ``density`` says of its order of
    sites, its integration and its training is said by the wrapper too. What the change may break is not:
    ``flip_action``, ``log_conditionals``, and the layers, ``stages`` and ``flow_layers``, which belong together.

    Args:
        density: the other one.
    """

    def __init__(self, density: Density) -> None:
        super().__init__()
        self.density, self.shape = density, density.shape

    @property
    def iid(self) -> bool:  # type: ignore[override]
        return self.density.iid

    @property
    def learns(self) -> bool:  # type: ignore[override]
        return self.density.learns

    @property
    def log_norm(self) -> float | None:  # type: ignore[override]
        return self.density.log_norm

    @property
    def in_levels(self) -> bool:  # type: ignore[override]
        return self.density.in_levels

    @property
    def site_order(self) -> Tensor | None:
        return self.density.site_order

    def integration_error(
        self, n: int = 64, *, factor: int = 2, generator: torch.Generator | None = None
    ) -> dict[str, float]:
        return self.density.integration_error(n, factor=factor, generator=generator)

    def warn_of_gradient(self) -> None:
        self.density.warn_of_gradient()

    def bind(self, target: System) -> None:
        super().bind(target)
        self.density.bind(target)

    def fit(self, x: Tensor) -> None:
        self.density.fit(x)

    def anneal(self, progress: float) -> None:
        self.density.anneal(progress)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return self.density.parameter_groups()


def _taking_any(log_prob: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Any], Tensor]:
    @functools.wraps(log_prob)
    def checked_log_prob(self: Density, x: Any) -> Tensor:
        return log_prob(self, self.as_batch(x))

    return checked_log_prob


def one_of(**given: object) -> str:
    """The name of the one argument that is not None; raises ValueError unless it is exactly one."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        raise ValueError(f"give exactly one of {', '.join(given)}, got {', '.join(names) or 'none'}")
    return names[0]
