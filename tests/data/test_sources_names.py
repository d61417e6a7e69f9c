"""Names and paths that sources do not accept, and those that begin with ~."""

import importlib.util
import os

import numpy as np
import pytest

from colddiff_jax import InputError, data

NAMES = {
    "": "`data.name` is empty; it must name a TFDS set, such as mnist",
    "mnist/": "cannot open 'mnist/' (Parsing builder name string mnist/ failed)",
    "mnist:9.9.9": "(Dataset mnist cannot be loaded at version 9.9.9, only: 3.0.1)",
    "mnist/nope": "(BuilderConfig nope not found with version 3.0.1)",
    "huggingface:": "cannot open 'huggingface:'",
    "no_such_set": "has no data set 'no_such_set'; see the catalogue",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_name_of_a_tfds_set_raises_one_line(name, tmp_path, capfd):
    with pytest.raises(InputError) as caught:
        data.tfds(name=name, data_dir=str(tmp_path))
    (line,) = str(caught.value).splitlines()
    assert NAMES[name] in line
    assert capfd.readouterr().out == ""


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed"
)
def test_a_tfds_set_that_needs_a_missing_package_raises_one_line(tmp_path, capfd):
    with pytest.raises(InputError, match=r"'coco/2017' cannot even be read without"):
        data.tfds(name="coco/2017", data_dir=str(tmp_path))
    assert capfd.readouterr().out == ""


def test_paths_of_sources_may_begin_with_the_home_of_the_user(
    tmp_path, monkeypatch, prepared_digits
):
    monkeypatch.setenv("HOME", str(tmp_path))
    x = np.zeros((2, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "x.npz", train_images=x, test_images=x)
    assert data.npz(path="~/x.npz").train.shape == (2, 8, 8, 1)
    os.symlink(prepared_digits, tmp_path / "tfds")
    assert len(data.tfds(name="tiny_digits", data_dir="~/tfds").train) == 32


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda file: file.write(b"text"), "it is not a zip archive of arrays"),
        (lambda file: np.save(file, np.zeros(3)), "it is not a zip archive of arrays"),
        (lambda file: None, "it is not a zip archive of arrays"),
        (lambda file: np.savez(file, train_images=np.array([{}])), "Object arrays"),
    ],
)
def test_a_file_that_is_no_npz_raises_without_advice_to_unpickle_it(
    tmp_path, write, reason
):
    with open(tmp_path / "x.npz", "wb") as file:
        write(file)
    with pytest.raises(InputError) as caught:
        data.npz(path=str(tmp_path / "x.npz"))
    assert f"not a readable .npz file ({reason}" in str(caught.value)
    assert "unsafely" not in str(caught.value)
