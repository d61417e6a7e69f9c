"""The dtype of a network by the device that it runs on."""

import pytest

from colddiff_jax.experiment.builders import has_fast_bfloat16


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
