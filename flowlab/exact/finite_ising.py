"""The Ising model on a finite torus, after Kaufman."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from flowlab.exact.infinite_ising import inverse_temperature
from flowlab.systems.lattice import plane

LN2 = math.log(2.0)


class IsingExact(NamedTuple):
    """Exact thermodynamics of a finite Ising lattice without field; every number is of the whole lattice.

    Attributes:
        log_z: ln Z.
        energy: U = <E> = -d ln Z / d beta, in units of J.
        specific_heat: C = beta² (<E²> - <E>²) = beta² d² ln Z / d beta², in units of k_B.
        n_sites: N, for values per site.
    """

    log_z: float
    energy: float
    specific_heat: float
    n_sites: int

    @property
    def log_z_per_site(self) -> float:
        """ln Z / N."""
        return self.log_z / self.n_sites

    @property
    def energy_per_site(self) -> float:
        """U / N."""
        return self.energy / self.n_sites

    @property
    def specific_heat_per_site(self) -> float:
        """C / N."""
        return self.specific_heat / self.n_sites


def kaufman(
    shape: int | tuple[int, int], beta: float | None = None, J: float = 1.0, *, T: float | None = None
) -> IsingExact:
    """ln Z, energy and specific heat of E = -J Σ_<xy> s_x s_y on an n x m torus, whole lattice.

    For a ferromagnet, with K = beta J, s = sinh 2K and cosh γ_l = s + 1/s - cos(π l / n):

        Z = ½ (2s)^(nm/2) [Π 2cosh(m γ_{2r+1}/2) + Π 2sinh(m γ_{2r+1}/2) + Π 2cosh(m γ_{2r}/2) + Π 2sinh(m γ_{2r}/2)],

    r = 0..n-1, where γ_0 = 2K + ln tanh K keeps its sign: negative above T_c, positive below. An antiferromagnet is the
    ferromagnet with antiperiodic boundaries across each odd side, for which the same products change partners.
    On a side of length 2 every pair of neighbours has two bonds. The products are summed as logarithms, which loses no
    digits, and differentiated automatically: all three numbers are good to 12 digits for 0.5 < T/|J| < 50, from L = 2
    to beyond L = 128. Outside this range log_z stays so; energy and specific_heat, which become exponentially close to
    their limits, are good to about 1e-15 N and 1e-15 N max(1, beta²).

    Args:
        shape: (n, m), both at least 2, odd or even; or one number L for L x L.
        beta: inverse temperature 1/T, not negative, in units of k_B / J; or T in its place.
        J: exchange coupling of either sign.

    Raises:
        ValueError: for a shape that is no lattice, or a beta or J that makes no sense.
        ArithmeticError: for an antiferromagnet with two odd sides at a low temperature, the one case where the products
            cancel beyond double precision.

    Source: B. Kaufman, Phys. Rev. 76, 1232 (1949).

    >>> ising = kaufman((8, 8), beta=0.4)
    >>> round(ising.log_z, 10), round(ising.energy_per_site, 10)
    (56.5993887604, -1.2223206433)
    >>> kaufman((8, 8), beta=0.4, J=-1.0) == kaufman(8, T=2.5) == ising
    True
    """
    n, m = plane(shape)
    beta = inverse_temperature(beta, T)
    if not (math.isfinite(beta) and beta >= 0):
        raise ValueError(f"beta must be a finite number, zero or more, got {beta}")
    if not math.isfinite(J):
        raise ValueError(f"J must be a finite number, got {J}")
    coupling = beta * abs(J)
    if coupling < 1e-100:
        return IsingExact(n * m * LN2, 0.0, 0.0, n * m)
    twisted = [side % 2 == 1 and J < 0 for side in (n, m)]
    if twisted == [False, True]:
        n, m, twisted = m, n, [True, False]
    with torch.inference_mode(False), torch.enable_grad():
        K = torch.tensor(coupling, dtype=torch.float64, requires_grad=True)
        log_z = _log_z(K, n, m, across=twisted[0], along=twisted[1])
        (slope,) = torch.autograd.grad(log_z, K, create_graph=True)
        (curvature,) = torch.autograd.grad(slope, K)
    return IsingExact(log_z.item(), -abs(J) * slope.item(), max(coupling**2 * curvature.item(), 0.0), n * m)


def _log_z(K: Tensor, n: int, m: int, *, across: bool, along: bool) -> Tensor:
    """ln Z of the ferromagnet; ``across`` (side n) and ``along`` (side m) say which boundaries are antiperiodic.

    The trace over the transfer matrix to the power m splits into states even and odd under the global flip. An
    antiperiodic boundary across exchanges the momenta of the two, one along subtracts the odd states.
    """
    periodic, antiperiodic = _modes(K, n, m, 0), _modes(K, n, m, 1)
    if across:
        even, odd = _sector(*periodic, sign=-1), _sector(*antiperiodic, sign=-1)
    else:
        even, odd = _sector(*antiperiodic, sign=1), _sector(*periodic, sign=1)
    if not along:
        return _logaddexp(even, odd) - LN2
    if (even - odd).item() < 1e-3:
        raise ArithmeticError(
            "an antiferromagnet with two odd sides needs a higher temperature, "
            f"got {n} x {m} sites at T/|J| = {1 / K.item():.3g}: Kaufman's products cancel"
        )
    return even + torch.log(-torch.expm1(odd - even)) - LN2


def _modes(K: Tensor, n: int, m: int, odd: int) -> tuple[Tensor, Tensor]:
    """m γ_l, (n,), and ln[(2s)^(m/2) 2cosh(m γ_l / 2)], (n,), for l = 2r + odd.

    cosh γ - 1 = (1-s)²/s + 2 sin²(k/2) with k = π l / n is unchanged by s -> 1/s: q = min(s, 1/s) serves both phases.
    """
    log_2s = 2 * K + torch.log(-torch.expm1(-4 * K))
    log_s = log_2s - LN2
    cold = log_s.item() > 0
    q = torch.exp(-log_s if cold else log_s)
    k = (2 * torch.arange(1 - odd, n, dtype=torch.float64) + odd) * (math.pi / n)
    h = (1 - q) ** 2 + 2 * q * torch.sin(k / 2) ** 2
    upper = torch.log(h.sqrt() + (h + 2 * q).sqrt()) + (log_s if cold else 0.0)  # ½ ln 2s + γ/2
    lower = log_2s - upper  # ½ ln 2s - γ/2
    if not odd:  # γ_0 with its sign
        upper = torch.cat([(2 * K + torch.log(-torch.expm1(-2 * K)))[None], upper])
        lower = torch.cat([torch.log1p(torch.exp(-2 * K))[None], lower])
    return m * (upper - lower), _logaddexp(m * upper, m * lower)


def _sector(x: Tensor, log_cosh: Tensor, *, sign: int) -> Tensor:
    """ln[Π 2cosh(x/2) + sign Π 2sinh(x/2)] up to the prefactor, where only x[0] may be negative."""
    first, rest = -sign * x[0], x[1:]
    # 1 - Π tanh = 1 - Π (1 - tau), without cancellation where every tau is small
    log_tau = LN2 + logsigmoid(-torch.cat([first[None], rest]))
    if log_tau.max().item() < -40:
        return log_cosh.sum() + torch.logsumexp(log_tau, 0)
    tau = log_tau.exp()
    others = -torch.expm1(torch.log1p(-tau[1:]).sum())
    return log_cosh.sum() + torch.log(tau[0] + (1 - tau[0]) * others)


def _logaddexp(a: Tensor, b: Tensor) -> Tensor:
    """ln(e^a + e^b) with a second derivative that never overflows, unlike torch.logaddexp's."""
    return a - logsigmoid(a - b)


def ring_log_z(n: int, beta: float, J: float = 1.0, h: float = 0.0) -> float:
    """ln Z of n Ising spins on a ring: ln (λ₊ⁿ + λ₋ⁿ), λ± = e^K cosh H ± (e^2K sinh² H + e^-2K)^½ (Ising 1925).

    Args:
        n: number of spins, at least 2, which two bonds join if there are two.
        beta: inverse temperature.
        J, h: coupling and field; K = βJ, H = βh.

    >>> round(ring_log_z(4, 0.5), 6), round(4 * math.log(2 * math.cosh(0.5)) + math.log1p(math.tanh(0.5) ** 4), 6)
    (3.297642, 3.297642)
    """
    K, H = beta * J, beta * h
    top = abs(K) + abs(H)  # of the exponents, taken out
    up, down = math.exp(K + H - top), math.exp(K - H - top)
    cosh, root = (up + down) / 2, math.hypot((up - down) / 2, math.exp(-K - top))
    larger, smaller = cosh + root, cosh - root
    return n * (top + math.log(larger)) + math.log1p((smaller / larger) ** n)
