"""Evaluation protocols: sound, or with the faults of the official evaluation."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from colddiff_jax.checks import InputError

START_NOISE = 1e-3
"""Standard deviation of the official noise on a flat start, for images in [-1, 1]."""

# Folders of the official code with the same faults, by our names of degradations.
_NEVER_IN_EVAL_MODE = ("gaussian_mask", "pixelate", "snow", "desaturate")
_FADING = ("gaussian_mask", "snow", "desaturate")
_ONE_STEP_BEHIND = ("snow", "desaturate")
_SCORED = ("gaussian_blur", *_NEVER_IN_EVAL_MODE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """The faults of the official evaluation to repeat; by default none.

    Without faults, every image is scored as it would be saved: clipped and rounded to
    256 values.

    Attributes:
        first_image_skipped: the first image of the set is left out.
        values_not_clipped: the network's outputs are scored unclipped and unrounded.
        feature_rows_unfilled: Frechet distances are computed from an array with one row
            per image, of which only full batches of 50 are filled; the other rows,
            uninitialised in the official code, are zeros here.
        degraded_after_one_step: the result of the first step of Algorithm 2, x_{T-1},
            is scored as the degraded image instead of x_T.
        prediction_as_sample: the network's last prediction is scored as the result of
            an algorithm instead of x_0.
        sampler_one_step_behind: at x_t the algorithms use D(., t - 1) and D(., t - 2)
            instead of D(., t) and D(., t - 1).
        dropout_on: dropout is active, as in training.
        test_images_augmented: test images are randomly cropped and flipped, as in
            training.
        noise_on_flat_start: Gaussian noise of standard deviation 1e-3 is added to x_T
            and subtracted from x_0.

    Reference:
        `fid_distance_decrease_from_manifold` in the official repository, whose folders
        have differing copies of it.
    """

    first_image_skipped: bool = False
    values_not_clipped: bool = False
    feature_rows_unfilled: bool = False
    degraded_after_one_step: bool = False
    prediction_as_sample: bool = False
    sampler_one_step_behind: bool = False
    dropout_on: bool = False
    test_images_augmented: bool = False
    noise_on_flat_start: bool = False

    @property
    def faults(self) -> list[str]:
        """The names of the active faults."""
        return [name for name, on in dataclasses.asdict(self).items() if on]


def published(config: Mapping[str, Any]) -> Protocol:
    """Returns the official evaluation protocol for the degradation of a run.

    Args:
        config: the configuration of the run.

    Raises:
        InputError: the official code does not evaluate this degradation.
    """
    name = config["degradation"]["name"]
    if name not in _SCORED:
        raise InputError(
            f"the official code evaluates {', '.join(_SCORED)}, but not {name}; set "
            f"`protocol` to single faults instead, such as values_not_clipped, among "
            f"{', '.join(FAULTS)}"
        )
    large = config["data"]["image_size"] == 128  # CelebA.
    return Protocol(
        first_image_skipped=True,
        values_not_clipped=True,
        feature_rows_unfilled=True,
        degraded_after_one_step=name in _FADING,
        prediction_as_sample=name in _NEVER_IN_EVAL_MODE,
        sampler_one_step_behind=name in _ONE_STEP_BEHIND,
        dropout_on=name in _NEVER_IN_EVAL_MODE
        and bool(config["model"].get("dropout", 0)),
        test_images_augmented=large and name in ("gaussian_mask", "pixelate"),
        noise_on_flat_start=bool(config["degradation"].get("to_mean", False)),
    )


def parse_protocol(text: str, config: Mapping[str, Any]) -> Protocol:
    """Parses the name of a protocol.

    Args:
        text: "sound" for no faults, "published" for the faults of the official code, or
            names of faults, separated by commas.
        config: the configuration of the run.

    Raises:
        InputError: an unknown fault.
    """
    if text == "sound":
        return SOUND
    if text == "published":
        return published(config)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FAULTS:
            raise InputError(
                "`protocol` must be sound, published, or faults among "
                f"{', '.join(FAULTS)}; got {name!r}"
            )
    return Protocol(**dict.fromkeys(names, True))


SOUND = Protocol()
"""No faults."""

FAULTS = tuple(field.name for field in dataclasses.fields(Protocol))
"""The names of all faults."""
