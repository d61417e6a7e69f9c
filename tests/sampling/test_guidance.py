"""Classifier-free guidance: its formula, its cost, and that it compiles once."""

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
def test_the_result_equals_the_formula_with_two_calls(photos, steps, scale):
    conditional = network()(photos, steps, labels=LABELS)
    unconditional = network()(photos, steps)
    assert np.abs(conditional - unconditional).max() > 1e-3
    expected = unconditional + scale * (conditional - unconditional)
    x0_hat = guided(network(), scale)(photos, steps)
    np.testing.assert_allclose(x0_hat, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("scale", "labels_of_calls"),
    [
        (0, [[4, 4, 4, 4]]),
        (1, [[0, 3, 1, 2]]),
        (2.0, [[0, 3, 1, 2, 4, 4, 4, 4]]),
        (jnp.float32(1), [[0, 3, 1, 2, 4, 4, 4, 4]]),
    ],
)
def test_the_restorer_is_called_once_with_the_labels(
    photos, steps, scale, labels_of_calls
):
    calls = []

    def restore_fn(x, t, *, labels):
        assert len(x) == len(t) == len(labels)
        calls.append(labels.tolist())
        return x

    guided(restore_fn, scale)(photos, steps)
    assert calls == labels_of_calls


def test_a_single_label_applies_to_all_images(photos, steps):
    x0_hat = guided(network(), 2.0, labels=3)(photos, steps)
    expected = guided(network(), 2.0, labels=np.full(4, 3))(photos, steps)
    np.testing.assert_array_equal(x0_hat, expected)


@pytest.mark.parametrize("scales", [(2.0, 3.5), (1, 1.0), (0, 0.0)])
def test_new_parameters_labels_and_scales_do_not_recompile(photos, scales):
    degrade = cd.gaussian_blur(32, T * [1.0], kernel_size=5)
    sample = jax.jit(chex.assert_max_traces(cd.sample_alg2, n=1))
    results = [
        sample(guided(network(seed), scale, labels), degrade, photos).x_0
        for seed, scale, labels in zip(
            range(2), scales, (LABELS, jnp.array([1, 1, 1, 1])), strict=True
        )
    ]
    assert np.abs(results[0] - results[1]).max() > 1e-3


def test_labels_and_the_scale_may_be_traced(photos, steps):
    @jax.jit
    def restore(labels, scale):
        return guided(network(), scale, labels)(photos, steps)

    expected = guided(network(), 2.0)(photos, steps)
    x0_hat = restore(jnp.asarray(LABELS), jnp.float32(2))
    np.testing.assert_allclose(x0_hat, expected, atol=1e-5)


def test_labels_may_be_part_of_the_batch_of_a_batch_sampler(photos):
    degrade = cd.gaussian_blur(32, T * [1.0], kernel_size=5)
    x_T = degrade(photos, T)

    def sample(shared, batch):
        restore_fn, degrade = shared
        x_T, labels = batch
        return cd.sample_alg2(guided(restore_fn, 2.0, labels), degrade, x_T).x_0

    # Seven images on four devices.
    indices = np.array([0, 1, 2, 3, 0, 1, 2])
    images, labels = np.asarray(x_T)[indices], LABELS[indices]
    x_0 = BatchSampler(sample, batch_size=4)((network(), degrade), (images, labels))
    expected = cd.sample_alg2(guided(network(), 2.0), degrade, x_T).x_0
    np.testing.assert_allclose(x_0, expected[indices], atol=1e-4)


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
def test_bad_labels_and_scales_raise(photos, steps, labels, scale, error, message):
    with pytest.raises(error, match=message):
        guided(network(), scale, labels)(photos, steps)
