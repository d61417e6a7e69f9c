"""The data sources, and arrays in memory."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from colddiff_jax import InputError, data


def write(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 12, 10, 3), dtype=np.uint8)


def test_importing_data_loads_neither_tfds_nor_grain():
    code = (
        "import sys, colddiff_jax.data; "
        "print([x for x in ('grain', 'tensorflow_datasets') if x in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout == "[]\n"


def test_digits_are_bundled_and_split():
    splits = data.digits()
    assert splits.train.shape == (1500, 8, 8, 1) and splits.test.shape == (297, 8, 8, 1)
    assert splits.train.dtype == np.uint8
    assert splits.train.min() == 0 and splits.train.max() == 255


def test_digits_are_labelled_with_their_values():
    assert data.digits().num_classes == 0
    splits = data.digits(labels=True)
    assert splits.num_classes == 10 and splits.train_labels.dtype == np.int32
    assert len(splits.train_labels) == 1500 and len(splits.test_labels) == 297
    # The centre of a zero is empty, that of a one is not.
    middle = splits.train[:, 3:5, 3:5].mean((1, 2, 3))
    assert middle[splits.train_labels == 0].mean() < 10
    assert middle[splits.train_labels == 1].mean() > 100


def test_npz_images_get_a_channel_axis(tmp_path, images):
    path = write(tmp_path / "a.npz", train_images=images, test_images=images[:2])
    splits = data.npz(path=path)
    np.testing.assert_array_equal(splits.train, images)
    np.testing.assert_array_equal(splits.test, images[:2])
    grey = images[..., 0]
    path = write(tmp_path / "b.npz", train_images=grey, test_images=grey, labels=[1])
    np.testing.assert_array_equal(data.npz(path=path).train, grey[..., None])


def test_invalid_npz_files_raise(tmp_path, images):
    def complaint(**arrays):
        path = write(tmp_path / "bad.npz", **arrays)
        with pytest.raises(InputError) as caught:
            data.npz(path=path)
        assert str(caught.value).startswith(path)
        return str(caught.value)

    assert "no array 'test_images'" in complaint(train_images=images)
    assert "train_images is empty" in complaint(
        train_images=images[:0], test_images=images
    )
    assert "must be uint8 in 0..255, got float64" in complaint(
        train_images=images / 255, test_images=images
    )
    assert "[N, H, W] or [N, H, W, C], got (5, 12)" in complaint(
        train_images=images[:, :, 0, 0], test_images=images
    )
    assert "3 channels and test_images 1" in complaint(
        train_images=images, test_images=images[..., :1]
    )
    assert "not a readable .npz" in complaint(
        train_images=np.array([{}]), test_images=images
    )


@pytest.mark.parametrize("dtype", ["uint8", "int64", "uint64"])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_npz_labels_are_loaded_only_on_request(tmp_path, images, dtype, shape):
    labels = np.array([3, 0, 1, 1, 5], dtype)
    path = write(
        tmp_path / "a.npz",
        train_images=images,
        test_images=images[:2],
        train_labels=labels.reshape(shape),
        test_labels=labels[:2].reshape(shape),
    )
    splits = data.npz(path=path, labels=True)
    assert splits.num_classes == 6
    assert splits.train_labels.dtype == splits.test_labels.dtype == np.int32
    np.testing.assert_array_equal(splits.train_labels, [3, 0, 1, 1, 5])
    np.testing.assert_array_equal(splits.test_labels, [3, 0])
    assert data.npz(path=path).train_labels is None


def test_invalid_labels_raise(images):
    def complaint(train_labels, test_labels=(0, 1, 2, 3, 4)):
        with pytest.raises(InputError) as caught:
            data.arrays(
                images, images, train_labels=train_labels, test_labels=test_labels
            )
        return str(caught.value)

    assert "test_labels are missing; both" in complaint([0, 1, 2, 3, 4], None)
    assert "train_labels are missing; both" in complaint(None)
    assert "train_labels must be integers in 0..K-1, got float64" in complaint(
        np.zeros(5)
    )
    assert "train_labels must have shape (5,), one per image, got (4,)" in complaint(
        [0, 1, 2, 3]
    )
    assert "train_labels must lie in 0..K-1, got -1" in complaint([0, 1, -1, 0, 0])
    assert "got 4294967296" in complaint(np.array([2**32, 0, 0, 0, 0]))


def test_missing_npz_labels_raise(tmp_path, images):
    path = write(
        tmp_path / "a.npz", train_images=images, test_images=images, train_labels=[0]
    )
    with pytest.raises(InputError, match=r"no array 'test_labels' \(it holds"):
        data.npz(path=path, labels=True)


def test_arrays_in_memory_are_checked_like_those_of_a_file(images):
    splits = data.arrays(images[..., 0], images[:2, :, :, 1])
    np.testing.assert_array_equal(splits.train, images[..., :1])
    np.testing.assert_array_equal(splits.test, images[:2, ..., 1:2])
    labels = np.arange(5)
    splits = data.arrays(images, images, train_labels=labels, test_labels=labels)
    assert splits.num_classes == 5
    for bad, message in [
        (images / 255, "arrays: test_images must be uint8 in 0..255, got float64"),
        (images[:0], "arrays: test_images is empty"),
        (images[0, 0], "arrays: test_images must have shape"),
        ([images[0], images[0, :2]], "arrays: test_images must all have the same size"),
        (np.zeros((2, 3, 8, 9), np.uint8), "arrays: test_images must have their chann"),
        (images[..., :1], "train_images have 3 channels and test_images 1"),
    ]:
        with pytest.raises(InputError) as caught:
            data.arrays(images, bad)
        assert message in str(caught.value)
    assert "arrays" not in data.SOURCES


def test_a_missing_or_damaged_npz_raises(tmp_path, images):
    with pytest.raises(InputError, match=r"no file 'nowhere\.npz'"):
        data.npz(path="nowhere.npz")
    with pytest.raises(InputError, match=r"`data.path` is empty; it must name an .npz"):
        data.npz(path="")
    whole = write(tmp_path / "whole.npz", train_images=images, test_images=images)
    truncated = tmp_path / "truncated.npz"
    truncated.write_bytes(pathlib.Path(whole).read_bytes()[:900])
    with pytest.raises(InputError, match=r"not a readable .npz file"):
        data.npz(path=str(truncated))


def test_an_unprepared_tfds_set_raises_with_the_command_that_prepares_it(tmp_path):
    with pytest.raises(InputError) as caught:
        data.tfds(name="cifar10", data_dir=str(tmp_path))
    for words in (
        "'cifar10' is not prepared in",
        "pip install 'colddiff-jax[tfds-prepare]'",
        f"python -m colddiff_jax.cli.prepare cifar10 --data_dir={tmp_path}",
        "--manual_dir=FOLDER",
        "`data.source` to 'npz' and `data.path` to the file",
    ):
        assert words in str(caught.value)
    with pytest.raises(InputError, match="has no data set 'no_such_set'"):
        data.tfds(name="no_such_set", data_dir=str(tmp_path))


def test_a_prepared_tfds_set_is_read(prepared_digits):
    splits = data.tfds(name="tiny_digits", data_dir=prepared_digits)
    expected = data.digits()
    assert len(splits.train) == 32 and len(splits.test) == 8
    found = {np.asarray(image).tobytes() for image in splits.train}
    assert found == {image.tobytes() for image in expected.train[:32]}
    assert splits.test[0].shape == (8, 8, 1) and splits.test[0].dtype == np.uint8


def test_labels_of_a_prepared_tfds_set_match_its_images(prepared_digits):
    splits = data.tfds(name="tiny_digits", data_dir=prepared_digits, labels=True)
    bundled = data.digits(labels=True)
    value = {
        image.tobytes(): label
        for image, label in zip(bundled.train, bundled.train_labels, strict=True)
    }
    assert splits.num_classes == 10
    found = [value[np.asarray(image).tobytes()] for image in splits.train]
    np.testing.assert_array_equal(splits.train_labels, found)
    assert splits.test_labels.shape == (8,) and splits.test_labels.dtype == np.int32


@pytest.fixture
def edited_digits(tmp_path, prepared_digits):
    """Returns a function that edits the metadata in a copy of the prepared set."""

    def copy_and_edit(file, edit):
        root = tmp_path / "tfds"
        shutil.copytree(prepared_digits, root, dirs_exist_ok=True)
        path = root / "tiny_digits" / "1.0.0" / file
        content = json.loads(path.read_text())
        edit(content)
        path.write_text(json.dumps(content))
        return str(root)

    return copy_and_edit


def test_a_prepared_set_without_labels_raises(edited_digits):
    root = edited_digits(
        "features.json", lambda x: x["featuresDict"]["features"].pop("label")
    )
    assert len(data.tfds(name="tiny_digits", data_dir=root).train) == 32
    with pytest.raises(InputError, match=r"no feature 'label'; it has \['image'\]"):
        data.tfds(name="tiny_digits", data_dir=root, labels=True)


def test_a_prepared_set_of_16_bit_images_raises(edited_digits):
    def set_uint16(content):
        image = content["featuresDict"]["features"]["image"]["image"]
        image["dtype"] = "uint16"

    root = edited_digits("features.json", set_uint16)
    with pytest.raises(InputError, match=r"must have uint8 images .* got uint16"):
        data.tfds(name="tiny_digits", data_dir=root)


def test_an_empty_split_raises(edited_digits):
    def empty_test_split(content):
        content["splits"][1]["shardLengths"] = ["0"]

    root = edited_digits("dataset_info.json", empty_test_split)
    with pytest.raises(InputError, match="no images in its split 'test'"):
        data.tfds(name="tiny_digits", data_dir=root)


def test_an_unknown_split_raises(prepared_digits):
    with pytest.raises(InputError, match=r"no split 'dev'; it has \['test', 'train'\]"):
        data.tfds(name="tiny_digits", data_dir=prepared_digits, test_split="dev")


def test_mnist_prepared_by_tfds_holds_the_official_images(data_folder):
    prepared = data_folder / "tfds"
    if not (prepared / "mnist").is_dir():
        pytest.skip("COLDDIFF_DATA/tfds holds no prepared MNIST")
    splits = data.tfds(name="mnist", data_dir=str(prepared))
    official = data.npz(path=str(data_folder / "mnist.npz"))
    assert (len(splits.train), len(splits.test)) == (60_000, 10_000)
    every = {official.test[i].tobytes() for i in range(10_000)}
    assert all(splits.test[i].tobytes() in every for i in range(0, 10_000, 97))
