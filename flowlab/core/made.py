"""What an object was made with, kept beside it: it can be described as JSON, and made again from that.

Nothing but flowlab's own modules is imported, and no code is run but constructors of classes that this process knows
and that derive from :class:`Made`; functions are taken only from modules that a person named.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import inspect
import math
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

LARGEST = 1 << 22
"""Bytes of a tensor that is written into a description."""
PLAIN = (bool, int, float, str)


class CannotMake(ValueError):
    """Something that cannot be described or made again; the message says what, and what would be needed."""


class Made:
    """What keeps the arguments of its constructor, so that :func:`describe` and :func:`make` know it.

    A subclass does nothing for it. Generators are kept as they were then; all else is kept as it is.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        made.__dict__["_made"] = Arguments(args, kwargs)
        return made

    def set_besides(self) -> dict[str, Any]:
        """What was set besides the arguments: attributes of plain type."""
        return {n: v for n, v in vars(self).items() if n[0] != "_" and n != "training" and type(v) in PLAIN}

    def set_again(self, besides: Mapping[str, Any]) -> Self:
        """This, made anew, with what :meth:`set_besides` of another one gave, as far as it has such attributes."""
        own = self.set_besides()
        self.__dict__.update({name: value for name, value in besides.items() if own.get(name, value) != value})
        return self


class Arguments:
    """Of a constructor. A copy of the object shares them."""

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.args = tuple(map(_as_it_is_now, args))
        self.kwargs = {name: _as_it_is_now(value) for name, value in kwargs.items()}

    def __deepcopy__(self, memo: dict[int, Any]) -> Arguments:
        return self


class _Generator:
    """A generator as it was."""

    def __init__(self, generator: torch.Generator) -> None:
        self.seed, self.device, self.state = generator.initial_seed(), generator.device, generator.get_state()

    def describe(self) -> dict[str, Any]:
        fresh = torch.Generator(device=self.device).manual_seed(self.seed)
        described = {"generator": self.seed, "device": str(self.device)}
        return described if torch.equal(fresh.get_state(), self.state) else described | {"state": _tensor(self.state)}


def _as_it_is_now(value: Any) -> Any:
    return _Generator(value) if isinstance(value, torch.Generator) else value


# out


def describe(made: Any) -> Any:
    """An object, or an argument of one, as JSON, from which :func:`make` makes one like it; weights are not part of it.

    Raises:
        CannotMake: where an argument is none of: numbers, text, None, tensors, arrays, dtypes, devices, generators,
            lists and dictionaries of them, functions of a module, and objects that derive from :class:`Made`.

    >>> from flowlab.systems import Ising
    >>> describe(Ising((4, 4), T=2.0).at(T=2.5))["set"]["couplings"]
    {'mapping': {'T': 2.5, 'J': 1.0, 'h': 0.0}}
    """
    return _described(made, type(made).__qualname__, {})


def _described(value: Any, where: str, seen: dict[int, int]) -> Any:
    """``value`` as JSON; ``seen`` numbers the objects that were described, each of which is made once."""
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, np.generic):
        return _described(value.item(), where, seen)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, list):
        return [_described(item, where, seen) for item in value]
    if isinstance(value, tuple | torch.Size):
        return {"tuple": [_described(item, where, seen) for item in value]}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"mapping": {key: _described(item, f"{key} of {where}", seen) for key, item in value.items()}}
    if isinstance(value, torch.dtype | torch.device):
        return {type(value).__name__: str(value).removeprefix("torch.")}
    if isinstance(value, Tensor | np.ndarray):
        return _tensor(value, where)
    if isinstance(value, _Generator):
        return value.describe()
    if isinstance(value, Made):
        if id(value) in seen:
            return {"again": seen[id(value)]}
        return _of_made(value, where, seen)
    name = getattr(value, "__qualname__", "<>")
    if inspect.isfunction(value) and "<" not in name and value.__module__ != "__main__":
        return {"function": f"{value.__module__}:{name}"}
    if callable(value) and not isinstance(value, torch.nn.Module):
        raise CannotMake(f"{where} is {name if '<' not in name else 'a function'} that no module has at its top level")
    kind = type(value).__qualname__
    raise CannotMake(f"{where} is a {kind}, which keeps no record of its arguments: derive {kind} from fl.core.Made")


def _of_made(value: Made, where: str, seen: dict[int, int]) -> dict[str, Any]:
    kind = type(value)
    if "<locals>" in kind.__qualname__:
        raise CannotMake(f"{where} is a {kind.__qualname__}: define that class at the top level of its module")
    arguments: Arguments = value.__dict__["_made"]
    bound = inspect.signature(kind.__init__).bind_partial(value, *arguments.args, **arguments.kwargs).arguments
    names = list(bound)[1:]
    given = {name: _described(bound[name], f"{name} of {kind.__qualname__}", seen) for name in names}
    seen[id(value)] = len(seen)
    besides = {name: _described(item, f"{name} of {where}", seen) for name, item in value.set_besides().items()}
    return {"made": f"{kind.__module__}:{kind.__qualname__}", "with": given, "set": besides}


def _tensor(value: Tensor | np.ndarray, where: str = "") -> dict[str, Any]:
    array = isinstance(value, np.ndarray)
    if array and value.dtype == object:
        raise CannotMake(f"{where} is an array of objects")
    tensor = torch.as_tensor(value).detach().cpu()
    tensor = (tensor.to_dense() if tensor.is_sparse else tensor).contiguous()
    if tensor.numel() * tensor.element_size() > LARGEST:
        raise CannotMake(f"{where} has {tensor.numel()} numbers, which are too many to describe")
    raw = tensor.flatten().view(torch.uint8).numpy().tobytes()
    kind = {"array": True} if array else {}
    return {"tensor": base64.b64encode(raw).decode(), "dtype": _name(tensor.dtype), "shape": [*tensor.shape]} | kind


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# in


def make(described: Any, *, functions: Collection[str] | None = ()) -> Any:
    """What :func:`describe` has described, made by the constructors that it was made with.

    Args:
        described: JSON.
        functions: modules whose functions may be taken; None for all, where this process has described it.

    Raises:
        CannotMake: for a class that this process does not know, naming the module that defines it, or a description
            that does not fit its class.

    >>> from flowlab.systems import Ising
    >>> make(describe(Ising((4, 4), T=2.0).at(T=2.5))).title
    'Ising 4 × 4, T = 2.5'
    """
    return _Maker(functions).made(described)


class _Maker:
    def __init__(self, functions: Collection[str] | None) -> None:
        self.functions = functions
        self.seen: list[Any] = []

    def made(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.made(item) for item in value]
        if not isinstance(value, dict):
            return value
        match value:
            case {"made": str(name), "with": dict(given), "set": dict(besides)}:
                return self._object(name, given, besides)
            case {"again": int(number)}:
                return self.seen[number]
            case {"float": str(text)}:
                return float(text)
            case {"tuple": list(items)}:
                return tuple(map(self.made, items))
            case {"mapping": dict(items)}:
                return {key: self.made(item) for key, item in items.items()}
            case {"dtype": str(name), "tensor": str(text), "shape": list(shape)}:
                tensor = torch.frombuffer(bytearray(base64.b64decode(text)), dtype=_dtype(name)).reshape(shape)
                return tensor.numpy() if value.get("array") else tensor
            case {"dtype": str(name)}:
                return _dtype(name)
            case {"device": str(name)} if "generator" not in value:
                return torch.device(name)
            case {"generator": int(seed), "device": str(device)}:
                generator = torch.Generator(device=device).manual_seed(seed)
                return generator.set_state(self.made(value["state"])) if "state" in value else generator
            case {"function": str(name)}:
                return self._function(name)
        raise CannotMake(f"no object is described by {', '.join(map(str, value))}")

    def _object(self, name: str, given: dict[str, Any], besides: dict[str, Any]) -> Any:
        kind = name.partition(":")[2]
        made_from = _class(name)
        arguments = {key: self.made(item) for key, item in given.items()}
        signature = inspect.signature(made_from.__init__)
        bound = inspect.BoundArguments(signature, OrderedDict({"self": None} | arguments))
        try:
            made = made_from(*bound.args[1:], **bound.kwargs)
        except TypeError as error:
            raise CannotMake(f"{kind} takes other arguments by now: {error}") from None
        made = made.set_again({key: self.made(item) for key, item in besides.items()})
        self.seen.append(made)
        return made

    def _function(self, name: str) -> Any:
        module, _, qualname = name.partition(":")
        if self.functions is not None and module not in self.functions:
            raise CannotMake(f"the function {qualname} is defined in {module}, which was not named for import")
        found: Any = importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part, None)
        if not inspect.isfunction(found):
            raise CannotMake(f"{module} has no function {qualname}")
        return found


def _class(name: str) -> Any:
    """The class of that name, which derives from :class:`Made`, as it was defined last."""
    module, _, kind = name.partition(":")
    if module.startswith("flowlab."):
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(module)
    found = [each for each in _subclasses(Made) if f"{each.__module__}:{each.__qualname__}" == name]
    if not found and module == "__main__":
        raise CannotMake(f"{kind} is defined in a notebook or a script: run that first, or write {kind} into a module")
    if not found:
        raise CannotMake(f"{kind} is defined in {module}, which is not imported")
    return found[-1]


def _dtype(name: str) -> torch.dtype:
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise CannotMake(f"torch has no dtype {name}")
    return found


def _subclasses(kind: type[Made]) -> Iterator[type[Made]]:
    """Every class below, the newest of one name last."""
    for below in kind.__subclasses__():
        yield below
        yield from _subclasses(below)
