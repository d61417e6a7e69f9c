"""The convolution and every way to compute its gradients."""

import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax.models import convolution
from colddiff_jax.models.convolution import derived_gradients, sliced_gradients

SAME, VALID = ((1, 1), (1, 1)), ((0, 0), (0, 0))
AXES = ("NHWC", "HWIO", "NHWC")
# Shape of x, of the kernel, stride and pads; those of the networks are among them.
CASES = {
    "3 x 3": ((3, 4, 5, 2), (3, 3, 2, 3), 1, SAME),
    "3 x 3 of many images": ((5, 32, 32, 2), (3, 3, 2, 3), 1, SAME),
    "3 x 3 of large images": ((2, 64, 48, 1), (3, 3, 1, 2), 1, SAME),
    "3 x 3, stride 2, even sides": ((3, 4, 6, 2), (3, 3, 2, 3), 2, ((0, 1), (0, 1))),
    "3 x 3, stride 2, odd sides": ((2, 5, 7, 2), (3, 3, 2, 3), 2, SAME),
    "3 x 3, stride 3, unused columns": (
        (2, 6, 8, 1),
        (3, 3, 1, 2),
        3,
        ((0, 0), (0, 0)),
    ),
    "4 x 4, stride 2": ((3, 6, 4, 2), (4, 4, 2, 2), 2, SAME),
    "2 x 2, one phase": ((3, 4, 5, 2), (2, 2, 2, 3), 1, ((1, 0), (0, 1))),
    "1 x 3": ((2, 4, 5, 2), (1, 3, 2, 3), 1, ((0, 0), (1, 1))),
}


def draw(case, dtype=jnp.float32):
    x_shape, kernel_shape, stride, pads = CASES[case]
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=x_shape), dtype)
    kernel = jnp.asarray(rng.normal(size=kernel_shape), dtype)
    y = jax.eval_shape(lambda: convolution.conv(x, kernel, stride, pads))
    g = jnp.asarray(rng.normal(size=y.shape), dtype)
    return x, kernel, g, {"stride": stride, "pads": pads}


@pytest.mark.parametrize("case", CASES)
def test_every_way_to_the_gradients_agrees(case):
    x, kernel, g, options = draw(case)
    expected = jax.jit(functools.partial(derived_gradients, **options))(x, kernel, g)
    sliced = jax.jit(functools.partial(sliced_gradients, **options))(x, kernel, g)
    chex.assert_trees_all_close(sliced, expected, rtol=1e-5, atol=1e-3)

    def convolve(x, kernel):
        return convolution.conv(x, kernel, *options.values())

    used = jax.vjp(convolve, x, kernel)[1](g)
    chex.assert_trees_all_close(used, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("case", [case for case in CASES if "of" not in case])
def test_gradients_match_finite_differences(case):
    with jax.enable_x64(True):
        x, kernel, g, options = draw(case, jnp.float64)
        found = sliced_gradients(x, kernel, g, **options)

        @jax.jit
        def directional(x, kernel):
            return jnp.vdot(convolution.conv(x, kernel, *options.values()), g)

        rng = np.random.default_rng(1)
        for _ in range(3):
            dx, dk = rng.normal(size=x.shape), rng.normal(size=kernel.shape)
            # It is bilinear: differences along one argument have no error of order 2.
            along_x = directional(x + dx, kernel) - directional(x - dx, kernel)
            along_k = directional(x, kernel + dk) - directional(x, kernel - dk)
            np.testing.assert_allclose(jnp.vdot(found[0], dx), along_x / 2, rtol=1e-9)
            np.testing.assert_allclose(jnp.vdot(found[1], dk), along_k / 2, rtol=1e-9)


def test_the_kernel_gradient_is_summed_over_slices_in_float32():
    x, kernel, g, options = draw("3 x 3 of many images")
    rounded = [array.astype(jnp.bfloat16) for array in (x, kernel, g)]
    _, found = sliced_gradients(*rounded, **options)
    exact = [array.astype(jnp.float32) for array in rounded]
    _, expected = sliced_gradients(*exact, **options)
    assert found.dtype == jnp.bfloat16
    chex.assert_trees_all_close(found, expected.astype(jnp.bfloat16), rtol=0)


def test_supports_vmap_rematerialisation_and_second_derivatives():
    x, kernel, _, options = draw("3 x 3")

    def loss(kernel, x, function):
        return jnp.sum(jnp.sin(function(x, kernel, *options.values())))

    def plain(x, kernel, stride, pads):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            pads,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    def penalty(kernel, x, function):
        return jnp.sum(jax.grad(loss)(kernel, x, function) ** 2)

    for scalar in (loss, penalty, jax.checkpoint(loss, static_argnums=2)):
        ours = jax.grad(scalar)(kernel, x, convolution.conv)
        chex.assert_trees_all_close(ours, jax.grad(scalar)(kernel, x, plain), rtol=1e-4)
    batched = jax.vmap(lambda x: jax.grad(loss)(kernel, x[None], convolution.conv))(x)
    chex.assert_trees_all_close(
        batched.sum(0), jax.grad(loss)(kernel, x, plain), rtol=1e-4
    )


@pytest.mark.parametrize("options", [{}, {"strides": 2}, {"padding": ((0, 1), (0, 1))}])
def test_stands_in_for_the_convolution_of_flax_bit_for_bit(options):
    x, _, _, _ = draw("3 x 3")
    plain = nn.Conv(3, (3, 3), **options)
    ours = nn.Conv(
        3, (3, 3), conv_general_dilated=convolution.conv_general_dilated, **options
    )
    variables = plain.init(jax.random.key(0), x)
    chex.assert_trees_all_equal(
        jax.jit(ours.apply)(variables, x), jax.jit(plain.apply)(variables, x)
    )


@pytest.mark.parametrize(("platform", "loops"), [("cpu", 1), ("cuda", 0), ("tpu", 0)])
def test_only_cpus_sum_the_kernel_gradient_over_slices(platform, loops):
    x, kernel, g, options = draw("3 x 3 of many images")

    def gradients(x, kernel, g):
        return jax.vjp(
            lambda x, kernel: convolution.conv(x, kernel, *options.values()), x, kernel
        )[1](g)

    program = jax.jit(gradients).trace(x, kernel, g)
    text = program.lower(lowering_platforms=(platform,)).as_text()
    assert text.count("stablehlo.while") == loops
