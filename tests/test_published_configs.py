"""The configurations in configs/ have the settings of the papers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.experiment.model import build_model
from colddiff_jax.training.objective import Objective
from tests.configurations import build, config_of, degradation_of


def test_the_published_generation_matches_the_paper():
    blur = degradation_of("generate_blur", "paper")
    stds = np.exp(0.01 * np.arange(300))
    expected = cd.gaussian_blur(128, stds, kernel_size=27, to_mean=True)
    np.testing.assert_allclose(blur.operators[0], expected.operators[0], atol=1e-7)
    assert degradation_of("generate_noise", "paper").num_steps == 200
    color = degradation_of("generate_color", "paper")
    expected = cd.fade_to_color(128, [0.05 * (i + 1) for i in range(750)])
    np.testing.assert_allclose(color.image_weights, expected.image_weights, atol=1e-6)
    pixels = degradation_of("generate_pixelate", "paper")
    expected = cd.pixelate(128, [64, 32, 16, 8, 4, 2], method="bicubic")
    np.testing.assert_array_equal(pixels.operators[0], expected.operators[0])
    for name in ("blur", "noise", "color", "pixelate"):
        config = config_of(f"generate_{name}", "paper")
        assert config.loss.name == "l1" and config.training.num_steps == 700_000


def test_the_published_blurs_match_the_paper():
    mnist = degradation_of("mnist_blur", "paper")
    expected = cd.gaussian_blur(32, 20 * [7.0], kernel_size=11)
    np.testing.assert_array_equal(mnist.operators[0], expected.operators[0])
    cifar = degradation_of("cifar_blur", "paper")
    stds = [0.35 + 0.01 * i for i in range(50)]
    expected = cd.gaussian_blur(32, stds, kernel_size=11, padding="reflect")
    np.testing.assert_allclose(cifar.operators[0], expected.operators[0], atol=1e-7)


@pytest.mark.parametrize("name", ["mnist_mask", "cifar_mask"])
def test_the_published_masks_match_the_paper(name):
    found = degradation_of(name, "paper")
    stds = [0.1 * (i + 11) for i in range(50)]
    expected = cd.gaussian_mask(32, stds, center="random")
    np.testing.assert_allclose(found.masks, expected.masks, atol=1e-7)


@pytest.mark.parametrize("name", ["mnist_pixelate", "cifar_pixelate"])
def test_the_published_pixelation_matches_the_paper(name):
    found = degradation_of(name, "paper")
    expected = cd.pixelate(32, [16, 8, 4], method="bicubic")
    np.testing.assert_array_equal(found.operators[0], expected.operators[0])


def test_the_published_animorphosis_matches_the_paper():
    config = config_of("animorph", "paper")
    assert config.data.image_size == 128
    assert config.data.resize_to == int(1.12 * 128) and config.data.flip
    found = degradation_of("animorph", "paper")
    expected = cd.animorph(cd.schedules.cosine(200))
    np.testing.assert_array_equal(found.image_weights, expected.image_weights)


@pytest.mark.parametrize(
    ("name", "channels", "parameters"),
    [
        ("mnist_blur", 1, 56_612_916),
        ("mnist_mask", 1, 56_612_916),
        ("cifar_blur", 3, 35_746_307),
        ("cifar_mask", 3, 35_746_307),
        ("mnist_pixelate", 1, 56_612_916),
        ("cifar_pixelate", 3, 35_746_307),
        ("cifar_snow", 3, 56_615_708),
        ("cifar_desaturate", 3, 56_615_708),
        ("animorph", 3, 56_615_708),
    ],
)
def test_the_published_network_and_training_match_the_paper(name, channels, parameters):
    config = config_of(name, "paper")
    model = build_model(config, channels=channels)
    shapes = model.abstract_params
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == parameters
    assert model.network.dtype == jnp.float32
    assert config.optimizer.to_dict() == {
        "learning_rate": 2e-5,
        "warmup_steps": 0,
        "decay_steps": 0,
        "weight_decay": 0.0,
        "clip_norm": 0.0,
    }
    assert not config.model.precondition
    config.model = config_of("digits_blur", "smoke").model  # To build faster.
    _, task = build(config)
    assert task.training.batch_size == 64 and task.training.num_steps == 700_000
    assert task.objective == Objective(label_dropout=0.1)
    decays = task.ema_decay(jnp.array([10, 11, 2000, 2001]))
    np.testing.assert_allclose(decays, [0, 1, 0.995, 1])


def test_only_the_published_variants_show_black_frames():
    for name in ("cifar_mask", "cifar_pixelate"):
        assert config_of(name, "paper").data.pad == 4
        for variant in (None, "cpu", "gpu"):
            assert config_of(name, variant).data.pad == 0


def test_the_published_snow_and_colouring_match_the_paper():
    snow = degradation_of("cifar_snow", "paper")
    expected = cd.snow(32, num_steps=200, level=3)
    np.testing.assert_array_equal(snow.thresholds, expected.thresholds)
    grey = degradation_of("cifar_desaturate", "paper")
    x = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3), minval=-1)
    np.testing.assert_allclose(
        grey(x, 5), 0.75 * x + 0.25 * x.mean(axis=-1, keepdims=True), atol=1e-6
    )
    for name in ("cifar_snow", "cifar_desaturate"):
        assert not config_of(name, "paper").data.flip


def test_inverse_heat_dissipation_has_the_published_blur_noise_and_optimizer():
    for variant in (None, "mnist", "cifar", "smoke"):
        config = config_of("generate_ihd", variant)
        assert config.objective.target == "previous" and config.loss.name == "l2"
        assert config.optimizer.clip_norm == 1.0
        assert config.model.precondition == (variant != "smoke")
    degrade = degradation_of("generate_ihd", "mnist")
    sigmas = 0.5 * 40 ** np.linspace(0, 1, 50)
    expected = cd.heat_blur(32, sigmas)
    x = jax.random.normal(jax.random.key(0), (2, 32, 32, 1))
    for t in (1, 25, 50):
        found = degrade.degradation(x, t)
        np.testing.assert_allclose(found, expected(x, t), atol=1e-5)
        assert degrade.levels(t)[1] == pytest.approx(2 * 0.01)
    default = config_of("generate_ihd")
    assert (default.optimizer.learning_rate, default.optimizer.warmup_steps) == (
        2e-4,
        5000,
    )
    assert default.ema.decay == 0.999


@pytest.mark.parametrize(("variant", "side"), [(None, 128), ("cpu", 64), ("mnist", 32)])
def test_variational_cold_diffusion_has_the_published_schedules(variant, side):
    """`scripts/scheduler.py`: blur that grows to the side, and a cosine to black."""
    degrade = degradation_of("variational_cold", variant)
    T = degrade.num_steps
    sigmas = np.exp(np.linspace(np.log(1), np.log(side), T - 1))
    sigmas = np.concatenate([sigmas, sigmas[-1:]])
    light = np.cos((np.linspace(0, T, T) / T + 0.008) / 1.008 * np.pi / 2) ** 2
    light[-1] = 0
    np.testing.assert_allclose(degrade.stds[1:], 0.004)
    frequencies = np.pi * np.arange(side) / side
    x = np.zeros((1, side, side, 1))  # 0.5 in [0, 1], and one cosine of each axis.
    pixels = np.arange(side) + 0.5
    wave = np.cos(frequencies[2] * pixels)[:, None] * np.cos(frequencies[3] * pixels)
    x[0, ..., 0] = 0.5 + 0.25 * wave
    exponent = frequencies[2] ** 2 + frequencies[3] ** 2
    mean = degrade.with_endpoint(jnp.zeros((1, 1, 1, 1)))
    for t in range(1, T + 1):
        gain = np.exp(-exponent * sigmas[t - 1] ** 2 / 2)
        expected = light[t - 1] * (0.5 + 0.25 * gain * wave)
        found = (mean(jnp.asarray(2 * x - 1, jnp.float32), t) + 1) / 2
        np.testing.assert_allclose(found[0, ..., 0], expected, atol=2e-6)
    assert degrade.num_steps == 6


def test_blurring_diffusion_has_the_published_schedules():
    """Hoogeboom and Salimans (2022), section 4 and appendix, with T = 200."""
    degrade = degradation_of("blurring_diffusion", "mnist")
    last, first = np.arctan(np.exp(-5.0)), np.arctan(np.exp(5.0))
    frequencies = np.pi * np.arange(32) / 32
    squared = frequencies[:, None] ** 2 + frequencies[None, :] ** 2
    for t in (1, 50, 120, 200):
        fraction = t / 200
        width = 20 * np.sin(fraction * np.pi / 2) ** 2
        log_snr = -2 * np.log(np.tan((first - last) * fraction + last))
        a = np.sqrt(1 / (1 + np.exp(-log_snr)))
        scaling = np.exp(-squared * width**2 / 2) * (1 - 0.001) + 0.001
        alphas, sigma = degrade.levels(t)
        np.testing.assert_allclose(alphas[0, ..., 0], a * scaling, atol=1e-6)
        assert sigma == pytest.approx(np.sqrt(1 / (1 + np.exp(log_snr))), abs=1e-6)
