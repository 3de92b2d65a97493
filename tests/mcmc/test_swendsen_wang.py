"""All clusters at once; the laws of all chains are in test_heat_bath."""

from __future__ import annotations

import numpy as np
import pytest

from flowlab import exact
from flowlab.core import named_generator
from flowlab.mcmc.swendsen_wang import SwendsenWang
from flowlab.systems import Ising


def test_an_odd_antiferromagnet_against_kaufman():
    """Frustrated around the lattice, where no sublattice can be turned over."""
    system = Ising((5, 4), 2.0, J=-1.0)
    chain = SwendsenWang(system)
    state, _ = chain.run(chain.init(400, generator=named_generator(0, "sw")), 50)
    means = chain.run(state, 200)[1]["energy_per_site"].mean(0)
    known = exact.kaufman((5, 4), 0.5, J=-1.0).energy_per_site
    assert abs(means.mean() - known) < 4 * means.std() / np.sqrt(means.size) < 0.02


def test_bonds_without_coupling_leave_every_site_alone():
    chain = SwendsenWang(Ising((6, 6), 1.0, J=0.0))
    _, info = chain.step(chain.init(1000, generator=named_generator(0, "sw")))
    assert (info.clusters == 36).all()
    assert abs(info.flipped.mean() - 18) < 4 * 3 / np.sqrt(1000)


def test_at_low_temperature_all_spins_turn_together():
    chain = SwendsenWang(Ising((6, 6), 0.2))
    state = chain.init(200, start=np.ones((200, 6, 6)), generator=named_generator(0, "sw"))
    _, info = chain.step(state)
    assert (info.clusters == 1).all() and set(info.flipped) == {0, 36}


def test_a_magnetic_field_is_refused():
    with pytest.raises(ValueError, match=r"SwendsenWang needs a system without magnetic field, got h = -0\.2"):
        SwendsenWang(Ising((4, 4), 1.0, h=-0.2))
