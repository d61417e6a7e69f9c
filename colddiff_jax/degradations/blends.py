"""Degradations that blend the image with noise, another image, or a colour."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax import checks
from colddiff_jax.degradations.blending import Blend
from colddiff_jax.degradations.colors import check_color_range, draw_color
from colddiff_jax.degradations.mask import cumulative_masks, middle


def blend(
    image_weights: Sequence[float] | np.ndarray,
    endpoint_weights: Sequence[float] | np.ndarray,
    *,
    endpoint: Literal["noise", "image"] = "noise",
    endpoint_noise: float = 0.0,
) -> Blend:
    """Makes a degradation into noise or another image, with weights of one's own.

        D(x, t) = a_t x + b_t z

    With a_t = 1 - t / T and b_t = t / T, Algorithm 2 with an estimated endpoint is
    iterative alpha-deblending, and Euler's method for rectified flow; if z is the
    degraded image of the same scene, it is inversion by direct iteration.

    Args:
        image_weights: a, in [0, 1], one value per step, non-increasing.
        endpoint_weights: b, non-negative, one value per step, non-decreasing.
        endpoint: z, "noise" for z ~ N(0, 1), which `bind` draws once for all t, or
            "image" for images that `with_endpoint` takes.
        endpoint_noise: as in `animorph`; only for images.

    Returns:
        A degradation with T = len(image_weights), for images of any size, that must be
        bound or given its images before it is called.

    Raises:
        ValueError: weights out of range or in the wrong order, or of two lengths;
            negative noise, or noise in an endpoint that is noise.

    Example:
        >>> weights = schedules.linear_decay(50)
        >>> degrade = blend(weights, 1 - weights)
        >>> x_T = degrade.bind(jax.random.key(0), x.shape)(x, t=50)

    Reference:
        Heitz, Belcour, Chambon (2023), arXiv:2305.03486; Liu, Gong, Liu (2022),
        arXiv:2209.03003; for pairs, Delbracio and Milanfar (2023), arXiv:2303.11435.
        Not in Bansal et al. (2022).
    """
    checks.check_choice("endpoint", endpoint, ("noise", "image"))
    std = _check_endpoint_noise(endpoint_noise)
    if std and endpoint == "noise":
        raise ValueError(
            "endpoint_noise is for endpoints that are images; set endpoint to 'image', "
            f"or leave endpoint_noise 0, got {std}"
        )
    a = checks.check_schedule(
        "image_weights",
        image_weights,
        "in [0, 1]",
        lambda v: (v >= 0) & (v <= 1),
        order="falling",
    )
    b = checks.check_schedule(
        "endpoint_weights",
        endpoint_weights,
        "non-negative",
        lambda v: v >= 0,
        order="rising",
    )
    if len(a) != len(b):
        raise ValueError(
            "image_weights and endpoint_weights must both have one value per step, "
            f"got {len(a)} and {len(b)}"
        )
    return dataclasses.replace(_blend_of("blend", a, b, endpoint), endpoint_noise=std)


def animorph(
    alphas_cumprod: Sequence[float] | np.ndarray, *, endpoint_noise: float = 0.0
) -> Blend:
    """Makes a degradation into another image, such as a face into an animal.

        D(x, t) = sqrt(alphas_cumprod_t) x + sqrt(1 - alphas_cumprod_t) z

    Args:
        alphas_cumprod: the image's fraction of the variance, in [0, 1], one value per
            step, non-increasing; `schedules.cosine` is the published schedule.
        endpoint_noise: the standard deviation of Gaussian noise in z, which
            `with_endpoint(z, key)` adds. Images that are black in most pixels say
            little, and noise gives the model something to choose by.

    Returns:
        A degradation with T = len(alphas_cumprod), for images of any size; call
        `with_endpoint` before applying it.

    Raises:
        ValueError: a value outside [0, 1], values that increase, or negative noise.

    Example:
        >>> degrade = animorph(schedules.cosine(200)).with_endpoint(animals)
        >>> x_t = degrade(people, t=100)

    Reference:
        Bansal et al. (2022), section 5.3; `demixing-diffusion-pytorch` in the official
        code, which has no noise. D(x, T) still contains a_T x, with a_T = 0.00025,
        while generation starts from z itself.
    """
    std = _check_endpoint_noise(endpoint_noise)
    morph = _variance_preserving("animorph", alphas_cumprod, "image")
    return dataclasses.replace(morph, endpoint_noise=std)


def gaussian_noise(alphas_cumprod: Sequence[float] | np.ndarray) -> Blend:
    """Makes the degradation of ordinary diffusion models, the "hot" baseline.

        D(x, t) = sqrt(alphas_cumprod_t) x + sqrt(1 - alphas_cumprod_t) z,   z ~ N(0, 1)

    Args:
        alphas_cumprod: as in `animorph`.

    Returns:
        A degradation with T = len(alphas_cumprod), for images of any size, that must be
        bound before it is called; `bind` draws z once for all t.

    Raises:
        ValueError: a value outside [0, 1], or values that increase.

    Example:
        >>> degrade = gaussian_noise(schedules.cosine(200))
        >>> x_T = degrade.bind(jax.random.key(0), x.shape)(x, t=200)

    Reference:
        Ho et al. (2020), arXiv:2006.11239, equation 4; Bansal et al. (2022), section
        5.1; `denoising-diffusion-pytorch` in the official code.
    """
    return _variance_preserving("gaussian_noise", alphas_cumprod, "noise")


def fade_to_color(
    image_size: int | Sequence[int],
    stds: Sequence[float] | np.ndarray,
    *,
    reverse: bool = True,
    color_range: tuple[float, float] = (-0.5, 0.5),
) -> Blend:
    """Makes a degradation that ends in one random colour per image.

        D(x, t) = a_t x + (1 - a_t) c,    c ~ U[color_range] per channel
        M_n(u) = prod_{i <= n} (1 - exp(-|u - middle|^2 / (2 std_i^2)))
        a_t = 1 - M_{T - t} if reverse else M_t, for t > 0

    With `reverse`, the colour spreads from the border inwards, and D(x, T) is exactly
    the colour: the starting point of unconditional generation. Without it, the colour
    spreads from the middle outwards, as in `gaussian_mask`.

    Args:
        image_size: side of the images in pixels, or (height, width).
        stds: standard deviations in pixels, whatever the image's size, one per step.
            With `reverse`, step t uses the first T - t of them, so the last is never
            used.
        reverse: whether the colour spreads from the border inwards.
        color_range: bounds of the colours, (low, high) in [-1, 1].

    Returns:
        A degradation with T = len(stds) that must be bound before it is called.

    Raises:
        ValueError: a standard deviation that is not positive, or an invalid range.

    Example:
        >>> stds = schedules.linear(750, start=0.05, increment=0.05)   # published
        >>> degrade, x = fade_to_color(128, stds), jnp.zeros((2, 128, 128, 3))
        >>> x_T = degrade.bind(jax.random.key(0), x.shape)(x, t=750)

    Reference:
        Bansal et al. (2022), section 5.3; `defading-generation-diffusion-pytorch` in
        the official code, which in training draws a new colour at every call. Its
        README trains with stds from 0.05 upwards and tests with stds from 0.55 upwards.
    """
    image_size = checks.check_image_size(image_size)
    stds = checks.check_stds(stds)
    masks = cumulative_masks(image_size, middle(image_size), stds)
    image_weights = 1.0 - masks[::-1] if reverse else masks
    image_weights[0] = 1.0
    return Blend(
        image_weights=jnp.asarray(image_weights, jnp.float32),
        endpoint_weights=jnp.asarray(1.0 - image_weights, jnp.float32),
        draw_endpoint=jax.tree_util.Partial(draw_color, check_color_range(color_range)),
        endpoint=None,
        endpoint_kind="color",
        num_steps=len(stds),
        name="fade_to_color",
    )


def _check_endpoint_noise(std: float) -> float:
    return checks.check_number(
        "endpoint_noise", std, "not be negative", lambda value: value >= 0
    )


def _variance_preserving(
    name: str,
    alphas_cumprod: Sequence[float] | np.ndarray,
    endpoint: Literal["noise", "image"],
) -> Blend:
    values = checks.check_schedule(
        "alphas_cumprod",
        alphas_cumprod,
        "in [0, 1]",
        lambda v: (v >= 0) & (v <= 1),
        order="falling",
    )
    return _blend_of(name, np.sqrt(values), np.sqrt(1.0 - values), endpoint)


def _blend_of(
    name: str,
    image_weights: np.ndarray,
    endpoint_weights: np.ndarray,
    endpoint: Literal["noise", "image"],
) -> Blend:
    """Makes a blend from checked weights of the steps 1 ... T."""
    draw = jax.tree_util.Partial(jax.random.normal) if endpoint == "noise" else None
    return Blend(
        image_weights=jnp.asarray(np.concatenate([[1.0], image_weights]), jnp.float32),
        endpoint_weights=jnp.asarray(
            np.concatenate([[0.0], endpoint_weights]), jnp.float32
        ),
        draw_endpoint=draw,
        endpoint=None,
        endpoint_kind=endpoint,
        num_steps=len(image_weights),
        name=name,
    )
