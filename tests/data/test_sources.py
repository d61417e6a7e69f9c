"""Where images come from."""

import pathlib

import numpy as np
import pytest

from colddiff_jax import InputError, data


def write(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 12, 10, 3), dtype=np.uint8)


def test_digits_are_bundled_split_and_complete():
    splits = data.digits()
    assert splits.train.shape == (1500, 8, 8, 1) and splits.test.shape == (297, 8, 8, 1)
    assert splits.train.dtype == np.uint8
    assert splits.train.min() == 0 and splits.train.max() == 255


def test_an_npz_gives_its_images_with_a_channel_axis(tmp_path, images):
    path = write(tmp_path / "a.npz", train_images=images, test_images=images[:2])
    splits = data.npz(path=path)
    np.testing.assert_array_equal(splits.train, images)
    np.testing.assert_array_equal(splits.test, images[:2])
    grey = images[..., 0]
    path = write(tmp_path / "b.npz", train_images=grey, test_images=grey, labels=[1])
    np.testing.assert_array_equal(data.npz(path=path).train, grey[..., None])


def test_bad_npz_files_are_named(tmp_path, images):
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


def test_a_missing_or_damaged_npz_is_named(tmp_path, images):
    with pytest.raises(InputError, match=r"no file 'nowhere\.npz'"):
        data.npz(path="nowhere.npz")
    with pytest.raises(InputError, match=r"data\.path is empty; name the file with"):
        data.npz(path="")
    whole = write(tmp_path / "whole.npz", train_images=images, test_images=images)
    torn = tmp_path / "torn.npz"
    torn.write_bytes(pathlib.Path(whole).read_bytes()[:900])
    with pytest.raises(InputError, match=r"not a readable .npz file"):
        data.npz(path=str(torn))


def test_a_tfds_set_that_is_not_prepared_names_the_command(tmp_path):
    with pytest.raises(InputError) as caught:
        data.tfds(name="cifar10", data_dir=str(tmp_path))
    for words in (
        "'cifar10' is not prepared in",
        "pip install 'colddiff-jax[tfds-prepare]'",
        f"python -m colddiff_jax.data.prepare cifar10 --data_dir={tmp_path}",
        "--manual_dir=FOLDER",
        "--config.data.source=npz --config.data.path=FILE.npz",
    ):
        assert words in str(caught.value)
    with pytest.raises(InputError, match="has no set 'no_such_set'"):
        data.tfds(name="no_such_set", data_dir=str(tmp_path))


def test_a_prepared_tfds_set_is_read(prepared_digits):
    splits = data.tfds(name="tiny_digits", data_dir=prepared_digits)
    expected = data.digits()
    assert len(splits.train) == 32 and len(splits.test) == 8
    found = {np.asarray(image).tobytes() for image in splits.train}
    assert found == {image.tobytes() for image in expected.train[:32]}
    assert splits.test[0].shape == (8, 8, 1) and splits.test[0].dtype == np.uint8


def test_a_prepared_set_without_the_split_or_images_is_named(prepared_digits):
    with pytest.raises(InputError, match=r"no split 'dev'; it has \['test', 'train'\]"):
        data.tfds(name="tiny_digits", data_dir=prepared_digits, test_split="dev")


def test_real_mnist_prepared_by_tfds_holds_the_official_images(data_folder):
    prepared = data_folder / "tfds"
    if not (prepared / "mnist").is_dir():
        pytest.skip("COLDDIFF_DATA/tfds holds no prepared MNIST")
    splits = data.tfds(name="mnist", data_dir=str(prepared))
    official = data.npz(path=str(data_folder / "mnist.npz"))
    assert (len(splits.train), len(splits.test)) == (60_000, 10_000)
    every = {official.test[i].tobytes() for i in range(10_000)}
    assert all(splits.test[i].tobytes() in every for i in range(0, 10_000, 97))
