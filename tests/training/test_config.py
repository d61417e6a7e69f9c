"""Default configurations, their variants and their names."""

import inspect

import ml_collections
import pytest

from colddiff_jax import InputError
from colddiff_jax.data import SOURCES, Preprocessing
from colddiff_jax.experiment.builders import DEGRADATIONS, NETWORKS
from colddiff_jax.experiment.sections import parameters_of
from colddiff_jax.losses import DISTANCES
from colddiff_jax.training import get_config
from colddiff_jax.training.config import (
    complete_config,
    default_config,
    section,
    with_variant,
)
from colddiff_jax.training.objective import Objective
from colddiff_jax.training.optimizers import EMA_DECAYS, make_optimizer
from colddiff_jax.training.options import (
    EvaluationOptions,
    LoggingOptions,
    TrainingOptions,
)
from colddiff_jax.training.task import build_model_and_task
from configs import digits_blur

BLUR = {"name": "gaussian_blur", "stds": (1.0, 2.0), "kernel_size": 3}


def arguments(*functions):
    """Returns the arguments that can be fields, of all these functions."""
    found = {name for function in functions for name in parameters_of(function)}
    return found - {"labels", "distance", "image_size"}


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_every_argument_of_a_degradation_is_a_field(name):
    parameters = parameters_of(DEGRADATIONS[name])
    given = {
        parameter: (1.0,)
        for parameter, value in parameters.items()
        if value.default is inspect.Parameter.empty and parameter != "image_size"
    }
    config = default_config(degradation={"name": name, **given})
    added = {"name", "fade_to_black", "noise_stds", "noise_gains"}
    expected = added | arguments(DEGRADATIONS[name])
    assert set(config.degradation) == expected
    for field, value in given.items():
        assert config.degradation[field] == value


@pytest.mark.parametrize("name", ["convnext", "unet"])
def test_every_argument_of_a_network_is_a_field_that_can_be_set(name):
    config = default_config(degradation=BLUR, network=name)
    added = {"name", "precondition", "consistent_noise", "see_endpoint"}
    assert set(config.model) == added | arguments(NETWORKS[name])
    config.model.remat = True
    config.model.attention_implementation = "xla"  # None by default.
    with pytest.raises(TypeError):
        config.model.remat = "yes"


def test_every_argument_of_the_other_sections_is_a_field():
    config = default_config(degradation=BLUR)
    image_size = {"image_size"}  # Here it is a field.
    sources = arguments(*SOURCES.values())
    preprocessing = arguments(Preprocessing) | image_size
    assert set(config.data) == {"source"} | sources | preprocessing
    assert set(config.endpoints) == {"source", "paired"} | sources
    for name, function in {
        "objective": Objective,
        "optimizer": make_optimizer,
        "training": TrainingOptions,
        "evaluation": EvaluationOptions,
        "logging": LoggingOptions,
        "loss": DISTANCES["l1"],
        "ema": EMA_DECAYS["warmup"],
    }.items():
        of_the_model = {"consistent_noise", "sees_endpoint"}
        expected = arguments(function) - of_the_model
        assert set(config[name]) - {"name"} == expected, name
    config.training.resident_mb = 100  # None by default.
    assert config.seed == 0


def test_values_that_are_set_reach_the_degradation_the_network_and_the_objective():
    config = digits_blur.get_config("smoke")
    config.degradation.repeated = False
    config.model.update({"remat": True, "zero_output": True})
    config.objective.rollouts = 0.25
    model, task = build_model_and_task(config)
    assert model.network.remat and model.network.zero_output
    assert task.objective.rollouts == 0.25
    config.degradation.repeated = True
    repeated, _ = build_model_and_task(config)
    difference = repeated.degrade.operators[0] - model.degrade.operators[0]
    assert abs(difference[-1]).max() > 1e-3


def test_a_section_completes_fields_and_keeps_those_given():
    periodic = section("ema", name="periodic", decay=0.9, every=2, start=0)
    expected = {"name": "periodic", "decay": 0.9, "every": 2, "start": 0}
    assert periodic.to_dict() == expected
    assert section("optimizer", clip_norm=1.0).to_dict() == {
        "learning_rate": 2e-4,
        "warmup_steps": 1000,
        "decay_steps": 0,
        "weight_decay": 0.0,
        "clip_norm": 1.0,
    }
    with pytest.raises(InputError, match=r"`loss.name` must be one of .* got 'l3'"):
        section("loss", name="l3")


def test_complete_config_fills_missing_fields_and_nothing_else():
    expected = digits_blur.get_config("smoke")
    shortened = expected.to_dict()
    del shortened["model"]["remat"], shortened["degradation"]["repeated"]
    del shortened["training"]["resident_mb"], shortened["objective"]["rollouts"]
    assert complete_config(shortened) == complete_config(expected)
    assert complete_config(expected) == expected.to_dict()
    shortened["model"]["zero_output"] = True
    assert complete_config(shortened)["model"]["zero_output"] is True


def test_complete_config_raises_for_sections_that_are_unknown_or_missing():
    config = digits_blur.get_config("smoke").to_dict()
    with pytest.raises(InputError, match="has an unknown field 'modle'"):
        complete_config(config | {"modle": {}})
    del config["ema"]
    with pytest.raises(InputError, match="the configuration lacks the field 'ema'"):
        complete_config(config)


def use_nine(config):
    config.seed = 9


@pytest.mark.parametrize("variant", [None, ""])
def test_no_variant_is_the_default(variant):
    config = ml_collections.ConfigDict({"seed": 0})
    assert with_variant(config, variant, nine=use_nine).seed == 0


def test_variants_are_applied_by_name():
    config = ml_collections.ConfigDict({"seed": 0})
    assert with_variant(config, "nine", nine=use_nine).seed == 9
    message = "no variant 'ten' of this configuration; it has cpu, nine"
    with pytest.raises(InputError, match=message):
        with_variant(config, "ten", nine=use_nine, cpu=use_nine)


def test_configurations_are_found_by_name_and_by_path(tmp_path):
    expected = digits_blur.get_config("smoke")
    assert get_config("digits_blur:smoke").to_dict() == expected.to_dict()
    assert get_config("digits_blur").training.num_steps == 1500
    path = tmp_path / "mine.py"
    path.write_text("def get_config(variant=None):\n    return {'variant': variant}\n")
    assert get_config(str(path)) == {"variant": None}
    assert get_config(f"{path}:cpu") == {"variant": "cpu"}


def test_unknown_configurations_and_variants_raise(tmp_path):
    with pytest.raises(InputError, match=r"no configuration 'mnist'; .* mnist_blur, "):
        get_config("mnist")
    path = str(tmp_path / "none.py")
    with pytest.raises(InputError, match=r"no configuration '.*none.py:smoke'"):
        get_config(f"{path}:smoke")
    with pytest.raises(InputError, match=r"no variant 'tpu' .* cpu, gpu, paper, smoke"):
        get_config("mnist_blur:tpu")
