"""Training with a degradation that is an object, and loading the model again."""

import dataclasses
import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import InputError
from colddiff_jax.data import arrays
from colddiff_jax.evaluation import evaluate_run
from colddiff_jax.experiment.own_degradation import own_section
from colddiff_jax.restoration.export import export_model
from colddiff_jax.training import train_and_evaluate
from configs import digits_blur
from tests.networks import apply_linear, init_linear
from tests.restoration.runs import save_run

# A network that compiles at once.
LINEAR = cd.models.from_functions(init_linear, apply_linear)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Rows:
    """Replaces the rows of an image by their mean, one after another, in any order."""

    num_steps: int = dataclasses.field(metadata={"static": True})
    order: jax.Array | None = None

    def bind(self, key, shape):
        keys = key if key.ndim else jax.random.split(key, shape[0])
        draw = jax.vmap(lambda key: jax.random.permutation(key, shape[1]))
        return dataclasses.replace(self, order=draw(keys))

    def __call__(self, x, t):
        steps = jnp.broadcast_to(t, x.shape[:1])[:, None]
        removed = self.order * self.num_steps < steps * x.shape[1]
        return jnp.where(removed[..., None, None], x.mean(2, keepdims=True), x)


def darken(num_steps=4):
    return cd.from_function(lambda x, t: (x + 1) * 0.5**t - 1, num_steps)


def smoke(**training):
    config = digits_blur.get_config("smoke")
    config.model.update({"base_channels": 8, "channel_multipliers": (1,)})
    config.training.update(training)
    return config


@pytest.fixture(scope="module")
def splits():
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 1), np.uint8)
    return arrays(images[:32], images[32:])


@pytest.fixture(scope="module")
def run(tmp_path_factory, splits):
    """A run of six steps with a function, and its final state."""
    workdir = str(tmp_path_factory.mktemp("own") / "run")
    given = {"splits": splits, "degradation": darken()}
    return workdir, train_and_evaluate(smoke(), workdir, **given).state


def test_a_function_is_trained_named_and_asked_for_again(run):
    workdir, state = run
    assert state.step == 6
    with open(f"{workdir}/config.json") as file:
        named = json.load(file)["config"]["degradation"]
    assert named["kind"] == "FunctionDegradation" and named["num_steps"] == 4
    degrade = darken()
    restorer = cd.load(workdir, degradation=degrade)
    assert restorer.model.degrade is degrade
    chex.assert_trees_all_equal(restorer.params, jax.device_get(state.ema_params))
    with pytest.raises(InputError, match=r"FunctionDegradation of 4 steps.*`load`"):
        cd.load(workdir)
    with pytest.raises(InputError, match=r"of 4 steps; got FunctionDegradation of 5"):
        cd.load(workdir, degradation=darken(5))
    with pytest.raises(InputError, match="got Rows of 4 steps"):
        cd.load(workdir, degradation=Rows(4))


def test_an_exported_model_asks_for_its_degradation_too(run, tmp_path):
    file = str(tmp_path / "model.safetensors")
    export_model(cd.load(run[0], degradation=darken()), file)
    restorer = cd.load(file, degradation=darken())
    chex.assert_trees_all_equal(restorer.params, jax.device_get(run[1].ema_params))
    with pytest.raises(InputError, match=r"in Python, give it to `load`"):
        cd.load(file)
    with pytest.raises(InputError, match="got Rows of 4 steps"):
        cd.load(file, degradation=Rows(4))


def test_a_run_is_resumed_with_its_object_alone(run, splits):
    workdir, _ = run
    with pytest.raises(InputError, match=r"another configuration.*degradation\.name"):
        train_and_evaluate(smoke(), workdir, splits=splits)
    with pytest.raises(InputError, match=r"degradation\.kind: 'Func.*' -> 'Rows'"):
        train_and_evaluate(smoke(), workdir, splits=splits, degradation=Rows(4))
    config = smoke(num_steps=8)
    again = train_and_evaluate(config, workdir, splits=splits, degradation=darken())
    assert again.step == again.state.step == 8


def test_programs_say_that_python_is_needed(run):
    with pytest.raises(InputError, match="no configuration describes for programs"):
        evaluate_run(run[0])


@pytest.mark.parametrize(
    "degradation",
    [Rows(4), cd.compose(cd.pixelate(16, sizes=(8, 4)), darken(2))],
    ids=["class", "composed"],
)
def test_classes_and_compositions_are_trained(degradation, splits, tmp_path):
    workdir = str(tmp_path / "run")
    config = smoke(num_steps=2, evaluate_every=2, checkpoint_every=2)
    given = {"degradation": degradation, "model": LINEAR}
    assert train_and_evaluate(config, workdir, splits=splits, **given).step == 2
    assert cd.load(workdir, **given).step == 2


def test_an_object_for_a_run_of_a_configuration_is_refused(tmp_path):
    save_run(smoke(), tmp_path / "run", {1: 1.0})
    workdir = str(tmp_path / "run")
    assert cd.load(workdir).step == 1
    with pytest.raises(InputError, match=r"must be left out: .* 'gaussian_blur'"):
        cd.load(workdir, degradation=darken())


def test_what_is_not_a_degradation_is_refused():
    class Unregistered:
        num_steps = 2

        def bind(self, key, shape):
            return self

        def __call__(self, x, t):
            return x

    with pytest.raises(InputError, match="by `from_function"):
        own_section(lambda x, t: x)
    with pytest.raises(InputError, match="got <class"):
        own_section(Rows)
    with pytest.raises(InputError, match="register_dataclass"):
        own_section(Unregistered())
