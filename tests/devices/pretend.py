"""An accelerator without one: tensors that say they are on a device and hold values of the CPU.

Every operation goes through :func:`_carried_out`, which computes on the CPU what the device would, and counts what a
real one would refuse or wait for. PyTorch's own name for the device is ``meta``, whose tensors otherwise hold nothing.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
import torch.optim.adam
import torch.optim.adamw
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

NAME = "meta"
DEVICE = torch.device(NAME)


def words(text: str) -> set[str]:
    return set(text.split())


VIEWS = words("""
    view _unsafe_view reshape expand t transpose permute select slice unsqueeze squeeze detach alias split
    split_with_sizes chunk unbind as_strided diagonal unfold lift_fresh _reshape_alias is_same_size sym_size
    sym_stride detach_ requires_grad_ real imag view_as_real view_as_complex movedim resolve_conj is_pinned size
    stride
""")
TAKE_CPU_NUMBERS = words("""
    add sub mul div pow where maximum minimum lt le gt ge eq ne rsub remainder atan2 copysign bitwise_and
    bitwise_or logical_and logical_or bitwise_xor fmod true_divide floor_divide xlogy lerp clamp clamp_min
    clamp_max masked_fill masked_fill_ fill fill_ copy_ index_put index_put_ index add_ sub_ mul_ div_ _to_copy
    hypot logaddexp clamp_ set_ __and__ __or__
""")
WAIT = words("""
    _local_scalar_dense item nonzero equal unique_consecutive _unique2 unique_dim masked_select is_nonzero
    bincount histc linalg_eigh _linalg_eigh
""")
"""Operations whose result the processor waits for."""


class Counts:
    """What happened on the device, each with where in flowlab.

    Attributes:
        kernels: operations by name.
        waits: for a result, or for a copy to the CPU.
        refused: tensors of two devices together, and random numbers of a generator of the other one.
    """

    def __init__(self) -> None:
        self.kernels, self.waits, self.refused = Counter[str](), Counter[str](), Counter[str]()

    def clear(self) -> None:
        for counter in (self.kernels, self.waits, self.refused):
            counter.clear()


class OnDevice(Tensor):
    """A tensor on the device."""

    _inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, requires_grad: bool = False) -> OnDevice:
        made = Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=DEVICE, requires_grad=requires_grad,
        )  # fmt: skip
        made._inner = inner
        return made

    def __init__(self, inner: Tensor, requires_grad: bool = False) -> None:
        pass

    def __repr__(self, **_: Any) -> str:
        return f"OnDevice({self._inner})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            made = OnDevice(self._inner.clone()).requires_grad_(self.requires_grad)
            if getattr(self, "_is_param", False):
                made._is_param = True
            memo[id(self)] = made
        return memo[id(self)]

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # a product with a vector changes the shape of its result in place, which a wrapper cannot follow
        if func in (torch.matmul, Tensor.matmul, Tensor.__matmul__) and isinstance(args[1], Tensor):
            if args[0].ndim == 1 and args[1].ndim == 2:
                return func(args[0].unsqueeze(0), args[1])[0]
            if args[0].ndim >= 2 and args[1].ndim == 1:
                return func(args[0], args[1].unsqueeze(1))[..., 0]
        if func is Tensor.backward:  # in which functions are called as anywhere
            how = dict(kwargs or {})
            return torch.autograd.backward(args[0], how.pop("gradient", None), **how)
        with torch._C.DisableTorchFunctionSubclass():  # which would call results on the CPU this class too
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _carried_out(func, args, kwargs or {}, None)


class _AnyGenerator(type(torch._C.Generator)):  # type: ignore[misc]
    """Hints of arguments are read once, perhaps while the class below stands for all generators."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, torch._C.Generator)


class _Generator(torch._C.Generator, metaclass=_AnyGenerator):
    """A generator of either device; the state of the device's is of another kind, as that of a GPU is."""

    states: list[Tensor] = []  # noqa: RUF012

    def __new__(cls, device: Any = "cpu") -> _Generator:
        made = torch._C.Generator.__new__(cls, "cpu")
        made.pretends = torch.device(device)
        return made

    def __init__(self, device: Any = "cpu") -> None:
        pass

    @property
    def device(self) -> torch.device:
        return self.pretends

    def get_state(self) -> Tensor:
        state = super().get_state()
        if self.pretends.type != NAME:
            return state
        self.states.append(state)
        return torch.tensor([len(self.states) - 1, 0], dtype=torch.int64).view(torch.uint8)

    def set_state(self, state: Tensor) -> Any:
        if self.pretends.type == NAME:
            if len(state) != 16:
                raise RuntimeError("RNG state is wrong size")
            state = self.states[int(state.view(torch.int64)[0])]
        return super().set_state(state)


@contextlib.contextmanager
def pretended() -> Iterator[Counts]:
    """Within it there is a device called "meta", the first of flowlab's; what happens there is counted."""
    counts = Counts()
    places = [m for m in list(sys.modules.values()) if getattr(m, "_get_fused_kernels_supported_devices", None)]
    with contextlib.ExitStack() as stack:
        kinds = mock.Mock(return_value=["cuda", "cpu", "mps", NAME])
        for module in places:
            stack.enter_context(mock.patch.object(module, "_get_fused_kernels_supported_devices", kinds))
        stack.enter_context(mock.patch.object(torch, "Generator", _Generator))
        stack.enter_context(mock.patch("flowlab.runs.process.available_devices", return_value=[NAME, "cpu"]))
        stack.enter_context(_Functions(counts))
        stack.enter_context(_Operations(counts))
        yield counts


class _Operations(TorchDispatchMode):
    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _carried_out(func, args, kwargs or {}, self.counts)


class _Functions(TorchFunctionMode):
    """Functions that read their device before any operation of theirs could be seen."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and _is_there(kwargs.get("device")):
            del kwargs["device"]
            if isinstance(args[0], OnDevice):
                return args[0].to(**kwargs)
            return func(*args, **kwargs).to(DEVICE)
        generator = kwargs.get("generator")
        if isinstance(generator, torch._C.Generator):
            like = args[0].device if args and isinstance(args[0], Tensor) else torch.get_default_device()
            drawn = torch.device(kwargs.get("device") or like).type
            if drawn != generator.device.type:
                name = getattr(func, "__name__", str(func))
                self.counts.refused[f"{name}: generator of {generator.device}, tensor of {drawn} at {_site()}"] += 1
        return func(*args, **kwargs)


def _is_there(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


def _site() -> str:
    """The innermost line of flowlab."""
    for frame in reversed(traceback.extract_stack(limit=60)):
        if "/flowlab/" in frame.filename:
            return f"{frame.filename.split('/flowlab/')[-1]}:{frame.lineno}"
    return "?"


def _carried_out(func: Any, args: Any, kwargs: dict[str, Any], counts: Counts | None) -> Any:
    name = func._schema.name.split("::")[-1]
    tensors = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, Tensor)]
    there = [t for t in tensors if isinstance(t, OnDevice)]
    here = [t for t in tensors if not isinstance(t, OnDevice)]
    target = kwargs.get("device")
    result_there = bool(there) if target is None else _is_there(target)
    if name in ("copy_", "set_"):
        result_there = isinstance(args[0], OnDevice)
    if counts is not None and (there or result_there):
        if why := _refusal(name, args, there, here):
            counts.refused[f"{name}: {why} at {_site()}"] += 1
        masked = name == "index" and any(t.dtype in (torch.bool, torch.uint8) for t in tensors)
        if name in WAIT or masked or (name in ("_to_copy", "copy_") and there and not result_there):
            counts.waits[f"{name} at {_site()}"] += 1
        if name not in VIEWS:
            counts.kernels[name] += 1
    plain_args, plain = tree_map(lambda t: t._inner if isinstance(t, OnDevice) else t, (args, kwargs))
    if _is_there(plain.get("device")):
        plain["device"] = torch.device("cpu")
    if result_there and plain.get("pin_memory"):
        plain["pin_memory"] = False
    out = func(*plain_args, **plain)
    if name == "_to_copy" and not result_there:
        return out.clone() if any(out is t._inner for t in there) else out
    if name == "_local_scalar_dense" or not (result_there or there):
        return out
    return tree_map(_wrapper(there, here), out)


def _wrapper(there: list[Any], here: list[Tensor]) -> Callable[[Any], Any]:
    """Results that are an argument stay that argument; others are on the device."""

    def wrapped(result: Any) -> Any:
        if not isinstance(result, Tensor):
            return result
        for tensor in there:
            if tensor._inner is result:
                return tensor
        return result if any(tensor is result for tensor in here) else OnDevice(result)

    return wrapped


def _refusal(name: str, args: Any, there: list[Any], here: list[Tensor]) -> str | None:
    """Why a GPU would not do it."""
    if not there or not here or name in ("_to_copy", "copy_"):
        return None
    if name in ("index", "index_put", "index_put_"):  # takes indices of the CPU
        value = args[2] if len(args) > 2 else None
        fits = not isinstance(value, Tensor) or isinstance(value, OnDevice) or value.ndim == 0
        return None if isinstance(args[0], OnDevice) and fits else "a tensor of the CPU with indices of the device"
    arrays = [t for t in here if t.ndim]
    if arrays:
        return f"a tensor {tuple(arrays[0].shape)} of the CPU with tensors of the device"
    if name not in TAKE_CPU_NUMBERS:
        return "a number of the CPU with tensors of the device, which this operation does not take"
    if name.endswith("_") and not isinstance(args[0], OnDevice):
        return "a number of the CPU changed in place by one of the device"
    return None
