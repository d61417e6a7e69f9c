"""Pictures of restored images and of their trajectories."""

import numpy as np

from colddiff_jax.io import figures
from colddiff_jax.io.atomic import save_npz
from colddiff_jax.restoration.restore import RestoredImages

NUM_PICTURED = 16
"""The number of images that a picture shows."""


def write_pictures(
    stem: str,
    restored: RestoredImages,
    sampler: str,
    timesteps: np.ndarray,
    *,
    arrays: bool = False,
    trajectory: bool = False,
    gif: bool = False,
) -> list[str]:
    """Writes pictures of restored images, and prints their paths.

    Args:
        stem: the path of the files without their extensions.
        restored: from `restore_images`.
        sampler: the name of the sampler, the title of the restored images.
        timesteps: the steps visited, [N + 1].
        arrays: whether to also write the images as npz.
        trajectory: whether to also write a strip of about ten steps of the trajectory.
        gif: whether to also write an animation of the trajectory.

    Returns:
        The paths of the files.
    """
    paths = [f"{stem}.png"]
    rows = {
        "clean": restored.clean,
        "degraded": restored.degraded,
        sampler: restored.result.x_0,
    }
    pictured = {name: x[:NUM_PICTURED] for name, x in rows.items()}
    figures.save_png(paths[-1], figures.grid(pictured))
    if arrays:
        paths.append(f"{stem}.npz")
        save_npz(paths[-1], **rows)
    if trajectory or gif:
        clean = pictured["clean"]
        assert restored.result.trajectory is not None
        steps = restored.result.trajectory.swapaxes(0, 1)
    if trajectory:
        paths.append(f"{stem}_trajectory.png")
        last = len(steps) - 1
        shown = np.unique(np.linspace(0, last, min(10, last + 1)).round().astype(int))
        titled = {f"t = {timesteps[i]}": steps[i] for i in shown}
        figures.save_png(paths[-1], figures.grid(titled | {"clean": clean}))
    if gif:
        paths.append(f"{stem}.gif")
        frames = [figures.grid({"": x_t, " ": clean}) for x_t in steps]
        figures.save_gif(paths[-1], frames)
    for path in paths:
        print(path)
    return paths
