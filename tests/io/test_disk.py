"""Readable errors for failed writes."""

import errno
import os

import jax
import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.io.disk import check_space, refusal, unused_stem


def test_new_files_get_a_number_if_any_of_their_names_is_taken(tmp_path):
    stem, endings = str(tmp_path / "grid"), (".png", ".npz")
    assert unused_stem(stem, endings) == stem
    (tmp_path / "grid.npz").touch()
    (tmp_path / "grid-2.png").symlink_to("nowhere")
    assert unused_stem(stem, endings) == f"{stem}-3"
    assert unused_stem(stem, [".gif"]) == stem


def test_a_folder_with_enough_space_is_created_empty(tmp_path):
    check_space(str(tmp_path / "a" / "b"), {"x": np.zeros(3), "y": np.int32(1)})
    assert os.listdir(tmp_path / "a" / "b") == []


def test_a_state_larger_than_the_disk_raises_with_both_sizes(tmp_path):
    huge = {"x": jax.ShapeDtypeStruct((10**6, 10**12), np.float32)}
    message = r"has [\d,]+ MB left and a checkpoint takes 4,000,000,000,001 MB; free"
    with pytest.raises(InputError, match=message):
        check_space(str(tmp_path), huge)


@pytest.mark.parametrize(
    ("parent", "reason"),
    [("/proc", "No such file"), ("/sys", "not permitted"), (__file__, "Not a direct")],
)
def test_a_folder_that_cannot_be_created_raises_with_the_reason(parent, reason):
    folder = os.path.join(parent, "run")
    with pytest.raises(InputError, match=f"cannot write to '{folder}': .*{reason}"):
        check_space(folder, {})


def test_a_folder_that_is_not_writable_raises():
    with pytest.raises(InputError, match=r"cannot write to '/proc/self': .*; choose"):
        check_space("/proc/self", {})


def test_failed_writes_are_recognised_in_errors_of_other_libraries():
    reason = os.strerror(errno.ENOSPC)
    for error in (
        OSError(errno.ENOSPC, reason),
        ValueError(f"RESOURCE_EXHAUSTED: Failed to write 9 bytes: {reason} [code 28]"),
    ):
        assert refusal(error) == (reason, "free some space there")
    assert refusal(OSError(errno.EIO, "I/O")) == ("I/O", "check that path")
    assert refusal(ValueError("the shapes do not fit")) is None
