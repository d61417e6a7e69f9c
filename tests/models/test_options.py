"""Options that both networks share."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax import ConvNeXtUNet, UNet
from tests.networks import random_parameters

SHAPE = (16, 24, 5)


def convnext(**options):
    return ConvNeXtUNet(base_channels=8, channel_multipliers=(1, 2), **options)


def unet(**options):
    return UNet(
        base_channels=8,
        channel_multipliers=(1, 2),
        num_blocks=1,
        attention_resolutions=(8,),
        num_groups=2,
        **options,
    )


@pytest.fixture(params=[convnext, unet])
def make(request):
    return request.param


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.uniform(-1, 1, (3, *SHAPE)), jnp.float32)


T = jnp.array([1, 7, 20])


def test_labels_change_the_output_and_none_is_the_null_class(make, x):
    model = make(num_classes=4)
    params = random_parameters(model, SHAPE)
    apply = jax.jit(model.apply)

    def restore(labels):
        return apply({"params": params}, x, T, labels=labels)

    some = restore(jnp.array([0, 1, 3]))
    assert np.abs(some - restore(jnp.array([1, 1, 3])))[0].max() > 1e-3
    np.testing.assert_array_equal(some[1:], restore(jnp.array([1, 1, 3]))[1:])
    np.testing.assert_array_equal(restore(None), restore(jnp.array([4, 4, 4])))
    assert np.abs(some - restore(None)).max() > 1e-3


@pytest.mark.parametrize("sides", [(18, 22), (2, 10)])
def test_sides_that_halve_to_odd_sides_with_one_channel_and_labels(make, sides):
    model = make(num_classes=3)
    x = jnp.zeros((2, *sides, 1))
    params = random_parameters(model, x.shape[1:])
    t, labels = jnp.array([1, 9]), jnp.array([0, 2])
    out = jax.jit(model.apply)({"params": params}, x, t, labels=labels)
    assert out.shape == x.shape and np.isfinite(out).all()


def test_a_network_with_one_level_accepts_odd_sides(make):
    model = make(num_classes=3).copy(channel_multipliers=(1,))
    x = jnp.zeros((2, 7, 9, 1))
    params = random_parameters(model, x.shape[1:])
    t, labels = jnp.array([1, 9]), jnp.array([0, 3])
    out = jax.jit(model.apply)({"params": params}, x, t, labels=labels)
    assert out.shape == x.shape and np.isfinite(out).all()


def test_bfloat16_gradients_match_float32_within_one_percent(make, x):
    make = functools.partial(make().copy, channel_multipliers=(1,))
    params = random_parameters(make(), SHAPE)

    def gradient(dtype):
        def loss(params):
            out = make(dtype=dtype).apply({"params": params}, x, T)
            return jnp.square(out - 2 * x).mean()

        return jax.jit(jax.grad(loss))(params)

    full, half = gradient(jnp.float32), gradient(jnp.bfloat16)

    def norm(tree):
        return np.sqrt(sum(np.square(leaf).sum() for leaf in jax.tree.leaves(tree)))

    error = norm(jax.tree.map(lambda a, b: a - b, half, full))
    assert error < 0.01 * norm(full)
    assert {leaf.dtype for leaf in jax.tree.leaves(half)} == {jnp.dtype("float32")}


def test_attention_implementation_is_passed_to_jax():
    # JAX's error shows it: no cuDNN, or float32 unsupported.
    x, t = jnp.zeros((1, *SHAPE)), jnp.ones(1, jnp.int32)
    params = random_parameters(unet(), SHAPE)
    model = unet(attention_implementation="cudnn")
    with pytest.raises((ValueError, RuntimeError), match=r"cuDNN|fp16"):
        model.apply({"params": params}, x, t)


def test_an_unconditional_network_has_no_label_parameters(make):
    shapes = jax.eval_shape(
        make().init, jax.random.key(0), jnp.zeros((1, *SHAPE)), jnp.ones(1, jnp.int32)
    )
    assert "label" not in shapes["params"]


def test_raises_for_labels_without_classes_or_of_the_wrong_shape(make, x):
    params = random_parameters(make(), SHAPE)
    with pytest.raises(ValueError, match="this network is unconditional"):
        make().apply({"params": params}, x, T, labels=T)
    params = random_parameters(make(num_classes=4), SHAPE)
    with pytest.raises(ValueError, match=r"shape \(3,\), got shape \(2,\)"):
        make(num_classes=4).apply({"params": params}, x, T, labels=T[:2])


@pytest.mark.parametrize("label", [-1, 5])
def test_raises_for_labels_out_of_range(make, x, label):
    params = random_parameters(make(num_classes=4), SHAPE)
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.4"):
        labels = jnp.array([0, label, 1])
        make(num_classes=4).apply({"params": params}, x, T, labels=labels)


def test_zero_output_initialises_the_last_layer_to_zero(make, x):
    model = make(zero_output=True).copy(channel_multipliers=(1,))
    fast = {"xla_backend_optimization_level": 0}
    variables = jax.jit(model.init, compiler_options=fast)(jax.random.key(0), x, T)
    leaves = jax.tree.leaves(variables["params"]["conv_out"])
    assert all((leaf == 0).all() for leaf in leaves)
    np.testing.assert_array_equal(jax.jit(model.apply)(variables, x, T), 0)


def test_rematerialisation_stores_less_for_the_backward_pass(make, x):
    def stored(remat):
        model = make(remat=remat)
        variables = jax.eval_shape(model.init, jax.random.key(0), x, T)
        backward = jax.eval_shape(
            lambda v: jax.vjp(lambda v: model.apply(v, x, T), v)[1], variables
        )
        return sum(leaf.size for leaf in jax.tree.leaves(backward))

    assert stored(True) < 0.6 * stored(False)


def test_rematerialisation_does_not_change_the_gradients(x):
    params = random_parameters(unet(), SHAPE)

    def gradients(remat):
        def loss(params):
            return jnp.square(unet(remat=remat).apply({"params": params}, x, T)).mean()

        return jax.jit(jax.grad(loss))(params)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6),
        gradients(False),
        gradients(True),
    )


def test_published_options_of_the_convnext_network(x):
    # Parameter counts of the official network without time embedding.
    for channels, count in ((1, 56_276_083), (3, 56_278_745)):
        images, t = jnp.zeros((1, 32, 32, channels)), jnp.ones(1, jnp.int32)
        model = ConvNeXtUNet(time_embedding=False)
        shapes = jax.eval_shape(model.init, jax.random.key(0), images, t)
        assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count
    unconditioned = convnext(time_embedding=False)
    params = random_parameters(unconditioned, SHAPE)
    apply = jax.jit(unconditioned.apply)
    np.testing.assert_array_equal(
        apply({"params": params}, x, T), apply({"params": params}, x, T + 5)
    )
    params = random_parameters(convnext(), SHAPE)
    plain, residual = (
        jax.jit(convnext(residual=residual).apply)({"params": params}, x, T)
        for residual in (False, True)
    )
    np.testing.assert_allclose(residual, plain + x, atol=1e-6)
