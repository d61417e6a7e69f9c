"""Images that a degradation blends with."""

import chex

from colddiff_jax.degradations import Blend, Noisy
from colddiff_jax.degradations.base import Degradation


def with_images(
    degrade: Degradation, z: chex.Array, keys: chex.PRNGKey | None = None
) -> Degradation:
    """Returns D with the endpoints z, and with the noise that its endpoints have.

    Args:
        degrade: a degradation that blends with images, otherwise bound.
        z: float [B, H, W, C] in [-1, 1].
        keys: one per image, [B]; None for endpoints without noise.
    """
    if isinstance(degrade, Noisy):
        return degrade.with_images(z, keys)
    if isinstance(degrade, Blend):  # Whose endpoints no key has drawn.
        return degrade.with_endpoint(z, keys)
    return degrade.with_endpoint(z)  # type: ignore[attr-defined]
