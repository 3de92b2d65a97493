"""What a run asks of the file system: files that are whole or absent, and one writer at a time."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_FLOCK = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}


class StoreError(RuntimeError):
    """A run on disk cannot be made, read or written; the message says why and what helps."""


class StoreLocked(StoreError):
    """Another writer, in this or another process, has the run open."""


@contextlib.contextmanager
def saving(what: str, path: Path) -> Iterator[None]:
    """Turn an ``OSError`` while ``what`` is written to ``path`` into a :class:`StoreError` that says what helps."""
    try:
        yield
    except OSError as error:
        cure = "free space and resume" if error.errno in _NO_SPACE else "put this right and resume"
        reason = error.strerror or str(error)
        raise StoreError(
            f"could not write {what} to {path}: {reason}; what was saved before stays readable: {cure}"
        ) from error


def write_all(fd: int, data: bytes) -> None:
    """Write every byte of ``data`` to the descriptor; ``os.write`` alone may stop halfway on a nearly full disk."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def write_synced(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` and wait until it is on the disk. Not atomic: see :func:`write_atomic`."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)


def write_atomic(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` so that a reader, or a crash at any moment, sees the old file or the new one.

    Args:
        path: the file; ``path`` + ``.tmp`` is used on the way.
        data: its whole new content.

    Raises:
        OSError: where it cannot be written; the old file is then untouched and the temporary one removed.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_atomic(folder / "a.txt", b"new")
    >>> [(entry.name, entry.read_bytes()) for entry in folder.iterdir()]
    [('a.txt', b'new')]
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        write_synced(temporary, data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk, where the file system can do that."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no directories
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


class WriterLock:
    """The one writer of a run: a locked file that names its process.

    The kernel gives the lock back when the process ends, also by ``kill -9``, and tells two writers in one process
    apart. Where a file system cannot lock, the process named in the file counts as the writer while it lives.

    Args:
        path: the lock file; created here, removed by :meth:`release`.

    Attributes:
        note: one sentence when the lock of a dead writer was taken over, else None.

    Raises:
        StoreLocked: while another writer has it.
        OSError: where the file cannot be written.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "lock"
    >>> lock = WriterLock(path)
    >>> WriterLock(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    flowlab.storage.files.StoreLocked: run ... is being written by this process (...
    >>> lock.release()
    >>> path.exists()
    False
    """

    def __init__(self, path: Path) -> None:
        self.note: str | None = None
        fd = _open_locked(path)
        try:
            if owner := _read_owner(fd):
                self.note = f"took over the lock of {_describe(owner)}, which ended without closing the run"
            os.ftruncate(fd, 0)
            write_all(fd, json.dumps(_this_process()).encode())
        except BaseException:
            os.close(fd)
            raise
        self._fd, self._path = fd, path
        self._release = weakref.finalize(self, _remove_lock, path, fd)
        _LOCKS.add(self)

    @property
    def held(self) -> bool:
        """Whether this process holds the lock; a forked child never does."""
        return self._release.alive

    @property
    def in_place(self) -> bool:
        """Whether its file is still there: not where the folder was moved or removed, or another one stands there."""
        return _is_open_file(self._fd, self._path)

    def release(self) -> None:
        """Give the lock back and remove its file; harmless when repeated."""
        self._release()

    def forget(self) -> None:
        """Close the descriptor that a forked child inherited, lest the child keep the lock when its parent dies."""
        if self._release.detach():
            os.close(self._fd)


def has_writer(path: Path) -> bool:
    """Whether the process that a lock file names is alive; a killed one leaves its file behind.

    >>> has_writer(Path("no such file"))
    False
    """
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        owner = _read_owner(fd)
    finally:
        os.close(fd)
    return bool(owner) and _alive(owner)


_LOCKS: weakref.WeakSet[WriterLock] = weakref.WeakSet()


def _forget_all() -> None:
    for lock in list(_LOCKS):
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _open_locked(path: Path) -> int:
    """A descriptor of the lock file that holds its lock, or StoreLocked."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            locked = _flock(fd)
            owner = _read_owner(fd)
            if locked is False or (locked is None and owner and _alive(owner)):
                cure = "" if locked is False else f" (if it is gone, remove {path})"
                raise StoreLocked(
                    f"run {path.parent} is being written by {_describe(owner)}; stop it, or choose another --out{cure}"
                )
            if _is_open_file(fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # its writer removed the file between our opening and our locking it: take the new one


def _flock(fd: int) -> bool | None:
    """True when locked, False when another has it, None where the file system knows no locks."""
    from filelock import lock_descriptor  # only a writer needs it

    try:
        return lock_descriptor(fd, blocking=False)
    except OSError as error:
        if error.errno in _NO_FLOCK:
            return None
        raise


def _is_open_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except (FileNotFoundError, NotADirectoryError):
        return False


def _remove_lock(path: Path, fd: int) -> None:
    try:
        if _is_open_file(fd, path):
            path.unlink()
    except OSError:
        pass  # the folder is gone or read-only; closing gives the lock back all the same
    finally:
        os.close(fd)


def _this_process() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "start": _start_of(os.getpid()),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _start_of(pid: int) -> str | None:
    """When a process started, as boot id and clock ticks, so that a reused number is not mistaken; None if unknown."""
    try:
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{ticks}"
    except (OSError, IndexError):
        return None


def _read_owner(fd: int) -> dict[str, Any]:
    """Who wrote the lock file; empty when it is new, or half written."""
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        owner = json.loads(os.read(fd, 4096))
    except (ValueError, PermissionError):  # on Windows a locked file cannot be read
        return {}
    finally:
        os.lseek(fd, 0, os.SEEK_SET)
    return owner if isinstance(owner, dict) and isinstance(owner.get("pid"), int) else {}


def _alive(owner: dict[str, Any]) -> bool:
    """Whether the owner still runs; true where that cannot be told (on another host, and on Windows)."""
    if owner.get("host") != socket.gethostname() or os.name == "nt":
        return True
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    start = _start_of(owner["pid"])
    return start is None or owner.get("start") is None or start == owner["start"]


def _describe(owner: dict[str, Any]) -> str:
    if not owner:
        return "another process"
    mine = owner["pid"] == os.getpid() and owner.get("host") == socket.gethostname()
    who = f"this process ({owner['pid']})" if mine else f"process {owner['pid']} on {owner.get('host')}"
    return f"{who} since {owner.get('since')}"
