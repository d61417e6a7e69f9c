"""Blends that end in the degraded image of the same scene, which R may see."""

from collections.abc import Mapping
from typing import Any

import chex
import jax.numpy as jnp

from colddiff_jax.checks import InputError
from colddiff_jax.data import ImageSplits
from colddiff_jax.data.pairs import Pairs, pair_folder
from colddiff_jax.degradations import Blend, Noisy
from colddiff_jax.degradations.base import Degradation, endpoint_kind
from colddiff_jax.experiment.sections import only, parameters_of

_ROUNDING = 0.01  # One level of 8 bits, in images from -1 to 1.


def is_paired(config: Mapping[str, Any]) -> bool:
    """Whether the images of the section endpoints are partners of those of data."""
    return bool(config.get("endpoints", {}).get("paired", False))


def check_ends_in_partner(degrade: Degradation) -> None:
    """Checks that D(x, T) is the endpoint, which is all that a user has to restore.

    Raises:
        InputError: a degradation that does not blend with images, or not fully.
    """
    blend = image_blend(degrade)
    if blend is None:
        raise InputError(
            "`endpoints.paired` needs a degradation that blends images with others "
            "(`degradation` blend with `degradation.endpoint` image, or animorph), got "
            f"a {type(degrade).__name__}; leave it False"
        )
    if not isinstance(blend, Blend):
        return
    tables = (blend.image_weights, blend.endpoint_weights)
    last = [float(jnp.max(table[-1])) for table in tables]
    noisy = blend is not degrade  # Where y may shrink, as in Resfusion.
    if last[0] > _ROUNDING or (not noisy and abs(last[1] - 1) > _ROUNDING):
        raise InputError(
            "pairs need a blend whose last weights are 0 for the image and 1 for the "
            f"endpoint, so that D(x, T) is the degraded image; got {last[0]:.3g} and "
            f"{last[1]:.3g}"
        )


def image_blend(degrade: Degradation) -> Any:
    """Returns the part of D that blends with images, or None."""
    inner = degrade.degradation if isinstance(degrade, Noisy) else degrade
    return inner if endpoint_kind(inner) == "image" else None


def sees_endpoint(fields: Mapping[str, Any], degrade: Degradation) -> bool:
    """Whether the network is given the image that D blends with.

    Args:
        fields: the section model.
        degrade: D.

    Raises:
        InputError: it should be, and D blends with no images.
    """
    sees = bool(fields.get("see_endpoint", False))
    if sees and image_blend(degrade) is None:
        raise InputError(
            "`model.see_endpoint` needs a degradation that blends with images, got a "
            f"{type(degrade).__name__}; leave it False"
        )
    return sees


def seen_image(degrade: Degradation) -> chex.Array:
    """Returns the image that D blends with.

    Raises:
        InputError: there is none yet.
    """
    image = getattr(image_blend(degrade), "endpoint", None)
    if image is None:
        raise InputError(
            "this network sees the image that x_t is blended with; give `degrade` with "
            "it, by its with_endpoint(y), or with_images(y) where noise is added"
        )
    return image


def open_partners(fields: Mapping[str, Any], clean: ImageSplits) -> Pairs:
    """Opens the degraded partners of the images of a folder.

    Args:
        fields: the section endpoints.
        clean: from `folder`.

    Raises:
        InputError: another source than a folder, or as in `pair_folder`.
    """
    source = fields.get("source")
    if source != "folder":
        raise InputError(
            "`endpoints.source` must be folder, where `data.source` is, for paired "
            f"images; got {source!r}"
        )
    options = only(fields, parameters_of(pair_folder))
    try:
        return pair_folder(clean, **options)
    except InputError as error:  # Sources name fields of the section data.
        raise InputError(str(error).replace("`data.", "`endpoints.")) from error
