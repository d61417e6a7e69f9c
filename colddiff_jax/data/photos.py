"""Photographs of a user: everything that Pillow reads, kept as it is where possible."""

import dataclasses
import os

import numpy as np
from PIL import Image

from colddiff_jax.checks import InputError
from colddiff_jax.data.decoding import (
    FORMATS,
    check_samples,
    is_deep_grey,
    scale_transparent_color,
    short_reason,
    to_common_mode,
    unit_grey,
    upright,
)
from colddiff_jax.sampling import EIGHT_BITS, FLOAT_NOISE


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photograph, upright, with what must be kept of its file.

    Attributes:
        pixels: float32 [H, W, C] in [-1, 1], with C = 1 for grey and 3 for colour.
        alpha: its opacity, or None if it is opaque.
        deep: whether it is grey of 16 bits; otherwise it has 8 bits per channel.
        icc_profile: the colour profile of its file, or None.
        noise: the standard deviation of what rounding and JPEG compression did to its
            pixels, in image units.
    """

    pixels: np.ndarray
    alpha: Image.Image | None = None
    deep: bool = False
    icc_profile: bytes | None = None
    noise: float = EIGHT_BITS

    def with_pixels(self, pixels: np.ndarray) -> Image.Image:
        """Returns an image of other pixels that is otherwise like this photograph.

        Args:
            pixels: float [H, W, C] in [-1, 1]; values outside are clipped.

        Returns:
            An image of mode L, RGB, LA or RGBA, or I;16 if it is `deep`.
        """
        levels = 65535 if self.deep else 255
        unit = np.clip((np.nan_to_num(pixels, nan=-1) + 1) / 2, 0, 1)
        values = np.round(unit * levels).astype(np.uint16 if self.deep else np.uint8)
        image = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
        if self.alpha is not None:
            image.putalpha(self.alpha)
        if self.icc_profile is not None:
            image.info["icc_profile"] = self.icc_profile
        return image

    def enlarged(self, factor: int) -> "Photo":
        """Returns the photograph with every pixel repeated along both sides."""
        if factor == 1:
            return self
        height, width = (factor * side for side in self.pixels.shape[:2])
        pixels = self.pixels.repeat(factor, axis=0).repeat(factor, axis=1)
        alpha = self.alpha and self.alpha.resize((width, height), _SMOOTH)
        return dataclasses.replace(self, pixels=pixels, alpha=alpha)


def open_photo(path: str | os.PathLike[str]) -> Photo:
    """Opens a photograph.

    Raises:
        InputError: no such file, or one that cannot be read as an image.

    Example:
        >>> Image.new("RGB", (32, 24), "white").save("photo.png")
        >>> open_photo("photo.png").pixels.shape
        (24, 32, 3)
    """
    path = os.path.expanduser(os.fspath(path))
    if not os.path.isfile(path):
        raise InputError(f"no file {path!r}; name an image")
    try:
        with Image.open(path, formats=FORMATS) as image:
            return photo(image)
    except Exception as error:  # Pillow has a dozen classes for broken files.
        raise InputError(
            f"{path!r} cannot be read ({short_reason(error)}); save it again as PNG"
        ) from error


def photo(image: Image.Image) -> Photo:
    """Turns an image of Pillow, of any mode, into a photograph.

    Args:
        image: of an animation, the first frame counts. Deep colour is cut to 8 bits by
            Pillow, palettes become colours, and CMYK becomes RGB, without its profile.

    Raises:
        Exception: broken data, or numbers of no known range; see `decoding.decode`.

    Example:
        >>> photo(Image.new("LA", (2, 2))).alpha.mode
        'L'
    """
    check_samples(image)
    scale_transparent_color(image)
    image.load()
    source, alpha = image, None
    if is_deep_grey(image):
        unit = unit_grey(image)
        if "transparency" in image.info:
            opaque = np.asarray(image) != image.info["transparency"]
            alpha = Image.fromarray(np.where(opaque, 255, 0).astype(np.uint8))
        image = Image.fromarray(unit)
    else:
        image = to_common_mode(image)
        grey = image.mode in _GREY
        if image.has_transparency_data:
            image = image.convert("LA" if grey else "RGBA")
            alpha = image.getchannel("A")
        image = image.convert("L" if grey else "RGB")
    scale = 1 if image.mode == "F" else 255
    values = np.asarray(upright(image, of=source), np.float32) / scale * 2 - 1
    return Photo(
        pixels=values.reshape(*values.shape[:2], -1),
        alpha=alpha and upright(alpha, of=source),
        # Pillow has no deep grey with opacity.
        deep=image.mode == "F" and alpha is None,
        # That of another colour space, such as CMYK, would be wrong.
        icc_profile=source.info.get("icc_profile") if source.mode in _KEPT else None,
        noise=_noise(source),
    )


def _noise(image: Image.Image) -> float:
    """Returns the standard deviation of the noise of an image, in image units.

    A JPEG file rounds the coefficients of 8 x 8 pixels to multiples of its quantisation
    table, and halves the resolution of colours. Blurred photographs have next to
    nothing in the higher coefficients, which are rounded to zero without an error.
    """
    if is_deep_grey(image):
        return FLOAT_NOISE
    tables = getattr(image, "quantization", None)
    if not tables:
        return EIGHT_BITS
    luminance = np.reshape(np.asarray(tables[0], np.float64), (8, 8))
    low = luminance[np.add.outer(np.arange(8), np.arange(8)) <= _LOW]
    rounding = np.sqrt(np.mean(low**2) / 12) / 127.5
    return float(np.hypot(rounding, _SUBSAMPLING))


_LOW = 4  # The sum of the indices of the coefficients that count.
# Of colours at half the resolution, measured on photographs blurred by 1 to 4 pixels.
_SUBSAMPLING = 0.008


_SMOOTH = Image.Resampling.BICUBIC
_GREY = ("1", "L", "LA")
_KEPT = (*_GREY, "P", "PA", "RGB", "RGBA", "RGBX")
