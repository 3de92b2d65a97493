"""Upscaled densities: block noise and its constants, the way back to coarse fields, and learned coarse couplings."""

import math

import pytest
import torch

from flowlab.core import named_generator
from flowlab.densities.normal import Normal
from flowlab.densities.pushforward import Pushforward
from flowlab.densities.refined.block_noise import BlockNoise, block_average, upsampled
from flowlab.densities.refined.coarse_fields import CoarseFields
from flowlab.densities.refined.upscaled import Upscaled
from flowlab.flows.composed import Composed
from flowlab.flows.continuous.continuous import ContinuousFlow, refined
from flowlab.flows.real.linear import Linear
from flowlab.systems.ising import Ising
from flowlab.systems.phi4 import Phi4
from flowlab.training.objectives.reverse_kl import ReverseKL
from tests.laws.registry import shaken


def generator(name="upscaled"):
    return named_generator(0, name)


def moved(density, scale=0.01):
    return shaken(density, scale).double()


def level(coarse, shape, **options):
    return Upscaled(coarse, shape, **({"sigma": 0.7} | options))


STACKS = {
    "one level in 2d": lambda: level(Normal((2, 2)), (4, 4)),
    "one level in 1d": lambda: level(Normal((4,)), (8,)),
    "blocks of 3": lambda: level(Normal((2, 2)), (6, 6)),
    "two levels": lambda: level(level(Normal((2, 2)), (4, 4)), (8, 8)),
    "two levels in 1d": lambda: level(level(Normal((2,)), (4,)), (8,)),
    "over a flow": lambda: level(Pushforward(Linear((4,), scale=torch.linspace(0.5, 1, 4)), Normal((4,))), (8,)),
    "discrete flow": lambda: level(Normal((4,)), (8,), flow=Linear((8,), scale=torch.linspace(0.5, 2, 8))),
}


@pytest.fixture(params=STACKS)
def q(request):
    return moved(STACKS[request.param]())


def test_noise_sums_to_zero():
    nu, _ = BlockNoise((4, 4), sigma=0.7).double().sample(50, generator=generator())
    assert block_average(nu, 2).abs().max() < 1e-15
    assert nu.abs().min() > 1e-6


@pytest.mark.parametrize(("shape", "block"), [((2, 2), 2), ((2,), 2), ((3, 3), 3), ((2, 2, 2), 2)])
def test_noise_has_the_density_of_its_free_values(shape, block):
    """Against a multivariate normal of the first n - 1 values, and their covariance from samples."""
    noise = BlockNoise(shape, block=block, sigma=0.7).double()
    nu, log_p = noise.sample(20_000, generator=generator())
    n, free = nu[0].numel(), nu.flatten(1)[:, :-1]
    covariance = 0.49 * (torch.eye(n - 1) - 1 / n).double()
    assert covariance.logdet() == pytest.approx(2 * (n - 1) * math.log(0.7) - math.log(n))
    expected = torch.distributions.MultivariateNormal(torch.zeros(n - 1).double(), covariance).log_prob(free)
    torch.testing.assert_close(log_p.detach(), expected, rtol=1e-6, atol=1e-6)
    assert (free.T.cov() - covariance).abs().max() < 5 * 0.49 * math.sqrt(2 / 20_000)


@pytest.mark.parametrize(("shape", "points"), [((2,), 50), ((2, 2), 24)])
def test_constant_by_quadrature_on_a_block(shape, points):
    """The integral of q over all sites of one block, on a grid, which is exact to rounding for smooth densities."""
    flow = ContinuousFlow(shape, kernel=3, steps=20) if len(shape) == 1 else Composed([])
    q = moved(level(Normal((1,) * len(shape)), shape, flow=flow), 0.05)
    axis = torch.linspace(-5, 5, points, dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * math.prod(shape)).view(-1, *shape)
    with torch.no_grad():
        total = q.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** math.prod(shape)
    assert float(total) == pytest.approx(1, abs=1e-3)


def test_draw_agrees_with_log_prob(q):
    with refined(q, 3):
        draw = q.draw(20, generator=generator())
        torch.testing.assert_close(draw.log_q, q.log_prob(draw.x), atol=2e-5, rtol=0)
    assert not draw.score.any() and q.log_norm == 0 and q.iid


def test_parts_make_the_field(q):
    with refined(q, 3):
        parts = q.draw_parts(10, generator=generator())
        z = upsampled(parts.coarse, q.block) + parts.noise
        x, log_det = q.flow(z)
        torch.testing.assert_close(x, parts.x)
        coarse, noise = q.split(q.flow.inverse(parts.x)[0])
        torch.testing.assert_close(coarse, parts.coarse, atol=2e-5, rtol=0)
        torch.testing.assert_close(noise, parts.noise, atol=2e-5, rtol=0)
        constant = math.prod(q.coarse.shape) * math.log(q.block ** len(q.shape))
        expected = q.coarse.log_prob(parts.coarse) + q.noise.log_prob(parts.noise) - constant - log_det
        torch.testing.assert_close(parts.log_q, expected, atol=2e-5, rtol=0)
    assert parts.root.shape[1:] == q.levels[0].coarse.shape


def test_symmetries():
    q = moved(level(Normal((4, 4)), (8, 8)), 0.05)
    x, _ = q.sample(3, generator=generator())
    log_q = q.log_prob(x)
    for move in (
        lambda f: -f,
        lambda f: f.roll((2, 4), (1, 2)),
        lambda f: f.rot90(1, (1, 2)),
        lambda f: f.flip(2),
    ):
        torch.testing.assert_close(q.log_prob(move(x)), log_q)
    assert (q.log_prob(x.roll(1, 1)) - log_q).abs().max() > 1e-3
    assert torch.equal(q.flip_action(), -torch.ones(8, 8, dtype=torch.float64))


def test_normalised():
    """The mean of r/q over draws of q is the integral of r, a Gaussian narrower than q."""
    q = moved(level(level(Normal((1,)), (2,), flow=ContinuousFlow((2,), kernel=3)), (4,)))
    with refined(q, 2):
        x, log_q = q.sample(10_000, generator=generator())
    r = torch.distributions.MultivariateNormal(x.mean(0), 0.6 * x.T.cov())
    ratio = (r.log_prob(x) - log_q).exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / math.sqrt(10_000)
    assert float(ratio.std()) < 5


def test_stages(q):
    with refined(q, 3):
        x, _ = q.sample(5, generator=generator())
        back = list(q.stages(x=x))
        again = list(q.stages(z=back[0].x))
        drawn = list(q.stages(5, generator=generator()))
        for one, other in zip(back, again, strict=True):
            assert one.name == other.name
            torch.testing.assert_close(one.x, other.x, atol=2e-5, rtol=0)
            torch.testing.assert_close(one.log_q, other.log_q, atol=2e-5, rtol=0)
        torch.testing.assert_close(back[-1].x, x, atol=2e-5, rtol=0)
        torch.testing.assert_close(drawn[-1].log_q, q.log_prob(drawn[-1].x).detach(), atol=2e-5, rtol=0)
    times = [state.time for state in back]
    assert times == sorted(times) and (times[0], times[-1]) == (0.0, 1.0)


def test_stages_show_coarse_noise_and_flow_over_time():
    states = list(level(level(Normal((2, 2)), (4, 4)), (8, 8)).stages(2, generator=generator()))
    flow = [(f"t = {t}", "time") for t in ("0.25", "0.5", "0.75", "1")]
    assert [(state.name, state.kind) for state in states] == [
        ("latent", "flow"),
        ("coarse 2 x 2", "level"),
        ("noise 4 x 4", "level"),
        *flow[:-1],
        ("coarse 4 x 4", "level"),
        ("noise 8 x 8", "level"),
        *flow,
    ]
    assert torch.equal(states[1].x, upsampled(block_average(states[1].x, 4), 4))


def test_pathwise_gradient_reaches_every_parameter(q):
    draw = q.draw(30, generator=generator())
    (draw.log_q + draw.x.pow(4).flatten(1).sum(1)).mean().backward()
    for name, parameter in q.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    groups = [p for group in q.parameter_groups().values() for p in group]
    assert {id(p) for p in groups} == {id(p) for p in q.parameters()} and len(groups) == len(list(q.parameters()))


def test_noise_starts_at_the_spread_of_the_coarse_fields():
    base = Pushforward(Linear((4, 4), scale=torch.full((16,), 0.3)), Normal((4, 4)))
    q = Upscaled(base, (8, 8))
    assert q.noise.sigma == pytest.approx(0.3, rel=0.03)
    q.fit(5 * upsampled(base.sample(2000, generator=generator())[0], 2))
    assert q.noise.sigma == pytest.approx(1.5, rel=0.03)


def matrix(system):
    """M of a free action S = ½ φ M φ, from its values."""
    unit = torch.eye(system.n_sites, dtype=torch.float64).view(-1, *system.shape)
    single, pairs = system.action(unit), system.action((unit[:, None] + unit).flatten(0, 1))
    return pairs.view(len(unit), -1) - single[:, None] - single


def gaussian(system, n, generator):
    """Exact fields of a free system."""
    with torch.no_grad():
        white = torch.randn(system.n_sites, n, generator=generator, dtype=torch.float64)
        rows = torch.linalg.solve_triangular(torch.linalg.cholesky(matrix(system)).T, white, upper=True)
    return rows.T.reshape(n, *system.shape)


def free(kappa, **options):
    return CoarseFields(Phi4((2, 2), kappa, 0.0), gaussian, **options)


def test_learned_coupling_follows_the_covariance():
    coarse = free(0.1, learned=["kappa"])
    q, fine = moved(level(coarse, (4, 4)), 0.0), Phi4((4, 4), 0.12, 0.02)
    loss = ReverseKL().loss(q, fine, 500, generator=generator())
    loss.value.backward()
    parts = q.draw_parts(500, generator=generator())
    phi, n = parts.root, 500
    hopping = 2 * (phi * phi.roll(1, 1) + phi * phi.roll(1, 2)).flatten(1).sum(1)
    covariance = torch.stack([parts.log_q.detach() + fine.action(parts.x).detach(), hopping]).cov()[0, 1]
    torch.testing.assert_close(coarse.couplings["kappa"].grad, covariance, rtol=1e-6, atol=1e-6)
    assert n == len(phi)
    assert q.parameter_groups()["couplings"] == [coarse.couplings["kappa"]]
    assert q.coarse_system.couplings["kappa"] is coarse.couplings["kappa"]
    assert q.log_norm is None and not q.iid and Upscaled(Normal((2,)), (4,)).coarse_system is None


def test_coarse_fields_with_a_gradient_carry_it_through():
    def scaled(system, n, generator):
        return gaussian(Phi4((2, 2), 0.0, 0.0), n, generator) * (1 + system.couplings["kappa"])

    coarse = CoarseFields(Phi4((2, 2), 0.1, 0.0), scaled, learned=["kappa"])
    draw = moved(level(coarse, (4, 4)), 0.0).draw(20, generator=generator())
    assert draw.x.requires_grad and not draw.score.requires_grad
    (gradient,) = torch.autograd.grad(draw.x.sum(), coarse.couplings["kappa"])
    torch.testing.assert_close(gradient, draw.x.sum().detach() / 1.1)


def test_log_z_follows_the_coupling():
    def log_z(system):
        return float(system.couplings["kappa"].detach()) + 1

    coarse = free(0.1, learned=["kappa"], log_z=log_z)
    q = level(level(coarse, (4, 4)), (8, 8))
    assert q.log_norm == pytest.approx(1.1)
    with torch.no_grad():
        coarse.couplings["kappa"].fill_(0.2)
    assert q.log_norm == pytest.approx(1.2)
    assert free(0.1, log_z=2.0).log_norm == 2.0


def test_partition_function_of_the_free_field():
    """ln Z of the fine lattice with ln Z_c known: a Gaussian, so the weights must give it within their errors."""
    coarse, fine = Phi4((2, 2), 0.1, 0.0), Phi4((4, 4), 0.1, 0.0)

    def exact(system):
        return float(0.5 * (system.n_sites * math.log(2 * math.pi) - matrix(system).logdet()))

    q = level(CoarseFields(coarse, gaussian, log_z=exact(coarse), iid=True), (4, 4), sigma=0.7).double()
    x, log_q = q.sample(10_000, generator=generator())
    log_w = fine.log_weight(x) - log_q + q.log_norm
    w = (log_w - exact(fine)).exp()
    assert abs(float(w.mean()) - 1) < 4 * float(w.std()) / 100
    assert float(w.std()) < 2


def test_warm_start_copies_every_level():
    source = moved(level(free(0.1, learned=["kappa"]), (4, 4)), 0.03)
    target = level(level(free(0.1, learned=["kappa"]), (4, 4)), (8, 8)).double()
    copied = target.warm_start(source)
    assert set(copied) == set(target.state_dict())
    for one in target.levels:
        assert torch.equal(one.flow.weight, source.flow.weight)
        assert one.noise.sigma == source.noise.sigma
    assert torch.equal(target.coarse_system.couplings["kappa"], source.coarse_system.couplings["kappa"])
    deeper = level(target, (16, 16)).double()
    with torch.no_grad():
        target.flow.weight.add_(1)
    deeper.warm_start(target)
    assert torch.equal(deeper.flow.weight, target.flow.weight)
    assert torch.equal(deeper.coarse.coarse.flow.weight, source.flow.weight)


def test_learned_couplings_are_as_far_from_where_they_began():
    source, near, far = (free(kappa, learned=["kappa"]) for kappa in (0.1, 0.15, 0.24))
    with torch.no_grad():
        source.couplings["kappa"].fill_(0.12)
    assert level(near, (4, 4)).warm_start(level(source, (4, 4)))[-1] == "coarse.couplings.kappa"
    assert float(near.couplings["kappa"].detach()) == pytest.approx(0.17)
    far.warm_start(source)  # 0.26 would be beyond the free field
    assert float(far.couplings["kappa"].detach()) == 0.24


def test_integration_error_counts_every_level():
    q = moved(level(level(Normal((2, 2)), (4, 4)), (8, 8)), 0.05)
    rough = q.integration_error(20, generator=generator())
    with refined(q, 4):
        fine = q.integration_error(20, generator=generator())
    assert set(rough) == {"round_trip", "closure", "field", "log_det"}
    assert all(0 < 60 * fine[name] < rough[name] for name in rough)
    assert not level(Normal((2,)), (4,), flow=Composed([])).integration_error(3, generator=generator())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: level(Normal((4, 2)), (8, 4)), r"shape must be equal sides, got \(8, 4\)"),
        (lambda: level(Normal((4, 2)), (8, 8)), r"coarse shape must be equal sides, got \(4, 2\)"),
        (lambda: level(Normal((4, 4)), (6, 6)), r"times those of the coarse one, \(4, 4\), got \(6, 6\)"),
        (lambda: level(Normal((4, 4)), (4, 4)), r"got \(4, 4\)"),
        (lambda: level(Normal((4,)), (8, 8)), r"\(4,\), got \(8, 8\)"),
        (lambda: level(Normal((4,)), (8,), flow=ContinuousFlow((16,))), r"the flow must live on \(8,\)"),
        (lambda: level(Normal((4,)), (8,), sigma=0.0), "sigma must be positive, got 0.0"),
        (lambda: BlockNoise((4, 5)), "multiples of a block"),
        (lambda: level(Normal((4, 4)), (8, 8)).bind(Phi4((4, 4), 0.1, 0.1)), r"shape \(8, 8\), target Phi4"),
        (lambda: level(Normal((4, 4)), (8, 8)).bind(Ising((8, 8), T=2.0)), "density of real fields cannot fit"),
        (lambda: CoarseFields(Ising((4, 4), T=2.0), gaussian), "must be one of real fields"),
        (lambda: free(0.1, learned=["beta"]), r"couplings \['kappa', 'lam'\], got \['beta'\]"),
        (lambda: free(0.1, learned=["kappa"], log_z=1.0), "log_z as a function"),
        (lambda: free(0.6), "stable"),
        (
            lambda: CoarseFields(Phi4((2, 2), 0.1, 0.0), lambda s, n, g: torch.zeros(n, 2)).draw(3),
            r"shape \(3, 2, 2\), got \(3, 2\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_the_latent_of_one_level_is_the_field_with_noise():
    latent, _, noise, *_ = level(Normal((2, 2)), (4, 4)).stages(5, generator=generator())
    torch.testing.assert_close(latent.x, noise.x)
    torch.testing.assert_close(latent.log_q, noise.log_q)
