"""Writes folders of image files and reads them."""

import numpy as np
import pytest
from PIL import Image

from colddiff_jax import InputError, data


def pixels(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path, height=6, width=8, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(height, width, seed)).save(path)


def read(root, **options):
    return data.folder(path=str(root), **options)


def complaint(root, **options):
    with pytest.raises(InputError) as caught:
        read(root, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def widths(images):
    return [image.shape[1] for image in images]
