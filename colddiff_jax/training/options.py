"""Options of a training run: the sections training, evaluation and logging."""

import dataclasses
from collections.abc import Sequence
from importlib.util import find_spec

from colddiff_jax import devices
from colddiff_jax.checks import InputError, check_choice, check_integer

# Only slips exceed these; integers are int32 on devices.
_MAX_WORKERS = 1024
_MAX_COUNT = 2**31 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The length of a run, its batches, and the intervals of the loop.

    Attributes:
        batch_size: images per step, over all devices of all processes; if there are
            fewer, a step sees some of them several times, each time with another t.
        micro_batches: parts of a device's shard of the batch that are processed one
            after the other, for batches that do not fit in memory. The step is the same
            up to rounding.
        steps_per_call: steps that the devices take without returning to the host;
            useful where a step takes less than a few milliseconds. The intervals below
            and num_steps must be multiples of it.
        num_steps: optimizer steps in total.
        log_every: steps between two lines of metrics; each checkpoint adds a line.
        evaluate_every: steps between two evaluations.
        checkpoint_every: steps between two checkpoints.
        skip_nonfinite: the number of consecutive steps with a non-finite gradient that
            are skipped; one more ends the run with an error.
        resident_mb: megabytes (10^6 bytes) of training images that may be kept on every
            device, so that a batch is only a list of indices; larger sets are streamed.
            The batches are the same. 0 always streams; None is a quarter of the
            device's memory, or 2000 where its size is unknown, as on CPUs. With
            `data.crop`: megabytes of decoded images in the host's memory (per process),
            and None is 2000.
        num_workers: processes that load streamed images; 0 for two threads, which is
            enough for small images.
        profile_steps: steps to profile, starting ten steps after the start; the trace,
            for TensorBoard or xprof, goes to `profile` in the run folder.
    """

    batch_size: int = 128
    micro_batches: int = 1
    steps_per_call: int = 1
    num_steps: int = 200_000
    log_every: int = 100
    evaluate_every: int = 5_000
    checkpoint_every: int = 5_000
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
            check_integer(
                field.name,
                value,
                least=int(field.name not in may_be_zero),
                cap=_MAX_WORKERS if field.name == "num_workers" else _MAX_COUNT,
            )
        for name in ("num_steps", "log_every", "evaluate_every", "checkpoint_every"):
            if getattr(self, name) % self.steps_per_call:
                raise ValueError(
                    f"{name} must be a multiple of steps_per_call = "
                    f"{self.steps_per_call}, got {getattr(self, name)}"
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Evaluations during training.

    Attributes:
        num_images: test images to score; all of them if there are fewer.
        batch_size: images restored at once, over all devices of one process.
        best_by: the score that selects the best checkpoint, such as "test_loss",
            "rmse_alg2" or "ssim_direct"; higher is better for SSIM, lower for the
            others. The samplers are direct, alg1 and alg2, or ihd alone for a network
            with `objective.target` "previous".
    """

    num_images: int = 256
    batch_size: int = 128
    best_by: str = "test_loss"

    def __post_init__(self) -> None:
        check_integer("num_images", self.num_images)
        check_integer("batch_size", self.batch_size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoggingOptions:
    """Writers in addition to `metrics.jsonl`; see `training.writers.make_writers`.

    Attributes:
        tensorboard: whether to write event files for TensorBoard.
        wandb: the project of Weights & Biases to write to; None or "" for none.
    """

    tensorboard: bool = False
    wandb: str | None = None

    def __post_init__(self) -> None:
        """Raises InputError if a package is missing: before any work, not after it."""
        for name, package in (("tensorboard", "tensorboardX"), ("wandb", "wandb")):
            if getattr(self, name) and find_spec(package) is None:
                raise InputError(
                    f"`logging.{name}` needs {package}: "
                    f"pip install 'colddiff-jax[{name}]'"
                )


def check_best_by(best_by: str, samplers: Sequence[str]) -> None:
    """Raises InputError unless a score is one that is computed during training."""
    choices = ["test_loss", *(f"{s}_{m}" for s in ("rmse", "ssim") for m in samplers)]
    try:
        check_choice("`evaluation.best_by`", best_by, choices)
    except ValueError as error:
        raise InputError(str(error)) from error


def fit_evaluation(options: EvaluationOptions, num_test: int) -> EvaluationOptions:
    """Returns options for a test set that may have fewer images than they ask for."""
    num_images = min(options.num_images, num_test)
    # Batches are padded to their full size: a larger one would restore padding.
    batch_size = min(options.batch_size, devices.divisible(num_images))
    return dataclasses.replace(options, num_images=num_images, batch_size=batch_size)


def check_decay(decay_steps: int, num_steps: int) -> None:
    """Raises InputError if the learning rate is zero in the last steps."""
    if 0 < decay_steps < num_steps:
        raise InputError(
            f"the learning rate is 0 from `optimizer.decay_steps` = {decay_steps} on, "
            f"before `training.num_steps` = {num_steps}; set both to the same number "
            "(a run that has begun needs `force` for that), or decay_steps to 0 for a "
            "constant rate"
        )


def check_first_step(first_step: int, steps_per_call: int, workdir: str) -> None:
    """Raises InputError if a run cannot be resumed in calls of this many steps."""
    if first_step % steps_per_call:
        raise InputError(
            f"{workdir} stopped at step {first_step}, which is not a multiple of "
            f"`training.steps_per_call` = {steps_per_call}; resume it with 1, or with "
            "the previous value"
        )
