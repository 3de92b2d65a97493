"""Glasses at equal processor seconds, training included: learned samplers, tempering, and tensor networks of planes.

    python benchmarks/glasses.py [--only 2D --only L=16] [--seconds-scale 1] [--limit SECONDS] [--out FILE]

Every instance is measured in three or four ways, each with the same seconds of processor time (``seconds``; those used
are in ``took``): *learned*, `glass-autoregressive network=graph training=sequential`, trained and then drawn from;
*tempering*, with isoenergetic clusters on sparse graphs, its ladder included, the first quarter of its sweeps left out;
and on open planes *tensor network*, for as long as it takes. *Reference* is another tempering of these seconds and its
own seed, with which all are compared; whether it thermalised is said.

``ESS`` and ``KL(q|p)`` = ln Z - bound, in nats, are of densities. ``P(|q|)`` is the total variation of the distribution
of overlaps to that of the reference, from plain draws without weights; ``noise`` what errors alone make of it,
``published`` the distance to the distribution in ``tests/data`` where that has the instance.
``E off`` is the energy per site less the reference's, with the weights of a density, in joint standard errors;
``E error`` its own. ``ln Z off`` is the same of ln Z. ``valleys`` are those found of the reference's: groups of
configurations with |q| above 0.7 with the first of them, of at least a hundredth of the reference, found where one of
2,000 draws falls into it. ``E lowest`` is that of any configuration that was met. A row is written when it is done, and
not measured again.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import _machine as machine
import numpy as np
import torch

import flowlab as fl
from flowlab import estimators
from flowlab.core import named_generator
from flowlab.estimators.observables.overlaps import folded_histogram
from flowlab.estimators.series.tempering import log_z_bennett, thermalisation, thermodynamics
from flowlab.estimators.weights import weights
from flowlab.mcmc import ParallelTempering, adapted_ladder
from flowlab.studies.glass.couplings import Glass

PLANE: dict[str, Any] = {"couplings": "ea", "d": 2, "kind": "pm1", "T": 0.5}
SOLID: dict[str, Any] = {"couplings": "ea", "d": 3, "kind": "pm1", "T": 1.1}
GRAPH: dict[str, Any] = {"couplings": "regular", "N": 256, "degree": 3, "kind": "pm1", "T": 0.5}
DENSE: dict[str, Any] = {"couplings": "sk", "T": 0.5}
LEARNING: dict[str, Any] = {"width": 8, "batch": 500, "lr": 4e-3, "population": 2000, "renew": 10}


class Row(NamedTuple):
    """A system, its three instances, and the seconds of each method."""

    name: str
    keys: dict[str, Any]
    seconds: float
    learning: dict[str, Any]


ROWS = [
    Row("2D L=8", PLANE | {"L": 8}, 10, {}),
    Row("3D L=4", SOLID | {"L": 4}, 10, {}),
    Row("2D L=16", PLANE | {"L": 16}, 45, {}),
    Row("3D L=6", SOLID | {"L": 6}, 45, {}),
    Row("SK N=128", DENSE | {"N": 128}, 45, {}),
    Row("2D open L=16", PLANE | {"L": 16, "boundary": "open"}, 45, {}),
    Row("regular N=256", GRAPH, 45, {}),
    Row("SK N=256", DENSE | {"N": 256}, 120, {}),
    Row("3D L=8", SOLID | {"L": 8}, 120, {}),
    Row("2D L=32", PLANE | {"L": 32}, 120, {"reach": 8}),
]
INSTANCES = (0, 1, 2)
COLUMNS: list[machine.Column] = [
    ("system", 13, "s"), ("J", 2, "d"), ("method", 14, "s"), ("seconds", 7, ".0f"), ("took", 6, ".0f"),
    ("ESS", 6, ".3f"), ("KL(q|p)", 7, ".3f"), ("P(|q|)", 6, ".3f"), ("noise", 6, ".3f"), ("published", 9, ".3f"),
    ("E off", 6, ".1f"), ("E error", 8, ".5f"), ("ln Z off", 8, ".1f"), ("ln Z error", 10, ".4f"), ("valleys", 7, "s"),
    ("E lowest", 9, ".4f"), ("reference", 15, "s"),
]  # fmt: skip
PUBLISHED = Path(__file__).parents[1] / "tests" / "data" / "public_sk_pt.json"
DRAWS, COMPARED, SAME = 20_000, 5000, 0.7
REPLICAS, EVERY = 8, 5


class Found(NamedTuple):
    """What one method has: (sets, n, N) configurations, the energy per site, ln Z, the lowest energy per site."""

    spins: np.ndarray
    energy: estimators.Estimate
    log_z: estimators.Estimate
    lowest: float
    took: float
    ess: float | None = None
    kl: float | None = None
    thermalised: bool | None = None


def tempered(system: fl.SpinGlass, T: float, seconds: float, seed: int, clusters: bool) -> Found:
    """Parallel tempering for so many seconds of processor time."""
    start = time.process_time()
    wanted = adapted_ladder(system, [T], replicas=4, seed=seed, clusters=clusters)
    chain = ParallelTempering(system, wanted, replicas=REPLICAS, clusters=clusters)
    state = chain.init(generator=named_generator(seed, "glasses"))
    energies, spins, trips = [], [], []
    while time.process_time() - start < seconds or len(energies) < 20:
        state, part, kept = chain.run(state, 20 * EVERY, every=EVERY, keep=[0])
        energies.append(part[:, 0])
        spins.append(kept[:, 0, :, 0])
        trips.append(chain.by_replica(state.round_trips)[0])
    took, first = time.process_time() - start, len(energies) // 4
    series, at = np.concatenate(energies[first:]), wanted.index(T)
    energy = thermodynamics(series, wanted, system.n_sites).energy_per_site
    log_z = log_z_bennett(series, wanted, system.n_sites)
    verdict = thermalisation(series, wanted, round_trips=trips[-1] - trips[first - 1])
    return Found(
        np.concatenate(spins[first:]).swapaxes(0, 1), estimators.Estimate(energy.value[at], energy.error[at]),
        estimators.Estimate(log_z.value[at], log_z.error[at]), float(state.lowest.min()) * chain.unit / system.n_sites,
        took, thermalised=verdict.thermalised,
    )  # fmt: skip


def drawn(system: fl.SpinGlass, density: fl.Density, start: float) -> Found:
    """Draws of a density, with its weights."""
    x, log_q = density.sample(DRAWS, generator=named_generator(0, "glasses"))
    energies = system.energy(x.double()).numpy() / system.n_sites
    log_w = system.log_weight(x.double()).numpy() - log_q.double().numpy()
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    mean = float(w @ energies)
    energy = estimators.Estimate(mean, float(np.sqrt(np.square(w) @ np.square(energies - mean))))
    log_z = weights.log_z(log_w)
    spins = x[:COMPARED].flatten(1).to(torch.int8).numpy()[None]
    took = time.process_time() - start
    return Found(spins, energy, log_z, float(energies.min()), took, weights.ess(log_w).value, -float(log_w.mean()))


def learned(keys: dict[str, Any], how: dict[str, Any], seconds: float) -> Found:
    """Sequential tempering with the steps that fit, a twelfth of the seconds left for the draws."""
    clusters = {} if keys["couplings"] == "sk" else {"clusters": keys["d"] == 2 if "d" in keys else True}
    study = "sk-autoregressive" if keys["couplings"] == "sk" else "glass-autoregressive"
    keys = {k: v for k, v in keys.items() if not (study.startswith("sk") and k == "couplings")}
    keys |= clusters | LEARNING | how | {"network": "graph", "training": "sequential", "device": "cpu", "threads": 1}
    steps = machine.steps_that_fit(fl.experiment(study, **keys, steps=1000), 0.85 * seconds, 50)
    start = time.process_time()
    run = fl.experiment(study, **keys, steps=steps)
    run.run(progress=False)
    found = drawn(run.system, run.density, start)
    met = run.system.energy(run.objective.population.double()).min() / run.system.n_sites
    return found._replace(lowest=min(found.lowest, float(met)))


def network(keys: dict[str, Any]) -> Found:
    start = time.process_time()
    run = fl.experiment("tensor-network", **keys, device="cpu", chi=16)
    return drawn(run.system, run.density, start)


def valleys(spins: np.ndarray, reference: np.ndarray) -> str:
    """How many of the reference's valleys are found, of how many; see the top of this file."""
    flat = reference.reshape(-1, reference.shape[-1]).astype(np.float32)
    flat, leaders, share = flat[:: -(-len(flat) // 2000)], [], []
    ours = spins.reshape(-1, spins.shape[-1]).astype(np.float32)
    ours = ours[:: -(-len(ours) // 2000)]
    left, mine = flat, ours
    while len(left):
        leader = left[0]
        near, here = (np.abs(part @ leader) / len(leader) > SAME for part in (left, mine))
        leaders.append(int(here.sum()))
        share.append(near.mean() * len(left) / len(flat))
        left, mine = left[~near], mine[~here]
    large = [count for count, part in zip(leaders, share, strict=True) if part >= 0.01]
    return f"{sum(count > 0 for count in large)}/{len(large)}"


def published(keys: dict[str, Any], J: int, model: estimators.Overlaps) -> float | None:
    """Total variation of P(|q|) to the reference values of the tests, None where they lack the instance."""
    for case in json.loads(PUBLISHED.read_text())["cases"] if keys["couplings"] == "sk" else ():
        for row in case["overlaps"]:
            if (case["N"], case["seed"], row["T"]) == (keys["N"], J, keys["T"]):
                ours = folded_histogram(model.probability)
                return estimators.total_variation(ours, row["P_abs_q_desc"][::-1])
    return None


def compared(method: str, row: Row, J: int, seconds: float, found: Found, reference: Found) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    thin = [spins[:, :: -(-spins.shape[0] * spins.shape[1] // 8000)] for spins in (found.spins, reference.spins)]
    ours = thin[0][0] if len(thin[0]) == 1 else thin[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same = estimators.mode_collapse(ours, thin[1], rng=rng)

    def off(mine: estimators.Estimate, other: estimators.Estimate) -> float | None:
        error = math.hypot(mine.error, other.error)
        return (mine.value - other.value) / error if error > 0 else None

    log_z = found.log_z.value if found.ess is not None and found.ess * DRAWS > 1000 else reference.log_z.value
    made = {
        "system": row.name, "J": J, "method": method, "seconds": seconds, "took": found.took, "ESS": found.ess,
        "KL(q|p)": None if found.kl is None else found.kl + log_z, "P(|q|)": same.total_variation.value,
        "noise": same.total_variation_floor, "published": published(row.keys, J, same.model),
        "E off": off(found.energy, reference.energy),
        "E error": found.energy.error, "ln Z off": off(found.log_z, reference.log_z), "ln Z error": found.log_z.error,
        "valleys": valleys(found.spins, reference.spins), "E lowest": found.lowest,
        "reference": "thermalised" if reference.thermalised else "not thermalised",
    }  # fmt: skip
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in made.items()}


def measured(row: Row, J: int, scale: float) -> list[dict[str, Any]]:
    """All methods on one instance."""
    keys, seconds = row.keys | {"seed_J": J}, row.seconds * scale
    system, T, sparse = Glass(**keys).system(), keys["T"], keys["couplings"] != "sk"
    reference = tempered(system, T, seconds, 1000 + J, sparse)
    found = {
        "learned": learned(keys, row.learning, seconds),
        "tempering": tempered(system, T, seconds, 2000 + J, sparse),
    }
    if keys.get("boundary") == "open":
        found["tensor network"] = network(keys)
    about = {"keys": {k: v for k, v in keys.items() if k != "seed_J"}, "commit": machine.describe()["commit"]}
    return [compared(method, row, J, seconds, what, reference) | about for method, what in found.items()]


def written(path: Path) -> list[dict[str, Any]]:
    """The rows that an earlier call has left."""
    return list(json.loads(path.read_text())["rows"]) if path.exists() else []


def main() -> None:
    parser = machine.parser(__doc__, "glasses")
    parser.add_argument("--only", action="append", default=[], help="words that a system's name must have")
    parser.add_argument("--instances", type=int, default=len(INSTANCES), help="of each system (default 3)")
    parser.add_argument("--seconds-scale", type=float, default=1.0, help="of all seconds")
    parser.add_argument("--limit", type=float, default=math.inf, help="wall seconds after which no row is begun")
    options = parser.parse_args()
    torch.set_num_threads(1)
    begun, rows = time.monotonic(), written(options.out)
    tempered(fl.SpinGlass.edwards_anderson((3, 3), 1.0), 1.0, 0.0, 0, True)  # compiles
    print(machine.head(COLUMNS))
    for J in INSTANCES[: options.instances]:
        for row in ROWS:
            if not all(word in row.name.split() for word in options.only):
                continue
            same = {"system": row.name, "J": J, "seconds": row.seconds * options.seconds_scale}
            found = [one for one in rows if same.items() <= one.items()]
            if not found:
                if time.monotonic() - begun > options.limit:
                    continue
                found = measured(row, J, options.seconds_scale)
                rows = [one for one in rows if (one["system"], one["J"]) != (row.name, J)] + found
                order = [one.name for one in ROWS]
                rows.sort(key=lambda one: (order.index(one["system"]), one["J"]))
                machine.write(options.out, rows)
            for one in found:
                print(machine.line(one, COLUMNS), flush=True)


if __name__ == "__main__":
    main()
