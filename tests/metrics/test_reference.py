"""Saved reference statistics: they load as saved, and misuse raises errors."""

import dataclasses
import os

import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax.checks import InputError
from colddiff_jax.feature_nets.features import FeatureNet, Features
from colddiff_jax.metrics.distances import MomentsAccumulator, frechet_distance
from colddiff_jax.metrics.reference import (
    Reference,
    check_reference,
    load_reference,
    save_reference,
)

NET = FeatureNet(
    "colour", lambda params, x: Features(x.mean((1, 2)) @ params), np.eye(3)
)
DATA = {
    "source": "npz",
    "split": "train",
    "fingerprint": "8be311db",
    "count": 40,
    "image_shape": [16, 16, 3],
    "preprocessing": {"image_size": 16, "resize_to": 0, "pad": 0},
    "protocol": "bytes",
}


@pytest.fixture
def reference():
    images = np.random.default_rng(0).uniform(-1, 1, (40, 16, 16, 3))
    features = np.asarray(NET(jnp.asarray(images, jnp.float32)).pooled)
    accumulator = MomentsAccumulator()
    accumulator.add(features)
    return Reference(
        name="noise",
        feature_net=NET.name,
        feature_fingerprint=NET.fingerprint,
        data=DATA,
        moments=accumulator.finish(),
        features=features,
    )


@pytest.fixture
def path(tmp_path, reference):
    save_reference(str(tmp_path / "noise.npz"), reference)
    return tmp_path / "noise.npz"


def assert_equal(found, expected):
    for field in ("name", "feature_net", "feature_fingerprint", "data"):
        assert getattr(found, field) == getattr(expected, field)
    assert found.moments.count == expected.moments.count
    for a, b in (
        (found.moments.mean, expected.moments.mean),
        (found.moments.covariance, expected.moments.covariance),
        (found.features, expected.features),
    ):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_a_saved_reference_loads_bit_for_bit(path, reference):
    found = load_reference(str(path))
    assert_equal(found, reference)
    assert frechet_distance(found.moments, reference.moments) < 1e-12
    assert os.listdir(path.parent) == ["noise.npz"]


def test_only_the_first_ten_thousand_features_are_saved(tmp_path, reference):
    features = np.random.default_rng(0).normal(size=(10_001, 3)).astype(np.float32)
    many = dataclasses.replace(reference, features=features)
    save_reference(str(tmp_path / "many.npz"), many)
    found = load_reference(str(tmp_path / "many.npz"))
    np.testing.assert_array_equal(found.features, features[:10_000])


def test_a_failed_write_leaves_only_the_old_file(path, reference):
    old = path.read_bytes()
    with pytest.raises(TypeError):
        save_reference(
            str(path), dataclasses.replace(reference, data={"split": object()})
        )
    assert path.read_bytes() == old
    assert os.listdir(path.parent) == ["noise.npz"]


def test_raises_for_a_missing_folder(tmp_path, reference):
    with pytest.raises(InputError, match=r"cannot write .*missing/a\.npz: No such"):
        save_reference(str(tmp_path / "missing" / "a.npz"), reference)
    with pytest.raises(InputError, match=r"cannot read .*a\.npz': No such file"):
        load_reference(str(tmp_path / "a.npz"))


def test_every_flipped_byte_is_detected_or_harmless(path, reference):
    content = path.read_bytes()
    num_detected = 0
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        try:
            found = load_reference(str(path))
        except InputError as error:
            assert "damaged" in str(error) and "\n" not in str(error)
            num_detected += 1
        else:  # For instance a date in the zip header.
            assert_equal(found, reference)
    assert num_detected > 0.7 * len(content)


@pytest.mark.parametrize("fraction", [0, 0.3, 0.9, 0.999])
def test_raises_for_a_truncated_file(path, fraction):
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(InputError, match="is damaged or not a reference"):
        load_reference(str(path))


def test_raises_for_other_files(tmp_path):
    for name, write in (
        ("a.npz", lambda path: np.savez(path, x=np.zeros(3))),
        ("b.npz", lambda path: np.savez(path, description=np.array("{}"))),
        ("c.npy", lambda path: np.save(path, np.zeros(3))),
        ("d.npz", lambda path: path.write_text("not an archive")),
    ):
        write(tmp_path / name)
        with pytest.raises(InputError, match="is damaged or not a reference"):
            load_reference(str(tmp_path / name))


def test_pickled_objects_are_not_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", description=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="allow_pickle=False"):
        load_reference(str(tmp_path / "a.npz"))


def test_raises_for_arrays_with_inconsistent_shapes(reference):
    with pytest.raises(InputError, match=r"\[F\], \[F, F\] and \[n, F\], got .*\(40,"):
        dataclasses.replace(reference, features=reference.features[:, :2])


def test_the_same_network_and_preprocessing_give_no_notes(path):
    assert check_reference(load_reference(str(path)), NET, DATA) == []


def test_a_tuple_equals_the_list_in_the_file(path):
    data = {**DATA, "image_shape": (16, 16, 3)}
    assert check_reference(load_reference(str(path)), NET, data) == []


def test_different_images_give_notes(reference):
    data = {**DATA, "split": "test", "count": 10}
    assert check_reference(reference, NET, data) == [
        'count is 40 in reference "noise", 10 here',
        'split is "train" in reference "noise", "test" here',
    ]


def test_fewer_images_than_features_give_a_note(reference):
    few = dataclasses.replace(
        reference, moments=dataclasses.replace(reference.moments, count=3)
    )
    (note,) = check_reference(few, NET, DATA)
    assert "3 images for 3 features" in note


def test_raises_for_another_network(reference):
    other = FeatureNet("shape", NET.apply, NET.params)
    with pytest.raises(InputError, match="features of 'colour', not of 'shape'"):
        check_reference(reference, other, DATA)


def test_raises_for_different_weights(reference):
    other = FeatureNet(NET.name, NET.apply, 2 * np.eye(3))
    message = f"different weights .*{NET.fingerprint}, here {other.fingerprint}"
    with pytest.raises(InputError, match=message):
        check_reference(reference, other, DATA)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"preprocessing": {**DATA["preprocessing"], "resize_to": 18}},
            r'preprocessing.resize_to is 0 in reference "noise", 18 here; preprocess',
        ),
        ({"image_shape": [16, 16, 1]}, r"image_shape is \[16, 16, 3\] .*, \[16, 16, 1"),
        ({"protocol": "floats"}, 'protocol is "bytes" .*, "floats" here'),
        ({"crop": "random"}, 'crop is not given .*, "random" here'),
        (
            {"preprocessing": {"image_size": 16, "pad": 0}},
            "preprocessing.resize_to is 0 .*, not given here",
        ),
    ],
)
def test_raises_for_different_preprocessing(reference, changes, message):
    with pytest.raises(InputError, match=message):
        check_reference(reference, NET, {**DATA, **changes})
