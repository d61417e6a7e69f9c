"""Data sources and the input pipeline; importing it loads neither TFDS nor Grain."""

from colddiff_jax.data.fingerprint import fingerprint
from colddiff_jax.data.folder import folder, images_in_folder
from colddiff_jax.data.loading import (
    Batch,
    leave_signals_to_others,
    load_all,
    load_if_small,
    load_image,
    load_test_images,
    load_windows,
    stack,
    stream_batches,
)
from colddiff_jax.data.order import Windows, batch_indices, batch_windows
from colddiff_jax.data.pairs import Pairs, pair_arrays, pair_folder
from colddiff_jax.data.preprocessing import Preprocessing
from colddiff_jax.data.sources import SOURCES, coarse_digits, digits, npz, tfds
from colddiff_jax.data.splits import Images, ImageSplits, arrays, check_splits

__all__ = [
    "SOURCES",
    "Batch",
    "ImageSplits",
    "Images",
    "Pairs",
    "Preprocessing",
    "Windows",
    "arrays",
    "batch_indices",
    "batch_windows",
    "check_splits",
    "coarse_digits",
    "digits",
    "fingerprint",
    "folder",
    "images_in_folder",
    "leave_signals_to_others",
    "load_all",
    "load_if_small",
    "load_image",
    "load_test_images",
    "load_windows",
    "npz",
    "pair_arrays",
    "pair_folder",
    "stack",
    "stream_batches",
    "tfds",
]
