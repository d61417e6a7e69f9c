"""Priors: where x_T comes from when images are generated from nothing."""

import abc
import dataclasses
from typing import Any, Protocol

import chex
import jax
import jax.numpy as jnp

from colddiff_jax import prng
from colddiff_jax.checks import check_images, check_integer, check_number
from colddiff_jax.reprs import short_repr


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


class DrawnPerKey(abc.ABC):
    """The method `sample` of all priors."""

    @abc.abstractmethod
    def draw(self, keys: chex.PRNGKey) -> chex.Array:
        """Draws one image per key, float32 [B, H, W, C]."""

    def sample(self, key: chex.PRNGKey, n: int) -> chex.Array:
        """Draws n images, float32 [n, H, W, C]; image i depends on the key and on i."""
        return self.draw(prng.indexed_keys(key, jnp.arange(check_integer("n", n))))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class EmpiricalPrior(DrawnPerKey):
    """One of the given images, such as degraded training images, or another set.

    Attributes:
        images: float [N, H, W, C].

    Example:
        >>> prior = EmpiricalPrior(degrade(x_0, degrade.num_steps))
        >>> prior.sample(jax.random.key(0), n=5).shape[0]
        5
    """

    images: chex.Array

    def __repr__(self) -> str:
        return short_repr(self)

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
class NormalPrior(DrawnPerKey):
    """Standard normal noise, the x_T of `gaussian_noise`.

    Attributes:
        image_shape: (H, W, C).

    Example:
        >>> NormalPrior((8, 8, 3)).sample(jax.random.key(0), n=2).shape
        (2, 8, 8, 3)
    """

    image_shape: tuple[int, int, int] = dataclasses.field(metadata={"static": True})

    def __repr__(self) -> str:
        return short_repr(self)

    def draw(self, keys: chex.PRNGKey) -> chex.Array:
        """Draws one image per key, float32 [B, H, W, C]."""
        return prng.draw_normal(keys, self.image_shape)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class ColorPrior(DrawnPerKey):
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

    def __repr__(self) -> str:
        return short_repr(self)

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
class PerturbedPrior(DrawnPerKey):
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

    def __repr__(self) -> str:
        return short_repr(self)

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
    noise = prng.draw_normal(keys, x_T.shape[1:])
    return (x_T + std * noise).astype(x_T.dtype)


def with_noise(prior: Prior | None, std: float | None) -> Prior | None:
    """Returns a prior with other noise on its draws.

    Args:
        prior: the prior, or None.
        std: in image units; 0 for none, None to leave it as it is.

    Raises:
        ValueError: a negative std.
    """
    if std is None or prior is None:
        return prior
    check_number("std", std, "not be negative", lambda value: value >= 0)
    if isinstance(prior, PerturbedPrior):
        prior = prior.prior
    return PerturbedPrior(prior, std) if std else prior


def interpolated(prior: Prior, *, key: chex.PRNGKey, n: int) -> chex.Array:
    """Draws two images and returns n images on the way from one to the other.

    Normal noise follows a great circle, cos(a) z + sin(a) z', on which it stays normal;
    everything else a straight line. The noise of a `PerturbedPrior` is the same in all
    images.

    Args:
        prior: the prior.
        key: of all draws; the first image is `prior.sample(key, 1)`.
        n: the number of images, at least 2.

    Returns:
        float32 [n, H, W, C].

    Raises:
        ValueError: an n below 2.

    Example:
        >>> prior = NormalPrior((8, 8, 1))
        >>> interpolated(prior, key=jax.random.key(0), n=5).shape
        (5, 8, 8, 1)
    """
    check_integer("n", n, least=2)
    return _between(prior, prng.indexed_keys(key, jnp.arange(2)), n)


def _between(prior: Prior, ends: chex.PRNGKey, n: int) -> chex.Array:
    if isinstance(prior, PerturbedPrior):
        image_keys, noise_keys = prng.split_keys(ends, 2)
        images = _between(prior.prior, image_keys, n)
        same = noise_keys[jnp.zeros(n, int)]
        return break_symmetry(images, key=same, std=prior.std)
    first, last = prior.draw(ends)
    a = jnp.linspace(0, 1, n)[:, None, None, None]
    if isinstance(prior, NormalPrior):
        a = a * jnp.pi / 2
        return jnp.cos(a) * first[None] + jnp.sin(a) * last[None]
    return (1 - a) * first[None] + a * last[None]
