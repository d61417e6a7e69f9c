"""The examples in docstrings run, and print what they say."""

import doctest
import importlib
import os
import pkgutil
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import schedules
from colddiff_jax.data import arrays
from colddiff_jax.io.figures import save_png
from colddiff_jax.training import get_config, train_and_evaluate
from tests.networks import random_parameters, tiny_unet

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class _Checker(doctest.OutputChecker):
    """An example without output may print anything."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return not want or super().check_output(want, got, optionflags)


def examples() -> Iterator[Any]:
    for info in pkgutil.walk_packages(cd.__path__, "colddiff_jax."):
        module = importlib.import_module(info.name)
        for test in doctest.DocTestFinder(exclude_empty=True).find(module):
            if test.examples:
                yield pytest.param(test, id=test.name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A folder with a trained run and some images, as the examples name them."""
    path = tmp_path_factory.mktemp("examples")
    before = os.getcwd()
    os.chdir(path)
    config = get_config("digits_blur:smoke")
    config.model.channel_multipliers = (1,)
    train_and_evaluate(config, "runs/digits_blur")
    os.makedirs("photos/rose"), os.makedirs("photos/tulip")
    rng = np.random.default_rng(0)
    for i in range(24):
        pixels = rng.integers(0, 256, (48, 64, 3), np.uint8)
        name = f"photos/{'rose' if i % 2 else 'tulip'}/{i}.png"
        save_png(name, pixels)
    yield str(path)
    os.chdir(before)


@pytest.fixture(scope="module")
def names(folder: str) -> dict[str, Any]:
    """What the examples use without defining it."""
    stds = schedules.constant(20, value=1.0)
    degrade = cd.gaussian_blur(32, stds, kernel_size=5)
    x = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3), minval=-1)
    model = tiny_unet(dropout=0.0)
    params = random_parameters(model, (32, 32, 3))
    return {
        **{name: getattr(cd, name) for name in cd.__all__},
        **{"cd": cd, "jax": jax, "jnp": jnp, "np": np, "schedules": schedules},
        **{"x": x, "x_0": x, "photos": x, "people": x, "animals": x[::-1]},
        **{"degrade": degrade, "blur": degrade, "x_T": degrade(x, 20)},
        **{"x_t": degrade(x, 5), "t": jnp.array([5, 5])},
        **{"model": model, "params": params, "variables": {"params": params}},
        "restore_fn": jax.tree_util.Partial(model.apply, {"params": params}),
        "key": jax.random.key(1),
        "splits": arrays(*np.zeros((2, 8, 32, 32, 3), np.uint8)),
    }


@pytest.mark.parametrize("test", list(examples()))
def test_examples_run(test: doctest.DocTest, names: dict[str, Any], capsys) -> None:
    test.globs = {**names, **test.globs}
    runner = doctest.DocTestRunner(checker=_Checker(), optionflags=OPTIONS)
    runner.run(test)
    assert not runner.failures, capsys.readouterr().out
