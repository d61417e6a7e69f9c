"""DYffusion: Algorithm 2 forecasts a turning digit, and D is a trained network.

    python examples/dyffusion.py --steps=1500

A sequence has the frames s_0, ..., s_h. Ruehling Cachay et al. (2023),
arXiv:2306.01984, replace noise by time: an interpolator I(s_0, s_h, i), trained first,
predicts frame i, and a forecaster F(s_i, i) is trained on what the interpolator makes,
to predict s_h. Their cold sampling (their Algorithm 2) is

    s_h_hat = F(s_i, i),    s_{i+1} = s_i - I(s_0, s_h_hat, i) + I(s_0, s_h_hat, i + 1)

which is Algorithm 2 of Cold Diffusion, with the last frame as the clean image and
T = h. Steps count downwards and frames upwards: step t of the walk is frame i = h - t,

    x_0 = s_h,    x_T = s_0,    D(x, t) = I(s_0, x, h - t),    R(x_t, t) = F(x_t, h - t)

As in the paper, the interpolator is random by its dropout; `bind` draws it once for all
t. Both networks are also given s_0. Frames are scikit-learn's digits, 16 x 16 pixels,
which turn by 15 degrees from frame to frame. Not here: the paper's term for a second
step in the loss, its auxiliary steps between frames, and its data.
"""

import argparse
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, Self

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.ndimage

import colddiff_jax as cd
from colddiff_jax import data, prng
from colddiff_jax.io import figures

HORIZON, ANGLE, SIDE = 6, 15.0, 16  # h, degrees per frame, pixels.
NETWORK = cd.UNet(
    base_channels=32,
    channel_multipliers=(1, 2),
    num_blocks=1,
    attention_resolutions=(),
    num_groups=8,
    dropout=0.1,
    patch_size=2,
)


def turning(images: np.ndarray) -> np.ndarray:
    """Returns frames [N, h + 1, 16, 16, 1] in [-1, 1] of digits uint8 [N, 8, 8, 1]."""
    large = cd.to_float(images).repeat(2, axis=1).repeat(2, axis=2)
    frames = [
        scipy.ndimage.rotate(
            large, -ANGLE * i, axes=(1, 2), reshape=False, order=1, cval=-1.0
        )
        for i in range(HORIZON + 1)
    ]
    return np.stack(frames, axis=1).astype(np.float32)


def apply(
    params: Any,
    first: chex.Array,
    x: chex.Array,
    step: chex.Array,
    keys: chex.PRNGKey | None = None,
) -> chex.Array:
    """Calls the network on s_0 and another frame, two channels of one image.

    The network adds to that frame, and `keys`, one per image, are those of its dropout.
    """
    pair = jnp.concatenate([x, first], axis=-1)
    change: Any = NETWORK.apply({"params": params}, pair, step, dropout_keys=keys)
    return x + change[..., :1]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Interpolation:
    """D(x, t) = I(s_0, x, h - t), with D(x, 0) = x and D(x, T) = s_0.

    Attributes:
        network: I(s_0, x, t, keys), a Partial of `apply` and the parameters.
        first: s_0, float [B, H, W, 1].
        keys: those of its dropout, one per image; None for none.
        num_steps: T, the horizon h.
    """

    network: jax.tree_util.Partial
    first: chex.Array
    keys: chex.PRNGKey | None = None
    num_steps: int = dataclasses.field(default=HORIZON, metadata={"static": True})

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Draws the dropout of each image, which stays the same for all t."""
        return dataclasses.replace(self, keys=prng.keys_per_example(key, shape[0]))

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) for images x [B, H, W, 1] and t [] or [B]."""
        t = jnp.broadcast_to(t, x.shape[:1])
        inner = self.network(self.first, x, jnp.maximum(t, 1), self.keys)
        t = t[:, None, None, None]
        ends = jnp.where(t == 0, x, self.first)
        return jnp.where((t == 0) | (t == self.num_steps), ends, inner)


Loss = Callable[[Any, chex.Array, chex.PRNGKey], chex.Array]


def interpolator_loss(params: Any, frames: chex.Array, key: chex.PRNGKey) -> chex.Array:
    """Stage 1: the squared error of I(s_0, s_h, i), for random 0 < i < h."""
    step_key, dropout_key = jax.random.split(key)
    i = jax.random.randint(step_key, (len(frames),), 1, HORIZON)
    keys = prng.keys_per_example(dropout_key, len(frames))
    predicted = apply(params, frames[:, 0], frames[:, HORIZON], HORIZON - i, keys)
    return jnp.square(predicted - frames[jnp.arange(len(frames)), i]).mean()


def forecaster_loss(
    interpolator: Any, params: Any, frames: chex.Array, key: chex.PRNGKey
) -> chex.Array:
    """Stage 2: the squared error of F(D(s_h, t), t), for random t = 1 ... h."""
    step_key, bind_key, dropout_key = jax.random.split(key, 3)
    first, last = frames[:, 0], frames[:, HORIZON]
    t = jax.random.randint(step_key, (len(frames),), 1, HORIZON + 1)
    network = jax.tree_util.Partial(apply, interpolator)
    degrade = Interpolation(network, first).bind(bind_key, first.shape)
    x_t = jax.lax.stop_gradient(degrade(last, t))
    keys = prng.keys_per_example(dropout_key, len(frames))
    return jnp.square(apply(params, first, x_t, t, keys) - last).mean()


def train(
    loss: Loss, frames: np.ndarray, num_steps: int, seed: int, batch_size: int = 32
) -> Any:
    """Minimises a loss of (params, frames, key), and returns averaged parameters."""
    variables = cd.models.initialize(NETWORK, (SIDE, SIDE, 2), key=jax.random.key(seed))
    params = average = variables["params"]
    optimizer = optax.adam(optax.cosine_decay_schedule(2e-3, num_steps))
    state = optimizer.init(params)

    @functools.partial(jax.jit, donate_argnums=0)
    def update(carry: tuple, key: chex.PRNGKey, batch: chex.Array) -> tuple:
        params, average, state = carry
        value, gradient = jax.value_and_grad(loss)(params, batch, key)
        updates, state = optimizer.update(gradient, state)
        params = optax.apply_updates(params, updates)
        return (params, optax.incremental_update(params, average, 0.01), state), value

    rng, key = np.random.default_rng(seed), jax.random.key(seed + 10)
    carry = jax.tree.map(jnp.array, (params, average, state))  # Copies, to be donated.
    for i in range(num_steps):
        batch = frames[rng.integers(0, len(frames), batch_size)]
        carry, value = update(carry, jax.random.fold_in(key, i), batch)
        if i % 200 == 0 or i == num_steps - 1:
            print(f"step {i}  loss {float(value):.4f}", flush=True)
    return carry[1]


def forecast(
    interpolator: Any, forecaster: Any, first: chex.Array, key: chex.PRNGKey
) -> cd.SampleResult:
    """Walks from s_0 to s_h; `trajectory` has the frames s_0, ..., s_h in order."""
    network = jax.tree_util.Partial(apply, interpolator)
    degrade = Interpolation(network, first).bind(key, first.shape)
    restore_fn = jax.tree_util.Partial(apply, forecaster, first)
    return cd.sample_alg2(restore_fn, degrade, first, return_trajectory=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains both networks, forecasts test digits, and saves a picture of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="steps of each stage")
    parser.add_argument("--out", default="dyffusion.png", help="the picture to write")
    options = parser.parse_args(arguments)
    splits = data.digits()
    frames = turning(np.asarray(splits.train))
    interpolator = train(interpolator_loss, frames, options.steps, seed=0)
    stage_2 = functools.partial(forecaster_loss, interpolator)
    forecaster = train(stage_2, frames, options.steps, seed=1)
    true = turning(np.asarray(splits.test)[:64])
    walk = jax.jit(forecast)(interpolator, forecaster, true[:, 0], jax.random.key(5))
    found = np.moveaxis(np.asarray(walk.trajectory), 0, 1)
    rmse = np.sqrt(np.square(found - true).mean(axis=(0, 2, 3, 4)))
    direct = np.sqrt(np.square(walk.direct - true[:, -1]).mean())
    still = np.sqrt(np.square(true[:, 0] - true[:, -1]).mean())
    print("RMSE of frames 1..h", " ".join(f"{value:.3f}" for value in rmse[1:]))
    print(f"RMSE of frame h: direct {direct:.3f}, the first frame {still:.3f}")
    rows = np.stack([true[:4], found[:4]], axis=1)  # The truth above each forecast.
    picture = figures.mosaic(rows.reshape(-1, SIDE, SIDE, 1), columns=HORIZON + 1)
    figures.save_png(options.out, picture)
    print(options.out)


if __name__ == "__main__":
    main()
