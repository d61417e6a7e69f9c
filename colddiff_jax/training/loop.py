"""The training loop: `train_and_evaluate(config, workdir)`.

Its order is a contract: evaluate, save, next batch, step, then log the metrics of
earlier steps. A checkpoint of step k is therefore the state before batch k is drawn,
and since every batch and every random number is a pure function of (seed, step), k + k
steps equal 2 k steps bit for bit. Nothing in the step path waits for the device.
"""

import contextlib
import math
import os
from collections.abc import Mapping
from typing import Any

import jax

from colddiff_jax import checkpoints, figures, parallel, writers
from colddiff_jax.data import train_batches
from colddiff_jax.training.evaluation import Evaluation, Evaluator
from colddiff_jax.training.experiment import (
    Experiment,
    build_experiment,
    load_config,
    save_config,
)
from colddiff_jax.training.interruption import stop_requests
from colddiff_jax.training.progress import Progress
from colddiff_jax.training.recent import RecentMetrics
from colddiff_jax.training.state import TrainState
from colddiff_jax.training.step import make_train_step, stream


def train_and_evaluate(config: Mapping[str, Any], workdir: str) -> TrainState:
    """Trains a restorer, or goes on training it where the run folder left off.

    Writes to the run folder: `config.json`, `metrics.jsonl`, `checkpoints/` (the last
    two and the best) and `grids/` (clean, degraded, direct, Algorithm 1, Algorithm 2).

    Args:
        config: nested fields as in `configs/`; a `ConfigDict` or plain dicts.
        workdir: the run folder; made if it does not exist.

    Returns:
        The final state, on all local devices. After SIGTERM or SIGINT, that of the step
        it stopped at, which is saved: the same call goes on from there.

    Raises:
        InputError: a configuration or data that do not fit, a run folder of another
            configuration, or a loss or gradient that is no longer finite.

    Example:
        >>> from configs import digits_blur
        >>> state = train_and_evaluate(digits_blur.get_config("smoke"), "runs/digits")

    Reference:
        Bansal et al. (2022), sections 3 and 4.
    """
    # Set up.
    experiment = build_experiment(config)
    options = experiment.training
    num_devices = jax.local_device_count()
    parallel.check_batch_size(
        "training.batch_size", options.batch_size, num_devices, options.micro_batches
    )
    evaluator = Evaluator(
        experiment.model,
        experiment.degrade,
        experiment.splits.test,
        experiment.preprocessing,
        seed=experiment.seed,
        batch_size=experiment.evaluation.batch_size,
    )
    train_step = parallel.parallel_train_step(
        make_train_step(
            experiment.model,
            experiment.optimizer,
            experiment.ema_decay,
            experiment.distance,
            options.micro_batches,
        )
    )
    degrade = parallel.replicate(experiment.degrade)
    key = parallel.replicate(stream(experiment.seed, "train"))

    # Resume or start.
    os.makedirs(os.path.join(workdir, "grids"), exist_ok=True)
    save_config(config, workdir)
    with contextlib.ExitStack() as stack:
        saved = stack.enter_context(checkpoints.open_checkpoints(workdir))
        state, first_step = _restore_or_initialize(experiment, saved)
        size = sum(x.size for x in jax.tree.leaves(state.params))
        print(
            f"{workdir}: {size:,} parameters, {num_devices} {jax.default_backend()} "
            f"device(s), {'resuming at' if first_step else 'starting at'} step "
            f"{first_step}",
            flush=True,
        )
        if first_step >= options.num_steps:
            print(f"nothing to do: training.num_steps = {options.num_steps} is reached")
            return state
        batches = train_batches(
            experiment.splits.train,
            experiment.preprocessing,
            options.batch_size,
            seed=experiment.seed,
            first_step=first_step,
        )
        logs = writers.make_writers(
            workdir,
            first_step,
            load_config(workdir),
            tensorboard=experiment.logging.tensorboard,
            wandb=experiment.logging.wandb,
        )
        for log in logs:
            stack.callback(log.close)
        progress = Progress(first_step, options.num_steps, options.batch_size)
        recent = RecentMetrics(options.skip_nonfinite)
        stop_requested = stack.enter_context(stop_requests())

        def evaluate_and_save(
            step: int, *, last: bool = False, stopping: bool = False
        ) -> None:
            evaluating = last or step % options.evaluate_every == 0
            saving = last or stopping or step % options.checkpoint_every == 0
            if evaluating or saving:
                recent.check(step)  # What is not finite must never be saved.
            scores = None
            if evaluating:
                num_images = experiment.evaluation.num_images
                evaluation = evaluator(state.ema_params, num_images)
                scores = {"test_loss": evaluation.loss}
                progress.message(_report(evaluation, step, workdir, logs))
            if saving:
                saved.save(state, step, scores, {})

        # Train.
        for step in range(first_step, options.num_steps):
            stopping = stop_requested()
            if step > first_step or step == 0:
                with progress.paused():
                    evaluate_and_save(step, stopping=stopping)
            if stopping:
                _log(recent, step, progress, logs)
                progress.message(
                    f"stopped and saved at step {step}; run again to resume"
                )
                return state
            batch = parallel.shard(next(batches), num_devices)
            state, metrics = train_step(state, batch, degrade, key)
            # Metrics of the steps before are ready by now: reading them waits for none.
            if step % options.log_every == 0:
                _log(recent, step, progress, logs)
            recent.add(metrics)
        _log(recent, options.num_steps, progress, logs)
        evaluate_and_save(options.num_steps, last=True)
    return state


def _restore_or_initialize(
    experiment: Experiment, saved: checkpoints.Checkpoints
) -> tuple[TrainState, int]:
    """The newest state of the run folder, or a new one, and its step."""
    if restored := saved.resume(experiment.abstract_state()):
        return restored
    # Hundreds of random draws that run once: what counts is to compile them quickly.
    fast = {"xla_backend_optimization_level": 0}
    initial_state = jax.jit(experiment.initial_state, compiler_options=fast)
    return parallel.replicate(initial_state()), 0


def _log(
    recent: RecentMetrics,
    step: int,
    progress: Progress,
    logs: list[writers.Writer],
) -> None:
    """Writes the mean of the metrics of the steps since the last call, if any."""
    if not recent:
        return
    means = recent.means(step)
    rate = progress.report(step, means.get("loss", math.nan))
    for log in logs:
        log.scalars(step, {**means, "steps_per_second": rate})


def _report(
    evaluation: Evaluation, step: int, workdir: str, logs: list[writers.Writer]
) -> str:
    """Writes an evaluation and its grid, and returns the line to print."""
    scores = {"test_loss": evaluation.loss}
    scores |= {f"rmse_{method}": value for method, value in evaluation.rmse.items()}
    scores |= {f"ssim_{method}": value for method, value in evaluation.ssim.items()}
    picture = figures.grid(evaluation.examples)
    path = os.path.join(workdir, "grids", f"step_{step:08d}.png")
    figures.save_png(path, picture)
    for log in logs:
        log.scalars(step, scores)
        log.image(step, "grid", picture)
    rmse = "  ".join(
        f"{method} {value:.3f}" for method, value in evaluation.rmse.items()
    )
    return f"step {step}  test loss {evaluation.loss:.4f}  RMSE {rmse}  {path}"
