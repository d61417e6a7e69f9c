"""Random numbers: every draw is a pure function of (seed, stream, step, index).

No random state is stored, and an example's draws do not depend on its batch.
"""

import zlib
from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.checks import InputError, check_integer

# Not the default implementation, which JAX_DEFAULT_PRNG_IMPL may change: under rbg the
# draws of vmapped keys depend on the batch size.
_IMPLEMENTATION = "threefry2x32"


def stream(seed: int, name: str) -> chex.PRNGKey:
    """Returns the key of a named stream, a pure function of (seed, name)."""
    key = jax.random.key(check_seed(seed), impl=_IMPLEMENTATION)
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def check_seed(seed: int) -> int:
    """Returns a seed; raises InputError unless it is an integer in 0..2**32 - 1."""
    try:
        return check_integer("`seed`", seed, least=0, largest=2**32 - 1)
    except ValueError as error:
        raise InputError(str(error)) from error


def indexed_keys(key: chex.PRNGKey, indices: chex.Array) -> chex.PRNGKey:
    """Returns one key per example, [B], from its index in the batch or data set."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, indices)


def keys_per_example(key: chex.PRNGKey, batch_size: int) -> chex.PRNGKey:
    """Returns one key per example, [B], splitting `key` unless it has that shape."""
    dtype = getattr(key, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key):
        raise TypeError(f"key must be a jax.random.key(seed), got {key!r}")
    if key.ndim == 0:
        return jax.random.split(key, batch_size)
    if key.shape != (batch_size,):
        raise ValueError(
            f"key must be a single key or one per example, shape ({batch_size},); got "
            f"shape {key.shape}"
        )
    return key


def split_keys(keys: chex.PRNGKey, number: int) -> tuple[chex.PRNGKey, ...]:
    """Splits one key per example, [B], into `number` keys per example, each [B]."""
    return jax.vmap(lambda key: tuple(jax.random.split(key, number)))(keys)


def fold_keys(key: chex.PRNGKey, batch_size: int, number: int) -> chex.PRNGKey:
    """Returns keys [B] that follow from `keys_per_example` and a number."""
    keys = keys_per_example(key, batch_size)
    return jax.vmap(jax.random.fold_in, (0, None))(keys, number)


def draw_steps(keys: chex.PRNGKey, num_steps: int) -> chex.Array:
    """Draws t ~ U{1..num_steps} from each of the keys [B]; int32 [B]."""
    return jax.vmap(lambda key: jax.random.randint(key, (), 1, num_steps + 1))(keys)


def draw_steps_by_frequency(
    keys: chex.PRNGKey, frequencies: Sequence[float] | np.ndarray
) -> chex.Array:
    """Draws t in 1..T from each of the keys [B], P(t) ~ frequencies[t - 1]."""
    up_to = np.cumsum(np.asarray(frequencies, np.float64))
    # u lies in (0, 1], so that no step of frequency 0 is ever drawn.
    inner = jnp.asarray(up_to[:-1] / up_to[-1], jnp.float32)
    u = jax.vmap(lambda key: 1 - jax.random.uniform(key))(keys)
    return jnp.searchsorted(inner, u, side="left").astype(jnp.int32) + 1


def draw_later_steps(keys: chex.PRNGKey, t: chex.Array, num_steps: int) -> chex.Array:
    """Draws t' ~ U{t+1..T} from each of the keys [B], or T if t = T = num_steps."""
    return jax.vmap(
        lambda key, t: jax.random.randint(
            key, (), jnp.minimum(t + 1, num_steps), num_steps + 1
        )
    )(keys, t)


def draw_normal(keys: chex.PRNGKey, shape: Sequence[int]) -> chex.Array:
    """Draws N(0, 1) of a shape for each key, float32 [B, *shape]."""
    return jax.vmap(lambda key: jax.random.normal(key, tuple(shape)))(keys)


def draw_normal_at(
    keys: chex.PRNGKey, step: chex.Numeric, shape: Sequence[int]
) -> chex.Array:
    """Draws N(0, 1) as `draw_normal`, anew for every step of one trajectory per key."""
    return draw_normal(jax.vmap(jax.random.fold_in, (0, None))(keys, step), shape)


def draw_choice(keys: chex.PRNGKey, probability: float) -> chex.Array:
    """Draws True with the given probability from each of the keys [B]; bool [B]."""
    return jax.vmap(lambda key: jax.random.bernoulli(key, probability))(keys)
