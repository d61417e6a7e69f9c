"""Data sources and the input pipeline; importing it loads neither TFDS nor Grain."""

from colddiff_jax.data.fingerprint import fingerprint
from colddiff_jax.data.folder import folder, images_in_folder
from colddiff_jax.data.loading import (
    Batch,
    batch_indices,
    leave_signals_to_others,
    load_all,
    load_test_images,
    stack,
    stream_batches,
)
from colddiff_jax.data.preprocessing import Preprocessing
from colddiff_jax.data.sources import SOURCES, digits, npz, tfds
from colddiff_jax.data.splits import Images, ImageSplits, arrays, check_splits

__all__ = [
    "SOURCES",
    "Batch",
    "ImageSplits",
    "Images",
    "Preprocessing",
    "arrays",
    "batch_indices",
    "check_splits",
    "digits",
    "fingerprint",
    "folder",
    "images_in_folder",
    "leave_signals_to_others",
    "load_all",
    "load_test_images",
    "npz",
    "stack",
    "stream_batches",
    "tfds",
]
