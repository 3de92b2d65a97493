"""``python -m flowlab.testing``: parts of an installed flowlab held against the laws, without a test framework."""

from __future__ import annotations

import sys
from collections.abc import Callable

import flowlab as fl
from flowlab.core import named_generator
from flowlab.systems.lattice import checkerboard
from flowlab.testing import LawBroken, check_chain, check_density, check_flow, check_objective, check_system


def parts() -> dict[str, Callable[[], None]]:
    """What is held against which law, by name."""
    ising, phi4 = fl.Ising(2, T=2.5), fl.Phi4(4, kappa=0.2, lam=0.5)
    even = checkerboard((4, 4))
    affine = fl.AffineCoupling(even)
    pushed = fl.Pushforward(fl.Composed([affine, fl.AffineCoupling(~even)]), fl.Normal((4, 4)))
    xor = fl.XorCoupling((4, 2), "even", start="random", generator=named_generator(0, "xor"))
    return {
        "Ising": lambda: check_system(fl.Ising(4, T=2.5)),
        "Potts": lambda: check_system(fl.Potts(4, q=3, T=1.0)),
        "SpinGlass": lambda: check_system(fl.SpinGlass.sherrington_kirkpatrick(8, T=1.0)),
        "Phi4": lambda: check_system(phi4),
        "AffineCoupling": lambda: check_flow(affine, (4, 4)),
        "XorCoupling": lambda: check_flow(xor, (4, 2), fl.Spins()),
        "MADE": lambda: check_density(fl.MADE((2, 4))),
        "Pushforward": lambda: check_density(pushed),
        "ReverseKL": lambda: check_objective(fl.ReverseKL(), fl.MADE((2, 2)), ising),
        "PathGradient": lambda: check_objective(fl.PathGradient(), pushed, phi4),
        "HeatBath": lambda: check_chain(fl.mcmc.HeatBath(ising), ising),
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
    print(f"flowlab {fl.__version__}: {f'{broken} broken' if broken else 'all laws hold'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
