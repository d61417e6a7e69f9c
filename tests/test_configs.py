"""The configurations in configs/."""

import importlib
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.experiment.builders import make_degradation
from colddiff_jax.experiment.model import build_model
from colddiff_jax.training import train_and_evaluate
from colddiff_jax.training.objective import Objective
from colddiff_jax.training.overrides import override
from colddiff_jax.training.task import build_model_and_task
from tests.networks import random_parameters

NAMES = sorted(
    path.stem
    for path in (pathlib.Path(__file__).parent.parent / "configs").glob("*.py")
)


def config_of(name, variant=None):
    return importlib.import_module(f"configs.{name}").get_config(variant)


def degradation_of(name, variant):
    config = config_of(name, variant)
    return make_degradation(config.degradation.to_dict(), config.data.image_size)


def build(config):
    """Builds the model and the task on bundled images instead of its own."""
    size = config.data.image_size
    config.data.update({"source": "digits", "resize_to": size + 3})
    if config.endpoints.source:
        config.endpoints.source = "digits"
    return build_model_and_task(config)


def test_the_documented_configurations_exist():
    assert NAMES == [
        "afhq_blur",
        "afhq_mask",
        "afhq_pixelate",
        "animorph",
        "cifar_blur",
        "cifar_desaturate",
        "cifar_mask",
        "cifar_pixelate",
        "cifar_snow",
        "digits_blur",
        "generate_blur",
        "generate_color",
        "generate_flow",
        "generate_heat",
        "generate_ihd",
        "generate_noise",
        "generate_pixelate",
        "mnist_blur",
        "mnist_mask",
        "mnist_pixelate",
        "photo_deblur",
        "photo_inpaint",
        "photo_unjpeg",
        "photo_upscale",
        "photos",
    ]


def test_smoke_trains_a_few_steps_without_a_download(tmp_path):
    # Other tests train the smoke variants of blur, mask and animorphosis.
    config = config_of("cifar_pixelate", "smoke")
    config.model.channel_multipliers = (1,)  # To compile faster.
    state = train_and_evaluate(config, str(tmp_path)).state
    assert state.step == 6


@pytest.mark.parametrize("name", NAMES)
def test_every_default_and_smoke_variant_builds(name):
    model, _ = build(config_of(name))
    assert model.degrade.num_steps in (2, 5, 8, 20, 22, 28, 50, 200, 300, 750)
    smoke, task = build_model_and_task(config_of(name, "smoke"))
    assert task.training.num_steps == 6
    if name != "generate_pixelate":  # Smaller images have fewer steps.
        assert smoke.degrade.num_steps == model.degrade.num_steps


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        (name, variant)
        for name in NAMES
        for variant in ("cpu", "mnist", "cifar")
        if name.startswith("generate") and (name, variant) != ("generate_ihd", "cpu")
    ],
)
def test_generation_on_two_cores_has_a_small_network_and_the_squared_error(
    name, variant
):
    config = config_of(name, variant)
    model, task = build(config)
    assert task.objective.distance(jnp.float32(3)) == 9
    shapes = jax.tree.leaves(model.abstract_params)
    assert 2.5e6 < sum(leaf.size for leaf in shapes) < 2.7e6
    assert model.image_shape[0] == (64 if variant == "cpu" else 32)


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


def test_animorphosis_goes_both_ways_between_digits_and_clothes():
    there, back = config_of("animorph", "mnist"), config_of("animorph", "fashion")
    assert (there.data.name, there.endpoints.name) == ("mnist", "fashion_mnist")
    assert (back.data.name, back.endpoints.name) == ("fashion_mnist", "mnist")
    assert config_of("animorph", "cifar").data.name == "cifar10"
    # Digits need noise to become clothes; the paper has none.
    noise = {
        v: degradation_of("animorph", v).endpoint_noise for v in ("fashion", "paper")
    }
    assert noise == {"fashion": 0.2, "paper": 0.0}


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


@pytest.mark.parametrize(
    ("name", "variant"), [("digits_blur", None), ("mnist_blur", "cpu")]
)
def test_small_networks_see_the_step(name, variant):
    network = build(config_of(name, variant))[0].network
    variables = {"params": random_parameters(network, (32, 32, 1))}
    x = jax.random.uniform(jax.random.key(0), (1, 32, 32, 1), minval=-1)
    first, last = (
        jax.jit(network.apply)(variables, x, jnp.array([t])) for t in (1, 20)
    )
    assert np.abs(first - last).max() > 1e-3  # Rounding alone gives 1e-6.


ON_ONE_GPU = [name for name in NAMES if name.startswith(("afhq", "cifar", "mnist"))]


@pytest.mark.parametrize("name", ON_ONE_GPU)
def test_one_gpu_trains_a_network_of_four_million_parameters(name):
    model, task = build(config_of(name, "gpu"))
    sizes = (leaf.size for leaf in jax.tree.leaves(model.abstract_params))
    assert 4.4e6 < sum(sizes) < 4.5e6
    pixels = task.training.batch_size * model.image_shape[0] ** 2
    assert pixels == 128 * 32**2
    assert task.training.num_steps == 6000


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


def test_digits_are_never_flipped():
    for name in ("digits_blur", "mnist_blur", "mnist_mask", "mnist_pixelate"):
        for variant in (None, "smoke") if name == "digits_blur" else (None, "paper"):
            assert not config_of(name, variant).data.flip
    assert not config_of("generate_ihd").data.flip


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


def test_photographs_take_any_degradation_by_its_name():
    changes = [("degradation", "snow"), ("degradation.num_steps", "4")]
    config, _ = override(config_of("photos", "smoke"), changes)
    assert build_model_and_task(config)[0].degrade.num_steps == 4
    whole = make_degradation(config["degradation"], 64, at=(40, 72))
    x = jnp.zeros((1, 40, 72, 3))
    assert whole.bind(jax.random.key(0), x.shape)(x, 4).shape == x.shape


def test_auto_precision_is_float32_on_a_cpu():
    assert build(config_of("cifar_blur"))[0].network.dtype == jnp.float32


def test_an_unknown_variant_raises_and_lists_the_known_ones():
    with pytest.raises(
        cd.InputError, match=r"no variant 'tpu' .* cpu, gpu, paper, smoke"
    ):
        config_of("mnist_blur", "tpu")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "digits_blur"])
def test_the_variant_for_two_cores_is_small(name):
    config = config_of(name, "mnist" if name == "generate_ihd" else "cpu")
    model, _ = build(config)
    shapes = model.abstract_params
    size = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert size < 2.7e6
    assert config.training.num_steps == config.optimizer.decay_steps >= 4000
