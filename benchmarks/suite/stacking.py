"""D(x0_hat, t) and D(x0_hat, s) as two calls, or as products with stacked tables.

Where D is A_t x A_t^T, the change of Algorithm 2 is two products instead of four:

    D(x, s) - D(x, t) = [y_s, y_t] [A_s, -A_t]^T,    [y_s; y_t] = [A_s; A_t] x

Measured inside a scan of 20 steps without a network, next to the whole trajectory with
the small network, of which the saved time is a share.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import colddiff_jax as cd
from benchmarks.suite import Form, small, turns


class Sizes(NamedTuple):
    batch: int
    rounds: int


SIZES = {"smoke": Sizes(2, 1), "short": Sizes(64, 5), "full": Sizes(64, 25)}
STEPS = 20
PIXEL_SIDES = np.linspace(31, 4, STEPS).round().astype(int)


def measure(form: Form) -> dict[str, Any]:
    """Measures a blur and a pixelation, on 32 x 32 images of one channel."""
    sizes, net = SIZES[form], small.build(form)
    blur = net.model.degrade
    cases = {"blur": blur, "pixelate": cd.pixelate(32, PIXEL_SIDES)}
    x_0 = net.batch(sizes.batch)
    restore_fn = net.model.restore_fn(net.state.params)
    rows = {}
    for name, degrade in cases.items():
        x_T = degrade(x_0, STEPS)
        expected = _trajectory(degrade, x_T, stacked=False)
        found = _trajectory(degrade, x_T, stacked=True)
        np.testing.assert_allclose(found, expected, atol=1e-3)
        calls = {
            "ours": functools.partial(_trajectory, degrade, x_T, stacked=False),
            "stacked": functools.partial(_trajectory, degrade, x_T, stacked=True),
            "trajectory with the network": functools.partial(
                _sample, restore_fn, degrade, x_T
            ),
        }
        row = turns.ratio(calls, sizes.rounds)
        seconds = row["seconds"]
        saved = seconds["ours"] - seconds["stacked"]
        whole = seconds["trajectory with the network"]
        facts = {
            "batch": list(x_T.shape),
            "share of D in the trajectory": round(seconds["ours"] / whole, 4),
            "share that stacking saves": round(saved / whole, 4),
        }
        rows[name] = facts | row
    return rows


def change(degrade: Any, x: jax.Array, t: jax.Array, s: jax.Array) -> jax.Array:
    """Returns D(x, s) - D(x, t) for a blur or pixelation of squares, 0 <= s < t."""
    (table,) = degrade.operators
    identity = jnp.eye(table.shape[-1])
    at_s = jnp.where(s == 0, identity, table[jnp.maximum(s, 1) - 1])
    at_t = table[t - 1]
    product = functools.partial(jnp.einsum, precision="highest")
    rows = product("ij,bjwc->biwc", jnp.concatenate([at_s, at_t]), x)
    first, second = jnp.split(rows, 2, axis=1)
    both = jnp.concatenate([first, second], axis=2)
    return product("kw,biwc->bikc", jnp.concatenate([at_s, -at_t], axis=1), both)


@functools.partial(jax.jit, static_argnames="stacked")
def _trajectory(degrade: Any, x_T: jax.Array, *, stacked: bool) -> jax.Array:
    """Runs Algorithm 2 with x0_hat = x_t / 2, which costs almost nothing."""

    def step(x_t: jax.Array, t: jax.Array) -> tuple[jax.Array, None]:
        x0_hat = x_t / 2
        if stacked:
            return x_t + change(degrade, x0_hat, t, t - 1), None
        return x_t - degrade(x0_hat, t) + degrade(x0_hat, t - 1), None

    return jax.lax.scan(step, x_T, jnp.arange(STEPS, 0, -1))[0]


@jax.jit
def _sample(restore_fn: Any, degrade: Any, x_T: jax.Array) -> jax.Array:
    return cd.sample_alg2(restore_fn, degrade, x_T).x_0
