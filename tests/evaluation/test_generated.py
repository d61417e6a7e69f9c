"""Scores of images that a model generates."""

import dataclasses

import jax
import numpy as np
import pytest

from colddiff_jax import InputError, prng, sampling, to_uint8
from colddiff_jax.data import arrays
from colddiff_jax.evaluation import evaluate_generated
from colddiff_jax.evaluation.summary import random_order
from colddiff_jax.experiment.data import RunData
from colddiff_jax.io.images import to_float
from colddiff_jax.metrics import (
    MomentsAccumulator,
    copied_share,
    frechet_distance,
    kernel_distance,
    nearest_images,
    precision_recall,
)
from colddiff_jax.restoration.image_set import split_of
from tests.evaluation.models import NET, make_restorer, mask_model, noise_model

OPTIONS = {"samplers": ["direct", "alg2:2"], "nets": [NET], "batch_size": 8}


def flat_images(*counts):
    """Images of one colour each, with a little noise."""
    rng = np.random.default_rng(0)
    sets = [rng.integers(0, 248, (n, 1, 1, 3)) for n in counts]
    noises = [rng.integers(0, 8, (n, 16, 16, 3)) for n in counts]
    return [(x + z).astype(np.uint8) for x, z in zip(sets, noises, strict=True)]


TRAIN, TEST = flat_images(60, 120)


def image_sets(model):
    data = RunData(arrays(TRAIN, TEST), None)
    return {
        name: split_of(data, model.preprocessing, name) for name in ("train", "test")
    }


@pytest.fixture(scope="module")
def restorer():
    return make_restorer(noise_model())


@pytest.fixture(scope="module")
def images(restorer):
    return image_sets(restorer.model)


@pytest.fixture(scope="module")
def found(restorer, images):
    return evaluate_generated(restorer, 20, images=images, seeds=[0, 5], **OPTIONS)


def features(pixels):
    return np.asarray(NET(to_float(pixels)).pooled)


def moments(pixels):
    accumulator = MomentsAccumulator()
    accumulator.add(features(pixels))
    return accumulator.finish()


def test_images_are_those_of_the_restorer_as_saved(restorer, found):
    assert [each.settings["seed"] for each in found] == [0, 5]
    for each, seed in zip(found, (0, 5), strict=True):
        for name, sampler, steps in (("direct", "direct", None), ("alg2:2", "alg2", 2)):
            key = prng.stream(seed, "generate")
            expected = restorer.generate(20, key, sampler=sampler, steps=steps)
            np.testing.assert_array_equal(each.images[name], to_uint8(expected))
    assert (found[0].images["alg2:2"] != found[1].images["alg2:2"]).any()


def test_distances_are_those_of_the_metrics_to_all_training_images(found):
    for each, seed in zip(found, (0, 5), strict=True):
        assert list(each.distances) == ["colours"]
        assert list(each.distances["colours"]) == ["direct", "alg2:2", "test images"]
        for name in ("direct", "alg2:2"):
            scores = each.distances["colours"][name]
            own = each.images[name]
            # The kernel distance of sets of different sizes is one of random subsets.
            shuffled = [features(x)[np.argsort(random_order(len(x)))]
                        for x in (TRAIN, own)]  # fmt: skip
            kernel, spread = kernel_distance(*shuffled, seed=seed)
            overlap = precision_recall(*shuffled)
            expected = {
                "frechet": frechet_distance(moments(TRAIN), moments(own)),
                "kernel": kernel,
                "kernel_std": spread,
                **overlap._asdict(),
            }
            assert scores == pytest.approx(expected, rel=1e-4)


def test_copies_are_counted_by_the_quantile_of_all_test_images(found):
    fresh = nearest_images(TEST, TRAIN).distances
    for each in found:
        assert list(each.copies) == ["direct", "alg2:2", "test images"]
        for name, scores in each.copies.items():
            distances = nearest_images(each.images[name], TRAIN).distances
            assert scores["share"] == copied_share(distances, fresh)
            assert scores["rmse"] == np.median(distances)
    assert found[0].settings["copies"]["threshold"] == np.quantile(fresh, 0.01)


def test_random_test_images_are_scored_in_the_same_way(found):
    rows = [each.images["test images"] for each in found]
    np.testing.assert_array_equal(*rows)
    _, indices = nearest_images(rows[0], TEST)
    assert len(set(indices)) == 20 and indices.max() >= 20
    np.testing.assert_array_equal(rows[0], TEST[indices])
    scores = found[0].distances["colours"]["test images"]
    expected = frechet_distance(moments(TRAIN), moments(rows[0]))
    assert scores["frechet"] == pytest.approx(expected, rel=1e-4)
    assert scores == found[1].distances["colours"]["test images"]


def test_the_images_nearest_to_a_training_image_are_kept_with_it(found):
    for name, (pixels, nearest) in found[0].nearest.items():
        distances, indices = nearest_images(pixels, TRAIN)
        np.testing.assert_array_equal(nearest, TRAIN[indices])
        every = nearest_images(found[0].images[name], TRAIN).distances
        np.testing.assert_array_equal(distances, np.sort(every)[:10])


def test_the_batch_size_does_not_change_the_scores(restorer, images, found):
    (other,) = evaluate_generated(
        restorer, 20, images=images, seeds=[5], **OPTIONS | {"batch_size": 40}
    )
    assert other.copies == found[1].copies
    for name, scores in found[1].distances["colours"].items():
        assert other.distances["colours"][name] == pytest.approx(scores, rel=1e-5)


def test_an_image_does_not_depend_on_the_number_of_images(restorer, images, found):
    options = {"samplers": ["direct"], "seeds": [5], "images": images}
    few, many = (
        evaluate_generated(restorer, n, **options)[0].images["direct"] for n in (66, 70)
    )
    np.testing.assert_array_equal(few, many[:66])  # The 65th begins a second block.
    same = found[1].images["direct"].astype(int) - few[:20]
    assert np.abs(same).max() <= 1  # Rounding depends on the size of a block.
    assert (many[0] != many[64]).any()


def test_images_can_be_compared_with_the_first_test_images(restorer, images):
    options = OPTIONS | {"samplers": ["direct"], "split": "test", "num_images": 30}
    (found,) = evaluate_generated(restorer, 20, images=images, **options)
    assert found.settings["data"]["split"] == "test"
    assert found.settings["data"]["count"] == 30
    own = found.images["direct"]
    expected = frechet_distance(moments(TEST[:30]), moments(own))
    scores = found.distances["colours"]
    assert scores["direct"]["frechet"] == pytest.approx(expected, rel=1e-4)
    assert found.copies["train images"] == {"share": 1.0, "rmse": 0.0}


def test_saved_statistics_replace_those_of_the_images(restorer, images, found):
    options = OPTIONS | {"references": found[0].references}
    (again,) = evaluate_generated(restorer, 20, images=images, seeds=[0], **options)
    assert again.distances == found[0].distances
    assert again.settings["references"]["colours"]["data"]["count"] == 60
    other = dataclasses.replace(found[0].references["colours"], features=features(TEST))
    options["references"] = {"colours": other}
    (again,) = evaluate_generated(restorer, 20, images=images, seeds=[0], **options)
    assert again.distances != found[0].distances


def test_few_test_images_are_noted(restorer):
    data = RunData(arrays(TRAIN, TEST[:15]), None)
    preprocessing = restorer.model.preprocessing
    images = {name: split_of(data, preprocessing, name) for name in ("train", "test")}
    (found,) = evaluate_generated(restorer, 20, images=images, samplers=["direct"])
    uncertain, fewer = found.notes
    assert uncertain.endswith("the 1 % quantile of only 15 test images")
    assert fewer.startswith("there are only 15 test images, not 20")
    assert len(found.images["test images"]) == 15


def test_a_prior_is_passed_on_and_a_missing_one_raises():
    restorer = make_restorer(mask_model())
    images = image_sets(restorer.model)
    with pytest.raises(InputError, match="give a `prior`"):
        evaluate_generated(restorer, 20, images=images, **OPTIONS)
    with pytest.raises(InputError, match=r"leave \+consistent out of `samplers`, got"):
        evaluate_generated(restorer, 20, images=images, samplers=["alg2+consistent"])
    prior = sampling.EmpiricalPrior(to_float(TRAIN[:3]))
    options = {"samplers": ["direct"], "options": {"prior": prior}}
    (found,) = evaluate_generated(restorer, 5, images=images, **options)
    key = prng.stream(found.settings["seed"], "generate")
    expected = restorer.generate(5, key, prior=prior, sampler="direct")
    np.testing.assert_array_equal(found.images["direct"], to_uint8(expected))
    assert len(found.settings["options"]["prior"]) == 16


def test_a_network_that_returns_nan_is_reported(restorer, images):
    broken = jax.tree.map(lambda leaf: leaf * np.nan, restorer.params)
    restorer = dataclasses.replace(restorer, params=broken)
    with pytest.raises(InputError, match=r"image 0 generated by direct .* not"):
        evaluate_generated(restorer, 5, images=images, samplers=["direct"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"generate": 4}, "`generate` must be at least 5 for distances .* got 4"),
        ({"num_images": 4}, "`num_images` must be 0 or at least 5"),
        ({"num_images": 61}, "at most 60, the number of train images, got 61"),
        ({"split": "valid"}, "`split` must be train or test, got 'valid'"),
        ({"samplers": []}, "`samplers` must name a sampler"),
        ({"samplers": ["alg2:9"]}, r"a sampler must take 1\.\.4 steps"),
        ({"seeds": [-1]}, "`seed` must be an integer"),
        ({"batch_size": 0}, "`batch_size` must be a positive"),
    ],
)
def test_arguments_that_do_not_fit_raise(restorer, images, arguments, message):
    arguments = {"generate": 20, "images": images} | arguments
    with pytest.raises(InputError, match=message):
        evaluate_generated(restorer, **arguments)
