"""The samplers under test, called alike, and what they are tested on."""

import jax
import jax.numpy as jnp
import numpy as np

import colddiff_jax as cd
from colddiff_jax import sampling

T = 8


def momentum(*arguments, **options):
    return sampling.sample_momentum(
        *arguments,
        key=jax.random.key(5),
        noise_stds=np.linspace(0, 0.1, T),
        **options,
    )


def ddim(*arguments, **options):
    return sampling.sample_ddim(*arguments, key=jax.random.key(5), eta=0.5, **options)


SAMPLERS = {
    "alg1": sampling.sample_alg1,
    "alg2": sampling.sample_alg2,
    "heun": sampling.sample_heun,
    "ab2": sampling.sample_ab2,
    "momentum": momentum,
    "ddim": ddim,
}


def gaussian_blur():
    return cd.gaussian_blur(32, T * [1.0], kernel_size=5)


def toy_restorer(x, t):
    return 0.8 * x + 0.01 * t.astype(jnp.float32)[:, None, None, None]
