"""Random draws, each a pure function of (seed, name of the stream, step, example)."""

import zlib

import chex
import jax
import jax.numpy as jnp


def stream(seed: int, name: str) -> chex.PRNGKey:
    """The key of a named stream of random numbers, a pure function of (seed, name)."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))


def example_keys(key: chex.PRNGKey, examples: chex.Array) -> chex.PRNGKey:
    """One key per example, [B], by the example's number in the batch or data set."""
    return jax.vmap(jax.random.fold_in, (None, 0))(key, examples)


def split_keys(keys: chex.PRNGKey, number: int) -> tuple[chex.PRNGKey, ...]:
    """Splits one key per example, [B], into `number` of them, each [B]."""
    return jax.vmap(lambda key: tuple(jax.random.split(key, number)))(keys)


def draw_steps(keys: chex.PRNGKey, num_steps: int) -> chex.Array:
    """Draws t ~ U{1..num_steps} from each of the keys [B]; int32 [B]."""
    return jax.vmap(lambda key: jax.random.randint(key, (), 1, num_steps + 1))(keys)


def draw_later_steps(keys: chex.PRNGKey, t: chex.Array, num_steps: int) -> chex.Array:
    """Draws t' ~ U{t+1..num_steps} from each of the keys [B]; num_steps for that t."""
    return jax.vmap(
        lambda key, t: jax.random.randint(
            key, (), jnp.minimum(t + 1, num_steps), num_steps + 1
        )
    )(keys, t)


def draw_choice(keys: chex.PRNGKey, share: float) -> chex.Array:
    """Draws True with probability `share` from each of the keys [B]; bool [B]."""
    return jax.vmap(lambda key: jax.random.bernoulli(key, share))(keys)
