"""A trained model as one file: round trips and damage."""

import os

import chex
import numpy as np
import pytest
import safetensors.numpy

from colddiff_jax import InputError
from colddiff_jax.io.model_file import read_model, write_model

ABOUT = {
    "config": {"seed": 0, "model": {"name": "unet"}},
    "data": "0" * 64,
    "scales": None,
    "versions": {"jax": "0.10"},
    "step": 7,
    "channels": 3,
}


@pytest.fixture
def params():
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 2, 4)).astype(np.float32)
    # A transposed array is not contiguous and must not be written as if it were.
    return {"conv_in": {"kernel": kernel.T, "bias": np.zeros(4, np.float32)}}


@pytest.fixture
def path(tmp_path, params):
    write_model(str(tmp_path / "model.safetensors"), ABOUT, params)
    return tmp_path / "model.safetensors"


def test_a_written_model_is_read_back(path, params):
    found = read_model(str(path))
    assert found.about == ABOUT | {"severity": None, "class_names": []}
    chex.assert_trees_all_equal(found.params, params)


def test_safetensors_can_read_the_weights(path, params):
    weights = safetensors.numpy.load_file(path)
    assert sorted(weights) == ["conv_in/bias", "conv_in/kernel"]
    np.testing.assert_array_equal(
        weights["conv_in/kernel"], params["conv_in"]["kernel"]
    )


def test_the_arrays_of_a_prior_are_kept_beside_the_weights(path, params):
    prior = {"means": np.ones((2, 3), np.float32), "images": np.zeros(4, np.uint8)}
    write_model(str(path), ABOUT, params, prior)
    found = read_model(str(path))
    chex.assert_trees_all_equal(found.params, params)
    chex.assert_trees_all_equal(found.prior_arrays, prior)


def test_every_changed_byte_is_detected(path):
    whole = path.read_bytes()
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :])
        with pytest.raises(InputError, match=r"model.safetensors'"):
            read_model(str(path))


@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_a_truncated_file_raises(path, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match="is not a model file, or is damaged"):
        read_model(str(path))


def test_other_weights_and_missing_files_raise(tmp_path):
    safetensors.numpy.save_file({"a": np.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="weights without a description of their run"):
        read_model(str(tmp_path / "other.safetensors"))
    with pytest.raises(InputError, match=r"cannot read '.*none.safetensors': "):
        read_model(str(tmp_path / "none.safetensors"))
    with pytest.raises(InputError, match="cannot read"):
        read_model(str(tmp_path))


def test_a_failed_write_raises_and_keeps_the_old_file(path, params):
    with pytest.raises(InputError, match=r"cannot write to .*; name a folder, not a"):
        write_model(str(path / "model.safetensors"), ABOUT, params)
    whole = path.read_bytes()
    with pytest.raises(TypeError):
        write_model(str(path), ABOUT | {"step": object()}, params)
    assert path.read_bytes() == whole and os.listdir(path.parent) == [path.name]
