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
from zlib import crc32

import jax

from colddiff_jax import checkpoints, disk, parallel, writers
from colddiff_jax.data import ImageSplits
from colddiff_jax.training.draws import stream
from colddiff_jax.training.evaluation import Evaluator
from colddiff_jax.training.experiment import build_experiment
from colddiff_jax.training.feed import open_feed
from colddiff_jax.training.interruption import stop_requests
from colddiff_jax.training.options import check_decay, check_first_step, check_numbers
from colddiff_jax.training.profile import trace_steps
from colddiff_jax.training.progress import Progress
from colddiff_jax.training.recent import RecentMetrics
from colddiff_jax.training.report import report, scores_of
from colddiff_jax.training.run_folder import (
    check_description,
    describe,
    load_scales,
    locked,
    save_description,
)
from colddiff_jax.training.state import TrainState


def train_and_evaluate(
    config: Mapping[str, Any],
    workdir: str,
    *,
    splits: ImageSplits | None = None,
    force: bool = False,
) -> TrainState:
    """Trains a restorer, or goes on training it where the run folder left off.

    Writes to the run folder: `config.json`, `metrics.jsonl`, `checkpoints/` (the last
    two and the best) and `grids/` (clean, degraded, direct, Algorithm 1, Algorithm 2).

    Args:
        config: nested fields as in `configs/`; a `ConfigDict` or plain dicts.
        workdir: the run folder; made if it does not exist.
        splits: images to use instead of those that the configuration names, such as
            `data.arrays(train_images, test_images)` in a notebook.
        force: go on in a folder of another configuration or other data.

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
    resuming = bool(checkpoints.Checkpoints(workdir).steps())
    scales = load_scales(workdir) if resuming else None
    experiment = build_experiment(config, splits=splits, scales=scales)
    options = experiment.training
    check_numbers(options, experiment.evaluation, experiment.splits)
    check_decay(config["optimizer"].get("decay_steps", 0), options.num_steps)
    parallel.check_batch_size(
        "training.batch_size",
        options.batch_size,
        parallel.num_devices(),
        options.micro_batches,
    )
    evaluator = Evaluator(experiment, batch_size=experiment.evaluation.batch_size)
    train_steps = parallel.parallel_train_step(experiment.train_step())
    degrade = parallel.replicate(experiment.degrade)
    key = parallel.replicate(stream(experiment.seed, "train"))
    about = describe(config, experiment.fingerprint(), experiment.scales)
    parallel.check_agreement("configuration and images", crc32(repr(about).encode()))

    # Resume or start.
    abstract_state = experiment.abstract_state()
    disk.check_space(os.path.join(workdir, "grids"), abstract_state)
    if not force:
        check_description(about, workdir)
    with contextlib.ExitStack() as stack:
        stack.enter_context(disk.refusals(workdir))
        stack.enter_context(locked(workdir))
        saved = stack.enter_context(
            checkpoints.open_checkpoints(workdir, experiment.evaluation.best_by)
        )
        state, first_step = saved.resume(abstract_state) or (experiment.start(), 0)
        parallel.check_agreement(f"checkpoints in {workdir}", first_step)
        save_description(about, workdir)
        main = parallel.is_main_process()
        progress = Progress(
            first_step, options.num_steps, options.batch_size, quiet=not main
        )
        num_parameters = sum(x.size for x in jax.tree.leaves(state.params))
        progress.message(
            f"{workdir}: {num_parameters:,} parameters, {parallel.num_devices()} "
            f"{jax.default_backend()} device(s), "
            f"{'resuming at' if first_step else 'starting at'} step {first_step}"
        )
        check_first_step(first_step, options.steps_per_call, workdir)
        if first_step >= options.num_steps:
            progress.message(
                f"nothing to do: training.num_steps = {options.num_steps} is reached"
            )
            return state
        feed = stack.enter_context(open_feed(experiment, first_step))
        progress.message(feed.text)
        logs = (
            writers.make_writers(
                workdir,
                first_step,
                about["config"],
                tensorboard=experiment.logging.tensorboard,
                wandb=experiment.logging.wandb,
            )
            if main
            else []
        )
        for log in logs:
            stack.callback(log.close)
        skipped = getattr(state.opt_state, "notfinite_count", 0)  # In a row.
        recent = RecentMetrics(
            options.skip_nonfinite, in_a_row=int(skipped), last_saved=saved.newest
        )
        trace = stack.enter_context(
            trace_steps(workdir, first_step + 10, options.profile_steps)
        )
        stop_requested = stack.enter_context(stop_requests())

        def evaluate_and_save(
            step: int, *, last: bool = False, stopping: bool = False
        ) -> None:
            evaluating = last or step % options.evaluate_every == 0
            saving = last or stopping or step % options.checkpoint_every == 0
            # Waits for the steps before: what is not finite must never be saved, and
            # their metrics must be written first, since a resumed run begins after.
            if saving:
                _log(recent, step, progress, logs)
            elif evaluating:
                recent.check(step)
            with progress.paused():
                scores = None
                if evaluating:
                    num_images = experiment.evaluation.num_images
                    evaluation = evaluator(state.ema_params, num_images)
                    scores = scores_of(evaluation)
                    if main:
                        progress.message(
                            report(evaluation, scores, step, workdir, logs)
                        )
                if saving:
                    saved.save(state, step, scores, about)
            if last or stopping:  # Who leaves early takes the others along.
                saved.wait()
                parallel.any_process(False)

        # Train.
        for step in range(first_step, options.num_steps, options.steps_per_call):
            looking = step % options.log_every == 0
            # Several processes must agree to stop, for which they wait for each other.
            stopping = (looking or parallel.num_processes() == 1) and (
                parallel.any_process(stop_requested())
            )
            if step > first_step or step == 0:
                evaluate_and_save(step, stopping=stopping)
            if stopping:
                progress.message(
                    f"stopped and saved at step {step}; run again to resume"
                )
                return state
            trace(step, state)
            with progress.waiting():
                batches = next(feed.batches)
            state, metrics = train_steps(state, feed.resident, batches, degrade, key)
            # Metrics of the steps before are ready by now: reading them waits for none.
            if looking:
                _log(recent, step, progress, logs)
            recent.add(metrics)
        evaluate_and_save(options.num_steps, last=True)
    return state


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
    speed = progress.report(step, means.get("loss", math.nan))
    for log in logs:
        log.scalars(step, {**means, **speed})
