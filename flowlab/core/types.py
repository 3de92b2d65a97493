"""What densities and chains hand out: draws, the state after a layer, what a chain is; and arrays that are keys."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flowlab.core.made import Made
from flowlab.core.system import System, measured

Report = Callable[[str], None]
"""Told in words what goes on before the first step."""


def silent(what: str) -> None:
    """A report to nobody."""


class Draw(NamedTuple):
    """Configurations drawn from a density, with what an objective needs to differentiate.

    All three have the same values with gradients and without them (``torch.no_grad``). The likelihood is ``log_q``,
    always; ``score`` is there for its gradient, and a wrapper that changes q changes both.

    Attributes:
        x: (n, *shape) configurations; may carry a pathwise or a straight-through gradient.
        log_q: (n,) ln q(x) of exactly these x, as ``log_prob`` has it, with the pathwise gradient only.
        score: (n,) ln p of the discrete choices that led to x, for score-function gradients: the value of ``log_q``
            where these choices are all there is to x, zeros where there was none, else neither.
    """

    x: Tensor
    log_q: Tensor
    score: Tensor


LayerKind = Literal["flow", "level", "time"]


class LayerState(NamedTuple):
    """The configurations as they stand after one layer.

    Attributes:
        name: what a person calls the layer, e.g. ``"latent"`` or ``"xor 2"``.
        kind: ``"flow"`` (a layer of a flow), ``"level"`` (a scale) or ``"time"`` (a point of an ODE).
        time: position from 0 (latent) to 1 (sample).
        x: (n, *shape) configurations after the layer.
        log_q: (n,) ln of the density of x after this layer.
    """

    name: str
    kind: LayerKind
    time: float
    x: Tensor
    log_q: Tensor


Series = dict[str, NDArray[np.float64]]
State = TypeVar("State")
Info = TypeVar("Info")


class MarkovChain(Made, ABC, Generic[State, Info]):
    """A transition kernel for a batch of n independent chains of one system.

    State is what the next step needs, its own serialisable random state included; Info is what a person looks at.

    To write one: set ``system`` and give ``init`` and ``step``. State is a NamedTuple of tensors or NumPy arrays, one
    of them ``configurations``, (n, *shape); Info may be None or have ``acceptance``, (n,). A chain whose states are
    another thing gives ``configurations``, ``moved``, ``state_dict`` and ``load_state_dict`` too, and one that makes
    many steps faster than one by one ``run``.

    Attributes:
        system: what is sampled.
        state_type: the NamedTuple; what ``init`` returns if it is not given.
        tuning: steps after ``init`` in which the chain still adapts itself, to be left out of every estimate.
    """

    system: System
    state_type: ClassVar[Any] = None
    tuning: int = 0

    @abstractmethod
    def init(self, n: int, *, generator: torch.Generator | None = None) -> State:
        """Start n chains."""

    @abstractmethod
    def step(self, state: State) -> tuple[State, Info]:
        """One transition of every chain; never changes ``state`` in place."""

    def run(self, state: State, sweeps: int) -> tuple[State, Series]:
        """``sweeps`` steps of every chain, each of them measured.

        Args:
            state: where to start; it is not changed.
            sweeps: how many steps.

        Returns:
            The new state, and name -> (sweeps, n): ``acceptance``, if the chain says it, and all that
            :func:`flowlab.core.system.measured` finds.
        """
        if sweeps < 1:
            raise ValueError(f"sweeps must be at least 1, got {sweeps}")
        rows = []
        for _ in range(sweeps):
            state, info = self.step(state)
            said = (
                {} if (found := getattr(info, "acceptance", None)) is None else {"acceptance": torch.as_tensor(found)}
            )
            rows.append(said | measured(self.system, self.configurations(state).detach()))
        return state, {name: torch.stack([row[name] for row in rows]).double().numpy() for name in rows[0]}

    def configurations(self, state: State) -> Tensor:
        """(n, *shape), where the chains are.

        Raises:
            TypeError: by chains that carry more than one each, as parallel tempering does.
        """
        found = getattr(state, "configurations", None)
        if found is None:
            raise TypeError(f"a chain must carry one configuration a chain, got {type(self).__name__}")
        return torch.as_tensor(found)

    def moved(self, state: State, x: Tensor) -> State:
        """The state at other configurations x (n, *shape), in its own kind of array."""
        own: Any = state
        old = own.configurations
        new = x.to(old.dtype) if isinstance(old, Tensor) else x.numpy().astype(old.dtype)
        return own._replace(configurations=new)  # type: ignore[no-any-return]

    def records(self, state: State) -> dict[str, float]:
        """Numbers of the chain's own that the records of a run have beside what is measured."""
        return {}

    def state_dict(self, state: State) -> dict[str, Any]:
        """The tensors or arrays of a state by name, as a safetensors file holds them."""
        own: Any = state
        return dict(own._asdict())

    def load_state_dict(self, tensors: Mapping[str, Any]) -> State:
        """The state again, from tensors or arrays by name.

        Raises:
            ValueError: for missing tensors, or configurations of another lattice.
        """
        like: Any = None if self.state_type is not None else self.init(1, generator=torch.Generator())
        kind: Any = self.state_type or type(like)
        missing = sorted(set(kind._fields) - set(tensors))
        if missing:
            raise ValueError(f"a state of {type(self).__name__} needs {', '.join(missing)} too")
        values: dict[str, Any] = {name: torch.as_tensor(tensors[name]) for name in kind._fields}
        if like is not None:  # arrays where it has arrays
            values = {name: v if isinstance(getattr(like, name), Tensor) else v.numpy() for name, v in values.items()}
        state: State = kind(**values)
        self.system.check_configurations(self.configurations(state))
        return state


ENDS = re.compile(r"#([0-9a-f]{16})$")
"""How a text ends that stands for arrays."""


class Content(str):
    """A text that stands for arrays and carries them: a label, # and their checksum.

    As JSON, on a command line or in a figure it is the text alone; :func:`with_contents` finds the arrays again.

    Args:
        label: what a person calls them, e.g. ``"file:J.csv"``.
        arrays: by name.

    >>> one = Content("file:a.npy", {"h": np.zeros(3)})
    >>> one == Content("file:a.npy", {"h": np.zeros(3)}), one == Content("file:a.npy", {"h": np.ones(3)})
    (True, False)
    """

    arrays: dict[str, NDArray[Any]]

    def __new__(cls, label: str, arrays: Mapping[str, NDArray[Any]]) -> Content:
        kept = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        content = super().__new__(cls, f"{label}#{checksum(kept)}")
        content.arrays = kept
        return content

    def __getnewargs__(self) -> Any:  # for another process
        return label_of(self), self.arrays


def label_of(text: str) -> str:
    """The label of a text that stands for arrays, any other text as it is.

    >>> label_of(Content("file:a.npy", {"h": np.zeros(3)})), label_of("sk")
    ('file:a.npy', 'sk')
    """
    return ENDS.sub("", text)


def checksum(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Of names, types, shapes and values, in sixteen digits."""
    found = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        found.update(array.tobytes())
    return found.hexdigest()[:16]
