"""Networks of one's own as linen modules."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from colddiff_jax.models import from_functions
from colddiff_jax.models.adapters import as_linen
from colddiff_jax.models.preconditioning import Preconditioned, Scales
from tests.networks import (
    LinenNetwork,
    NNXNetwork,
    apply_linear,
    init_linear,
    tiny_unet,
)

X = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 1)).astype(np.float32)
T = jnp.array([1, 3])
KEYS = jax.random.split(jax.random.key(1))
LINEAR = from_functions(init_linear, apply_linear)


def init(network):
    return network.init(jax.random.key(0), X, T)


def test_a_linen_module_keeps_its_parameters_and_predictions():
    given = LinenNetwork()
    network = as_linen(given)
    variables = init(network)
    chex.assert_trees_all_equal(variables, init(given))
    predicted = network.apply(variables, X, T, dropout_keys=KEYS)
    np.testing.assert_array_equal(predicted, given.apply(variables, X, T))
    assert (network.num_classes, network.local, network.size_multiple) == (0, True, 2)


class AroundNetwork(nn.Module):
    """A module that calls what it is made of `network`, as many do."""

    network: nn.Module

    def __call__(self, x, t):
        return self.network(x, t)


def test_a_linen_module_may_have_a_field_of_any_name():
    given = AroundNetwork(LinenNetwork())
    variables = init(given)
    predicted = as_linen(given).apply(variables, X, T)
    np.testing.assert_array_equal(predicted, given.apply(variables, X, T))


def test_a_network_of_the_package_is_taken_as_it_is():
    network = tiny_unet()
    assert as_linen(network) is network


def test_an_nnx_module_begins_from_its_own_weights():
    given = NNXNetwork(nnx.Rngs(3))
    network = as_linen(given)
    variables = jax.jit(network.init)(jax.random.key(0), X, T)
    kernels = variables["params"]["layers"]
    np.testing.assert_array_equal(kernels["1"]["kernel"], given.layers[1].kernel[...])
    predicted = network.apply(variables, X, T, dropout_keys=KEYS)
    np.testing.assert_allclose(predicted, given(X, T), atol=1e-6)
    zeros = jax.tree.map(jnp.zeros_like, variables)
    np.testing.assert_array_equal(network.apply(zeros, X, T), 0)
    np.testing.assert_allclose(predicted, given(X, T), atol=1e-6)  # Not changed.


def test_two_functions_get_their_own_tree_back():
    def draw(key):
        return [init_linear(key), (jnp.ones(2), {"a/b": jnp.zeros(())})]

    def apply(params, x, t):
        linear, (ones, named) = params
        return apply_linear(linear, x, t) + ones.sum() + named["a/b"]

    network = from_functions(draw, apply)
    variables = init(network)
    names = {"0": {"gain", "shade"}, "1": {"0", "1"}}
    assert {n: set(x) for n, x in variables["params"].items()} == names
    drawn = {"gain": 3.0, "shade": 0.5}
    params = {"0": drawn, "1": {"0": jnp.ones(2), "1": {"a.b": jnp.full((), 0.25)}}}
    expected = apply_linear(drawn, X, T) + 2.25
    predicted = network.apply({"params": params}, X, T)
    np.testing.assert_allclose(predicted, expected, rtol=1e-5, atol=1e-6)


def test_functions_are_given_dropout_keys_and_labels_if_they_have_them():
    seen = []

    def apply(params, x, t, *, labels=None, dropout_keys=None):
        seen.append((labels, dropout_keys))
        return apply_linear(params, x, t)

    network = from_functions(init_linear, apply, num_classes=3)
    variables = init(network)
    network.apply(variables, X, T, labels=T, dropout_keys=KEYS)
    assert seen[-1][0] is T and seen[-1][1] is KEYS
    LINEAR.apply(variables, X, T, dropout_keys=KEYS)
    with pytest.raises(TypeError, match="labels"):
        LINEAR.apply(variables, X, T, labels=T)


@pytest.mark.parametrize(
    "given",
    [
        LinenNetwork(),
        NNXNetwork(nnx.Rngs(0)),
        from_functions(init_linear, apply_linear),
    ],
    ids=["functions", "linen", "nnx"],
)
def test_any_network_can_be_preconditioned(given):
    network = as_linen(given)
    inner = init(network)["params"]
    scales = Scales((2.0,) * 3, (0.5,) * 3, (0.1,) * 3)
    whole = Preconditioned(network, scales)
    predicted = whole.apply({"params": {"network": inner}}, X, T, dropout_keys=None)
    mean = 0 if whole.local else X.mean((1, 2), keepdims=True)
    expected = network.apply({"params": inner}, (X - mean) / 2 + mean, T)
    np.testing.assert_allclose(predicted, 0.5 * X + 0.1 * expected, atol=1e-6)


class WithDropout(nnx.Module):
    def __init__(self, rngs):
        self.dropout = nnx.Dropout(0.5, rngs=rngs)


class WithBatchNorm(nnx.Module):
    def __init__(self, rngs):
        self.norm = nnx.BatchNorm(1, rngs=rngs)


@pytest.mark.parametrize(
    ("kind", "state"), [(WithDropout, "RngCount, RngKey"), (WithBatchNorm, "BatchStat")]
)
def test_state_that_training_would_not_carry_is_refused(kind, state):
    with pytest.raises(ValueError, match=f"no state but its parameters, got {state}"):
        as_linen(kind(nnx.Rngs(0)))


@pytest.mark.parametrize("wrong", [LinenNetwork, lambda x, t: x, nn.Dense, None])
def test_anything_else_is_refused(wrong):
    with pytest.raises(TypeError, match=r"linen or NNX module, .*from_functions"):
        as_linen(wrong)
