"""A model and a chain at equal cost say the same of a system."""

import pytest

import flowlab as fl


@pytest.fixture(scope="module")
def run():
    made = fl.experiment("ising-coloured", L=4, beta=0.42, steps=30, batch=100, device="cpu")
    made.run(progress=False)
    return made


def test_a_model_and_a_chain_agree_at_equal_cost(run):
    found = fl.compare(run, "wolff", seconds=1.0, seed=1)
    assert found.method.values.tolist() == ["model", "wolff"]
    assert (found.seconds > 0.3).all() and (found.seconds < 3).all() and (found.draws > 100).all()
    exact = fl.exact.moments_per_site(run.system)["energy_per_site"]
    assert (abs(found.energy_per_site - exact) < 5 * found.energy_per_site_error).all()
    assert abs(float(found.abs_magnetization_deviation)) < 5
    table = fl.exports.to_dataframe(found)
    assert ("energy_per_site", "wolff") in table.index


def test_what_cannot_be_compared_is_refused(run):
    with pytest.raises(ValueError, match="chain must be one of wolff"):
        fl.compare(run, "wolf")
    with pytest.raises(ValueError, match="seconds"):
        fl.compare(run, seconds=0)
    with pytest.raises(TypeError, match="density"):
        fl.compare(fl.experiment("ising-chain", L=4))
