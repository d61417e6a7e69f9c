"""Generates images with a trained model, and writes pictures of them."""

import os
from typing import Any

import numpy as np

from colddiff_jax import prng
from colddiff_jax.checks import InputError
from colddiff_jax.io import disk, figures
from colddiff_jax.io.atomic import save_npz
from colddiff_jax.io.images import to_uint8
from colddiff_jax.restoration.generation import prepare_generation
from colddiff_jax.restoration.labels import check_conditional, parse_label
from colddiff_jax.restoration.loading import load_run, output_folder
from colddiff_jax.restoration.pictures import (
    captions,
    file_name,
    shown_steps,
    unused_stem,
    with_predictions,
)
from colddiff_jax.restoration.sample_run import (
    SampleOptions,
    check_sample_options,
)
from colddiff_jax.sampling import Prior, SampleResult, equal_stride
from colddiff_jax.sampling.priors import with_noise

_NUM_SHOWN = 64  # Images in the picture.
_NUM_MOVING = 16  # Images in the animation.
_NUM_STRIPS = 8  # Images in the strip.


def generate_run(
    workdir: str,
    num_images: int,
    options: SampleOptions = SampleOptions(),  # noqa: B008 (immutable)
    *,
    prior: Prior | None = None,
    prior_noise: float | None = None,
    interpolate: bool = False,
    out: str = "",
    checkpoint: str = "latest",
    batch_size: int = 64,
    seed: int = 0,
    files: bool = False,
    arrays: bool = False,
    trajectory: bool = False,
    gif: bool = False,
) -> list[str]:
    """Generates images from nothing, and writes a picture of the first 64.

    The names of the files say the options, the number of images and the seed, and get a
    number if they are taken: nothing is overwritten.

    Args:
        workdir: the run folder, or an exported file.
        num_images: the number of images; image i depends on the seed and on i alone.
        options: the sampler, its steps, the endpoint of a blend, eta, the label of all
            images and the scale of guidance by it.
        prior: where images begin; None for the prior of the model.
        prior_noise: the standard deviation of the noise added to draws of a fitted
            prior, in image units; 0 keeps flat images flat. None for the run's.
        interpolate: let the images change from one to another.
        out: the folder to write to; by default `generated` in the run folder.
        checkpoint: "latest", "best" or the number of a step.
        batch_size: images generated at once, over all devices.
        seed: the seed of all draws.
        files: whether to also write every image as a PNG file, into a folder.
        arrays: whether to also write the images as npz, uint8 [N, H, W, C].
        trajectory: whether to also write a strip of the trajectories of 8 images, and
            of their predictions.
        gif: whether to also write an animation of 16 images.

    Returns:
        The paths of the files, and of the folder.

    Raises:
        InputError: a model that does not say where images begin, options that do not
            fit it or each other, or a folder that cannot be written to.

    Example:
        >>> prior = sampling.EmpiricalPrior(np.zeros((1, 16, 16, 1), np.float32))
        >>> paths = generate_run("runs/digits_blur", 4, prior=prior)
        >>> paths
        ['runs/digits_blur/generated/alg2_4_images_step_00000006.png']
    """
    check_sample_options(options, trajectory=trajectory, gif=gif)
    if os.path.isfile(out):
        raise InputError(f"`out` must be a folder, but {out!r} is a file")
    restorer = load_run(workdir, checkpoint)
    options = options.with_default_sampler(restorer.model)
    if options.guidance is not None:
        check_conditional("guidance", restorer)
    given: dict[str, Any] = {
        "sampler": options.sampler,
        "steps": options.steps or None,
        "endpoint": options.endpoint,
        "eta": options.eta,
        "labels": parse_label(options.label, restorer),
        "guidance": 1.0 if options.guidance is None else options.guidance,
        "interpolate": interpolate,
        "batch_size": batch_size,
    }
    prior = with_noise(restorer.prior if prior is None else prior, prior_noise)
    parts = (restorer.model, restorer.params, prior, prng.stream(seed, "generate"))
    generate = prepare_generation(*parts, num_images, **given)
    out = out or os.path.join(output_folder(workdir), "generated")
    with disk.refusals(out):
        os.makedirs(out, exist_ok=True)
    result = generate(progress="generating")
    moving = None
    if trajectory or gif:
        few = min(num_images, _NUM_MOVING)
        moving = prepare_generation(*parts, few, **given, return_trajectory=True)()
    name = options.file_name + "_interpolated" * interpolate
    name += "" if prior_noise is None else f"_noise_{prior_noise:g}"
    name = file_name(name, num_images, seed, restorer.step)
    stem = unused_stem(os.path.join(out, name))
    with disk.refusals(out):
        paths = _write(stem, result.x_0, files=files, arrays=arrays)
        if moving is not None:
            T = restorer.degradation.num_steps
            timesteps = equal_stride(T, num_calls=options.steps or T)
            paths += _write_trajectory(
                stem, moving, timesteps, trajectory=trajectory, gif=gif
            )
    for path in paths:
        print(path)
    return paths


def _write(stem: str, x_0: np.ndarray, *, files: bool, arrays: bool) -> list[str]:
    """Writes the picture, the npz file and the folder of images."""
    paths = [f"{stem}.png"]
    figures.save_png(paths[0], figures.mosaic(x_0[:_NUM_SHOWN]))
    if arrays:
        paths.append(f"{stem}.npz")
        save_npz(paths[-1], images=to_uint8(x_0))
    if files:
        paths.append(stem)
        os.makedirs(stem, exist_ok=True)
        for i, image in enumerate(x_0):
            path = os.path.join(stem, f"{i:06d}.png")
            figures.save_png(path, figures.strip(image[None]))
    return paths


def _write_trajectory(
    stem: str,
    result: SampleResult,
    timesteps: np.ndarray,
    *,
    trajectory: bool,
    gif: bool,
) -> list[str]:
    """Writes the strip, with about ten steps per image, and the animation."""
    paths = []
    steps, predictions = with_predictions(result)
    times = captions(timesteps)
    if trajectory:
        paths.append(f"{stem}_trajectory.png")
        shown = shown_steps(len(steps))
        rows = {}
        for i in range(min(_NUM_STRIPS, steps.shape[1])):
            rows[f"{i}: x_t"] = steps[shown, i]
            rows[f"{i}: R(x_t, t)"] = predictions[shown, i]
        columns = [times[i] for i in shown]
        figures.save_png(paths[-1], figures.grid(rows, columns=columns))
    if gif:
        paths.append(f"{stem}.gif")
        frames = [
            figures.captioned(figures.mosaic(x_t), t)
            for x_t, t in zip(steps, times, strict=True)
        ]
        figures.save_gif(paths[-1], frames)
    return paths
