"""snow against the official code and its definition in SciPy."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from colddiff_jax import snow

RECORDED = {
    "snow/level3/T200_fixb1_r32": {"level": 3, "brighten": False},
    "snow/level4/T200_fixb0_r32": {"level": 4, "brighten": True},
}
# mean, std, zoom, threshold, kernel size, motion std, brightness; (first, last).
LEVELS = {
    1: (0.1, 0.3, 3, (0.7, 0.3), 5, (0.5, 5.0), (0.95, 0.7)),
    2: (0.55, 0.3, 2.5, (1.15, 0.7), 11, (0.05, 12), (0.95, 0.55)),
    3: (0.55, 0.3, 2.5, (1.15, 0.7), 11, (0.05, 16), (0.95, 0.4)),
    4: (0.55, 0.3, 2.5, (1.15, 0.55), 11, (0.05, 20), (0.95, 0.3)),
}


@pytest.mark.parametrize("name", RECORDED)
def test_snow_matches_the_recorded_steps(golden, photos, name):
    field = golden[f"{name}/noise_normal"]
    degrade = snow(32, 200, **RECORDED[name])
    degrade = degrade.with_field(field, bool(golden[f"{name}/vertical"][0]))
    np.testing.assert_allclose(
        degrade.flakes[0], golden[f"{name}/zoomed_base"], atol=2e-6
    )
    black = np.full((1, 32, 32, 1), -1, np.float32)
    unbrightened = snow(32, 200, level=RECORDED[name]["level"])
    unbrightened = unbrightened.with_field(field, bool(golden[f"{name}/vertical"][0]))
    for t, recorded, layer in zip(
        golden[f"{name}/t"],
        golden[f"{name}/x_t"],
        golden[f"{name}/snow_layer"],
        strict=True,
    ):
        np.testing.assert_allclose(degrade(photos, int(t)), recorded, atol=2e-5, rtol=0)
        expected = np.clip(layer + np.rot90(layer, 2), 0, 1)
        on_black = (np.asarray(unbrightened(black, int(t)))[0, ..., 0] + 1) / 2
        np.testing.assert_allclose(on_black, expected, atol=2e-5, rtol=0)


@jax.jit
def apply(degrade, x, t):
    return degrade(x, t)


def definition(x, field, vertical, t, num_steps, level, brighten):
    """Returns D(x, t) of one image [H, W, C] in float64."""
    _, _, zoom, threshold, size, motion, brightness = LEVELS[level]
    for axis, side in enumerate(field.shape):
        crop = int(np.ceil(side / zoom))
        start = (side - crop) // 2
        field = np.take(field, np.arange(start, start + crop), axis)
    flakes = scipy.ndimage.zoom(field, zoom, order=1)
    for axis, side in enumerate(x.shape[:2]):
        trim = (flakes.shape[axis] - side) // 2
        flakes = np.take(flakes, np.arange(trim, trim + side), axis)
    weight = np.linspace(0, 1, num_steps)[t - 1]
    threshold_t, std, brightness_t = (
        a + (b - a) * weight for a, b in (threshold, motion, brightness)
    )
    flakes = np.clip(np.where(flakes < threshold_t, 0, flakes), 0, 1)
    taps = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * std**2))
    layer = scipy.ndimage.correlate1d(
        flakes, taps / taps.sum(), axis=0 if vertical else 1, mode="constant"
    )
    image = (x + 1) / 2
    if brighten:
        channels = x.shape[-1]
        weights = [0.299, 0.587, 0.114] if channels == 3 else channels * [1 / channels]
        luma = (image @ weights)[..., None]
        brightened = np.maximum(image, 1.5 * luma + 0.5)
        image = brightness_t * image + (1 - brightness_t) * brightened
    image = image + (layer + np.rot90(layer, 2))[..., None]
    return 2 * np.clip(image, 0, 1) - 1


@hypothesis.settings(deadline=None, max_examples=12, derandomize=True)
@hypothesis.given(
    st.sampled_from(sorted(LEVELS)),
    st.booleans(),
    st.tuples(st.integers(3, 40), st.integers(3, 40)),
    st.integers(1, 4),
)
def test_all_levels_and_sizes_match_the_definition(
    level, brighten, image_size, channels
):
    rng = np.random.default_rng(level)
    x = rng.uniform(-1, 1, (2, *image_size, channels)).astype(np.float32)
    # In float32, so that both threshold exactly the same values.
    fields = rng.normal(*LEVELS[level][:2], (2, *image_size)).astype(np.float32)
    degrade = snow(image_size, 9, level=level, brighten=brighten)
    degrade = degrade.with_field(fields, jnp.array([False, True]))
    for t in (1, 5, 9):
        expected = [
            definition(x[i], fields[i], bool(i), t, 9, level, brighten)
            for i in range(2)
        ]
        np.testing.assert_allclose(apply(degrade, x, t), expected, atol=2e-5)


def test_fields_and_directions_have_the_published_distribution():
    degrade = snow(24, 5, level=1).bind(jax.random.key(0), (3000, 24, 24, 3))
    assert 0.46 < np.asarray(degrade.vertical).mean() < 0.54
    # Enlargement by a factor of three leaves only some samples, like these, as drawn.
    corners = np.asarray(degrade.flakes)[:, ::23, ::23]
    np.testing.assert_allclose(corners.mean(), 0.1, atol=0.01)
    np.testing.assert_allclose(corners.std(), 0.3, atol=0.01)
    np.testing.assert_allclose(
        np.corrcoef(corners.reshape(-1, 4).T), np.eye(4), atol=0.06
    )


def test_snow_never_disappears(photos):
    degrade = snow(32, 20, level=4).bind(jax.random.key(0), photos.shape)
    black = jnp.full((4, 32, 32, 1), -1.0)
    coverage = [np.asarray(degrade(black, t) > -1).mean() for t in range(21)]
    assert coverage[0] == 0 and coverage[-1] > 0.5
    previous = np.zeros((4, 32, 32, 1), bool)
    for t in range(1, 21):
        covered = np.asarray(degrade(black, t) > -1)
        assert covered[previous].mean() > 0.999 if previous.any() else True
        previous = covered


def test_given_field_is_shared_or_per_example(photos):
    fields = np.random.default_rng(0).normal(0.55, 0.3, (4, 32, 32))
    fields = fields.astype(np.float32)
    shared = snow(32, 5).with_field(fields[0], False)
    assert shared(photos, 3).shape == photos.shape
    separate = snow(32, 5).with_field(fields, jnp.array([False, True, True, False]))
    np.testing.assert_allclose(shared(photos, 3)[0], separate(photos, 3)[0], atol=1e-6)
    with pytest.raises(ValueError, match=r"\(32, 32\), got \(16, 32\)"):
        snow(32, 5).with_field(fields[0, :16], False)
    with pytest.raises(ValueError, match="bound to 4 examples, got 2"):
        separate(photos[:2], 3)


def test_single_step_is_the_lightest_snow(photos):
    degrade = snow(32, 1).bind(jax.random.key(0), photos.shape)
    longer = snow(32, 7).bind(jax.random.key(0), photos.shape)
    np.testing.assert_allclose(degrade(photos, 1), longer(photos, 1), atol=1e-6)


def test_invalid_arguments_raise():
    with pytest.raises(ValueError, match=r"level must be one of \[1, 2, 3, 4\], got 5"):
        snow(32, 5, level=5)
    for level in (True, 3.0, "3", [3]):
        with pytest.raises(ValueError, match="level must be one of"):
            snow(32, 5, level=level)
    with pytest.raises(
        TypeError, match="vertical must be one bool, or one per example"
    ):
        snow(32, 5).with_field(np.zeros((32, 32)), 2.5)
    with pytest.raises(ValueError, match="num_steps must be a positive integer, got 0"):
        snow(32, 0)
    with pytest.raises(ValueError, match="image_size must be a positive integer"):
        snow(-3, 5)
