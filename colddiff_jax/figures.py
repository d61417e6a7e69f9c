"""Pictures to look at: labelled grids, strips and animations."""

import io
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from colddiff_jax.images import to_uint8
from colddiff_jax.writers import write_atomically

_GAP = 2
_MARGIN = 8
_CELL = 64  # Small images are enlarged to about this many pixels.


def grid(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Draws one labelled row of images per entry.

    Args:
        rows: label to images, float [N, H, W, C] in [-1, 1] with C of 1 or 3; the same
            H, W, C in all rows.

    Returns:
        uint8 [height, width, 3], small images enlarged by repeating pixels.

    Example:
        >>> picture = grid({"clean": x_0, "degraded": x_T})
    """
    first = next(iter(rows.values()))
    height, width = first.shape[1:3]
    zoom = max(1, _CELL // max(height, width))
    cell_height, cell_width = height * zoom + _GAP, width * zoom + _GAP
    font = ImageFont.load_default(size=13)
    label_width = max(int(font.getlength(label)) for label in rows) + 2 * _MARGIN
    columns = max(len(images) for images in rows.values())
    size = (label_width + columns * cell_width, len(rows) * cell_height)
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    for row, (label, images) in enumerate(rows.items()):
        middle = row * cell_height + cell_height // 2
        draw.text((_MARGIN, middle), label, fill="black", font=font, anchor="lm")
        for column, pixels in enumerate(_rgb(images)):
            image = Image.fromarray(pixels).resize(
                (width * zoom, height * zoom), Image.Resampling.NEAREST
            )
            canvas.paste(image, (label_width + column * cell_width, row * cell_height))
    return np.asarray(canvas)


def save_png(path: str, pixels: np.ndarray) -> None:
    """Writes a uint8 picture [H, W, 3] as PNG, whole or not at all."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


def save_gif(path: str, frames: list[np.ndarray], *, seconds: float = 3.0) -> None:
    """Writes uint8 pictures [H, W, 3] as an endless animation of about `seconds`."""
    images = [Image.fromarray(frame) for frame in frames]
    milliseconds = max(20, round(1000 * seconds / len(images)))
    durations = [milliseconds] * (len(images) - 1) + [1000]  # Rest on the last one.
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
    """Bytes [N, H, W, 3] of float images with one or three channels."""
    pixels = to_uint8(images)
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
