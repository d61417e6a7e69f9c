"""Reading PyTorch checkpoints without PyTorch."""

import collections
import os
import pathlib
import pickle
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.io.torch_files import read_torch_file
from tests.torch_checkpoints import save_like_old_torch, save_like_torch, write_old

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
# Written by PyTorch 2.13 itself, in the zip format and in the older one.
RECORDED, RECORDED_OLD = (
    GOLDEN / "torch_checkpoint.pt",
    GOLDEN / "torch_checkpoint_old.pt",
)
both_formats = pytest.mark.parametrize("recorded", [RECORDED, RECORDED_OLD])


@both_formats
def test_everything_pytorch_wrote_is_read(recorded):
    saved = read_torch_file(str(recorded))
    assert saved["step"] == 1234 and saved["text"] == "words"
    assert saved["none"] is None and saved["tuple"] == (1, 2.0)
    model = saved["model"]
    assert isinstance(model, collections.OrderedDict)
    whole = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7
    prefix = "module.denoise_fn"
    np.testing.assert_array_equal(model[f"{prefix}.a.weight"], whole)
    np.testing.assert_array_equal(
        model[f"{prefix}.a.transposed"], whole.transpose(2, 0, 1)
    )
    np.testing.assert_array_equal(model[f"{prefix}.a.part"], whole[:, 1:, ::2])
    assert model[f"{prefix}.b.scalar"] == np.float32(2.5)
    assert model[f"{prefix}.b.empty"].shape == (0, 3)
    np.testing.assert_array_equal(saved["parameter"], np.ones((2, 2)))
    assert list(saved["state_dict"]) == ["weight", "bias"]


@both_formats
def test_every_dtype_is_read(recorded):
    arrays = read_torch_file(str(recorded))["dtypes"]
    floats = [np.float16, ml_dtypes.bfloat16, np.float64, np.float32]
    integers = [np.int64, np.int32, np.int16, np.int8, np.uint8]
    assert [a.dtype for a in arrays] == [
        np.dtype(d) for d in [*floats, *integers, bool]
    ]
    for array in arrays[:4]:
        np.testing.assert_array_equal(array.astype(np.float64), [1.5, -2.25])
    for array in arrays[4:9]:
        np.testing.assert_array_equal(array, [1, 0, 3])
    np.testing.assert_array_equal(arrays[9], [True, False])


@both_formats
def test_tensors_are_read_only_views_of_their_storage(recorded):
    model = read_torch_file(str(recorded))["model"]
    whole, part = (model[f"module.denoise_fn.a.{name}"] for name in ("weight", "part"))
    assert np.shares_memory(whole, part) and not whole.flags.writeable


def write(path, pickled, storages=()):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled)
        for key, raw in enumerate(storages):
            archive.writestr(f"a/data/{key}", raw)
    return str(path)


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.system, eval, getattr, print])
def test_functions_in_a_pickle_are_not_called(tmp_path, function, capfd):
    path = write(tmp_path / "bad.pt", pickle.dumps({"x": Call(function, "echo hello")}))
    with pytest.raises(cd.InputError, match="neither a tensor nor a plain value"):
        read_torch_file(path)
    assert "hello" not in capfd.readouterr().out


def test_a_truncated_archive_raises(tmp_path):
    content = RECORDED.read_bytes()
    path = tmp_path / "short.pt"
    for length in (0, 10, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:length])
        with pytest.raises(cd.InputError, match=r"short.pt' is not a torch.save check"):
            read_torch_file(str(path))


def test_a_flipped_bit_is_detected(tmp_path):
    content = bytearray(RECORDED.read_bytes())
    position = content.find(np.float32(23 / 7).tobytes())
    assert position > 0
    content[position] ^= 1
    path = tmp_path / "flipped.pt"
    path.write_bytes(content)
    with pytest.raises(cd.InputError, match="CRC"):
        read_torch_file(str(path))


def test_a_tensor_that_exceeds_its_storage_raises(tmp_path):
    path = tmp_path / "tensor.pt"
    save_like_torch(path, {"x": np.ones((2, 3), np.float32)})
    np.testing.assert_array_equal(read_torch_file(str(path))["x"], np.ones((2, 3)))
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("archive/data.pkl")
    with pytest.raises(cd.InputError, match="storage 0 has 2 elements instead of 6"):
        read_torch_file(write(path, pickled, [b"\0" * 8]))
    # Change the shape (2, 3) in the pickle to (2, 9).
    assert pickled.count(b"K\x02K\x03") == 1
    larger = pickled.replace(b"K\x02K\x03", b"K\x02K\x09")
    with pytest.raises(cd.InputError, match=r"shape \(2, 9\) exceeds its storage"):
        read_torch_file(write(path, larger, [b"\0" * 24]))
    # Change the strides (3, 1) to (0, 0), which repeat one element indefinitely.
    assert larger.count(b"K\x03K\x01") == 1
    repeated = larger.replace(b"K\x03K\x01", b"K\x00K\x00")
    with pytest.raises(cd.InputError, match=r"shape \(2, 9\) repeats elements"):
        read_torch_file(write(path, repeated, [b"\0" * 24]))


def test_a_pickle_cannot_modify_the_reader_or_waste_memory(tmp_path):
    function = b"ctorch._utils\n_rebuild_tensor_v2\n"
    changed = b"\x80\x02" + function + b"}N\x86b."  # BUILD with an empty state
    with pytest.raises(cd.InputError, match="it modifies a function"):
        read_torch_file(write(tmp_path / "build.pt", changed))
    large = b"\x80\x02Nr" + (2**27).to_bytes(4, "little") + b"."
    with pytest.raises(cd.InputError, match="memo index 134217728 of LONG_BINPUT is"):
        read_torch_file(write(tmp_path / "memo.pt", large))


def test_other_files_raise(tmp_path):
    with pytest.raises(cd.InputError, match=r"no file 'nowhere.pt'"):
        read_torch_file("nowhere.pt")
    np.savez(tmp_path / "arrays.npz", x=np.zeros(3))
    with pytest.raises(cd.InputError, match=r"no file '.*arrays.npz/model.pt'"):
        read_torch_file(str(tmp_path / "arrays.npz" / "model.pt"))
    with pytest.raises(cd.InputError, match="a zip archive, but not a torch"):
        read_torch_file(str(tmp_path / "arrays.npz"))
    np.savez_compressed(tmp_path / "arrays.npz", x=np.zeros(3))
    with pytest.raises(cd.InputError, match="compressed, which torch"):
        read_torch_file(str(tmp_path / "arrays.npz"))
    path = write(tmp_path / "broken.pt", b"not a pickle")
    with pytest.raises(cd.InputError, match=r"broken.pt' is damaged"):
        read_torch_file(path)


def test_the_old_format_is_read_as_written_by_the_test_helper(tmp_path):
    path = tmp_path / "old.pt"
    saved = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(7)}
    save_like_old_torch(path, saved)
    found = read_torch_file(str(path))
    for name, expected in saved.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected, strict=True)


@pytest.mark.parametrize("function", [os.system, eval])
def test_functions_in_the_old_format_are_not_called(tmp_path, function, capfd):
    path = tmp_path / "bad.pt"
    write_old(path, pickle.dumps({"x": Call(function, "echo hello")}), {})
    with pytest.raises(cd.InputError, match="neither a tensor nor a plain value"):
        read_torch_file(str(path))
    assert "hello" not in capfd.readouterr().out


def test_a_truncated_file_in_the_old_format_raises(tmp_path):
    content = RECORDED_OLD.read_bytes()
    path = tmp_path / "short.pt"
    for length in [*range(0, len(content), 37), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(cd.InputError, match=r"short.pt' is (not|damaged)"):
            read_torch_file(str(path))
    path.write_bytes(content + b"\0")
    with pytest.raises(cd.InputError, match="1 bytes follow the last storage"):
        read_torch_file(str(path))


def test_damage_to_the_old_format_raises_an_input_error_or_changes_a_value(tmp_path):
    content = RECORDED_OLD.read_bytes()
    path = tmp_path / "flipped.pt"
    rng = np.random.default_rng(0)
    num_errors = 0
    for position in rng.integers(0, len(content), 300):
        flipped = bytearray(content)
        flipped[position] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        try:
            read_torch_file(str(path))
        except cd.InputError as error:
            assert "flipped.pt" in str(error)
            num_errors += 1
    assert num_errors > 100


def old_with_one_storage(path, **changes):
    """Writes the tensor [1, 1] in the old format, with some bytes replaced."""
    save_like_old_torch(path, {"x": np.ones(2, np.float32)})
    content = path.read_bytes()
    for old, new in changes.values():
        assert content.count(old) == 1
        content = content.replace(old, new)
    path.write_bytes(content)
    return str(path)


def test_sizes_in_the_old_format_cannot_exceed_the_file(tmp_path):
    path, two = tmp_path / "old.pt", struct.pack("<q", 2)
    for count in (2**62, 3, -1, -(2**63)):
        changed = old_with_one_storage(path, count=(two, struct.pack("<q", count)))
        with pytest.raises(cd.InputError, match=f"should have {count} elements"):
            read_torch_file(changed)
    # One element fewer than the tensor needs.
    one = two + np.ones(2, np.float32).tobytes(), struct.pack("<qf", 1, 1.0)
    with pytest.raises(cd.InputError, match="storage 0 has 1 elements instead of 2"):
        read_torch_file(old_with_one_storage(path, count=one))
    memo = pickle.dumps(1001, protocol=2), b"\x80\x02Nr\0\0\0\x08."
    with pytest.raises(cd.InputError, match="memo index 134217728 of LONG_BINPUT is"):
        read_torch_file(old_with_one_storage(path, memo=memo))


def test_an_inconsistent_file_in_the_old_format_raises(tmp_path):
    path = tmp_path / "old.pt"
    other = pickle.dumps(1001, protocol=2), pickle.dumps(1002, protocol=2)
    with pytest.raises(cd.InputError, match="protocol 1002 instead of 1001"):
        read_torch_file(old_with_one_storage(path, protocol=other))
    keys = pickle.dumps(["0"], protocol=2)
    unknown = keys, pickle.dumps(["9"], protocol=2)
    with pytest.raises(cd.InputError, match=r"damaged .*'9'"):
        read_torch_file(old_with_one_storage(path, keys=unknown))
    data = struct.pack("<q", 2) + np.ones(2, np.float32).tobytes()
    none = keys + data, pickle.dumps([], protocol=2)
    with pytest.raises(cd.InputError, match=r"damaged .*'0'"):
        read_torch_file(old_with_one_storage(path, keys=none))
