"""A blend with an endpoint: another image, noise, or a colour."""

import dataclasses
from collections.abc import Sequence
from typing import Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import checks, prng
from colddiff_jax.degradations import base


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Blend:
    """A blend of the image with an endpoint z, D(x, t) = a_t x + b_t z.

    Made by `blend`, `animorph`, `gaussian_noise` and `fade_to_color`.

    Attributes:
        image_weights: a, float32 [T + 1] or, one per pixel, [T + 1, H, W]; a_0 = 1.
        endpoint_weights: b, like a; b_0 = 0.
        draw_endpoint: called by `bind` with a key and the shape [H, W, C] of one image
            to draw its endpoint; None if the endpoint cannot be drawn.
        endpoint: z, float [B, H, W, C], with axes of length one where it is constant
            ([B, 1, 1, C] for a colour); None until it is drawn or given.
        endpoint_kind: "image" (another image), "noise", or "color" (one per image).
        num_steps: T.
        name: the function that made it.
        endpoint_noise: the standard deviation of the noise that `with_endpoint` adds to
            z if it is given a key.

    Example:
        >>> degrade = animorph([0.64]).with_endpoint(jnp.ones((1, 1, 1, 1)))
        >>> x_t = degrade(jnp.full((1, 1, 1, 1), 0.5), t=1)   # 0.8 x + 0.6 z
        >>> round(x_t.item(), 4)
        1.0
    """

    image_weights: chex.Array
    endpoint_weights: chex.Array
    draw_endpoint: jax.tree_util.Partial | None
    endpoint: chex.Array | None
    endpoint_kind: base.EndpointKind = dataclasses.field(metadata={"static": True})
    num_steps: int = dataclasses.field(metadata={"static": True})
    name: str = dataclasses.field(default="blend", metadata={"static": True})
    endpoint_noise: float = dataclasses.field(default=0.0, metadata={"static": True})

    def __repr__(self) -> str:
        size = np.shape(self.image_weights)[1:]
        return base.describe(self.name, self.num_steps, size)

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Draws one endpoint per example; returns self if they cannot be drawn."""
        if self.draw_endpoint is None:
            return self
        draw, keys = self.draw_endpoint, prng.keys_per_example(key, shape[0])
        return self.with_endpoint(
            jax.vmap(lambda key: draw(key, tuple(shape[1:])))(keys)
        )

    def with_endpoint(self, z: chex.Array, key: chex.PRNGKey | None = None) -> Self:
        """Returns this blend with the endpoint z.

        Axes of length one broadcast: [B, 1, 1, C] is one colour per image, [1, H, W, C]
        one endpoint shared by all images.

        Args:
            z: the endpoint, float [B, H, W, C] in [-1, 1].
            key: one key or one per example, [B], that draws the `endpoint_noise`, if
                there is any; None if z has it already, as an estimated endpoint does.

        Raises:
            TypeError: z is not floating point.
            ValueError: z is not a batch of images, or not one colour per image.
        """
        z = checks.check_images(z)
        if self.endpoint_kind == "color" and z.shape[1:3] != (1, 1):
            raise ValueError(
                "the endpoint of this blend is one colour per image, of shape "
                f"[B, 1, 1, C]; got {z.shape}"
            )
        if key is not None and self.endpoint_noise:
            keys = prng.keys_per_example(key, len(z))
            z += self.endpoint_noise * prng.draw_normal(keys, z.shape[1:])
        return dataclasses.replace(self, endpoint=z)

    def estimate_endpoint(
        self, x_t: chex.Array, x0_hat: chex.Array, t: chex.Numeric
    ) -> chex.Array:
        """Solves x_t = a_t x0_hat + b_t z for the endpoint z.

        If the endpoint is a colour, this is the least-squares solution over all pixels.
        Where b_t = 0, x_t does not depend on z, and the result is 0.

        Args:
            x_t: degraded images, float [B, H, W, C].
            x0_hat: predictions of the clean images, like x_t.
            t: the step of x_t, integer [] or [B], in 0..T.

        Returns:
            z, float32 [B, H, W, C], or [B, 1, 1, C] for a colour.

        Raises:
            ValueError: images of different shapes; TypeError: not floating point.

        Reference:
            Song et al. (2021), DDIM, arXiv:2010.02502, equation 12; Bansal et al.
            (2022), section 5.1 ("estimated noise").
        """
        x_t, t = base.check_call(x_t, t, self.num_steps, self._image_size())
        x0_hat = checks.check_images(x0_hat)
        if x0_hat.shape != x_t.shape:
            raise ValueError(
                f"x0_hat must have the shape of x_t, {x_t.shape}, got {x0_hat.shape}"
            )
        image_weight, endpoint_weight = self._weights(t, x_t)
        residual = x_t.astype(jnp.float32) - image_weight * x0_hat.astype(jnp.float32)
        if self.endpoint_kind == "color":
            weight = jnp.broadcast_to(endpoint_weight, (*x_t.shape[:-1], 1))
            residual = (weight * residual).sum((1, 2), keepdims=True)
            endpoint_weight = (weight**2).sum((1, 2), keepdims=True)
        return base.divide(residual, endpoint_weight, 0.0)

    def levels(self, t: chex.Numeric) -> tuple[chex.Array, chex.Array]:
        """Returns a_t and b_t, like t; see `WithNoise`. Not for a colour."""
        return self.image_weights[t], self.endpoint_weights[t]

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) for float images x [B, H, W, C] and integer t [] or [B].

        Raises:
            ValueError: there is no endpoint yet, or it has another shape.
        """
        x, t = base.check_call(x, t, self.num_steps, self._image_size())
        z = self._check_endpoint(x)
        image_weight, endpoint_weight = self._weights(t, x)
        x_t = image_weight * x.astype(jnp.float32) + endpoint_weight * z
        return base.keep_clean(x, x_t, t)

    def pseudo_inverse(
        self,
        y: chex.Array,
        t: chex.Numeric,
        *,
        cutoff: float,
        damping: chex.Numeric = 0.0,
    ) -> chex.Array:
        """Returns y / a_t; see `Linear`."""
        y, t = base.check_call(y, t, self.num_steps, self._image_size())
        weights = self._weights(t, y)[0]
        return base.divide(y.astype(jnp.float32), weights, cutoff, damping)

    def _weights(self, t: chex.Array, x: chex.Array) -> tuple[chex.Array, chex.Array]:
        """Returns a_t and b_t, shaped to multiply images like x."""

        def at(table: chex.Array) -> chex.Array:
            weights = table[jnp.broadcast_to(t, x.shape[:1])]
            return weights.reshape(weights.shape + (1,) * (x.ndim - weights.ndim))

        return at(self.image_weights), at(self.endpoint_weights)

    def _image_size(self) -> tuple[int, ...] | None:
        return self.image_weights.shape[1:] or None

    def _check_endpoint(self, x: chex.Array) -> chex.Array:
        z = self.endpoint
        if z is None and self.draw_endpoint is None:
            raise ValueError(
                "this blend has no endpoint yet; call degrade = "
                "degrade.with_endpoint(z) first, with images z like x"
            )
        z = base.check_bound(z, x, "an endpoint")
        if any(n not in (1, size) for n, size in zip(z.shape, x.shape, strict=True)):
            raise ValueError(
                f"the endpoint must have the shape of the images, {x.shape}, or axes "
                f"of length one; got {z.shape}"
            )
        return z.astype(jnp.float32)
