"""Checkpoints of a run: the last two and the best.

    checkpoints/<step>/state/         the state, written by Orbax
                       about.json     the caller's description of it
                       scores.json    the scores of the evaluation at this step
                       shapes.json    the shapes and dtypes of its arrays
                       manifest.json  a SHA-256 of every other file

The folder of a step appears and disappears as a whole; see `integrity`.
"""

import concurrent.futures
import contextlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from colddiff_jax import devices
from colddiff_jax.checks import InputError
from colddiff_jax.io import disk, integrity
from colddiff_jax.io.orbax_trees import OrbaxTrees


class Checkpoints:
    """The checkpoints in a run folder.

    Only the first process of a run writes; all processes read the same files.

    Args:
        workdir: the run folder; the checkpoints are in its subfolder `checkpoints`.
        best_by: the score that selects the best checkpoint. Higher is better if its
            name begins with "ssim"; otherwise lower is better.
    """

    def __init__(self, workdir: str, best_by: str = "test_loss"):
        self.folder = os.path.abspath(os.path.join(workdir, "checkpoints"))
        self._best_by = best_by
        self._background = concurrent.futures.ThreadPoolExecutor(1, "checkpoints")
        self._saving: tuple[int, concurrent.futures.Future[None]] | None = None
        self._trees = OrbaxTrees()

    def steps(self) -> list[int]:
        """Returns the steps with a checkpoint on disk, in increasing order."""
        names = disk.names_in(self.folder)
        return sorted(int(name) for name in names if re.fullmatch(r"0|[1-9]\d*", name))

    def newest(self) -> str:
        """Returns the folder of the newest checkpoint, or "none", for messages."""
        steps = self.steps()
        return os.path.join(self.folder, str(steps[-1])) if steps else "none"

    def best_step(self) -> int | None:
        """Returns the step with the best score, or None if no checkpoint has one."""
        sign = -1 if self._best_by.startswith("ssim") else 1
        losses = {
            step: sign * self.scores(step).get(self._best_by, math.nan)
            for step in self.steps()
        }
        finite = {step: loss for step, loss in losses.items() if math.isfinite(loss)}
        return min(finite, key=finite.__getitem__, default=None)

    def scores(self, step: int) -> dict[str, float]:
        """Returns the scores saved with a step; empty if they are damaged."""
        try:
            return dict(self._read(step, "scores.json"))
        except (OSError, ValueError, TypeError):
            return {}

    def about(self, step: int) -> dict[str, Any]:
        """Returns the description saved with a step.

        Raises:
            InputError: there is no such checkpoint, or it is damaged.
        """
        self._check(step)
        return self._read(step, "about.json")

    def save(
        self,
        state: Any,
        step: int,
        scores: Mapping[str, float] | None,
        about: Mapping[str, Any],
    ) -> None:
        """Starts saving a state in the background, unless its step is already saved.

        Args:
            state: a tree of arrays, replicated if they are on several devices.
            step: the training step of the state.
            scores: the scores of the evaluation at this step, if there was one.
            about: a description of the state, as JSON.

        Raises:
            InputError: there is no score `best_by`, or the previous checkpoint could
                not be written.
        """
        if scores is not None and self._best_by not in scores:
            raise InputError(
                f"the best checkpoint cannot be chosen by {self._best_by!r}; choose "
                f"one of {', '.join(scores)}"
            )
        self.wait()
        if not devices.is_main_process():
            return
        if step in self.steps():
            if not integrity.damage(self._path(step)):
                return
            integrity.delete_folder(self._path(step))
        # Copy: the caller may change the state or donate its buffers meanwhile.
        state = jax.tree.map(np.array, state)
        floats = {name: float(score) for name, score in (scores or {}).items()}
        texts = {
            "about.json": json.dumps(dict(about), indent=1),
            "scores.json": json.dumps(floats),
            "shapes.json": json.dumps(_shapes(state), indent=1),
        }
        saving = self._background.submit(self._write, state, step, texts)
        self._saving = step, saving

    def wait(self) -> None:
        """Waits until everything is on disk.

        Raises:
            InputError: the checkpoint could not be written; earlier ones are intact.
        """
        if self._saving is None:
            return
        (step, saving), self._saving = self._saving, None
        try:
            saving.result()
        except Exception as error:
            if not (refusal := disk.refusal(error)):
                raise
            reason, fix = refusal
            intact = [s for s in self.steps() if not integrity.damage(self._path(s))]
            raise InputError(
                f"cannot save step {step} in {self.folder}: {reason}; the checkpoints "
                f"of steps {intact} are intact; {fix} and run again"
            ) from error

    def restore(self, like: Any, step: int, *, partial: bool = False) -> Any:
        """Restores the state of a step, on the devices present now.

        Args:
            like: a state of the same structure, of `jax.ShapeDtypeStruct`s with
                shardings, from `devices.replicated_like`.
            step: one of `steps()`.
            partial: whether `like` is a dict of some parts, such as "ema_params".

        Raises:
            InputError: there is no such checkpoint, it is damaged, or it belongs to
                another network.
        """
        self._check(step)
        return self._restore(like, step, partial)

    def restore_newest(self, like: Any, *, partial: bool = False) -> tuple[Any, int]:
        """Restores the newest intact checkpoint, and prints which are damaged.

        Args:
            like: as for `restore`.
            partial: likewise.

        Returns:
            The state and its step.

        Raises:
            InputError: there is no checkpoint, all are damaged, or it belongs to
                another network.
        """
        self.wait()
        damaged: list[str] = []
        for step in reversed(self.steps()):
            if damage := integrity.damage(self._path(step)):
                damaged.append(f"step {step} ({damage})")
                continue
            state = self._restore(like, step, partial)
            if damaged and devices.is_main_process():
                found = f"damaged: {', '.join(damaged)}; using step {step} instead"
                print(f"{self.folder}: {found}", flush=True)
            return state, step
        if damaged:
            raise InputError(
                f"{self.folder} has only damaged checkpoints: {', '.join(damaged)}; "
                "restore one from a backup, or delete the run folder to start over"
            )
        raise InputError(f"{self.folder} has no checkpoint yet; train the model first")

    def resume(self, like: Any) -> tuple[Any, int] | None:
        """Restores the newest intact checkpoint to continue from; None without any.

        Also deletes the damaged checkpoints after it, and the leftovers of killed
        processes. Nothing else may be writing to the folder.
        """
        restored = self.restore_newest(like) if self.steps() else None
        if devices.is_main_process() and os.path.isdir(self.folder):
            for step in self.steps():
                if restored and step > restored[1]:
                    integrity.delete_folder(self._path(step))
            integrity.delete_leftovers(self.folder)
        return restored

    def close(self) -> None:
        """Waits until everything is on disk; raises the same errors as `wait`."""
        self._background.shutdown()
        self.wait()

    def _write(self, state: Any, step: int, texts: Mapping[str, str]) -> None:
        """Writes a checkpoint and deletes those that are no longer needed."""
        with integrity.new_folder(self._path(step)) as part:
            self._trees.save(os.path.join(part, "state"), state)
            for name, text in texts.items():
                with open(os.path.join(part, name), "w") as file:
                    file.write(text)
        steps = self.steps()
        for old in {*steps} - {*steps[-2:], self.best_step()}:
            integrity.delete_folder(self._path(old))

    def has_parts(self, like: dict[str, Any]) -> bool:
        """Whether an intact checkpoint has parts with these dtypes and shapes."""
        intact = (s for s in self.steps() if not integrity.damage(self._path(s)))
        return any(not self._mismatch(like, step, True) for step in intact)

    def _restore(self, like: Any, step: int, partial: bool) -> Any:
        if mismatch := self._mismatch(like, step, partial):
            raise InputError(
                f"the checkpoint of step {step} in {self.folder} does not fit the "
                f"network of its configuration: {mismatch}"
            )
        path = os.path.join(self._path(step), "state")
        read = self._trees.restore_parts if partial else self._trees.restore
        return read(path, like)

    def _mismatch(self, like: Any, step: int, partial: bool) -> str:
        """Describes the first array of another shape or dtype; empty for none."""
        saved, expected = self._read(step, "shapes.json"), _shapes(like)
        if partial:
            saved = {n: v for n, v in saved.items() if n.partition("/")[0] in like}
        for name in saved | expected:
            if saved.get(name) != expected.get(name):
                return (
                    f"{name} is {saved.get(name, 'missing')} in the checkpoint and "
                    f"should be {expected.get(name, 'absent')}"
                )
        return ""

    def _check(self, step: int) -> None:
        """Raises InputError unless a step has a checkpoint that is not damaged."""
        self.wait()
        if step not in self.steps():
            raise InputError(
                f"{self.folder} has no checkpoint of step {step}; it has {self.steps()}"
            )
        if damage := integrity.damage(self._path(step)):
            raise InputError(
                f"the checkpoint of step {step} in {self.folder} is damaged: {damage}; "
                f"choose another of {self.steps()}"
            )

    def _read(self, step: int, name: str) -> dict[str, Any]:
        with open(os.path.join(self._path(step), name)) as file:
            return json.load(file)

    def _path(self, step: int) -> str:
        return os.path.join(self.folder, str(step))


@contextlib.contextmanager
def open_checkpoints(workdir: str, best_by: str = "test_loss") -> Iterator[Checkpoints]:
    """Opens the checkpoints of a run; on exit, waits until everything is on disk."""
    checkpoints = Checkpoints(workdir, best_by)
    try:
        yield checkpoints
    except BaseException:
        try:
            checkpoints.close()
        except InputError as error:
            print(error, flush=True)  # The first error is the one to raise.
        raise
    checkpoints.close()


def _shapes(state: Any) -> dict[str, str]:
    """Maps the paths of arrays to their dtypes and shapes, such as "float32[3, 4]".

    Orbax reports other shapes only half-way through restoring, other dtypes not at all.
    """
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (
            f"{leaf.dtype}{list(leaf.shape)}"
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }
