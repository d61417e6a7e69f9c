"""What a disk refuses is told in words."""

import errno
import os

import jax
import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.disk import check_space, refusal


def test_a_folder_with_space_is_made_and_left_empty(tmp_path):
    check_space(str(tmp_path / "a" / "b"), {"x": np.zeros(3), "y": np.int32(1)})
    assert os.listdir(tmp_path / "a" / "b") == []


def test_a_state_larger_than_the_disk_is_refused_with_both_sizes(tmp_path):
    huge = {"x": jax.ShapeDtypeStruct((10**6, 10**12), np.float32)}
    message = r"has [\d,]+ MB left and a checkpoint takes 4,000,000,000,001 MB; free"
    with pytest.raises(InputError, match=message):
        check_space(str(tmp_path), huge)


@pytest.mark.parametrize(
    ("parent", "reason"),
    [("/proc", "No such file"), ("/sys", "not permitted"), (__file__, "Not a direct")],
)
def test_a_folder_that_cannot_be_made_is_named_with_the_reason(parent, reason):
    folder = os.path.join(parent, "run")
    with pytest.raises(InputError, match=f"cannot write to '{folder}': .*{reason}"):
        check_space(folder, {})


def test_a_folder_that_cannot_be_written_to_is_named():
    with pytest.raises(InputError, match=r"cannot write to '/proc/self': .*; choose"):
        check_space("/proc/self", {})


def test_a_refusal_is_recognised_in_the_text_of_another_library_too():
    reason = os.strerror(errno.ENOSPC)
    for error in (
        OSError(errno.ENOSPC, reason),
        ValueError(f"RESOURCE_EXHAUSTED: Failed to write 9 bytes: {reason} [code 28]"),
    ):
        assert refusal(error) == (reason, "free some space there")
    assert refusal(OSError(errno.EIO, "I/O")) == ("I/O", "look after that folder")
    assert refusal(ValueError("the shapes do not fit")) is None
