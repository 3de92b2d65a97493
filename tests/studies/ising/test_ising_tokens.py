import typing

import pytest
import torch

from flowlab.core import named_generator
from flowlab.runs import experiment
from flowlab.studies.ising.tokens import Ansatz

SMALL = {"L": 4, "T": 2.5, "steps": 2, "batch": 20, "device": "cpu"}


@pytest.mark.parametrize("ansatz", typing.get_args(Ansatz))
def test_every_ansatz_trains_and_its_bound_is_one(ansatz):
    run = experiment("ising-tokens", ansatz=ansatz, layers=0 if ansatz == "vqvae" else 1, **SMALL)
    run.run(progress=False)
    drawn = run.sample(500)
    log_w = drawn.log_weight - drawn.log_q
    assert float(log_w.mean()) < run.log_z_exact + 4 * float(log_w.std()) / 500**0.5


def test_tokens_have_the_flip_built_in():
    for ansatz in ("walls", "multiscale_local", "sorted", "coarse_to_fine", "blocks"):
        run = experiment("ising-tokens", ansatz=ansatz, **SMALL)
        x, log_q = run.density.sample(50, generator=named_generator(0, "draw"))
        torch.testing.assert_close(run.density.log_prob(-x).detach(), log_q, msg=ansatz)


def test_a_warm_start_at_another_temperature():
    run = experiment("ising-tokens", ansatz="multiscale", layers=1, start="local_field", **SMALL)
    assert run.at(T=2.4).density.state_dict().keys() == run.density.state_dict().keys()


def test_bad_input():
    with pytest.raises(ValueError, match="layers must be 0 or more"):
        experiment("ising-tokens", layers=-1, **SMALL)
    with pytest.raises(ValueError, match="layers must be 0 for vqvae"):
        experiment("ising-tokens", ansatz="vqvae", layers=2, **SMALL)
    with pytest.raises(ValueError, match="L must be a power of two"):
        experiment("ising-tokens", ansatz="multiscale", **SMALL | {"L": 6})
