"""Blackout diffusion: digits out of black images, whose pixels are whole numbers.

    python examples/blackout_diffusion.py --steps=2000

A pixel of x_0 is a number of particles, each of which dies at the rate 1 (Santos et
al., 2023, arXiv:2305.11089). With p_k = exp(-tau_k) at the observation times tau_k,

    x_k ~ Binomial(x_0, p_k),    x_T = 0: black
    x_j = x_k + Binomial(x0_hat - x_k, (p_j - p_k) / (1 - p_k)),    j < k

The second line, the binomial bridge, is the law of x_j given x_k and x_0. Its mean is a
step of Algorithm 2 with an estimated endpoint: x0_hat - x_k shrinks by (1 - p_j) /
(1 - p_k). The network predicts the missing particles, y = x0_hat - x_k >= 0, by the
instantaneous loss, a likelihood of births:

    (tau_k - tau_{k-1}) p_k (y - (x_0 - x_k) log y)

The published runs have T = 1,000, pixels of 0..255, the network of Song et al. (2021)
and another scale of its input. Here, T = 100, with a small U-Net; the digits are
scikit-learn's, whose 8 x 8 pixels count the dots, at most 16, of 4 x 4 blocks.
"""

import argparse
import functools
from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

import colddiff_jax as cd
from colddiff_jax import data
from colddiff_jax.io import figures

T, LAST_TIME, WHITE = 100, 10.0, 16
NETWORK = cd.UNet(
    base_channels=32,
    channel_multipliers=(1, 2),
    num_blocks=1,
    attention_resolutions=(),
    num_groups=8,
    dropout=0.0,
)


def observation_times(num_steps: int, last: float) -> np.ndarray:
    """Returns tau_0 = 0 and tau_k whose p_k have equal steps of log(p / (1 - p)).

    Args:
        num_steps: T.
        last: tau_T; tau_1 follows, since p_1 = 1 - p_T.

    Returns:
        float64 [T + 1].
    """
    end = np.log(np.expm1(last))  # log((1 - p) / p) at tau_T.
    return np.concatenate([[0.0], np.logaddexp(0, np.linspace(-end, end, num_steps))])


TIMES = observation_times(T, LAST_TIME)
SURVIVAL = jnp.asarray(np.exp(-TIMES), jnp.float32)
DEATH = jnp.asarray(-np.expm1(-TIMES), jnp.float32)
WEIGHTS = jnp.asarray(T * np.diff(TIMES, prepend=0.0) * np.exp(-TIMES), jnp.float32)


def per_image(values: chex.Array) -> chex.Array:
    """Returns values [B] as [B, 1, 1, 1]."""
    return values[:, None, None, None]


def survivors(key: chex.PRNGKey, count: chex.Array, p: chex.Numeric) -> chex.Array:
    """Draws Binomial(count, p), one particle after the other.

    Args:
        key: for the draw.
        count: whole float numbers in 0..16, [B, H, W, C].
        p: the probability, [] or [B].
    """
    p = jnp.broadcast_to(p, len(count))[:, None, None, None, None]
    particles = jnp.arange(WHITE)[None, None, None, None] < count[..., None]
    drawn = jax.random.uniform(key, particles.shape)
    return (particles & (drawn < p)).sum(axis=-1, dtype=float)


def degrade(key: chex.PRNGKey, x_0: chex.Array, k: chex.Array) -> chex.Array:
    """Draws x_k ~ Binomial(x_0, p_k), whole float numbers like x_0 [B, H, W, C].

    Args:
        key: for the draw.
        x_0: whole numbers in 0..16.
        k: steps, int32 [B], in 0..T.
    """
    return survivors(key, x_0, SURVIVAL[k])


def bridge(
    key: chex.PRNGKey, x_k: chex.Array, x0_hat: chex.Array, k: chex.Array, j: chex.Array
) -> chex.Array:
    """Draws x_j given x_k and x_0: each missing particle may have died since j.

    Args:
        key: for the draw.
        x_k: whole numbers [B, H, W, C].
        x0_hat: whole numbers, at least x_k.
        k: the step of x_k, int32 [].
        j: the earlier step, int32 [].
    """
    alive = (DEATH[k] - DEATH[j]) / DEATH[k]  # (p_j - p_k) / (1 - p_k)
    return x_k + survivors(key, x0_hat - x_k, alive)


def missing(params: Any, x_k: chex.Array, k: chex.Array) -> chex.Array:
    """Predicts y = x_0 - x_k, positive, with inputs and outputs of about unit scale."""
    most = jnp.maximum(WHITE * SURVIVAL[k], 1.0)
    x: Any = NETWORK.apply({"params": params}, 2 * x_k / per_image(most) - 1, k)
    return WHITE * per_image(DEATH[k]) * (jax.nn.softplus(x) + 1e-6)


def loss(y: chex.Array, x_0: chex.Array, x_k: chex.Array, k: chex.Array) -> chex.Array:
    """Returns the instantaneous loss of predictions y, one value per image."""
    births = y - (x_0 - x_k) * jnp.log(y)
    return WEIGHTS[k] * births.mean(axis=(1, 2, 3))


def generate(params: Any, key: chex.PRNGKey, count: int) -> tuple[chex.Array, ...]:
    """Draws images from black by the bridge, from T to 0.

    Returns:
        x_0, float [count, 8, 8, 1], whole numbers in 0..16, and all x_k on the way
        there, [T, count, 8, 8, 1].
    """

    def step(x_k: chex.Array, k: chex.Array) -> tuple[chex.Array, chex.Array]:
        y = missing(params, x_k, jnp.full(count, k))
        x0_hat = jnp.clip(x_k + jnp.round(y), x_k, WHITE)
        x_j = bridge(jax.random.fold_in(key, k), x_k, x0_hat, k, k - 1)
        return x_j, x_j

    return jax.lax.scan(step, jnp.zeros((count, 8, 8, 1)), jnp.arange(T, 0, -1))


def train(images: np.ndarray, num_steps: int, batch_size: int = 64) -> Any:
    """Trains the network, and returns the average of its parameters."""
    variables = cd.models.initialize(NETWORK, (8, 8, 1), key=jax.random.key(0))
    params = average = variables["params"]
    schedule = optax.cosine_decay_schedule(2e-3, num_steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))
    state = optimizer.init(params)

    @functools.partial(jax.jit, donate_argnums=0)
    def update(carry: tuple, key: chex.PRNGKey, x_0: chex.Array) -> tuple:
        params, average, state = carry
        step_key, draw_key = jax.random.split(key)
        k = jax.random.randint(step_key, (len(x_0),), 1, T + 1)
        x_k = degrade(draw_key, x_0, k)

        def mean_loss(params: Any) -> chex.Array:
            return loss(missing(params, x_k, k), x_0, x_k, k).mean()

        value, gradient = jax.value_and_grad(mean_loss)(params)
        updates, state = optimizer.update(gradient, state)
        params = optax.apply_updates(params, updates)
        average = optax.incremental_update(params, average, 0.005)
        return (params, average, state), value

    rng, key = np.random.default_rng(0), jax.random.key(1)
    carry = jax.tree.map(jnp.array, (params, average, state))  # Copies, to be donated.
    for i in range(num_steps):
        x_0 = jnp.asarray(images[rng.integers(0, len(images), batch_size)], jnp.float32)
        carry, value = update(carry, jax.random.fold_in(key, i), x_0)
        if i % 200 == 0 or i == num_steps - 1:
            print(f"step {i}  loss {float(value):.3f}", flush=True)
    return carry[1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, generates 64 digits, and saves a picture of them and of their growth."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="training steps")
    parser.add_argument("--out", default="blackout.png", help="the picture to write")
    options = parser.parse_args(arguments)
    images = np.round(np.asarray(data.digits().train) / 255 * WHITE)
    params = train(images, options.steps)
    _, walk = jax.jit(generate, static_argnames="count")(
        params, jax.random.key(2), count=64
    )
    # x_70, x_60 and x_50 of 16 digits; before, images are nearly black.
    growth = [walk[T - 1 - k, :16] for k in (70, 60, 50)]
    pixels = np.concatenate([*growth, walk[-1]]) / (WHITE / 2) - 1
    picture = figures.mosaic(pixels, columns=16)
    figures.save_png(options.out, picture)
    print(options.out)


if __name__ == "__main__":
    main()
