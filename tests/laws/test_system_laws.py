"""Laws of every system."""

import pytest
import torch
import xarray as xr

import flowlab as fl
from flowlab.testing import check_system
from tests.laws.registry import SYSTEMS


@pytest.fixture(params=SYSTEMS)
def system(request):
    return SYSTEMS[request.param]()


def spins(system, n=20):
    generator = torch.Generator().manual_seed(0)
    if system.domain == "potts":
        return torch.randint(0, system.variables.q, (n, *system.shape), generator=generator).double()
    if system.domain == "real":
        return torch.randn(n, *system.shape, generator=generator, dtype=torch.float64)
    return torch.where(torch.rand(n, *system.shape, generator=generator, dtype=torch.float64) < 0.5, -1.0, 1.0).double()


def test_laws_of_systems(system):
    check_system(system)


def test_states_have_no_sign(system):
    assert system.domain != "potts" or not system.flip_symmetric


def test_at_refuses_a_coupling_that_there_is_not(system):
    with pytest.raises(ValueError, match="has the couplings"):
        system.at(gamma=1.0)


FLOATS = ("float32", "float16", "bfloat16", "complex64", "complex128")
WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
DTYPES = [getattr(torch, name) for name in FLOATS + WHOLE]
FUNCTIONS = ("log_weight", "energy", "action", "force", "hamiltonian_density", "local_fields", "on_site")


def numbers_of(system, x):
    """Everything that a system works out from configurations, by name."""
    found = {name: getattr(system, name)(x) for name in FUNCTIONS if hasattr(system, name)}
    found |= system.observables(x)
    if isinstance(system, fl.core.Representation):
        whole, found["ln p"] = system.restore(x, generator=torch.Generator().manual_seed(3))
        found["there and back"] = system.reduce(whole, generator=torch.Generator().manual_seed(4))
    return found


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_gives_the_answer_of_float64_or_is_refused_by_name(system, dtype):
    x = spins(system)
    if system.domain == "real":
        x = (2 * x).round()  # what integers can hold, and half floats do
    unsigned = str(dtype).startswith("torch.uint")
    if dtype.is_complex or dtype == torch.bool or (unsigned and system.domain == "spin"):
        for function in (system.log_weight, system.observables, system.check_configurations):
            with pytest.raises(TypeError, match=f"cannot be held as {dtype}: give floats or"):
                function(x.to(dtype))
        return
    x = x.abs() if unsigned else x
    expected, found = numbers_of(system, x), numbers_of(system, x.to(dtype))
    for name, value in expected.items():
        if dtype == torch.float32:
            if name not in ("ln p", "there and back"):  # drawn with other random numbers
                torch.testing.assert_close(found[name].double(), value, rtol=1e-4, atol=1e-4)
        else:
            assert found[name].dtype == torch.float64
            torch.testing.assert_close(found[name], value, rtol=0, atol=0)


def test_arrays_of_others_are_taken_too(system):
    x = spins(system, 3)
    labelled = xr.DataArray(x.numpy(), dims=("sample", *system.dims))
    for other in (x.numpy(), labelled, x.numpy().tolist()):
        torch.testing.assert_close(system.log_weight(other), system.log_weight(x), rtol=0, atol=0)
        assert all(
            torch.equal(system.observables(other)[name], system.observables(x)[name]) for name in system.observables(x)
        )


def test_couplings_in_single_precision_raise_integers_to_it(system):
    x = spins(system).round()
    found = system.float().log_weight(x.to(torch.int16))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, system.log_weight(x.float()))
