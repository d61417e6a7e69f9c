"""Short runs on real data sets, if COLDDIFF_DATA has them."""

import json

import numpy as np
import pytest
from PIL import Image

from colddiff_jax import InputError
from colddiff_jax.training import train_and_evaluate
from configs import cifar_blur, mnist_mask


def losses(config, workdir):
    """Trains a small network for 60 steps; returns the mean loss of every ten."""
    config.model.update(
        {
            "base_channels": 8,
            "channel_multipliers": (1,),
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


def test_a_short_run_on_a_folder_of_cats_of_all_sizes_skips_damaged_files(
    data_folder, tmp_path, capsys
):
    cats = sorted((data_folder / "afhq_cat" / "train").glob("*.png"))[:400]
    if not cats:
        pytest.skip("COLDDIFF_DATA/afhq_cat/train holds no images")
    rng, folder = np.random.default_rng(0), tmp_path / "cats"
    folder.mkdir()
    for path in cats:
        with Image.open(path) as cat:
            size = tuple(int(side) for side in rng.integers(36, 120, 2))
            cat.resize(size).save(folder / f"{path.stem}.jpg")
    for path in sorted(folder.glob("*.jpg"))[::100]:
        path.write_bytes(path.read_bytes()[:300])
    (folder / "empty.png").touch()
    config = cifar_blur.get_config()
    config.data.update({"source": "folder", "path": str(folder)})
    with pytest.raises(InputError, match=r"5 of 401 image files .*max_unreadable"):
        losses(config, tmp_path / "refused")
    config.data.max_unreadable = 0.02
    found = losses(config, tmp_path / "run")
    assert "empty.png" in capsys.readouterr().out
    assert len(found) == 6 and np.isfinite(found).all()
    assert found[-1] < 0.8 * found[0]


def test_a_short_run_on_real_mnist_from_tfds_lowers_the_loss(data_folder, tmp_path):
    prepared = data_folder / "tfds"
    if not (prepared / "mnist").is_dir():
        pytest.skip("COLDDIFF_DATA/tfds holds no prepared MNIST")
    config = mnist_mask.get_config()
    config.data.data_dir = str(prepared)
    config.training.resident_mb = 0  # Streamed: reading all 60,000 takes a while.
    found = losses(config, tmp_path)
    assert len(found) == 6 and np.isfinite(found).all()
    assert found[-1] < 0.7 * found[0]
