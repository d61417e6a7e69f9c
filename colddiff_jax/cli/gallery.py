"""Draws every degradation on a photograph.

    python -m colddiff_jax.cli.gallery --out=gallery
    python -m colddiff_jax.cli.gallery --out=gallery --image=photo.jpg --size=128

Writes gallery.png, with one row per degradation at t = 0, T / 4, T / 2, 3 T / 4 and T,
and each row as a separate picture. The default photograph is scikit-learn's flower.jpg
by dany13, and animorph morphs it into china.jpg by ultrahi, both CC-BY 2.0.
"""

import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from PIL import Image

import colddiff_jax as cd
from colddiff_jax import schedules
from colddiff_jax.checks import InputError
from colddiff_jax.cli import program
from colddiff_jax.data.decoding import decode, why_broken
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.io import disk, figures

_OUT = flags.DEFINE_string("out", "gallery", "folder to write to")
_IMAGE = flags.DEFINE_string("image", "", "photograph to degrade; default flower.jpg")
_SIZE = flags.DEFINE_integer(
    "size", 96, "side of the pictures", lower_bound=32, upper_bound=256
)

_COLUMNS = ("t = 0", "T / 4", "T / 2", "3 T / 4", "T")

# Degradations by the side S of the image, with the paper's settings if it has any.
EXAMPLES: dict[str, Callable[[int], Degradation]] = {
    "gaussian_blur": lambda S: cd.gaussian_blur(
        S, schedules.exponential(200, rate=0.01), kernel_size=15, padding="reflect"
    ),
    "heat_blur": lambda S: cd.heat_blur(
        S, schedules.geometric(200, start=0.5, stop=S / 4)
    ),
    "motion_blur": lambda S: cd.motion_blur(
        S,
        schedules.linear(S // 4, start=1.0, increment=1.0),
        angle=30,
        padding="reflect",
    ),
    "pixelate": lambda S: cd.pixelate(S, schedules.halving(S, num_steps=4)),
    "pixelate (area, pixel by pixel)": lambda S: cd.pixelate(
        S, range(S, S // 16, -1), method="area"
    ),
    "gaussian_mask": lambda S: cd.gaussian_mask(
        S, schedules.linear(100, start=0.2 * S / 128, increment=0.2 * S / 128)
    ),
    "gaussian_mask (random)": lambda S: cd.gaussian_mask(
        S, schedules.linear(50, start=1.1 * S / 32, increment=0.1 * S / 32),
        center="random",
    ),
    "rank_mask (spiral)": lambda S: cd.rank_mask(
        cd.spiral_ranks(S), np.linspace(1, S * S, 100).round()
    ),
    "rank_mask (scattered, colour)": lambda S: cd.rank_mask(
        np.random.default_rng(0).permutation(S * S).reshape(S, S),
        np.linspace(1, S * S, 100).round(),
        color_range=(0.0, 1.0),
    ),
    "fade": lambda S: cd.fade(schedules.exponential_decay(40, factor=0.9)),
    "desaturate": lambda S: cd.desaturate(schedules.linear_decay(20)),
    "snow": lambda S: cd.snow(S, 200, level=3),
    "snow (4, brightened)": lambda S: cd.snow(S, 200, level=4, brighten=True),
    "fade_to_color": lambda S: cd.fade_to_color(
        S, schedules.linear(750, start=0.05 * S / 128, increment=0.05 * S / 128)
    ),
    "fade_to_color (forward)": lambda S: cd.fade_to_color(
        S,
        schedules.linear(100, start=0.2 * S / 128, increment=0.2 * S / 128),
        reverse=False,
    ),
    "animorph": lambda S: cd.animorph(schedules.cosine(200)).with_endpoint(
        load_photograph("", S, sample="china.jpg")
    ),
    "gaussian_noise": lambda S: cd.gaussian_noise(schedules.cosine(200)),
    "blur_and_noise": lambda S: cd.blur_and_noise(
        S, S / 2 * np.sin(np.pi * np.arange(1, 201) / 400) ** 2, schedules.cosine(200)
    ),
    "blend (with noise, linear)": lambda S: cd.blend(
        schedules.linear_decay(50), 1 - schedules.linear_decay(50)
    ),
    "jpeg_like": lambda S: cd.jpeg_like(np.geomspace(80, 1, 20)),
    "quantize (a fade)": lambda S: cd.quantize(
        cd.fade(schedules.exponential_decay(40, factor=0.9))
    ),
    "compose (blur, grey, mask)": lambda S: cd.compose(
        cd.gaussian_blur(S, 40 * [1.0], kernel_size=5, padding="reflect"),
        cd.desaturate(schedules.linear_decay(20)),
        cd.gaussian_mask(S, 40 * [S / 16], center="random"),
    ),
    "from_function (darken)": lambda S: cd.from_function(
        lambda x, t: (x + 1) * 0.93**t - 1, num_steps=40
    ),
    "holes": lambda S: cd.holes(S, 5, radii=(S / 32, S / 6), density=32_000 / S**2),
    "noisy (a blur)": lambda S: cd.noisy(
        cd.heat_blur(S, schedules.geometric(40, start=0.5, stop=S / 8)), 40 * [0.1]
    ),
}  # fmt: skip


def load_photograph(path: str, size: int, *, sample: str = "flower.jpg") -> jax.Array:
    """Reads a photograph, cropped to its central square, as float32 [1, size, size, 3].

    Args:
        path: an image file of any size and mode, read like those of a folder; empty
            for a photograph of scikit-learn.
        size: the side to resize to, in pixels.
        sample: the photograph of scikit-learn, "flower.jpg" or "china.jpg".

    Raises:
        InputError: the file does not exist or is not an image.
    """
    if path:
        why = why_broken(path, channels=3)
        if why:
            raise InputError(f"`image` {path!r} cannot be read as an image: {why}")
        pixels = decode(path, channels=3)
    else:
        from sklearn.datasets import load_sample_image

        pixels = load_sample_image(sample)
    image = Image.fromarray(pixels)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    resized = square.resize((size, size), Image.Resampling.LANCZOS)
    return cd.to_float(np.asarray(resized))[None]


def draw_rows(x: jax.Array) -> dict[str, np.ndarray]:
    """Degrades one image [1, S, S, 3] with every example, at five steps.

    Returns:
        Images, float32 [5, S, S, 3], by the name of the example.
    """
    rows = {}
    for seed, (name, make) in enumerate(EXAMPLES.items()):
        degrade = make(x.shape[1]).bind(jax.random.key(seed), x.shape)
        T = degrade.num_steps
        steps = jnp.array([0, T // 4, T // 2, 3 * T // 4, T])
        images = jax.vmap(degrade, (None, 0))(x, steps)
        rows[name] = np.asarray(images[:, 0])
    return rows


def main() -> None:
    """Writes the pictures."""
    photograph = load_photograph(_IMAGE.value, _SIZE.value)
    disk.check_space(_OUT.value, ())
    rows = draw_rows(photograph)
    with disk.refusals(_OUT.value):
        print(_write(rows, _OUT.value))


def _write(rows: dict[str, np.ndarray], folder: str) -> str:
    """Writes a picture of each row, and one of all rows, whose path it returns."""
    for name, images in rows.items():
        path = os.path.join(folder, f"{_file_name(name)}.png")
        figures.save_png(path, figures.strip(images))
    names = list(rows)
    half = (len(names) + 1) // 2
    halves = [
        figures.grid({name: rows[name] for name in part}, columns=_COLUMNS)
        for part in (names[:half], names[half:])
    ]
    path = os.path.join(folder, "gallery.png")
    figures.save_png(path, figures.beside(halves))
    return path


def _file_name(name: str) -> str:
    """Removes spaces, brackets and commas from a name."""
    return "_".join(
        "".join(c if c.isalnum() or c == "_" else " " for c in name).split()
    )


if __name__ == "__main__":
    program.run(main)
