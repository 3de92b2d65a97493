"""The precision in which a run computes: torch's default while it does, whatever that is elsewhere."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch

from flowlab.storage.store import Store, StoreError

P = ParamSpec("P")
R = TypeVar("R")

_door = threading.Lock()
"""Held by whoever waits for another precision, so that nobody else comes in first."""
_free = threading.Condition()
_here = threading.local()
_inside, _outside = 0, torch.get_default_dtype()


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Within it torch's default is ``dtype``. The process has one default: a thread that needs another one waits.

    >>> with default_dtype(torch.float64):
    ...     torch.zeros(1).dtype
    torch.float64
    """
    if getattr(_here, "inside", False):
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(before)
        return
    _enter(dtype)
    _here.inside = True
    try:
        yield
    finally:
        _here.inside = False
        _leave(dtype)


def _enter(dtype: torch.dtype) -> None:
    global _inside, _outside
    with _door, _free:
        _free.wait_for(lambda: not _inside or torch.get_default_dtype() == dtype)
        if not _inside:
            _outside = torch.get_default_dtype()
            torch.set_default_dtype(dtype)
        _inside += 1


def _leave(dtype: torch.dtype) -> None:
    global _inside
    with _free:
        _inside -= 1
        if not _inside and torch.get_default_dtype() == dtype:  # else somebody has set another one meanwhile
            torch.set_default_dtype(_outside)
        _free.notify_all()


def _forked() -> None:
    """Forget the threads of the parent: in a forked child, none of them will ever leave."""
    global _door, _free, _inside
    _door, _free = threading.Lock(), threading.Condition()
    if _inside and not getattr(_here, "inside", False):
        torch.set_default_dtype(_outside)
        _inside = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


@contextlib.contextmanager
def undisturbed(device: str = "cpu", *, grad: bool | None = True) -> Iterator[None]:
    """Within it PyTorch computes as a run does by itself: no inference mode and no autocast, gradients on.

    Args:
        device: kind of device of the run.
        grad: whether gradients are on; None leaves that as it is.

    >>> with torch.no_grad(), torch.autocast("cpu"), undisturbed():
    ...     torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")
    (True, False)
    """
    with contextlib.ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if grad is not None and torch.is_grad_enabled() != grad:
            stack.enter_context(torch.set_grad_enabled(grad))
        for kind in {"cpu", device}:
            if kind != "meta" and torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def in_own_dtype(method: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """The method of a run, carried out in the precision ``dtype`` of that run."""

    @functools.wraps(method)
    def carried_out(run: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with default_dtype(run.dtype), undisturbed(run.device.type, grad=None):
            return method(run, *args, **kwargs)

    return carried_out


def dtype_of(name: str) -> torch.dtype:
    """A floating-point dtype by its name, e.g. "float64"; ValueError where there is none of that name.

    >>> dtype_of("float64")
    torch.float64
    """
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"dtype must be float32 or float64, got {name!r}")
    return found


def name_of(dtype: torch.dtype) -> str:
    """The name of a dtype.

    >>> name_of(torch.float64)
    'float64'
    """
    return str(dtype).removeprefix("torch.")


def kept_in(store: Store) -> torch.dtype:
    """In which a run computes; earlier versions did not note it, and left it to be seen in the weights."""
    noted = store.meta.get("dtype")
    if noted is not None:
        try:
            return dtype_of(noted)
        except ValueError as error:
            raise StoreError(f"{error} in experiment.json of {store.path}") from None
    kept = store.load_checkpoint()
    weights = [] if kept is None else [w for name, w in kept.tensors.items() if name.startswith("density.")]
    sizes = Counter[torch.dtype]()
    for tensor in weights:
        sizes[tensor.dtype] += tensor.numel() if tensor.is_floating_point() else 0
    return sizes.most_common(1)[0][0] if sizes.total() else torch.get_default_dtype()
