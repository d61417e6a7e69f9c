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
        )
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
    },
    "model": {
        "precondition": ExtraField(
            bool, False, "scale input and output for each step, as measured on images"
        ),
        "consistent_noise": ExtraField(
            Sequence[float],
            (),
            "train predictions that agree with x_t: the least and the largest noise of "
            "x_t, in units of [-1, 1]; empty for none",
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
