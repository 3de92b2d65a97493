"""Every number that a paper states: each preset is built, and what it says is read off the built objects."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest

import flowlab as fl
from flowlab.manual import described
from flowlab.runs.keys import Stated
from flowlab.runs.registry import experiment, studies
from flowlab.runs.schema import Study


def flow(run: Any) -> list[Any]:
    return list(run.density.flow)


def couplings(run: Any, label: str) -> list[Any]:
    return [layer for layer in flow(run) if layer.label == label]


def network_of(layer: Any) -> Any:
    return getattr(layer.network, "network", layer.network)


def blocks(run: Any) -> str | int:
    if run.density.in_levels:
        return len(level(run).network.rising)
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
    if "N" in run.keys:
        widths = {width for layer in masked(run) for width in layer.network.sizes[1:-1]}
        return None if widths == {run.system.n_sites} else widths.pop()
    if run.density.in_levels:
        found = level(run)
        if hasattr(found, "network"):
            return len(found.network.rising[0])
        return len(found.window if hasattr(found, "window") else found.kernel)
    network = network_of(couplings(run, "affine")[0])
    widths = network.sizes[1:-1] if net(run) == "fc" else [len(w) for w in network.weights[:-1]]
    return None if set(widths) == {run.system.n_sites if net(run) == "fc" else 8} else widths[0]


def depth(run: Any) -> int:
    return len(network_of(couplings(run, "affine")[0]).weights) - 1


def odd(run: Any) -> str | bool:
    if run.density.in_levels:
        return run.density.odd
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


def level(run: Any) -> Any:
    """The networks of the finest centres."""
    return run.density.conditionals["0 centre"]


def van(run: Any) -> Any:
    """The PixelCNN of a run, or of its coarsest lattice."""
    density = getattr(run.density, "base", None) if run.density.in_levels else run.density
    return getattr(density, "density", density)


def causal_side(network: Any) -> int:
    """Of the windows, of which half the sites come before the one in the middle."""
    return math.isqrt(2 * network.first.weight.shape[-1] + 1)


def base(run: Any) -> str:
    network = van(run).network
    assert [len(network.blocks) + 1, len(network.first.weight), causal_side(network)] == [3, 12, 13]
    assert type(run.objective).__name__ == "ReverseKL"
    return "pixelcnn"


def shares(run: Any) -> str:
    """Steps of each lattice, the smallest first; each twice as long as the one before it."""
    sides = [stage.system.shape[0] for stage in run.stages]
    assert sides == [2**k for k in range(1, len(sides) + 1)]
    return ",".join(str(stage.steps) for stage in run.stages)


def coupling(run: Any) -> str:
    K = [1 / float(stage.system.couplings["T"]) for stage in run.stages][::-1]
    for larger, smaller in itertools.pairwise(K):
        for _ in range(2):
            larger = 3 / 8 * math.log(math.cosh(4 * larger))
        assert smaller == pytest.approx(larger, rel=1e-4, abs=1e-8)
    return "renormalised"


def symmetric(run: Any) -> bool:
    if not run.density.in_levels:
        return isinstance(run.density, fl.Z2Symmetrized)
    even = run.density.flip_action() is not None
    if hasattr(level(run), "bias"):
        assert (level(run).bias is None) == even == isinstance(run.density.base, fl.Z2Symmetrized)
    return even


def steps(run: Any) -> int:
    """0 where nothing is learned."""
    return run.steps if any(weight.requires_grad for weight in run.density.parameters()) else 0


def components(run: Any) -> int:
    single, pairs = run.density.mixtures.sizes[:2]
    return single + 2 * pairs


def mask(run: Any) -> Any:
    """The network of an XOR layer's mask, the same in all of them."""
    networks = [layer.network for layer in flow(run)]
    assert len({(network.skip.shape, len(network.weights)) for network in networks}) == 1
    return networks[0]


def alternating(run: Any) -> str:
    """What the layers are; their sublattices take turns."""
    for a, b in itertools.pairwise(flow(run)):
        assert bool((a.deciding != b.deciding).all())
    return {layer.label for layer in flow(run)}.pop()


def of_all(name: str) -> Callable[[Any], Any]:
    """What all XOR layers have."""

    def read(run: Any) -> Any:
        (found,) = {getattr(layer, name) for layer in flow(run)}
        return found or "none"

    return read


OF_XOR: dict[str, Callable[[Any], Any]] = {
    "base": lambda run: type(run.density.base).__name__.lower(),
    "baseline": lambda run: "learned" if run.objective.site_baseline is not None else "other",
    "construction": alternating,
    "depth": lambda run: len(run.density.base.hidden_layers),
    "gradient": lambda run: {layer.sign.gradient for layer in flow(run)}.pop(),
    "kernel": lambda run: math.isqrt(2 * mask(run).skip.shape[1] + 1),
    "layers": lambda run: len(flow(run)),
    "mask_depth": lambda run: len(mask(run).weights) - 1,
    "mask_width": lambda run: len(mask(run).weights[0]),
    "order": lambda run: (
        "raster" if run.density.base.site_order.tolist() == list(range(run.system.n_sites)) else "other"
    ),
    "parity": of_all("parity"),
    "start": of_all("start"),
    "width": lambda run: len(run.density.base.hidden_layers[0].weight) / run.system.n_sites,
    "z2": lambda run: isinstance(run.density.base, fl.Z2Symmetrized),
}


TABLE_I = {6: 0.537, 8: 0.576, 10: 0.601, 12: 0.616, 14: 0.626, 16: 0.634, 18: 0.641, 20: 0.645}


def beta(run: Any) -> float | None:
    """None where it is that of table I for the side."""
    found = 2 * float(run.system.couplings["kappa"])
    return None if found == pytest.approx(TABLE_I.get(run.system.shape[0], 0.0)) else found


def masked(run: Any) -> list[Any]:
    """The affine layers of a glass: masks in pairs, networks as the paper has them."""
    flows = [layer for layer in (plain(run)).flow if layer.label == "affine"]
    for a, b in itertools.pairwise(flows[:2]):
        assert sorted([*a.changed.tolist(), *b.changed.tolist()]) == list(range(run.system.n_sites))
    for layer in flows:
        assert len(layer.network.sizes) == 5 and layer.network.copies == 2 and layer.network.activation == "leaky_relu"
    return flows


def plain(run: Any) -> Any:
    return run.density.density if isinstance(run.density, fl.Z2Symmetrized) else run.density


def whiten(run: Any) -> str:
    return "none" if all(layer.label == "affine" for layer in plain(run).flow) else "some"


READ: dict[str, Callable[[Any], Any]] = {
    "L": lambda run: run.system.shape[0],
    "anneal": lambda run: 0.0 if all(stage.annealing is None for stage in run.stages) else math.nan,
    "batch": lambda run: run.batch,
    "T": lambda run: float(run.system.couplings["T"]),
    "base": base,
    "beta1": lambda run: run.optimisation.settings["betas"][0],
    "beta2": lambda run: run.optimisation.settings["betas"][1],
    "beta": beta,
    "bins": lambda run: couplings(run, "spline")[0].bins,
    "blocks": blocks,
    "bound": lambda run: couplings(run, "spline")[0].bound,
    "channels": lambda run: len(van(run).network.first.weight),
    "coarsest": lambda run: run.density.coarsest,
    "components": components,
    "conditional": lambda run: run.density.conditional,
    "coupling": coupling,
    "grow": lambda run: len(run.stages) > 1,
    "heads": lambda run: level(run).network.heads,
    "kernel": lambda run: causal_side(van(run).network),
    "kernels": lambda run: ",".join(str(math.isqrt(w.numel() // 12)) for w in (level(run).kernel, level(run).output)),
    "kind": lambda run: run.density.kind,
    "layers": lambda run: len(masked(run) if "N" in run.keys else van(run).network.blocks) + ("N" not in run.keys),
    "N": lambda run: run.system.n_sites,
    "epsilon": lambda run: run.target.epsilon,
    "online": lambda run: type(run.objective).__name__ == "FreshForwardKL",
    "patience": lambda run: run.stages[-1].patience,
    "redraw": lambda run: run.objective.redraw,
    "samples": lambda run: run.comparison.steps * run.comparison.replicas,
    "sweeps": lambda run: run.comparison.every,
    "whiten": whiten,
    "network": lambda run: type(level(run)).__name__.removesuffix("Logits").lower(),
    "shares": shares,
    "symmetric": symmetric,
    "width": lambda run: run.density.networks[run.density.crosses[0].key].width,
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
    "steps": steps,
    "warmup": optimised("warmup"),
    "weight_decay": optimised("weight_decay"),
    "z2": lambda run: isinstance(run.density, fl.Z2Symmetrized),
}


def lines_of(study: Study, preset: str) -> list[Stated]:
    return [line for line in study.stated if preset in line.presets]


PRESETS = [(name, preset) for name, study in studies().items() for preset in study.presets if lines_of(study, preset)]


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_a_preset_says_what_its_paper_says(name: str, preset: str) -> None:
    study = studies()[name]
    run = experiment(name, **study.presets[preset])
    for line in lines_of(study, preset):
        for key, value in line.keys.items():
            read = (OF_XOR if name == "ising-xor" else READ).get(key, READ.get(key))
            assert read(run) == (pytest.approx(value) if isinstance(value, float) else value), (line.says, key)


@pytest.mark.parametrize("study", [study for study in studies().values() if study.stated], ids=lambda study: study.name)
def test_every_key_of_a_preset_is_stated_and_every_line_is_of_a_preset(study: Study) -> None:
    told = described(study)
    for line in study.stated:
        assert set(line.presets) and set(line.presets) <= set(study.presets), line.says
        assert line.keys or line.open or line.differs, line.says
        assert " ".join(line.where.split()) in " ".join(told.split())
    for preset, values in study.presets.items():
        lines = lines_of(study, preset)
        if (study.name, preset) in PRESETS:
            assert set(values) <= {key for line in lines for key in line.keys}, preset
