"""Pictures of restored images and of their trajectories."""

import numpy as np

from colddiff_jax.io import disk, figures
from colddiff_jax.io.atomic import save_npz
from colddiff_jax.restoration.restore import RestoredImages
from colddiff_jax.sampling import SampleResult

NUM_PICTURED = 16
"""The number of images that a picture shows."""


def file_name(options: str, num_images: int, seed: int, step: int) -> str:
    """Returns a name that no other images have; a number of 0 is left out."""
    parts = [options]
    if num_images:
        parts.append(f"{num_images}_image{'s' * (num_images != 1)}")
    if seed:
        parts.append(f"seed_{seed}")
    return "_".join([*parts, f"step_{step:08d}"])


def unused_stem(stem: str) -> str:
    """Returns a path for new files, without extensions; a taken one gets a number."""
    endings = (".png", ".npz", "_trajectory.png", ".gif", "")
    return disk.unused_stem(stem, endings)


def write_pictures(
    stem: str,
    restored: RestoredImages,
    sampler: str,
    timesteps: np.ndarray,
    *,
    label: str,
    arrays: bool = False,
    trajectory: bool = False,
    gif: bool = False,
) -> list[str]:
    """Writes pictures of restored images, and prints their paths.

    Args:
        stem: the path of the files without their extensions.
        restored: from `restore_images`.
        sampler: the name of the sampler, which the npz file has for its images.
        timesteps: the steps visited, [N + 1].
        label: what the picture calls the restored images.
        arrays: whether to also write the images as npz.
        trajectory: whether to also write a strip: about ten steps of the trajectory,
            and their predictions.
        gif: whether to also write an animation of both.

    Returns:
        The paths of the files.
    """
    paths = [f"{stem}.png"]
    rows = {
        "clean": restored.clean,
        "degraded": restored.degraded,
        sampler: restored.result.x_0,
    }
    labels = ("clean", "degraded", label)
    pictured = {
        name: x[:NUM_PICTURED] for name, x in zip(labels, rows.values(), strict=True)
    }
    figures.save_png(paths[-1], figures.grid(pictured))
    if arrays:
        paths.append(f"{stem}.npz")
        save_npz(paths[-1], **rows)
    if trajectory or gif:
        clean = {"clean": pictured["clean"]}
        steps, predictions = with_predictions(restored.result)
    if trajectory:
        paths.append(f"{stem}_trajectory.png")
        titled = {}
        for i in shown_steps(len(steps)):
            titled[f"x_t, t = {timesteps[i]}"] = steps[i]
            if timesteps[i]:
                titled[f"R(x_t, {timesteps[i]})"] = predictions[i]
        figures.save_png(paths[-1], figures.grid(titled | clean))
    if gif:
        paths.append(f"{stem}.gif")
        frames = [
            figures.captioned(figures.grid({"x_t": x, "R(x_t, t)": x0_hat} | clean), t)
            for x, x0_hat, t in zip(
                steps, predictions, captions(timesteps), strict=True
            )
        ]
        figures.save_gif(paths[-1], frames)
    for path in paths:
        print(path)
    return paths


def with_predictions(result: SampleResult) -> tuple[np.ndarray, np.ndarray]:
    """Returns x_t and R(x_t, t), [steps, n, H, W, C] each; x_0 is its own prediction.

    Args:
        result: with a trajectory, whose images come first.
    """
    assert result.trajectory is not None and result.predictions is not None
    x_0 = result.trajectory[:, -1:]
    predictions = np.concatenate([result.predictions, x_0], axis=1)
    return result.trajectory.swapaxes(0, 1), predictions.swapaxes(0, 1)


def shown_steps(count: int) -> np.ndarray:
    """Returns the indices of at most ten of that many steps, with first and last."""
    return np.unique(np.linspace(0, count - 1, min(10, count)).round().astype(int))


def captions(timesteps: np.ndarray) -> list[str]:
    """Returns the captions of the frames of an animation."""
    return [f"t = {t}" for t in timesteps]
