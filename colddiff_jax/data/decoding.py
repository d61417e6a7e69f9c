"""Decodes image files of any format and mode to uint8 [H, W, C].

This is the only reader of image files, but for photographs that a user restores, whose
opacity, depth and profile are kept (`photos.py`, by the same rules).
"""

import os

import numpy as np
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

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

# Pillow scales the pixels of a PNG to 8 bits by these factors, but not the transparent
# colour of the same file.
_TO_8_BITS = {"L;2": 85.0, "L;4": 17.0, "RGB;16B": 1 / 256}

# Modes that Pillow converts to this mode only.
_FIRST_TO = {"La": "LA", "LAB": "RGB"}


def decode(path: str, channels: int) -> np.ndarray:
    """Reads an image file: upright, over white, the first frame of an animation.

    The range of the numbers follows from their type alone, never from their values:
    unsigned integers use all of their bits, and floats lie in 0 (black) to 1 (white);
    0 is white where a TIFF says so. 16-bit grey is rounded to 8 bits, and 16-bit
    colour cut to its upper 8.

    Args:
        path: the file, an image of any size and mode.
        channels: 3 for RGB, 1 for grey.

    Returns:
        uint8 [H, W, channels], at the image's own size.

    Raises:
        Exception: the file is broken (Pillow has a dozen classes for that), or its
            numbers have no known range: signed and 32-bit integers, and floats beyond
            0..1.
    """
    with Image.open(path, formats=FORMATS) as image:
        check_samples(image)
        scale_transparent_color(image)
        image.load()
        eight_bit = _composite(image).convert("L" if channels == 1 else "RGB")
        pixels = np.asarray(upright(eight_bit, of=image))
    return pixels[..., None] if channels == 1 else pixels


def why_broken(path: str, channels: int) -> str:
    """Returns the reason why a file cannot be read, or an empty string if it can.

    Damage that still decodes goes unnoticed, except in PNG, which has checksums.
    """
    return examine(path, channels)[0]


def examine(path: str, channels: int) -> tuple[str, tuple[int, int]]:
    """Returns `why_broken` and, of a file that can be read, its (height, width)."""
    try:
        if not os.path.isfile(path):  # A dangling link, or a pipe, which would block.
            return "not a file", (0, 0)
        if not os.path.getsize(path):
            return "empty file", (0, 0)
        height, width, _ = decode(path, channels).shape
        with Image.open(path, formats=FORMATS) as image:
            image.verify()
    except Exception as error:
        return short_reason(error), (0, 0)
    return "", (height, width)


def short_reason(error: Exception) -> str:
    """Returns one line about what went wrong, without the file's path."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or of a kind that Pillow cannot read"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def upright(image: Image.Image, *, of: Image.Image) -> Image.Image:
    """Turns an image upright, by the EXIF orientation of the file it comes from."""
    try:
        transpose = _UPRIGHT.get(of.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Only the metadata is broken; the pixels are fine.
        return image
    return image if transpose is None else image.transpose(transpose)


def check_samples(image: Image.Image) -> None:
    """Raises a ValueError for a TIFF whose numbers Pillow or we would misread."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    bits = image.tag_v2.get(ExifTags.Base.BitsPerSample, (1,))
    formats = image.tag_v2.get(TiffImagePlugin.SAMPLEFORMAT, (1,))
    signed, floats = 2 in formats, 3 in formats
    if signed or (max(bits) > 16 and not floats):
        raise ValueError(
            "signed and 32-bit integers have no known range; save it with 8 or 16 bits"
        )
    separate = image.tag_v2.get(ExifTags.Base.PlanarConfiguration, 1) == 2
    if separate and (len(bits) == 2 or (len(bits) > 2 and max(bits) > 8)):
        raise ValueError(
            "separate planes of this kind cannot be read; save it with interleaved "
            "channels"
        )


def scale_transparent_color(image: Image.Image) -> None:
    """Scales the transparent colour of a PNG as its pixels; `load` forgets their depth.

    At 16 bits, all colours with the same upper 8 bits are then transparent.
    """
    color = image.info.get("transparency")
    # Only a file that is not loaded yet has tiles.
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    scale = _TO_8_BITS.get(str(tiles[0].args)) if tiles else None
    if scale and isinstance(color, int):
        image.info["transparency"] = int(color * scale)
    elif scale and isinstance(color, tuple):
        image.info["transparency"] = tuple(int(value * scale) for value in color)


def _composite(image: Image.Image) -> Image.Image:
    """Scales deep grey to 8 bits and composites transparent images over white."""
    if is_deep_grey(image):
        unit = unit_grey(image)
        if "transparency" in image.info:
            unit[np.asarray(image) == image.info["transparency"]] = 1
        return Image.fromarray(np.round(unit * 255).astype(np.uint8))
    image = to_common_mode(image)
    if not image.has_transparency_data:
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA"))


def is_deep_grey(image: Image.Image) -> bool:
    """Whether an image is grey of 16 bits or of floats."""
    return image.mode.startswith("I") or image.mode == "F"


def to_common_mode(image: Image.Image) -> Image.Image:
    """Converts modes that Pillow converts to one other mode only."""
    mode = _FIRST_TO.get(image.mode)
    return image if mode is None else image.convert(mode)


def unit_grey(image: Image.Image) -> np.ndarray:
    """Returns deep grey as float32 [H, W], 0 (black) to 1 (white)."""
    bits, zero_is_white = 16, False
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        (bits,) = image.tag_v2[ExifTags.Base.BitsPerSample]
        kind = image.tag_v2.get(ExifTags.Base.PhotometricInterpretation, 0)
        zero_is_white = kind == 0
    limit = 1 if image.mode == "F" else 2**bits - 1
    grey = np.asarray(image)
    least, most = grey.min(), grey.max()
    if not (least >= 0 and most <= limit):  # True for NaN.
        raise ValueError(f"grey values {least}..{most} are not within 0..{limit}")
    unit = grey.astype(np.float32) / limit
    return 1 - unit if zero_is_white else unit
