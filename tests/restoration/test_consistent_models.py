"""Models whose predictions are consistent by construction."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import colddiff_jax as cd
from colddiff_jax import InputError
from colddiff_jax.data.photos import open_photo
from colddiff_jax.restoration import load_run
from colddiff_jax.restoration.export import export_model
from colddiff_jax.sampling import EIGHT_BITS, data_consistency
from tests.restoration.small_restorers import BLUR, HALVED, make_restorer

RNG = np.random.default_rng(0)
LAMBDAS = {"prior": (EIGHT_BITS / 0.1) ** 2, "error": (EIGHT_BITS / 0.03) ** 2}


def floats(*shape):
    return RNG.uniform(-1, 1, shape).astype(np.float32)


@pytest.fixture(scope="module")
def blur():
    return make_restorer(BLUR, consistent_noise=(EIGHT_BITS, 0.03))


def test_the_network_takes_the_wiener_estimate_and_adds_what_the_blur_lost(blur):
    t = 3
    x_t = blur.degrade(floats(1, 32, 32, 3), t)
    A = np.asarray(blur.degradation.operators[0][t - 1], np.float64)
    U, s, V = np.linalg.svd(A)
    s = s[:, None] * s[None, :]

    def wiener(y, name):
        weights = (s / (s**2 + LAMBDAS[name]))[..., None]
        return along(V.T, weights * along(U.T, y))

    def along(matrix, image):
        return np.einsum("ij,jwc,kw->ikc", matrix, image, matrix)

    z = wiener(x_t[0], "prior")
    network = blur.model.network_fn(blur.params)
    F = np.asarray(network(jnp.asarray(z[None], jnp.float32), jnp.array([t])))[0]
    expected = F + wiener(x_t[0] - along(A, F), "error")
    found = blur.restore_fn(jnp.asarray(x_t), jnp.array([t]))[0]
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("degradation", [BLUR, HALVED], ids=["blur", "blocks"])
def test_predictions_agree_with_photographs_of_any_size(degradation):
    restorer = make_restorer(degradation, consistent_noise=(EIGHT_BITS, 0.03))
    x = floats(20, 44, 3)
    x_T = restorer.degrade(x)
    T = restorer.degradation.num_steps
    degrade = (
        cd.heat_blur((20, 44), [4.0])
        if degradation is BLUR
        else cd.pixelate((20, 44), [(5, 11)], method="area")
    )
    predicted, other = (
        model.predict(x_T, T) for model in (restorer, make_restorer(degradation))
    )
    errors = [data_consistency(p[None], degrade, x_T[None], t=1)[0] for p in
              (predicted, other)]  # fmt: skip
    assert errors[0] < 0.1 * errors[1]


def test_at_the_trained_size_photographs_are_restored_by_the_sampler(blur):
    x_T = jnp.asarray(blur.degrade(floats(2, *blur.image_shape)))
    sample = jax.jit(cd.sample_alg2)
    expected = sample(blur.restore_fn, blur.degradation, x_T).x_0
    restored = blur.restore(np.asarray(x_T), sampler="alg2")
    np.testing.assert_allclose(restored, expected, atol=2e-4)
    np.testing.assert_array_equal(blur.restore(x_T), blur.predict(x_T))


def test_an_exported_model_stays_consistent(blur, tmp_path):
    path = str(tmp_path / "blur.safetensors")
    export_model(blur, path)
    x_T = blur.degrade(floats(16, 24, 3))
    loaded = load_run(path)
    assert loaded.model.consistent_noise == (EIGHT_BITS, 0.03)
    np.testing.assert_allclose(loaded.restore(x_T), blur.restore(x_T), atol=1e-5)


def test_a_second_correction_is_refused(blur):
    with pytest.raises(InputError, match="are consistent; leave out `consistent`"):
        blur.restore(floats(8, 8, 3), consistent=True)


def test_a_degradation_without_an_inverse_and_a_negative_noise_raise():
    jpeg = {"name": "jpeg_like", "qualities": (50, 20)}
    with pytest.raises(InputError, match=r"consistent_noise` needs a .* JpegLike"):
        make_restorer(jpeg, consistent_noise=(EIGHT_BITS, 0.03))
    for wrong in ((0.0, 0.1), (0.2, 0.1), (0.1,)):
        with pytest.raises(InputError, match="must be two positive numbers"):
            make_restorer(BLUR, consistent_noise=wrong)


def test_noise_is_that_of_the_file_or_as_given_and_more_of_it_smooths(blur, tmp_path):
    pixels = cd.to_uint8(blur.degrade(floats(48, 48, 3))[None])[0]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=75, subsampling=0)
    noise = open_photo(tmp_path / "a.jpg").noise
    assert 0.015 < noise < 0.025
    assert open_photo(tmp_path / "a.png").noise == EIGHT_BITS
    given = np.asarray(Image.open(tmp_path / "a.jpg"))
    restored = blur.restore(str(tmp_path / "a.jpg"))
    expected = blur.restore(given, noise=noise)
    np.testing.assert_allclose(np.asarray(restored, int), expected, atol=1)
    for_files, as_exact = (
        np.abs(
            blur.restore(given, noise=n).astype(int) - blur.restore(pixels, noise=n)
        ).mean()
        for n in (noise, EIGHT_BITS)
    )
    assert as_exact > 1.3 * for_files
    with pytest.raises(InputError, match="`noise` must be a positive number"):
        blur.restore(given, noise=-0.1)
