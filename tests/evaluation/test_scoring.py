"""Scores of single images, and every fault of the official evaluation."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.data import arrays
from colddiff_jax.evaluation.protocol import Protocol
from colddiff_jax.evaluation.scoring import Scorer
from colddiff_jax.experiment.data import RunData
from colddiff_jax.experiment.model import build_model
from colddiff_jax.feature_nets import FeatureNet, Features
from colddiff_jax.restoration.image_set import split_of
from colddiff_jax.restoration.samplers import parse_samplers
from configs import mnist_blur
from tests.networks import random_parameters, tiny_unet

T = 3
SAMPLERS = ("direct", "alg1", "alg2")


@pytest.fixture(scope="module")
def model():
    config = mnist_blur.get_config("smoke").to_dict()
    config["data"] |= {"image_size": 16, "resize_to": 20}
    config["model"]["precondition"] = False
    config["degradation"] |= {"stds": (0.7,) * T, "kernel_size": 5}
    model = build_model(config, channels=3)
    return dataclasses.replace(model, network=tiny_unet())


@pytest.fixture(scope="module")
def params(model):
    drawn = random_parameters(model.network, (16, 16, 3))
    # Large, so that clipping and dropout have an effect.
    return jax.tree.map(lambda x: 2 * x, drawn)


@pytest.fixture(scope="module")
def images(golden, model):
    pixels = golden["images32"][np.arange(10) % 4]
    return split_of(RunData(arrays(pixels, pixels), None), model.preprocessing)


@pytest.fixture(scope="module")
def score(model, params, images):
    def score(indices=range(8), batch_size=8, nets=(), seed=0, params=params, **faults):
        scorer = Scorer(
            model,
            specs=parse_samplers(SAMPLERS, model.degrade),
            nets=nets,
            protocol=Protocol(**faults),
            batch_size=batch_size,
        )
        found = list(scorer.stream(params, images, seed, indices))
        values, pictures = (
            {name: np.concatenate([x[name] for x in parts]) for name in parts[0]}
            for parts in zip(*found, strict=True)
        )
        return values, pictures

    return score


def colours(_, x):
    pooled = x.mean((1, 2))
    return Features(pooled, jax.nn.softmax(pooled))


@pytest.fixture(scope="module")
def sound(score):
    return score()


@pytest.fixture(scope="module")
def restore_fn(model, params):
    return model.restore_fn(params)


def degraded(model, pictures):
    """Returns x_T without the program that is tested."""
    return model.degrade(cd.to_float(pictures["clean"]), T)


def test_scores_match_the_pictures(model, restore_fn, sound):
    values, pictures = sound
    x_0, x_T = cd.to_float(pictures["clean"]), degraded(model, pictures)
    degrade = model.degrade
    expected = {
        "clean": x_0,
        "degraded": x_T,
        "direct": restore_fn(x_T, jnp.full(8, T)),
        "alg1": cd.sample_alg1(restore_fn, degrade, x_T).x_0,
        "alg2": cd.sample_alg2(restore_fn, degrade, x_T).x_0,
    }
    assert set(pictures) == set(expected)
    assert max(np.abs(x).max() for x in expected.values()) > 1
    for name, x in expected.items():
        difference = cd.to_uint8(x).astype(int) - pictures[name]
        assert np.abs(difference).max() <= 1  # Rounding may go either way.
        if name == "clean":
            continue
        own = cd.to_float(pictures[name])
        for metric, function in (
            ("mse", cd.metrics.mean_squared_error),
            ("ssim", cd.metrics.ssim),
        ):
            found = values[f"{metric}/{name}"]
            np.testing.assert_allclose(found, function(own, x_0), atol=1e-5)


def test_scores_depend_only_on_the_index_of_an_image(score, sound):
    values, pictures = score([7, 2, 2], batch_size=4)
    for name, found in sound[0].items():
        np.testing.assert_allclose(values[name], found[[7, 2, 2]], rtol=1e-4, atol=1e-5)
    for name, found in sound[1].items():
        assert np.abs(pictures[name].astype(int) - found[[7, 2, 2]]).max() <= 1


def test_features_match_the_pictures(score):
    net = FeatureNet("colours", colours)
    values, pictures = score(nets=[net])
    for name in ("clean", "degraded", *SAMPLERS):
        expected = net(cd.to_float(pictures[name]))
        for kind, rows in zip(("pooled", "probabilities"), expected, strict=True):
            if (kind, name) != ("probabilities", "clean"):  # Not needed.
                found = values[f"{kind}/colours/{name}"]
                np.testing.assert_allclose(found, rows, atol=1e-5)


def test_infinite_values_are_not_scored_as_white_or_black(score, params):
    infinite = jax.tree.map(lambda x: x.at[..., -1].set(jnp.inf), params)
    with pytest.raises(cd.InputError, match=r"of image 0 is not a finite number"):
        score(params=infinite)


def test_unclipped_values_have_larger_errors(score, sound):
    values, _ = score(values_not_clipped=True)
    for name in SAMPLERS:
        assert (values[f"mse/{name}"] > sound[0][f"mse/{name}"]).all()
    # A blur never leaves [-1, 1]: only the rounding to uint8 differs.
    np.testing.assert_allclose(
        values["mse/degraded"], sound[0]["mse/degraded"], atol=2e-5
    )


def test_degraded_after_one_step_is_the_first_step(model, restore_fn, score, sound):
    values, pictures = score(degraded_after_one_step=True)
    x_T = degraded(model, pictures)
    trajectory = cd.sample_alg2(
        restore_fn, model.degrade, x_T, return_trajectory=True
    ).trajectory
    difference = cd.to_uint8(trajectory[1]) - pictures["degraded"].astype(int)
    assert np.abs(difference).max() <= 1
    np.testing.assert_allclose(values["mse/alg2"], sound[0]["mse/alg2"], rtol=1e-5)


def test_the_last_prediction_replaces_the_sample(model, restore_fn, score):
    _, pictures = score(prediction_as_sample=True)
    x_T = degraded(model, pictures)
    for name, sampler in (("alg1", cd.sample_alg1), ("alg2", cd.sample_alg2)):
        x_1 = sampler(
            restore_fn, model.degrade, x_T, return_trajectory=True
        ).trajectory[-2]
        last = cd.to_uint8(restore_fn(x_1, jnp.ones(8, jnp.int32)))
        assert np.abs(last - pictures[name].astype(int)).max() <= 1


def test_one_step_behind_uses_milder_degradations(model, restore_fn, score):
    _, pictures = score(sampler_one_step_behind=True)
    D = model.degrade
    x_1 = x_2 = degraded(model, pictures)
    for n in range(T, 0, -1):
        steps = jnp.full(8, n)
        x_1 = D(restore_fn(x_1, steps), max(n - 2, 0))
        x0_hat = restore_fn(x_2, steps)
        x_2 = x_2 - D(x0_hat, n - 1) + D(x0_hat, max(n - 2, 0))
    for name, x in (("alg1", x_1), ("alg2", x_2)):
        assert np.abs(cd.to_uint8(x) - pictures[name].astype(int)).max() <= 1


def test_noise_on_the_start_is_subtracted_from_the_result(score):
    noisy, _ = score(noise_on_flat_start=True, values_not_clipped=True)
    plain, _ = score(values_not_clipped=True)
    added = noisy["mse/degraded"] - plain["mse/degraded"]
    assert (np.abs(added) > 0).all() and (np.abs(added) < 1e-4).all()
    change = np.abs(noisy["mse/alg2"] - plain["mse/alg2"])
    assert (change > 0).all() and (change < 1e-3).all()


@pytest.mark.parametrize("fault", ["dropout_on", "test_images_augmented"])
def test_random_faults_depend_only_on_the_image(score, sound, fault):
    values, pictures = score(**{fault: True})
    again, _ = score(range(3, 8), batch_size=4, **{fault: True})
    for name, found in values.items():
        np.testing.assert_allclose(again[name], found[3:], rtol=1e-4, atol=1e-5)
    cropped = fault == "test_images_augmented"
    assert (pictures["clean"] != sound[1]["clean"]).any() == cropped
    assert (np.abs(values["mse/direct"] - sound[0]["mse/direct"]) > 1e-6).any()


def test_nan_raises_and_names_the_image(score, params):
    broken = jax.tree.map(lambda x: x * jnp.nan, params)
    with pytest.raises(cd.InputError, match="loss of image 2 is not a finite number"):
        score([2, 3, 4, 5], batch_size=4, params=broken)
