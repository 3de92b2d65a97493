"""Who imports whom in flowlab, read from the source: ``python -m tests.import_graph`` prints the figures of the house.

A folder's floor is its place in :data:`FLOORS`; an import goes down or stays on its floor. Imports inside functions and
under ``TYPE_CHECKING`` count as all others do.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "flowlab"

# From the ground up; folders of one line do not know each other.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("core", "hooks", "extras"),
    ("systems", "nn", "storage", "estimators"),
    ("exact", "flows"),
    ("mcmc",),
    ("densities",),
    ("adapters", "analysis"),
    ("runs",),
    ("training",),
    ("studies", "figures", "testing", "manual", "exports"),
    ("widgets",),
    ("cli",),
    ("__main__",),
)
FLOOR = {folder: height for height, folders in enumerate(FLOORS) for folder in folders}


def modules(package: Path = PACKAGE) -> dict[str, ast.Module]:
    """The syntax tree of each module of the package by its dotted name, "" for the package itself."""
    trees = {}
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package).with_suffix("").parts)
        trees[name.removesuffix("__init__").strip(".")] = ast.parse(path.read_text(encoding="utf-8"))
    return trees


def imports(trees: Mapping[str, ast.Module], package: str = "flowlab") -> dict[str, set[str]]:
    """The modules of the package that each module imports; a name taken from a folder counts as where it is defined."""
    return {name: set(found(name, tree, trees, package)) - {name} for name, tree in trees.items()}


def found(name: str, tree: ast.Module, trees: Mapping[str, ast.Module], package: str) -> Iterator[str]:
    """Each module of the package that one module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
            folder = (node.module or "").partition(".")[2]
            for alias in node.names:
                yield defined(folder, alias.name, trees, package)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                top, _, inner = alias.name.partition(".")
                if top == package and inner in trees:
                    yield inner


def defined(folder: str, name: str, trees: Mapping[str, ast.Module], package: str) -> str:
    """The module that ``from folder import name`` takes the name from, through what folders pass on."""
    module = f"{folder}.{name}".strip(".")
    if module in trees:
        return module
    for node in trees[folder].body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return defined((node.module or "").partition(".")[2], alias.name, trees, package)
    return folder


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The groups of two and more modules that import each other, by Tarjan's walk (1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    groups = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        path.append(name)
        for other in sorted(graph[name]):
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in path:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            cut = path.index(name)
            groups.append(sorted(path[cut:]))
            del path[cut:]

    for name in graph:
        if name not in order:
            visit(name)
    return [group for group in groups if len(group) > 1]


def upward(graph: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """(module, imported) of each import from a folder to a higher one, or to another one of the same floor."""
    pairs = []
    for name, others in graph.items():
        for other in sorted(others):
            home, there = name.split(".")[0], other.split(".")[0]
            if home and there and home != there and FLOOR[there] >= FLOOR[home]:
                pairs.append((name, other))
    return pairs


def folders(package: Path = PACKAGE) -> dict[str, tuple[int, int]]:
    """(files in it, lines in it and below) of each folder, by its path."""
    sizes = {}
    for folder in sorted({path.parent for path in package.rglob("*.py")}):
        below = [path.read_text(encoding="utf-8").count("\n") for path in folder.rglob("*.py")]
        sizes[folder.relative_to(package).as_posix()] = (len(list(folder.glob("*.py"))), sum(below))
    return sizes


def main() -> None:
    """Print the figures."""
    graph = imports(modules())
    sizes = folders()
    total = sizes["."][1]
    groups, wrong = circles(graph), upward(graph)
    name, (_, lines) = max(((n, s) for n, s in sizes.items() if n != "."), key=lambda item: item[1][1])
    crowded, (most, _) = max(sizes.items(), key=lambda item: item[1][0])
    print(f"{len(graph)} files, {total} lines, {sum(map(len, graph.values()))} imports between them")
    print(f"circles of imports: {len(groups)}, of {sum(map(len, groups))} files")
    for group in groups:
        print("   ", ", ".join(group))
    print(f"imports to a higher floor: {len(wrong)}")
    for pair in wrong:
        print("   ", " -> ".join(pair))
    print(f"largest folder: {name}, {lines} lines, {lines / total:.1%}; most files: {crowded}, {most}")
    for folder, (files, below) in sizes.items():
        print(f"    {folder:32} {files:3} files {below:6} lines {below / total:6.1%}")


if __name__ == "__main__":
    main()
