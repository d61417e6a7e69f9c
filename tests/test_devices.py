"""Devices and processes that work together."""

import functools

import chex
import jax
import jax.numpy as jnp

from colddiff_jax import devices
from colddiff_jax.training.unrolling import scan_or_unroll
from tests.subprocesses import free_port, start, succeed


def test_two_processes_agree_measure_compare_sample_and_save(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    arguments = ("-m", "tests.parallel_worker", address)
    succeed([start(*arguments, str(i), str(tmp_path)) for i in range(2)])


def test_the_scan_on_accelerators_equals_the_unrolled_steps_on_cpus(monkeypatch):
    weights = jnp.arange(6.0).reshape(2, 3) / 10

    def step(carry, x):
        carry = {"w": jnp.tanh(carry["w"] + x @ weights), "n": carry["n"] + 1}
        return carry, {"sum": carry["w"].sum()}

    carry = {"w": jnp.zeros(3), "n": jnp.array(0)}
    xs = jax.random.normal(jax.random.key(0), (4, 2))
    unrolled = scan_or_unroll(step, carry, xs)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    program = jax.make_jaxpr(functools.partial(scan_or_unroll, step))(carry, xs)
    assert [e.primitive.name for e in program.eqns] == ["scan"]
    scanned = scan_or_unroll(step, carry, xs)
    chex.assert_trees_all_close(scanned, unrolled, rtol=1e-6)


def test_a_single_process_agrees_with_itself():
    assert devices.any_process(True) and not devices.any_process(False)
    assert devices.is_main_process() and devices.num_processes() == 1
