"""Images as users have them: files, Pillow images, arrays, one or several."""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from colddiff_jax.checks import InputError
from colddiff_jax.data.photos import Photo, open_photo, photo
from colddiff_jax.io.images import to_float, to_uint8
from colddiff_jax.sampling import EIGHT_BITS, FLOAT_NOISE

# Bicubic pixelation overshoots [-1, 1] by half; 0..255 is far beyond.
_LARGEST = 2.0


class UserImages(NamedTuple):
    """Images to restore, and the way back to what they were given as.

    Attributes:
        images: float32 [H, W, C] each, in [-1, 1], of any sizes, with the channels that
            the model takes.
        give_back: turns as many results, float [H, W, C], into what was given: files
            and Pillow images into Pillow images, uint8 into uint8, floats into float32,
            one into one, a batch into a batch, a list into a list.
        noises: the standard deviation of the noise of each, in image units: that of
            rounding and of JPEG compression.
    """

    images: list[np.ndarray]
    give_back: Callable[[list[np.ndarray]], Any]
    noises: list[float]


def read_images(images: Any, channels: int, *, repeat: int = 1) -> UserImages:
    """Reads the images that a user gives.

    Args:
        images: the path of a file, a Pillow image, an array [H, W, C] or [B, H, W, C]
            of uint8 or of floats in [-1, 1], or a list of these.
        channels: the number of channels of the model's images. Of grey files and
            Pillow images, a colour model restores three equal channels, and their mean
            is given back; of colour ones, a grey model restores each channel by itself.
        repeat: how often every pixel is repeated, along each side.

    Raises:
        InputError: a file that cannot be read, or an array of another type, shape,
            layout or range.
    """
    if isinstance(images, str | os.PathLike):
        return _of_photo(open_photo(images).enlarged(repeat), channels)
    if isinstance(images, Image.Image):
        return _of_photo(photo(images).enlarged(repeat), channels)
    if isinstance(images, list | tuple):
        return _of_list(images, channels, repeat)
    array = np.asarray(images)
    _check_array(array, channels)
    return _of_array(array.repeat(repeat, axis=-3).repeat(repeat, axis=-2))


def read_masks(mask: Any, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Reads the mask of images, or one mask for each.

    Args:
        mask: the path of a file, a Pillow image, or an array [H, W] of bool or uint8,
            white (True, at least 128) where pixels are missing; or a list of these.
        images: [H, W, C] each.

    Returns:
        bool [H, W] for each image.

    Raises:
        InputError: a file that cannot be read, an array of another type, or a mask of
            another size than its image.
    """
    given = list(mask) if isinstance(mask, list | tuple) else [mask] * len(images)
    if len(given) != len(images):
        raise InputError(
            f"`mask` must be one mask, or one for each of {len(images)} images, got "
            f"{len(given)}"
        )
    masks = [_read_mask(mask) for mask in given]
    for mask, image in zip(masks, images, strict=True):
        if mask.shape != image.shape[:2]:
            raise InputError(
                f"`mask` must have the size of its image, {image.shape[0]} x "
                f"{image.shape[1]} pixels, got {' x '.join(map(str, mask.shape))}"
            )
    return masks


def _read_mask(mask: Any) -> np.ndarray:
    if isinstance(mask, str | os.PathLike):
        return open_photo(mask).pixels.mean(axis=2) > 0
    if isinstance(mask, Image.Image):
        return photo(mask).pixels.mean(axis=2) > 0
    array = np.asarray(mask)
    if array.dtype == np.bool_:
        return array
    if array.dtype != np.uint8:
        raise InputError(
            "`mask` must be a file, a Pillow image, or an array [H, W] of bool or "
            f"uint8, got dtype {array.dtype}"
        )
    return array > 127


def _of_photo(given: Photo, channels: int) -> UserImages:
    pixels, noises = given.pixels, [given.noise]
    if pixels.shape[2] == channels:
        return UserImages(
            [pixels], lambda results: given.with_pixels(results[0]), noises
        )
    if channels == 3:  # The photo is grey.
        return UserImages(
            [np.repeat(pixels, 3, axis=2)],
            lambda results: given.with_pixels(results[0].mean(axis=2, keepdims=True)),
            noises,
        )
    if channels != 1:
        raise InputError(
            f"the model restores images of {channels} channels, and photographs have 1 "
            "or 3; give it arrays"
        )
    return UserImages(
        list(np.split(pixels, pixels.shape[2], axis=2)),
        lambda results: given.with_pixels(np.concatenate(results, axis=2)),
        pixels.shape[2] * noises,
    )


def _of_list(given: Sequence[Any], channels: int, repeat: int) -> UserImages:
    if not given:
        raise InputError("`images` must hold at least one image, got an empty list")
    parts = [read_images(image, channels, repeat=repeat) for image in given]

    def give_back(results: list[np.ndarray]) -> list[Any]:
        rest = iter(results)
        return [
            part.give_back([next(rest) for _ in range(len(part.images))])
            for part in parts
        ]

    return UserImages(
        [image for part in parts for image in part.images],
        give_back,
        [noise for part in parts for noise in part.noises],
    )


def _of_array(array: np.ndarray) -> UserImages:
    eight_bit = array.dtype == np.uint8
    images = np.asarray(to_float(array) if eight_bit else array, np.float32)
    single = array.ndim == 3

    def give_back(results: list[np.ndarray]) -> np.ndarray:
        restored = results[0] if single else np.stack(results)
        return to_uint8(restored) if eight_bit else restored

    listed = [images] if single else list(images)
    noise = EIGHT_BITS if eight_bit else FLOAT_NOISE
    return UserImages(listed, give_back, len(listed) * [noise])


def _check_array(array: np.ndarray, channels: int) -> None:
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise InputError(
            "`images` must be files, Pillow images, or arrays of uint8 or of floats in "
            f"[-1, 1], got dtype {array.dtype}"
        )
    shape = array.shape
    if array.ndim not in (3, 4) or not array.size:
        raise InputError(
            "`images` must have shape [H, W, C], or [B, H, W, C] with at least one "
            f"image, got {shape}"
        )
    if shape[-1] != channels:
        fix = f"the model restores images with {channels} channel(s)"
        if shape[-3] == channels:
            fix = "move the channels to the end with numpy.moveaxis(images, -3, -1)"
        raise InputError(
            f"`images` must have {channels} channel(s) on the last axis, got shape "
            f"{shape}; {fix}"
        )
    if array.dtype != np.uint8 and not np.abs(array).max() <= _LARGEST:
        raise InputError(
            "`images` of floats must be finite and lie in [-1, 1], got values from "
            f"{array.min()} to {array.max()}; scale them, or give uint8"
        )
