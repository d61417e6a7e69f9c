"""Exporting a network as an ONNX model, which ONNX Runtime computes."""

import importlib.util

import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.experiment.model import build_model
from colddiff_jax.models.preconditioning import Scales
from colddiff_jax.restoration.export_onnx import export_onnx
from colddiff_jax.restoration.restorer import Restorer
from configs import digits_blur
from tests.networks import random_parameters

INSTALLED = importlib.util.find_spec("jax2onnx") is not None
T = 20
SCALES = Scales(*(tuple(np.linspace(first, 1, T)) for first in (0.5, 0.1, 0.2)))
UNET = {"base_channels": 8, "channel_multipliers": (1, 2), "patch_size": 2}
CONVNEXT = {"name": "convnext", "base_channels": 8, "channel_multipliers": (1, 2)}


def restorer(**fields) -> Restorer:
    config = digits_blur.get_config().to_dict()
    unet = {**config["model"], "attention_resolutions": (4,), **UNET}
    config["model"] = fields if "name" in fields else unet | fields
    model = build_model(config, channels=3, scales=SCALES)
    params = random_parameters(model.network, model.image_shape)
    return Restorer(model, params, step=0, trained_on="")


@pytest.fixture
def runtime():
    return pytest.importorskip("onnxruntime")


@pytest.mark.skipif(not INSTALLED, reason="jax2onnx is not installed")
@pytest.mark.parametrize(
    "fields",
    [
        {"dtype": "bfloat16", "remat": True, "precondition": True},
        {**CONVNEXT, "residual": True, "num_classes": 3},
    ],
)
def test_onnx_runtime_predicts_the_same_images(fields, runtime, tmp_path):
    """In float32, for any number of images."""
    path = str(tmp_path / "model.onnx")
    export_onnx(restorer(**fields), path)
    session = runtime.InferenceSession(path)
    expected = restorer(**fields | {"dtype": "float32"})
    rng = np.random.default_rng(0)
    for batch in (1, 3):
        inputs = {
            "x_t": rng.uniform(-1, 1, (batch, 16, 16, 3)).astype(np.float32),
            "t": rng.integers(1, T + 1, batch).astype(np.int32),
        }
        labels = None
        if expected.model.num_classes:
            labels = inputs["labels"] = rng.integers(0, 4, batch).astype(np.int32)
        (found,) = session.run(["x0_hat"], inputs)
        restore_fn = expected.model.restore_fn(expected.params, labels=labels)
        x0_hat = restore_fn(inputs["x_t"], inputs["t"])
        np.testing.assert_allclose(found, x0_hat, rtol=0, atol=1e-5)
        assert np.ptp(found) > 0.1


@pytest.mark.skipif(INSTALLED, reason="jax2onnx is installed")
def test_a_missing_converter_raises(tmp_path):
    with pytest.raises(InputError, match=r"needs jax2onnx: pip install"):
        export_onnx(restorer(), str(tmp_path / "model.onnx"))
    assert not list(tmp_path.iterdir())
