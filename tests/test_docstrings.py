"""The examples in docstrings run, print what they show, and are not left out."""

import ast
import doctest
import importlib
import inspect
import pathlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import (
    data,
    degradations,
    evaluation,
    feature_nets,
    losses,
    metrics,
    models,
    restoration,
    sampling,
    schedules,
    training,
)
from colddiff_jax.feature_nets import classifier
from colddiff_jax.io.figures import save_png
from colddiff_jax.metrics.reference import Reference, save_reference
from colddiff_jax.restoration.export import export_model
from colddiff_jax.training import presets
from tests.torch_checkpoints import save_like_torch

PACKAGE = pathlib.Path(cd.__file__).parent
GOLDEN = pathlib.Path(__file__).parent / "golden"
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

PARTS = [
    *(cd, degradations, sampling, schedules, losses, models, metrics),
    *(feature_nets, data, restoration, evaluation, training),
]
# Used by the package itself rather than by its users.
INTERNAL = {
    *("Batch", "Images", "batch_indices", "leave_signals_to_others", "load_all"),
    *("load_if_small", "load_image", "load_test_images", "stack", "stream_batches"),
    "Windows",
}
# These need a download, an optional package, or other processes.
SKIPPED = {
    "colddiff_jax.data.sources.tfds",
    "colddiff_jax.distributed.initialize",
    "colddiff_jax.feature_nets.inception.inception_params",
    "colddiff_jax.feature_nets.inception.load_inception",
    "colddiff_jax.restoration.export_onnx.export_onnx",
    "colddiff_jax.training.official_checkpoint.convert_checkpoint",
}


class _Checker(doctest.OutputChecker):
    """Lets an example without expected output print anything."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return not want or super().check_output(want, got, optionflags)


def collect() -> Iterator[doctest.DocTest]:
    for info in pkgutil.walk_packages(cd.__path__, "colddiff_jax."):
        module = importlib.import_module(info.name)
        for test in doctest.DocTestFinder(exclude_empty=True).find(module):
            if test.examples:
                yield test


EXAMPLES = {test.name: test for test in collect()}


class _Restorer(nn.Module):
    """R(x, t) = w x, for examples that restore but do not show how well."""

    num_classes: int = 10

    @nn.compact
    def __call__(self, x: chex.Array, t: chex.Array, **options: Any) -> chex.Array:
        return self.param("scale", nn.initializers.ones, ()) * x


def public_names(part: Any) -> list[str]:
    if hasattr(part, "__all__"):
        return part.__all__
    return [
        name
        for name, value in vars(part).items()
        if getattr(value, "__module__", None) == part.__name__ and name[0] != "_"
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A working folder with the files that the examples name."""
    path = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.setenv("COLDDIFF_DATA", str(path))
        patch.setattr(classifier, "_MIN_STEPS", 2)
        patch.setattr(classifier, "_EPOCHS", 0)
        patch.setattr(presets, "use_smoke", use_smaller_smoke)
        config = training.get_config("digits_blur:smoke")
        training.train_and_evaluate(config, "runs/digits_blur")
        export_model(restoration.load_run("runs/digits_blur"), "digits.safetensors")
        rng = np.random.default_rng(0)
        for name in ("rose", "tulip"):
            (path / "photos" / name).mkdir(parents=True)
            for i in range(12):
                pixels = rng.integers(0, 256, (48, 64, 3), np.uint8)
                save_png(f"photos/{name}/{i}.png", pixels)
        (path / "weights").mkdir()
        np.savez("weights/cifar10_resnet56.npz", **resnet())
        save_like_torch("model.pt", official_checkpoint())
        yield path


def use_smaller_smoke(config: Any, use_smoke: Any = presets.use_smoke) -> None:
    use_smoke(config)
    config.model.update({"base_channels": 8, "channel_multipliers": (1,)})


def resnet() -> dict[str, np.ndarray]:
    """The arrays of the smallest ResNet for CIFAR-10."""
    shapes = {"conv1": (3, 3, 3, 16), "linear": (64, 10)}
    for stage, (inputs, outputs) in enumerate([(16, 16), (16, 32), (32, 64)], 1):
        shapes[f"layer{stage}_0/conv1"] = (3, 3, inputs, outputs)
        shapes[f"layer{stage}_0/conv2"] = (3, 3, outputs, outputs)
    kernels = {f"{name}/w": np.zeros(shape) for name, shape in shapes.items()}
    biases = {f"{name}/b": np.zeros(shape[-1]) for name, shape in shapes.items()}
    return kernels | biases


def official_checkpoint() -> dict[str, Any]:
    """A small checkpoint of the official code, with recorded weights."""
    with np.load(GOLDEN / "unet_convnext.npz") as recorded:
        weights = {
            name.replace("param/", "module.denoise_fn."): recorded[name]
            for name in recorded.files
            if name.startswith("param/")
        }
    return {"step": 700_000, "model": weights, "ema": weights}


@pytest.fixture(scope="module")
def names(folder: pathlib.Path) -> dict[str, Any]:
    """What examples use without defining it: the public names, and the usual values."""
    names = {name: getattr(part, name) for part in PARTS for name in public_names(part)}
    names |= {"cd": cd, "jax": jax, "jnp": jnp, "np": np, "schedules": schedules}
    x = jax.random.uniform(jax.random.key(0), (8, 32, 32, 3), minval=-1)
    degrade = cd.gaussian_blur(32, schedules.constant(20, value=1.0), kernel_size=5)
    names |= {"x": x, "x_0": x, "photos": x, "people": x, "animals": x[::-1]}
    names |= {"degrade": degrade, "blur": degrade, "x_T": degrade(x, 20)}
    names |= {"t": jnp.full(8, 5), "labels": jnp.arange(8)}
    model = _Restorer()
    params = {"scale": jnp.ones(())}
    names |= {"model": model, "params": params}
    names["restore_fn"] = jax.tree_util.Partial(model.apply, {"params": params})
    names["net"] = net = metrics.FeatureNet("mean colour", mean_colour)
    names["data"] = {"split": "train", "preprocessing": {"image_size": 32}}
    names["reference"] = reference = Reference(
        name="cifar10_train",
        feature_net=net.name,
        feature_fingerprint=net.fingerprint,
        data=names["data"],
        moments=metrics.Moments(50_000, np.zeros(3), np.eye(3)),
        features=np.zeros((10_000, 3)),
    )
    save_reference("cifar10_train.npz", reference)
    return names


def mean_colour(params: Any, x: chex.Array) -> metrics.Features:
    return metrics.Features(x.mean((1, 2)))


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name: str, names: dict[str, Any], capsys) -> None:
    test = EXAMPLES[name]
    # A key is used once only.
    test.globs = {**names, "key": jax.random.key(1), **test.globs}
    runner = doctest.DocTestRunner(checker=_Checker(), optionflags=OPTIONS)
    runner.run(test, clear_globs=False)
    assert not runner.failures, capsys.readouterr().out


def test_every_example_is_collected() -> None:
    """Also of functions that a decorator hides from doctest."""
    written = set()
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        pending = [(module.removesuffix(".__init__"), ast.parse(path.read_text()))]
        while pending:
            name, node = pending.pop()
            kinds = ast.ClassDef | ast.FunctionDef
            inner = [child for child in node.body if isinstance(child, kinds)]
            pending += [(f"{name}.{child.name}", child) for child in inner]
            if ">>>" in (ast.get_docstring(node) or ""):
                written.add(name)
    assert set(EXAMPLES) == written
    assert len(written) >= 90


def test_only_examples_that_cannot_run_here_are_skipped() -> None:
    skipped = {
        name
        for name, test in EXAMPLES.items()
        if any(doctest.SKIP in example.options for example in test.examples)
    }
    assert skipped == SKIPPED


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_public_function_and_class_has_an_example(part: Any) -> None:
    for name in set(public_names(part)) - INTERNAL:
        value = getattr(part, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert f"{value.__module__}.{value.__qualname__}" in EXAMPLES
