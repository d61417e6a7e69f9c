"""All public degradations, with T = 6, for the tests of their contract."""

import jax
import jax.numpy as jnp
import numpy as np

import colddiff_jax as cd
from colddiff_jax import schedules

T = 6


def darken(x, t):
    return (x + 1) * 0.8**t - 1


def partners(seed=1):
    """Returns images to morph into: noise within [-1, 1]."""
    noise = np.random.default_rng(seed).normal(size=(4, 32, 32, 3))
    return jnp.asarray(np.tanh(noise), jnp.float32)


# Keys are the name of the factory, optionally with a colon and a variant.
CASES = {
    "animorph": lambda: cd.animorph(schedules.cosine(T)).with_endpoint(partners()),
    "animorph:noisy": lambda: cd.animorph(
        schedules.cosine(T), endpoint_noise=0.2
    ).with_endpoint(partners(), jax.random.key(0)),
    "blend": lambda: cd.blend(
        [0.9, 0.8, 0.6, 0.4, 0.2, 0.0], [0.0, 0.2, 0.4, 0.6, 1.0, 1.5]
    ),
    "blur_and_noise": lambda: cd.blur_and_noise(
        32, schedules.geometric(T, start=0.5, stop=20.0), schedules.cosine(T)
    ),
    "compose": lambda: cd.compose(
        cd.gaussian_blur(32, 3 * [1.0], kernel_size=5),
        cd.desaturate(schedules.linear_decay(T)),
        cd.gaussian_mask(32, T * [3.0], center="random"),
    ),
    "desaturate": lambda: cd.desaturate(schedules.linear_decay(T)),
    "fade": lambda: cd.fade(schedules.exponential_decay(T, factor=0.7, to_zero=True)),
    "fade:black": lambda: cd.fade(schedules.linear_decay(T), to=-1.0),
    "fade_to_color": lambda: cd.fade_to_color(32, T * [3.0]),
    "fade_to_color:forward": lambda: cd.fade_to_color(32, T * [3.0], reverse=False),
    "from_function": lambda: cd.from_function(darken, num_steps=T),
    "gaussian_blur": lambda: cd.gaussian_blur(32, T * [2.0], kernel_size=5),
    "gaussian_blur:reflect, to mean": lambda: cd.gaussian_blur(
        32, schedules.exponential(T, rate=0.2), kernel_size=7, padding="reflect",
        to_mean=True,
    ),
    "gaussian_blur:not repeated": lambda: cd.gaussian_blur(
        32, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], kernel_size=range(3, 15, 2), repeated=False
    ),
    "gaussian_mask": lambda: cd.gaussian_mask(32, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    "gaussian_mask:given": lambda: cd.gaussian_mask(32, T * [3.0], center=(4, 20)),
    "gaussian_mask:random": lambda: cd.gaussian_mask(32, T * [3.0], center="random"),
    "gaussian_noise": lambda: cd.gaussian_noise(schedules.cosine(T)),
    "heat_blur": lambda: cd.heat_blur(
        32, schedules.geometric(T, start=0.5, stop=20.0)
    ),
    "holes": lambda: cd.holes(32, T),
    "jpeg_like": lambda: cd.jpeg_like([70, 50, 30, 20, 10, 2]),
    "jpeg_like:exact, subsampled": lambda: cd.jpeg_like(
        [70, 50, 30, 20, 10, 2], exact=True, subsample=True
    ),
    "motion_blur": lambda: cd.motion_blur(32, [2, 4, 6, 8, 12, 16]),
    "motion_blur:given": lambda: cd.motion_blur(
        32, [2, 4, 6, 8, 12, 16], angle=30, padding="reflect"
    ),
    "noisy": lambda: cd.noisy(
        cd.gaussian_blur(32, T * [2.0], kernel_size=5), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    ),
    "pixelate": lambda: cd.pixelate(32, [24, 16, 12, 8, 4, 2]),
    "pixelate:area, blurred": lambda: cd.pixelate(
        32, [30, 25, 20, 15, 10, 5], method="area", blur_std=0.5
    ),
    "pixelate:bilinear": lambda: cd.pixelate(
        32, [30, 25, 20, 15, 10, 5], method="bilinear"
    ),
    "quantize": lambda: cd.quantize(cd.fade(schedules.linear_decay(T))),
    "rank_mask": lambda: cd.rank_mask(
        cd.spiral_ranks(32), [50, 100, 200, 400, 800, 1000]
    ),
    "rank_mask:colour": lambda: cd.rank_mask(
        cd.spiral_ranks(32), [50, 100, 200, 400, 800, 1000], color_range=(0.0, 1.0)
    ),
    "snow": lambda: cd.snow(32, T),
    "snow:heavy, brightened": lambda: cd.snow(32, T, level=4, brighten=True),
}  # fmt: skip

RANDOM = {
    "blend",
    "blur_and_noise",
    "compose",
    "fade_to_color",
    "fade_to_color:forward",
    "gaussian_mask:random",
    "gaussian_noise",
    "holes",
    "motion_blur",
    "noisy",
    "rank_mask:colour",
    "snow",
    "snow:heavy, brightened",
}
# Compared with finite differences of a small step; for linear maps any step is exact.
NONLINEAR = {
    "jpeg_like",
    "jpeg_like:exact, subsampled",
    "quantize",
    "snow",
    "snow:heavy, brightened",
}
ANY_SIZE = ("blend", "desaturate", "fade", "from_function", "gaussian_noise",
            "jpeg_like", "quantize")  # fmt: skip
