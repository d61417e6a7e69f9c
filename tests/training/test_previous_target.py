"""A run whose network predicts the step before, from training to samples."""

import json
import os
import pathlib

import chex
import jax
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import InputError, sampling
from colddiff_jax.evaluation import evaluate_run
from colddiff_jax.experiment.run_folder import load_description
from colddiff_jax.restoration.export import export_model
from colddiff_jax.restoration.sample_run import SampleOptions, sample_run
from colddiff_jax.training import train_and_evaluate
from configs import generate_ihd

T, STD = 8, 0.02


def make(**training):
    config = generate_ihd.get_config("smoke")
    config.data.update({"image_size": 16, "resize_to": 16})
    config.degradation.blur_sigmas.update({"num_steps": T, "stop": 4.0})
    config.degradation.noise_stds = T * (STD,)
    config.model.update({"channel_multipliers": (1,), "precondition": True})
    config.evaluation.best_by = "rmse_ihd"
    config.training.update(training)
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = str(tmp_path_factory.mktemp("finished"))
    return workdir, train_and_evaluate(make(), workdir).state


@pytest.fixture(scope="module")
def workdir(finished):
    return finished[0]


@pytest.fixture(scope="module")
def restorer(workdir):
    return cd.load(workdir)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """The same run with the default target, and written before there were targets."""
    workdir = tmp_path_factory.mktemp("clean")
    config = make(num_steps=3)
    config.objective.target, config.evaluation.best_by = "clean", "test_loss"
    train_and_evaluate(config, str(workdir))
    about = load_description(str(workdir))
    del about["config"]["objective"]["target"]
    (workdir / "config.json").write_text(json.dumps(about))
    return cd.load(str(workdir))


def digits(restorer, count):
    resize = restorer.model.preprocessing.resize
    return cd.to_float(np.stack([resize(x) for x in cd.data.digits().test[:count]]))


def test_three_and_three_steps_equal_six_bit_for_bit(finished, tmp_path):
    train_and_evaluate(make(num_steps=3), str(tmp_path))
    resumed = train_and_evaluate(make(), str(tmp_path)).state
    chex.assert_trees_all_equal(resumed, finished[1])


def test_evaluations_score_its_one_sampler(workdir):
    lines = (pathlib.Path(workdir) / "metrics.jsonl").read_text().splitlines()
    found = [line for line in map(json.loads, lines) if "test_loss" in line]
    assert [line["step"] for line in found] == [0, 3, 6]
    for line in found:
        scored = {name for name in line if name.startswith(("rmse", "ssim"))}
        assert scored == {"rmse_degraded", "rmse_ihd", "ssim_degraded", "ssim_ihd"}
        # The step before differs little from x_t, and the clean image much.
        assert line["test_loss"] < (2 * line["rmse_degraded"]) ** 2 / 10


def test_the_first_network_returns_nearly_the_image_it_is_given(restorer):
    x_t = np.asarray(restorer.degrade(digits(restorer, 8), T))
    zeros = jax.tree.map(lambda leaf: 0 * leaf, restorer.params)
    predicted = restorer.model.restore_fn(zeros)(x_t, np.full(8, T, np.int32))
    assert np.abs(predicted - x_t).mean() < 0.1 * np.abs(x_t).mean()


def test_evaluate_and_sample_take_its_sampler_by_default(workdir, tmp_path):
    results = evaluate_run(
        workdir, out=str(tmp_path), num_images=8, batch_size=8, features=["none"]
    )
    assert list(results["pixels"]) == ["degraded", "ihd"]
    lines = (pathlib.Path(workdir) / "metrics.jsonl").read_text().splitlines()
    last = [line for line in map(json.loads, lines) if "test_loss" in line][-1]
    assert results["pixels"]["ihd"]["rmse"] == pytest.approx(last["rmse_ihd"], rel=1e-5)
    assert results["test_loss"] == pytest.approx(last["test_loss"], rel=1e-5)
    paths = sample_run(
        workdir, out=str(tmp_path), num_images=3, arrays=True, trajectory=True
    )
    names = [os.path.basename(path) for path in paths]
    stem = "ihd_3_images_step_00000006"
    assert names == [f"{stem}.png", f"{stem}.npz", f"{stem}_trajectory.png"]
    with np.load(paths[1]) as arrays:
        assert arrays["ihd"].shape == (3, 16, 16, 1)
        assert np.isfinite(arrays["ihd"]).all()
    (path,) = sample_run(
        workdir, SampleOptions(start=2, steps=2), out=str(tmp_path), num_images=1
    )
    assert os.path.basename(path) == "ihd_2_by_stride_from_2_1_image_step_00000006.png"


def test_images_are_generated_from_a_prior(restorer, tmp_path):
    prior = sampling.fit_prior(digits(restorer, 64), restorer.degradation)
    images = restorer.generate(3, jax.random.key(0), prior=prior)
    assert images.shape == (3, 16, 16, 1) and np.isfinite(images).all()
    fewer = restorer.generate(2, jax.random.key(0), prior=prior, sampler="ihd")
    np.testing.assert_allclose(fewer, images[:2], atol=2e-5)
    path = str(tmp_path / "model.safetensors")
    export_model(restorer, path)
    again = cd.load(path).generate(3, jax.random.key(0), prior=prior)
    np.testing.assert_allclose(again, images, atol=2e-5)


def test_restoring_is_the_sampler_from_the_given_step(restorer):
    x_2 = np.asarray(restorer.degrade(digits(restorer, 2), t=2))
    restored = restorer.restore(x_2, t=2)
    np.testing.assert_array_equal(restored, restorer.restore(x_2, t=2, steps=2))
    # Two steps: noise of 1.3 STD is added to the first prediction, and none after it.
    steps = np.array([2, 2], np.int32)
    x_1 = restorer.restore_fn(x_2, steps)
    without_noise = restorer.restore_fn(x_1, steps - 1)
    noise = restored - without_noise
    assert noise.std() == pytest.approx(1.3 * STD, rel=0.25)


@pytest.mark.parametrize("sampler", ["direct", "alg1", "alg2", "heun", "ab2"])
def test_samplers_that_need_clean_predictions_raise(restorer, workdir, sampler):
    x, prior = digits(restorer, 2), sampling.EmpiricalPrior(digits(restorer, 2))
    calls = [
        lambda: restorer.restore(x, sampler=sampler),
        lambda: restorer.generate(2, jax.random.key(0), prior=prior, sampler=sampler),
        lambda: sample_run(workdir, SampleOptions(sampler), num_images=1),
        lambda: evaluate_run(workdir, samplers=[sampler], features=["none"]),
    ]
    if sampler == "direct":
        calls.append(lambda: restorer.predict(x))
    for call in calls:
        with pytest.raises(InputError) as raised:
            call()
        message = str(raised.value)
        assert message.startswith(f"the sampler {sampler} needs predictions of clean")
        assert "\n" not in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 2}, "the sampler ihd takes all 8 steps, .* got 2"),
        ({"consistent": True}, "consistent predictions are of clean images"),
    ],
)
def test_options_that_need_clean_predictions_raise(restorer, workdir, options, message):
    with pytest.raises(InputError, match=message):
        restorer.restore(digits(restorer, 2), **options)
    with pytest.raises(InputError, match=message):
        sample_run(workdir, SampleOptions(**options), num_images=1)


def test_an_endpoint_has_no_effect_and_raises(workdir):
    with pytest.raises(InputError, match="`endpoint` has no effect with the sampler i"):
        sample_run(workdir, SampleOptions(endpoint="estimated"), num_images=1)


def test_models_of_clean_images_do_not_take_its_sampler(clean):
    assert clean.model.target == "clean"
    x = digits(clean, 2)
    with pytest.raises(InputError, match="sampler ihd needs a model that predicts the"):
        clean.restore(x, sampler="ihd")
    assert np.isfinite(clean.restore(x)).all()
