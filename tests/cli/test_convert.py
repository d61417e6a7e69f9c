"""Converting the authors' checkpoints on the command line."""

import subprocess
import sys

from tests.conftest import ROOT
from tests.official_checkpoints import (
    checkpoint,
    official_config,
    recording,
    save_images,
)
from tests.torch_checkpoints import save_like_torch

CONVERT = "-m colddiff_jax.cli.convert"


def test_the_command_makes_a_run_folder_for_sample(golden, tmp_path):
    save_images(tmp_path / "images.npz", golden)
    config = official_config("unet_convnext", tmp_path / "images.npz")
    weights, *_ = recording("unet_convnext")
    save_like_torch(tmp_path / "model.pt", checkpoint(weights))
    (tmp_path / "small.py").write_text(
        "import json\n\nimport ml_collections\n\n\ndef get_config():\n"
        f"    text = {config.to_json()!r}\n"
        "    return ml_collections.ConfigDict(json.loads(text))\n"
    )
    for command in (
        f"{CONVERT} --checkpoint=model.pt --config=small.py --workdir=run",
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
