"""Collects the metrics of training steps and raises once they are not finite."""

from collections.abc import Callable

import jax
import numpy as np

from colddiff_jax.checks import InputError
from colddiff_jax.training.step import Metrics


class StepMetrics:
    """Collects the metrics of steps until they are logged.

    Until `check` or `means` fetch them, metrics stay on the device: no step waits.

    Args:
        skip_nonfinite: the number of consecutive steps with a non-finite loss or
            gradient that the optimizer skips; one more is an error.
        in_a_row: the number of such steps just before the run was resumed.
        last_saved: returns the path of the newest checkpoint.
    """

    def __init__(
        self,
        skip_nonfinite: int,
        in_a_row: int = 0,
        last_saved: Callable[[], str] = lambda: "none",
    ):
        self._allowed = skip_nonfinite
        self._last_saved = last_saved
        self._in_a_row = in_a_row
        self._on_device: list[Metrics] = []
        self._fetched: list[dict[str, np.ndarray]] = []

    def add(self, metrics: Metrics) -> None:
        """Adds the metrics of one call of the step, [K]."""
        self._on_device.append(metrics)

    def check(self, step: int) -> None:
        """Waits for all added steps, up to `step` - 1, and checks their values.

        Raises:
            InputError: more consecutive steps than allowed have a non-finite loss or
                gradient.
        """
        fetched = jax.device_get(self._on_device)
        self._on_device = []
        new = [
            {name: values[i] for name, values in metrics.items()}
            for metrics in fetched
            for i in range(len(metrics["loss"]))
        ]
        for index, metrics in enumerate(new, start=step - len(new)):
            finite = all(np.isfinite(value) for value in metrics.values())
            self._in_a_row = 0 if finite else self._in_a_row + 1
            if self._in_a_row > self._allowed:
                raise InputError(
                    f"step {index} has a loss of {metrics['loss']} and a gradient of "
                    f"norm {metrics['gradient_norm']}, from which nothing can be "
                    f"learned. The last checkpoint is {self._last_saved()}. Start a "
                    "new run folder with a lower `optimizer.learning_rate`, or with "
                    "`training.skip_nonfinite` set to the number of consecutive steps "
                    "to skip"
                )
        self._fetched += new

    def means(self, step: int) -> dict[str, float]:
        """Returns the mean of every metric since the last call, over finite steps.

        If any steps are not finite, "skipped_steps" is their number; if all are, there
        are no means.

        Raises:
            InputError: as for `check`.
        """
        self.check(step)
        fetched, self._fetched = self._fetched, []
        finite = [m for m in fetched if all(np.isfinite(v) for v in m.values())]
        means = {
            name: float(np.mean([metrics[name] for metrics in finite]))
            for name in (finite[0] if finite else ())
        }
        skipped = len(fetched) - len(finite)
        return means | ({"skipped_steps": float(skipped)} if skipped else {})

    def __bool__(self) -> bool:
        return bool(self._on_device or self._fetched)
