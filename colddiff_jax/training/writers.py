"""Writers of scalars and pictures: JSON lines, TensorBoard, Weights & Biases."""

import json
import os
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from colddiff_jax.io.atomic import write_atomically


class Writer(Protocol):
    """Receives the scalars and pictures of a run."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the values of a step."""
        ...

    def image(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Writes one uint8 picture [H, W, 3]."""
        ...

    def close(self) -> None:
        """Writes buffered values and closes the writer."""
        ...


class JsonLines:
    """Writes one JSON object per line to `metrics.jsonl`; every run has this writer.

    A run that resumes at `first_step` first drops the lines that it will write again:
    those of later steps, of step 0 if it starts there, and the evaluation of
    `first_step` if it `evaluates_first`. Lines that cannot be read, such as the torn
    last line of a killed run, are dropped and counted on stdout.
    """

    def __init__(self, workdir: str, first_step: int, *, evaluates_first: bool = False):
        path = os.path.join(workdir, "metrics.jsonl")
        if os.path.exists(path):
            with open(path, "rb") as file:
                lines = [line for line in file.read().split(b"\n") if line.strip()]
            found = [_values(line) for line in lines]
            if unreadable := found.count(None):
                plural = "" if unreadable == 1 else "s"
                print(f"{path}: dropped {unreadable} unreadable line{plural}")

            def again(values: Mapping[str, Any]) -> bool:
                if values["step"] != first_step:
                    return values["step"] > first_step
                return not first_step or (evaluates_first and "test_loss" in values)

            kept = [
                line + b"\n"
                for line, values in zip(lines, found, strict=True)
                if values is not None and not again(values)
            ]
            write_atomically(path, b"".join(kept))
        self._file = open(path, "a")  # noqa: SIM115 (open as long as the run)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Appends one line and flushes it."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()

    def image(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Does nothing: pictures are saved as separate files."""
        del step, name, pixels

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class TensorBoard:
    """Writes TensorBoard event files to the run folder, through tensorboardX.

    TensorBoard hides what a killed run has written for steps after `first_step`.
    """

    def __init__(self, workdir: str, first_step: int):
        import tensorboardX

        self._writer = tensorboardX.SummaryWriter(
            workdir, purge_step=first_step and first_step + 1
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Adds one point to the curve of every value."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def image(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Adds a picture."""
        self._writer.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Writes buffered values and closes the writer."""
        self._writer.close()


class WeightsAndBiases:
    """Logs to a Weights & Biases run, which continues when the training run resumes."""

    def __init__(self, workdir: str, project: str, config: dict[str, Any]):
        import wandb

        self._wandb = wandb
        self._run = wandb.init(
            project=project,
            dir=workdir,
            name=os.path.basename(os.path.abspath(workdir)),
            id=run_id(workdir),
            resume="allow",
            config=config,
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Logs the values of a step."""
        self._run.log(dict(values), step=step)

    def image(self, step: int, name: str, pixels: np.ndarray) -> None:
        """Logs a picture."""
        self._run.log({name: self._wandb.Image(pixels)}, step=step)

    def close(self) -> None:
        """Ends the run."""
        self._run.finish()


def run_id(workdir: str) -> str:
    """Returns the unique id of a run, stored in its folder; the first call draws it."""
    path = os.path.join(workdir, "run_id.txt")
    if not os.path.exists(path):
        write_atomically(path, f"{uuid.uuid4().hex}\n".encode())
    with open(path) as file:
        return file.read().strip()


def make_writers(
    workdir: str,
    first_step: int,
    config: dict[str, Any],
    *,
    evaluates_first: bool = False,
    tensorboard: bool = False,
    wandb: str | None = None,
) -> list[Writer]:
    """Opens the writers that a configuration selects.

    Args:
        workdir: the run folder.
        first_step: the step the run starts or resumes at.
        config: the whole configuration, shown by Weights & Biases.
        evaluates_first: whether the evaluation of `first_step` is still due.
        tensorboard: whether to write TensorBoard event files, too.
        wandb: the Weights & Biases project to log to; None or "" for none.
    """
    writers: list[Writer] = [
        JsonLines(workdir, first_step, evaluates_first=evaluates_first)
    ]
    if tensorboard:
        writers.append(TensorBoard(workdir, first_step))
    if wandb:
        writers.append(WeightsAndBiases(workdir, wandb, config))
    return writers


def last_metrics(workdir: str) -> dict[str, float]:
    """Returns the last value of each metric in the `metrics.jsonl` of a run folder."""
    path = os.path.join(workdir, "metrics.jsonl")
    if not os.path.exists(path):
        return {}
    with open(path, "rb") as file:
        found = [_values(line) or {} for line in file]
    last = {name: x for values in found for name, x in values.items()}
    last.pop("step", None)
    return last


def _values(line: bytes) -> dict[str, Any] | None:
    """Returns the values of a line and their step, or None if the line is damaged."""
    try:
        values = json.loads(line.decode())
        return values if type(values["step"]) is int else None
    except (ValueError, KeyError, TypeError):
        return None
