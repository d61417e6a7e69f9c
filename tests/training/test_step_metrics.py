"""Metrics between two logs."""

import jax.numpy as jnp
import pytest

from colddiff_jax import InputError
from colddiff_jax.training.step_metrics import StepMetrics


def metrics(loss, gradient_norm=1.0):
    """Returns the metrics of a call that takes one step."""
    return {"loss": jnp.array([loss]), "gradient_norm": jnp.array([gradient_norm])}


def test_means_cover_the_steps_since_the_last_call():
    recent = StepMetrics(skip_nonfinite=0)
    assert not recent
    for loss in (1.0, 3.0):
        recent.add(metrics(loss))
    recent.check(step=2)
    recent.add(metrics(5.0))
    assert recent
    assert recent.means(step=3) == {"loss": 3.0, "gradient_norm": 1.0}
    assert not recent
    recent.add(metrics(7.0))
    assert recent.means(step=4)["loss"] == 7.0


def test_steps_taken_in_one_call_are_checked_one_by_one():
    recent = StepMetrics(skip_nonfinite=0)
    two = {"loss": jnp.array([1.0, 4.0]), "gradient_norm": jnp.array([1.0, 2.0])}
    recent.add(two)
    assert recent.means(step=2) == {"loss": 2.5, "gradient_norm": 1.5}
    recent.add(two | {"loss": jnp.array([1.0, jnp.nan])})
    with pytest.raises(InputError, match="step 3 has a loss of"):
        recent.check(step=4)


def test_the_error_names_the_last_checkpoint_and_the_options_to_change():
    recent = StepMetrics(skip_nonfinite=0, last_saved=lambda: "runs/x/400")
    recent.add(metrics(float("nan")))
    message = (
        r"The last checkpoint is runs/x/400\. Start .* `optimizer.learning_rate`, or "
        "with `training.skip_nonfinite`"
    )
    with pytest.raises(InputError, match=message):
        recent.check(step=1)


@pytest.mark.parametrize("bad", [(float("nan"), 1.0), (1.0, float("inf"))])
def test_a_non_finite_value_raises_an_error_that_names_its_step(bad):
    recent = StepMetrics(skip_nonfinite=0)
    recent.add(metrics(1.0))
    recent.add(metrics(*bad))
    with pytest.raises(InputError, match="step 8 has a loss of"):
        recent.check(step=9)


def test_as_many_consecutive_steps_as_allowed_are_counted_and_excluded():
    recent = StepMetrics(skip_nonfinite=2)
    nan = metrics(float("nan"))
    for each in (nan, metrics(2.0), nan, nan, metrics(4.0), nan):
        recent.add(each)
    found = recent.means(step=6)
    assert found == {"loss": 3.0, "gradient_norm": 1.0, "skipped_steps": 4.0}
    recent.add(nan)
    assert recent.means(step=7) == {"skipped_steps": 1.0}
    recent.add(nan)  # The third in a row: steps before a log count.
    with pytest.raises(InputError, match="step 7 has a loss of nan"):
        recent.check(step=8)


def test_a_resumed_run_continues_to_count():
    recent = StepMetrics(skip_nonfinite=2, in_a_row=2)
    recent.add(metrics(float("nan")))
    with pytest.raises(InputError, match="step 5 has a loss of nan"):
        recent.check(step=6)
