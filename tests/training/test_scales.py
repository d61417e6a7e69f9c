"""Scales of preconditioned networks, measured on the training images."""

import pytest

from colddiff_jax.training.task import build_model_and_task
from configs import digits_blur


def test_scales_are_measured_for_the_target():
    config = digits_blur.get_config("smoke").to_dict()
    config["model"]["precondition"] = True
    config["degradation"]["noise_stds"] = 20 * (0.02,)
    clean, _ = build_model_and_task(config)
    config["objective"]["target"] = "previous"
    previous, task = build_model_and_task(config)
    assert previous.target == task.objective.target == "previous"
    assert clean.target == "clean"
    assert previous.scales.input == clean.scales.input
    assert previous.scales.skip[-1] == pytest.approx(1, abs=0.1)
    assert max(previous.scales.output) < max(clean.scales.output) / 2
