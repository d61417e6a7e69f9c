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
from colddiff_jax.restoration.restore_options import default_sampler

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
    """Returns the scores of the direct prediction and of Algorithm 2.

    The scores with the estimated step are those of the model's default sampler.
    """
    direct = restorer.restore(degraded, t, sampler="direct", **options)
    sampled = restorer.restore(degraded, t, sampler="alg2", **options)
    found = {
        "degraded": scores(degraded, clean),
        "direct": scores(direct, clean),
        "Algorithm 2": scores(sampled, clean),
    }
    if restorer.severity is None:
        return found
    # Where the estimate is right, so is the image that was restored.
    steps = restorer.estimate_step(degraded)
    by_default = direct if default_sampler(restorer.model) == "direct" else sampled
    estimated = [
        image if step == t else restorer.restore(x, step, **options)
        for image, x, step in zip(by_default, degraded, steps, strict=True)
    ]
    errors = np.abs(np.array(steps) - t)
    T = restorer.degradation.num_steps
    found["estimated step"] = {
        **scores(estimated, clean),
        "mean error, share of T": round(float(errors.mean() / T), 4),
        "largest error, share of T": round(float(errors.max() / T), 4),
    }
    return found


def deblurring(clean: Images) -> Iterator[Row]:
    """Yields a row for each width of a blur."""
    restorer = cd.load("photo-deblur")
    for width in WIDTHS:
        blurred = []
        for image in clean:
            blur = cd.heat_blur(image.shape[:2], [float(width)])
            blurred.append(cd.to_uint8(blur(cd.to_float(image[None]), 1))[0])
        row = by_our_model(restorer, blurred, clean, 2 * width)
        for name, methods in classical.deconvolutions(width).items():
            row[name] = best_of(methods, blurred, clean)
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
        compressed = []
        for image in clean:
            file = io.BytesIO()
            Image.fromarray(image).save(file, "JPEG", quality=quality)
            compressed.append(np.asarray(Image.open(file)))
        t = (90 - quality) // 10
        yield f"JPEG quality {quality}", by_our_model(restorer, compressed, clean, t)


JOBS: dict[str, tuple[str, Callable[[Images], Iterator[Row]]]] = {
    "deblur": ("cbsd68", deblurring),
    "upscale": ("set14", upscaling),
    "inpaint": ("cbsd68", inpainting),
    "unjpeg": ("cbsd68", removing_jpeg),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="the folder of the test sets")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=[*JOBS])
    parser.add_argument("--num_photos", type=int, help="only the first ones")
    flags = parser.parse_args()
    for job in flags.jobs:
        folder, rows_of = JOBS[job]
        paths = [
            os.path.join(flags.data, folder, name)
            for name in sorted(os.listdir(os.path.join(flags.data, folder)))
            if os.path.splitext(name)[1].lower() in EXTENSIONS
        ][: flags.num_photos]
        clean = [decode(path, 3) for path in paths]
        rows: dict[str, Any] = {}
        for name, row in rows_of(clean):
            rows[name] = row
            print(name, row, flush=True)
        about = {"model": repr(cd.load(f"photo-{job}")), "photographs": len(clean)}
        timing.write(f"photo_quality/{job}", {**about, "set": folder, "rows": rows})


if __name__ == "__main__":
    main()
