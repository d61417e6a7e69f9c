"""The estimate of how degraded an image is."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import colddiff_jax as cd
from colddiff_jax import InputError
from colddiff_jax.restoration import severity
from colddiff_jax.restoration.export import export_model
from colddiff_jax.restoration.loading import load_run
from colddiff_jax.restoration.photo_files import restore_photos
from colddiff_jax.restoration.severity import (
    SeverityEstimator,
    degraded_features,
    fit_severity,
    load_severity,
    save_severity,
    severity_features,
)
from tests.restoration.small_restorers import HALVED, make_restorer

SIGMAS = [0.5, 1.0, 2.0, 4.0]


def textures(seed, count=24, size=(64, 48), channels=3):
    """Images whose spectra fall off like those of photographs, of random contrast."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(count, *size, channels))
    rows, columns = np.fft.fftfreq(size[0]), np.fft.fftfreq(size[1])
    falloff = 1 / (0.02 + np.hypot(rows[:, None], columns))[..., None]
    images = np.fft.ifft2(np.fft.fft2(noise, axes=(1, 2)) * falloff, axes=(1, 2)).real
    images *= (
        rng.uniform(0.1, 0.3, (count, 1, 1, 1))
        / images.std(axis=(1, 2, 3))[:, None, None, None]
    )
    return jnp.asarray(np.clip(images, -1, 1), jnp.float32)


@pytest.fixture(scope="module")
def estimator():
    degrade = cd.heat_blur((64, 48), SIGMAS)
    return fit_severity(degrade, textures(0), key=jax.random.key(0))


def test_it_finds_the_blur_of_other_images_rounded_to_8_bits(estimator):
    degrade = cd.heat_blur((64, 48), SIGMAS)
    features = degraded_features(degrade, textures(1), key=jax.random.key(1))
    assert features.shape[:2] == (4, 24)
    np.testing.assert_array_equal(
        estimator.from_features(features), np.tile([[1], [2], [3], [4]], (1, 24))
    )


def test_it_finds_pixels_and_compression():
    for degrade in (
        cd.pixelate((64, 48), [[32, 24], [16, 12]], method="area"),
        cd.jpeg_like([60, 20, 5]),
    ):
        found = fit_severity(degrade, textures(0), key=jax.random.key(0))
        for t in range(1, degrade.num_steps + 1):
            assert (found.estimate(degrade(textures(1), t)) == t).mean() > 0.8


def test_it_works_at_other_sizes_and_on_grey_images(estimator):
    large = textures(2, count=4, size=(128, 136))
    blurred = cd.heat_blur((128, 136), SIGMAS)(large, 3)
    np.testing.assert_array_equal(estimator.estimate(blurred), 3)
    grey = textures(0, channels=1)
    degrade = cd.heat_blur((64, 48), SIGMAS)
    found = fit_severity(degrade, grey, key=jax.random.key(0))
    assert (found.estimate(degrade(textures(1, channels=1), 2)) == 2).mean() > 0.9


def test_features_do_not_depend_on_contrast_but_for_one():
    x = textures(0, count=2)
    one, other = severity_features(x), severity_features(x / 2)
    changed = np.abs(one - other).max(axis=0)
    assert changed[63] > 1 and (np.delete(changed, 63) < 0.05).all()


def test_reduced_images_tell_wide_blurs_apart():
    sigmas = [3.0, 3.5, 4.0]
    degrade = cd.heat_blur((64, 48), sigmas)
    found = fit_severity(degrade, textures(0, count=96), key=jax.random.key(0))
    # Without the features of reduced images, as fitted to the others alone.
    covariance = np.linalg.inv(found.precision)[:66, :66]
    whole = SeverityEstimator(found.means[:, :66], np.linalg.inv(covariance))
    test = textures(1, count=96)

    def wrong(estimator: SeverityEstimator) -> float:
        steps = [estimator.estimate(degrade(test, t)) for t in (1, 2, 3)]
        return float(np.mean(np.array(steps) != np.array([[1], [2], [3]])))

    assert wrong(found) < wrong(whole)


def test_images_are_degraded_in_chunks_with_randomness_of_their_own(monkeypatch):
    degrade = cd.noisy(cd.heat_blur((64, 48), SIGMAS), [0.02] * len(SIGMAS))
    found = degraded_features(degrade, textures(0, count=5), key=jax.random.key(0))
    monkeypatch.setattr(severity, "_CHUNK", 2)
    again = degraded_features(degrade, textures(0, count=5), key=jax.random.key(0))
    np.testing.assert_allclose(again, found, atol=1e-4)


def test_its_json_gives_the_same_estimates(estimator, tmp_path):
    degrade = cd.heat_blur((64, 48), SIGMAS)
    again = SeverityEstimator.from_json(json.loads(json.dumps(estimator.as_json())))
    x_t = degrade(textures(3), 3)
    np.testing.assert_array_equal(again.estimate(x_t), estimator.estimate(x_t))
    assert load_severity(str(tmp_path)) is None
    save_severity(estimator, str(tmp_path))
    np.testing.assert_array_equal(
        load_severity(str(tmp_path)).estimate(x_t), estimator.estimate(x_t)
    )
    (tmp_path / "severity.json").write_text('{"means": 3')
    with pytest.raises(InputError, match=r"severity\.json is damaged; fit it again"):
        load_severity(str(tmp_path))


def test_too_few_or_too_small_images_raise():
    degrade = cd.heat_blur(8, SIGMAS)
    for shape in ((1, 8, 8, 1), (4, 7, 8, 1)):
        with pytest.raises(InputError, match="at least two images of at least 8 x 8"):
            fit_severity(degrade, jnp.zeros(shape), key=jax.random.key(0))


def test_a_restorer_starts_at_the_estimate_of_each_image(estimator):
    restorer = dataclasses.replace(make_restorer(), severity=estimator)
    x = np.asarray(textures(4, count=2))
    mixed = [restorer.degrade(x[0], t=2), restorer.degrade(x[1], t=4)]
    assert restorer.estimate_step(mixed) == [2, 4]
    found = restorer.restore(mixed, "auto")
    for image, t, restored in zip(mixed, (2, 4), found, strict=True):
        np.testing.assert_allclose(restorer.restore(image, t), restored, atol=1e-5)
    # More steps than the estimate allows are as many as there are.
    np.testing.assert_allclose(
        restorer.restore(mixed, "auto", steps=3)[0], found[0], atol=1e-5
    )


def test_without_an_estimator_auto_raises():
    restorer = make_restorer(HALVED)
    for call in (
        lambda: restorer.restore(np.zeros((8, 8, 3), np.uint8), "auto"),
        lambda: restorer.estimate_step(np.zeros((8, 8, 3), np.uint8)),
    ):
        with pytest.raises(
            InputError, match=r"no estimate .* colddiff_jax\.cli\.sever"
        ):
            call()


def test_an_exported_file_keeps_the_estimator(estimator, tmp_path, capsys):
    restorer = dataclasses.replace(make_restorer(), severity=estimator)
    path = str(tmp_path / "model.safetensors")
    export_model(restorer, path)
    assert load_run(path).severity.means.shape == (4, 3 * 63 + 1 + 2)
    clean = tmp_path / "photo.png"
    Image.fromarray(cd.to_uint8(textures(5, count=1)[0])).save(clean)
    degraded, _ = restore_photos(path, [str(clean)], degrade=True, start=3)
    (known,) = restore_photos(path, [degraded], start=3)
    (found,) = restore_photos(path, [degraded], start="auto")
    np.testing.assert_array_equal(Image.open(known), Image.open(found))
    with pytest.raises(InputError, match="auto finds the step of degraded photographs"):
        restore_photos(path, [str(clean)], degrade=True, start="auto")
