"""The configurations in configs/."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.experiment.builders import make_degradation
from colddiff_jax.training import train_and_evaluate
from colddiff_jax.training.overrides import override
from colddiff_jax.training.task import build_model_and_task
from tests.configurations import NAMES, build, config_of, degradation_of
from tests.networks import random_parameters

NUM_STEPS = (2, 5, 6, 8, 10, 20, 22, 28, 50, 100, 200, 300, 750)


def test_the_documented_configurations_exist():
    assert NAMES == [
        "afhq_blur",
        "afhq_mask",
        "afhq_pixelate",
        "animorph",
        "blurring_diffusion",
        "bridge",
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
        "interpolant",
        "mnist_blur",
        "mnist_mask",
        "mnist_pixelate",
        "photo_deblur",
        "photo_inpaint",
        "photo_pairs",
        "photo_unjpeg",
        "photo_upscale",
        "photos",
        "soft_diffusion",
        "variational_cold",
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
    assert model.degrade.num_steps in NUM_STEPS
    smoke, task = build_model_and_task(config_of(name, "smoke"))
    assert task.training.num_steps == 6
    if name != "generate_pixelate":  # Smaller images have fewer steps.
        assert smoke.degrade.num_steps == model.degrade.num_steps


SYSTEMS = {  # T, the variance of the noise at T / 2 and T, and the last weight of y.
    "": (100, (0.141 / 4, 0.0), 1.0),
    "rddm": (100, (0.05**2, 0.1**2), 1.0),
    "ir_sde": (100, (None, (20 / 255) ** 2), 0.995),
    "resfusion": (5, (None, 3 / 4), 0.5),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_bridges_have_the_schedules_of_their_papers(system):
    degrade = degradation_of("bridge", system)
    num_steps, (middle, last), y = SYSTEMS[system]
    assert degrade.num_steps == num_steps and degrade.takes_images
    stds = np.asarray(degrade.stds, np.float64)
    np.testing.assert_allclose(stds[-1] ** 2, last, rtol=1e-4, atol=1e-9)
    if middle is not None:
        np.testing.assert_allclose(stds[num_steps // 2] ** 2, middle, rtol=0.01)
    blend = degrade.degradation
    np.testing.assert_allclose(blend.endpoint_weights[-1], y, atol=1e-6)
    sums = np.asarray(blend.image_weights + blend.endpoint_weights)
    if system == "resfusion":
        np.testing.assert_allclose(sums, degrade.gains, atol=1e-6)
    else:
        np.testing.assert_allclose(sums, 1, atol=1e-6)


@pytest.mark.parametrize("system", [name for name in SYSTEMS if name])
def test_a_bridge_has_a_variant_of_every_size(system):
    for size in ("cpu", "digits", "smoke"):
        plain, own = config_of("bridge", size), config_of("bridge", f"{system}_{size}")
        fields = config_of("bridge", system).degradation
        assert own.degradation == fields and own.model.see_endpoint
        plain.model.see_endpoint = True
        plain.degradation = own.degradation
        assert own == plain


@pytest.mark.parametrize("variant", ["", "cpu", "digits", "smoke"])
def test_an_interpolant_has_the_loss_of_its_velocity(variant):
    config = config_of("interpolant", variant)
    degrade = degradation_of("interpolant", variant)
    assert config.model.see_endpoint and config.loss.name == "l2"
    tau = np.arange(101) / 100
    np.testing.assert_allclose(degrade.stds, 0.1 * tau, atol=1e-7)
    np.testing.assert_allclose(degrade.gains, 1 - tau, atol=1e-7)
    model, task = build(config)
    output, weights = np.array(model.scales.output), np.array(task.objective.weights)
    np.testing.assert_allclose(weights * output**2, 1, rtol=1e-5)


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


def test_the_velocity_of_a_flow_is_weighted_and_its_steps_are_logit_normal():
    model, task = build(config_of("generate_flow", "velocity"))
    np.testing.assert_allclose(model.scales.output, -np.arange(1, 201) / 200)
    np.testing.assert_allclose(task.objective.weights[99], 4)
    frequencies = np.asarray(task.objective.frequencies)
    assert abs(frequencies.sum() - 1) < 1e-6
    # The density of a logit-normal in the middle is 4 / sqrt(2 pi).
    np.testing.assert_allclose(200 * frequencies[99], 4 / np.sqrt(2 * np.pi), rtol=1e-3)


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


def test_digits_are_never_flipped():
    for name in ("digits_blur", "mnist_blur", "mnist_mask", "mnist_pixelate"):
        for variant in (None, "smoke") if name == "digits_blur" else (None, "paper"):
            assert not config_of(name, variant).data.flip
    assert not config_of("generate_ihd").data.flip


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
