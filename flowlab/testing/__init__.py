"""The laws that every system, flow, density, objective and chain keeps, as functions to call in tests of one's own.

>>> from flowlab.flows import AffineCoupling
>>> check_flow(AffineCoupling(torch.tensor([True, False, True, False])), (4,))
"""

from flowlab.testing.chains import check_chain
from flowlab.testing.densities import check_density, check_integral
from flowlab.testing.flows import check_flow
from flowlab.testing.laws import LawBroken
from flowlab.testing.objectives import check_objective
from flowlab.testing.systems import check_system

__all__ = [
    "LawBroken",
    "check_chain",
    "check_density",
    "check_flow",
    "check_integral",
    "check_objective",
    "check_system",
]
