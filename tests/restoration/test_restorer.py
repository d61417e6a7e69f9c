"""What a trained model does to images of any kind and size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import colddiff_jax as cd
from colddiff_jax import InputError
from colddiff_jax.restoration.samplers import sample_from
from colddiff_jax.restoration.sizes import Sizing
from tests.restoration.small_restorers import HALVED, LOCAL, make_restorer

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.uniform(-1, 1, shape).astype(np.float32)


@pytest.fixture(scope="module")
def local():
    return make_restorer()


@pytest.fixture(scope="module")
def fixed():
    """A network that normalises over the whole image, trained at 16 x 16."""
    fields = {"patch_size": 4, "channel_multipliers": (1,), "local": False}
    return make_restorer(image_size=16, channels=1, num_groups=4, **fields)


def test_at_the_trained_size_it_is_the_sampler(local):
    x = floats(2, *local.image_shape)
    T = local.degradation.num_steps
    x_T = local.degrade(x)
    np.testing.assert_allclose(x_T, local.degradation(x, T), atol=1e-6)
    sample = jax.jit(cd.sample_alg2)
    expected = sample(local.restore_fn, local.degradation, jnp.asarray(x_T)).x_0
    np.testing.assert_allclose(local.restore(x_T), expected, atol=1e-5)
    expected = local.restore_fn(jnp.asarray(x_T), jnp.full(2, T))
    np.testing.assert_allclose(local.predict(x_T), expected, atol=1e-5)


def test_where_d_rounds_one_prediction_is_the_default():
    jpeg = {"name": "jpeg_like", "qualities": (50, 20)}
    x = floats(16, 24, 3)
    for exact, sampler in ((True, "direct"), (False, "alg2")):
        restorer = make_restorer(jpeg | {"exact": exact})
        expected = restorer.restore(x, sampler=sampler)
        np.testing.assert_array_equal(restorer.restore(x), expected)


@pytest.mark.parametrize("size", [(1, 1), (5, 70), (33, 32)])
def test_any_size_comes_back_as_it_was(local, fixed, size):
    for restorer in (local, fixed):
        x = floats(*size, restorer.image_shape[2])
        x_T = restorer.degrade(x, t=2)
        assert x_T.shape == x.shape and np.isfinite(x_T).all()
        restored = restorer.restore(x_T, t=2)
        assert restored.shape == x.shape and np.isfinite(restored).all()


def test_sizes_and_kinds_mix_and_a_batch_equals_its_images(local):
    images = [floats(24, 20, 3), floats(40, 20, 3), floats(24, 20, 3)]
    together = local.restore([*images, Image.new("L", (20, 24))])
    for image, restored in zip(images, together, strict=False):
        np.testing.assert_allclose(local.restore(image), restored, atol=1e-5)
    assert together[-1].mode == "L" and together[-1].size == (20, 24)


def test_padding_mirrors_the_image_and_is_cut_off_again(local):
    sizing = Sizing.of(local.model)
    assert (sizing.multiple, sizing.least) == (4, 4)
    x = floats(6, 7, 3)
    padded = sizing.pad(x)
    assert padded.shape == (8, 8, 3)
    np.testing.assert_array_equal(padded[6:, :7], x[:3:-1])
    degraded = local.degrade(x)
    whole = local.degrade(padded)
    np.testing.assert_allclose(degraded, whole[:6, :7], atol=1e-6)


def test_tiles_differ_little_from_the_whole(local):
    x = floats(1, 192, 320, 3)
    whole, tiled = local.restore(x, t=2), local.restore(x, t=2, tile=128)
    assert Sizing.of(local.model, tile=1).tile == 128
    assert np.abs(whole - x).mean() > 0.05
    assert np.abs(whole - tiled).max() < 1e-3


def test_another_network_sees_tiles_of_its_own_size(fixed):
    sizing = Sizing.of(fixed.model)
    assert (sizing.tile, sizing.least, sizing.multiple) == (16, 16, 4)
    x = floats(40, 16, 1)
    degraded = fixed.degrade(x)
    # The first rows lie in the first tile alone.
    first = fixed.predict(degraded)[:4]
    alone = fixed.restore_fn(jnp.asarray(degraded[None, :16]), jnp.array([4]))[0, :4]
    np.testing.assert_allclose(first, alone, atol=1e-5)


def test_pixelated_photographs_keep_their_blocks():
    restorer = make_restorer(HALVED)
    assert Sizing.of(restorer.model).multiple == 4
    x = floats(20, 12, 3)
    blocks = restorer.degrade(x).reshape(5, 4, 3, 4, 3)
    np.testing.assert_allclose(blocks - blocks[:, :1, :, :1], 0, atol=1e-5)
    np.testing.assert_allclose(
        blocks[:, 0, :, 0], x.reshape(5, 4, 3, 4, 3).mean(axis=(1, 3)), atol=1e-5
    )


def test_small_images_are_enlarged_by_the_factor_of_the_step():
    restorer = make_restorer(HALVED)
    small = floats(5, 7, 3)
    for t, factor in ((1, 2), (2, 4)):
        repeated = small.repeat(factor, 0).repeat(factor, 1)
        expected = restorer.restore(repeated, t)
        np.testing.assert_array_equal(
            restorer.restore(small, t, enlarge=True), expected
        )
    large = restorer.restore(Image.new("LA", (7, 5), (90, 40)), enlarge=True)
    assert large.mode == "LA" and large.size == (28, 20)
    assert set(np.asarray(large)[..., 1].ravel()) == {40}


def test_only_models_of_pixelated_images_enlarge(local):
    with pytest.raises(InputError, match=r"needs a model of pixelated .* heat_blur"):
        local.restore(floats(8, 8, 3), enlarge=True)
    uneven = {"name": "pixelate", "method": "area", "sizes": (24, 16)}
    with pytest.raises(InputError, match="at t = 1, 32 pixels become 24"):
        make_restorer(uneven).restore(floats(8, 8, 3), t=1, enlarge=True)


def test_random_draws_belong_to_the_key_and_the_index():
    mask = {"name": "gaussian_mask", "center": "random"}
    mask["stds"] = {"name": "constant", "num_steps": 2, "value": 3.0}
    restorer = make_restorer(mask, channels=1, patch_size=4)
    x = np.ones((3, 32, 32, 1), np.float32)
    key = jax.random.key(5)
    masked = restorer.degrade(x, key=key)
    np.testing.assert_array_equal(masked, restorer.degrade(x, key=key))
    assert np.abs(masked - restorer.degrade(x)).max() > 0.5
    assert np.abs(masked[0] - masked[1]).max() > 0.5
    np.testing.assert_allclose(masked[:2], restorer.degrade(x[:2], key=key), atol=1e-6)


HOLES = {"name": "holes", "num_steps": 2, "density": 20.0}


@pytest.fixture(scope="module")
def inpainting():
    return make_restorer(HOLES)


def test_only_masked_pixels_change_and_what_is_under_the_mask_does_not_matter(
    inpainting,
):
    x = floats(20, 30, 3)
    mask = np.zeros((20, 30), bool)
    mask[4:9, 6:20] = True
    restored = inpainting.restore(x, mask=mask)
    np.testing.assert_allclose(restored[~mask], x[~mask], atol=1e-6)
    assert np.abs(restored[mask] - x[mask]).mean() > 0.1
    scribbled = np.where(mask[..., None], 1.0, x).astype(np.float32)
    np.testing.assert_array_equal(inpainting.restore(scribbled, mask=mask), restored)
    picture = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))
    both = inpainting.restore([x, x], mask=[picture, 255 * mask.astype(np.uint8)])
    for image in both:
        np.testing.assert_allclose(image, restored, atol=1e-6)


def test_random_holes_are_filled_with_the_key_that_drew_them(inpainting):
    key = jax.random.key(3)
    x = floats(2, 32, 32, 3)
    x_T = inpainting.degrade(x, key=key)
    known = x_T == x
    assert 0.1 < known.mean() < 0.95
    restored = inpainting.restore(x_T, key=key)
    np.testing.assert_allclose(restored[known], x[known], atol=1e-6)


def test_wrong_masks_raise(local, inpainting):
    x = floats(8, 8, 3)
    for restorer, mask, message in (
        (inpainting, None, "fills holes: give `mask`"),
        (inpainting, np.zeros((8, 9), bool), r"`mask` .* 8 x 8 pixels, got 8 x 9"),
        (inpainting, np.zeros((8, 8)), "`mask` must be a file, .* got dtype float64"),
        (inpainting, 2 * [np.zeros((8, 8), bool)], "one for each of 1 images, got 2"),
        (local, np.zeros((8, 8), bool), "`mask` needs a model that fills holes"),
    ):
        with pytest.raises(InputError, match=message):
            restorer.restore(x, mask=mask)


def test_wrong_options_raise_in_one_line(local):
    x = floats(8, 8, 3)
    for options, message in (
        ({"t": 5}, r"`t` must lie in 1\.\.4, got 5"),
        ({"t": 0}, r"`t` must lie in 1\.\.4, got 0"),
        ({"t": 2.0}, r"`t` must be an integer in 1\.\.4, got 2\.0"),
        ({"sampler": "euler"}, "`sampler` must be among direct, .* got 'euler'"),
        ({"sampler": "ddim"}, "ddim needs a model trained on gaussian_noise"),
        ({"t": 3, "steps": 4}, r"`steps` must lie in 1\.\.3, got 4"),
        ({"sampler": "direct", "steps": 1}, "single prediction; leave `steps` out"),
    ):
        with pytest.raises(InputError, match=message):
            local.restore(x, **options)


def test_a_blend_with_other_images_raises():
    blend = {"name": "animorph"}
    blend["alphas_cumprod"] = {"name": "cosine", "num_steps": 4}
    restorer = make_restorer(blend)
    for method in (restorer.degrade, restorer.restore):
        with pytest.raises(InputError, match="blends images with others"):
            method(floats(8, 8, 3))


def test_its_description_names_degradation_network_and_shape(local):
    expected = "Restorer(heat_blur, T = 4; unet, 32 x 32 x 3, 7 steps)"
    assert repr(local) == expected
    assert LOCAL["local"] and local.model.network.local


def test_the_second_call_of_the_same_size_compiles_nothing(local):
    x = floats(12, 28, 3)
    first = local.restore(x, t=3)
    compiled = sample_from._cache_size()
    np.testing.assert_array_equal(local.restore(x, t=3), first)
    local.restore(floats(11, 27, 3), t=3)  # Padded to the same size.
    assert sample_from._cache_size() == compiled
