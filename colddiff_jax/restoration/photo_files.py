"""Restores photographs of a user, and writes them beside the originals."""

import io
import os
import sys
from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np
from PIL import Image

from colddiff_jax import prng
from colddiff_jax.checks import InputError
from colddiff_jax.data.decoding import EXTENSIONS
from colddiff_jax.io import disk
from colddiff_jax.restoration.loading import load_run
from colddiff_jax.restoration.pixel_scores import pixel_scores
from colddiff_jax.restoration.restore_options import (
    check_no_images_blended,
    default_sampler,
)
from colddiff_jax.restoration.restorer import Restorer
from colddiff_jax.restoration.sizes import TILE
from colddiff_jax.restoration.user_images import read_images

_RESTORED, _DEGRADED = "_restored", "_degraded"


def restore_photos(
    workdir: str,
    photos: Sequence[str],
    *,
    out: str = "",
    checkpoint: str = "latest",
    sampler: str | None = None,
    steps: int = 0,
    endpoint: Literal["fixed", "estimated"] | None = None,
    eta: float | None = None,
    start: int | Literal["auto"] = 0,
    degrade: bool = False,
    consistent: bool = False,
    mask: str = "",
    noise: float | None = None,
    enlarge: bool = False,
    seed: int = 0,
    tile: int = TILE,
) -> list[str]:
    """Restores photographs and writes PNG files; prints the path of each.

    Photographs that are degraded first are also scored, before and after.

    A file that cannot be read or restored does not stop the others. Nothing is ever
    overwritten: if the name of a result is taken, it gets a number.

    Args:
        workdir: a run folder, an exported file or the name of a model; see `load`.
        photos: files, or folders whose image files are restored, except for earlier
            results.
        out: the folder to write to; by default that of each photograph.
        checkpoint: as in `load`.
        sampler: as in `Restorer.restore`.
        steps: the number of steps; 0 for all.
        endpoint: as in `Restorer.restore`.
        eta: as in `Restorer.restore`.
        start: the step that the photographs are degraded to; 0 for T, and "auto" for an
            estimate for each.
        degrade: whether the photographs are clean and are to be degraded first, to
            `start`, which then is a number; the degraded ones are written, too.
        consistent: as in `Restorer.restore`.
        mask: an image file that is white where pixels of the photographs are missing,
            for a model that fills holes.
        noise: as in `Restorer.restore`.
        enlarge: as in `Restorer.restore`.
        seed: the seed of all random draws.
        tile: as in `Restorer.restore`.

    Returns:
        The paths of the files written.

    Raises:
        InputError: options that do not fit the model, no photographs, or at the end, if
            any of them could not be restored.

    Example:
        >>> Image.new("L", (40, 30)).save("photo.png")
        >>> restore_photos("runs/digits_blur", ["photo.png"], degrade=True, steps=2)
        photo.png: degraded RMSE ..., SSIM ...; restored RMSE ..., SSIM ...
        photo_degraded.png
        photo_restored.png
        ['photo_degraded.png', 'photo_restored.png']
    """
    paths = _find(photos)
    if degrade and start == "auto":
        raise InputError(
            "`start` auto finds the step of degraded photographs; leave out `degrade`"
        )
    if degrade and (mask or enlarge):
        name = "mask" if mask else "enlarge"
        raise InputError(f"`{name}` is for degraded photographs; leave out `degrade`")
    restorer = load_run(workdir, checkpoint)
    if degrade:
        check_no_images_blended(restorer.model)
    T = restorer.degradation.num_steps
    if start != "auto" and not 0 <= start <= T:
        raise InputError(f"`start` must lie in 1..{T}, or be 0 for {T}, got {start}")
    sampler = sampler or default_sampler(restorer.model)
    restorer.check_options(
        t=start or None,
        sampler=sampler,
        steps=steps or None,
        endpoint=endpoint,
        eta=eta,
        consistent=consistent,
        mask=bool(mask),
        drawn=degrade,
        noise=noise,
        enlarge=enlarge,
    )
    if out:
        with disk.refusals(out):
            os.makedirs(out, exist_ok=True)
    _announce(paths, restorer.image_shape[2])
    written: list[str] = []
    failed = 0
    for path in paths:
        try:
            images = _restore(
                restorer,
                path,
                degrade=degrade,
                t=start or None,
                key=prng.stream(seed, "photo"),
                options={
                    "sampler": sampler,
                    "steps": steps or None,
                    "endpoint": endpoint,
                    "eta": eta,
                    "consistent": consistent,
                    "mask": mask or None,
                    "noise": noise,
                    "enlarge": enlarge,
                    "tile": tile,
                },
            )
            if degrade:
                print(_scores(path, images, restorer.image_shape[2]), flush=True)
            for suffix, image in images.items():
                name = _free_name(path, suffix, out)
                _write(name, image)
                print(name, flush=True)
                written.append(name)
        except InputError as error:
            if len(paths) == 1:
                raise
            failed += 1
            where = "" if path in str(error) else f"{path}: "
            print(f"{where}{error}", file=sys.stderr, flush=True)
    if failed:
        raise InputError(
            f"{failed} of {len(paths)} photographs could not be restored; the reasons "
            "are above"
        )
    return written


def _find(photos: Sequence[str]) -> list[str]:
    """Returns the image files that files and folders name, each once."""
    found: list[str] = []
    for given in photos:
        path = os.path.expanduser(given)
        if not os.path.isdir(path):
            found.append(path)
            continue
        for name in sorted(disk.names_in(path)):
            stem, extension = os.path.splitext(name)
            result = stem.rstrip("0123456789-").endswith((_RESTORED, _DEGRADED))
            if extension.lower() in EXTENSIONS and not result:
                found.append(os.path.join(path, name))
    if not found:
        raise InputError(f"no image files in {', '.join(photos) or 'nothing'}")
    return list(dict.fromkeys(found))


def _announce(paths: Sequence[str], channels: int) -> None:
    """Says what takes a while: compiling, and large photographs."""
    if len(paths) == 1:
        read_images(paths[0], channels)  # If that fails, its error is the only line.
    plural = "" if len(paths) == 1 else "s"
    line = f"restoring: {len(paths)} photograph{plural}"
    print(line, file=sys.stderr, flush=True)


def _restore(
    restorer: Restorer,
    path: str,
    *,
    degrade: bool,
    t: int | Literal["auto"] | None,
    key: jax.Array,
    options: dict[str, Any],
) -> dict[str, Image.Image]:
    """Returns the images to write, by the suffix of their names."""
    if not degrade:
        return {_RESTORED: restorer.restore(path, t, key=key, **options)}
    assert t != "auto"
    degraded = restorer.degrade(path, t, key=key)
    return {
        _DEGRADED: degraded,
        _RESTORED: restorer.restore(degraded, t, key=key, **options),
    }


def _free_name(path: str, suffix: str, out: str) -> str:
    """Returns the name of a result, with a number if files of that name exist."""
    folder, name = os.path.split(path)
    stem = os.path.join(out or folder, os.path.splitext(name)[0] + suffix)
    return f"{disk.unused_stem(stem, ['.png'])}.png"


def _scores(path: str, images: dict[str, Image.Image], channels: int) -> str:
    """Returns a line with the scores of results against the photograph at `path`."""

    def pixels(image: Any) -> np.ndarray:
        return np.stack(read_images(image, channels).images)

    clean = pixels(path)
    scores = [
        f"{suffix[1:]} {pixel_scores(pixels(image), clean)}"
        for suffix, image in images.items()
    ]
    return f"{path}: {'; '.join(scores)}"


def _write(path: str, image: Image.Image) -> None:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", icc_profile=image.info.get("icc_profile"))
    disk.write_file(path, buffer.getvalue())
