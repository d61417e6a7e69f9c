"""The authors' checkpoints, converted."""

import collections
import pathlib
import subprocess
import sys

import flax.linen as nn
import jax
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.cli.convert import (
    convert_checkpoint,
    convert_weights,
    network_weights,
)
from colddiff_jax.restoration.load import load_run
from configs import base
from tests.torch_checkpoints import save_like_torch

ROOT = pathlib.Path(__file__).parent.parent
NETWORKS = {
    "unet_convnext": cd.ConvNeXtUNet(base_channels=16, channel_multipliers=(1, 2, 4)),
    "unet_resnet": cd.UNet(
        base_channels=32,
        channel_multipliers=(1, 2),
        num_blocks=1,
        attention_resolutions=(8,),
    ),
}
SHAPE = (16, 16, 3)


def recording(name):
    """The weights of a recorded network, its input, official steps and output."""
    with np.load(ROOT / "tests" / "golden" / f"{name}.npz") as recorded:
        weights = {
            key.removeprefix("param/"): recorded[key]
            for key in recorded.files
            if key.startswith("param/")
        }
        x, out = (
            recorded[key].transpose(0, 2, 3, 1) for key in ("input_nchw", "output_nchw")
        )
        return weights, x, recorded["t"].astype(np.int32), out


def checkpoint(weights, prefix="module.denoise_fn."):
    """What the official code saves; its average differs from its weights."""
    model = collections.OrderedDict(
        (f"{prefix}{name}", value) for name, value in weights.items()
    )
    buffers = {"module.gaussian_kernels.0.weight": np.zeros((3, 1, 5, 5), np.float32)}
    ema = {name: 1.01 * value for name, value in model.items()}
    return {
        "step": 700,
        "model": buffers | model,
        "ema": collections.OrderedDict(buffers | ema),
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_the_official_networks_are_matched_with_our_steps(name):
    weights, x, t, expected = recording(name)
    model = NETWORKS[name]
    params = convert_weights(weights, model, x.shape[1:])
    found = jax.jit(model.apply)({"params": params}, x, t + 1)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=2e-5 * scale, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_step_is_taken_for_the_one_before_it(name):
    # The layer that sees the step first, before and after conversion.
    weights, *_ = recording(name)
    model = NETWORKS[name]
    params = convert_weights(weights, model, SHAPE)
    first = {"unet_convnext": "time_mlp.1", "unet_resnet": "temb.dense.0"}[name]
    official = weights[f"{first}.weight"].T.astype(np.float64)
    w = 10000.0 ** (-np.arange(len(official) // 2) / (len(official) // 2 - 1))
    t = np.arange(1, 751)[:, None]

    def embedded(t):
        return np.concatenate([np.sin(t * w), np.cos(t * w)], axis=1)

    found = embedded(t) @ params["time_0"]["kernel"]
    np.testing.assert_allclose(found, embedded(t - 1) @ official, atol=2e-6)


@pytest.mark.parametrize(
    "prefix",
    [
        "denoise_fn.",
        "module.denoise_fn.",
        "defade_fn.",
        "module.defade_fn.",
        "module.denoise_fn.module.",
    ],
)
def test_the_network_is_found_in_every_folder_of_the_official_code(prefix):
    weights = {"conv_in.bias": np.ones(3, np.float64), "a.b": np.zeros(2)}
    found = network_weights(checkpoint(weights, prefix)["model"])
    assert found.keys() == weights.keys()
    assert found["conv_in.bias"].dtype == np.float32


def test_a_state_without_a_network_is_named():
    with pytest.raises(cd.InputError, match=r"first names are \['a', 'b'\]"):
        network_weights({"a": np.zeros(1), "b": np.zeros(1)})


def config(name, data):
    """A configuration of a recorded network, for images of 16 x 16 x 3."""
    model = NETWORKS[name]
    result = base.get_config(None, ())
    result.data.update({"source": "npz", "path": str(data), "image_size": 16})
    result.degradation.update({"name": "fade", "keep": (0.6, 0.3, 0.1)})
    result.model.update(
        {
            "base_channels": model.base_channels,
            "channel_multipliers": model.channel_multipliers,
            "dtype": "float32",
        }
    )
    if name == "unet_convnext":
        result.model.name = "convnext"
        for field in (
            "num_blocks",
            "attention_resolutions",
            "num_groups",
            "dropout",
            "patch_size",
        ):
            del result.model[field]
    else:
        result.model.update({"num_blocks": 1, "attention_resolutions": (8,)})
    result.evaluation.update({"num_images": 4, "batch_size": 4})
    return result


@pytest.fixture
def data(tmp_path, golden):
    path = tmp_path / "images.npz"
    images = golden["images32"][:, ::2, ::2]
    np.savez(path, train_images=images, test_images=images)
    return path


@pytest.mark.parametrize("name", NETWORKS)
def test_a_converted_checkpoint_is_a_run(name, data, tmp_path):
    weights, *_ = recording(name)
    save_like_torch(tmp_path / "model.pt", checkpoint(weights))
    workdir = str(tmp_path / "run")
    assert convert_checkpoint(str(tmp_path / "model.pt"), config(name, data), workdir)
    assert {path.name for path in tmp_path.iterdir()} == {
        "images.npz",
        "model.pt",
        "run",
    }
    run = load_run(workdir)
    assert run.step == 700
    averaged = {key: 1.01 * value for key, value in weights.items()}
    expected = convert_weights(averaged, NETWORKS[name], SHAPE)
    jax.tree.map(np.testing.assert_array_equal, run.params, expected)


def test_the_command_makes_a_run_that_sample_accepts(data, tmp_path):
    weights, *_ = recording("unet_convnext")
    save_like_torch(tmp_path / "model.pt", checkpoint(weights))
    (tmp_path / "small.py").write_text(
        "import json\n\nimport ml_collections\n\n\ndef get_config():\n"
        f"    text = {config('unet_convnext', data).to_json()!r}\n"
        "    return ml_collections.ConfigDict(json.loads(text))\n"
    )
    for command in (
        "-m colddiff_jax.cli.convert --checkpoint=model.pt --config=small.py --workdir=run",
        f"{ROOT}/sample.py --workdir=run --num_images=2",
    ):
        done = subprocess.run(
            [sys.executable, *command.split()],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert list((tmp_path / "run" / "samples").glob("*.png"))


def broken(weights, how):
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
def test_weights_that_do_not_fit_are_listed_and_nothing_is_written(
    how, message, data, tmp_path
):
    weights, *_ = recording("unet_convnext")
    save_like_torch(tmp_path / "model.pt", checkpoint(broken(weights, how)))
    workdir = tmp_path / "run"
    with pytest.raises(cd.InputError, match=message):
        convert_checkpoint(
            str(tmp_path / "model.pt"), config("unet_convnext", data), str(workdir)
        )
    assert not workdir.exists()


def test_a_truncated_or_foreign_file_writes_nothing(data, tmp_path):
    weights, *_ = recording("unet_convnext")
    path, workdir = tmp_path / "model.pt", tmp_path / "run"
    save_like_torch(path, checkpoint(weights))
    path.write_bytes(path.read_bytes()[:-1000])
    arguments = (str(path), config("unet_convnext", data), str(workdir))
    with pytest.raises(cd.InputError, match="or is truncated"):
        convert_checkpoint(*arguments)
    save_like_torch(path, {"state_dict": weights})
    with pytest.raises(cd.InputError, match=r"model and ema, and holds \['state_dict'"):
        convert_checkpoint(*arguments)
    assert not workdir.exists()


def test_a_run_folder_in_use_is_left_alone(data, tmp_path):
    weights, *_ = recording("unet_convnext")
    save_like_torch(tmp_path / "model.pt", checkpoint(weights))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(cd.InputError, match="exists already; choose another"):
        convert_checkpoint(
            str(tmp_path / "model.pt"), config("unet_convnext", data), str(tmp_path)
        )
    assert (tmp_path / "config.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": "abc"}, "should hold a number of steps, and holds 'abc'"),
        ({"step": True}, "should hold a number of steps, and holds True"),
        ({"step": 2**40}, "should hold a number of steps"),
        ({"ema": None}, "its ema should be a dictionary of weights, and is a NoneType"),
        ({"model": [1]}, "its model should be a dictionary of weights, and is a list"),
        (
            {"model": {"denoise_fn.a": "text"}},
            "no weight's name begins with denoise_fn",
        ),
    ],
)
def test_a_checkpoint_of_other_things_is_named(change, message, data, tmp_path):
    weights, *_ = recording("unet_convnext")
    path, workdir = tmp_path / "model.pt", tmp_path / "run"
    save_like_torch(path, checkpoint(weights) | change)
    with pytest.raises(cd.InputError, match=message):
        convert_checkpoint(str(path), config("unet_convnext", data), str(workdir))
    assert not workdir.exists()


def test_weights_of_another_rank_are_named():
    weights, *_ = recording("unet_convnext")
    weights["downs.0.0.ds_conv.weight"] = np.zeros(3, np.float32)
    weights["mid_attn.fn.fn.to_qkv.weight"] = np.zeros((384, 64, 3, 3), np.float32)
    with pytest.raises(cd.InputError, match=r"2 of another shape \(.*ds_conv.weight"):
        convert_weights(weights, NETWORKS["unet_convnext"], SHAPE)


def test_networks_with_classes_are_named():
    model = cd.UNet(num_classes=3)
    with pytest.raises(cd.InputError, match="no official network has classes"):
        convert_weights({}, model, SHAPE)


def test_other_networks_are_named():
    with pytest.raises(cd.InputError, match="no official network is a Dense"):
        convert_weights({}, nn.Dense(3), SHAPE)
