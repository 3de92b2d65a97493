"""Every number that a paper states: each preset is built, and what it says is read off the built objects."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import flowlab as fl
from flowlab.manual import described
from flowlab.runs.keys import Stated
from flowlab.runs.registry import Study, experiment, studies


def flow(run: Any) -> list[Any]:
    return list(run.density.flow)


def couplings(run: Any, label: str) -> list[Any]:
    return [layer for layer in flow(run) if layer.label == label]


def network_of(layer: Any) -> Any:
    return getattr(layer.network, "network", layer.network)


def blocks(run: Any) -> str:
    short = {"affine": "aff", "additive": "add", "spline": "rqs"}
    labels = [short[layer.label] for layer in flow(run) if layer.label in short]
    assert labels[::2] == labels[1::2], "two layers a block"
    masks = [layer.changed.tolist() for layer in flow(run) if layer.label in short]
    assert all(sorted(a + b) == list(range(run.system.n_sites)) for a, b in zip(masks[::2], masks[1::2], strict=True))
    return ",".join(labels[::2])


def net(run: Any) -> str:
    kinds = {type(network_of(layer)).__name__ for layer in couplings(run, "affine")}
    if kinds == {"MLP"}:
        assert {layer.network.activation for layer in couplings(run, "affine")} == {"tanh"}
    return {"MLP": "fc", "StackedConvolutions": "stack", "FieldNetwork": "bounded"}[kinds.pop()]


def hidden(run: Any) -> int | None:
    """None where it is the number of sites, or 8 channels of a stack."""
    network = network_of(couplings(run, "affine")[0])
    widths = network.sizes[1:-1] if net(run) == "fc" else [len(w) for w in network.weights[:-1]]
    return None if set(widths) == {run.system.n_sites if net(run) == "fc" else 8} else widths[0]


def depth(run: Any) -> int:
    return len(network_of(couplings(run, "affine")[0]).weights) - 1


def odd(run: Any) -> str:
    of = {layer.odd for layer in couplings(run, "affine")}, {layer.odd for layer in couplings(run, "spline")}
    for layer in couplings(run, "affine"):
        assert (len(network_of(layer).biases) == 0) == layer.odd
    return "none" if of[0] == {False} else "affine" if of[1] <= {False} else "all"


def form(run: Any) -> str:
    free = all(isinstance(layer, fl.flows.ContractingCoupling) for layer in couplings(run, "affine"))
    return "published" if free and not any(layer.limited for layer in couplings(run, "spline")) else "bounded"


def optimised(name: str) -> Callable[[Any], Any]:
    return lambda run: run.optimisation.settings[name]


def rate(run: Any) -> float:
    (found,) = set(run.optimisation.learning_rate.values())
    assert run.optimisation.settings["betas"] == (0.9, 0.999), "Adam as it is"
    return found


READ: dict[str, Callable[[Any], Any]] = {
    "L": lambda run: run.system.shape[0],
    "anneal": lambda run: 0.0 if all(stage.annealing is None for stage in run.stages) else math.nan,
    "batch": lambda run: run.batch,
    "beta": lambda run: (
        None if run.system.couplings["kappa"] == fl_beta(run) / 2 else run.system.couplings["kappa"] * 2
    ),
    "bins": lambda run: couplings(run, "spline")[0].bins,
    "blocks": blocks,
    "bound": lambda run: couplings(run, "spline")[0].bound,
    "clip": optimised("clip"),
    "decimated": lambda run: run.target is not run.system,
    "depth": depth,
    "final": optimised("final"),
    "form": form,
    "gradient": lambda run: {"ReverseKL": "pathwise", "PathGradient": "path"}[type(run.objective).__name__],
    "hidden": hidden,
    "lam": lambda run: float(run.system.couplings["lam"]),
    "lr": rate,
    "net": net,
    "odd": odd,
    "spectral": lambda run: any(layer.label == "spectral" for layer in flow(run)),
    "rescale": lambda run: flow(run)[-1].label == "rescaling",
    "schedule": optimised("schedule"),
    "steps": lambda run: run.steps,
    "warmup": optimised("warmup"),
    "weight_decay": optimised("weight_decay"),
    "z2": lambda run: isinstance(run.density, fl.Z2Symmetrized),
}


def fl_beta(run: Any) -> float:
    return {6: 0.537, 8: 0.576, 10: 0.601, 12: 0.616, 14: 0.626}[run.system.shape[0]]


def lines_of(study: Study, preset: str) -> Iterator[Stated]:
    yield from (line for line in study.stated if not line.presets or preset in line.presets)


PRESETS = [
    (name, preset)
    for name, study in studies().items()
    for preset in study.presets
    if study.stated and any(preset in line.presets for line in study.stated)
]


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_a_preset_says_what_its_paper_says(name: str, preset: str) -> None:
    study = studies()[name]
    run = experiment(name, **study.presets[preset])
    for line in lines_of(study, preset):
        for key, value in line.keys.items():
            assert READ[key](run) == (pytest.approx(value) if isinstance(value, float) else value), (line.says, key)


@pytest.mark.parametrize("study", [study for study in studies().values() if study.stated], ids=lambda study: study.name)
def test_every_key_of_a_preset_is_stated_and_every_line_is_of_a_preset(study: Study) -> None:
    told = described(study)
    for line in study.stated:
        assert not line.presets or set(line.presets) & set(study.presets), line.says
        assert line.keys or line.open or line.differs, line.says
        assert " ".join(line.where.split()) in " ".join(told.split())
    for preset, values in study.presets.items():
        lines = list(lines_of(study, preset))
        if (study.name, preset) in PRESETS:
            assert set(values) <= {key for line in lines for key in line.keys}, preset
