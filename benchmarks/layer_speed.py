"""Measures the networks' layers against the obvious implementation of each.

    python -m benchmarks.layer_speed

Seconds of a forward pass, alone and with both gradients, at sizes of the published
networks and with batches of 32. Calls take turns, and medians are compared.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from colddiff_jax.models import convolution, depthwise, layers, upsampling

BATCH, ROUNDS = 32, 7
Layer = Callable[[dict, jax.Array], jax.Array]


def repeated_conv(variables: dict, x: jax.Array) -> jax.Array:
    x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
    return nn.Conv(256, (3, 3)).apply(variables, x)


def depthwise_by(function: Callable) -> Layer:
    return lambda variables, x: function(x, variables["params"]["kernel"])


def conv_1x1(variables: dict, x: jax.Array) -> jax.Array:
    kernel = variables["params"]["kernel"][None, None]
    params = {"kernel": kernel, "bias": variables["params"]["bias"]}
    return nn.Conv(128, (1, 1)).apply({"params": params}, x)


def conv_3x3(convolve: Callable) -> Layer:
    return nn.Conv(64, (3, 3), conv_general_dilated=convolve).apply


# By name: the shapes of the input and the parameters, our layer and the obvious one.
LAYERS: dict[str, tuple[tuple, dict, Layer, Layer]] = {
    "3 x 3 on 32 x 32: ours and the derived gradient": (
        (32, 32, 64),
        {"kernel": (3, 3, 64, 64), "bias": (64,)},
        conv_3x3(convolution.conv_general_dilated),
        conv_3x3(jax.lax.conv_general_dilated),
    ),
    "3 x 3 on 16 x 16: ours and the derived gradient": (
        (16, 16, 64),
        {"kernel": (3, 3, 64, 64), "bias": (64,)},
        conv_3x3(convolution.conv_general_dilated),
        conv_3x3(jax.lax.conv_general_dilated),
    ),
    "group normalisation: ours and Flax's": (
        (32, 32, 128),
        {"scale": (128,), "bias": (128,)},
        layers.GroupNorm(32, jnp.float32).apply,
        nn.GroupNorm(32, use_fast_variance=False).apply,
    ),
    "depthwise 7 x 7: ours and a grouped convolution": (
        (32, 32, 64),
        {"kernel": (7, 7, 64)},
        depthwise_by(depthwise.depthwise_conv),
        depthwise_by(depthwise.grouped_conv),
    ),
    "upsampled 3 x 3: interleaved and repeated pixels": (
        (16, 16, 256),
        {"kernel": (3, 3, 256, 256), "bias": (256,)},
        upsampling.UpsampledConv(256, jnp.float32).apply,
        repeated_conv,
    ),
    "transposed 4 x 4: interleaved and dilated": (
        (16, 16, 64),
        {"kernel": (4, 4, 64, 64), "bias": (64,)},
        upsampling.TransposedConv(64, jnp.float32).apply,
        nn.ConvTranspose(64, (4, 4), strides=(2, 2)).apply,
    ),
    "1 x 1: matrix product and convolution": (
        (32, 32, 384),
        {"kernel": (384, 128), "bias": (128,)},
        nn.Dense(128).apply,
        conv_1x1,
    ),
}


def with_gradients(layer: Layer) -> Callable:
    return jax.grad(lambda variables, x: jnp.sum(layer(variables, x) ** 2), (0, 1))


def main() -> None:
    rng = np.random.default_rng(0)

    def draw(shape: tuple[int, ...]) -> jax.Array:
        return jnp.asarray(0.1 * rng.normal(size=shape), jnp.float32)

    results = {}
    for name, (shape, parameters, ours, obvious) in LAYERS.items():
        x = draw((BATCH, *shape))
        variables = {"params": {key: draw(size) for key, size in parameters.items()}}
        np.testing.assert_allclose(
            ours(variables, x), obvious(variables, x), atol=1e-3, rtol=1e-3
        )
        row = {}
        for kind, passes in (("forward", jax.jit), ("and gradients", with_gradients)):
            jobs = {
                who: functools.partial(jax.jit(passes(layer)), variables, x)
                for who, layer in (("ours", ours), ("obvious", obvious))
            }
            seconds = timing.compare(jobs, ROUNDS)
            row[kind] = {who: round(value, 5) for who, value in seconds.items()}
            row[kind]["times faster"] = round(seconds["obvious"] / seconds["ours"], 1)
        results[name] = row
    timing.write("layer_speed", {"batch": BATCH, "layers": results})


if __name__ == "__main__":
    main()
