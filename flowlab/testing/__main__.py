"""``python -m flowlab.testing``: parts of an installed flowlab held against the laws, without a test framework."""

from __future__ import annotations

import sys
from collections.abc import Callable

from flowlab.core import Spins, named_generator
from flowlab.densities import MADE, Normal, Pushforward
from flowlab.extras import installed
from flowlab.flows import AffineCoupling, Composed, XorCoupling
from flowlab.mcmc import HMC
from flowlab.systems import Ising, Phi4, Potts, SpinGlass
from flowlab.systems.lattice import checkerboard
from flowlab.testing import LawBroken, check_chain, check_density, check_flow, check_objective, check_system
from flowlab.training import PathGradient, ReverseKL


def parts() -> dict[str, Callable[[], None]]:
    """What is held against which law, by name."""
    ising, phi4 = Ising(2, T=2.5), Phi4(4, kappa=0.2, lam=0.5)
    two = Phi4((2, 2), kappa=0.2, lam=0.5)
    even = checkerboard((4, 4))
    affine = AffineCoupling(even)
    pushed = Pushforward(Composed([affine, AffineCoupling(~even)]), Normal((4, 4)))
    xor = XorCoupling((4, 2), "even", start="random", generator=named_generator(0, "xor"))
    return {
        "Ising": lambda: check_system(Ising(4, T=2.5)),
        "Potts": lambda: check_system(Potts(4, q=3, T=1.0)),
        "SpinGlass": lambda: check_system(SpinGlass.sherrington_kirkpatrick(8, T=1.0)),
        "Phi4": lambda: check_system(phi4),
        "AffineCoupling": lambda: check_flow(affine, (4, 4)),
        "XorCoupling": lambda: check_flow(xor, (4, 2), Spins()),
        "MADE": lambda: check_density(MADE((2, 4))),
        "Pushforward": lambda: check_density(pushed),
        "ReverseKL": lambda: check_objective(ReverseKL(), MADE((2, 2)), ising),
        "PathGradient": lambda: check_objective(PathGradient(), pushed, phi4),
        "HMC": lambda: check_chain(HMC(two, steps=5, tuning=20), two, n=1000),
    }


def main() -> int:
    """Say of every part whether it holds; 0 where all do."""
    broken = 0
    for name, check in parts().items():
        try:
            check()
            print(f"{name:16s} holds", flush=True)
        except LawBroken as error:
            broken += 1
            print(f"{name:16s} BROKEN: {error}", flush=True)
    print(f"flowlab {installed()}: {f'{broken} broken' if broken else 'all laws hold'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
