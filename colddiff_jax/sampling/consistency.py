"""How well a restored image explains what was observed."""

import chex
import jax.numpy as jnp

from colddiff_jax.degradations.base import Degradation, check_images


def data_consistency(
    x_0: chex.Array,
    degrade: Degradation,
    x_T: chex.Array,
    *,
    t: chex.Numeric | None = None,
) -> chex.Array:
    """Measures how far a restored image, degraded again, is from the observation.

        rms(D(x_0, t) - x_T) per image

    Args:
        x_0: restored images, float [B, H, W, C].
        degrade: D, bound to what made x_T.
        x_T: the observation, like x_0.
        t: the step of the observation, integer [] or [B]; T by default.

    Returns:
        float32 [B], in the unit of the images; 0 is perfect.

    Raises:
        ValueError: images of different shapes.
        TypeError: images that are not float.

    Example:
        >>> x_0 = sample_alg2(restore_fn, degrade, x_T).x_0
        >>> data_consistency(x_0, degrade, x_T)
    """
    x_0, x_T = check_images(x_0), check_images(x_T)
    if x_0.shape != x_T.shape:
        raise ValueError(
            f"x_0 and x_T must have one shape, got {x_0.shape} and {x_T.shape}"
        )
    again = degrade(x_0, degrade.num_steps if t is None else t)
    difference = again.astype(jnp.float32) - x_T.astype(jnp.float32)
    return jnp.sqrt(jnp.mean(difference**2, axis=(1, 2, 3)))
