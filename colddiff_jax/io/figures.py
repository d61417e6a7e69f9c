"""Figures for humans: labelled grids, strips and animations of images."""

import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from colddiff_jax.checks import check_uint8
from colddiff_jax.io.atomic import write_atomically
from colddiff_jax.io.images import to_uint8

_GAP = 2
_MARGIN = 8
_HEAD = 20  # Height of the column labels.
_CELL = 64  # Small images are enlarged to about this many pixels.


def grid(rows: Mapping[str, np.ndarray], *, columns: Sequence[str] = ()) -> np.ndarray:
    """Draws one labelled row of images per entry.

    Args:
        rows: label to images, float [N, H, W, C] in [-1, 1], the same H, W, C in all
            rows. With more than three channels the first three are shown, with two
            only the first.
        columns: labels above the columns, if any.

    Returns:
        uint8 [height, width, 3], small images enlarged by repeating pixels.

    Raises:
        TypeError: images that are not floating point.

    Example:
        >>> picture = grid({"clean": x_0, "degraded": x_T})
    """
    first = next(iter(rows.values()))
    height, width = first.shape[1:3]
    zoom = max(1, _CELL // max(height, width))
    cell_height, cell_width = height * zoom + _GAP, width * zoom + _GAP
    font = ImageFont.load_default(size=13)
    label_width = max(int(font.getlength(label)) for label in rows) + 2 * _MARGIN
    head = _HEAD if columns else 0
    longest = max(len(images) for images in rows.values())
    size = (label_width + longest * cell_width, head + len(rows) * cell_height)
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    for column, label in enumerate(columns):
        place = (label_width + column * cell_width + width * zoom // 2, head // 2)
        draw.text(place, label, fill="black", font=font, anchor="mm")
    for row, (label, images) in enumerate(rows.items()):
        top = head + row * cell_height
        place = (_MARGIN, top + cell_height // 2)
        draw.text(place, label, fill="black", font=font, anchor="lm")
        for column, pixels in enumerate(_rgb(images)):
            image = Image.fromarray(pixels).resize(
                (width * zoom, height * zoom), Image.Resampling.NEAREST
            )
            canvas.paste(image, (label_width + column * cell_width, top))
    return np.asarray(canvas)


def mosaic(images: np.ndarray, *, columns: int = 0) -> np.ndarray:
    """Draws images in rows and columns, without labels.

    Args:
        images: float [N, H, W, C] in [-1, 1].
        columns: the number of columns; 0 for about as many as rows.

    Returns:
        uint8 [height, width, 3], small images enlarged by repeating pixels.
    """
    columns = columns or math.ceil(math.sqrt(len(images)))
    zoom = max(1, _CELL // max(images.shape[1:3]))
    pixels = _rgb(images).repeat(zoom, axis=1).repeat(zoom, axis=2)
    rows = -(-len(pixels) // columns)
    height, width = pixels.shape[1] + _GAP, pixels.shape[2] + _GAP
    canvas = np.full((rows * height - _GAP, columns * width - _GAP, 3), 255, np.uint8)
    for i, image in enumerate(pixels):
        top, left = i // columns * height, i % columns * width
        canvas[top : top + height - _GAP, left : left + width - _GAP] = image
    return canvas


def captioned(picture: np.ndarray, text: str) -> np.ndarray:
    """Adds a line of text above a uint8 picture [H, W, 3], on white."""
    check_uint8(picture)
    height, width = picture.shape[:2]
    canvas = Image.new("RGB", (width, _HEAD + height), "white")
    font = ImageFont.load_default(size=13)
    place = (width // 2, _HEAD // 2)
    ImageDraw.Draw(canvas).text(place, text, fill="black", font=font, anchor="mm")
    canvas.paste(Image.fromarray(picture), (0, _HEAD))
    return np.asarray(canvas)


def strip(images: np.ndarray) -> np.ndarray:
    """Draws images, float [N, H, W, C] in [-1, 1], in one row, uint8 [H, width, 3]."""
    return beside(list(_rgb(images)))


def beside(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Places uint8 pictures [H, W, 3] side by side on white, aligned at the top."""
    for picture in pictures:
        check_uint8(picture)
    height = max(picture.shape[0] for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures) + _GAP * (len(pictures) - 1)
    canvas = np.full((height, width, 3), 255, np.uint8)
    left = 0
    for picture in pictures:
        canvas[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + _GAP
    return canvas


def save_png(path: str, pixels: np.ndarray) -> None:
    """Writes a uint8 picture [H, W, 3] as PNG, atomically."""
    check_uint8(pixels)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    write_atomically(path, buffer.getvalue())


def save_gif(path: str, frames: list[np.ndarray], *, seconds: float = 3.0) -> None:
    """Writes uint8 pictures [H, W, 3] as a looping GIF of about `seconds`."""
    for frame in frames:
        check_uint8(frame)
    images = [Image.fromarray(frame) for frame in frames]
    milliseconds = max(20, round(1000 * seconds / len(images)))
    durations = [milliseconds] * (len(images) - 1) + [1000]  # Hold the last one.
    buffer = io.BytesIO()
    images[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=images[1:],
        duration=durations,
        loop=0,
    )
    write_atomically(path, buffer.getvalue())


def _rgb(images: np.ndarray) -> np.ndarray:
    """Converts to uint8 [N, H, W, 3]: repeats grey, drops channels after the third."""
    pixels = to_uint8(images)
    if pixels.shape[-1] < 3:
        return np.repeat(pixels[..., :1], 3, axis=-1)
    return pixels[..., :3]
