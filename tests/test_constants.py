"""No program holds a large constant: images, tables and weights are its arguments.

A constant is compiled anew for every value, and takes its size again in the program.
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import data, devices, sampling, schedules
from colddiff_jax.data import Batch
from colddiff_jax.evaluation.scoring import Scorer
from colddiff_jax.feature_nets import FeatureNet, Features
from colddiff_jax.metrics import ms_ssim
from colddiff_jax.models import preconditioning
from colddiff_jax.restoration.restore import degrade_batch
from colddiff_jax.restoration.samplers import parse_samplers
from colddiff_jax.sampling import BatchSampler, timesteps
from colddiff_jax.training.parallel_step import parallel_train_step
from colddiff_jax.training.task import abstract_state, build_model_and_task, train_step
from configs import mnist_blur
from tests.networks import random_parameters, tiny_unet

MEGABYTE = 2**20
SIZE, T = 64, 100
NETWORK = tiny_unet(patch_size=16)

# Tables of a side for every step exceed a megabyte; others grow with the images.
DEGRADATIONS = {
    "animorph": lambda: cd.animorph(schedules.cosine(T)),
    "blend": lambda: cd.blend(T * [0.5], T * [0.5]),
    "blur_and_noise": lambda: cd.blur_and_noise(
        SIZE, np.linspace(1, 20, T), schedules.cosine(T)
    ),
    "desaturate": lambda: cd.desaturate(schedules.linear_decay(T)),
    "fade_to_color": lambda: cd.fade_to_color(SIZE, T * [3.0]),
    "gaussian_blur": lambda: cd.gaussian_blur(SIZE, T * [1.0], kernel_size=5),
    "gaussian_mask": lambda: cd.gaussian_mask(SIZE, T * [3.0]),
    "gaussian_mask, random": lambda: cd.gaussian_mask(SIZE, T * [3.0], center="random"),
    "gaussian_noise": lambda: cd.gaussian_noise(schedules.cosine(T)),
    "holes": lambda: cd.holes(SIZE, T),
    "jpeg_like": lambda: cd.jpeg_like(list(range(T, 0, -1))),
    "motion_blur": lambda: cd.motion_blur(SIZE, np.linspace(1, 20, T)),
    "pixelate": lambda: cd.pixelate(SIZE, T * [48]),
    "rank_mask": lambda: cd.rank_mask(
        cd.spiral_ranks(SIZE), np.linspace(1, SIZE**2, T).astype(int)
    ),
    "snow": lambda: cd.snow(SIZE, T),
}


def constants(jaxpr: Any) -> Iterator[Any]:
    """Yields the constants of a program and of the programs inside it."""
    if hasattr(jaxpr, "consts"):
        yield from jaxpr.consts
        jaxpr = jaxpr.jaxpr
    for equation in jaxpr.eqns:
        yield from (v.val for v in equation.invars if hasattr(v, "val"))
        for parameter in jax.tree.leaves(list(equation.params.values())):
            if hasattr(parameter, "eqns") or hasattr(parameter, "jaxpr"):
                yield from constants(parameter)


def largest(program: Any, *arguments: Any) -> int:
    """Returns the bytes of the largest constant of a program that is not compiled."""
    found = constants(jax.make_jaxpr(program)(*arguments))
    return max((np.asarray(c).nbytes for c in found if is_array(c)), default=0)


def is_array(constant: Any) -> bool:
    dtype = getattr(constant, "dtype", None)
    return dtype is not None and not jnp.issubdtype(dtype, jax.dtypes.prng_key)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (128, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def params():
    return random_parameters(NETWORK, (SIZE, SIZE, 3))


@pytest.mark.parametrize("kind", [jnp.asarray, np.asarray])
@pytest.mark.parametrize("wrap", [jax.jit, devices.over_devices])
def test_a_large_constant_is_found_wherever_it_is(kind, wrap):
    table = kind(np.random.default_rng(0).uniform(size=(MEGABYTE // 4 + 1,)), "float32")

    def program(shared, x):
        del shared
        return jax.lax.scan(lambda c, i: (c, jnp.asarray(table)[i]), 0, x)[1]

    steps = np.zeros((jax.local_device_count(), 2), np.int32)
    found = largest(wrap(program), (), steps if wrap is not jax.jit else steps[0])
    assert found == MEGABYTE + 4


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_a_degradation_and_its_sampler_hold_no_large_constant(name, images, params):
    degrade = DEGRADATIONS[name]()
    endpoints = images if name == "animorph" else None
    keys = jax.random.split(jax.random.key(0), len(images))

    def restore(params, degrade, keys, batch):
        _, bound, x_T = degrade_batch(degrade, keys, batch, T)
        restore_fn = functools.partial(NETWORK.apply, {"params": params})
        return sampling.sample_alg2(restore_fn, bound, x_T).x_0

    batch = Batch(images, None, endpoints)
    assert largest(jax.jit(restore), params, degrade, keys, batch) < MEGABYTE


@pytest.mark.parametrize("name", sampling.SAMPLERS)
def test_a_sampler_holds_no_large_constant(name, images, params):
    kind = "gaussian_noise" if name in ("ddim", "ihd") else "gaussian_blur"
    degrade = DEGRADATIONS[kind]()
    count = jax.local_device_count()

    def sample(shared, indexed):
        restore_fn, degrade = shared
        x_T, keys = indexed
        bound = degrade.bind(keys, x_T.shape)
        return sampling.SAMPLERS[name](restore_fn, bound, x_T, key=keys).x_0

    restore_fn = jax.tree_util.Partial(NETWORK.apply, {"params": params})
    x_T = devices.shard(cd.to_float(images), count)
    keys = jax.random.split(jax.random.key(0), (count, x_T.shape[1]))
    run = BatchSampler(sample, batch_size=len(images))._sample
    assert largest(run, (restore_fn, degrade), (x_T, keys)) < MEGABYTE


@pytest.fixture(scope="module")
def model_and_task(images):
    config = mnist_blur.get_config("smoke")
    config.data.update({"image_size": SIZE, "resize_to": SIZE})
    config.degradation.stds.num_steps = T
    config.model.update({"channel_multipliers": (1,), "patch_size": 16})
    config.training.micro_batches = 2
    config.evaluation.num_images = 4
    return build_model_and_task(config, splits=data.arrays(images, images))


def test_the_training_step_holds_no_large_constant(model_and_task, images):
    model, task = model_and_task
    assert sum(x.nbytes for x in jax.tree.leaves(model.degrade)) > MEGABYTE
    program = parallel_train_step(train_step(model, task))
    state = abstract_state(model, task)
    key = jax.random.key(0)
    indices = np.zeros((jax.local_device_count(), 1, 2), np.int32)
    resident = Batch(images)
    arguments = (state, resident, Batch(indices), model.degrade, key)
    assert largest(program, *arguments) < MEGABYTE


def test_the_scorer_holds_no_large_constant(model_and_task, images):
    model, _ = model_and_task

    def features(weights, x):
        return Features(x.reshape(len(x), -1) @ weights)

    net = FeatureNet("linear", features, np.ones((3 * SIZE**2, 32), np.float32))
    specs = parse_samplers(("direct", "alg1", "alg2"), model.degrade)
    scorer = Scorer(model, specs=specs, nets=[net], batch_size=len(images))
    count = jax.local_device_count()
    indexed = (Batch(devices.shard(images, count)), np.arange(128).reshape(count, -1))
    params = model.abstract_params
    shared = (params, model.degrade, jax.random.key(0), [net.params])
    assert largest(scorer._run._sample, shared, indexed) < MEGABYTE


def test_measurements_of_a_degradation_hold_no_large_constant(images):
    degrade, x_0 = DEGRADATIONS["gaussian_blur"](), cd.to_float(images)
    scales = functools.partial(
        preconditioning._moments, noise=0.1, centered=True, target="previous"
    )
    assert largest(scales, degrade, x_0, None) < MEGABYTE
    assert largest(jax.jit(timesteps._measure), degrade, x_0) < MEGABYTE


def test_metrics_hold_no_large_constant():
    x = jnp.zeros((4, 256, 256, 3))
    assert largest(jax.jit(ms_ssim), x, x) < MEGABYTE
