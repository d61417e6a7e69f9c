"""The Inception Score: extreme cases, and the results of torch-fidelity."""

import numpy as np
import pytest

from colddiff_jax.checks import InputError
from colddiff_jax.metrics.inception_score import inception_score


def random_probabilities(count=90, classes=10):
    logits = 2 * np.random.default_rng(0).normal(size=(count, classes))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_certain_and_balanced_classes_score_the_number_of_classes():
    assert inception_score(np.tile(np.eye(7), (20, 1)), num_splits=4) == pytest.approx(
        (7, 0), abs=1e-12
    )


def test_uniform_probabilities_score_one():
    assert inception_score(np.full((20, 7), 1 / 7)) == pytest.approx((1, 0), abs=1e-12)


def test_a_single_certain_class_scores_one():
    assert inception_score(np.eye(7)[[3] * 20]) == (1, 0)


def test_one_part_matches_the_formula():
    p = random_probabilities()
    information = (p * np.log(p / p.mean(axis=0))).sum(axis=1).mean()
    assert inception_score(p, num_splits=1) == pytest.approx((np.exp(information), 0))


def test_parts_are_consecutive_and_cover_all_images():
    p = random_probabilities(count=11)
    parts = [p[:3], p[3:7], p[7:]]
    scores = [inception_score(part, num_splits=1)[0] for part in parts]
    assert inception_score(p, num_splits=3) == pytest.approx(
        (np.mean(scores), np.std(scores)), rel=1e-12
    )


def test_scores_match_recorded_ones(recorded):
    logits = recorded["logits"].astype(np.float64)
    ordered, shuffled = recorded["inception_score"]
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(inception_score(p), ordered, rtol=1e-9)
    order = np.random.RandomState(2020).permutation(len(p))
    np.testing.assert_allclose(inception_score(p[order]), shuffled, rtol=1e-9)


@pytest.mark.parametrize("num_splits", [0, 91])
def test_raises_for_empty_parts(num_splits):
    with pytest.raises(InputError, match=rf"1\.\.90, .* got {num_splits}"):
        inception_score(random_probabilities(), num_splits=num_splits)


def test_raises_for_values_that_are_not_probabilities():
    p = random_probabilities()
    p[4, 0] += 0.1
    with pytest.raises(InputError, match=r"image 4 .* apply a softmax to logits"):
        inception_score(p)
    p[3, :2] = [-0.5, 1.5]
    with pytest.raises(InputError, match="image 3 "):
        inception_score(p)
    p[2, 5] = np.nan
    with pytest.raises(InputError, match=r"probabilities of image 2 .* not finite"):
        inception_score(p)
    with pytest.raises(InputError, match=r"shape \[N, F\], .* got \(10,\)"):
        inception_score(p[0])
