"""The real data sets, where COLDDIFF_DATA has them."""

import json

import numpy as np
import pytest

from colddiff_jax.training import train_and_evaluate
from configs import cifar_blur, mnist_mask


def losses(config, workdir):
    """Trains sixty steps of a small network; its mean losses, ten steps each."""
    config.model.update(
        {
            "base_channels": 16,
            "channel_multipliers": (1, 2),
            "num_blocks": 1,
            "attention_resolutions": (),
            "num_groups": 4,
            "patch_size": 4,
        }
    )
    config.optimizer.update({"learning_rate": 2e-3, "warmup_steps": 10})
    config.training.update({"batch_size": 32, "num_steps": 60, "log_every": 10})
    config.evaluation.update({"num_images": 8, "batch_size": 8})
    train_and_evaluate(config, str(workdir))
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [line["loss"] for line in map(json.loads, lines) if "loss" in line]


def test_a_short_run_on_real_cifar10_lowers_the_loss(data_folder, tmp_path):
    config = cifar_blur.get_config()
    config.data.update({"source": "npz", "path": str(data_folder / "cifar10.npz")})
    found = losses(config, tmp_path)
    assert len(found) == 6 and np.isfinite(found).all()
    assert found[-1] < 0.7 * found[0]


def test_a_short_run_on_real_mnist_from_tfds_lowers_the_loss(data_folder, tmp_path):
    prepared = data_folder / "tfds"
    if not (prepared / "mnist").is_dir():
        pytest.skip("COLDDIFF_DATA/tfds holds no prepared MNIST")
    config = mnist_mask.get_config()
    config.data.data_dir = str(prepared)
    found = losses(config, tmp_path)
    assert len(found) == 6 and np.isfinite(found).all()
    assert found[-1] < 0.7 * found[0]
