"""jpeg_like against Pillow's JPEG and its definition in SciPy."""

import io

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
from PIL import Image

from colddiff_jax import jpeg_like
from colddiff_jax.degradations.jpeg import soft_round


@pytest.mark.parametrize("quality", [90, 60, 30, 10])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_like_approximates_pillow_at_the_same_quality(golden, quality, channels):
    image = golden["images64"][0][..., :channels]
    buffer = io.BytesIO()
    pixels = image if channels == 3 else image[..., 0]
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    jpeg = np.asarray(Image.open(buffer), np.float64).reshape(image.shape)
    x = (image.astype(np.float32) / 255 * 2 - 1)[None]
    ours = (np.asarray(jpeg_like([quality])(x, 1))[0] + 1) * 127.5
    jpeg_rmse = np.sqrt(((jpeg - image) ** 2).mean())
    our_rmse = np.sqrt(((ours - image) ** 2).mean())
    difference = np.sqrt(((jpeg - ours) ** 2).mean())
    assert difference < 0.45 * jpeg_rmse  # From coefficients near the edge of a bin.
    np.testing.assert_allclose(our_rmse, jpeg_rmse, rtol=0.2)


@pytest.mark.parametrize("quality", [80, 40, 10])
@pytest.mark.parametrize("channels", [1, 3])
def test_exact_files_match_pillow_but_for_its_integer_arithmetic(
    golden, quality, channels
):
    image = golden["images64"][0][:61, :, :channels]
    buffer = io.BytesIO()
    pixels = image if channels == 3 else image[..., 0]
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=2)
    jpeg = np.asarray(Image.open(buffer), np.float64).reshape(image.shape)
    x = (image.astype(np.float32) / 255 * 2 - 1)[None]
    degrade = jpeg_like([quality], subsample=True, exact=True)
    ours = (np.asarray(degrade(x, 1))[0] + 1) * 127.5
    np.testing.assert_allclose(ours, np.round(ours), atol=1e-4)
    jpeg_rmse = np.sqrt(((jpeg - image) ** 2).mean())
    difference = np.sqrt(((jpeg - ours) ** 2).mean())
    assert difference < 0.25 * jpeg_rmse
    our_rmse = np.sqrt(((ours - image) ** 2).mean())
    np.testing.assert_allclose(our_rmse, jpeg_rmse, rtol=0.02)


def test_the_gradient_of_exact_files_ignores_the_rounding(golden):
    x = golden["images64"][:1].astype(np.float32) / 255 * 2 - 1
    direction = np.random.default_rng(0).normal(size=x.shape).astype(np.float32)
    degrade = jpeg_like([10], exact=True)
    gradient = jax.grad(lambda x: (degrade(x, 1) * direction).sum())(x)
    np.testing.assert_allclose(gradient, direction, atol=1e-4)


def test_quantization_tables_match_pillow():
    for quality in (5, 37, 50, 75, 98):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, "JPEG", quality=quality)
        buffer.seek(0)
        written = Image.open(buffer).quantization
        ours = np.asarray(jpeg_like([quality]).quantizers[1])
        for plane in (0, 1):
            np.testing.assert_array_equal(
                ours[plane], np.reshape(written[plane], (8, 8))
            )


@hypothesis.settings(deadline=None, max_examples=12, derandomize=True)
@hypothesis.given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from([1, 2, 4]),
    st.floats(1, 100),
)
def test_jpeg_like_matches_its_definition_on_every_block(
    height, width, channels, quality
):
    x = np.random.default_rng(0).uniform(-1, 1, (1, height, width, channels))
    degrade = jpeg_like([quality])
    bins = np.asarray(degrade.quantizers[1, 0], np.float64)
    padding = ((0, -height % 8), (0, -width % 8), (0, 0))
    expected = np.pad(127.5 * x[0], padding, mode="edge")
    for i in range(0, height, 8):
        for j in range(0, width, 8):
            for c in range(channels):
                block = expected[i : i + 8, j : j + 8, c]
                u = scipy.fft.dctn(block, norm="ortho") / bins
                for _ in range(3):
                    u = u - np.sin(2 * np.pi * u) / (2 * np.pi)
                block[:] = scipy.fft.idctn(bins * u, norm="ortho")
    expected = expected[:height, :width] / 127.5
    x_t = degrade(x.astype(np.float32), 1)[0]
    np.testing.assert_allclose(x_t, expected, atol=1e-4)


def test_soft_round_is_smooth_and_approximates_rounding():
    integers = jnp.arange(-3.0, 4.0)
    np.testing.assert_allclose(soft_round(integers), integers, atol=1e-5)
    np.testing.assert_allclose(soft_round(integers + 0.5), integers + 0.5, atol=1e-5)
    u = jnp.linspace(-3, 3, 2001)
    far = np.abs(np.asarray(u) % 1 - 0.5) > 0.25
    error = np.abs(np.asarray(soft_round(u) - jnp.round(u)))
    assert error[far].max() < 0.01
    slopes = jax.vmap(jax.grad(soft_round))(u)
    assert (slopes >= -1e-5).all() and (slopes <= 8 + 1e-3).all()


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match=r"qualities must be in 1\.\.100 .* = 0"):
        jpeg_like([50, 0])
    with pytest.raises(ValueError, match=r"qualities must not increase .* = 60.0"):
        jpeg_like([50, 60])
