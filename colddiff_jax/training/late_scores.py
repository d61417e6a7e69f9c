"""Adds scores to a checkpoint that was saved before it was evaluated."""

import hashlib
import json
import os
from collections.abc import Mapping

from colddiff_jax import devices
from colddiff_jax.io import integrity
from colddiff_jax.io.atomic import write_atomically
from colddiff_jax.io.checkpoints import Checkpoints

_SCORES = "scores.json"


def add_scores(saved: Checkpoints, step: int, scores: Mapping[str, float]) -> None:
    """Makes a checkpoint equal to one that was saved with its scores.

    Only the first process of a run writes. The checkpoint is intact at every moment,
    since its manifest does not list the scores while they are replaced.

    Args:
        saved: the checkpoints of the run.
        step: the step of a checkpoint that is on disk.
        scores: the scores of the evaluation at this step.
    """
    if not devices.is_main_process():
        return
    folder = os.path.join(saved.folder, str(step))
    manifest = os.path.join(folder, integrity.MANIFEST)
    with open(manifest) as file:
        digests = json.load(file)
    floats = {name: float(score) for name, score in scores.items()}
    text = json.dumps(floats).encode()
    others = {name: digests[name] for name in digests if name != _SCORES}
    _write(manifest, others)
    write_atomically(os.path.join(folder, _SCORES), text)
    _write(manifest, digests | {_SCORES: hashlib.sha256(text).hexdigest()})
    # The best checkpoint may be another one now.
    for old in {*saved.steps()} - {*saved.steps()[-2:], saved.best_step()}:
        integrity.delete_folder(os.path.join(saved.folder, str(old)))


def _write(manifest: str, digests: Mapping[str, str]) -> None:
    write_atomically(manifest, json.dumps(digests, indent=1).encode())
