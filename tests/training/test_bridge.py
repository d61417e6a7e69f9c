"""A bridge between pairs with noise, from training to a restored photograph."""

import json
import pathlib

import jax
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.checks import InputError
from colddiff_jax.evaluation.evaluate_run import evaluate_run
from colddiff_jax.restoration.export_sampler import export_sampler
from colddiff_jax.restoration.sample_run import SampleOptions, sample_run
from colddiff_jax.training import train_and_evaluate
from configs import bridge

T = 5


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run of Resfusion, whose x_T is y / 2 and noise."""
    config = bridge.get_config("resfusion_smoke")
    config.training.num_steps = 3
    path = str(tmp_path_factory.mktemp("bridge"))
    train_and_evaluate(config, path)
    return path


@pytest.fixture(scope="module")
def restorer(workdir):
    return cd.load(workdir)


def test_evaluations_during_training_are_finite(workdir):
    lines = (pathlib.Path(workdir) / "metrics.jsonl").read_text().splitlines()
    scores = [json.loads(line) for line in lines if "test_loss" in line]
    assert scores and all(np.isfinite(score["rmse_alg2"]) for score in scores)


def test_test_images_are_restored_by_ancestral_sampling(workdir, tmp_path, capsys):
    options = SampleOptions(sampler="ddim", eta=1.0)
    paths = sample_run(workdir, options, num_images=2, out=str(tmp_path))
    assert len(paths) == 1 and "restored" in capsys.readouterr().err


def test_evaluation_scores_both_ends_of_eta(workdir, tmp_path):
    samplers = ["ddim:2", "ddim+ancestral:2"]
    rows = evaluate_run(
        workdir, samplers=samplers, num_images=8, batch_size=8, features=["none"],
        out=str(tmp_path),
    )["pixels"]  # fmt: skip
    found = [rows[name]["rmse"] for name in samplers]
    assert np.isfinite(found).all() and found[0] != found[1]


def test_a_degraded_image_begins_as_half_of_it_with_noise(restorer):
    y = np.full((4, 16, 16, 1), 0.8, np.float32)
    bound = restorer.degradation.bind(jax.random.key(0), y.shape).with_images(y)
    x_T = np.asarray(bound(y, T))
    assert abs(x_T.mean() - 0.4) < 0.1 and abs(x_T.std() - 0.75**0.5) < 0.05
    first, again, other = (
        restorer.restore(y, key=jax.random.key(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert first.shape == y.shape and np.abs(first - other).max() > 1e-3
    with pytest.raises(InputError, match=r"trained on pairs, and restores .* `t` = 5"):
        restorer.restore(y, t=3)


def test_a_degraded_image_is_restored_by_the_posterior(restorer):
    y = np.full((2, 16, 16, 1), 0.8, np.float32)

    def restored(eta):
        key = jax.random.key(1)
        return restorer.restore(y, sampler="ddim", eta=eta, key=key)

    still, drawn = restored(None), restored(1.0)
    np.testing.assert_array_equal(still, restored(0.0))
    np.testing.assert_array_equal(drawn, restored(1.0))
    assert np.abs(still - drawn).max() > 1e-3
    with pytest.raises(InputError, match="`eta` needs the sampler ddim"):
        restorer.restore(y, eta=1.0)
    with pytest.raises(InputError, match=r"`eta` must lie in \[0, 1\], got 2"):
        restorer.restore(y, sampler="ddim", eta=2)


def test_a_sampler_that_needs_an_image_and_noise_is_not_exported(restorer, tmp_path):
    with pytest.raises(InputError, match="blends with an image and with noise"):
        export_sampler(restorer, str(tmp_path / "x.jaxexport"), "alg2")
