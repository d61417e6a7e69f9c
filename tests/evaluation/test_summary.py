"""From scores of single images to the numbers of a table."""

import numpy as np
import pytest

from colddiff_jax.evaluation.protocol import Protocol
from colddiff_jax.evaluation.summary import Summary
from colddiff_jax.metrics import FeatureNet, Features
from colddiff_jax.metrics.distances import MomentsAccumulator, frechet_distance

NET = FeatureNet("colours", lambda _, x: Features(x.mean((1, 2))))


def moments(*rows):
    accumulator = MomentsAccumulator()
    for part in rows:
        accumulator.add(part)
    return accumulator.finish()


def batches(count, sizes, seed=0):
    rng = np.random.default_rng(seed)
    values = {
        "loss": rng.uniform(size=count),
        "mse/degraded": rng.uniform(0.1, 0.2, count),
        "mse/alg2": rng.uniform(0, 0.1, count),
        "ssim/degraded": rng.uniform(size=count),
        "ssim/alg2": rng.uniform(size=count),
        "pooled/colours/clean": rng.normal(size=(count, 4)),
        "pooled/colours/degraded": rng.normal(1, 2, (count, 4)),
        "pooled/colours/alg2": rng.normal(0.1, 1, (count, 4)),
        "probabilities/colours/alg2": rng.dirichlet(np.ones(3), count),
    }
    values = {name: x.astype(np.float32) for name, x in values.items()}
    ends = np.cumsum(sizes)
    assert ends[-1] == count
    parts = [
        {name: x[end - size : end] for name, x in values.items()}
        for end, size in zip(ends, sizes, strict=True)
    ]
    return values, parts


def summarise(parts, **faults):
    return Summary(parts, ["degraded", "alg2"], Protocol(**faults))


def test_pixel_scores_are_means_over_all_images():
    values, parts = batches(23, [10, 10, 3])
    found = summarise(parts).pixels()
    assert list(found) == ["degraded", "alg2"]
    for method, scores in found.items():
        mse = values[f"mse/{method}"].astype(np.float64)
        assert scores["rmse"] == pytest.approx(np.sqrt(mse.mean()))
        assert scores["rmse_per_image"] == pytest.approx(np.sqrt(mse).mean())
        assert scores["psnr"] == pytest.approx((-10 * np.log10(mse)).mean())
        assert scores["ssim"] == pytest.approx(values[f"ssim/{method}"].mean())
        assert "ms_ssim" not in scores
    assert summarise(parts).loss() == pytest.approx(values["loss"].mean())


def test_equal_images_do_not_make_the_mean_infinite():
    summary = summarise(
        {f"mse/{name}": np.float32([mse]) for name in ("degraded", "alg2")}
        for mse in (0.0, 0.01)
    )
    assert summary.pixels()["alg2"]["psnr"] == pytest.approx((100 + 20) / 2)


def test_distances_are_to_the_clean_images_of_all_batches():
    values, parts = batches(60, [25, 25, 10])
    found = summarise(parts).distances(NET, None, seed=0)
    clean = moments(values["pooled/colours/clean"])
    for method in ("degraded", "alg2"):
        own = moments(values[f"pooled/colours/{method}"])
        expected = frechet_distance(clean, own)
        assert found[method]["frechet"] == pytest.approx(expected, rel=1e-6)
        assert 0 <= found[method]["precision"] <= 1
    assert found["alg2"]["frechet"] < found["degraded"]["frechet"]
    assert found["alg2"]["kernel"] < found["degraded"]["kernel"]
    assert 1 <= found["alg2"]["inception_score"] <= 3
    assert "inception_score" not in found["degraded"]


def test_sorted_images_score_as_shuffled_ones(monkeypatch):
    monkeypatch.setattr("colddiff_jax.evaluation.summary.MAX_FEATURES", 200)
    values, _ = batches(400, [400])
    classes = np.repeat(np.eye(4, dtype=np.float32), 100, axis=0)
    for name in ("clean", "degraded", "alg2"):
        values[f"pooled/colours/{name}"] = (
            classes + 0.1 * values[f"pooled/colours/{name}"]
        )
    values["probabilities/colours/alg2"] = classes
    order = np.random.default_rng(1).permutation(400)
    ordered, shuffled = (
        summarise([{name: x[rows] for name, x in values.items()}]).distances(
            NET, None, seed=0
        )["alg2"]
        for rows in (np.arange(400), order)
    )
    assert ordered["inception_score"] > 3  # Of one class at a time it would be 1.
    for score in ("inception_score", "precision", "recall"):
        assert ordered[score] == pytest.approx(shuffled[score], rel=0.1)


def test_distances_are_to_a_reference_where_one_is_given():
    values, parts = batches(60, [60])
    other = summarise(batches(40, [40], seed=1)[1]).reference(NET, "other", {})
    found = summarise(parts).distances(NET, other, seed=0)
    expected = frechet_distance(other.moments, moments(values["pooled/colours/alg2"]))
    assert found["alg2"]["frechet"] == pytest.approx(expected, rel=1e-6)


def test_unfilled_rows_are_the_last_ones_and_zero():
    values, parts = batches(60, [25, 25, 10])
    found = summarise(parts, feature_rows_unfilled=True).distances(NET, None, seed=0)
    sets = []
    for name in ("clean", "alg2"):
        rows = values[f"pooled/colours/{name}"].copy()
        rows[50:] = 0
        sets.append(moments(rows))
    expected = frechet_distance(*sets)
    assert found["alg2"]["frechet"] == pytest.approx(expected, rel=1e-6)
    whole = summarise(batches(50, [50])[1], feature_rows_unfilled=True)
    sound = summarise(batches(50, [50])[1])
    assert whole.distances(NET, None, 0) == sound.distances(NET, None, 0)


def test_unfilled_rows_need_no_limit_on_the_number_of_images(monkeypatch):
    _, parts = batches(60, [25, 25, 10])
    whole = summarise(parts, feature_rows_unfilled=True).distances(NET, None, seed=0)
    monkeypatch.setattr("colddiff_jax.evaluation.summary.MAX_FEATURES", 30)
    found = summarise(parts, feature_rows_unfilled=True).distances(NET, None, seed=0)
    for method, scores in found.items():
        assert scores["frechet"] == whole[method]["frechet"]
        assert scores["kernel"] != whole[method]["kernel"]
