"""Scores restored photographs beside classical methods.

    pip install -e '.[benchmarks]'
    python -m benchmarks.photo_quality --model=runs/photo_deblur-cpu --photos=cbsd68

Every photograph is degraded and saved with 8 bits, as files are. The classical methods
know the true kernel, and their parameter is the best one on these very photographs.
PSNR and SSIM are means over the photographs, of images rounded to 8 bits.
"""

import argparse
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from skimage import restoration

import colddiff_jax as cd
from benchmarks import timing
from colddiff_jax.data.decoding import EXTENSIONS, decode
from colddiff_jax.experiment.builders import make_schedule

WIDTHS = (1, 2, 3, 4)  # Standard deviations of the blur, in pixels.
BALANCES = tuple(10.0**power for power in np.arange(-5, 0.1, 0.5))
ITERATIONS = (5, 10, 20, 40, 80)
Method = Callable[[np.ndarray], np.ndarray]


def gaussian(width: float) -> np.ndarray:
    """Returns the kernel of a blur, [K, K]."""
    offsets = np.arange(-int(4 * width + 1), int(4 * width + 1) + 1)
    taps = np.exp(-((offsets / width) ** 2) / 2)
    taps /= taps.sum()
    return np.outer(taps, taps)


def wiener(kernel: np.ndarray, balance: float, image: np.ndarray) -> np.ndarray:
    """Restores a uint8 image with skimage's Wiener filter, mirrored at its borders."""
    return _by_channel(
        lambda x: restoration.wiener(x, kernel, balance, clip=False), kernel, image
    )


def richardson_lucy(kernel: np.ndarray, rounds: int, image: np.ndarray) -> np.ndarray:
    """Restores a uint8 image with skimage's Richardson-Lucy algorithm."""
    return _by_channel(
        lambda x: restoration.richardson_lucy(x + 1e-3, kernel, num_iter=rounds),
        kernel,
        image,
    )


def _by_channel(method: Method, kernel: np.ndarray, image: np.ndarray) -> np.ndarray:
    margin = 2 * kernel.shape[0]
    padded = np.pad(image, ((margin,) * 2, (margin,) * 2, (0, 0)), mode="symmetric")
    channels = [method(padded[..., c] / 255) for c in range(image.shape[2])]
    restored = np.stack(channels, axis=2)[margin:-margin, margin:-margin]
    return np.round(255 * np.clip(restored, 0, 1)).astype(np.uint8)


def scores(images: list[np.ndarray], clean: list[np.ndarray]) -> dict[str, float]:
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
    methods: dict[str, Method], images: list[np.ndarray], clean: list[np.ndarray]
) -> dict[str, Any]:
    """Returns the scores of the method with the highest PSNR, and its parameter."""
    found = {
        name: scores([method(image) for image in images], clean)
        for name, method in methods.items()
    }
    name = max(found, key=lambda name: found[name]["PSNR"])
    return {**found[name], "parameter": name}


def deblurring(
    restorer: cd.Restorer, clean: list[np.ndarray]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields a row for each width: the scores by method."""
    fields = restorer.model.config["degradation"]["blur_sigmas"]
    sigmas = make_schedule("blur_sigmas", fields)
    for width in WIDTHS:
        kernel = gaussian(width)
        blurred = []
        for image in clean:
            blur = cd.heat_blur(image.shape[:2], [float(width)])
            blurred.append(cd.to_uint8(blur(cd.to_float(image[None]), 1))[0])
        t = 1 + int(np.abs(np.log(sigmas / width)).argmin())
        yield (
            f"blur of {width} px",
            {
                "degraded": scores(blurred, clean),
                "Wiener": best_of(
                    {
                        f"{b:.1e}": functools.partial(wiener, kernel, b)
                        for b in BALANCES
                    },
                    blurred,
                    clean,
                ),
                "Richardson-Lucy": best_of(
                    {
                        str(n): functools.partial(richardson_lucy, kernel, n)
                        for n in ITERATIONS
                    },
                    blurred,
                    clean,
                ),
                "direct": scores(restorer.predict(blurred, t), clean),
                "Algorithm 2": scores(restorer.restore(blurred, t), clean),
                "Algorithm 2, estimated step": scores(
                    restorer.restore(blurred, "auto"), clean
                )
                if restorer.severity
                else None,
                "step": t,
                "width of the step": round(float(sigmas[t - 1]), 3),
            },
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="a run folder, file or name")
    parser.add_argument("--photos", required=True, help="a folder of photographs")
    parser.add_argument("--num_photos", type=int, help="only the first ones")
    flags = parser.parse_args()
    names = sorted(os.listdir(flags.photos))
    paths = [
        os.path.join(flags.photos, name)
        for name in names
        if os.path.splitext(name)[1].lower() in EXTENSIONS
    ][: flags.num_photos]
    clean = [decode(path, 3) for path in paths]
    restorer = cd.load(flags.model)
    rows: dict[str, Any] = {}
    for name, row in deblurring(restorer, clean):
        rows[name] = row
        print(name, row, flush=True)
    about = {"model": repr(restorer), "photographs": len(clean), "rows": rows}
    timing.write("photo_quality", about)


if __name__ == "__main__":
    main()
