"""Configurations that build a model and a task, and errors for those that do not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.experiment.builders import DEGRADATIONS
from colddiff_jax.restoration.restore import bind
from colddiff_jax.training.task import build_model_and_task
from configs import animorph, digits_blur


def smoke():
    return digits_blur.get_config("smoke").to_dict()


def change(path, value):
    config = smoke()
    *sections, field = path.split(".")
    target = config
    for section in sections:
        target = target[section]
    target[field] = value
    return config


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("extra", 1, "the configuration has an unknown field 'extra'; known:"),
        ("data.sise", 1, "section 'data' .* unknown field 'sise'"),
        ("model.base_chanels", 8, "section 'model' .* unknown field 'base_chanels'"),
        ("degradation.sigma", 1, "section 'degradation' .* unknown field 'sigma'"),
        ("degradation.stds.stop", 1, "'degradation.stds' .* field 'stop'"),
        ("data.source", "web", "`data.source` must be one of .* got 'web'"),
        ("model.name", "resnet", "`model.name` must be one of .* got 'resnet'"),
        ("degradation.name", "fog", "`degradation.name` must be one of .* got 'fog'"),
        ("degradation.stds.name", "up", "`degradation.stds.name` must be one of"),
        ("ema.name", "long", "`ema.name` must be one of"),
        ("model.attention_implementation", "cudnn", "model: .*(cuDNN|fp16)"),
        ("loss.name", "l3", "`loss.name` must be one of"),
        ("loss", {"name": "pseudo_huber", "scale": 0}, "`loss.scale` must be positive"),
        ("loss", {"name": "pseudo_huber"}, "'loss' .* lacks the field 'scale'"),
        ("model.dtype", "int8", "`model.dtype` must be one of"),
        (
            "degradation.kernel_size",
            4,
            "`degradation.kernel_size` must be a positive odd",
        ),
        ("data.image_size", 18, "model: image sides must be divisible by 4"),
        ("data.image_size", "big", "`data.image_size` must be an integer, got 'big'"),
        (
            "training.num_steps",
            0,
            "`training.num_steps` must be a positive integer, got 0",
        ),
        ("degradation.image_size", 8, "must not have a field 'image_size': it follows"),
        ("model.name", {}, "`model.name` must be one of"),
        ("training", 3, "section 'training' .* must hold named fields, got 3"),
        ("data.labels", True, "section 'data' .* unknown field 'labels'"),
        (
            "training.steps_per_call",
            4,
            "`training.num_steps` must be a multiple .* = 4, got 6",
        ),
        (
            "training.num_workers",
            -1,
            "`training.num_workers` must be an integer of at least 0",
        ),
        ("objective.input_noise", -0.1, "`objective.input_noise` must"),
        ("objective.rollouts", 1.5, "`objective.rollouts` must lie in 0..1, got 1.5"),
        (
            "objective.weights",
            (1.0, 2.0),
            "`objective.weights` must be 20 numbers, .* got 2",
        ),
        (
            "objective.frequencies",
            (1.0, 2.0),
            "`objective.frequencies` must be 20 numbers, .* got 2",
        ),
        (
            "model.precondition",
            "velocity",
            r"`model.precondition` velocity needs a blend .*, got gaussian_blur",
        ),
        (
            "model.precondition",
            "speed",
            r"must be True or False or one of \['velocity'\], got 'speed'",
        ),
        ("objective.name", "x", "section 'objective' .* unknown field 'name'"),
        ("endpoints.source", "digits", "section endpoints must name .* only if"),
        ("degradation", {"name": "animorph", "alphas_cumprod": (0.5,)}, "endpoints"),
        ("model.num_classes", 9, "`model.num_classes` must be at least 10, .* got 9"),
        ("optimizer.clip_norm", -1, "`optimizer.clip_norm` must not be negative"),
        ("evaluation.best_by", "fid", "`evaluation.best_by` must be one of"),
        (
            "optimizer.learning_rate",
            0.0,
            r"`optimizer.learning_rate` must lie in \(0, 1\], got 0.0",
        ),
        (
            "optimizer.warmup_steps",
            -5,
            "`optimizer.warmup_steps` must be an integer of at least 0, got -5",
        ),
        ("ema.decay", 2.0, r"`ema.decay` must lie in \[0, 1\), got 2.0"),
        (
            "ema",
            {"name": "periodic", "decay": 0.9, "every": 0, "start": 1},
            "`ema.every`",
        ),
        ("objective.target", "next", "`objective.target` must be .* got 'next'"),
        ("evaluation.best_by", "rmse_ihd", "must be one of .* got 'rmse_ihd'"),
        ("seed", -1, "`seed` must be an integer in 0..4294967295, got -1"),
        ("seed", "a", "`seed` must be an integer .* got 'a'"),
        ("data.pad", 1.5, "`data.pad` must be an integer, got 1.5"),
        (
            "evaluation.num_images",
            2.5,
            "`evaluation.num_images` must be an integer, got 2.5",
        ),
        ("data.resize_to", 0, "images of 8 x 8 pixels are smaller than .* = 16"),
    ],
)
def test_invalid_fields_raise(path, value, message):
    config = change(path, value)
    if path == "data.image_size" and value == 18:
        config["data"]["resize_to"] = 18
    with pytest.raises(InputError, match=message):
        build_model_and_task(config)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("objective.rollouts", 0.5, "`objective.rollouts` needs .* got 0.5"),
        ("objective.compare", "degraded", "`objective.compare` needs .* got degraded"),
        ("model.consistent_noise", (0.01, 0.1), "`model.consistent_noise` needs a n"),
        (
            "evaluation.best_by",
            "rmse_alg2",
            "one of .*'rmse_ihd'.* got 'rmse_alg2'",
        ),
    ],
)
def test_fields_of_clean_predictions_do_not_go_with_the_step_before(
    path, value, message
):
    config = change(path, value)
    config["objective"]["target"] = "previous"
    with pytest.raises(InputError, match=message) as raised:
        build_model_and_task(config)
    assert "\n" not in str(raised.value)
    config["objective"]["target"] = "clean"
    if path != "evaluation.best_by":
        build_model_and_task(config)


SECTIONS = {
    "animorph": {"alphas_cumprod": {"name": "cosine", "num_steps": 4}},
    "blend": {
        "image_weights": {"name": "linear_decay", "num_steps": 4},
        "endpoint_weights": (0.25, 0.5, 0.75, 1.0),
    },
    "blur_and_noise": {
        "blur_sigmas": (1.0, 2.0, 4.0, 8.0),
        "alphas_cumprod": {"name": "cosine", "num_steps": 4},
    },
    "desaturate": {"keep": {"name": "linear_decay", "num_steps": 4}},
    "fade": {"keep": {"name": "exponential_decay", "num_steps": 4, "factor": 0.5}},
    "fade_to_color": {"stds": (1.0, 2.0, 3.0, 4.0), "color_range": (-0.1, 0.1)},
    "gaussian_blur": {"stds": (1.0, 2.0, 3.0, 4.0), "kernel_size": 5},
    "gaussian_mask": {
        "stds": {"name": "linear", "num_steps": 4, "start": 1.0, "increment": 1.0},
        "center": "random",
    },
    "gaussian_noise": {"alphas_cumprod": {"name": "cosine", "num_steps": 4}},
    "heat_blur": {
        "blur_sigmas": {"name": "geometric", "num_steps": 4, "start": 1, "stop": 9}
    },
    "holes": {"num_steps": 4},
    "jpeg_like": {"qualities": (80, 60, 40, 20)},
    "motion_blur": {"lengths": (1.0, 2.0, 3.0, 4.0), "angle": "random"},
    "pixelate": {"sizes": {"name": "halving", "num_steps": 4}, "method": "area"},
    "snow": {"num_steps": 4, "level": 4},
}


def test_every_degradation_of_a_configuration_is_tested_here():
    assert SECTIONS.keys() == DEGRADATIONS.keys() - {"own"}  # It needs an object.


@pytest.mark.parametrize("name", SECTIONS)
def test_every_degradation_can_be_configured_and_trained_on(name):
    config = smoke()
    config["degradation"] = {"name": name, **SECTIONS[name]}
    if name == "animorph":
        config["endpoints"]["source"] = "digits"
    model, _ = build_model_and_task(config)
    assert model.degrade.num_steps == 4
    keys = jax.random.split(jax.random.key(0), 2)
    x = jnp.zeros((2, *model.image_shape))

    @jax.jit
    def degraded(degrade, keys, x):  # As in the training step.
        endpoints = jnp.zeros(x.shape, jnp.uint8) if name == "animorph" else None
        return bind(degrade, keys, x.shape, endpoints)(x, jnp.array([1, 4]))

    assert jnp.isfinite(degraded(model.degrade, keys, x)).all()


def test_an_optimizer_that_may_skip_steps_ignores_non_finite_gradients():
    config = digits_blur.get_config("smoke")
    config.training.skip_nonfinite = 2
    optimizer = build_model_and_task(config)[1].optimizer
    params = {"w": jnp.ones(3)}
    nan = {"w": jnp.array([1.0, jnp.nan, 2.0])}
    updates, _ = optimizer.update(nan, optimizer.init(params), params)
    np.testing.assert_array_equal(updates["w"], 0)


@pytest.mark.parametrize("section", ["data", "endpoints"])
def test_an_empty_path_raises_and_names_its_section(section):
    config = animorph.get_config("smoke").to_dict()
    config[section]["source"] = "folder"
    with pytest.raises(InputError, match=rf"`{section}\.path` is empty"):
        build_model_and_task(config)


def test_an_error_for_endpoints_names_their_section_and_keeps_paths(tmp_path):
    config = animorph.get_config("smoke").to_dict()
    where = str(tmp_path / "data.v2")
    config["endpoints"] |= {"source": "tfds", "name": "cifar10", "data_dir": where}
    with pytest.raises(InputError) as found:
        build_model_and_task(config)
    assert where in str(found.value)
    assert "set `endpoints.source` to" in str(found.value)
    assert "python -m colddiff_jax.cli.prepare cifar10" in str(found.value)


def test_a_missing_section_or_field_raises():
    config = smoke()
    del config["optimizer"]
    with pytest.raises(
        InputError, match=r"the configuration lacks the field 'optimizer'"
    ):
        build_model_and_task(config)
    config = smoke()
    config["degradation"] = {"name": "snow"}
    with pytest.raises(InputError, match=r"section 'degradation' .* 'num_steps'"):
        build_model_and_task(config)


def test_missing_fields_take_their_defaults():
    config = smoke()
    del config["optimizer"]["learning_rate"], config["model"]["zero_output"]
    model, _ = build_model_and_task(config)
    assert model.config["optimizer"]["learning_rate"] == 2e-4
    assert model.config["model"]["zero_output"] is False
    assert model.network.zero_output is False


@pytest.mark.parametrize("field", ["base_channels", "dropout", "num_blocks"])
def test_a_network_that_cannot_be_built_raises_before_images_are_opened(field):
    config = digits_blur.get_config("smoke").to_dict()
    config["data"] |= {"source": "folder", "path": "nowhere"}
    config["model"][field] = -1
    with pytest.raises(InputError, match=f"^`model.{field}` must be .*, got -1"):
        build_model_and_task(config)


@pytest.mark.parametrize(
    ("name", "value", "package"),
    [("tensorboard", True, "tensorboardX"), ("wandb", "project", "wandb")],
)
def test_a_missing_package_for_logs_raises_before_any_image_is_read(
    name, value, package, monkeypatch
):
    monkeypatch.setattr("colddiff_jax.training.options.find_spec", lambda name: None)
    monkeypatch.delattr("colddiff_jax.training.task.open_data")
    config = change(f"logging.{name}", value)
    message = rf"`logging.{name}` needs {package}: pip install 'colddiff-jax\[{name}\]'"
    with pytest.raises(InputError, match=message):
        build_model_and_task(config)
