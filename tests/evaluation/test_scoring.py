"""Scores of single images, and every fault of the official evaluation."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from colddiff_jax.evaluation.image_set import split_of
from colddiff_jax.evaluation.samplers import parse_methods

import colddiff_jax as cd
from colddiff_jax.data import arrays
from colddiff_jax.evaluation.protocol import Protocol
from colddiff_jax.evaluation.scoring import Scorer
from colddiff_jax.metrics import FeatureNet, Features
from colddiff_jax.training.task import build_experiment
from configs import mnist_blur
from tests.networks import random_parameters, tiny_unet

T = 3
SAMPLERS = ("direct", "alg1", "alg2")


@pytest.fixture(scope="module")
def experiment(golden):
    config = mnist_blur.get_config("smoke").to_dict()
    config["data"] |= {"image_size": 16, "resize_to": 20}
    config["model"]["precondition"] = False
    config["degradation"] |= {"stds": (0.7,) * T, "kernel_size": 5}
    images = golden["images32"][np.arange(10) % 4]
    built = build_experiment(config, splits=arrays(images, images))
    # Large values on purpose, so that clipping and dropout are seen.
    return dataclasses.replace(built, model=tiny_unet())


@pytest.fixture(scope="module")
def params(experiment):
    drawn = random_parameters(experiment.model, (16, 16, 3))
    return jax.tree.map(lambda x: 2 * x, drawn)


def colours(_, x):
    pooled = x.mean((1, 2))
    return Features(pooled, jax.nn.softmax(pooled))


def score(
    experiment, params, numbers=range(8), batch_size=8, nets=(), seed=0, **faults
):
    scorer = Scorer(
        experiment,
        methods=parse_methods(SAMPLERS, T),
        nets=nets,
        protocol=Protocol(**faults),
        batch_size=batch_size,
    )
    found = list(scorer.stream(params, split_of(experiment), seed, numbers))
    values, pictures = (
        {name: np.concatenate([x[name] for x in parts]) for name in parts[0]}
        for parts in zip(*found, strict=True)
    )
    return values, pictures


@pytest.fixture(scope="module")
def sound(experiment, params):
    return score(experiment, params)


def restored(experiment, params, pictures):
    """x_T and the restored images, without the program that is tested."""
    x_0 = cd.to_float(pictures["clean"])
    degrade = experiment.degrade

    def restore_fn(x_t, t):
        return experiment.model.apply({"params": params}, x_t, t)

    x_T = degrade(x_0, T)
    return x_0, x_T, restore_fn


def test_scores_are_those_of_the_pictures(experiment, params, sound):
    values, pictures = sound
    x_0, x_T, restore_fn = restored(experiment, params, pictures)
    degrade = experiment.degrade
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
        assert np.abs(difference).max() <= 1  # Where rounding falls either way.
        if name == "clean":
            continue
        own = cd.to_float(pictures[name])
        for metric, function in (
            ("mse", cd.metrics.mean_squared_error),
            ("ssim", cd.metrics.ssim),
        ):
            found = values[f"{metric}/{name}"]
            np.testing.assert_allclose(found, function(own, x_0), atol=1e-5)


def test_images_are_found_again_by_their_numbers(experiment, params, sound):
    values, pictures = score(experiment, params, [7, 2, 2], batch_size=4)
    for name, found in sound[0].items():
        np.testing.assert_allclose(values[name], found[[7, 2, 2]], rtol=1e-4, atol=1e-5)
    for name, found in sound[1].items():
        assert np.abs(pictures[name].astype(int) - found[[7, 2, 2]]).max() <= 1


def test_features_are_those_of_the_pictures(experiment, params):
    net = FeatureNet("colours", colours)
    values, pictures = score(experiment, params, nets=[net])
    for name in ("clean", "degraded", *SAMPLERS):
        expected = net(cd.to_float(pictures[name]))
        for kind, rows in zip(("pooled", "probabilities"), expected, strict=True):
            if (kind, name) != ("probabilities", "clean"):  # Of no use.
                found = values[f"{kind}/colours/{name}"]
                np.testing.assert_allclose(found, rows, atol=1e-5)


def test_infinite_values_are_not_scored_as_white_or_black(experiment, params):
    params = jax.tree.map(lambda x: x.at[..., -1].set(jnp.inf), params)
    with pytest.raises(cd.InputError, match=r"of image 0 is not a finite number"):
        score(experiment, params)


def test_values_that_are_not_clipped_are_further_away(experiment, params, sound):
    values, _ = score(experiment, params, values_not_clipped=True)
    for name in SAMPLERS:
        assert (values[f"mse/{name}"] > sound[0][f"mse/{name}"]).all()
    # A blur never leaves [-1, 1]: all that differs is the rounding to bytes.
    np.testing.assert_allclose(
        values["mse/degraded"], sound[0]["mse/degraded"], atol=2e-5
    )


def test_degraded_after_one_step_is_the_way_to_the_second(experiment, params, sound):
    values, pictures = score(experiment, params, degraded_after_one_step=True)
    _, x_T, restore_fn = restored(experiment, params, pictures)
    way = cd.sample_alg2(
        restore_fn, experiment.degrade, x_T, return_trajectory=True
    ).trajectory
    assert np.abs(cd.to_uint8(way[1]) - pictures["degraded"].astype(int)).max() <= 1
    np.testing.assert_allclose(values["mse/alg2"], sound[0]["mse/alg2"], rtol=1e-5)


def test_the_last_prediction_stands_for_the_sample(experiment, params):
    _, pictures = score(experiment, params, prediction_as_sample=True)
    _, x_T, restore_fn = restored(experiment, params, pictures)
    for name, sampler in (("alg1", cd.sample_alg1), ("alg2", cd.sample_alg2)):
        x_1 = sampler(
            restore_fn, experiment.degrade, x_T, return_trajectory=True
        ).trajectory[-2]
        last = cd.to_uint8(restore_fn(x_1, jnp.ones(8, jnp.int32)))
        assert np.abs(last - pictures[name].astype(int)).max() <= 1


def test_one_step_behind_uses_milder_degradations(experiment, params):
    _, pictures = score(experiment, params, sampler_one_step_behind=True)
    _, x_T, restore_fn = restored(experiment, params, pictures)
    D = experiment.degrade
    x_1, x_2 = x_T, x_T
    for n in range(T, 0, -1):
        steps = jnp.full(8, n)
        x_1 = D(restore_fn(x_1, steps), max(n - 2, 0))
        x0_hat = restore_fn(x_2, steps)
        x_2 = x_2 - D(x0_hat, n - 1) + D(x0_hat, max(n - 2, 0))
    for name, x in (("alg1", x_1), ("alg2", x_2)):
        assert np.abs(cd.to_uint8(x) - pictures[name].astype(int)).max() <= 1


def test_noise_on_the_start_is_taken_from_the_result(experiment, params, sound):
    faults = {"noise_on_flat_start": True, "values_not_clipped": True}
    noisy, _ = score(experiment, params, **faults)
    plain, _ = score(experiment, params, values_not_clipped=True)
    added = noisy["mse/degraded"] - plain["mse/degraded"]
    assert (np.abs(added) > 0).all() and (np.abs(added) < 1e-4).all()
    change = np.abs(noisy["mse/alg2"] - plain["mse/alg2"])
    assert (change > 0).all() and (change < 1e-3).all()


@pytest.mark.parametrize("fault", ["dropout_on", "test_images_augmented"])
def test_faults_that_draw_depend_on_the_image_alone(experiment, params, sound, fault):
    values, pictures = score(experiment, params, **{fault: True})
    again, _ = score(experiment, params, range(3, 8), batch_size=4, **{fault: True})
    for name, found in values.items():
        np.testing.assert_allclose(again[name], found[3:], rtol=1e-4, atol=1e-5)
    cut = fault == "test_images_augmented"
    assert (pictures["clean"] != sound[1]["clean"]).any() == cut
    assert (np.abs(values["mse/direct"] - sound[0]["mse/direct"]) > 1e-6).any()


def test_nan_is_named_with_its_image(experiment, params):
    broken = jax.tree.map(lambda x: x * jnp.nan, params)
    with pytest.raises(cd.InputError, match="loss of image 2 is not a finite number"):
        score(experiment, broken, [2, 3, 4, 5], batch_size=4)
