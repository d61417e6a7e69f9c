"""Scores of batches on disk: intact, and only for the same settings."""

import json

import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.evaluation.batch_files import BatchFiles


def batch(number):
    return {"mse/alg2": np.full(3, number, np.float32), "t": np.arange(3)}


def test_batches_are_read_in_order_and_bit_for_bit(tmp_path):
    folder = str(tmp_path / "part")
    files = BatchFiles(folder, {"seed": 0})
    assert len(files) == 0
    for number in range(3):
        files.append(batch(number))
    for again in (files, BatchFiles(folder, {"seed": 0})):
        assert len(again) == 3
        for number, found in enumerate(again):
            assert found.keys() == batch(number).keys()
            for name, values in batch(number).items():
                np.testing.assert_array_equal(found[name], values)
                assert found[name].dtype == values.dtype


def test_other_settings_start_over(tmp_path):
    files = BatchFiles(str(tmp_path), {"seed": 0})
    files.append(batch(0))
    assert len(BatchFiles(str(tmp_path), {"seed": 1})) == 0
    assert len(list(tmp_path.glob("*.npz"))) == 0
    assert json.loads((tmp_path / "settings.json").read_text()) == {"seed": 1}


def test_a_folder_with_other_files_raises_and_stays_unchanged(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds 'checkpoints', which is not part of"):
        BatchFiles(str(tmp_path), {})
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"checkpoints", "config.json"}


def test_leftovers_of_an_interruption_are_deleted_with_the_rest(tmp_path):
    (tmp_path / ".part-x1").write_text("torn")
    BatchFiles(str(tmp_path), {}).append(batch(0))
    BatchFiles(str(tmp_path), {"seed": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


def test_any_damaged_byte_is_detected(tmp_path):
    BatchFiles(str(tmp_path), {}).append(batch(0))
    (path,) = tmp_path.glob("000000.*.npz")
    content = path.read_bytes()
    for where in range(len(content)):
        damaged = bytearray(content)
        damaged[where] ^= 1
        path.write_bytes(damaged)
        assert len(BatchFiles(str(tmp_path), {})) == 0


@pytest.mark.parametrize("fault", ["truncated", "flipped", "missing"])
def test_batches_after_a_damaged_one_are_scored_again(tmp_path, fault):
    files = BatchFiles(str(tmp_path), {})
    for number in range(3):
        files.append(batch(number))
    (path,) = tmp_path.glob("000001.*.npz")
    content = bytearray(path.read_bytes())
    if fault == "missing":
        path.unlink()
    elif fault == "truncated":
        path.write_bytes(content[:-30])
    else:
        content[80] ^= 1
        path.write_bytes(content)
    files = BatchFiles(str(tmp_path), {})
    assert len(files) == 1
    files.append(batch(7))
    assert [found["mse/alg2"][0] for found in files] == [0, 7]


def test_a_folder_that_cannot_be_created_raises_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write to .*file"):
        BatchFiles(str(tmp_path / "file" / "part"), {})
    with pytest.raises(
        InputError, match=r"cannot write to .*name a folder, not a file"
    ):
        BatchFiles(str(tmp_path / "file"), {})
