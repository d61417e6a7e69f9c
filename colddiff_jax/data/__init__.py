"""Data sources and the input pipeline; importing it loads neither TFDS nor Grain."""

from colddiff_jax.data.pipeline import Preprocessing, load_test_images, train_batches
from colddiff_jax.data.sources import SOURCES, Images, ImageSplits, digits, npz, tfds

__all__ = [
    "SOURCES",
    "ImageSplits",
    "Images",
    "Preprocessing",
    "digits",
    "load_test_images",
    "npz",
    "tfds",
    "train_batches",
]
