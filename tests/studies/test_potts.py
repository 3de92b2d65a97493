"""The studies of the Potts model."""

import flowlab as fl
from flowlab.exact.potts import enumerate_potts


def test_clusters_agree_with_every_configuration_of_a_small_lattice():
    run = fl.experiment("potts-chain", L=3, T=1.0, steps=200, chains=50, every=2)
    run.run()
    found = run.evaluate()
    exact = enumerate_potts(run.system)
    for name, value in exact.mean.items():
        assert abs(float(found[name]) - value) < 4 * float(found[f"{name}_error"]), name


def test_one_sampler_for_a_range_of_temperatures():
    run = fl.experiment("potts-coloured", L=4, over="beta:0.8:1.1", steps=60, batch=80, hidden=8, device="cpu")
    run.run()
    for beta in (0.85, 1.05):
        found = run.evaluate(2000, beta=beta)
        assert abs(float(found.log_z - found.log_z_exact)) < 4 * float(found.log_z_error)
