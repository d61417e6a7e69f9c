"""Sampling any number of images with one compiled program."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.sampling import BatchSampler
from tests.networks import random_parameters, tiny_unet

T = 4


@pytest.fixture
def x_T(photos):  # noqa: N802
    """Eleven images: two batches of eight, of which the last is padded."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.1, 0.1, (11, 32, 32, 3))
    return (photos[np.arange(11) % 4] + noise).astype(np.float32)


def sample(shared, x_T):
    restore_fn, degrade = shared
    result = cd.sample_alg2(restore_fn, degrade, x_T, return_trajectory=True)
    return {"x_0": result.x_0, "trajectory": result.trajectory.swapaxes(0, 1)}


MODEL = tiny_unet()


def network(seed=0):
    params = random_parameters(MODEL, (32, 32, 3), seed)
    return jax.tree_util.Partial(MODEL.apply, {"params": params})


def blur(std=1.0):
    return cd.gaussian_blur(32, T * [std], kernel_size=5)


@pytest.mark.parametrize("num_images", [1, 7, 8, 11])
def test_batches_give_the_result_of_a_single_call(x_T, num_images):
    assert jax.local_device_count() == 4
    restore = BatchSampler(sample, batch_size=8)
    shared = (network(), blur())
    result = restore(shared, x_T[:num_images])
    expected = sample(shared, x_T[:num_images])
    assert result["trajectory"].shape == (num_images, T + 1, 32, 32, 3)
    for name in expected:
        assert isinstance(result[name], np.ndarray)
        np.testing.assert_allclose(result[name], expected[name], atol=2e-5)


def test_batches_calls_parameters_and_degradations_share_one_program(x_T):
    restore = BatchSampler(chex.assert_max_traces(sample, n=1), batch_size=4)
    for seed in range(2):
        for num_images in (11, 3):
            restore((network(seed), blur(seed + 1.0)), x_T[:num_images])


def test_images_may_be_any_structure_of_arrays(x_T):
    # The mask of an image depends on its index, not on its batch.
    degrade = cd.gaussian_mask(32, T * [3.0], center="random")

    def run(shared, batch):
        degrade, key = shared
        x, indices = batch["x"], batch["index"]
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(indices)
        return degrade.bind(keys, x.shape)(x, T)

    images = {"x": x_T, "index": np.arange(11)}
    shared = (degrade, jax.random.key(7))
    masked = BatchSampler(run, batch_size=8)(shared, images)
    expected = BatchSampler(run, batch_size=12)(shared, images)
    np.testing.assert_array_equal(masked, expected)
    kept = np.abs(masked).mean(axis=(1, 2, 3)) / np.abs(x_T).mean(axis=(1, 2, 3))
    assert kept.std() > 0.01


def test_images_are_loaded_batch_by_batch(x_T):
    loaded = []

    def load(start, stop):
        loaded.append((start, stop))
        return x_T[start:stop]

    def double(shared, x):
        return shared * x

    results = BatchSampler(double, batch_size=4).stream(jnp.float32(2), load, 11)
    assert loaded == []
    first = next(results)
    assert loaded == [(0, 4), (4, 8)]  # The next one is running.
    np.testing.assert_allclose(first, 2 * x_T[:4])
    rest = np.concatenate(list(results))
    np.testing.assert_allclose(rest, 2 * x_T[4:])
    assert loaded == [(0, 4), (4, 8), (8, 11)]


def test_the_last_batch_is_padded_with_an_image_not_with_zeros(x_T):
    # In a padded shard, zeros would have the smallest sum.
    def smallest(shared, x):
        return jnp.broadcast_to(jnp.abs(x).sum((1, 2, 3)).min(), x.shape[:1])

    assert (BatchSampler(smallest, batch_size=8)((), x_T[:9]) > 0).all()


def test_a_progress_bar_counts_images_on_a_terminal_only(x_T, capsys, monkeypatch):
    def same(shared, x):
        return x

    run = BatchSampler(same, batch_size=8)
    run((), x_T, progress="restoring")
    run((), x_T[:1], progress="restoring")
    assert capsys.readouterr().err == "restoring: 11 images\nrestoring: 1 image\n"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    run((), x_T)
    assert capsys.readouterr().err == ""
    run((), x_T, progress="restoring")
    shown = capsys.readouterr().err
    assert "restoring: 100%" in shown and "11/11" in shown


def test_bad_input_raises(x_T):
    with pytest.raises(cd.InputError, match="multiple of the 4 devices, got 6"):
        BatchSampler(sample, batch_size=6)
    run = BatchSampler(lambda shared, x: x, batch_size=4)
    with pytest.raises(ValueError, match=r"at least one; got .* with \[\(0,\)\]"):
        run((), x_T[:0])
    with pytest.raises(ValueError, match=r"begin with \[\(2,\), \(3,\)\]"):
        run((), {"x": x_T[:3], "y": x_T[:2]})
    with pytest.raises(ValueError, match=r"begin with \[\(\)\]"):
        run((), np.float32(1))
    with pytest.raises(ValueError, match="load must return 4 images here"):
        list(run.stream((), lambda start, stop: x_T[:3], 11))


def test_results_without_an_image_axis_raise(x_T):
    def mean(shared, x):
        return {"mean": x.mean()}

    with pytest.raises(ValueError, match=r"result\['mean'\] has shape \(\)"):
        BatchSampler(mean, batch_size=8)((), x_T)

    def whole(shared, x):
        return cd.sample_alg2(*shared, x, return_trajectory=True)

    with pytest.raises(ValueError, match=r"length 2; result.trajectory has shape"):
        BatchSampler(whole, batch_size=8)((network(), blur()), x_T)
