"""The training loop: `train_and_evaluate(config, workdir)`.

The order is fixed: evaluate, save, load the next batch, step, then log the metrics of
earlier steps. A checkpoint of step k is therefore the state before batch k is loaded.
Since every batch and every random number is a pure function of (seed, step), k + k
steps equal 2 k steps bit for bit. Nothing in the step path waits for the device.
"""

import contextlib
import dataclasses
import os
from collections.abc import Mapping
from typing import Any
from zlib import crc32

from colddiff_jax import devices, prng
from colddiff_jax.data import ImageSplits
from colddiff_jax.data.workers import check_main_guard
from colddiff_jax.degradations.base import Degradation
from colddiff_jax.experiment.model import Model
from colddiff_jax.experiment.prior import measure_prior, save_prior
from colddiff_jax.experiment.run_folder import (
    describe,
    is_run_folder,
    load_description,
    locked,
    save_description,
    scales_of,
)
from colddiff_jax.io import disk
from colddiff_jax.io.checkpoints import Checkpoints, open_checkpoints
from colddiff_jax.restoration.image_set import split_of
from colddiff_jax.training import writers
from colddiff_jax.training.batches import open_batches
from colddiff_jax.training.evaluator import Evaluator
from colddiff_jax.training.interruption import Interrupted, stop_requests
from colddiff_jax.training.options import check_decay, check_first_step, fit_evaluation
from colddiff_jax.training.outputs import Outputs, evaluation_is_due
from colddiff_jax.training.parallel_step import parallel_train_step
from colddiff_jax.training.profile import trace_steps
from colddiff_jax.training.progress import Progress, first_lines
from colddiff_jax.training.same_run import check_same_run
from colddiff_jax.training.state import TrainState
from colddiff_jax.training.step_metrics import StepMetrics
from colddiff_jax.training.task import (
    Task,
    abstract_state,
    build_model_and_task,
    start_state,
    train_step,
)
from colddiff_jax.training.trained import Trained, trained_model


def train_and_evaluate(
    config: Mapping[str, Any],
    workdir: str,
    *,
    splits: ImageSplits | None = None,
    degradation: Degradation | None = None,
    model: Any = None,
    force: bool = False,
) -> Trained:
    """Trains a restorer, or resumes training in its run folder.

    Writes to the run folder: `config.json`, `metrics.jsonl`, `checkpoints/` (the last
    two and the best), `grids/` (clean, degraded, and restored by each sampler) and the
    prior of generated images, `prior.npz`, if there is one.

    Args:
        config: nested fields as in `configs/`; a `ConfigDict` or plain dicts.
        workdir: the run folder; created if it does not exist.
        splits: images to use instead of those that the configuration names, such as
            `data.arrays(train_images, test_images)` in a notebook.
        degradation: D, any object of the protocol, such as one of `from_function` or
            `compose`, in place of the one that the configuration describes. Resuming
            and `load` ask for it again; `config.json` names its class and steps.
        model: R, likewise: a Flax linen module, a Flax NNX module, which starts from
            its own weights, or any other network by `models.from_functions`.
            `config.json` names its class.
        force: whether to continue in a folder of another configuration or other data.

    Returns:
        The trained model, as `load` returns it, with its final state and its metrics.
        After SIGTERM or SIGINT, those of the step at which training stopped; its state
        is saved, and the same call resumes there.

    Raises:
        InputError: an invalid configuration, data that does not fit it, a run folder of
            another configuration, a loss or gradient that is not finite, a loading
            process that has ended, or a script that such processes must not import.

    Example:
        >>> config = get_config("digits_blur:smoke")
        >>> trained = train_and_evaluate(config, "runs/digits_blur")
        >>> trained
        Restorer(gaussian_blur, T = 20; unet, 16 x 16 x 1, 6 steps)
        >>> trained.restore(np.zeros((16, 16, 1), np.uint8)).dtype
        dtype('uint8')

    Reference:
        Bansal et al. (2022), sections 3 and 4.
    """
    check_main_guard()
    if devices.is_main_process():
        print(f"{workdir}: preparing the images and the network", flush=True)
    built, task = _build(config, workdir, splits, degradation, model)
    channels = built.image_shape[-1]
    about = describe(
        built.config,
        task.data.fingerprint(),
        built.scales,
        channels,
        task.data.splits.class_names,
    )
    state = _train_in_folder(workdir, about, built, task, force)
    return trained_model(built, state, workdir, about)


def _train_in_folder(
    workdir: str, about: dict[str, Any], model: Model, task: Task, force: bool
) -> TrainState:
    """Trains, or resumes training, in a run folder; returns the last state."""
    options = task.training
    evaluator = Evaluator(
        model,
        split_of(task.data, task.preprocessing),
        seed=task.seed,
        batch_size=task.evaluation.batch_size,
    )
    devices.check_agreement("configuration and images", crc32(repr(about).encode()))
    like = abstract_state(model, task)
    disk.check_space(os.path.join(workdir, "grids"), like)
    if not force:
        check_same_run(about, workdir)
    with contextlib.ExitStack() as stack:
        stack.enter_context(disk.refusals(workdir))
        stack.enter_context(locked(workdir))
        saved = stack.enter_context(open_checkpoints(workdir, task.evaluation.best_by))
        state, first_step = saved.resume(like) or (start_state(model, task), 0)
        evaluates_first = not first_step or (
            evaluation_is_due(task, first_step) and not saved.scores(first_step)
        )
        devices.check_agreement(f"checkpoints in {workdir}", first_step)
        save_description(about, workdir)
        _save_prior(model, task, workdir)
        progress = Progress(
            options.num_steps,
            options.batch_size,
            quiet=not devices.is_main_process(),
        )
        for line in first_lines(workdir, state, first_step, task, model.config):
            progress.message(line)
        check_first_step(first_step, options.steps_per_call, workdir)
        complete = first_step == options.num_steps and not evaluates_first
        if complete or first_step > options.num_steps:
            progress.message(
                f"nothing to do: training.num_steps = {options.num_steps} is reached"
            )
            return state
        # Consecutive skipped steps just before this run was resumed.
        skipped = int(getattr(state.opt_state, "notfinite_count", 0))
        outputs = Outputs(
            workdir=workdir,
            about=about,
            task=task,
            evaluator=evaluator,
            saved=saved,
            progress=progress,
            logs=_open_logs(
                stack, workdir, first_step, about["config"], task, evaluates_first
            ),
            metrics=StepMetrics(
                options.skip_nonfinite, in_a_row=skipped, last_saved=saved.newest
            ),
        )
        return _train(model, outputs, state, first_step, evaluates_first)


def _train(
    model: Model,
    outputs: Outputs,
    state: TrainState,
    first_step: int,
    evaluates_first: bool,
) -> TrainState:
    """Takes all steps from `first_step` on; returns early after a request to stop."""
    task, options, progress = outputs.task, outputs.task.training, outputs.progress
    steps = parallel_train_step(train_step(model, task))
    degrade = devices.replicate(model.degrade)
    key = devices.replicate(prng.stream(task.seed, "train"))
    with contextlib.ExitStack() as stack:
        training = stack.enter_context(open_batches(task, first_step))
        progress.message(training.text)
        trace = stack.enter_context(
            trace_steps(outputs.workdir, first_step + 10, options.profile_steps)
        )
        stop_requested = stack.enter_context(stop_requests())
        # Several processes must agree to stop, and wait for each other to do so.
        alone = devices.num_processes() == 1
        stop_early = stop_requested if alone else lambda: False
        step = first_step
        try:
            for step in range(first_step, options.num_steps, options.steps_per_call):
                logging = step % options.log_every == 0
                if (logging or alone) and devices.any_process(stop_requested()):
                    raise Interrupted
                if step > first_step or evaluates_first:
                    outputs.evaluate_and_save(state, step, stop_early)
                trace(step, state)
                with outputs.kept(state, step), progress.waiting():
                    batches = next(training.batches)
                if step == first_step:
                    progress.message("compiling the training step")
                state, metrics = steps(state, training.resident, batches, degrade, key)
                if step == first_step:
                    progress.start(step + options.steps_per_call)
                # Metrics of earlier steps are ready by now: reading them does not wait.
                if logging:
                    outputs.log(step)
                outputs.metrics.add(metrics)
            step = options.num_steps
            outputs.evaluate_and_save(state, step, stop_early)
        except Interrupted:
            outputs.save(state, step)
            progress.message(f"stopped and saved at step {step}; run again to resume")
        outputs.saved.wait()
        devices.any_process(False)  # The first process to exit would end the others.
    return state


def _build(
    config: Mapping[str, Any],
    workdir: str,
    splits: ImageSplits | None,
    degradation: Degradation | None,
    network: Any,
) -> tuple[Model, Task]:
    """Builds the model and the task, with the saved scales if a run is resumed."""
    scales = None
    if Checkpoints(workdir).steps() and is_run_folder(workdir):
        scales = scales_of(load_description(workdir))
    model, task = build_model_and_task(
        config,
        splits=splits,
        scales=scales,
        degradation=degradation,
        network=network,
    )
    evaluation = fit_evaluation(task.evaluation, len(task.data.splits.test))
    task = dataclasses.replace(task, evaluation=evaluation)
    decay_steps = model.config["optimizer"]["decay_steps"]
    check_decay(decay_steps, task.training.num_steps)
    devices.check_batch_size(
        "`training.batch_size`",
        task.training.batch_size,
        devices.num_devices(),
        task.training.micro_batches,
    )
    return model, task


def _save_prior(model: Model, task: Task, workdir: str) -> None:
    """Fits the prior of generated images, and keeps it in the run folder."""
    if devices.is_main_process():
        arrays = measure_prior(
            task.prior, model.degrade, task.data, task.preprocessing, task.seed
        )
        save_prior(arrays, workdir)


def _open_logs(
    stack: contextlib.ExitStack,
    workdir: str,
    first_step: int,
    config: dict[str, Any],
    task: Task,
    evaluates_first: bool,
) -> list[writers.Writer]:
    """Opens the writers of the main process, which the stack closes."""
    if not devices.is_main_process():
        return []
    logs = writers.make_writers(
        workdir,
        first_step,
        config,
        evaluates_first=evaluates_first,
        tensorboard=task.logging.tensorboard,
        wandb=task.logging.wandb,
    )
    for log in logs:
        stack.callback(log.close)
    return logs
