"""Fields of a configuration that no signature describes."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from colddiff_jax.data import SOURCES
from colddiff_jax.experiment.builders import DTYPES


class ExtraField(NamedTuple):
    """A field that is not an argument, or whose value is a name for the argument's."""

    type: Any
    default: Any
    meaning: str


EXTRA_FIELDS: dict[str, dict[str, ExtraField]] = {
    "data": {
        "source": ExtraField(str, "tfds", f"what to read: {', '.join(sorted(SOURCES))}")
    },
    "endpoints": {
        "source": ExtraField(
            str, "", "the source of the images to degrade into; empty for none"
        ),
        "paired": ExtraField(
            bool,
            False,
            "each is the degraded partner of an image of data: the file of the same "
            "path up to its extension, or the array's image of the same index",
        ),
    },
    "degradation": {
        "fade_to_black": ExtraField(
            Sequence[float],
            (),
            "what remains of D(x, t) when it fades to black, in [0, 1], one per step; "
            "empty for no fading",
        ),
        "noise_stds": ExtraField(
            Sequence[float],
            (),
            "standard deviations of noise to add to D(x, t), in units of [-1, 1], one "
            "per step; empty for none",
        ),
        "noise_gains": ExtraField(
            Sequence[float],
            (),
            "alpha, one per step: from s to t, the noise shrinks by alpha_t / alpha_s "
            "while new noise is added, for samplers that draw it anew; empty for ones",
        ),
    },
    "model": {
        "precondition": ExtraField(
            bool | Literal["velocity"],
            False,
            "scale input and output for each step, as measured on images; or velocity, "
            "for a blend with weights 1 - b and b: R(x_t, t) = x_t - b_t F(x_t, t)",
        ),
        "consistent_noise": ExtraField(
            Sequence[float],
            (),
            "train predictions that agree with x_t: the least and the largest noise of "
            "x_t, in units of [-1, 1]; empty for none",
        ),
        "see_endpoint": ExtraField(
            bool,
            False,
            "give the network the image that x_t is blended with, as more channels",
        ),
        "dtype": ExtraField(
            Literal["auto", *DTYPES],
            "auto",
            f"computation dtype: {', '.join(DTYPES)}, or auto, bfloat16 where it is "
            "fast",
        ),
    },
}
"""Fields by section that no signature describes."""
