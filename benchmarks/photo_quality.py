"""Scores the photo models beside classical methods.

    pip install -e '.[benchmarks]'
    python -m benchmarks.photo_quality --data=photos
    python -m benchmarks.photo_quality --data=photos --jobs=deblur --num_photos=8

`photos` holds the folders `cbsd68` and, for upscaling, `set14`. Every photograph is
degraded and saved with 8 bits, as files are. The classical methods know the kernel, and
their parameter is the best one on the first photographs of the test set. PSNR and SSIM
are means over the photographs, of images rounded to 8 bits.
"""

import argparse
import io
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from PIL import Image

import colddiff_jax as cd
from benchmarks import classical, timing
from colddiff_jax.data.decoding import EXTENSIONS, decode

WIDTHS = (1, 2, 3, 4)  # Standard deviations of the blur, in pixels.
FACTORS = (2, 4)
RADII = ((2.0, 8.0), (4.0, 16.0))
QUALITIES = (40, 20, 10)
NUM_TUNING = 4  # Photographs on which classical methods are tuned.

Images = list[np.ndarray]
Row = tuple[str, dict[str, Any]]


def scores(images: Images, clean: Images) -> dict[str, float]:
    """Returns the mean PSNR and SSIM of uint8 images."""
    pairs = [
        (cd.to_float(x[None]), cd.to_float(y[None]))
        for x, y in zip(images, clean, strict=True)
    ]
    return {
        "PSNR": round(float(np.mean([cd.metrics.psnr(*pair)[0] for pair in pairs])), 2),
        "SSIM": round(float(np.mean([cd.metrics.ssim(*pair)[0] for pair in pairs])), 4),
    }


def best_of(
    methods: dict[str, classical.Method], images: Images, clean: Images
) -> dict[str, Any]:
    """Returns the scores of the method with the highest PSNR, and its parameter."""
    few = slice(NUM_TUNING)
    found = {
        name: scores([method(image) for image in images[few]], clean[few])["PSNR"]
        for name, method in methods.items()
    }
    name = max(found, key=found.__getitem__)
    return {
        **scores([methods[name](image) for image in images], clean),
        "parameter": name,
    }


def by_our_model(
    restorer: cd.Restorer, degraded: Images, clean: Images, t: int, **options: Any
) -> dict[str, Any]:
    """Returns the scores of the direct prediction and of Algorithm 2."""
    direct = restorer.restore(degraded, t, sampler="direct", **options)
    sampled = restorer.restore(degraded, t, sampler="alg2", **options)
    return {
        "degraded": scores(degraded, clean),
        "direct": scores(direct, clean),
        "Algorithm 2": scores(sampled, clean),
    }


def step_of_blur(width: int) -> int:
    """Returns the step of photo-deblur for a width in pixels."""
    return 2 * width


def step_of_quality(quality: int) -> int:
    """Returns the step of photo-unjpeg for a JPEG quality."""
    return (90 - quality) // 10


def blurred(clean: Images, width: float) -> Images:
    """Blurs images by a Gaussian, and rounds them to 8 bits."""

    def blur(image: np.ndarray) -> np.ndarray:
        degrade = cd.heat_blur(image.shape[:2], [width])
        return cd.to_uint8(degrade(cd.to_float(image[None]), 1))[0]

    return [blur(image) for image in clean]


def compressed(clean: Images, quality: int) -> Images:
    """Saves images as JPEG files, and reads these."""

    def compress(image: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file))

    return [compress(image) for image in clean]


def deblurring(clean: Images) -> Iterator[Row]:
    """Yields a row for each width of a blur."""
    restorer = cd.load("photo-deblur")
    for width in WIDTHS:
        degraded = blurred(clean, float(width))
        row = by_our_model(restorer, degraded, clean, step_of_blur(width))
        for name, methods in classical.deconvolutions(width).items():
            row[name] = best_of(methods, degraded, clean)
        yield f"blur of {width} px", row


def upscaling(clean: Images) -> Iterator[Row]:
    """Yields a row for each factor."""
    restorer = cd.load("photo-upscale")
    clean = [x[: len(x) // 4 * 4, : x.shape[1] // 4 * 4] for x in clean]
    for t, factor in enumerate(FACTORS, start=1):
        blocks = []
        for image in clean:
            height, width = image.shape[:2]
            sizes = [(height // factor, width // factor)]
            degrade = cd.pixelate((height, width), sizes, method="area")
            blocks.append(cd.to_uint8(degrade(cd.to_float(image[None]), 1))[0])
        row = by_our_model(restorer, blocks, clean, t)
        row["Algorithm 2, consistent"] = scores(
            restorer.restore(blocks, t, consistent=True), clean
        )
        for name in ("BICUBIC", "LANCZOS"):
            resample = Image.Resampling[name]
            enlarged = [classical.resized(resample, factor, x) for x in blocks]
            row[name.capitalize()] = scores(enlarged, clean)
        yield f"{factor} x {factor} pixels", row


def inpainting(clean: Images) -> Iterator[Row]:
    """Yields a row for each range of sizes of the holes."""
    restorer = cd.load("photo-inpaint")
    for radii in RADII:
        masks, masked = [], []
        for i, image in enumerate(clean):
            degrade = cd.holes(image.shape[:2], 1, radii=radii, density=2.0)
            degrade = degrade.bind(jax.random.key(i), (1, *image.shape))
            masks.append(np.asarray(degrade.depths)[0, ..., 0] > 0)
            masked.append(np.where(masks[-1][..., None], 128, image).astype(np.uint8))
        row = by_our_model(
            restorer, masked, clean, restorer.degradation.num_steps, mask=masks
        )
        row["missing"] = round(float(np.mean([mask.mean() for mask in masks])), 3)
        filled = [
            classical.biharmonic(*pair) for pair in zip(masked, masks, strict=True)
        ]
        row["Biharmonic"] = scores(filled, clean)
        yield f"holes of {2 * radii[0]:.0f} to {2 * radii[1]:.0f} px", row


def removing_jpeg(clean: Images) -> Iterator[Row]:
    """Yields a row for each quality."""
    restorer = cd.load("photo-unjpeg")
    for quality in QUALITIES:
        degraded = compressed(clean, quality)
        row = by_our_model(restorer, degraded, clean, step_of_quality(quality))
        yield f"JPEG quality {quality}", row


JOBS: dict[str, tuple[str, Callable[[Images], Iterator[Row]]]] = {
    "deblur": ("cbsd68", deblurring),
    "upscale": ("set14", upscaling),
    "inpaint": ("cbsd68", inpainting),
    "unjpeg": ("cbsd68", removing_jpeg),
}


def read_photographs(folder: str, count: int | None = None) -> Images:
    """Reads the first photographs of a folder, in the order of their names."""
    names = [
        name
        for name in sorted(os.listdir(folder))
        if os.path.splitext(name)[1].lower() in EXTENSIONS
    ]
    return [decode(os.path.join(folder, name), 3) for name in names[:count]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="the folder of the test sets")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=[*JOBS])
    parser.add_argument("--num_photos", type=int, help="only the first ones")
    flags = parser.parse_args()
    for job in flags.jobs:
        folder, rows_of = JOBS[job]
        clean = read_photographs(os.path.join(flags.data, folder), flags.num_photos)
        rows: dict[str, Any] = {}
        for name, row in rows_of(clean):
            rows[name] = row
            print(name, row, flush=True)
        about = {"model": repr(cd.load(f"photo-{job}")), "photographs": len(clean)}
        timing.write(f"photo_quality/{job}", {**about, "set": folder, "rows": rows})


if __name__ == "__main__":
    main()
