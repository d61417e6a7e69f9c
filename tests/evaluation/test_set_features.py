"""Features of sets of images in memory."""

import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.evaluation import set_features
from colddiff_jax.evaluation.set_features import SetDistances, SetFeatures
from colddiff_jax.feature_nets import FeatureNet, Features
from colddiff_jax.io.images import to_float
from tests.evaluation.models import NET, random_reference


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), np.uint8)


def test_moments_are_of_all_images_and_features_of_random_ones(pixels, monkeypatch):
    monkeypatch.setattr(set_features, "MAX_FEATURES", 20)
    moments, subset = SetFeatures(NET, batch_size=8)(pixels)
    rows = np.asarray(NET(to_float(pixels)).pooled, np.float64)
    assert moments.count == 50
    np.testing.assert_allclose(moments.mean, rows.mean(0), atol=1e-6)
    np.testing.assert_allclose(moments.covariance, np.cov(rows.T), atol=1e-6)
    distances = np.abs(subset[:, None] - rows).max(-1)
    assert distances.min(1).max() < 1e-6
    chosen = distances.argmin(1)
    assert len(set(chosen)) == 20 and list(chosen) != sorted(chosen)


def test_a_set_is_at_distance_0_from_itself(pixels):
    found = SetDistances(pixels, {"source": "x", "split": ""}, [NET], {}, 8, False)
    assert found.references["colours"].name == "x"
    scores = found.scores(pixels, seed=0)["colours"]
    assert scores["frechet"] < 1e-6
    assert scores["precision"] == scores["recall"] == 1


def test_features_that_are_not_finite_and_other_references_raise(pixels):
    broken = FeatureNet("nan", lambda _, x: Features(x.mean((1, 2)) * np.nan))
    with pytest.raises(InputError, match=r"features of image 0 .* are not finite"):
        SetFeatures(broken, batch_size=8)(pixels)
    data = {"source": "mnist", "split": "test", "image_shape": [8, 8, 3]}
    references = {"colours": random_reference()}
    with pytest.raises(InputError, match="image_shape is not given in reference"):
        SetDistances(pixels, data, [NET], references, 8, False)
