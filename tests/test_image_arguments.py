"""No public function accepts images of the wrong dtype or shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import metrics, models, sampling
from colddiff_jax.io import figures
from colddiff_jax.io.images import as_saved
from colddiff_jax.models.preconditioning import Preconditioned, Scales, measure_scales
from tests.degradations.cases import CASES, RANDOM
from tests.networks import tiny_unet

BLUR = cd.gaussian_blur(32, 2 * [1.0], kernel_size=3)
NOISE = cd.gaussian_noise(cd.schedules.cosine(2))
NET = metrics.FeatureNet("colours", lambda _, x: metrics.Features(x.mean((1, 2))))
STEPS = jnp.ones(2, jnp.int32)


def clean(side=32):
    """Returns two valid images."""
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, side, side, 3))
    return pixels.astype(np.float32)


def identity(x, t):
    return x


def pairs(metric, side=32):
    """Passes the images as each of both arguments; the other one is valid."""
    return [lambda x: metric(x, clean(side)), lambda x: metric(clean(side), x)]


def network(model):
    return [lambda x: jax.eval_shape(lambda: model.init(jax.random.key(0), x, STEPS))]


def features(function):
    return [lambda x: function(x, np.ones((9, 4))), lambda x: function(x, x)]


METRICS = {
    "FeatureNet": [NET],
    "mean_squared_error": pairs(metrics.mean_squared_error),
    "ms_ssim": pairs(metrics.ms_ssim, side=161),
    "psnr": pairs(metrics.psnr),
    "ssim": pairs(metrics.ssim),
}
# Functions of features or of their moments, which images are not either.
FEATURE_METRICS = {
    "MomentsAccumulator": [lambda x: metrics.MomentsAccumulator().add(x)],
    "copied_share": [
        lambda x: metrics.copied_share(x, np.ones(9)),
        lambda x: metrics.copied_share(np.ones(9), x),
    ],
    "frechet_distance": [lambda x: metrics.frechet_distance(x, x)],
    "inception_score": [metrics.inception_score],
    "kernel_distance": features(metrics.kernel_distance),
    "precision_recall": features(metrics.precision_recall),
}
RESULTS = {"Features", "Moments", "NearestImages", "PrecisionRecall"}


NETWORKS = {
    "ConvNeXtUNet": network(cd.ConvNeXtUNet(channel_multipliers=(1,))),
    "UNet": network(tiny_unet()),
    "from_functions": network(
        models.from_functions(jax.random.normal, lambda w, x, t: w * x)
    ),
}
PRECONDITIONED = Preconditioned(tiny_unet(), Scales((1.0,), (0.0,), (1.0,)))


def sampler(function):
    return [lambda x: function(identity, BLUR, x)]


def sample_ddim(restore_fn, degrade, x):
    return sampling.sample_ddim(restore_fn, NOISE, x, key=jax.random.key(0))


def sample_momentum(restore_fn, degrade, x):
    options = {"key": jax.random.key(0), "noise_stds": [0.1, 0.1]}
    return sampling.sample_momentum(restore_fn, degrade, x, **options)


def sample_ihd(restore_fn, degrade, x):
    return sampling.sample_ihd(restore_fn, degrade, x, key=jax.random.key(0))


SAMPLING = {
    "break_symmetry": [lambda x: sampling.break_symmetry(x, key=jax.random.key(0))],
    "fit_prior": [lambda x: sampling.fit_prior(x, BLUR)],
    "Tiled": [lambda x: sampling.Tiled(identity, 16, 8)(x, STEPS)],
    "consistent": [lambda x: sampling.consistent(identity, BLUR)(x, STEPS)],
    "data_consistency": [
        lambda x: sampling.data_consistency(x, BLUR, clean()),
        lambda x: sampling.data_consistency(clean(), BLUR, x),
    ],
    "equal_change": [lambda x: sampling.equal_change(BLUR, x, num_calls=2)],
    "measured_severity": [lambda x: sampling.measured_severity(BLUR, x)],
    "project_onto_data": [
        lambda x: sampling.project_onto_data(x, BLUR, clean()),
        lambda x: sampling.project_onto_data(clean(), BLUR, x),
    ],
    "restore_direct": sampler(sampling.restore_direct),
    "sample_ab2": sampler(sampling.sample_ab2),
    "sample_alg1": sampler(sampling.sample_alg1),
    "sample_alg2": sampler(sampling.sample_alg2),
    "sample_ddim": sampler(sample_ddim),
    "sample_heun": sampler(sampling.sample_heun),
    "sample_ihd": sampler(sample_ihd),
    "sample_momentum": sampler(sample_momentum),
}
NOT_OF_IMAGES = {
    "BatchSampler",
    "ColorPrior",
    "Consistent",  # Made by `consistent`.
    "EIGHT_BITS",
    "FLOAT_NOISE",
    "Restart",
    "RestoreFn",
    "SAMPLERS",
    "SampleResult",
    "equal_log_severity",
    "equal_stride",
    "guide",
    "interpolated",
    "EmpiricalPrior",  # Made by users, of any floats.
    "MixturePrior",
    "NormalPrior",
    "PerturbedPrior",
    "Prior",
}


def degradation(name):
    degrade = CASES[name]()
    if name in RANDOM:
        degrade = degrade.bind(jax.random.key(0), (1, 32, 32, 3))
    if name.startswith("animorph"):
        degrade = degrade.with_endpoint(clean())
    return [lambda x: degrade(x, 1)]


OTHERS = {
    "measure_scales": [lambda x: measure_scales(BLUR, x)],
    "restoration_loss": [lambda x: cd.restoration_loss(identity, BLUR, x, STEPS)],
    "with_endpoint": [cd.animorph([1.0, 0.5, 0.0]).with_endpoint],
    "estimate_endpoint": [lambda x: NOISE.estimate_endpoint(clean(), x, 2)],
}
FUNCTIONS = METRICS | NETWORKS | SAMPLING | OTHERS
# These accept any shape, so that only the dtype can be wrong.
OF_FLOATS = {
    "as_saved": as_saved,
    "grid": lambda x: figures.grid({"label": x}),
    "strip": figures.strip,
    "to_uint8": cd.to_uint8,
}
BYTES = np.zeros((2, 32, 32, 3), np.uint8)
OF_BYTES = {
    "beside": lambda x: figures.beside(list(x)),
    "nearest_images": lambda x: metrics.nearest_images(x, BYTES),
    "save_gif": lambda x: figures.save_gif("/nowhere/a.gif", list(x)),
    "save_png": lambda x: figures.save_png("/nowhere/a.png", x[0]),
    "to_float": cd.to_float,
}

WRONG = {
    "uint8": lambda x: np.zeros(x.shape, np.uint8),
    "uint16": lambda x: np.zeros(x.shape, np.uint16),
    "one image": lambda x: x[0],
    "five axes": lambda x: x[None],
    "no images": lambda x: x[:0],
    "no pixels": lambda x: x[:, :0],
}
DTYPES = ("uint8", "uint16")


def check(call, x, *, traced=False):
    """Asserts that a call raises an error of one line, as short as two lines."""
    with pytest.raises((TypeError, ValueError)) as caught:
        jax.eval_shape(call, x) if traced else call(x)
    message = str(caught.value)
    assert message and "\n" not in message and len(message) <= 176
    return message


def test_the_lists_are_complete():
    of_floats = set(METRICS) | set(FEATURE_METRICS)
    assert set(metrics.__all__) == of_floats | {"nearest_images"} | RESULTS
    assert set(models.__all__) == {*NETWORKS, "initialize"}
    assert set(sampling.__all__) == set(SAMPLING) | NOT_OF_IMAGES
    samplers = {function.__name__ for function in sampling.SAMPLERS.values()}
    assert samplers <= set(SAMPLING)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_images_raise(name, wrong):
    x = WRONG[wrong](clean(161 if name == "ms_ssim" else 32))
    for call in FUNCTIONS[name]:
        message = check(call, x)
        assert "colddiff_jax.to_float" in message or wrong not in DTYPES


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", CASES)
def test_degradations_raise(name, wrong):
    for call in degradation(name):
        check(call, WRONG[wrong](clean()))


@pytest.mark.parametrize("wrong", WRONG)
def test_a_preconditioned_network_raises(wrong):
    (call,) = network(PRECONDITIONED)
    check(call, WRONG[wrong](clean()))


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", FEATURE_METRICS)
def test_functions_of_features_raise_for_images(name, wrong):
    for call in FEATURE_METRICS[name]:
        check(call, WRONG[wrong](clean()))


@pytest.mark.parametrize("name", FEATURE_METRICS)
def test_functions_of_features_raise_without_features(name):
    if name != "MomentsAccumulator":  # It accepts empty batches.
        for call in FEATURE_METRICS[name]:
            check(call, np.zeros((0, 4)))
    check(FEATURE_METRICS[name][0], np.zeros((9, 0)))


@pytest.mark.parametrize("name", OF_FLOATS)
def test_functions_of_floats_raise_for_integers(name):
    OF_FLOATS[name](clean())
    for dtype in (np.uint8, np.uint16, np.int32, bool):
        message = check(OF_FLOATS[name], np.zeros((2, 8, 8, 3), dtype))
        assert f"got dtype {np.dtype(dtype)}; convert uint8" in message


@pytest.mark.parametrize("name", OF_BYTES)
def test_functions_of_bytes_raise_for_other_dtypes(name):
    for dtype in (np.float32, np.float64, jnp.bfloat16, np.uint16, np.int32, bool):
        message = check(OF_BYTES[name], np.zeros((2, 8, 8, 3), dtype))
        assert f"must be uint8, got dtype {np.dtype(dtype)}; " in message


TRACED = ["FeatureNet", "ms_ssim", "psnr", "ssim", "sample_alg2", "restoration_loss"]


@pytest.mark.parametrize("name", TRACED)
def test_the_checks_work_for_traced_images(name):
    x = clean(161 if name == "ms_ssim" else 32)
    for call in FUNCTIONS[name]:
        for wrong in WRONG.values():
            check(call, wrong(x), traced=True)
        for dtype in (np.float16, jnp.bfloat16, np.float32, np.float64):
            jax.eval_shape(call, x.astype(dtype))


def test_conversions_check_traced_images():
    check(as_saved, np.zeros((2, 8), np.uint8), traced=True)
    check(cd.to_float, np.zeros((2, 8), np.float32), traced=True)


def test_images_of_different_shapes_are_not_compared():
    for metric in (metrics.mean_squared_error, metrics.psnr, metrics.ssim):
        message = check(lambda x: metric(x, clean()), clean()[:1])  # noqa: B023
        assert "the same shape, got (1, 32, 32, 3) and (2, 32, 32, 3)" in message


@pytest.mark.parametrize("name", METRICS | SAMPLING | OTHERS)
def test_nan_is_never_hidden(name):
    x = np.full_like(clean(161 if name == "ms_ssim" else 32), np.nan)
    for call in FUNCTIONS[name]:
        try:
            result = call(x)
        except ValueError as error:
            assert "finite" in str(error) or "nan" in str(error)
            continue
        leaves = jax.tree.leaves(result)
        assert any(np.isnan(leaf).any() for leaf in leaves if leaf.dtype != np.int32)


@pytest.mark.parametrize("name", CASES)
def test_degradations_do_not_hide_nan(name):
    (call,) = degradation(name)
    assert np.isnan(call(np.full_like(clean(), np.nan))).any()


def test_nan_is_black_in_a_picture_and_stays_nan_on_the_device():
    x = np.ones((1, 2, 1), np.float32)
    x[0, 0] = np.nan
    np.testing.assert_array_equal(cd.to_uint8(x)[0, :, 0], [0, 255])
    np.testing.assert_array_equal(as_saved(x)[0, :, 0], [np.nan, 1])
