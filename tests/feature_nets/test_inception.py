"""The Inception network against pytorch-fid and torch-fidelity, on random weights."""

import collections
import hashlib
import json
import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.feature_nets.features import Features
from colddiff_jax.feature_nets.inception import (
    INCEPTION_FILE,
    INCEPTION_SHA256,
    inception_params,
    load_inception,
)
from colddiff_jax.feature_nets.inception_network import Inception, resize_for_inception
from tests import inception_reference
from tests.torch_checkpoints import save_like_old_torch

SIZES = ["28x28x1", "32x32x3", "64x64x3", "299x299x3", "320x300x3"]


@pytest.fixture(scope="module")
def recorded():
    with np.load(inception_reference.RECORDED) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def entries(recorded):
    """Shapes of the published weights, by name."""
    shapes = json.loads(str(recorded["entries"]))
    return {name: tuple(shape) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def state(entries):
    return inception_reference.random_state(entries)


def to_input(images):
    return jnp.asarray(images, jnp.float32) / 255 * 2 - 1


@pytest.fixture(scope="module")
def found(recorded, state):
    """Our features of the recorded images by size, computed in one batch."""
    inputs = {size: to_input(recorded[f"{size}/images"]) for size in SIZES}
    # torch-fidelity's input range is not exactly [-1, 1].
    square = jnp.asarray(recorded["299x299x3/images"], jnp.float32)
    inputs["torch-fidelity"] = (square - 128) / 128
    x = jnp.concatenate([resize_for_inception(x) for x in inputs.values()])
    features = jax.jit(Inception().apply)({"params": inception_params(state)}, x)
    ends = np.cumsum([len(x) for x in inputs.values()])[:-1]
    parts = (np.split(np.asarray(part), ends) for part in features)
    return dict(zip(inputs, map(Features, *parts), strict=True))


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max())


@pytest.mark.parametrize("size", SIZES)
def test_pooled_features_match_pytorch_fid(size, recorded, found):
    expected = recorded[f"{size}/pooled"]
    assert expected.shape[1] == 2048
    assert_close(found[size].pooled, expected)
    # Features without variation would make the comparison meaningless.
    assert expected.std(axis=1).min() > 0.1 * expected.mean()
    if len(expected) == 2:
        assert np.abs(np.subtract(*expected)).mean() > 0.01 * expected.mean()


def test_probabilities_match_torch_fidelity(recorded, found):
    expected = recorded["299x299x3/probabilities"]
    assert expected.shape == (1, 1008) and expected.max() < 0.5
    assert_close(found["torch-fidelity"].probabilities, expected)
    for features in found.values():
        np.testing.assert_allclose(features.probabilities.sum(axis=1), 1, rtol=1e-5)


def test_pooled_features_match_an_installed_pytorch_fid(recorded, state, found):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("torch")
        pytest.importorskip("pytorch_fid")
        for size in SIZES:
            images = recorded[f"{size}/images"]
            expected = inception_reference.pytorch_fid_features(state, images)
            assert_close(found[size].pooled, expected)


@pytest.mark.parametrize("shape", [(28, 40, 1), (400, 299, 3), (601, 350, 3)])
def test_resizing_is_linear_interpolation_with_half_pixel_centres(shape):
    x = np.random.default_rng(0).uniform(-1, 1, (1, *shape)).astype(np.float32)
    found = np.asarray(resize_for_inception(jnp.asarray(x)))
    assert found.shape == (1, 299, 299, 3) and found.dtype == np.float32
    expected = x[0].astype(np.float64)
    for axis in (0, 1):
        side = expected.shape[axis]
        positions = (np.arange(299) + 0.5) * side / 299 - 0.5
        expected = np.apply_along_axis(
            lambda line, positions=positions, side=side: np.interp(
                positions, np.arange(side), line
            ),
            axis,
            expected,
        )
    expected = np.broadcast_to(expected, (299, 299, 3))
    np.testing.assert_allclose(found[0], expected, atol=1e-4)


def test_raises_for_images_with_two_channels():
    with pytest.raises(ValueError, match=r"1 or 3 channels, got shape \(1, 8, 8, 2\)"):
        resize_for_inception(jnp.zeros((1, 8, 8, 2)))


def test_a_file_like_the_published_one_is_found_and_loaded(
    tmp_path, monkeypatch, recorded, entries, state
):
    # As PyTorch wrote it in 2019: 566 entries, and an attribute on the dictionary.
    assert len(entries) == 566
    saved = collections.OrderedDict(state)
    saved._metadata = collections.OrderedDict({"": {"version": 1}})
    path = tmp_path / "weights" / INCEPTION_FILE
    path.parent.mkdir()
    save_like_old_torch(path, saved)
    monkeypatch.setenv("COLDDIFF_DATA", str(tmp_path))
    net = load_inception(sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert net.name == "Inception 2015" and net.is_fid
    images = recorded["28x28x1/images"]
    features = jax.jit(net.apply)(net.params, to_input(images))
    assert_close(np.asarray(features.pooled), recorded["28x28x1/pooled"])


def test_the_error_for_a_missing_file_says_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.delenv("COLDDIFF_DATA", raising=False)
    monkeypatch.setenv("COLDDIFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    message = (
        rf"no file '{INCEPTION_FILE}' \(95,628,359 bytes, SHA-256 {INCEPTION_SHA256}\):"
        r" download https://github.com/mseitzer/pytorch-fid/releases/download/"
        rf"fid_weights/{INCEPTION_FILE} to {re.escape(str(tmp_path / 'cache'))}, or to "
        "the folder named by COLDDIFF_DATA"
    )
    with pytest.raises(cd.InputError, match=message):
        load_inception()
    with pytest.raises(cd.InputError, match=r"no file 'other.pth' \(95,628"):
        load_inception("other.pth")


def test_a_file_with_a_different_hash_is_not_parsed(tmp_path):
    path = tmp_path / INCEPTION_FILE
    path.write_bytes(b"not weights")
    with pytest.raises(cd.InputError, match=f"instead of {INCEPTION_SHA256}"):
        load_inception(str(path))


def test_raises_for_entries_that_do_not_match(entries):
    zeros = {name: np.zeros(shape, np.float32) for name, shape in entries.items()}
    del zeros["Mixed_5b.branch1x1.bn.running_mean"]
    zeros["AuxLogits.fc.weight"] = np.zeros((1008, 768))
    zeros["fc.bias"] = np.zeros(1000)
    expected = (
        r"1 missing \(Mixed_5b.branch1x1.bn.running_mean\); "
        r"1 unexpected \(AuxLogits.fc.weight\); "
        r"1 with the wrong shape \(fc.bias \(1000,\) instead of \(1008,\)\)"
    )
    with pytest.raises(cd.InputError, match=expected):
        inception_params(zeros)
    with pytest.raises(
        cd.InputError, match=r"472 missing \(Conv2d_1a_3x3.* 466 more\)"
    ):
        inception_params({})


def test_entries_used_only_in_training_may_be_missing(state):
    without = {k: v for k, v in state.items() if "num_batches_tracked" not in k}
    assert len(without) == 472
    params, same = inception_params(without), inception_params(state)
    jax.tree.map(np.testing.assert_array_equal, params, same)
