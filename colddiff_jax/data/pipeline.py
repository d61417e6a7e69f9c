"""From a source of images to batches whose order is a pure function of (seed, step)."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from PIL import Image

from colddiff_jax.data.sources import Images
from colddiff_jax.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How an image becomes a square of the size the network trains on.

    The shorter side is resized to `resize_to` (bilinear with antialiasing, as PIL and
    the official code do it), then a square of `image_size` is cut: at random while
    training, from the centre for tests. MNIST's 28 x 28 digits are resized to 32, a
    power of two that the network can halve.

    Attributes:
        image_size: side of the result in pixels.
        resize_to: length of the shorter side before the cut; 0 leaves it as it is.
        pad: black pixels added on every side before a random cut.
        flip: mirror half of the training images; wrong for digits and letters.
    """

    image_size: int
    resize_to: int = 0
    pad: int = 0
    flip: bool = False

    def __post_init__(self) -> None:
        if self.resize_to and self.resize_to < self.image_size:
            raise InputError(
                "data.resize_to must be 0 or at least data.image_size = "
                f"{self.image_size}, got {self.resize_to}"
            )

    def train(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Resizes, pads, cuts at random and flips one uint8 image [H, W, C]."""
        image = self._resize(image)
        if self.pad:
            image = np.pad(image, ((self.pad,) * 2, (self.pad,) * 2, (0, 0)))
        rows, columns = self._spare(image)
        top, left = int(rng.integers(rows + 1)), int(rng.integers(columns + 1))
        image = self._cut(image, top, left)
        return image[:, ::-1] if self.flip and rng.integers(2) else image

    def test(self, image: np.ndarray) -> np.ndarray:
        """Resizes one uint8 image [H, W, C] and cuts its centre."""
        image = self._resize(image)
        rows, columns = self._spare(image)
        return self._cut(image, round(rows / 2), round(columns / 2))

    def _resize(self, image: np.ndarray) -> np.ndarray:
        height, width, channels = image.shape
        if not self.resize_to or min(height, width) == self.resize_to:
            return image
        if channels not in (1, 3, 4):
            raise InputError(
                f"only images of 1, 3 or 4 channels can be resized, got {channels}; "
                f"resize them to {self.resize_to} beforehand or set data.resize_to to 0"
            )
        scale = self.resize_to / min(height, width)
        size = (round(width * scale), round(height * scale))
        pixels = image[..., 0] if channels == 1 else image
        resized = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
        return np.asarray(resized).reshape(size[1], size[0], channels)

    def _spare(self, image: np.ndarray) -> tuple[int, int]:
        """Rows and columns that a cut leaves over."""
        height, width = image.shape[:2]
        if min(height, width) < self.image_size:
            raise InputError(
                f"images of {height} x {width} pixels are smaller than data.image_size "
                f"= {self.image_size}; set data.resize_to to {self.image_size} or more"
            )
        return height - self.image_size, width - self.image_size

    def _cut(self, image: np.ndarray, top: int, left: int) -> np.ndarray:
        return image[top : top + self.image_size, left : left + self.image_size]


def train_batches(
    images: Images,
    preprocessing: Preprocessing,
    batch_size: int,
    *,
    seed: int,
    first_step: int = 0,
) -> Iterator[np.ndarray]:
    """Endless shuffled batches; that of a step depends on (seed, step) alone.

    Args:
        images: the training images.
        preprocessing: applied to each, with fresh random cuts in every epoch.
        batch_size: B, over all devices.
        seed: of the order, the cuts and the flips.
        first_step: the step whose batch comes first, so that a run resumes exactly.

    Yields:
        uint8 [B, S, S, C].

    Example:
        >>> batches = train_batches(images, Preprocessing(image_size=32), 64, seed=0)
        >>> next(batches).shape
        (64, 32, 32, 3)
    """
    import grain

    batches = (
        grain.MapDataset.source(images)
        .seed(seed)
        .shuffle()
        .repeat()
        .random_map(preprocessing.train)
        .batch(batch_size)
    )
    # Threads, a few batches ahead: enough to hide the preprocessing of small images.
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
    return iter(batches[first_step:].to_iter_dataset(options))


def load_test_images(
    images: Images, preprocessing: Preprocessing, start: int, stop: int
) -> np.ndarray:
    """The test images start..stop - 1 in their order, uint8 [stop - start, S, S, C]."""
    return np.stack([preprocessing.test(images[i]) for i in range(start, stop)])
