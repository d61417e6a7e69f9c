"""The dtype of a network by the device that it runs on."""

import jax
import numpy as np
import pytest

from colddiff_jax.checks import InputError
from colddiff_jax.degradations import Noisy
from colddiff_jax.experiment.builders import has_fast_bfloat16, make_degradation


@pytest.mark.parametrize(
    "capability",
    [
        *("8.0", "8.9", "9.0", "9.0a", "10.0", "12.1"),
        *("gfx908", "gfx90a", "gfx90a:sramecc+:xnack-", "gfx942", "gfx950"),
    ],
)
def test_recent_gpus_compute_in_bfloat16(capability):
    assert has_fast_bfloat16(capability)


@pytest.mark.parametrize(
    "capability",
    ["", "None", "6.1", "7.5", "0.0", "gfx906", "gfx900", "gfx1030", "sm_80", "gpu"],
)
def test_other_gpus_and_unknown_ones_compute_in_float32(capability):
    assert not has_fast_bfloat16(capability)


def test_noise_stds_add_noise_to_a_degradation():
    blur = {"name": "heat_blur", "blur_sigmas": (1.0, 2.0)}
    constant = {"name": "constant", "num_steps": 2, "value": 0.5}
    for stds in ((0.5, 0.5), constant):
        degrade = make_degradation({**blur, "noise_stds": stds}, 8, at=(8, 12))
        assert isinstance(degrade, Noisy)
        assert degrade.degradation.gains[1].shape == (2, 12)
        np.testing.assert_array_equal(degrade.stds, [0, 0.5, 0.5])
    assert not isinstance(make_degradation({**blur, "noise_stds": ()}, 8), Noisy)


def test_a_blend_with_images_may_have_noise_and_gains():
    fields = {
        "name": "blend",
        "image_weights": {"name": "linear_decay", "num_steps": 2},
        "endpoint_weights": (0.5, 1.0),
        "endpoint": "image",
        "noise_stds": (0.5, 0.4),
        "noise_gains": (0.5, 0.1),
    }
    degrade = make_degradation(fields, 8)
    assert degrade.takes_images
    np.testing.assert_array_equal(degrade.gains, np.float32([1, 0.5, 0.1]))


def test_a_degradation_fades_to_black_below_its_noise():
    fields = {"name": "heat_blur", "blur_sigmas": (1.0, 2.0)}
    blur = make_degradation(fields, 8)
    fields |= {"fade_to_black": (0.5, 0.0), "noise_stds": (0.01, 0.02)}
    degrade = make_degradation(fields, 8)
    x, z = jax.random.normal(jax.random.key(0), (2, 3, 8, 8, 1))
    bound = degrade.with_endpoint(z)
    np.testing.assert_allclose(
        bound(x, 1), 0.5 * (blur(x, 1) + 1) - 1 + 0.01 * z, atol=1e-6
    )
    np.testing.assert_allclose(bound(x, 2), 0.02 * z - 1, atol=1e-6)


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ((0.5,), "must have one value per step of the degradation, 2, got 1"),
        ((0.5, 0.8), "must not increase"),
        (0.5, "must be a list of finite numbers"),
    ],
)
def test_a_fade_that_does_not_fit_raises(keep, message):
    fields = {"name": "heat_blur", "blur_sigmas": (1.0, 2.0), "fade_to_black": keep}
    with pytest.raises(InputError, match=f"`degradation.fade_to_black` {message}"):
        make_degradation(fields, 8)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"noise_stds": (0.1,)}, "must have one value per step"),
        ({"noise_stds": (-1.0, 1.0)}, "must be non-negative"),
        ({"noise_stds": 0.1}, "must be a list of finite numbers"),
        (
            {"name": "gaussian_noise", "alphas_cumprod": (0.5, 0.2)},
            "must be empty for a blend with noise, got gaussian_noise with 2 values$",
        ),
        (
            {"name": "fade_to_color", "stds": (1.0, 2.0)},
            "must be empty for a blend with color, got fade_to_color with 2 values$",
        ),
    ],
)
def test_noise_that_does_not_fit_raises(fields, message):
    if "name" in fields:
        fields |= {"noise_stds": (0.1, 0.1)}
    else:
        fields |= {"name": "heat_blur", "blur_sigmas": (1.0, 2.0)}
    with pytest.raises(InputError, match=f"`degradation.noise_stds` {message}"):
        make_degradation(fields, 8)


def test_gains_without_noise_or_that_grow_raise():
    fields = {"name": "heat_blur", "blur_sigmas": (1.0, 2.0)}
    with pytest.raises(InputError, match="noise_stds` is empty"):
        make_degradation(fields | {"noise_gains": (1.0, 0.5)}, 8)
    fields |= {"noise_stds": (0.1, 0.1), "noise_gains": (0.5, 1.0)}
    with pytest.raises(InputError, match="noise_gains` must not increase"):
        make_degradation(fields, 8)
