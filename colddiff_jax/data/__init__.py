"""Data sources and the input pipeline; importing it loads neither TFDS nor Grain."""

from colddiff_jax.data.fingerprint import fingerprint
from colddiff_jax.data.folder import folder
from colddiff_jax.data.pipeline import Preprocessing, load_test_images, train_batches
from colddiff_jax.data.sources import SOURCES, digits, npz, tfds
from colddiff_jax.data.splits import Images, ImageSplits, arrays

__all__ = [
    "SOURCES",
    "ImageSplits",
    "Images",
    "Preprocessing",
    "arrays",
    "digits",
    "fingerprint",
    "folder",
    "load_test_images",
    "npz",
    "tfds",
    "train_batches",
]
