"""Profiler traces of a few steps."""

import pathlib

import jax.numpy as jnp

from colddiff_jax.training.profile import trace_steps


def traces(folder: pathlib.Path) -> list[pathlib.Path]:
    return list(folder.glob("profile/**/*.xplane.pb"))


def test_the_given_steps_are_traced_even_if_a_call_takes_several(tmp_path):
    with trace_steps(str(tmp_path), 9, 2) as at:
        for step in range(0, 24, 4):  # Never step 9 or 10.
            at(step, jnp.ones(3) * step)
            assert bool(traces(tmp_path)) == (step >= 16)


def test_a_trace_ends_with_the_run(tmp_path):
    with trace_steps(str(tmp_path), 10, 5) as at:
        at(10, jnp.ones(3))
    assert traces(tmp_path)


def test_no_steps_write_no_trace(tmp_path):
    with trace_steps(str(tmp_path), 10, 0) as at:
        for step in range(9, 12):
            at(step, jnp.ones(3))
    assert not list(tmp_path.iterdir())
