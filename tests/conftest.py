"""Strict JAX settings for all tests, and the data that tests share."""

import os
import pathlib
import tempfile
from collections.abc import Iterator

import chex
import jax
import numpy as np
import pytest

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)

# Most tests spend their time in the compiler, and its optimizations do not affect what
# they check. Programs that a test starts inherit these settings.
jax.config.update("jax_disable_most_optimizations", True)
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
if jax.__version_info__ < (0, 11):  # Later versions lack the faster code generator.
    given = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{given} --xla_cpu_use_fusion_emitters=false"

# All tests share compiled programs, including the processes of pytest-xdist, which
# inherit this environment, and the programs that a test starts.
_CACHE = "JAX_COMPILATION_CACHE_DIR"
if _CACHE not in os.environ:
    _COMPILED = tempfile.TemporaryDirectory(prefix="colddiff-tests-")
    os.environ[_CACHE] = _COMPILED.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.03"
jax.config.update("jax_compilation_cache_dir", os.environ[_CACHE])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.03)

ROOT = pathlib.Path(__file__).parent.parent


# The files that take longest start first: a worker of pytest-xdist that is left with
# one of them at the end would keep the others waiting.
_FIRST = ("training/test_stopping", "training/test_resume", "training", "programs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the files that take longest to the front."""

    def rank(item: pytest.Item) -> int:
        path = item.path.relative_to(ROOT / "tests").as_posix()
        matches = [path.startswith(prefix) for prefix in _FIRST]
        return matches.index(True) if any(matches) else len(matches)

    items.sort(key=rank)


@pytest.fixture(autouse=True, scope="module")
def _free_programs() -> Iterator[None]:
    """Frees the compiled programs of a file, which take gigabytes, after its tests."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def optimized() -> Iterator[None]:
    """Compiles as for users; without fusion, two programs could agree by accident."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(autouse=True)
def _fresh_trace_counts() -> None:
    """Resets chex, which counts traces by address: another function may reuse it."""
    chex.clear_trace_counter()


@pytest.fixture(scope="session")
def golden() -> np.lib.npyio.NpzFile:
    """Recorded outputs of the official code; see tests/golden/README.md."""
    return np.load(ROOT / "tests" / "golden" / "degradations.npz")


@pytest.fixture(scope="session")
def photos(golden: np.lib.npyio.NpzFile) -> np.ndarray:
    """Four real photographs, float32 [4, 32, 32, 3] in [-1, 1]."""
    return golden["images32"].astype(np.float32) / 255 * 2 - 1


@pytest.fixture(scope="session")
def data_folder() -> pathlib.Path:
    """The folder COLDDIFF_DATA with real data sets; skips the test if it is not set."""
    folder = os.environ.get("COLDDIFF_DATA")
    if not folder:
        pytest.skip("COLDDIFF_DATA is not set to a folder with data sets")
    return pathlib.Path(folder)
