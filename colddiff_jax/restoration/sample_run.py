"""Restores test images with a trained model, and writes pictures of them."""

import dataclasses
import functools
import math
import os
import sys
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from colddiff_jax import prng, sampling
from colddiff_jax.checks import InputError
from colddiff_jax.data import Batch
from colddiff_jax.experiment.model import Model
from colddiff_jax.io import disk
from colddiff_jax.restoration.image_set import images_of_run
from colddiff_jax.restoration.labels import check_conditional, parse_label
from colddiff_jax.restoration.loading import load_run, output_folder
from colddiff_jax.restoration.pictures import (
    NUM_PICTURED,
    file_name,
    unused_stem,
    write_pictures,
)
from colddiff_jax.restoration.pixel_scores import pixel_scores
from colddiff_jax.restoration.restore import degrade_batch, restore_images
from colddiff_jax.restoration.restore_options import check_eta
from colddiff_jax.restoration.restorer import Restorer
from colddiff_jax.restoration.samplers import (
    check_consistent,
    check_endpoint,
    check_num_steps,
    check_sampler,
    default_samplers,
    title,
    with_consistent_predictions,
)
from colddiff_jax.sampling.consistency import with_factors

_NUM_IMAGES = 8  # By default.
_NUM_MEASURED = 64  # The number of images that a spacing is measured on.


class SampleOptions(NamedTuple):
    """How to restore; None stands for an option that is not given.

    Attributes:
        sampler: its name in `sampling.SAMPLERS`; "direct" is a single prediction, and
            "" stands for "alg2", or "ihd" if the model predicts the step before.
        steps: the number of steps; 0 for all. A step calls the network once, and with
            heun twice, except for the last.
        spacing: the spacing of the steps: equal "stride" (default), equal ratios of
            severity ("log") or equal changes of the images ("change"), the last two
            measured on test images.
        endpoint: the endpoint of a blend, "fixed" (default) or "estimated" at every
            step.
        label: the class of all images, by its number or, where folders named the
            classes, by its name; or "own" (default) for each image's own.
        guidance: the scale of classifier-free guidance by the label, at least 0.
        eta: with ddim, the fraction of fresh noise, in [0, 1].
        start: the step to degrade to, from which the trajectory starts; 0 for T.
        consistent: make the predictions agree with the images that they are made from;
            see `sampling.consistent`.
    """

    sampler: str = ""
    steps: int = 0
    spacing: Literal["stride", "log", "change"] | None = None
    endpoint: Literal["fixed", "estimated"] | None = None
    label: str | int | None = None
    guidance: float | None = None
    eta: float | None = None
    start: int = 0
    consistent: bool = False

    def with_default_sampler(self, model: Model) -> "SampleOptions":
        """Returns these options with the sampler of a model, if none is given."""
        return self._replace(sampler=self.sampler or default_samplers(model.target)[-1])

    @property
    def row(self) -> str:
        """The sampler and its number of steps, as for `parse_samplers`."""
        steps = f":{self.steps}" * bool(self.steps)
        return self.sampler + "+consistent" * self.consistent + steps

    @property
    def file_name(self) -> str:
        """The file name without extension: the sampler and its options."""
        parts = [self.sampler] + ["consistent"] * self.consistent
        if self.steps:
            parts.append(f"{self.steps}_by_{self.spacing or 'stride'}")
        if self.endpoint == "estimated":
            parts.append(self.endpoint)
        if self.label not in (None, "own"):
            parts.append(f"label_{self.label}")
        if self.guidance not in (None, 1):
            parts.append(f"guidance_{self.guidance:g}")
        if self.eta:
            parts.append(f"eta_{self.eta:g}")
        if self.start:
            parts.append(f"from_{self.start}")
        return "_".join(parts)


def sample_run(
    workdir: str,
    options: SampleOptions = SampleOptions(),  # noqa: B008 (immutable)
    *,
    out: str = "",
    checkpoint: str = "latest",
    num_images: int | None = None,
    batch_size: int = 64,
    seed: int = 0,
    arrays: bool = False,
    trajectory: bool = False,
    gif: bool = False,
) -> list[str]:
    """Degrades and restores test images, and writes a grid that compares them.

    Prints RMSE and SSIM of the degraded and the restored images against the clean ones,
    as in `evaluate`. The names of the files say the options and the seed, and get a
    number if they are taken: nothing is overwritten.

    Args:
        workdir: the run folder, or an exported file.
        options: how to restore.
        out: the folder to write to; by default `samples` in the run folder.
        checkpoint: "latest", "best" or the number of a step.
        num_images: the number of test images; by default 8, or all if there are fewer.
            The pictures show the first 16.
        batch_size: images restored at once, over all devices.
        seed: the seed of the degradation and the sampler.
        arrays: whether to also write the images as npz.
        trajectory: whether to also write a strip of the trajectory.
        gif: whether to also write an animation of the trajectory.

    Returns:
        The paths of the files.

    Raises:
        InputError: options that do not fit the run or each other, or a folder that
            cannot be written to.

    Example:
        >>> options = SampleOptions(sampler="heun", steps=5)
        >>> paths = sample_run("runs/digits_blur", options)
        >>> paths
        ['runs/digits_blur/samples/heun_5_by_stride_step_00000006.png']
    """
    check_sample_options(options, trajectory=trajectory, gif=gif)
    if os.path.isfile(out):
        raise InputError(f"`out` must be a folder, but {out!r} is a file")
    restorer = load_run(workdir, checkpoint)
    options = options.with_default_sampler(restorer.model)
    if options.consistent:
        check_consistent(restorer.model)
        degrade = with_factors(restorer.model.degrade)
        model = dataclasses.replace(restorer.model, degrade=degrade)
        restorer = dataclasses.replace(restorer, model=model)
    batch = _load_batch(restorer, options, num_images)
    timesteps = _choose_timesteps(restorer.model, batch, options, seed)
    sampler = _make_sampler(restorer.model, options, timesteps, trajectory or gif)
    out = out or os.path.join(output_folder(workdir), "samples")
    with disk.refusals(out):
        os.makedirs(out, exist_ok=True)
    restored = restore_images(
        prng.stream(seed, "sample"),
        restorer,
        batch,
        sampler,
        start=int(timesteps[0]),
        batch_size=batch_size,
        guidance=1.0 if options.guidance is None else options.guidance,
        num_trajectories=NUM_PICTURED,
    )
    try:
        restored.result.raise_if_not_finite()
    except FloatingPointError as error:
        raise InputError(f"checkpoint {restorer.step}: {error}") from error
    for name, x in (("degraded", restored.degraded), ("restored", restored.result.x_0)):
        print(f"{name} {pixel_scores(x, restored.clean)}", file=sys.stderr)
    count = num_images if num_images and num_images != _NUM_IMAGES else 0
    name = file_name(options.file_name, count, seed, restorer.step)
    stem = unused_stem(os.path.join(out, name))
    with disk.refusals(out):
        return write_pictures(
            stem,
            restored,
            options.sampler,
            timesteps,
            label=title(options.row),
            arrays=arrays,
            trajectory=trajectory,
            gif=gif,
        )


def check_sample_options(options: SampleOptions, **trajectories: bool) -> None:
    """Raises InputError for options that exclude each other."""
    if options.sampler not in ("", *sampling.SAMPLERS):
        raise InputError(
            f"`sampler` must be among {', '.join(sampling.SAMPLERS)}, got "
            f"{options.sampler!r}"
        )
    if options.sampler == "direct":
        for name, given in {"steps": options.steps, **trajectories}.items():
            if given:
                raise InputError(
                    "the sampler direct is a single prediction, with no steps and no "
                    f"trajectory; leave `{name}` out or choose another sampler"
                )
    if options.spacing is not None and not options.steps:
        raise InputError("`spacing` needs a number of steps; set `steps`")
    check_eta(options.eta, options.sampler)
    if options.guidance is not None:
        if not 0 <= options.guidance < math.inf:
            raise InputError(
                "`guidance` must be a finite number of at least 0, such as 2, got "
                f"{options.guidance}"
            )
        if not options.guidance and options.label is not None:
            raise InputError("`guidance` 0 ignores labels; leave `label` out")


def _load_batch(
    restorer: Restorer, options: SampleOptions, num_images: int | None
) -> Batch:
    """Loads test images, with their own or the given label, and endpoints."""
    images = images_of_run(restorer)
    available = len(images.images)
    if num_images is None:
        num_images = min(_NUM_IMAGES, available)
    if num_images > available:
        raise InputError(f"`num_images` must be at most {available}, got {num_images}")
    if options.guidance is not None:
        check_conditional("guidance", restorer)
    label = parse_label(options.label, restorer)
    batch = images.load(range(num_images))
    if label is None:
        return batch
    return batch._replace(labels=np.full(num_images, label, np.int32))


def _choose_timesteps(
    model: Model, batch: Batch, options: SampleOptions, seed: int
) -> np.ndarray:
    """Returns the timesteps, from the start down to 0."""
    T = model.degrade.num_steps
    start = options.start or T
    if start > T:
        raise InputError(
            f"`start` must lie in 1..{T}, the steps of this run's degradation, got "
            f"{start}"
        )
    # The direct prediction is one step to 0.
    num_calls = 1 if options.sampler == "direct" else options.steps or start
    if num_calls > start:
        raise InputError(f"`steps` must be at most {start}, got {num_calls}")
    check_num_steps(options.sampler, num_calls, start)
    if options.spacing in (None, "stride"):
        return sampling.equal_stride(start, num_calls=num_calls)
    measured = jax.tree.map(lambda leaf: leaf[:_NUM_MEASURED], batch)
    key = prng.stream(seed, "spacing")
    x_0, degrade, _ = degrade_batch(model.degrade, key, measured, T)
    if options.spacing == "change":
        return sampling.equal_change(degrade, x_0, num_calls=num_calls, start=start)
    severities = sampling.measured_severity(degrade, x_0)[:start]
    try:
        return sampling.equal_log_severity(severities, num_calls=num_calls)
    except ValueError as error:  # The first step changes nothing.
        raise InputError(f"`spacing` log: {error}; choose stride or change") from error


def _make_sampler(
    model: Model,
    options: SampleOptions,
    timesteps: np.ndarray,
    return_trajectory: bool,
) -> Callable[..., sampling.SampleResult]:
    """Returns the sampler with its options, which the degradation must support."""
    check_sampler(options.sampler, model.degrade, target=model.target)
    given: dict[str, Any] = {}
    if options.endpoint is not None:
        check_endpoint(options.endpoint, model.degrade, sampler=options.sampler)
        given["endpoint"] = options.endpoint
    if options.eta is not None:
        given["eta"] = options.eta
    sampler = sampling.SAMPLERS[options.sampler]
    return functools.partial(
        with_consistent_predictions(sampler) if options.consistent else sampler,
        timesteps=timesteps,
        check_finite=True,
        return_trajectory=return_trajectory,
        **given,
    )
