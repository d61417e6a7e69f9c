"""Errors for arguments that are not images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax.checks import check_float, check_images, check_uint8


@pytest.mark.parametrize("check", [check_images, check_float, check_uint8])
def test_lists_of_images_of_different_sizes_raise_in_words_of_this_library(check):
    ragged = [[[0.5, 0.5], [0.5]]]
    sizes = [np.zeros((8, 8, 3)), np.zeros((9, 8, 3))]
    for images in (ragged, sizes):
        with pytest.raises(ValueError, match="images must form one array") as caught:
            check(images)
        assert "inhomogeneous" not in str(caught.value)
        assert "resize all images to the same size" in str(caught.value)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_with_channels_first_raise_with_the_conversion(channels):
    x = np.zeros((2, channels, 16, 12), np.float32)
    message = r"channels last, \[B, H, W, C\].*numpy.moveaxis\(x, 1, -1\)"
    for function in (check_images, lambda x: jax.eval_shape(check_images, x)):
        with pytest.raises(ValueError, match=message):
            function(x)
    assert check_images(np.moveaxis(x, 1, -1)).shape == (2, 16, 12, channels)


@pytest.mark.parametrize("shape", [(2, 3, 16, 3), (2, 1, 1, 8), (2, 2, 8, 8)])
def test_low_images_and_many_channels_are_accepted(shape):
    assert check_images(jnp.zeros(shape)).shape == shape
