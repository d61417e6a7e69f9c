"""Models that were trained on pairs restore the degraded image itself."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import colddiff_jax as cd
from colddiff_jax import InputError
from colddiff_jax.restoration.export import export_model
from colddiff_jax.restoration.export_sampler import export_sampler
from colddiff_jax.restoration.photo_files import restore_photos
from tests.restoration.small_restorers import LINEAR, make_restorer

T = 4


def floats(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@pytest.fixture(scope="module", params=[False, True], ids=["", "sees its endpoint"])
def restorer(request):
    return make_restorer(LINEAR, paired=True, see_endpoint=request.param)


def network_of(restorer, y):
    """R(., ., y) as a function of NumPy arrays."""
    degrade = restorer.degradation.with_endpoint(jnp.asarray(y))
    restore_fn = restorer.model.restore_fn(restorer.params, degrade=degrade)

    def predict(x, t):
        steps = jnp.full(len(x), t, jnp.int32)
        return np.asarray(restore_fn(jnp.asarray(x, jnp.float32), steps), np.float64)

    return predict


def test_a_single_prediction_is_that_of_the_given_image_at_the_last_step(restorer):
    y = floats(2, 32, 32, 3)
    expected = network_of(restorer, y)(y, T)
    np.testing.assert_allclose(restorer.predict(y), expected, atol=1e-5)


def test_algorithm_2_keeps_the_given_image_as_the_endpoint(restorer):
    """It then returns the mean of its predictions."""
    y = floats(2, 32, 32, 3)
    predict, x, predictions = network_of(restorer, y), y.astype(np.float64), []
    for t in range(T, 0, -1):
        predictions.append(predict(x, t))
        x += (predictions[-1] - y) / T
    np.testing.assert_allclose(x, np.mean(predictions, axis=0), atol=1e-6)
    np.testing.assert_allclose(restorer.restore(y), x, atol=1e-5)


def test_the_endpoint_may_be_estimated(restorer):
    y = floats(2, 32, 32, 3)
    predict, x = network_of(restorer, y), y.astype(np.float64)
    for t in (4, 3, 2, 1):
        x += (predict(x, t) - x) / t
    found = restorer.restore(y, endpoint="estimated")
    np.testing.assert_allclose(found, x, atol=1e-5)
    with pytest.raises(InputError, match="no effect with the sampler direct"):
        restorer.predict(y, endpoint="fixed")


def test_with_an_estimated_endpoint_it_is_inversion_by_direct_iteration():
    """x_s = (1 - s / t) R(x_t, t) + (s / t) x_t, with any network and any steps."""

    def oracle(x, t):
        return 0.5 * np.sin(3 * x + t) + 0.1 * x**2

    def restore_fn(x, t):
        t = t[:, None, None, None].astype(jnp.float32)
        return 0.5 * jnp.sin(3 * x + t) + 0.1 * x**2

    num_steps, timesteps = 10, [10, 7, 6, 2, 1, 0]
    weights = np.arange(num_steps - 1, -1, -1) / num_steps
    degrade = cd.blend(weights, 1 - weights, endpoint="image")
    y = floats(2, 4, 4, 3)
    x = y.astype(np.float64)
    for t, s in itertools.pairwise(timesteps):
        x = (1 - s / t) * oracle(x, t) + s / t * x
    found = cd.sample_alg2(
        restore_fn,
        degrade.with_endpoint(jnp.asarray(y)),
        jnp.asarray(y),
        timesteps=timesteps,
        endpoint="estimated",
    )
    np.testing.assert_allclose(found.x_0, x, atol=1e-6)


def test_images_of_any_size_are_restored_and_tiles_differ_little(restorer):
    assert restorer.restore(floats(7, 13, 3)).shape == (7, 13, 3)
    y = floats(1, 192, 320, 3)
    whole, tiled = restorer.predict(y), restorer.predict(y, tile=128)
    assert np.abs(whole - y).mean() > 0.05
    assert np.abs(whole - tiled).max() < 1e-3


def test_a_network_that_sees_the_endpoint_depends_on_it():
    x, t = jnp.asarray(floats(1, 32, 32, 3)), jnp.array([2])
    for sees in (False, True):
        restorer = make_restorer(LINEAR, paired=True, see_endpoint=sees)
        one, other = (
            network_of(restorer, floats(1, 32, 32, 3, seed=seed))(x, 2)
            for seed in (1, 2)
        )
        assert (np.abs(one - other).max() > 1e-3) == sees
    with pytest.raises(InputError, match="give `degrade` with it"):
        restorer.restore_fn(x, t)


def test_only_the_last_step_can_be_restored_and_nothing_degraded(restorer):
    y = floats(8, 8, 3)
    np.testing.assert_array_equal(restorer.restore(y, t=T), restorer.restore(y))
    for t in (1, "auto"):
        with pytest.raises(InputError, match="from `t` = 4, its last step; leave it"):
            restorer.restore(y, t=t)
    with pytest.raises(InputError, match="does not know how images are degraded"):
        restorer.degrade(y)
    with pytest.raises(InputError, match="trained on pairs, to restore degraded"):
        restorer.generate(2, jax.random.key(0))


def test_photographs_are_restored_and_none_is_degraded(restorer, tmp_path, capsys):
    path = str(tmp_path / "model.safetensors")
    export_model(restorer, path)
    photo = str(tmp_path / "photo.png")
    Image.fromarray(np.zeros((20, 12, 3), np.uint8)).save(photo)
    (written,) = restore_photos(path, [photo])
    with Image.open(written) as image:
        assert image.size == (12, 20)
        np.testing.assert_array_equal(image, cd.load(path).restore(photo))
    capsys.readouterr()
    with pytest.raises(InputError, match="give it degraded ones, and leave out `deg"):
        restore_photos(path, [photo], degrade=True)
    assert capsys.readouterr() == ("", "")  # Before any photograph is touched.


def test_an_exported_sampler_starts_at_the_given_image(restorer, tmp_path):
    path = str(tmp_path / "program.stablehlo")
    export_sampler(restorer, path, "alg2:2")
    with open(path, "rb") as file:
        program = jax.export.deserialize(bytearray(file.read()))
    y = floats(2, 32, 32, 3)
    found = program.call(jnp.asarray(y))
    np.testing.assert_allclose(found, restorer.restore(y, steps=2), atol=1e-5)


def test_only_pairs_tell_an_exported_sampler_what_the_network_sees(tmp_path):
    restorer = make_restorer(LINEAR, see_endpoint=True)
    with pytest.raises(InputError, match="sees what an image was blended with"):
        path = str(tmp_path / "a.stablehlo")
        export_sampler(restorer, path, endpoint="estimated")
