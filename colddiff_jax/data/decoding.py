"""Decodes image files of any format and mode to uint8 [H, W, C]."""

import os

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

# The formats Pillow may try. Its others are documents, or run external programs.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
EXTENSIONS = frozenset(
    [
        *(".bmp", ".gif", ".jp2", ".webp", ".png", ".apng", ".tif", ".tiff"),
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    ]
)

# The transposition that turns an image upright, by its EXIF orientation.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(path: str, channels: int) -> np.ndarray:
    """Reads an image file: upright, over white, the first frame of an animation.

    Args:
        path: the file, an image of any size and mode. 16-bit grey is scaled to 8 bits;
            floats must lie in 0..1 or in 0..255.
        channels: 3 for RGB, 1 for grey.

    Returns:
        uint8 [H, W, channels], at the image's own size.

    Raises:
        Exception: the file is broken; Pillow has a dozen classes for that.
    """
    with Image.open(path, formats=FORMATS) as image:
        image.load()
        transpose = _UPRIGHT.get(_orientation(image))
        eight_bit = _composite(image).convert("L" if channels == 1 else "RGB")
        if transpose is not None:
            eight_bit = eight_bit.transpose(transpose)
        pixels = np.asarray(eight_bit)
    return pixels[..., None] if channels == 1 else pixels


def why_broken(path: str, channels: int) -> str:
    """Returns the reason why a file cannot be read, or an empty string if it can.

    Damage that still decodes goes unnoticed, except in PNG, which has checksums.
    """
    try:
        if not os.path.isfile(path):  # A dangling link, or a pipe, which would block.
            return "not a file"
        if not os.path.getsize(path):
            return "empty file"
        decode(path, channels)
        with Image.open(path, formats=FORMATS) as image:
            image.verify()
    except Exception as error:
        return short_reason(error)
    return ""


def short_reason(error: Exception) -> str:
    """Returns one line about what went wrong, without the file's path."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Only the metadata is broken; the pixels are fine.
        return 1


def _composite(image: Image.Image) -> Image.Image:
    """Scales deep grey to 8 bits and composites transparent images over white."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bit(np.asarray(image)))
    if not image.has_transparency_data:
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA"))


def _eight_bit(grey: np.ndarray) -> np.ndarray:
    least, most = grey.min(), grey.max()
    floats = np.issubdtype(grey.dtype, np.floating)
    limit = 65535 if not floats else 1 if most <= 1 else 255
    if not (least >= 0 and most <= limit):  # True for NaN.
        raise ValueError(f"grey values {least}..{most} are not within 0..{limit}")
    return np.round(grey.astype(np.float32) * (255 / limit)).astype(np.uint8)
