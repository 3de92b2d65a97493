"""The house rules, read from the source with ``ast``: who imports whom, what stays out, how a file is kept."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import import_graph

PACKAGE = Path(__file__).parents[1] / "flowlab"
MAX_LINES, MAX_CLASS, MAX_FUNCTION = 600, 300, 80
MOST_FILES, LARGEST_SHARE = 16, 0.15
# Longer than that for now, to become shorter.
OWED: set[str] = set()

# What each folder (or file) at the top of flowlab may import besides itself and core.
MAY_IMPORT: dict[str, set[str]] = {
    "hooks": set(),
    "extras": set(),
    "core": set(),
    "systems": set(),
    "nn": set(),
    "storage": set(),
    "estimators": set(),
    "exact": {"systems"},
    "flows": {"nn", "systems.lattice"},
    "mcmc": {"extras", "systems", "estimators"},
    "densities": {"flows", "nn", "mcmc", "systems"},
    "adapters": {"densities"},
    "analysis": {"densities", "flows", "mcmc", "systems", "exact", "estimators"},
    "runs": {"extras", "hooks", "analysis", "storage", "mcmc", "systems", "exact", "estimators"},
    "training": {"runs", "analysis", "storage", "densities", "flows", "mcmc", "systems", "exact", "estimators"},
    "studies": {"training", "runs", "analysis", "densities", "flows", "mcmc", "systems", "exact", "estimators"},
    "figures": {"hooks"},
    "exports": {"extras", "storage", "estimators"},
    "testing": {"extras", "training", "densities", "flows", "mcmc", "systems"},
    "widgets": {"figures", "runs", "analysis", "storage"},
    "manual": {"runs"},
    "cli": {"extras", "exports", "figures", "manual", "studies", "runs", "analysis", "storage", "estimators"},
    "__main__": {"cli"},
}
# The public names: these folders load on first access, inside flowlab's __getattr__.
ON_FIRST_ACCESS = {"figures", "widgets"}

# Third parties that belong to some places only, or to none.
BELONGS_TO = {
    "plotly": {"figures"},
    "rich": {"cli"},
    "ipywidgets": {"widgets"},
    "anywidget": {"widgets"},
    "pyerrors": {"estimators"},
    "numba": {"mcmc", "exact"},
    "dask": {"runs.sweeps.scheduler"},
    "distributed": {"runs.sweeps.scheduler"},
    "dask_jobqueue": {"runs.sweeps.scheduler"},
    "zuko": {"flows.real.spline"},
    "torchdiffeq": {"flows.continuous"},
    "matplotlib": {"figures.stills"},
    "random": set(),
    **{name: set() for name in ("pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")},
}
WITHOUT_TORCH = {"estimators", "figures"}

# Random state that the whole process shares: named outright, or used by a draw that is given no generator.
SEEDING = ("manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state", "fork_rng")
GLOBAL_STATE = {f"torch.{name}" for name in SEEDING}
GLOBAL_STATE |= {f"torch.{module}.{name}" for module in ("random", "cuda", "mps") for name in SEEDING}
GLOBAL_STATE |= {"torch.default_generator", "torch.cuda.manual_seed_all", "torch.nn.functional.gumbel_softmax"}
GLOBAL_STATE |= {"torch.rand_like", "torch.randn_like", "torch.randint_like"}
NUMPY_GENERATORS = {"default_rng", "Generator", "BitGenerator", "SeedSequence", "PCG64", "PCG64DXSM", "Philox", "SFC64"}
TORCH_DRAWS = {"rand", "randn", "randint", "randperm", "bernoulli", "multinomial", "normal", "poisson"}
TENSOR_DRAWS = {"uniform_", "normal_", "bernoulli_", "random_", "exponential_", "cauchy_", "log_normal_", "geometric_"}


def violations(path: str, source: str) -> list[str]:
    """Every rule that a file breaks, as ``"line: what is wrong"``; ``path`` is relative to flowlab/."""
    tree = ast.parse(source)
    lines = len(source.splitlines())
    found = [*bad_imports(path, tree), *bad_calls(tree), *undocumented(tree)]
    if lines > MAX_LINES:
        found.append((lines, f"a file has at most {MAX_LINES} lines"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.end_lineno is not None:
            most = MAX_CLASS if isinstance(node, ast.ClassDef) else MAX_FUNCTION
            if node.end_lineno - node.lineno >= most and node.name not in OWED:
                found.append((node.lineno, f"{node.name} has more than {most} lines"))
    return [f"{line}: {problem}" for line, problem in sorted(found)]


def bad_imports(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, problem) of each import that the tables do not allow."""
    module = path.removesuffix(".py").removesuffix("__init__").strip("/").replace("/", ".")
    home = module.split(".")[0]
    for node, in_function in walk(tree):
        for name in imported_names(path, node):
            top, _, inner = name.partition(".")
            if top in BELONGS_TO and not within(module, BELONGS_TO[top]):
                yield node.lineno, f"{top} belongs to {' and '.join(sorted(BELONGS_TO[top])) or 'no part of flowlab'}"
            if top == "torch" and within(module, WITHOUT_TORCH):
                yield node.lineno, f"{home} works on arrays, without torch"
            if top != "flowlab":
                continue
            if home == "":
                if within(inner, ON_FIRST_ACCESS) and not in_function:
                    yield node.lineno, f"flowlab.{inner} loads on first access only"
            elif not within(inner, MAY_IMPORT[home] | {home, "core"}):
                yield node.lineno, f"{home} may not import {name}"


def imported_names(path: str, node: ast.AST) -> list[str]:
    """Dotted names that a node imports: by a statement, or by import_module with the name written out."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        folders = ["flowlab", *path.split("/")[:-1]]
        base = ".".join([*folders[: len(folders) + 1 - node.level], node.module or ""]) if node.level else node.module
        return [f"{(base or '').strip('.')}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}:
        return [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    return []


def bad_calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, problem) of each pickle that could be read and each use of a shared random state."""
    names = local_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name = dotted(node, names)
            numpy_draw = name.startswith("numpy.random.") and name.split(".")[2] not in NUMPY_GENERATORS
            if numpy_draw or name in GLOBAL_STATE:
                yield node.lineno, f"{name} uses a random state that the whole process shares"
        if isinstance(node, ast.Call):
            name, last = dotted(node.func, names), ast.unparse(node.func).split(".")[-1]
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if name == "torch.load" and given.get("weights_only") != "True":
                yield node.lineno, "torch.load needs weights_only=True"
            if name == "pandas.read_pickle" or given.get("allow_pickle", "False") != "False":
                yield node.lineno, "a pickle is never read"
            draws = name in {f"torch.{draw}" for draw in TORCH_DRAWS} or last in TENSOR_DRAWS
            if draws and "generator" not in given:
                yield node.lineno, f"{last} without generator= uses a random state that the whole process shares"


def undocumented(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, problem) of each public function and class at module level without a docstring."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            overload = any(ast.unparse(mark).endswith("overload") for mark in node.decorator_list)
            if not overload and not ast.get_docstring(node):
                yield node.lineno, f"{node.name} has no docstring"


def walk(node: ast.AST, in_function: bool = False) -> Iterator[tuple[ast.stmt | ast.expr, bool]]:
    """Every statement and expression below a node, with whether it runs only when a function is called."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.expr):
            yield child, in_function
        yield from walk(child, in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def local_names(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for: ``np`` for ``numpy``, ``load`` for ``torch.load``."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """``np.random.rand`` as ``"numpy.random.rand"``; empty where the expression starts with no imported name."""
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value, names)
        return f"{owner}.{node.attr}" if owner else ""
    return names.get(node.id, "") if isinstance(node, ast.Name) else ""


def within(name: str, places: set[str]) -> bool:
    """Whether a dotted name is one of the places, or lies inside one."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES)
def test_a_file_keeps_the_rules(path: str) -> None:
    assert violations(path, (PACKAGE / path).read_text(encoding="utf-8")) == []


def test_there_is_no_circle_and_no_way_up() -> None:
    graph = import_graph.imports(import_graph.modules())
    assert import_graph.circles(graph) == []
    assert import_graph.upward(graph) == []


def test_a_circle_and_a_way_up_are_found() -> None:
    sources = {"core.a": "from flowlab.core import b", "core.b": "from flowlab.core import a", "core": "", "flows": "",
               "flows.x": "def f():\n    from flowlab.densities.y import z", "densities.y": "z = 1"}  # fmt: skip
    graph = import_graph.imports({name: ast.parse(source) for name, source in sources.items()})
    assert import_graph.circles(graph) == [["core.a", "core.b"]]
    assert import_graph.upward(graph) == [("flows.x", "densities.y")]


def test_filters_of_warnings_are_not_changed_where_threads_run() -> None:
    """They are the whole process's: two threads that change them for a while may leave them changed."""
    where = {path for path in FILES if "catch_warnings" in (PACKAGE / path).read_text(encoding="utf-8")}
    assert where == {"cli/__init__.py", "studies/papers/reproduction.py", "estimators/series/gamma.py"}


def test_no_folder_is_crowded() -> None:
    sizes = import_graph.folders()
    total = sizes.pop(".")[1]
    assert {name: files for name, (files, _) in sizes.items() if files > MOST_FILES} == {}
    assert {name: lines for name, (_, lines) in sizes.items() if lines > LARGEST_SHARE * total} == {}


def test_no_module_hides_behind_a_name_of_its_folder() -> None:
    hidden = []
    for path in FILES:
        folder, _, name = path.removesuffix(".py").rpartition("/")
        if name != "__init__":
            package = importlib.import_module(".".join(["flowlab", *filter(None, folder.split("/"))]))
            module = importlib.import_module(".".join(["flowlab", *path.removesuffix(".py").split("/")]))
            if getattr(package, name) is not module:
                hidden.append(path)
    assert hidden == []


def test_every_folder_has_its_row() -> None:
    assert {path.split("/")[0].removesuffix(".py") for path in FILES} <= {*MAY_IMPORT, "__init__"}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("flows/new.py", "from flowlab.densities import MADE"),
        ("flows/new.py", "from flowlab import densities"),
        ("flows/new.py", "from flowlab import Ising"),
        ("flows/new.py", "import flowlab"),
        ("flows/new.py", "from flowlab.systems import Ising"),
        ("flows/new.py", "from ..densities import MADE"),
        ("flows/__init__.py", "from ..densities.made import MADE"),
        ("flows/new.py", "def _f():\n    from flowlab.runs import Experiment"),
        ("flows/new.py", "import importlib\nimportlib.import_module('flowlab.training')"),
        ("flows/new.py", "if TYPE_CHECKING:\n    import flowlab.training"),
        ("cli.py", "from flowlab.widgets import Lab"),
        ("__init__.py", "from flowlab.figures import training_curve"),
        ("runs/run.py", "from flowlab.widgets import Lab"),
        ("runs/run.py", "def _f():\n    from flowlab.widgets import Lab"),
        ("runs/registry.py", "import flowlab.studies"),
        ("estimators/weights/weights.py", "import torch"),
        ("figures/layers.py", "from torch import Tensor"),
        ("figures/layers.py", "from flowlab import estimators"),
        ("figures/layers.py", "def _f():\n    from flowlab.analysis import measure_overlaps"),
        ("widgets/lab.py", "import plotly.graph_objects as go"),
        ("storage/store.py", "import dask"),
        ("storage/store.py", "import pickle"),
        ("storage/store.py", "import torch\ntorch.load('x')"),
        ("storage/store.py", "from torch import load as read\nread('x', weights_only=False)"),
        ("storage/store.py", "import numpy as np\nnp.load('x', allow_pickle=True)"),
        ("nn/mlp.py", "import torch\ntorch.manual_seed(0)"),
        ("nn/mlp.py", "import torch\nwith torch.random.fork_rng(): pass"),
        ("nn/mlp.py", "import torch\ntorch.randn(3)"),
        ("nn/mlp.py", "import torch\ntorch.empty(3).normal_()"),
        ("nn/mlp.py", "import torch.nn.functional as F\nF.gumbel_softmax(x)"),
        ("exact/new.py", "import numpy as np\nnp.random.rand(3)"),
        ("exact/new.py", "from numpy.random import seed\nseed(0)"),
        ("exact/new.py", "from numpy import random\nrandom.shuffle([1])"),
        ("exact/new.py", "import random"),
        ("exact/new.py", "def public(): pass"),
        ("exact/new.py", "class Public: pass"),
        ("exact/new.py", "#\n" * (MAX_LINES + 1)),
        ("exact/new.py", "def _long():\n" + "    pass\n" * MAX_FUNCTION),
        ("exact/new.py", "class _Long:\n" + "    x = 1\n" * MAX_CLASS),
    ],
)
def test_a_broken_rule_is_found(path: str, source: str) -> None:
    assert len(violations(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("__init__.py", "from flowlab.systems import Ising"),
        ("__init__.py", "def __getattr__(name):\n    from flowlab import figures"),
        ("flows/new.py", "from flowlab.systems import lattice\nfrom flowlab.systems.lattice import window"),
        ("flows/new.py", "from flowlab.core import Flow\nfrom flowlab import core, nn\nfrom . import xor"),
        ("flows/__init__.py", "from .xor import XorCoupling\nfrom ..nn import MLP"),
        ("flows/real/spline.py", "import zuko"),
        ("storage/store.py", "import torch\ntorch.load('x', weights_only=True)"),
        ("nn/mlp.py", "import torch\ntorch.randn(3, generator=g)\ntorch.Generator().manual_seed(0)"),
        ("exact/new.py", "import numpy as np\nrng = np.random.default_rng(0)\nrng.normal()\nx: np.random.Generator"),
        ("exact/new.py", "def _private(): pass\ndef public():\n    'What it is.'"),
        ("exact/new.py", "#\n" * MAX_LINES),
    ],
)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert violations(path, source) == []
