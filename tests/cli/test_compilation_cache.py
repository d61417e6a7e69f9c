"""The compilation cache of the programs."""

import os
import subprocess
import sys

import jax
import pytest

from colddiff_jax.cli.compilation_cache import keep_compiled_programs
from tests.conftest import ROOT

PROGRAM = """
import jax, jax.numpy as jnp
from colddiff_jax.cli.compilation_cache import keep_compiled_programs

keep_compiled_programs()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((3, 3)))
print(sum(event.endswith("cache_hits") for event in events))
"""


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """The settings of the cache, restored afterwards; the cache of a user is empty."""
    names = [name for name in jax.config.values if "_cache_" in name]
    before = {name: jax.config.values[name] for name in names}
    monkeypatch.setenv("COLDDIFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    yield before
    for name, value in before.items():
        jax.config.update(name, value)


def cache_dir():
    return jax.config.values["jax_compilation_cache_dir"]


def test_a_second_process_finds_the_programs_of_the_first(tmp_path):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}

    def hits():
        return int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM],
                cwd=ROOT,
                env=kept | {"COLDDIFF_CACHE": str(tmp_path), "JAX_PLATFORMS": "cpu"},
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )

    assert hits() == 0
    assert hits() > 0
    (folder,) = (tmp_path / "compiled").iterdir()
    assert any(folder.iterdir())


def test_programs_are_kept_in_the_cache_folder_of_the_user(settings, tmp_path):
    keep_compiled_programs()
    assert cache_dir().startswith(str(tmp_path / "cache" / "compiled"))
    assert jax.config.values["jax_compilation_cache_max_size"] > 0


def test_a_cache_that_the_user_chose_is_left_alone(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "other"))
    keep_compiled_programs()
    assert cache_dir() == settings["jax_compilation_cache_dir"]


def test_without_a_folder_programs_are_compiled_as_usual(settings, tmp_path):
    (tmp_path / "cache").write_text("in the way of the folder")
    keep_compiled_programs()
    assert cache_dir() == settings["jax_compilation_cache_dir"]
