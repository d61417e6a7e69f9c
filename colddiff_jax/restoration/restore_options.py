"""Checks of the options of `Restorer.restore`, before any image is read."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from colddiff_jax.checks import InputError, is_finite_number
from colddiff_jax.degradations import Holes, JpegLike
from colddiff_jax.degradations.base import takes_images
from colddiff_jax.experiment.builders import make_schedule
from colddiff_jax.experiment.model import Model
from colddiff_jax.restoration.samplers import (
    check_consistent,
    check_endpoint,
    check_num_steps,
    check_sampler,
    default_samplers,
)
from colddiff_jax.restoration.severity import SeverityEstimator
from colddiff_jax.sampling import SAMPLERS

_NO_ESTIMATE = (
    "this model has no estimate of the severity; fit one with python -m "
    "colddiff_jax.cli.severity, or give the step `t`"
)


def check_restore(
    model: Model,
    *,
    estimates: bool,
    t: int | Literal["auto"] | None,
    sampler: str,
    steps: int | None,
    endpoint: Literal["fixed", "estimated"] | None,
    eta: float | None,
    consistent: bool,
    mask: bool,
    drawn: bool,
    noise: float | None,
    enlarge: bool,
) -> None:
    """Checks the options of `Restorer.restore`.

    Args:
        model: the model.
        estimates: whether it has an estimate of the severity.
        t: as in `Restorer.restore`; so are the following, unless they are here.
        sampler: its name.
        steps: the number of steps.
        endpoint: that of a blend.
        eta: the fraction of fresh noise.
        consistent: whether predictions are made consistent.
        mask: whether a mask is given.
        drawn: whether holes are drawn, so that they need no mask.
        noise: the noise.
        enlarge: whether images are enlarged.

    Raises:
        InputError: options that are out of range or do not fit the model.
    """
    T = model.degrade.num_steps
    if model.paired:
        _check_starts_at_partner(model, t)
    else:
        check_no_images_blended(model)
    if t == "auto" and not estimates:
        raise InputError(_NO_ESTIMATE)
    largest = T if t == "auto" else check_step(model, t, least=1)
    check_sampling(model, largest, sampler, steps)
    if endpoint is not None:
        check_endpoint(endpoint, model.degrade, sampler=sampler)
    check_eta(eta, sampler)
    if consistent:
        check_consistent(model)
    _check_mask(model, mask, drawn)
    if noise is not None and not (is_finite_number(noise) and noise > 0):
        raise InputError(
            "`noise` must be a positive number, a standard deviation in image units, "
            f"got {noise!r}"
        )
    if enlarge:
        if t == "auto":
            raise InputError("`enlarge` needs the step `t`, which sets the factor")
        enlargement(model, largest)


def default_sampler(model: Model) -> str:
    """Returns the sampler for photographs, by the degradation of a model.

    Algorithm 2 subtracts D(x0_hat, t) from x_t. If D rounds to multiples of a table,
    that jumps where the prediction is wrong by little. And where predictions are
    consistent by construction, the first one has all that the image says.
    """
    *_, stepwise = default_samplers(model.target)
    rounds = isinstance(model.degrade, JpegLike) and model.degrade.exact
    direct = model.target == "clean" and (rounds or model.consistent_noise)
    return "direct" if direct else stepwise


def check_sampling(model: Model, t: int, sampler: str, steps: int | None) -> None:
    """Checks the sampler and the number of its steps from t to 0."""
    if sampler not in SAMPLERS:
        raise InputError(
            f"`sampler` must be among {', '.join(SAMPLERS)}, got {sampler!r}"
        )
    check_sampler(sampler, model.degrade, target=model.target)
    if steps is not None and not 1 <= steps <= t:
        raise InputError(f"`steps` must lie in 1..{t}, got {steps}")
    check_num_steps(sampler, steps, t)
    if sampler == "direct" and steps is not None:
        raise InputError("the sampler direct is a single prediction; leave `steps` out")


def check_eta(eta: float | None, sampler: str) -> None:
    """Checks the fraction of noise that a sampler draws anew, if it is given."""
    if eta is not None and sampler != "ddim":
        raise InputError("`eta` needs the sampler ddim")
    if eta is not None and not (is_finite_number(eta) and 0 <= eta <= 1):
        raise InputError(f"`eta` must lie in [0, 1], got {eta!r}")


def check_step(model: Model, t: Any, *, least: int = 1) -> int:
    """Returns the step t as an integer; None stands for T."""
    T = model.degrade.num_steps
    if t is None:
        return T
    if isinstance(t, bool) or not isinstance(t, int | np.integer):
        raise InputError(f"`t` must be an integer in {least}..{T}, got {t!r}")
    if not least <= t <= T:
        raise InputError(f"`t` must lie in {least}..{T}, got {t}")
    return int(t)


def estimated_steps(
    severity: SeverityEstimator | None, images: Sequence[np.ndarray]
) -> list[int]:
    """Returns the steps that images, float [H, W, C] each, seem to be degraded to.

    Raises:
        InputError: there is no estimator.
    """
    if severity is None:
        raise InputError(_NO_ESTIMATE)
    return [int(severity.estimate(x[None])[0]) for x in images]


def check_no_images_blended(model: Model) -> None:
    """Raises InputError for a degradation that blends with other images."""
    if model.paired:
        raise InputError(
            "this model was trained on pairs, and does not know how images are "
            "degraded; give it degraded ones, and leave out `degrade`"
        )
    if takes_images(model.degrade):
        raise InputError(
            "the degradation of this model blends images with others; use sample.py "
            "without photographs, or `restore_fn` and `degradation` with a sampler"
        )


def _check_starts_at_partner(model: Model, t: Any) -> None:
    """Raises InputError for another t than T, where D(x, t) has part of x."""
    T = model.degrade.num_steps
    if t not in (None, T):
        raise InputError(
            "this model was trained on pairs, and restores degraded images from "
            f"`t` = {T}, its last step; leave it out, got {t!r}"
        )


def enlargement(model: Model, t: int) -> int:
    """Returns the side of the blocks of a pixelated image, in pixels.

    Raises:
        InputError: a model of another degradation, or of blocks of uneven size.
    """
    fields, size = model.config["degradation"], model.image_shape[0]
    if "sizes" not in fields:
        raise InputError(
            "`enlarge` needs a model of pixelated images, such as photo-upscale; this "
            f"one's degradation is {fields['name']}"
        )
    sizes = make_schedule("degradation.sizes", fields["sizes"], image_size=size)
    side = int(np.ravel(sizes)[t - 1])
    if np.ndim(sizes) != 1 or size % side:
        raise InputError(
            f"`enlarge` needs blocks of whole pixels; at t = {t}, {size} pixels become "
            f"{side}"
        )
    return size // side


def _check_mask(model: Model, given: bool, drawn: bool) -> None:
    fills = isinstance(model.degrade, Holes)
    if given and not fills:
        raise InputError(
            "`mask` needs a model that fills holes, such as photo-inpaint; this one's "
            f"degradation is a {type(model.degrade).__name__}"
        )
    if fills and not given and not drawn:
        raise InputError(
            "this model fills holes: give `mask`, an image that is white where pixels "
            "are missing"
        )
