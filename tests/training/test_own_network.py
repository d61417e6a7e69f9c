"""Training any network that is an object, and loading the model again."""

import json

import chex
import flax.linen as nn
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import colddiff_jax as cd
from colddiff_jax import InputError
from colddiff_jax.data import ImageSplits, arrays
from colddiff_jax.evaluation import evaluate_run
from colddiff_jax.models import from_functions
from colddiff_jax.restoration.export import export_model
from colddiff_jax.restoration.export_sampler import export_sampler
from colddiff_jax.restoration.sample_run import sample_run
from colddiff_jax.training.task import build_model_and_task
from configs import digits_blur
from tests.networks import LinenNetwork, NNXNetwork, apply_linear, init_linear

LINEAR = from_functions(init_linear, apply_linear)
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 1), np.uint8)
SPLITS = arrays(IMAGES[:32], IMAGES[32:])


def darken():
    return cd.from_function(lambda x, t: (x + 1) * 0.5**t - 1, num_steps=3)


def smoke(**training):
    config = digits_blur.get_config("smoke")
    options = {"num_steps": 2, "log_every": 1, "evaluate_every": 2}
    config.training.update(options | training)
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two steps with two functions and a degradation that is one."""
    workdir = str(tmp_path_factory.mktemp("own") / "run")
    trained = cd.train_and_evaluate(
        smoke(), workdir, splits=SPLITS, degradation=darken(), model=LINEAR
    )
    return workdir, trained


def test_the_result_restores_and_has_the_last_metrics(run):
    workdir, trained = run
    assert repr(trained) == (
        "Restorer(FunctionDegradation, T = 3; FunctionNetwork, 16 x 16 x 1, 2 steps)"
    )
    assert trained.state.step == trained.step == 2
    chex.assert_trees_all_equal(trained.params, trained.state.ema_params)
    with open(f"{workdir}/metrics.jsonl") as file:
        lines = [json.loads(line) for line in file]
    for name in ("loss", "test_loss", "rmse_alg2", "ssim_direct"):
        values = [line[name] for line in lines if name in line]
        assert trained.metrics[name] == values[-1] != values[0], name
    assert "step" not in trained.metrics
    degraded = trained.degrade(IMAGES[0], t=2)
    restored = trained.restore(degraded, t=2)
    assert restored.shape == degraded.shape and restored.dtype == np.uint8
    larger = np.zeros((2, 24, 20, 1), np.uint8)  # A function degrades it, too.
    assert trained.restore(trained.degrade(larger)).shape == larger.shape
    loaded = cd.load(workdir, degradation=darken(), model=LINEAR)
    np.testing.assert_array_equal(loaded.restore(degraded, t=2), restored)


def test_a_network_is_named_and_asked_for_again(run):
    workdir, _ = run
    with open(f"{workdir}/config.json") as file:
        named = json.load(file)["config"]["model"]
    assert named["name"] == "own" and named["kind"] == "FunctionNetwork"
    with pytest.raises(InputError, match=r"\(FunctionNetwork\).*`load`.*as `model`"):
        cd.load(workdir, degradation=darken())
    with pytest.raises(InputError, match="FunctionNetwork; got LinenNetwork"):
        cd.load(workdir, degradation=darken(), model=LinenNetwork())
    other = from_functions(lambda key: {"gain": jnp.ones(())}, apply_linear)
    with pytest.raises(InputError, match=r"fails when called with x .*KeyError"):
        cd.load(workdir, degradation=darken(), model=other)
    third = from_functions(lambda key: {"w": jnp.ones(3)}, lambda p, x, t: x)
    with pytest.raises(InputError, match="does not fit the network"):
        cd.load(workdir, degradation=darken(), model=third)


def test_a_run_is_resumed_with_its_object_alone(run):
    workdir, _ = run
    given = {"splits": SPLITS, "degradation": darken()}
    with pytest.raises(InputError, match=r"another configuration.*model\.name"):
        cd.train_and_evaluate(smoke(), workdir, **given)
    with pytest.raises(InputError, match=r"model\.kind: 'FunctionNetwork' -> 'NNXN"):
        network = NNXNetwork(nnx.Rngs(0))
        cd.train_and_evaluate(smoke(), workdir, model=network, **given)
    again = cd.train_and_evaluate(smoke(), workdir, model=LINEAR, **given)
    assert again.step == 2 and again.metrics["loss"] > 0


def test_an_exported_model_asks_for_its_network_too(run, tmp_path):
    file = str(tmp_path / "model.safetensors")
    export_model(run[1], file)
    loaded = cd.load_run(file, degradation=darken(), model=LINEAR)
    chex.assert_trees_all_equal(loaded.params, jax.device_get(run[1].params))
    with pytest.raises(InputError, match=r"in Python, give it to `load`"):
        cd.load(file, degradation=darken())
    other = from_functions(lambda key: {"w": jnp.ones(3)}, lambda p, x, t: x)
    with pytest.raises(InputError, match=r"do not fit `model`; give the network that"):
        cd.load(file, degradation=darken(), model=other)


def test_a_sampler_with_a_network_of_ones_own_is_exported(run, tmp_path):
    file = tmp_path / "sampler.stablehlo"
    export_sampler(run[1], str(file), "alg2")
    x_T = jnp.full((1, 16, 16, 1), -0.5)
    x_0 = jax.export.deserialize(bytearray(file.read_bytes())).call(x_T)
    expected = run[1].restore(np.asarray(x_T))
    np.testing.assert_allclose(x_0, expected, atol=1e-5)


@pytest.fixture(scope="module")
def linen_run(tmp_path_factory):
    """A run of one step of a linen module, with the degradation of a configuration."""
    workdir = str(tmp_path_factory.mktemp("linen") / "run")
    config = smoke(num_steps=1)
    config.degradation = {"name": "jpeg_like", "qualities": (50.0, 20.0)}
    return workdir, cd.train_and_evaluate(
        config, workdir, splits=SPLITS, model=LinenNetwork()
    )


def test_programs_say_that_python_is_needed(linen_run):
    for program in (evaluate_run, sample_run):
        with pytest.raises(InputError, match=r"\(LinenNetwork\), which no .*programs"):
            program(linen_run[0])


def test_a_linen_module_restores_images_of_other_sizes(linen_run):
    workdir, trained = linen_run
    restorer = cd.load(workdir, model=LinenNetwork())
    larger = np.zeros((24, 40, 1), np.uint8)
    restored = restorer.restore(larger)
    assert restored.shape == larger.shape
    np.testing.assert_array_equal(trained.restore(larger), restored)


@pytest.mark.parametrize("network", [LINEAR, LinenNetwork(), NNXNetwork(nnx.Rngs(0))])
def test_preconditioning_is_around_any_network(network):
    config = smoke()
    config.model.precondition = True
    model, task = build_model_and_task(config, splits=SPLITS, network=network)
    assert model.config["model"]["precondition"] and model.scales
    assert task.data.splits.train_labels is None
    plain = smoke()
    assert build_model_and_task(plain, splits=SPLITS, network=network)[0].scales is None


def test_a_network_with_classes_is_given_labels():
    def apply(params, x, t, labels=None):
        shade = 0 if labels is None else labels[:, None, None, None]
        return apply_linear(params, x, t) + shade

    network = from_functions(init_linear, apply, num_classes=4)
    labels = np.arange(40) % 4
    splits = ImageSplits(IMAGES[:32], IMAGES[32:], labels[:32], labels[32:])
    model, task = build_model_and_task(smoke(), splits=splits, network=network)
    assert model.num_classes == 4 and task.data.splits.train_labels is not None
    with pytest.raises(InputError, match=r"`model\.num_classes` is 4"):
        build_model_and_task(smoke(), splits=SPLITS, network=network)


class WithStatistics(nn.Module):
    @nn.compact
    def __call__(self, x, t):
        return nn.Dense(1)(nn.BatchNorm(use_running_average=False)(x))


class WithTraining(nn.Module):
    @nn.compact
    def __call__(self, x, t, training):
        return nn.Dense(1)(x)


def integers(key):
    return {"w": jnp.zeros(3, jnp.int32)}


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (apply_linear, r"`model` must be a Flax linen or NNX module, .*got <function"),
        (LinenNetwork, "`model` must be a Flax linen or NNX module"),
        (WithStatistics(), r"no other variables, got \['batch_stats', 'params'\]"),
        (WithTraining(), "fails when called with x .* argument: 'training'"),
        (nn.Dropout(0.5), "fails when called with x"),
        (from_functions(integers, lambda p, x, t: x), "floating point, got .* int32"),
        (from_functions(init_linear, lambda p, x, t: x[0]), r"like x, .* 16, 1\), got"),
        (from_functions(lambda key: {"f": len}, lambda p, x, t: x), "TypeError"),
        (from_functions(lambda key: {}, lambda p, x, t: x), "must have parameters"),
    ],
)
def test_what_cannot_be_trained_is_one_line(network, message):
    with pytest.raises(InputError, match=message) as raised:
        build_model_and_task(smoke(), splits=SPLITS, network=network)
    assert "\n" not in str(raised.value)


def test_a_network_for_a_run_of_a_configuration_is_refused():
    from colddiff_jax.experiment.own_network import check_given

    with pytest.raises(InputError, match=r"must be left out: .* 'unet'"):
        check_given({"name": "unet"}, LINEAR)


@pytest.mark.parametrize(
    ("section", "given", "fix"),
    [
        ("degradation", apply_linear, r"degradation=from_function\(apply_linear, "),
        ("degradation", darken(), r"degradation=\.\.\.\)"),
        ("model", LinenNetwork(), r"model=\.\.\.\)"),
    ],
)
def test_an_object_in_a_configuration_is_one_line_that_says_where(section, given, fix):
    config = smoke()
    with pytest.raises(InputError, match=fix) as raised:
        setattr(config, section, given)
    assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match=fix):
        config[section] = given
    with pytest.raises(InputError, match=fix):
        build_model_and_task(config.to_dict() | {section: given}, splits=SPLITS)
