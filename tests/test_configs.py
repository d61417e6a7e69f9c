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


def test_the_documented_configurations_exist():
    assert NAMES == [
        "afhq_blur",
        "afhq_mask",
        "afhq_pixelate",
        "animorph",
        "blurring_diffusion",
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
    assert model.degrade.num_steps in (2, 5, 6, 8, 20, 22, 28, 50, 200, 300, 750)
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
