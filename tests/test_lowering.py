"""Every program lowers for CPUs, NVIDIA GPUs and TPUs, whichever of them is here."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import colddiff_jax as cd
from colddiff_jax import devices, sampling, schedules
from colddiff_jax.data import Batch, Preprocessing
from colddiff_jax.evaluation.protocol import SOUND
from colddiff_jax.evaluation.scoring import ScoringProgram
from colddiff_jax.experiment.model import build_model
from colddiff_jax.feature_nets import FeatureNet, inception, load_feature_net
from colddiff_jax.feature_nets.classifier import Classifier
from colddiff_jax.feature_nets.inception_network import SIDE as PHOTO_SIDE
from colddiff_jax.feature_nets.inception_network import Inception
from colddiff_jax.models.depthwise import depthwise_conv
from colddiff_jax.restoration.samplers import parse_samplers
from colddiff_jax.training.objective import Objective
from colddiff_jax.training.optimizers import make_optimizer, warmup_ema
from colddiff_jax.training.parallel_step import parallel_train_step
from colddiff_jax.training.state import create_state
from colddiff_jax.training.step import make_train_step
from configs import digits_blur
from tests.degradations.cases import CASES
from tests.feature_nets.test_array_networks import draw_mobilenet, draw_resnet
from tests.networks import tiny_unet

PLATFORMS = ("cpu", "cuda", "tpu")
SIDE, T = 16, 3
NETWORKS = {
    "unet": tiny_unet(attention_resolutions=(4,), patch_size=2),
    "convnext": cd.ConvNeXtUNet(base_channels=8, channel_multipliers=(1, 2)),
}
SAMPLERS = sampling.SAMPLERS | {
    "momentum": functools.partial(cd.sample_momentum, noise_stds=T * [0.1])
}
IMAGES = jax.ShapeDtypeStruct((64, SIDE, SIDE, 3), jnp.float32)
STEPS = jax.ShapeDtypeStruct((64,), jnp.int32)
KEY = jax.eval_shape(lambda: jax.random.key(0))


def lower(function, *arguments):
    """Returns the StableHLO of a function by platform."""
    traced = jax.jit(function).trace(*arguments)
    return {
        platform: traced.lower(lowering_platforms=(platform,)).as_text()
        for platform in PLATFORMS
    }


def assert_lowers(function, *arguments):
    for platform, text in lower(function, *arguments).items():
        # A custom call is a routine of one platform, such as LAPACK's on CPUs.
        calls = set(re.findall(r"custom_call @(\w+)", text))
        assert not calls, platform


def abstract(tree):
    return jax.eval_shape(lambda: tree)


def parameters(network, *inputs):
    one = [jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype) for x in inputs]
    return jax.eval_shape(network.init, KEY, *one)["params"]


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    return NETWORKS[request.param]


@pytest.fixture(scope="module")
def restore_fn():
    network = NETWORKS["unet"]
    variables = {"params": parameters(network, IMAGES, STEPS)}
    return jax.tree_util.Partial(network.apply, variables)


def test_networks_in_bfloat16_lower(network):
    network = network.clone(dtype=jnp.bfloat16)
    variables = {"params": parameters(network, IMAGES, STEPS)}
    assert_lowers(network.apply, variables, IMAGES, STEPS)


def test_training_steps_on_all_devices_lower(network):
    optimizer = make_optimizer(learning_rate=1e-3, warmup_steps=0)
    preprocessing = Preprocessing(image_size=SIDE, pad=1, flip=True)
    objective = Objective(input_noise=0.1, rollouts=0.5)
    step = make_train_step(
        network, optimizer, warmup_ema(decay=0.9), objective, preprocessing
    )
    state = jax.eval_shape(
        functools.partial(create_state, optimizer=optimizer),
        parameters(network, IMAGES, STEPS),
    )
    shape = (devices.num_devices(), 1, 2, SIDE, SIDE, 3)
    batches = Batch(jax.ShapeDtypeStruct(shape, jnp.uint8))
    degrade = abstract(cd.gaussian_mask(SIDE, T * [2.0], center="random"))
    steps = parallel_train_step(step)
    assert_lowers(steps, state, None, batches, degrade, KEY)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_lower(sampler, restore_fn):
    degrade = cd.gaussian_noise(schedules.cosine(T))
    degrade = abstract(degrade.bind(jax.random.key(0), IMAGES.shape))

    def sample(restore_fn, degrade, x_T, key):
        return SAMPLERS[sampler](
            restore_fn, degrade, x_T, key=key, return_trajectory=True
        )

    assert_lowers(sample, restore_fn, degrade, IMAGES, KEY)


@pytest.mark.parametrize("name", CASES)
def test_degradations_and_their_gradients_lower(name):
    images = jax.ShapeDtypeStruct((4, 32, 32, 3), jnp.float32)
    steps = jax.ShapeDtypeStruct((4,), jnp.int32)

    def degrade(unbound, key, x, t):
        return jax.vjp(lambda x: unbound.bind(key, x.shape)(x, t), x)[1](x)

    assert_lowers(degrade, abstract(CASES[name]()), KEY, images, steps)


def test_classifier_gradient_lowers():
    network = Classifier(10)
    labels = jax.ShapeDtypeStruct((64,), jnp.int32)

    def loss(params, x, labels):
        _, logits = network.apply({"params": params}, x)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return losses.mean()

    assert_lowers(jax.grad(loss), parameters(network, IMAGES), IMAGES, labels)


def test_evaluation_lowers_with_every_feature_network(tmp_path):
    config = digits_blur.get_config("smoke").to_dict()
    model = build_model(config, channels=1)
    np.savez(tmp_path / "resnet.npz", **draw_resnet())
    np.savez(tmp_path / "mobilenet.npz", **draw_mobilenet())
    nets = [
        FeatureNet("inception", inception.features),
        load_feature_net(str(tmp_path / "resnet.npz")),
        load_feature_net(str(tmp_path / "mobilenet.npz")),
    ]
    photo = jax.ShapeDtypeStruct((1, PHOTO_SIDE, PHOTO_SIDE, 3), jnp.float32)
    weights = [parameters(Inception(), photo), *[net.params for net in nets[1:]]]
    specs = parse_samplers(["direct", "alg1", "alg2:5"], model.degrade)
    program = ScoringProgram(model, specs, tuple(nets), SOUND, "fixed")
    shared = (model.abstract_params, abstract(model.degrade), KEY, weights)
    count = devices.num_devices()
    batch = Batch(jax.ShapeDtypeStruct((count, 2, *model.image_shape), jnp.uint8))
    indices = jax.ShapeDtypeStruct((count, 2), jnp.int32)
    assert_lowers(devices.over_devices(program), shared, (batch, indices))


def test_only_cpus_convolve_in_loops(network):
    """`jax.lax.platform_dependent` chooses once, when a program is lowered."""

    def loss(params, x, t):
        return network.apply({"params": params}, x, t).sum()

    found = lower(jax.grad(loss), parameters(network, IMAGES, STEPS), IMAGES, STEPS)
    loops = {name: text.count("stablehlo.while") for name, text in found.items()}
    assert loops["cpu"] > 0 and loops["cuda"] == loops["tpu"] == 0


def test_depthwise_convolution_is_grouped_on_gpus_and_tpus():
    kernel = jax.ShapeDtypeStruct((7, 7, 3), jnp.float32)
    for platform, text in lower(depthwise_conv, IMAGES, kernel).items():
        grouped = "feature_group_count = 3" in text
        loop = "stablehlo.while" in text
        assert (grouped, loop) == (platform != "cpu", platform == "cpu")
