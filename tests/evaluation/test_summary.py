"""Aggregating scores of single images into the numbers of a table."""

import numpy as np
import pytest

from colddiff_jax.evaluation.protocol import Protocol
from colddiff_jax.evaluation.summary import Summary, chosen_by_rmse
from colddiff_jax.feature_nets import FeatureNet, Features
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


def summarize(parts, **faults):
    return Summary(parts, ["degraded", "alg2"], Protocol(**faults))


def test_pixel_scores_are_means_over_all_images():
    values, parts = batches(23, [10, 10, 3])
    found = summarize(parts).pixels()
    assert list(found) == ["degraded", "alg2"]
    for sampler, scores in found.items():
        mse = values[f"mse/{sampler}"].astype(np.float64)
        assert scores["rmse"] == pytest.approx(np.sqrt(mse.mean()))
        assert scores["rmse_per_image"] == pytest.approx(np.sqrt(mse).mean())
        assert scores["psnr"] == pytest.approx((-10 * np.log10(mse)).mean())
        assert scores["ssim"] == pytest.approx(values[f"ssim/{sampler}"].mean())
        assert "ms_ssim" not in scores
    assert summarize(parts).loss() == pytest.approx(values["loss"].mean())


def test_identical_images_do_not_make_the_mean_psnr_infinite():
    summary = summarize(
        {f"mse/{name}": np.float32([mse]) for name in ("degraded", "alg2")}
        for mse in (0.0, 0.01)
    )
    assert summary.pixels()["alg2"]["psnr"] == pytest.approx((100 + 20) / 2)


def test_distances_are_to_the_clean_images_of_all_batches():
    values, parts = batches(60, [25, 25, 10])
    found = summarize(parts).distances(NET, None, seed=0)
    clean = moments(values["pooled/colours/clean"])
    for sampler in ("degraded", "alg2"):
        own = moments(values[f"pooled/colours/{sampler}"])
        expected = frechet_distance(clean, own)
        assert found[sampler]["frechet"] == pytest.approx(expected, rel=1e-6)
        assert 0 <= found[sampler]["precision"] <= 1
    assert found["alg2"]["frechet"] < found["degraded"]["frechet"]
    assert found["alg2"]["kernel"] < found["degraded"]["kernel"]
    assert 1 <= found["alg2"]["inception_score"] <= 3
    assert "inception_score" not in found["degraded"]


def test_sorted_images_score_like_shuffled_images(monkeypatch):
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
        summarize([{name: x[rows] for name, x in values.items()}]).distances(
            NET, None, seed=0
        )["alg2"]
        for rows in (np.arange(400), order)
    )
    assert ordered["inception_score"] > 3  # With one class per part it would be 1.
    for score in ("inception_score", "precision", "recall"):
        assert ordered[score] == pytest.approx(shuffled[score], rel=0.1)


def test_distances_are_to_a_reference_if_given():
    values, parts = batches(60, [60])
    other = summarize(batches(40, [40], seed=1)[1]).reference(NET, "other", {})
    found = summarize(parts).distances(NET, other, seed=0)
    expected = frechet_distance(other.moments, moments(values["pooled/colours/alg2"]))
    assert found["alg2"]["frechet"] == pytest.approx(expected, rel=1e-6)


def test_unfilled_rows_are_the_last_rows_and_zero():
    values, parts = batches(60, [25, 25, 10])
    found = summarize(parts, feature_rows_unfilled=True).distances(NET, None, seed=0)
    sets = []
    for name in ("clean", "alg2"):
        rows = values[f"pooled/colours/{name}"].copy()
        rows[50:] = 0
        sets.append(moments(rows))
    expected = frechet_distance(*sets)
    assert found["alg2"]["frechet"] == pytest.approx(expected, rel=1e-6)
    whole = summarize(batches(50, [50])[1], feature_rows_unfilled=True)
    sound = summarize(batches(50, [50])[1])
    assert whole.distances(NET, None, 0) == sound.distances(NET, None, 0)


def test_unfilled_rows_affect_all_images_beyond_the_subset(monkeypatch):
    _, parts = batches(60, [25, 25, 10])
    whole = summarize(parts, feature_rows_unfilled=True).distances(NET, None, seed=0)
    monkeypatch.setattr("colddiff_jax.evaluation.summary.MAX_FEATURES", 30)
    found = summarize(parts, feature_rows_unfilled=True).distances(NET, None, seed=0)
    for sampler, scores in found.items():
        assert scores["frechet"] == whole[sampler]["frechet"]
        assert scores["kernel"] != whole[sampler]["kernel"]


def test_the_best_median_and_worst_images_are_chosen_by_their_error():
    chosen = chosen_by_rmse(np.array([5.0, 1.0, 4.0, 2.0, 3.0]), 1)
    assert {name: x.tolist() for name, x in chosen.items()} == {
        "best": [1],
        "median": [4],
        "worst": [0],
    }
    chosen = chosen_by_rmse(np.array([2.0, 1.0]), 8)
    assert [x.tolist() for x in chosen.values()] == [[1, 0], [1, 0], [0, 1]]
