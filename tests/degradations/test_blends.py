"""blend, animorph, gaussian_noise and fade_to_color, and their endpoints."""

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax import animorph, blend, fade_to_color, gaussian_noise, schedules


@pytest.fixture
def others(golden):
    return golden["others32"].astype(np.float32) / 255 * 2 - 1


def test_animorph_matches_the_recorded_steps(golden, photos, others):
    name = "animorph/T200_r32"
    degrade = animorph(schedules.cosine(200)).with_endpoint(others)
    for t, recorded in zip(golden[f"{name}/t"], golden[f"{name}/x_t"], strict=True):
        np.testing.assert_allclose(degrade(photos, int(t)), recorded, atol=2e-5, rtol=0)


def test_fade_to_color_matches_the_recorded_weights(golden):
    name = "genmask/reverse/T100_std0.05_init1_r64"
    stds = schedules.linear(100, start=0.05, increment=0.05)
    black = fade_to_color(64, stds).with_endpoint(jnp.zeros((1, 1, 1, 1)))
    ones = np.ones((1, 64, 64, 1), np.float32)
    for t, recorded in zip(golden[f"{name}/t"], golden[f"{name}/alpha"], strict=True):
        x_t = np.asarray(black(ones, int(t)))[..., 0]
        np.testing.assert_allclose(x_t, recorded, atol=1e-6, rtol=0)


@hypothesis.settings(deadline=None, max_examples=30, derandomize=True)
@hypothesis.given(
    st.integers(2, 9),
    st.integers(2, 9),
    st.integers(1, 4),
    st.lists(st.floats(0.2, 9.0), min_size=1, max_size=5),
    st.booleans(),
)
def test_fade_to_color_matches_its_definition(height, width, channels, stds, reverse):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2, height, width, channels))
    colour = rng.uniform(-1, 1, (2, 1, 1, channels))
    degrade = fade_to_color((height, width), stds, reverse=reverse)
    degrade = degrade.with_endpoint(colour.astype(np.float32))
    rows, columns = np.mgrid[:height, :width]
    middle = (height + 1) // 2 - 1, (width + 1) // 2 - 1
    squared = (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2
    for t in range(1, len(stds) + 1):
        weight = np.ones((height, width, 1))
        for std in stds[: len(stds) - t] if reverse else stds[:t]:
            weight = weight * (1 - np.exp(-squared / (2 * std**2)))[..., None]
        weight = 1 - weight if reverse else weight
        expected = weight * x + (1 - weight) * colour
        np.testing.assert_allclose(
            degrade(x.astype(np.float32), t), expected, atol=1e-6
        )


@hypothesis.settings(deadline=None, max_examples=16, derandomize=True)
@hypothesis.given(
    hnp.arrays(np.float64, st.integers(1, 6), elements=st.floats(0, 0.999)),
    st.integers(1, 6),
    st.integers(1, 4),
)
def test_gaussian_noise_matches_step_by_step_application(betas, side, channels):
    # x_i = sqrt(1 - beta_i) x_{i - 1} + ...: the weight of the image is a product.
    degrade = gaussian_noise(np.cumprod(1 - betas))
    shape = (2, side, side + 1, channels)
    degrade = degrade.bind(jax.random.key(0), shape)
    x = np.random.default_rng(0).uniform(-1, 1, shape)
    image, variance = x, 0.0
    for t, beta in enumerate(betas, start=1):
        image = np.sqrt(1 - beta) * image
        variance = (1 - beta) * variance + beta
        expected = image + np.sqrt(variance) * np.asarray(degrade.endpoint, np.float64)
        np.testing.assert_allclose(
            degrade(x.astype(np.float32), t), expected, atol=3e-6
        )


def test_reverse_fading_ends_in_exactly_the_colour(photos):
    degrade = fade_to_color(32, schedules.linear(40, start=0.05, increment=0.05))
    bound = degrade.bind(jax.random.key(0), photos.shape)
    x_T = np.asarray(bound(photos, 40))
    np.testing.assert_array_equal(x_T, np.broadcast_to(bound.endpoint, x_T.shape))
    change = np.abs(np.asarray(bound(photos, 39)) - photos).max(-1)
    assert (change[:, 15, 15] < 1e-6).all()  # The middle changes last.


def test_drawn_colours_are_uniform_over_their_range():
    degrade = fade_to_color(4, [1.0], color_range=(-0.2, 0.6))
    colours = np.asarray(degrade.bind(jax.random.key(0), (4000, 4, 4, 3)).endpoint)
    assert colours.shape == (4000, 1, 1, 3)
    assert -0.2 <= colours.min() < -0.199 and 0.599 < colours.max() <= 0.6
    np.testing.assert_allclose(colours.mean(), 0.2, atol=0.01)
    np.testing.assert_allclose(np.corrcoef(colours[:, 0, 0].T), np.eye(3), atol=0.06)


def test_drawn_noise_is_standard_normal():
    degrade = gaussian_noise([0.5]).bind(jax.random.key(0), (64, 16, 16, 3))
    noise = np.asarray(degrade.endpoint)
    np.testing.assert_allclose([noise.mean(), noise.std()], [0, 1], atol=0.01)


def test_blend_weighs_the_image_and_its_endpoint(photos, others):
    a, b = [0.7, 0.5, 0.0], [0.1, 0.9, 1.5]
    degrade = blend(a, b, endpoint="image").with_endpoint(others)
    np.testing.assert_array_equal(degrade(photos, 0), photos)
    for t in (1, 2, 3):
        expected = a[t - 1] * photos + b[t - 1] * others
        np.testing.assert_allclose(degrade(photos, t), expected, atol=1e-6)


def test_blend_generalises_gaussian_noise_and_animorph(photos, others):
    alphas = schedules.cosine(20)
    weights = np.sqrt(alphas), np.sqrt(1 - alphas)
    pairs = [
        (blend(*weights), gaussian_noise(alphas)),
        (blend(*weights, endpoint="image"), animorph(alphas)),
    ]
    for found, expected in pairs:
        assert found.endpoint_kind == expected.endpoint_kind
        if found.endpoint_kind == "image":
            found, expected = (d.with_endpoint(others) for d in (found, expected))
        found, expected = (
            d.bind(jax.random.key(0), photos.shape) for d in (found, expected)
        )
        np.testing.assert_array_equal(found(photos, 7), expected(photos, 7))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.6], [0.1, 0.2]), "image_weights"),
        (([0.6, 0.5], [0.2, 0.1]), "endpoint_weights"),
        (([1.5], [0.1]), "image_weights"),
        (([0.5], [-0.1]), "endpoint_weights"),
        (([0.5, 0.4], [0.1]), "got 2 and 1"),
        (([0.5], [0.1], "color"), "endpoint must be"),
    ],
)
def test_blend_names_wrong_weights(arguments, message):
    *weights, endpoint = arguments if len(arguments) == 3 else (*arguments, "noise")
    with pytest.raises(ValueError, match=message):
        blend(*weights, endpoint=endpoint)


BLENDS = {
    "blend": lambda: blend(np.linspace(0.95, 0, 20), np.linspace(0.05, 1, 20)),
    "animorph": lambda: animorph(schedules.cosine(20)),
    "gaussian_noise": lambda: gaussian_noise(schedules.cosine(20)),
    "fade_to_color": lambda: fade_to_color(32, 20 * [2.0]),
    "fade_to_color:forward": lambda: fade_to_color(32, 20 * [2.0], reverse=False),
}


@pytest.mark.parametrize("name", BLENDS)
def test_estimate_endpoint_recovers_the_endpoint(name, photos, others):
    degrade = BLENDS[name]().bind(jax.random.key(0), photos.shape)
    if name == "animorph":
        degrade = degrade.with_endpoint(others)
    t = jnp.array([2, 5, 13, 20])
    estimate = degrade.estimate_endpoint(degrade(photos, t), photos, t)
    assert estimate.shape == degrade.endpoint.shape
    np.testing.assert_allclose(estimate, degrade.endpoint, atol=2e-5)


def test_estimated_endpoint_reproduces_any_image(photos, others):
    degrade = animorph(schedules.cosine(20))
    x_t, t = jnp.asarray(others), jnp.array([1, 7, 12, 20])
    z = degrade.estimate_endpoint(x_t, photos, t)
    again = degrade.with_endpoint(z)(photos, t)
    np.testing.assert_allclose(again, x_t, atol=2e-6)


def test_estimated_endpoint_of_a_clean_image_is_zero(photos):
    for make in BLENDS.values():
        estimate = make().estimate_endpoint(photos, photos, 0)
        np.testing.assert_array_equal(estimate, 0)


def test_estimated_colour_is_the_least_squares_solution(photos, others):
    degrade = fade_to_color(32, 20 * [2.0], reverse=False)
    white = degrade.with_endpoint(jnp.ones((1, 1, 1, 1)))
    weight = np.asarray(white(jnp.zeros((1, 32, 32, 1)), 9), np.float64)[0, ..., 0]
    rest = others - (1 - weight[..., None]) * photos
    design = weight.reshape(-1, 1)
    for image, estimate in zip(
        rest, degrade.estimate_endpoint(others, photos, 9), strict=True
    ):
        expected = np.linalg.lstsq(design, image.reshape(-1, 3), rcond=None)[0]
        np.testing.assert_allclose(estimate[0], expected, atol=2e-5)


def test_blend_without_an_endpoint_raises(photos):
    with pytest.raises(ValueError, match=r"no endpoint yet; call .*with_endpoint\(z\)"):
        animorph([0.5])(photos, 1)
    assert animorph([0.5]).bind(jax.random.key(0), photos.shape).endpoint is None


@pytest.mark.parametrize("shape", [(4, 16, 16, 3), (4, 32, 32, 1, 1), (2, 32, 32, 3)])
def test_endpoint_of_the_wrong_shape_raises(photos, shape):
    with pytest.raises(ValueError, match=r"shape|bound to 2 examples, got 4"):
        animorph([0.5]).with_endpoint(jnp.zeros(shape))(photos, 1)
    message = r"shape of the images, \(4, 32, 32, 3\), .* got \(4, 16, 16, 3\)"
    if shape == (4, 16, 16, 3):
        with pytest.raises(ValueError, match=message):
            animorph([0.5]).with_endpoint(jnp.zeros(shape))(photos, 1)


def test_a_key_draws_the_noise_of_an_endpoint_for_every_image(photos):
    degrade = animorph([0.36, 0.0], endpoint_noise=0.2)

    def keys():
        return jax.random.split(jax.random.key(0), len(photos))

    noise = degrade.with_endpoint(photos, keys()).endpoint - photos
    assert noise.std() == pytest.approx(0.2, rel=0.03)
    assert abs(noise.mean()) < 0.01
    alone = degrade.with_endpoint(photos[1:2], keys()[1:2]).endpoint - photos[1:2]
    np.testing.assert_allclose(alone[0], noise[1], atol=1e-6)
    np.testing.assert_array_equal(degrade.with_endpoint(photos).endpoint, photos)
    quiet = animorph([0.36, 0.0]).with_endpoint(photos, keys())
    np.testing.assert_array_equal(quiet.endpoint, photos)


@pytest.mark.parametrize("std", [-0.1, float("nan"), True])
def test_noise_of_an_endpoint_that_is_no_deviation_raises(std):
    for make in (
        lambda: animorph([0.5], endpoint_noise=std),
        lambda: blend([0.5], [0.5], endpoint="image", endpoint_noise=std),
    ):
        with pytest.raises(ValueError, match="endpoint_noise must"):
            make()


def test_noise_in_a_linear_blend_grows_with_the_step(photos):
    """x_t = (1 - t / T) x + (t / T) (y + 0.2 e), as in InDI."""
    degrade = blend([0.5, 0.0], [0.5, 1.0], endpoint="image", endpoint_noise=0.2)
    noisy = degrade.with_endpoint(photos, jax.random.key(0))
    e = (noisy.endpoint - photos) / 0.2
    assert e.std() == pytest.approx(1, rel=0.03)
    x = photos[::-1]
    np.testing.assert_allclose(noisy(x, 1), (x + photos + 0.2 * e) / 2, atol=1e-6)
    with pytest.raises(ValueError, match="endpoint_noise is for endpoints that are im"):
        blend([0.5], [0.5], endpoint_noise=0.2)


def test_image_endpoint_for_a_colour_blend_raises(photos):
    with pytest.raises(
        ValueError, match=r"one colour per image, of shape \[B, 1, 1, C"
    ):
        fade_to_color(32, [1.0]).with_endpoint(photos)


def test_estimate_from_images_of_different_shapes_raises(photos):
    with pytest.raises(ValueError, match="x0_hat must have the shape of x_t"):
        animorph([0.5]).estimate_endpoint(photos, photos[:1], 1)


def test_invalid_arguments_raise():
    for factory in (animorph, gaussian_noise):
        with pytest.raises(
            ValueError, match=r"alphas_cumprod must be in \[0, 1\] .* = 1.1"
        ):
            factory([1.1])
        with pytest.raises(ValueError, match="alphas_cumprod must not increase"):
            factory([0.4, 0.5])
    with pytest.raises(ValueError, match=r"stds must be positive .* stds\[0\] = -1"):
        fade_to_color(8, [-1.0])
    with pytest.raises(ValueError, match=r"color_range must be \(low, high\) within"):
        fade_to_color(8, [1.0], color_range=(1.0, -1.0))
    with pytest.raises(TypeError, match=r"images must be floating point"):
        animorph([0.5]).with_endpoint(np.zeros((1, 8, 8, 3), np.uint8))
