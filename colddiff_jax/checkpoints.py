"""Checkpoints of a run: the last two and the best.

    checkpoints/<step>/state/         the state, written by Orbax
                       about.json     what the caller says about it
                       scores.json    the scores of the evaluation at this step
                       shapes.json    the shapes and types of its arrays
                       manifest.json  a SHA-256 of every other file

A step is whole or not there, as `integrity` sees to.
"""

import concurrent.futures
import contextlib
import json
import logging
import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from colddiff_jax import disk, integrity
from colddiff_jax.errors import InputError


class Checkpoints:
    """The checkpoints under a run folder.

    Of the processes of one run only the first writes, and all read the same files.

    Args:
        workdir: the run folder; they live in its subfolder `checkpoints`.
        best_by: the score that chooses the best. Higher is better if its name begins
            with "ssim", else lower.
    """

    def __init__(self, workdir: str, best_by: str = "test_loss"):
        self.folder = os.path.abspath(os.path.join(workdir, "checkpoints"))
        self._best_by = best_by
        self._background = concurrent.futures.ThreadPoolExecutor(1, "checkpoints")
        self._saving: tuple[int, concurrent.futures.Future[None]] | None = None
        # Every process for itself: Orbax would wait for the others otherwise.
        process = jax.process_index()
        alone = ocp.options.MultiprocessingOptions(
            primary_host=process,
            active_processes={process},
            barrier_sync_key_prefix=f"process{process}",
        )
        self._orbax = ocp.Checkpointer(
            ocp.StandardCheckpointHandler(multiprocessing_options=alone),
            multiprocessing_options=alone,
        )

    def steps(self) -> list[int]:
        """The steps that have a checkpoint on disk by now, in rising order."""
        names = os.listdir(self.folder) if os.path.isdir(self.folder) else []
        return sorted(int(name) for name in names if re.fullmatch(r"0|[1-9]\d*", name))

    def newest(self) -> str:
        """Where the newest checkpoint is, for messages."""
        steps = self.steps()
        return os.path.join(self.folder, str(steps[-1])) if steps else "none"

    def best_step(self) -> int | None:
        """The step of the best score, or None if no checkpoint has one."""
        sign = -1 if self._best_by.startswith("ssim") else 1
        losses = {
            step: sign * self.scores(step).get(self._best_by, math.nan)
            for step in self.steps()
        }
        finite = {step: loss for step, loss in losses.items() if math.isfinite(loss)}
        return min(finite, key=finite.__getitem__, default=None)

    def scores(self, step: int) -> dict[str, float]:
        """The scores a step was saved with; none if they are damaged."""
        try:
            return dict(self._read(step, "scores.json"))
        except (OSError, ValueError, TypeError):
            return {}

    def about(self, step: int) -> dict[str, Any]:
        """What a step was saved with as `about`.

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
        """Starts to save a state in the background; one that is there already stays.

        Args:
            state: a tree of arrays, replicated if they are on several devices.
            step: its number.
            scores: of the evaluation at this step, if there was one.
            about: whatever else should be known of it, as JSON can hold it.

        Raises:
            InputError: there is no score `best_by`, or the disk refused the checkpoint
                before this one.
        """
        if scores is not None and self._best_by not in scores:
            raise InputError(
                f"the best checkpoint cannot be chosen by {self._best_by!r}; choose "
                f"one of {', '.join(scores)}"
            )
        self.wait()
        if jax.process_index():
            return
        if step in self.steps():
            if not integrity.damage(self._path(step)):
                return
            integrity.delete_folder(self._path(step))
        # Copies, for whoever goes on with the state, or donates its buffers.
        state = jax.tree.map(np.array, state)
        numbers = {name: float(score) for name, score in (scores or {}).items()}
        texts = {
            "about.json": json.dumps(dict(about), indent=1),
            "scores.json": json.dumps(numbers),
            "shapes.json": json.dumps(_shapes(state), indent=1),
        }
        saving = self._background.submit(self._write, state, step, texts)
        self._saving = step, saving

    def wait(self) -> None:
        """Waits until everything is on disk.

        Raises:
            InputError: the disk refused the checkpoint; those before it are intact.
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

    def restore(self, like: Any, step: int) -> Any:
        """Restores the state of a step, on as many devices as there are now.

        Args:
            like: a state of the same structure, of `jax.ShapeDtypeStruct`s that say
                where the arrays go, as `parallel.replicated_like` makes them.
            step: one of `steps()`.

        Raises:
            InputError: there is no such checkpoint, it is damaged, or it is of another
                network.
        """
        self._check(step)
        return self._restore(like, step)

    def restore_newest(self, like: Any) -> tuple[Any, int]:
        """Restores the newest checkpoint that is not damaged, and prints which are.

        Args:
            like: as for `restore`.

        Returns:
            The state and its step.

        Raises:
            InputError: there is no checkpoint, all are damaged, or it is of another
                network.
        """
        self.wait()
        damaged: list[str] = []
        for step in reversed(self.steps()):
            if what := integrity.damage(self._path(step)):
                damaged.append(f"step {step} ({what})")
                continue
            state = self._restore(like, step)
            if damaged and not jax.process_index():
                what = f"damaged: {', '.join(damaged)}; using step {step} instead"
                print(f"{self.folder}: {what}", flush=True)
            return state, step
        if damaged:
            raise InputError(
                f"{self.folder} has only damaged checkpoints: {', '.join(damaged)}; "
                "put back a copy of one, or delete the run folder to begin anew"
            )
        raise InputError(f"{self.folder} has no checkpoint yet; train with train.py")

    def resume(self, like: Any) -> tuple[Any, int] | None:
        """As `restore_newest`, to go on saving from there; None if there is nothing.

        Also deletes the damaged checkpoints after the one that was restored, and what
        a killed process has left. Nothing else may be writing to the folder.
        """
        restored = self.restore_newest(like) if self.steps() else None
        if not jax.process_index() and os.path.isdir(self.folder):
            for step in self.steps():
                if restored and step > restored[1]:
                    integrity.delete_folder(self._path(step))
            integrity.delete_leftovers(self.folder)
        return restored

    def close(self) -> None:
        """Waits until everything is on disk; raises as `wait`."""
        self._background.shutdown()
        self.wait()

    def _write(self, state: Any, step: int, texts: Mapping[str, str]) -> None:
        """Writes a checkpoint and deletes those that are of no more use."""
        with integrity.new_folder(self._path(step)) as part:
            with _orbax_silent():
                path = os.path.join(part, "state")
                self._orbax.save(path, args=ocp.args.StandardSave(state))
            for name, text in texts.items():
                with open(os.path.join(part, name), "w") as file:
                    file.write(text)
        steps = self.steps()
        for old in {*steps} - {*steps[-2:], self.best_step()}:
            integrity.delete_folder(self._path(old))

    def _restore(self, like: Any, step: int) -> Any:
        found, wanted = self._read(step, "shapes.json"), _shapes(like)
        for name in found | wanted:
            if found.get(name) != wanted.get(name):
                raise InputError(
                    f"the checkpoint of step {step} in {self.folder} does not fit the "
                    f"network of its configuration: {name} is {found.get(name)} in it "
                    f"and should be {wanted.get(name)}"
                )
        path = os.path.join(self._path(step), "state")
        return self._orbax.restore(path, args=ocp.args.StandardRestore(like))

    def _check(self, step: int) -> None:
        """Raises InputError unless a step has a checkpoint that is not damaged."""
        self.wait()
        if step not in self.steps():
            raise InputError(
                f"{self.folder} has no checkpoint of step {step}; it has {self.steps()}"
            )
        if what := integrity.damage(self._path(step)):
            raise InputError(
                f"the checkpoint of step {step} in {self.folder} is damaged: {what}; "
                f"choose another of {self.steps()}"
            )

    def _read(self, step: int, name: str) -> dict[str, Any]:
        with open(os.path.join(self._path(step), name)) as file:
            return json.load(file)

    def _path(self, step: int) -> str:
        return os.path.join(self.folder, str(step))


@contextlib.contextmanager
def open_checkpoints(workdir: str, best_by: str = "test_loss") -> Iterator[Checkpoints]:
    """The checkpoints of a run; on leaving, waits until everything is on disk."""
    checkpoints = Checkpoints(workdir, best_by)
    try:
        yield checkpoints
    except BaseException:
        try:
            checkpoints.close()
        except InputError as refused:
            print(refused, flush=True)  # The first error is the one to raise.
        raise
    checkpoints.close()


@contextlib.contextmanager
def _orbax_silent() -> Iterator[None]:
    """Keeps Orbax from logging the tracebacks of errors that it raises as well."""
    logger = logging.getLogger("absl")

    def wanted(record: logging.LogRecord) -> bool:
        return f"{os.sep}orbax{os.sep}" not in record.pathname

    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)


def _shapes(state: Any) -> dict[str, str]:
    """What Orbax would find out half-way, or, if types differ, not at all."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (
            f"{leaf.dtype}{list(leaf.shape)}"
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }
