"""Faults of the official evaluation, by degradation and by name."""

import pytest

from colddiff_jax import InputError
from colddiff_jax.evaluation.protocol import FAULTS, Protocol, parse_protocol
from configs import animorph, cifar_blur, cifar_mask, cifar_pixelate, mnist_blur

ALWAYS = ["first_image_skipped", "values_not_clipped", "feature_rows_unfilled"]


def test_a_sound_protocol_has_no_faults():
    assert Protocol().faults == []
    assert parse_protocol("sound", {}) == Protocol()


@pytest.mark.parametrize(
    ("config", "more"),
    [
        (mnist_blur.get_config(), []),
        (cifar_blur.get_config("paper"), []),
        (
            cifar_mask.get_config("paper"),
            ["degraded_after_one_step", "prediction_as_sample", "dropout_on"],
        ),
        (cifar_pixelate.get_config("paper"), ["prediction_as_sample", "dropout_on"]),
    ],
)
def test_published_faults_depend_on_the_degradation(config, more):
    assert parse_protocol("published", config).faults == ALWAYS + more


def test_snow_and_desaturation_are_sampled_one_step_behind():
    config = {
        "data": {"image_size": 128},
        "degradation": {"name": "snow"},
        "model": {"dropout": 0.0},
    }
    found = parse_protocol("published", config)
    assert found.sampler_one_step_behind and found.degraded_after_one_step
    assert not found.dropout_on and not found.test_images_augmented
    config["degradation"]["name"] = "gaussian_mask"
    assert parse_protocol("published", config).test_images_augmented


def test_the_published_protocol_adds_noise_to_flat_starts():
    config = mnist_blur.get_config().to_dict()
    config["degradation"]["to_mean"] = True
    assert parse_protocol("published", config).noise_on_flat_start


def test_faults_are_chosen_one_by_one():
    found = parse_protocol("dropout_on, values_not_clipped", {})
    assert found.faults == ["values_not_clipped", "dropout_on"]
    assert set(found.faults) < set(FAULTS)


def test_unknown_faults_and_degradations_that_are_not_scored_raise():
    with pytest.raises(InputError, match=r"among first_image_skipped.*got 'clipped'"):
        parse_protocol("clipped", {})
    with pytest.raises(InputError, match="but not animorph; set `protocol` to single"):
        parse_protocol("published", animorph.get_config())
