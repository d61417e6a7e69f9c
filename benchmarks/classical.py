"""Classical restoration of photographs, uint8 [H, W, 3] in and out."""

import functools
from collections.abc import Callable

import numpy as np
from PIL import Image
from skimage import restoration

Method = Callable[[np.ndarray], np.ndarray]
BALANCES = tuple(10.0**power for power in np.arange(-5, -0.9, 0.5))
ITERATIONS = (10, 30)


def gaussian(width: float) -> np.ndarray:
    """Returns the kernel of a blur, [K, K]."""
    offsets = np.arange(-int(4 * width + 1), int(4 * width + 1) + 1)
    taps = np.exp(-((offsets / width) ** 2) / 2)
    taps /= taps.sum()
    return np.outer(taps, taps)


def deconvolutions(width: float) -> dict[str, dict[str, Method]]:
    """Returns Wiener and Richardson-Lucy deconvolution by name and parameter."""
    kernel = gaussian(width)
    return {
        "Wiener": {
            f"balance {balance:.0e}": functools.partial(wiener, kernel, balance)
            for balance in BALANCES
        },
        "Richardson-Lucy": {
            f"{rounds} iterations": functools.partial(richardson_lucy, kernel, rounds)
            for rounds in ITERATIONS
        },
    }


def wiener(kernel: np.ndarray, balance: float, image: np.ndarray) -> np.ndarray:
    """Restores a blurred image with skimage's Wiener filter."""
    return _mirrored(
        lambda x: restoration.wiener(x, kernel, balance, clip=False), kernel, image
    )


def richardson_lucy(kernel: np.ndarray, rounds: int, image: np.ndarray) -> np.ndarray:
    """Restores a blurred image with skimage's Richardson-Lucy algorithm."""
    return _mirrored(
        lambda x: restoration.richardson_lucy(x + 1e-3, kernel, num_iter=rounds),
        kernel,
        image,
    )


def resized(resample: Image.Resampling, factor: int, image: np.ndarray) -> np.ndarray:
    """Enlarges the image whose pixels are the blocks of a pixelated one."""
    small = Image.fromarray(image[factor // 2 :: factor, factor // 2 :: factor])
    return np.asarray(small.resize((image.shape[1], image.shape[0]), resample))


def biharmonic(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fills the pixels where the mask is True."""
    filled = restoration.inpaint_biharmonic(image / 255, mask, channel_axis=2)
    return np.round(255 * np.clip(filled, 0, 1)).astype(np.uint8)


def _mirrored(method: Method, kernel: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Restores every channel, mirrored at its borders."""
    margin = kernel.shape[0]
    padded = np.pad(image, ((margin,) * 2, (margin,) * 2, (0, 0)), mode="symmetric")
    channels = [method(padded[..., c] / 255) for c in range(image.shape[2])]
    restored = np.stack(channels, axis=2)[margin:-margin, margin:-margin]
    return np.round(255 * np.clip(restored, 0, 1)).astype(np.uint8)
