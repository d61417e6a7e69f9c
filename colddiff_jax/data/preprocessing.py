"""Resizing, cropping and flipping images to squares of the size a network takes."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from colddiff_jax.checks import MAX_SIDE, InputError, check_integer

# Above this aspect ratio only the central part of an image is resized. It may differ by
# 1 from the central part of the whole image resized.
_THIN = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Turns an image into a square of the size the network trains on.

    On the host, once: the shorter side is resized to `resize_to` (bilinear with
    antialiasing, as in PIL and the official code) and the central square is kept. On
    the device, anew in every step: black pixels are added on every side, a random
    square of `image_size` is cropped, and half of the images are mirrored. Test images
    are cropped at the centre. The published augmentation is `resize_to` = 1.12
    `image_size`, rounded down, and `flip`.

    With `crop`, images may have any sizes, as photographs do: a random square of
    `image_size` is cut out of the whole image on the host, anew in every step.

    Attributes:
        image_size: side of the images that the network is given, in pixels.
        resize_to: length of the shorter side before the crop; 0 keeps the images at
            their size, which must then be the same for all, except with `crop`.
        pad: black pixels added on every side before a random crop.
        flip: mirror half of the training images; wrong for digits and letters.
        crop: keep rectangles, and train on random windows of them; `pad` must be 0.

    Example:
        >>> preprocessing = Preprocessing(image_size=32, resize_to=36, flip=True)
        >>> preprocessing.test(np.zeros((48, 64, 3), np.uint8)).shape
        (32, 32, 3)
    """

    image_size: int = 32
    resize_to: int = 0
    pad: int = 0
    flip: bool = False
    crop: bool = False

    def __post_init__(self) -> None:
        for name, least in (("image_size", 1), ("resize_to", 0), ("pad", 0)):
            try:
                value = check_integer(
                    f"`data.{name}`",
                    getattr(self, name),
                    least=least,
                    cap=MAX_SIDE,
                )
            except ValueError as error:
                raise InputError(str(error)) from None
            object.__setattr__(self, name, value)  # A Python integer, as JSON needs.
        if self.resize_to and self.resize_to < self.image_size:
            raise InputError(
                "`data.resize_to` must be 0 or at least `data.image_size` = "
                f"{self.image_size}, got {self.resize_to}"
            )
        if self.crop and self.pad:
            raise InputError(
                f"`data.pad` must be 0 with `data.crop`, got {self.pad}; windows lie "
                "inside the image"
            )

    def resize(self, image: np.ndarray) -> np.ndarray:
        """Resizes one uint8 image [H, W, C], the part done on the host.

        The result is a square; with `crop`, or if `resize_to` is 0, it need not be.

        Raises:
            InputError: the image is smaller than `image_size`, or has a number of
                channels that cannot be resized.
        """
        height, width, channels = image.shape
        if not self.resize_to:
            if min(height, width) < self.image_size:
                raise InputError(
                    f"images of {height} x {width} pixels are smaller than "
                    f"`data.image_size` = {self.image_size}; set `data.resize_to` to "
                    f"{self.image_size} or more"
                )
            return image
        if min(height, width) != self.resize_to:
            if channels not in (1, 3, 4):
                raise InputError(
                    "only images of 1, 3 or 4 channels can be resized, got "
                    f"{channels}; resize them to {self.resize_to} beforehand or set "
                    "`data.resize_to` to 0"
                )
            image = _resize(image, self.resize_to)
        return image if self.crop else _center_crop(image, self.resize_to)

    def window(self, image: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Cuts a square of `image_size` out of one image, the crop done on the host.

        Args:
            image: uint8 [H, W, C], as returned by `resize`.
            place: where the square lies, from top to bottom and from left to right,
                float [2] in [0, 1).

        Returns:
            uint8 [S, S, C], a view.
        """
        spare = np.array(image.shape[:2]) - self.image_size
        top, left = (place * (spare + 1)).astype(int)
        return image[top : top + self.image_size, left : left + self.image_size]

    def augment(self, keys: chex.PRNGKey, images: chex.Array) -> chex.Array:
        """Pads, randomly crops and flips a batch, the part done on the device.

        Args:
            keys: one per image, [B].
            images: uint8 [B, H, W, C], as returned by `resize`.

        Returns:
            uint8 [B, S, S, C], where S is `image_size`.
        """
        padding = ((0, 0), (self.pad, self.pad), (self.pad, self.pad), (0, 0))
        images = jnp.pad(images, padding)
        spare = jnp.array(images.shape[1:3]) - self.image_size
        shape = (self.image_size, self.image_size, images.shape[3])

        def crop_and_flip(key: chex.PRNGKey, image: chex.Array) -> chex.Array:
            crop_key, flip_key = jax.random.split(key)
            top, left = jax.random.randint(crop_key, (2,), 0, spare + 1)
            image = jax.lax.dynamic_slice(image, (top, left, 0), shape)
            if not self.flip:
                return image
            return jnp.where(jax.random.bernoulli(flip_key), image[:, ::-1], image)

        return jax.vmap(crop_and_flip)(keys, images)

    def test(self, image: np.ndarray) -> np.ndarray:
        """Resizes one uint8 image [H, W, C] and crops its centre, whatever `crop`."""
        image = self.resize(image)
        if self.resize_to:
            image = _center_crop(image, self.resize_to)
        return _center_crop(image, self.image_size)


def _resize(image: np.ndarray, short: int) -> np.ndarray:
    """Resizes the shorter side; of a thin image, only the central square."""
    height, width, channels = image.shape
    scale = short / min(height, width)
    size = (round(width * scale), round(height * scale))
    box = None
    if max(height, width) > _THIN * min(height, width):
        left, right = _central_part(width, size[0], short)
        top, bottom = _central_part(height, size[1], short)
        size, box = (short, short), (left, top, right, bottom)
    pixels = image[..., 0] if channels == 1 else image
    resized = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, box)
    return np.asarray(resized).reshape(size[1], size[0], channels)


def _central_part(length: int, resized: int, size: int) -> tuple[float, float]:
    """Returns where the central `size` of `resized` pixels lie, in original pixels."""
    start = round((resized - size) / 2)
    return start * length / resized, min((start + size) * length / resized, length)


def _center_crop(image: np.ndarray, size: int) -> np.ndarray:
    """Returns the central square of an image, as torchvision's CenterCrop does."""
    top, left = (round((length - size) / 2) for length in image.shape[:2])
    return image[top : top + size, left : left + size]
