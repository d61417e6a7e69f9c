"""The hash of the data."""

import numpy as np
import pytest

from colddiff_jax import InputError, data


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (600, 4, 3, 1), dtype=np.uint8)


def test_the_fingerprint_does_not_depend_on_the_container(images):
    expected = data.fingerprint(images)
    assert len(expected) == 64 and int(expected, 16)
    assert data.fingerprint(images.copy()) == expected
    assert data.fingerprint(list(images)) == expected
    transposed = images.swapaxes(1, 2).copy().swapaxes(1, 2)
    assert data.fingerprint(transposed) == expected


def test_the_fingerprint_is_stable():
    # Runs store it: another value would mean that their data changed.
    images = np.arange(24, dtype=np.uint8).reshape(2, 4, 3, 1)
    assert data.fingerprint(images, labels=np.array([1, 0], np.int32)) == (
        "ff080c8d773e3bc4ff4a5c76f7bc519c738003ad87ddc1787660d060499d01cd"
    )


def test_pixels_order_shape_and_count_change_the_fingerprint(images):
    changed = images.copy()
    changed[-1, -1, -1] ^= 1
    first = images.copy()
    first[0, 0, 0] ^= 1
    others = [
        images,
        changed,
        first,
        images[::-1],
        images.swapaxes(1, 2).reshape(600, 3, 4, 1),
        images.reshape(600, 3, 4, 1),
        images[:599],
        np.concatenate([images, images[-1:]]),
        images[:1],
        images[:2],
    ]
    assert len({data.fingerprint(x) for x in others}) == len(others)


def test_only_an_evenly_spaced_sample_is_read(images):
    class Counting:
        def __init__(self):
            self.read = []

        def __len__(self):
            return len(images)

        def __getitem__(self, index):
            self.read.append(index)
            return images[index]

    for num_samples, read in [(256, 256), (2, 2), (7, 7), (600, 600), (1000, 600)]:
        counting = Counting()
        data.fingerprint(counting, num_samples=num_samples)
        assert len(set(counting.read)) == len(counting.read) == read
        assert counting.read[0] == 0 and counting.read[-1] == 599
        assert max(np.diff(counting.read)) - min(np.diff(counting.read)) <= 1
    with pytest.raises(InputError, match="num_samples must be at least 2, got 1"):
        data.fingerprint(images, num_samples=1)


def test_every_label_changes_the_fingerprint(images):
    labels = np.arange(600, dtype=np.int32) % 10
    seen = {data.fingerprint(images), data.fingerprint(images, labels=labels)}
    for i in (0, 1, 301, 599):
        other = labels.copy()
        other[i] += 1
        seen.add(data.fingerprint(images, labels=other))
    assert len(seen) == 6
    wide = labels.astype(np.int64)
    assert data.fingerprint(images, labels=wide) in seen


def test_images_may_have_different_sizes():
    ragged = [np.zeros((3, 2, 1), np.uint8), np.zeros((2, 3, 1), np.uint8)]
    assert data.fingerprint(ragged) != data.fingerprint(ragged[::-1])
