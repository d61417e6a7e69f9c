"""Scores that are added to a checkpoint after it was saved."""

import json
import os

import numpy as np

from colddiff_jax.io import integrity
from colddiff_jax.io.checkpoints import open_checkpoints
from colddiff_jax.training import late_scores
from colddiff_jax.training.late_scores import add_scores

SCORES = {"test_loss": 0.25, "rmse_alg2": np.float64(0.5)}


def save(folder, scores):
    """Saves three checkpoints, of which the first is the best before the last."""
    with open_checkpoints(str(folder)) as saved:
        for step, found in {2: {"test_loss": 0.5}, 4: None, 6: scores}.items():
            saved.save({"w": np.arange(3.0)}, step, found, {"config": 1})
            saved.wait()
    return saved


def contents(folder):
    """The files of the newest checkpoint, except for the arrays and their digests."""
    files = (folder / "checkpoints" / "6").iterdir()
    return {path.name: path.read_bytes() for path in files if path.is_file()}


def test_a_checkpoint_equals_one_saved_with_its_scores_and_is_intact_at_every_moment(
    tmp_path, monkeypatch
):
    early = save(tmp_path / "early", SCORES)
    assert early.steps() == [4, 6]
    late = save(tmp_path / "late", None)
    assert late.steps() == [2, 4, 6] and late.best_step() == 2
    checkpoint = os.path.join(late.folder, "6")
    damages = []

    def write(path, content):
        real(path, content)
        damages.append(integrity.damage(checkpoint))

    real = late_scores.write_atomically
    monkeypatch.setattr(late_scores, "write_atomically", write)
    add_scores(late, 6, SCORES)
    assert damages == [None] * 3
    assert late.scores(6) == early.scores(6) == {"test_loss": 0.25, "rmse_alg2": 0.5}
    assert late.steps() == [4, 6] and late.best_step() == 6
    one, other = (contents(tmp_path / name) for name in ("early", "late"))
    # Orbax gives its files other names each time.
    listed = [json.loads(files.pop(integrity.MANIFEST)) for files in (one, other)]
    assert one == other and listed[0]["scores.json"] == listed[1]["scores.json"]


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    saved = save(tmp_path, None)
    monkeypatch.setattr(late_scores.devices, "process_index", lambda: 1)
    add_scores(saved, 6, SCORES)
    assert saved.scores(6) == {}
