"""Restores test images with a trained run.

python sample.py --workdir=runs/digits_blur
python sample.py --workdir=runs/digits_blur --sampler=heun --steps=5 --spacing=change
python sample.py --workdir=runs/digits_blur --start=10 --num_images=4
python sample.py --workdir=runs/digits_blur --arrays --trajectory --gif
python sample.py --workdir=runs/with_classes --label=3 --guidance=2
python sample.py --workdir=runs/animorph --endpoint=estimated

Writes a grid (clean, degraded, restored) to samples/ in the run folder, or to --out;
with --arrays also the images as npz, with --trajectory a strip and with --gif an
animation of the way from the degraded to the restored image.
"""

import functools
import math
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from absl import flags

from colddiff_jax import disk, figures, images, programs, sampling
from colddiff_jax.data import Batch
from colddiff_jax.degradations import Blend
from colddiff_jax.errors import InputError
from colddiff_jax.evaluation.image_set import load_batch, split_of
from colddiff_jax.evaluation.methods import SAMPLERS as WITHOUT_DRAWS
from colddiff_jax.evaluation.methods import check_endpoint
from colddiff_jax.restoring import Sampler, restore_images
from colddiff_jax.runs import Run, load_run, outputs_of
from colddiff_jax.training.components import needs_endpoints
from colddiff_jax.training.draws import stream
from colddiff_jax.training.objective import bind
from colddiff_jax.writers import save_npz

_PICTURED = 16  # Images in the pictures.
_MEASURED = 64  # Images that a spacing is measured on.

SAMPLERS: dict[str, Callable[..., sampling.SampleResult]] = {
    **WITHOUT_DRAWS,
    "ddim": sampling.sample_ddim,
}

_WORKDIR = flags.DEFINE_string(
    "workdir", "", "run folder of train.py, or file of colddiff_jax.export"
)
_OUT = flags.DEFINE_string("out", "", "folder to write to; default WORKDIR/samples")
_SAMPLER = flags.DEFINE_enum(
    "sampler", "alg2", list(SAMPLERS), "how to restore; direct is one prediction"
)
_STEPS = flags.DEFINE_integer(
    "steps",
    0,
    "steps of the sampler; 0: every one. Each is one call of the network, with heun "
    "two but for the last",
    lower_bound=0,
)
_SPACING = flags.DEFINE_enum(
    "spacing",
    "stride",
    ["stride", "log", "change"],
    "which steps: equal distances, equal ratios of severity, or equal changes of the "
    "images, the last two measured on test images",
)
_ENDPOINT = flags.DEFINE_enum(
    "endpoint",
    "fixed",
    ["fixed", "estimated"],
    "of a blend with noise, a colour or images: held, or solved for at every step",
)
_LABEL = flags.DEFINE_string(
    "label", "own", "the class of all images, or own for each image's own"
)
_GUIDANCE = flags.DEFINE_float(
    "guidance", 1.0, "how strongly to follow the label; 0: not at all", 0.0
)
_ETA = flags.DEFINE_float(
    "eta", 0.0, "with ddim, the share of noise drawn anew", 0.0, 1.0
)
_START = flags.DEFINE_integer(
    "start", 0, "degrade to this step only, and begin there; 0: the last", lower_bound=0
)
_CHECKPOINT = flags.DEFINE_string("checkpoint", "latest", "latest, best or a step")
_NUM_IMAGES = flags.DEFINE_integer(
    "num_images",
    8,
    f"test images to restore; the pictures show the first {_PICTURED}",
    lower_bound=1,
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 64, "images restored at once, over all devices", lower_bound=1
)
_SEED = flags.DEFINE_integer("seed", 0, "of the random part of the degradation")
_ARRAYS = flags.DEFINE_bool("arrays", False, "also write the images as npz")
_TRAJECTORY = flags.DEFINE_bool(
    "trajectory", False, "also write a strip of the way back"
)
_GIF = flags.DEFINE_bool("gif", False, "also write an animation of the way back")


def main(argv: list[str]) -> None:
    """Samples by the flags."""
    if len(argv) > 1:
        raise InputError(f"unexpected argument {argv[1]!r}; options begin with --")
    if not _WORKDIR.value:
        raise InputError("--workdir is missing; name the run folder of train.py")
    _check_combination()
    run = load_run(_WORKDIR.value, _CHECKPOINT.value)
    batch = _load(run)
    timesteps = _choose_timesteps(run, batch)
    sampler = _make_sampler(run, timesteps)
    out = _OUT.value or os.path.join(outputs_of(_WORKDIR.value), "samples")
    with disk.refusals(out):
        os.makedirs(out, exist_ok=True)
    clean, degraded, result = _restore(run, batch, timesteps, sampler)
    stem = os.path.join(out, f"{_name()}_step_{run.step:08d}")
    rows = {"clean": clean, "degraded": degraded, _SAMPLER.value: result.x_0}
    with disk.refusals(out):
        _write(stem, rows, timesteps, result.trajectory)


def _write(
    stem: str,
    rows: dict[str, np.ndarray],
    timesteps: np.ndarray,
    trajectory: np.ndarray | None,
) -> None:
    """Writes the pictures, and what else is asked for."""
    pictured = {name: x[:_PICTURED] for name, x in rows.items()}
    figures.save_png(f"{stem}.png", figures.grid(pictured))
    print(f"{stem}.png")
    if _ARRAYS.value:
        save_npz(f"{stem}.npz", **rows)
        print(f"{stem}.npz")
    if trajectory is not None:
        way = trajectory.swapaxes(0, 1)
        _write_way_back(stem, pictured["clean"], timesteps, way)


def _check_combination() -> None:
    """Raises InputError for flags that say nothing together."""
    if _SAMPLER.value == "direct":
        for flag in (_STEPS, _TRAJECTORY, _GIF):
            if flag.value:
                raise InputError(
                    "--sampler=direct is one prediction, with no steps and no "
                    f"trajectory; leave --{flag.name} out or choose another sampler"
                )
    if _SPACING.present and not _STEPS.value:
        raise InputError("--spacing chooses among steps; say how many with --steps")
    if _ETA.present and _SAMPLER.value != "ddim":
        raise InputError("--eta belongs to --sampler=ddim")
    if _ENDPOINT.present and _SAMPLER.value in ("direct", "ddim"):
        raise InputError(
            f"--endpoint has no effect with --sampler={_SAMPLER.value}; leave it out"
        )
    if not math.isfinite(_GUIDANCE.value):
        raise InputError(
            f"--guidance must be a finite number, such as 2, got {_GUIDANCE.value}"
        )
    if _LABEL.present and not _GUIDANCE.value:
        raise InputError("--guidance=0 ignores labels; leave --label out")
    if os.path.isfile(_OUT.value):
        raise InputError(f"--out must be a folder, and {_OUT.value!r} is a file")


def _load(run: Run) -> Batch:
    """The test images, the labels to restore them by, and endpoints for a blend."""
    available = len(run.experiment.splits.test)
    if _NUM_IMAGES.value > available:
        raise InputError(
            f"--num_images must be at most {available}, got {_NUM_IMAGES.value}"
        )
    batch = load_batch(
        split_of(run.experiment), run.experiment, range(_NUM_IMAGES.value)
    )
    classes = getattr(run.experiment.model, "num_classes", 0)
    if not classes:
        for flag in (_LABEL, _GUIDANCE):
            if flag.present:
                raise InputError(
                    f"--{flag.name} needs a run that was trained with classes; this "
                    "one's model.num_classes is 0"
                )
        return batch
    label = _LABEL.value
    if label == "own":
        return batch
    if not label.isdecimal() or int(label) >= classes:
        raise InputError(
            f"--label must be own or a class in 0..{classes - 1}, got {label!r}"
        )
    return batch._replace(labels=np.full(_NUM_IMAGES.value, int(label), np.int32))


def _choose_timesteps(run: Run, batch: Batch) -> np.ndarray:
    """The steps to visit, from the start down to 0."""
    degrade = run.experiment.degrade
    start = _START.value or degrade.num_steps
    if start > degrade.num_steps:
        raise InputError(
            f"--start must lie in 1..{degrade.num_steps}, the steps of this run's "
            f"degradation, got {start}"
        )
    # The one step of the direct prediction goes to 0.
    num_calls = 1 if _SAMPLER.value == "direct" else _STEPS.value or start
    if num_calls > start:
        raise InputError(f"--steps must be at most {start}, got {num_calls}")
    if _SPACING.value == "stride":
        return sampling.equal_stride(start, num_calls=num_calls)
    pixels, _, endpoints = jax.tree.map(lambda leaf: leaf[:_MEASURED], batch)
    x_0 = images.to_float(pixels)
    degrade = bind(degrade, stream(_SEED.value, "spacing"), x_0.shape, endpoints)
    if _SPACING.value == "change":
        return sampling.equal_change(degrade, x_0, num_calls=num_calls, start=start)
    severities = sampling.measured_severity(degrade, x_0)[:start]
    try:
        return sampling.equal_log_severity(severities, num_calls=num_calls)
    except ValueError as error:  # A first step that changes nothing.
        raise InputError(f"--spacing=log: {error}; take stride or change") from error


def _make_sampler(run: Run, timesteps: np.ndarray) -> Sampler:
    """The sampler with its options, if this run's degradation allows them."""
    degrade = run.experiment.degrade
    blend = isinstance(degrade, Blend)
    noise = blend and not degrade.one_color and not needs_endpoints(degrade)
    if _SAMPLER.value == "ddim" and not noise:
        raise InputError(
            "--sampler=ddim needs a run that was trained with gaussian_noise"
        )
    check_endpoint(_ENDPOINT.value, degrade)
    options: dict[str, Any] = {
        "timesteps": timesteps,
        "check_finite": True,
        "return_trajectory": _TRAJECTORY.value or _GIF.value,
    }
    if _SAMPLER.value == "ddim":
        return functools.partial(sampling.sample_ddim, eta=_ETA.value, **options)
    sampler = SAMPLERS[_SAMPLER.value]
    options["endpoint"] = _ENDPOINT.value
    return lambda keys, *args: sampler(*args, **options)


def _restore(
    run: Run, batch: Batch, timesteps: np.ndarray, sampler: Sampler
) -> tuple[np.ndarray, np.ndarray, sampling.SampleResult]:
    """The clean, degraded and restored images; of the pictured, the way [B, N, ...]."""
    clean, degraded, result = restore_images(
        stream(_SEED.value, "sample"),
        run,
        batch,
        sampler,
        start=int(timesteps[0]),
        batch_size=_BATCH_SIZE.value,
        guidance=_GUIDANCE.value,
        num_ways=_PICTURED,
    )
    try:
        result.raise_if_not_finite()
    except FloatingPointError as error:
        raise InputError(f"checkpoint {run.step}: {error}") from error
    return clean, degraded, result


def _name() -> str:
    """What the files are called: the sampler and what was asked of it."""
    parts = [_SAMPLER.value]
    if _STEPS.value:
        parts.append(f"{_STEPS.value}_by_{_SPACING.value}")
    if _ENDPOINT.value != "fixed":
        parts.append(_ENDPOINT.value)
    if _LABEL.value != "own":
        parts.append(f"label_{_LABEL.value}")
    if _GUIDANCE.value != 1:
        parts.append(f"guidance_{_GUIDANCE.value:g}")
    if _ETA.value:
        parts.append(f"eta_{_ETA.value:g}")
    if _START.value:
        parts.append(f"from_{_START.value}")
    return "_".join(parts)


def _write_way_back(
    stem: str, clean: np.ndarray, timesteps: np.ndarray, way: np.ndarray
) -> None:
    """A strip of about ten moments of the way [N, B, H, W, C], and an animation."""
    if _TRAJECTORY.value:
        last = len(way) - 1
        moments = np.unique(np.linspace(0, last, min(10, last + 1)).round().astype(int))
        rows = {f"t = {timesteps[i]}": way[i] for i in moments}
        figures.save_png(
            f"{stem}_trajectory.png", figures.grid(rows | {"clean": clean})
        )
        print(f"{stem}_trajectory.png")
    if _GIF.value:
        frames = [figures.grid({"": x_t, " ": clean}) for x_t in way]
        figures.save_gif(f"{stem}.gif", frames)
        print(f"{stem}.gif")


if __name__ == "__main__":
    programs.run(main)
