"""A batch that several processes draw together, and the steps that they take with it."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest
import torch

import flowlab as fl
from flowlab.core.generators import ALONE, Portion, portioned
from flowlab.densities.multilevel.hierarchical import Hierarchical
from flowlab.densities.refined.coarse_chain import CoarseHMC, CoarseLangevin
from flowlab.runs.process import ProcessEnded
from flowlab.systems import Phi4
from flowlab.training import processes
from flowlab.training.objectives.ir_matching import IRMatching
from flowlab.training.objectives.over_couplings import OverCouplings
from flowlab.training.objectives.reverse_kl import PathGradient, ReverseKL
from flowlab.training.objectives.uv_matching import UVMatching
from tests.laws.registry import shaken
from tests.runs.small_runs import SMALL, by_hand, records

N = 16


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class InThreads:
    """What a process group does, among threads of this process."""

    def __init__(self, count):
        self.barrier, self.tensors = threading.Barrier(count), [None] * count
        self.portions = [Portion(rank, count, _Member(self, rank)) for rank in range(count)]

    def all(self, does):
        """What a function gives in each of the threads."""
        found = [None] * len(self.portions)

        def one(rank):
            try:
                with portioned(self.portions[rank]):
                    found[rank] = does()
            except BaseException as error:
                found[rank] = error
                self.barrier.abort()

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(len(found))]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return found


class _Member:
    def __init__(self, group, rank):
        self.group, self.rank = group, rank

    def _all(self, tensor):
        self.group.tensors[self.rank] = tensor.clone()
        self.group.barrier.wait(30)
        found = [one.clone() for one in self.group.tensors]
        self.group.barrier.wait(30)
        return found

    def allgather(self, parts, tensors):
        for part, one in zip(parts[0], self._all(tensors[0]), strict=True):
            part.copy_(one)
        return self

    def allreduce(self, tensors):
        tensors[0].copy_(sum(self._all(tensors[0])))
        return self

    def wait(self):
        pass


def xor():
    base = fl.MADE((4, 4), generator=torch.Generator().manual_seed(1))
    return fl.Z2Symmetrized(fl.Pushforward(fl.XorCoupling((4, 4), gradient="gumbel"), base))


def spins(objective):
    return lambda: (fl.Ising((4, 4), T=2.4), xor(), objective())


def fields():
    masks = fl.flows.checkerboard_masks((4, 4), 2)
    flow = fl.Composed([fl.AffineCoupling(mask) for mask in masks])
    return Phi4((4, 4), kappa=0.25, lam=0.02), fl.Pushforward(flow, fl.Normal((4, 4))), PathGradient()


def refined(objective, sampler=CoarseHMC, learned=("kappa",)):
    def made():
        coarse = Phi4((2, 2), kappa=0.25, lam=0.02)
        density = fl.densities.Upscaled(
            fl.densities.CoarseFields(coarse, sampler(coarse, chains=N), learned=learned), (4, 4)
        )
        target = Phi4((4, 4), kappa=0.25, lam=0.02)
        return target, density, objective(target)

    return made


def langevin(system, chains):
    return CoarseLangevin(system, chains=chains, thermalise=20, steps=5)


def over():
    interval = {"beta": (0.3, 0.5)}
    target, density, objective = spins(ReverseKL)()
    return target, fl.Conditional(density, interval), OverCouplings(objective, interval, 2)


LOSSES = {
    "leave one out": spins(ReverseKL),
    "running average": spins(lambda: ReverseKL("running")),
    "learned baseline": lambda: (fl.Ising((4, 4), T=2.4), fl.MADE((4, 4)), ReverseKL("learned", n_sites=16)),
    "path": fields,
    "over couplings": over,
    "ir matching": refined(lambda target: IRMatching()),
    "ir matching, pathwise": refined(lambda target: IRMatching("pathwise"), langevin),
    "uv matching": refined(lambda target: UVMatching(target, samples=N), learned=()),
}


@pytest.mark.filterwarnings("ignore:a pathwise gradient")
@pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)
def test_the_gradient_of_two_portions_is_that_of_the_batch(make):
    def stepped():
        target, density, objective = make()
        stage = fl.training.Stage(
            target, shaken(density, 0.1), objective, steps=9, batch=N, annealing=None, clip=1e9,
            learning_rate=dict.fromkeys(("base", "flow", "couplings", "baseline"), 1e-9),
        )  # fmt: skip
        rows = [stage.advance(done) for done in range(2)]
        gradients = [p.grad for group in stage.optimisation.groups.values() for p in group if p.grad is not None]
        return rows, gradients, stage.generator.get_state()

    whole = stepped()
    for rows, gradients, state in InThreads(2).all(stepped):
        assert torch.equal(state, whole[2])
        assert len(gradients) == len(whole[1]) > 0 and any(bool(g.any()) for g in gradients)
        for mine, theirs in zip(gradients, whole[1], strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-11)
        for mine, theirs in zip(rows, whole[0], strict=True):
            assert mine == pytest.approx(theirs, rel=1e-9, abs=1e-11, nan_ok=True)


def test_samples_are_those_of_one_process_on_all_of_them():
    density = fl.Multilevel((8, 4))

    def sampled():
        return density.sample(1000, generator=torch.Generator().manual_seed(3))

    x, log_q = sampled()
    for mine, own_log_q in InThreads(4).all(sampled):
        assert torch.equal(mine, x)
        torch.testing.assert_close(own_log_q, log_q)
    assert all(torch.equal(found[0], x) for found in InThreads(3).all(sampled))  # which 1000 rows cannot be parted in


def test_a_batch_that_is_not_parted_is_one_process_s():
    assert ALONE.whole(x := torch.ones(3)) is x and ALONE.mine(x) is x


def test_two_processes_one_and_two_take_the_steps_of_one_and_a_killed_one_loses_nothing(tmp_path, monkeypatch):
    others, begin = [], processes.Other.begin
    monkeypatch.setattr(processes.Other, "begin", lambda other: (others.append(other), begin(other)))
    keys = SMALL | {"steps": 9}
    straight = fl.experiment("ising-xor", **keys)
    straight.run(progress=False)
    run = fl.experiment("ising-xor", **keys, out=tmp_path / "run")
    stream = run.stream(processes=2)
    for _ in range(3):
        next(stream)
    os.kill(others[0]._process.pid, signal.SIGKILL)
    with pytest.raises(ProcessEnded, match=r"process 2 of 2 ended in the step after 3: it was killed by signal 9"):
        next(stream)
    assert run.state == "failed" and run.step == 3
    again = fl.load(tmp_path / "run")
    assert again.step == 3
    again.run(3, progress=False)
    again.run(progress=False, processes=2)
    assert again.state == "finished" and [other._process.poll() for other in others] == [-9, -9]
    for name, column in records(straight).items():
        np.testing.assert_allclose(records(again)[name], column, rtol=1e-7, atol=1e-9, err_msg=name)
    for mine, theirs in zip(again.density.parameters(), straight.density.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-7)
    found, alone = again.evaluate(1000, processes=2), again.evaluate(1000)
    assert float(found.log_z) == pytest.approx(float(alone.log_z), rel=1e-12)
    assert found.attrs["verdict"] == alone.attrs["verdict"]


def on_a_gpu():
    run = fl.experiment("ising-xor", **SMALL)
    run.device = torch.device("cuda")
    return run


REFUSED = {
    "a chain": (lambda: fl.experiment("ising-chain", L=4), 2, "a ChainRun is one process's work"),
    "a rest": (lambda: fl.experiment("ising-xor", **SMALL), 3, "must divide the batch, 20 draws of each loss, got 3"),
    "parts": (lambda: fl.experiment("ising-xor", **SMALL), 0, "processes must be at least 1, got 0"),
    "a density": (
        lambda: fl.Training(
            fl.Ising((4, 4), 2.4), Hierarchical((4, 4)), ReverseKL(), steps=2, batch=20, learning_rate=1e-3
        ),
        2,
        "a Hierarchical draws its batch as a whole",
    ),
    "an objective": (
        lambda: fl.Training(
            fl.Ising((4, 4), 2.4),
            fl.MADE((4, 4)),
            fl.training.ForwardKL(torch.ones(20, 4, 4)),
            steps=2,
            batch=20,
            learning_rate=1e-3,
        ),
        2,
        "a loss of ForwardKL is made of the batch as a whole",
    ),
    "a GPU": (on_a_gpu, 2, "this run is on cuda, and several processes share the cores of a CPU"),
    "a part that cannot be made again": (
        by_hand,
        2,
        "build this run again, and cannot, since hook of Probed is a function",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_is_refused_before_any_work(name):
    make, count, why = REFUSED[name]
    run = make()
    for begin in (run.stream, run.start):
        with pytest.raises(ValueError, match=why):
            begin(processes=count)
    assert run.state == "ready" and run.step == 0


def test_an_evaluation_beside_a_comparison_is_one_process_s():
    run = fl.experiment("sk-autoregressive", N=8, steps=2, batch=20)
    with pytest.raises(ValueError, match="overlaps with a comparison"):
        run.evaluate(100, processes=2)
