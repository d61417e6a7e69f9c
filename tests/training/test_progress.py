"""The lines that a run prints while it trains."""

import io
import os
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from colddiff_jax import data
from colddiff_jax.training import progress as progress_module
from colddiff_jax.training.progress import Progress, first_lines
from colddiff_jax.training.state import create_state


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that only pass when they are added."""
    now = [0.0]
    monkeypatch.setattr(progress_module, "perf_counter", lambda: now[0])
    return now


def test_time_left_does_not_count_compilation_and_has_hours(clock, capsys):
    progress = Progress(num_steps=100_011, batch_size=4)
    clock[0] += 60.0
    progress.start(1)  # After the first, compiled step.
    clock[0] += 1.0
    assert progress.report(11, 0.5) == {
        "steps_per_second": 10.0,
        "waiting_for_data": 0.0,
    }
    assert capsys.readouterr().out == (
        "step 11/100011  loss 0.5000  10.00 steps/s  40 images/s  "
        "2:46:40 left  data 0%\n"
    )


def test_evaluations_and_checkpoints_do_not_count_and_waiting_does(clock):
    progress = Progress(num_steps=100, batch_size=4, quiet=True)
    progress.start(0)
    with progress.paused():
        clock[0] += 50.0
    with progress.waiting():
        clock[0] += 1.0
    clock[0] += 3.0
    assert progress.report(8, 0.5) == {
        "steps_per_second": 2.0,
        "waiting_for_data": 0.25,
    }


def test_without_a_timed_step_there_is_no_speed(clock, capsys):
    progress = Progress(num_steps=100, batch_size=4)
    progress.start(1)
    assert progress.report(1, 0.5) == {}
    assert capsys.readouterr().out == "step 1/100  loss 0.5000\n"


def test_a_line_on_a_terminal_fits_it_and_is_replaced(clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(progress_module.sys, "stdout", terminal)
    monkeypatch.setattr(
        progress_module, "get_terminal_size", lambda: os.terminal_size((20, 9))
    )
    progress = Progress(num_steps=100, batch_size=4)
    clock[0] += 1.0
    progress.report(2, 0.5)
    progress.message("a long message that stays, and may wrap")
    assert terminal.getvalue() == (
        "\rstep 2/100  loss 0.\x1b[K\ra long message that stays, and may wrap\x1b[K\n"
    )


@pytest.mark.parametrize("num_steps", [12, 200])
def test_a_run_that_ends_during_its_warm_up_says_so(num_steps):
    images = np.zeros((3, 8, 8, 1), np.uint8)
    splits = data.arrays(images, images[:1])
    task = SimpleNamespace(
        training=SimpleNamespace(num_steps=num_steps),
        evaluation=SimpleNamespace(num_images=1),
        data=SimpleNamespace(splits=splits),
    )
    config = {"evaluation": {"num_images": 4}, "optimizer": {"warmup_steps": 200}}
    state = create_state({"kernel": jnp.zeros(7)}, optax.sgd(0.1))
    lines = first_lines("runs/mine", state, 0, task, config)
    assert lines[0].startswith("runs/mine: 7 parameters, ")
    assert lines[1] == (
        "1 test image is put aside; evaluations score 1 instead of "
        "evaluation.num_images = 4"
    )
    too_short = (
        "the learning rate reaches 6% of its peak: optimizer.warmup_steps = 200 are "
        "more than training.num_steps = 12; set fewer"
    )
    assert lines[2:] == ([too_short] if num_steps == 12 else [])
