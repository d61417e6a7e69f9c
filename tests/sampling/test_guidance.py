"""Classifier-free guidance: its formula, what it costs, and that it compiles once."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.sampling import BatchSampler, guide
from tests.networks import random_parameters, tiny_unet

T = 3
CLASSES = 4
MODEL = tiny_unet(num_classes=CLASSES)
LABELS = np.array([0, 3, 1, 2])


def network(seed=0):
    params = random_parameters(MODEL, (32, 32, 3), seed)
    return jax.tree_util.Partial(MODEL.apply, {"params": params})


@pytest.fixture
def steps():
    return jnp.array([1, 2, 3, 3])


def guided(restore_fn, scale, labels=LABELS):
    return guide(restore_fn, labels, scale=scale, null_label=CLASSES)


@pytest.mark.parametrize("scale", [0, 1.0, 0.5, 3.0, jnp.float32(1.0), np.float64(0)])
def test_the_result_is_the_formula_with_two_calls(photos, steps, scale):
    told = network()(photos, steps, labels=LABELS)
    untold = network()(photos, steps)
    assert np.abs(told - untold).max() > 1e-3
    expected = untold + scale * (told - untold)
    found = guided(network(), scale)(photos, steps)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("scale", "told"),
    [
        (0, [[4, 4, 4, 4]]),
        (1, [[0, 3, 1, 2]]),
        (2.0, [[0, 3, 1, 2, 4, 4, 4, 4]]),
        (jnp.float32(1), [[0, 3, 1, 2, 4, 4, 4, 4]]),
    ],
)
def test_the_restorer_is_called_once_and_told_the_classes(photos, steps, scale, told):
    calls = []

    def restore_fn(x, t, *, labels):
        assert len(x) == len(t) == len(labels)
        calls.append(labels.tolist())
        return x

    guided(restore_fn, scale)(photos, steps)
    assert calls == told


def test_one_label_serves_all_images(photos, steps):
    found = guided(network(), 2.0, labels=3)(photos, steps)
    expected = guided(network(), 2.0, labels=np.full(4, 3))(photos, steps)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("scales", [(2.0, 3.5), (1, 1.0), (0, 0.0)])
def test_other_weights_labels_and_scales_compile_nothing(photos, scales):
    degrade = cd.gaussian_blur(32, T * [1.0], kernel_size=5)
    sample = jax.jit(chex.assert_max_traces(cd.sample_alg2, n=1))
    results = [
        sample(guided(network(seed), scale, labels), degrade, photos).x_0
        for seed, scale, labels in zip(
            range(2), scales, (LABELS, jnp.array([1, 1, 1, 1])), strict=True
        )
    ]
    assert np.abs(results[0] - results[1]).max() > 1e-3


def test_labels_and_a_traced_scale_may_be_arguments_of_a_program(photos, steps):
    @jax.jit
    def restore(labels, scale):
        return guided(network(), scale, labels)(photos, steps)

    expected = guided(network(), 2.0)(photos, steps)
    found = restore(jnp.asarray(LABELS), jnp.float32(2))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_labels_are_part_of_the_batch_of_a_batch_sampler(photos):
    degrade = cd.gaussian_blur(32, T * [1.0], kernel_size=5)
    x_T = degrade(photos, T)

    def sample(shared, batch):
        restore_fn, degrade = shared
        x_T, labels = batch
        return cd.sample_alg2(guided(restore_fn, 2.0, labels), degrade, x_T).x_0

    # Seven images on four devices.
    numbers = np.array([0, 1, 2, 3, 0, 1, 2])
    images, labels = np.asarray(x_T)[numbers], LABELS[numbers]
    found = BatchSampler(sample, batch_size=4)((network(), degrade), (images, labels))
    expected = cd.sample_alg2(guided(network(), 2.0), degrade, x_T).x_0
    np.testing.assert_allclose(found, expected[numbers], atol=1e-4)


def test_the_dtype_of_the_restorer_is_kept(photos, steps):
    def restore_fn(x, t, *, labels):
        return x.astype(jnp.bfloat16)

    assert guided(restore_fn, 2.0)(photos, steps).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("labels", "scale", "error", "message"),
    [
        (LABELS[:3], 2.0, ValueError, r"one per image, shape \(4,\), got shape \(3,\)"),
        (LABELS[:3], 1, ValueError, r"one per image, shape \(4,\), got shape \(3,\)"),
        (LABELS / 2, 1, TypeError, "labels must be integers, got float64"),
        (LABELS, np.ones(4), ValueError, r"one number for all .* got shape \(4,\)"),
        (LABELS, float("nan"), ValueError, "scale must be a finite number, .* got nan"),
    ],
)
def test_bad_labels_and_scales_are_named(photos, steps, labels, scale, error, message):
    with pytest.raises(error, match=message):
        guided(network(), scale, labels)(photos, steps)
