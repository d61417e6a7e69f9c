"""How images are scored: soundly, or with the faults of the official evaluation."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from colddiff_jax.checks import InputError

START_NOISE = 1e-3
"""Standard deviation of the official noise on a flat start, on the [-1, 1] scale."""

# The folders of the official code, by our name of their degradation.
_NEVER_IN_EVAL_MODE = ("gaussian_mask", "pixelate", "snow", "desaturate")
_FADING = ("gaussian_mask", "snow", "desaturate")
_SNOW_TREE = ("snow", "desaturate")
_SCORED = ("gaussian_blur", *_NEVER_IN_EVAL_MODE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """Which faults of the official evaluation are repeated; by default none.

    Without them the images are scored as a saved picture holds them, clipped and
    rounded to 256 values, and every image counts.

    Attributes:
        first_image_skipped: the first image of the set is left out.
        values_not_clipped: what the network returns is scored as it is.
        feature_rows_unfilled: Frechet distances are taken from an array with a row for
            every image, of which only whole batches of 50 are filled; the rest, which
            the official code leaves uninitialised, are zeros here.
        degraded_after_one_step: as degraded counts what one step of Algorithm 2 makes
            of x_T, on the way to x_{T-1}.
        prediction_as_sample: as restored by an algorithm counts the network's last
            prediction instead of x_0.
        sampler_one_step_behind: at x_t the algorithms use D(., t - 1) and D(., t - 2).
        dropout_on: the network drops units, as in training.
        test_images_augmented: test images are cut and mirrored at random, as in
            training.
        noise_on_flat_start: Gaussian noise of standard deviation 1e-3 is added to x_T
            and subtracted from x_0.

    Reference:
        The official repository's `fid_distance_decrease_from_manifold`, of which its
        folders have differing copies.
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
        """The names of the faults that are on."""
        return [name for name, on in dataclasses.asdict(self).items() if on]


def published(config: Mapping[str, Any]) -> Protocol:
    """The faults that the official evaluation of a run's degradation has.

    Args:
        config: the configuration of the run.

    Raises:
        InputError: a degradation that the official code does not score.
    """
    name = config["degradation"]["name"]
    if name not in _SCORED:
        raise InputError(
            "the official code scores runs of "
            f"{', '.join(_SCORED)}, and this is one of {name}; name single faults, "
            f"such as --protocol=values_not_clipped, of {', '.join(FAULTS)}"
        )
    large = config["data"]["image_size"] == 128  # CelebA.
    return Protocol(
        first_image_skipped=True,
        values_not_clipped=True,
        feature_rows_unfilled=True,
        degraded_after_one_step=name in _FADING,
        prediction_as_sample=name in _NEVER_IN_EVAL_MODE,
        sampler_one_step_behind=name in _SNOW_TREE,
        dropout_on=name in _NEVER_IN_EVAL_MODE
        and bool(config["model"].get("dropout", 0)),
        test_images_augmented=large and name in ("gaussian_mask", "pixelate"),
        noise_on_flat_start=bool(config["degradation"].get("to_mean", False)),
    )


def parse_protocol(text: str, config: Mapping[str, Any]) -> Protocol:
    """The protocol that a user names.

    Args:
        text: "sound" for no faults, "published" for those of the official code, or
            faults by name, separated by commas.
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
                "the protocol must be sound, published, or faults among "
                f"{', '.join(FAULTS)}; got {name!r}"
            )
    return Protocol(**dict.fromkeys(names, True))


SOUND = Protocol()
"""No faults."""

FAULTS = tuple(field.name for field in dataclasses.fields(Protocol))
"""The names of all faults."""
