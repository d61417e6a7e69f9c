"""Priors: where x_T comes from when images are generated from nothing."""

import dataclasses
import warnings
from typing import Any, Protocol

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import prng
from colddiff_jax.checks import check_images, check_integer
from colddiff_jax.degradations.base import Degradation

_FITTED_AT_ONCE = 512  # Images degraded in one call.


class Prior(Protocol):
    """A distribution of fully degraded images x_T.

    Priors are frozen dataclasses and pytrees, like degradations.

    Example:
        >>> def generate(prior, key):
        ...     x_T = prior.sample(key, n=4)
        ...     return sample_alg2(restore_fn, degrade, x_T).x_0
    """

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images."""
        ...

    def draw(self, keys: chex.PRNGKey) -> chex.Array:
        """Draws one image per key, float32 [B, H, W, C]."""
        ...

    def sample(self, key: chex.PRNGKey, n: int) -> chex.Array:
        """Draws n images, float32 [n, H, W, C]; image i depends on the key and on i."""
        ...


class _Sampled:
    """The method `sample` of all priors."""

    def draw(self, keys: chex.PRNGKey) -> chex.Array:
        raise NotImplementedError

    def sample(self, key: chex.PRNGKey, n: int) -> chex.Array:
        """Draws n images, float32 [n, H, W, C]; image i depends on the key and on i."""
        return self.draw(prng.indexed_keys(key, jnp.arange(check_integer("n", n))))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class MixturePrior(_Sampled):
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


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class EmpiricalPrior(_Sampled):
    """One of the given images, such as degraded training images, or another set.

    Attributes:
        images: float [N, H, W, C].

    Example:
        >>> prior = EmpiricalPrior(degrade(x_0, degrade.num_steps))
        >>> prior.sample(jax.random.key(0), n=5).shape[0]
        5
    """

    images: chex.Array

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images."""
        return self.images.shape[1:]

    def draw(self, keys: chex.PRNGKey) -> chex.Array:
        """Draws one image per key, float32 [B, H, W, C]."""
        choose = jax.vmap(lambda key: jax.random.randint(key, (), 0, len(self.images)))
        return self.images[choose(keys)].astype(jnp.float32)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class NormalPrior(_Sampled):
    """Standard normal noise, the x_T of `gaussian_noise`.

    Attributes:
        image_shape: (H, W, C).

    Example:
        >>> NormalPrior((8, 8, 3)).sample(jax.random.key(0), n=2).shape
        (2, 8, 8, 3)
    """

    image_shape: tuple[int, int, int] = dataclasses.field(metadata={"static": True})

    def draw(self, keys: chex.PRNGKey) -> chex.Array:
        """Draws one image per key, float32 [B, H, W, C]."""
        return jax.vmap(lambda key: jax.random.normal(key, self.image_shape))(keys)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class ColorPrior(_Sampled):
    """One random colour per image, the x_T of `fade_to_color`.

    Attributes:
        color_range: bounds of each channel, float32 [2].
        image_shape: (H, W, C).

    Example:
        >>> prior = ColorPrior(jnp.array([-0.5, 0.5]), (8, 8, 3))
        >>> prior.sample(jax.random.key(0), n=2).shape
        (2, 8, 8, 3)
    """

    color_range: chex.Array
    image_shape: tuple[int, int, int] = dataclasses.field(metadata={"static": True})

    def draw(self, keys: chex.PRNGKey) -> chex.Array:
        """Draws one image per key, float32 [B, H, W, C]."""
        low, high = self.color_range

        def color(key: chex.PRNGKey) -> chex.Array:
            return jax.random.uniform(key, (1, 1, self.image_shape[2]), minval=low,
                                      maxval=high)  # fmt: skip

        colors = jax.vmap(color)(keys)
        return jnp.broadcast_to(colors, (len(colors), *self.image_shape))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class PerturbedPrior(_Sampled):
    """Images of another prior, with noise: broken symmetry, or the x_T of `noisy`.

    Attributes:
        prior: the other prior.
        std: the standard deviation of the noise, in image units.

    Example:
        >>> prior = PerturbedPrior(NormalPrior((8, 8, 1)), 0.002)
        >>> prior.sample(jax.random.key(0), n=2).shape
        (2, 8, 8, 1)
    """

    prior: Any
    std: chex.Numeric

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images."""
        return self.prior.image_shape

    def draw(self, keys: chex.PRNGKey) -> chex.Array:
        """Draws one image per key, float32 [B, H, W, C]."""
        image_keys, noise_keys = prng.split_keys(keys, 2)
        return break_symmetry(self.prior.draw(image_keys), key=noise_keys, std=self.std)


def break_symmetry(
    x_T: chex.Array, *, key: chex.PRNGKey, std: chex.Numeric = 0.002
) -> chex.Array:
    """Adds a little noise to images that are the same in every pixel.

        x_T + std z,    z ~ N(0, 1)

    A convolutional network treats equal pixels alike: from a flat image, it draws
    structures only at the borders, and few different ones.

    Args:
        x_T: float [B, H, W, C].
        key: one key for the batch, or one per image, [B].
        std: in image units.

    Returns:
        Images like x_T.

    Example:
        >>> x_T = jnp.zeros((2, 8, 8, 3))
        >>> break_symmetry(x_T, key=jax.random.key(0)).std() < 0.003
        Array(True, dtype=bool)

    Reference:
        Bansal et al. (2022), section 5.2, "breaking the symmetry"; 0.002 there.
    """
    x_T = check_images(x_T)
    keys = prng.keys_per_example(key, len(x_T))
    noise = jax.vmap(lambda key: jax.random.normal(key, x_T.shape[1:]))(keys)
    return (x_T + std * noise).astype(x_T.dtype)


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
