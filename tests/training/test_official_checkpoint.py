"""The authors' checkpoints, converted to run folders."""

import jax
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.models.official_weights import convert_weights
from colddiff_jax.restoration.loading import load_run
from colddiff_jax.training.official_checkpoint import convert_checkpoint
from tests.official_checkpoints import (
    NETWORKS,
    SHAPE,
    checkpoint,
    official_config,
    recording,
    save_images,
)
from tests.torch_checkpoints import save_like_torch


@pytest.fixture
def data(tmp_path, golden):
    path = tmp_path / "images.npz"
    save_images(path, golden)
    return path


@pytest.mark.parametrize("name", NETWORKS)
def test_a_converted_checkpoint_is_a_run_folder(name, data, tmp_path):
    weights, *_ = recording(name)
    save_like_torch(tmp_path / "model.pt", checkpoint(weights))
    workdir = str(tmp_path / "run")
    assert convert_checkpoint(
        str(tmp_path / "model.pt"), official_config(name, data), workdir
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "images.npz",
        "model.pt",
        "run",
    }
    restorer = load_run(workdir)
    assert restorer.step == 700
    assert restorer.model.image_shape == SHAPE
    averaged = {key: 1.01 * value for key, value in weights.items()}
    expected = convert_weights(averaged, NETWORKS[name], SHAPE)
    jax.tree.map(np.testing.assert_array_equal, restorer.params, expected)


def broken(weights, how):
    """Returns weights that do not fit the network."""
    if how == "missing":
        return {k: v for k, v in weights.items() if not k.startswith("mid_attn")}
    if how == "extra":
        return weights | {"mid_block3.net.1.weight": np.zeros((3, 3))}
    if how == "grey":
        return weights | {"final_conv.1.weight": weights["final_conv.1.weight"][:1]}
    return recording("unet_resnet")[0]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", r"5 missing \(mid_attn.fn.norm.b, .*to_qkv.weight\)$"),
        ("extra", r"1 left over \(mid_block3.net.1.weight\)$"),
        ("grey", r"1 of another shape \(final_conv.1.weight \(1, 16, 1, 1\) for \(3,"),
        ("other", r"\d+ missing \(.* and \d+ more\); \d+ left over \(temb.dense.0.w"),
    ],
)
def test_weights_that_do_not_fit_raise_and_nothing_is_written(
    how, message, data, tmp_path
):
    weights, *_ = recording("unet_convnext")
    save_like_torch(tmp_path / "model.pt", checkpoint(broken(weights, how)))
    workdir = tmp_path / "run"
    with pytest.raises(cd.InputError, match=message):
        convert_checkpoint(
            str(tmp_path / "model.pt"),
            official_config("unet_convnext", data),
            str(workdir),
        )
    assert not workdir.exists()


def test_a_truncated_or_foreign_file_raises_and_nothing_is_written(data, tmp_path):
    weights, *_ = recording("unet_convnext")
    path, workdir = tmp_path / "model.pt", tmp_path / "run"
    save_like_torch(path, checkpoint(weights))
    path.write_bytes(path.read_bytes()[:-1000])
    arguments = (str(path), official_config("unet_convnext", data), str(workdir))
    with pytest.raises(cd.InputError, match="or is truncated"):
        convert_checkpoint(*arguments)
    save_like_torch(path, {"state_dict": weights})
    with pytest.raises(cd.InputError, match=r"model and ema, but holds \['state_dict'"):
        convert_checkpoint(*arguments)
    assert not workdir.exists()


def test_a_folder_that_is_not_empty_raises_and_stays_unchanged(data, tmp_path):
    weights, *_ = recording("unet_convnext")
    save_like_torch(tmp_path / "model.pt", checkpoint(weights))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(cd.InputError, match="exists already; choose another"):
        convert_checkpoint(
            str(tmp_path / "model.pt"),
            official_config("unet_convnext", data),
            str(tmp_path),
        )
    assert (tmp_path / "config.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": "abc"}, "should hold a number of steps, but holds 'abc'"),
        ({"step": True}, "should hold a number of steps, but holds True"),
        ({"step": 2**40}, "should hold a number of steps"),
        ({"ema": None}, "its ema should be a dictionary of weights, but is a NoneType"),
        ({"model": [1]}, "its model should be a dictionary of weights, but is a list"),
        (
            {"model": {"denoise_fn.a": "text"}},
            "no weight's name begins with denoise_fn",
        ),
    ],
)
def test_a_checkpoint_with_other_contents_raises(change, message, data, tmp_path):
    weights, *_ = recording("unet_convnext")
    path, workdir = tmp_path / "model.pt", tmp_path / "run"
    save_like_torch(path, checkpoint(weights) | change)
    with pytest.raises(cd.InputError, match=message):
        convert_checkpoint(
            str(path), official_config("unet_convnext", data), str(workdir)
        )
    assert not workdir.exists()
