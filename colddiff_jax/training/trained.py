"""What a training returns: the trained model, its last state and its metrics."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from colddiff_jax.experiment.model import Model
from colddiff_jax.experiment.prior import load_prior
from colddiff_jax.restoration.restorer import Restorer
from colddiff_jax.restoration.severity import load_severity
from colddiff_jax.training.state import TrainState
from colddiff_jax.training.writers import last_metrics


@dataclasses.dataclass(frozen=True, repr=False, kw_only=True)
class Trained(Restorer):
    """A model that was just trained; made by `train_and_evaluate`.

    It is the `Restorer` that `load` returns for the run folder, and also has the state
    of the training.

    Attributes:
        state: the final state, on all local devices.
        metrics: the last value of each metric in `metrics.jsonl`, such as "loss",
            "test_loss", "rmse_alg2" and "ssim_alg2".

    Example:
        >>> config = get_config("digits_blur:smoke")
        >>> trained = train_and_evaluate(config, "runs/digits_blur")
        >>> trained.restore(np.zeros((16, 16, 1), np.uint8)).shape
        (16, 16, 1)
        >>> 0 < trained.metrics["test_loss"] < 2
        True
    """

    state: TrainState
    metrics: dict[str, float]


def trained_model(
    model: Model, state: TrainState, workdir: str, about: Mapping[str, Any]
) -> Trained:
    """Returns the result of a training.

    Args:
        model: the degradation and the network.
        state: the final state.
        workdir: the run folder, from which everything else is read.
        about: the description of the run, from `describe`.
    """
    return Trained(
        model=model,
        params=state.ema_params,
        step=int(jax.device_get(state.step)),
        trained_on=about["data"],
        severity=load_severity(workdir),
        prior_arrays=load_prior(workdir),
        class_names=tuple(about["class_names"]),
        state=state,
        metrics=last_metrics(workdir),
    )
