"""A prior that is fitted to images: a Gaussian mixture of block means."""

import dataclasses
import warnings
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import prng
from colddiff_jax.checks import check_images, check_integer
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.reprs import short_repr
from colddiff_jax.sampling.priors import DrawnPerKey

_FITTED_AT_ONCE = 512  # Images degraded in one call.


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class MixturePrior(DrawnPerKey):
    """Images of k x k flat blocks, whose values have a Gaussian mixture.

    Made by `fit_prior`.

    Attributes:
        log_weights: logarithms of the weights of the components, float32 [N].
        means: float32 [N, k k C].
        factors: Cholesky factors of the covariances, float32 [N, k k C, k k C].
        image_shape: (H, W, C); H and W are multiples of k.
        block: k.

    Example:
        >>> prior = fit_prior(x_0, degrade, block=1, components=2)
        >>> prior.sample(jax.random.key(0), n=3).shape[0]
        3
    """

    log_weights: chex.Array
    means: chex.Array
    factors: chex.Array
    image_shape: tuple[int, int, int] = dataclasses.field(metadata={"static": True})
    block: int = dataclasses.field(metadata={"static": True})

    def __repr__(self) -> str:
        return short_repr(self)

    def draw(self, keys: chex.PRNGKey) -> chex.Array:
        """Draws one image per key, float32 [B, H, W, C]."""
        height, width, channels = self.image_shape

        def values(key: chex.PRNGKey) -> chex.Array:
            component_key, normal_key = jax.random.split(key)
            i = jax.random.categorical(component_key, self.log_weights)
            normal = jax.random.normal(normal_key, self.means.shape[1:])
            return self.means[i] + jnp.matmul(
                self.factors[i], normal, precision=jax.lax.Precision.HIGHEST
            )

        k = self.block
        blocks = jax.vmap(values)(keys).reshape(-1, k, k, channels)
        return blocks.repeat(height // k, axis=1).repeat(width // k, axis=2)


def fit_prior(
    x_0: chex.Array,
    degrade: Degradation,
    *,
    block: int = 1,
    components: int = 1,
    key: chex.PRNGKey | None = None,
    seed: int = 0,
) -> MixturePrior:
    """Fits a Gaussian mixture to the block means of degraded images.

    The blocks of x_T are drawn from the mixture. That is exact in form where D(x, T) is
    flat in k x k blocks: blurs to the mean (k = 1, the paper's prior), and pixelation
    to k x k pixels.

    Args:
        x_0: clean images, float [N, H, W, C]; thousands.
        degrade: D, unbound.
        block: k, the number of blocks on each side; H and W must be multiples.
        components: the number of components of the mixture, with full covariances.
        key: for the draws of a random D; None for key 0.
        seed: of the fit.

    Returns:
        The prior.

    Raises:
        ValueError: a number of blocks that does not divide the sides, or fewer images
            than components.
        TypeError: images that are not float.

    Example:
        >>> prior = fit_prior(x_0, degrade, block=1, components=2)
        >>> x_T = prior.sample(jax.random.key(0), n=4)

    Reference:
        Bansal et al. (2022), section 5.2: a mixture with one component, fitted to the
        mean colour of every training image.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    x_0 = check_images(x_0)
    num_images, height, width, channels = x_0.shape
    k = check_integer("block", block)
    check_integer("components", components)
    if height % k or width % k:
        raise ValueError(
            f"block must divide the sides of the images, {height} x {width} pixels, "
            f"got {k}"
        )
    if num_images < 2 * components:
        raise ValueError(
            f"components must be at most half the number of images, {num_images}, got "
            f"{components}"
        )
    key = jax.random.key(0) if key is None else key

    @jax.jit
    def block_means(degrade: Degradation, x: chex.Array, keys: chex.Array) -> Any:
        x_T = degrade.bind(keys, x.shape)(x, degrade.num_steps)
        blocks = x_T.reshape(len(x), k, height // k, k, width // k, channels)
        return blocks.mean(axis=(2, 4)).reshape(len(x), -1)

    means = [
        block_means(degrade, part, prng.indexed_keys(key, jnp.arange(i, i + len(part))))
        for i in range(0, num_images, _FITTED_AT_ONCE)
        if len(part := jnp.asarray(x_0[i : i + _FITTED_AT_ONCE]))
    ]
    mixture = GaussianMixture(components, random_state=seed)
    with warnings.catch_warnings():  # A mixture that still moves a little serves too.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(np.concatenate(means).astype(np.float64))
    return MixturePrior(
        log_weights=jnp.asarray(np.log(mixture.weights_), jnp.float32),
        means=jnp.asarray(mixture.means_, jnp.float32),
        factors=jnp.asarray(np.linalg.cholesky(mixture.covariances_), jnp.float32),
        image_shape=(height, width, channels),
        block=k,
    )
