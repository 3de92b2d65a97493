"""Whether tests see a fault: ``python -m tests.mutants [COUNT [SEED [SECONDS]]]`` makes small ones, runs tests.

A mutant is one module with one change: a comparison, a sign, a number, a truth value, an ``and`` for an ``or``. The
tests of that module's name are run, and then those of its folder; one of them has to fail. No file is changed: a forked
process imports the mutant in place of the module. What survives is listed; more than a tenth is too much.
"""

from __future__ import annotations

import ast
import copy
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).parents[1]
ROOMS = ("core", "densities", "estimators", "exact", "flows", "nn", "storage", "systems")
SECONDS = 900
"""After which no further one is begun."""
LONGEST = 60
"""Processor seconds of its tests, after which they have seen nothing."""
AT_ONCE = 2
SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.And: ast.Or, ast.Or: ast.And, ast.USub: ast.UAdd,
}  # fmt: skip
SHOWN_ONLY = {"__repr__", "__str__", "_repr_html_", "extra_repr"}


@dataclass(frozen=True)
class Mutant:
    """A module of the package with one node of its syntax tree changed.

    Attributes:
        file: e.g. flowlab/systems/ising.py.
        place: number of the node, as ``places`` counts them.
        line: of the change; change: what it is.
    """

    file: str
    place: int
    line: int
    change: str

    @property
    def module(self) -> str:
        return self.file.removesuffix(".py").replace("/", ".")

    @property
    def own_tests(self) -> list[str]:
        """Its examples, and the tests of its name."""
        file = Path(self.file)
        return [self.file, str(Path(*self.others, f"test_{file.name}"))]

    @property
    def others(self) -> list[str]:
        """The tests of its folder."""
        return [str(Path("tests", *Path(self.file).parent.parts[1:]))]


def places(tree: ast.Module) -> list[tuple[ast.AST, str]]:
    """What can be changed, and how: nothing that is only said, such as errors, warnings, names and annotations."""
    return list(_places(tree))


def _places(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    if isinstance(node, ast.Raise | ast.AnnAssign | ast.JoinedStr) or getattr(node, "name", "") in SHOWN_ONLY:
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            yield from _places(node.value)
        return
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("warn"):
        return
    operators = [*getattr(node, "ops", []), *([node.op] if hasattr(node, "op") else [])]
    if len(operators) == 1 and type(operators[0]) in SWAPPED:
        yield node, f"{type(operators[0]).__name__} -> {SWAPPED[type(operators[0])].__name__}"
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        yield node, f"{node.value} -> {_other(node.value)}"
    for name, inside in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "args") and not isinstance(node, ast.Call):
            continue
        for part in inside if isinstance(inside, list) else [inside]:
            if isinstance(part, ast.AST):
                yield from _places(part)


def _other(value: bool | float) -> bool | float:
    return not value if isinstance(value, bool) else value + 1


def changed(tree: ast.Module, place: int) -> ast.Module:
    """The tree with one of its places changed."""
    tree = copy.deepcopy(tree)
    node, _ = places(tree)[place]
    if isinstance(node, ast.Constant):
        node.value = _other(node.value)  # type: ignore[arg-type]
    elif isinstance(node, ast.Compare):
        node.ops = [SWAPPED[type(node.ops[0])]()]  # type: ignore[list-item]
    else:
        node.op = SWAPPED[type(node.op)]()  # type: ignore[attr-defined]
    return ast.fix_missing_locations(tree)


def drawn(count: int, seed: int) -> list[Mutant]:
    """Mutants of modules that have tests of their name, so many and at random."""
    everything = []
    for file in sorted(file for room in ROOMS for file in (ROOT / "flowlab" / room).rglob("*.py")):
        name = file.relative_to(ROOT)
        if not Path(ROOT, "tests", *name.parent.parts[1:], f"test_{name.name}").exists():
            continue
        for place, (node, change) in enumerate(places(ast.parse(file.read_text(encoding="utf-8")))):
            everything.append(Mutant(name.as_posix(), place, getattr(node, "lineno", 0), change))
    return random.Random(seed).sample(everything, count)


class Imported(importlib.machinery.SourceFileLoader):
    """Loads a module from its file, with one change."""

    place = 0

    def get_code(self, fullname: str) -> CodeType:
        tree = ast.parse(Path(self.path).read_text(encoding="utf-8"))
        return compile(changed(tree, self.place), self.path, "exec")


class Instead(importlib.abc.MetaPathFinder):
    """Finds the mutant where its module is asked for."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.mutant.module:
            return None
        loader = Imported(fullname, str(ROOT / self.mutant.file))
        loader.place = self.mutant.place
        return importlib.util.spec_from_file_location(fullname, loader.path, loader=loader)


def begun(work: Callable[[], int], log: Path) -> int:
    """The process in which ``work`` gives its status, what it prints in ``log``."""
    pid = os.fork()
    if pid:
        return pid
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    status = 3
    try:
        status = work()
    finally:
        os._exit(status)


def tested(mutant: Mutant, tests: list[str]) -> int:
    """The status of pytest: 0 where all passed, which a mutant ought not to see."""
    import pytest

    resource.setrlimit(resource.RLIMIT_CPU, (LONGEST, LONGEST + 5))
    sys.meta_path.insert(0, Instead(mutant))
    importlib.import_module(mutant.module)  # before pytest does, which asks no finder for a file that it is given
    own = ["-q", "-x", "-m", "not slow and not browser and not devices", "--no-header", "--tb=line"]
    return int(pytest.main([*own, *tests]))


def seen(mutant: Mutant, tests: list[str], folder: Path) -> bool:
    """Whether one of the tests failed."""
    log = folder / f"{mutant.module}-{mutant.place}.log"
    _, status = os.waitpid(begun(lambda: tested(mutant, tests), log), 0)
    return os.waitstatus_to_exitcode(status) not in (0, -signal.SIGXCPU)


def judged(mutants: list[Mutant], folder: Path, stop: float) -> Iterator[tuple[Mutant, str]]:
    """What became of each: "found" or "survived"; those that were not begun in time are left out."""
    lived = []
    for mutant in mutants:
        if time.monotonic() > stop:
            break
        if seen(mutant, mutant.own_tests, folder):
            yield mutant, "found"
        else:
            lived.append(mutant)
    for mutant in lived:
        yield mutant, "found" if time.monotonic() < stop and seen(mutant, mutant.others, folder) else "survived"


def main(count: int = 50, seed: int = 1, seconds: int = SECONDS) -> int:
    os.chdir(ROOT)
    for name in ("torch", "xarray", "scipy.stats", "pytest", "h5netcdf"):  # once, before the forks
        importlib.import_module(name)
    folder = ROOT / "build" / "mutants"
    folder.mkdir(parents=True, exist_ok=True)
    mutants, stop, parts = drawn(count, seed), time.monotonic() + seconds, {}
    for part in range(AT_ONCE):

        def work(part: int = part) -> int:
            for mutant, what in judged(mutants[part::AT_ONCE], folder, stop):
                print(f"{what}  {mutant.file}:{mutant.line}  {mutant.change}", flush=True)
            return 0

        told = folder / f"part-{part}.txt"
        parts[begun(work, told)] = told
    for pid in parts:
        os.waitpid(pid, 0)
    lines = [line for told in parts.values() for line in told.read_text(encoding="utf-8").splitlines()]
    lived = sorted(line for line in lines if line.startswith("survived"))
    print(*lived, sep="\n")
    print(f"{len(lines) - len(lived)} of {len(lines)} mutants were found by tests; {count - len(lines)} were left out")
    return int(len(lived) > len(lines) / 10 or not lines)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
