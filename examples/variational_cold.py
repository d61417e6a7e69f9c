"""Variational cold diffusion: digits out of black, by a code that says which.

    python examples/variational_cold.py --steps=1500

Blur and a fade to black leave nothing of the image (Feucht and Ilić, 2024,
github.com/MaxFeucht/VariationalColdDiffusion), T = 6:

    D(x, t) = k_t (A_t x + 1) - 1,    D(x, T) = -1

What to make of black is said by a latent code. In training, an encoder draws it from
the clean image; to generate, it comes from N(0, 1). It is the same in all steps:

    z ~ q(z | x_0) = N(m(x_0), s(x_0)^2),    x0_hat = R(x_t, t, z)
    loss = |x0_hat - x_0|^2 + beta KL(q(z | x_0) || N(0, 1))

Both are sums over pixels and numbers of the code. A walk without noise repeats its own
errors, and so R is also trained on them: half of the x_t are those of Algorithm 2, from
black and with the code, by the averaged weights, the teacher. All x_t have noise of
0.004. The walk to new digits is `sample_alg2`.

There, R predicts the image of any earlier step, the encoder sees x_t as well, and the
code enters by the embedding of t; here R predicts x_0, and the code is one more channel
of its input.
"""

import argparse
import functools
from collections.abc import Sequence
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import colddiff_jax as cd
from colddiff_jax import data
from colddiff_jax.io import figures

T, SIDE, LATENT = 6, 8, 8
BETA, NOISE, AVERAGING = 0.1, 0.004, 0.002


def degradation() -> cd.degradations.Degradation:
    """Returns D: widths from 1 to the side, the last twice, and k as cos^2 to 0."""
    widths = np.geomspace(1, SIDE, T - 1)
    blur = cd.heat_blur(SIDE, [*widths, SIDE])
    angles = np.pi / 2 * (np.linspace(0, 1, T) + 0.008) / 1.008
    return cd.compose(blur, cd.fade([*np.cos(angles[:-1]) ** 2, 0.0], to=-1.0))


class Encoder(nn.Module):
    """q(z | x_0): its mean and the logarithm of its variance, [B, LATENT] each."""

    @nn.compact
    def __call__(self, x: chex.Array) -> tuple[chex.Array, chex.Array]:
        """Encodes images [B, SIDE, SIDE, 1]."""
        for channels in (32, 64):
            x = nn.silu(nn.Conv(channels, (3, 3), strides=2)(x))
        mean, log_variance = jnp.split(
            nn.Dense(2 * LATENT)(nn.silu(nn.Dense(128)(x.reshape(len(x), -1)))), 2, -1
        )
        return mean, log_variance


class Decoder(nn.Module):
    """R(x_t, t, z): a U-Net that is given an image made of the code."""

    @nn.compact
    def __call__(self, x_t: chex.Array, t: chex.Array, z: chex.Array) -> chex.Array:
        """Predicts x_0."""
        hidden = nn.silu(nn.Dense(128)(z))
        code = nn.Dense(SIDE * SIDE)(hidden).reshape(-1, SIDE, SIDE, 1)
        unet = cd.UNet(
            base_channels=32,
            channel_multipliers=(1, 2),
            num_blocks=1,
            attention_resolutions=(),
            num_groups=8,
            dropout=0.0,
            patch_size=2,
        )
        return unet(jnp.concatenate([x_t, code], axis=-1), t)[..., :1]


DEGRADATION, ENCODER, DECODER = degradation(), Encoder(), Decoder()


def initial(key: chex.PRNGKey) -> dict[str, Any]:
    """Returns the parameters of both networks."""
    keys = jax.random.split(key)
    x, t, z = jnp.zeros((1, SIDE, SIDE, 1)), jnp.ones(1, int), jnp.zeros((1, LATENT))
    return {
        "encoder": ENCODER.init(keys[0], x)["params"],
        "decoder": DECODER.init(keys[1], x, t, z)["params"],
    }


def walk(params: Any, z: chex.Array) -> chex.Array:
    """Returns x_T, ..., x_0 of Algorithm 2 from black, [T + 1, B, SIDE, SIDE, 1]."""

    def restore_fn(x_t: chex.Array, t: chex.Array) -> chex.Array:
        return decode(params, x_t, t, z)

    black = jnp.full((len(z), SIDE, SIDE, 1), -1.0)
    result = cd.sample_alg2(restore_fn, DEGRADATION, black, return_trajectory=True)
    return jnp.asarray(result.trajectory)


def decode(params: Any, x_t: chex.Array, t: chex.Array, z: chex.Array) -> chex.Array:
    """Returns R(x_t, t, z)."""
    return jnp.asarray(DECODER.apply({"params": params["decoder"]}, x_t, t, z))


def divergence(mean: chex.Array, log_variance: chex.Array) -> chex.Array:
    """Returns KL(N(mean, variance) || N(0, 1)) of every code, [B]."""
    terms = mean**2 + jnp.exp(log_variance) - 1 - log_variance
    return terms.sum(axis=-1) / 2


def loss(params: Any, teacher: Any, x_0: chex.Array, key: chex.PRNGKey) -> chex.Array:
    """Returns the loss of a batch, half of it on the walks of the teacher."""
    code_key, step_key, noise_key = jax.random.split(key, 3)
    encoded: Any = ENCODER.apply({"params": params["encoder"]}, x_0)
    mean, log_variance = encoded
    e = jax.random.normal(code_key, mean.shape)
    z = mean + jnp.exp(log_variance / 2) * e
    t = jax.random.randint(step_key, (len(x_0),), 1, T + 1)
    half = len(x_0) // 2
    walks = walk(teacher, jax.lax.stop_gradient(z[:half]))
    walked = walks[T - t[:half], jnp.arange(half)]
    x_t = DEGRADATION(x_0, t).at[:half].set(jax.lax.stop_gradient(walked))
    x_t += NOISE * jax.random.normal(noise_key, x_t.shape)
    errors = jnp.square(decode(params, x_t, t, z) - x_0).sum(axis=(1, 2, 3))
    return (errors + BETA * divergence(mean, log_variance)).mean()


def train(images: np.ndarray, num_steps: int, batch_size: int = 64) -> Any:
    """Trains both networks, and returns the average of their parameters."""
    params = average = initial(jax.random.key(0))
    schedule = optax.cosine_decay_schedule(2e-3, num_steps)
    optimizer = optax.chain(optax.clip_by_global_norm(10.0), optax.adam(schedule))
    state = optimizer.init(params)

    @functools.partial(jax.jit, donate_argnums=0)
    def update(carry: tuple, key: chex.PRNGKey, x_0: chex.Array) -> tuple:
        params, average, state = carry
        value, gradient = jax.value_and_grad(loss)(params, average, x_0, key)
        updates, state = optimizer.update(gradient, state)
        params = optax.apply_updates(params, updates)
        average = optax.incremental_update(params, average, AVERAGING)
        return (params, average, state), value

    rng, key = np.random.default_rng(0), jax.random.key(1)
    carry = jax.tree.map(jnp.array, (params, average, state))  # Copies, to be donated.
    for i in range(num_steps):
        x_0 = jnp.asarray(images[rng.integers(0, len(images), batch_size)])
        carry, value = update(carry, jax.random.fold_in(key, i), x_0)
        if i % 200 == 0 or i == num_steps - 1:
            print(f"step {i}  loss {float(value):.3f}", flush=True)
    return carry[1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, generates 64 digits, and saves a picture of them and of their growth."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="training steps")
    parser.add_argument("--out", default="variational_cold.png", help="the picture")
    options = parser.parse_args(arguments)
    params = train(cd.to_float(data.digits().train), options.steps)
    z = jax.random.normal(jax.random.key(2), (64, LATENT))
    trajectory = jax.jit(walk)(params, z)
    growth = trajectory[1:-1, :16].reshape(-1, SIDE, SIDE, 1)  # Of 16 digits.
    picture = figures.mosaic(np.concatenate([growth, trajectory[-1]]), columns=16)
    figures.save_png(options.out, picture)
    print(options.out)


if __name__ == "__main__":
    main()
