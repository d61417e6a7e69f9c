"""Checks of the settings of an evaluation."""

import dataclasses

import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.data import arrays
from colddiff_jax.evaluation.protocol import Protocol
from colddiff_jax.evaluation.settings import check_count, check_nets, check_settings
from colddiff_jax.experiment.data import RunData
from colddiff_jax.restoration.image_set import split_of
from tests.evaluation.models import NET, mask_model, noise_model

SKIPPING = Protocol(first_image_skipped=True)


@pytest.fixture(scope="module")
def model():
    return mask_model()


@pytest.fixture(scope="module")
def images(model):
    pixels = np.zeros((22, 16, 16, 3), np.uint8)
    return split_of(RunData(arrays(pixels, pixels), None), model.preprocessing)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, range(22)),
        ({"num_images": 5}, range(5)),
        ({"protocol": SKIPPING}, range(1, 22)),
        ({"protocol": SKIPPING, "num_images": 5}, range(1, 6)),
    ],
)
def test_the_images_to_score_are_known_before_any_work(
    model, images, options, expected
):
    assert check_settings(model, images=images, **options) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"protocol": SKIPPING, "num_images": 22},
            r"`num_images` must lie in 1..21.* got 22",
        ),
        ({"num_images": -1}, r"`num_images` must lie in 1..22.* got -1"),
        ({"samplers": ["alg2:3"]}, r"must take 1..2 steps"),
        ({"endpoint": "estimated"}, "`endpoint` estimated needs a model"),
        ({"batch_size": 6}, "`batch_size` must be a positive multiple of the 4"),
        ({"seeds": [0, -1]}, "`seed` must be an integer in 0..4294967295, got -1"),
    ],
)
def test_settings_that_do_not_fit_raise(model, images, options, message):
    with pytest.raises(InputError, match=message):
        check_settings(model, images=images, **options)


@pytest.mark.parametrize("options", [{"samplers": ["ddim"]}, {"endpoint": "estimated"}])
def test_a_sampler_one_step_behind_cannot_estimate_the_endpoint(images, options):
    behind = Protocol(sampler_one_step_behind=True)
    model = noise_model()
    assert check_settings(model, images=images, **options) == range(22)
    assert check_settings(model, images=images, protocol=behind) == range(22)
    with pytest.raises(InputError, match="sampler_one_step_behind needs a fixed endp"):
        check_settings(model, images=images, protocol=behind, **options)


def test_a_model_that_predicts_the_step_before_is_scored_with_its_sampler(images):
    model = noise_model()
    objective = model.config["objective"] | {"target": "previous"}
    model = dataclasses.replace(model, config=model.config | {"objective": objective})
    for samplers in (None, ["ihd"]):
        assert check_settings(model, images=images, samplers=samplers) == range(22)
    with pytest.raises(InputError, match="sampler direct needs predictions of clean"):
        check_settings(model, images=images, samplers=["direct"])
    for fault in ("sampler_one_step_behind", "degraded_after_one_step"):
        protocol = Protocol(**{fault: True})
        with pytest.raises(InputError, match=f"the fault {fault} needs predictions of"):
            check_settings(model, images=images, protocol=protocol)


def test_too_few_images_for_distances_raise():
    check_count(5)
    with pytest.raises(InputError, match="need at least 5 images, got 4; increase"):
        check_count(4)
    with pytest.raises(InputError, match="at least 5 images, got 3"):
        check_nets([NET], {}, Protocol(), 3)
    check_nets([], {}, Protocol(), 3)
