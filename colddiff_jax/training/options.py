"""The options of a run that belong to no function of their own."""

import dataclasses

from colddiff_jax.data import ImageSplits
from colddiff_jax.errors import InputError

METHODS = ("degraded", "direct", "alg1", "alg2")
"""What an evaluation scores."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How long to train and when to look.

    Attributes:
        batch_size: images per step, over all devices of all processes.
        num_steps: optimiser steps in all.
        log_every: steps between two lines of metrics; every checkpoint has one, too.
        evaluate_every: steps between two evaluations.
        checkpoint_every: steps between two checkpoints.
        micro_batches: parts of a device's share of the batch that are worked on one
            after the other, for batches that do not fit in memory. The step is the same
            to rounding.
        steps_per_call: steps that the devices take in one go, without the host; worth
            it where a step is shorter than some milliseconds. The numbers of steps
            above must be multiples of it.
        skip_nonfinite: steps in a row whose gradient is not finite and that are skipped
            instead of ending the run.
        resident_mb: megabytes (10^6 bytes) of training images that may be kept on every
            device, where a batch is then only a list of numbers; larger sets are
            streamed. The batches are the same. 0 streams always; None is a quarter of
            the device's memory, or 2000 where it does not tell, as CPUs do.
        num_workers: processes that load what is streamed; 0 for two threads, enough for
            small images.
        profile_steps: steps to profile, from the tenth after the start on; the trace,
            for TensorBoard or xprof, goes to `profile` in the run folder.
    """

    batch_size: int
    num_steps: int
    log_every: int
    evaluate_every: int
    checkpoint_every: int
    micro_batches: int = 1
    steps_per_call: int = 1
    skip_nonfinite: int = 0
    resident_mb: int | None = None
    num_workers: int = 0
    profile_steps: int = 0

    def __post_init__(self) -> None:
        may_be_zero = ("skip_nonfinite", "resident_mb", "num_workers", "profile_steps")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "resident_mb" and value is None:
                continue
            least = 0 if field.name in may_be_zero else 1
            if not isinstance(value, int) or value < least:
                raise InputError(
                    f"training.{field.name} must be an integer of at least {least}, "
                    f"got {value!r}"
                )
        for name in ("num_steps", "log_every", "evaluate_every", "checkpoint_every"):
            if getattr(self, name) % self.steps_per_call:
                raise InputError(
                    f"training.{name} must be a multiple of training.steps_per_call = "
                    f"{self.steps_per_call}, got {getattr(self, name)}"
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What an evaluation during training looks at.

    Attributes:
        num_images: test images to score; at most as many as there are.
        batch_size: images restored at once, over the devices of one process.
        best_by: the score by which the best checkpoint is kept, such as "test_loss",
            "rmse_alg2" or "ssim_direct"; SSIM is better higher, all others lower.
    """

    num_images: int
    batch_size: int
    best_by: str = "test_loss"

    def __post_init__(self) -> None:
        for name in ("num_images", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(
                    f"evaluation.{name} must be an integer of at least 1, got {value!r}"
                )
        names = ["test_loss"]
        names += [f"{s}_{m}" for s in ("rmse", "ssim") for m in METHODS[1:]]
        if self.best_by not in names:
            raise InputError(
                f"evaluation: best_by must be one of {', '.join(names)}, got "
                f"{self.best_by!r}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoggingOptions:
    """Writers beside `metrics.jsonl`; see `colddiff_jax.writers.make_writers`."""

    tensorboard: bool = False
    wandb: str = ""


def check_numbers(
    training: TrainingOptions, evaluation: EvaluationOptions, splits: ImageSplits
) -> None:
    """Raises InputError where more images are asked for than there are."""
    if training.batch_size > len(splits.train):
        raise InputError(
            f"training.batch_size must be at most {len(splits.train)}, the number of "
            f"training images, got {training.batch_size}"
        )
    if evaluation.num_images > len(splits.test):
        raise InputError(
            f"evaluation.num_images must lie in 1..{len(splits.test)}, the number of "
            f"test images, got {evaluation.num_images}"
        )


def check_decay(decay_steps: int, num_steps: int) -> None:
    """Raises InputError where the last steps would learn nothing."""
    if 0 < decay_steps < num_steps:
        raise InputError(
            f"the learning rate is 0 from optimizer.decay_steps = {decay_steps} on, "
            f"before training.num_steps = {num_steps}; set both to the same number "
            "(a run that has begun needs --force for that), or decay_steps to 0 for a "
            "constant rate"
        )


def check_first_step(first_step: int, steps_per_call: int, workdir: str) -> None:
    """Raises InputError where a run cannot go on in calls of so many steps."""
    if first_step % steps_per_call:
        raise InputError(
            f"{workdir} stopped at step {first_step}, which is no multiple of "
            f"training.steps_per_call = {steps_per_call}; resume it with 1, or with "
            "the number it had"
        )
