"""Whole evaluations: repeatable, resumable, and checked before any work."""

import dataclasses

import numpy as np
import pytest

from colddiff_jax import InputError
from colddiff_jax.data import arrays
from colddiff_jax.evaluation.evaluate import evaluate
from colddiff_jax.evaluation.protocol import Protocol
from colddiff_jax.evaluation.summary import chosen_by_rmse
from colddiff_jax.feature_nets import FeatureNet, Features
from colddiff_jax.io.figures import save_png
from colddiff_jax.restoration.image_set import images_of_folder
from tests.evaluation.models import (
    NET,
    make_restorer,
    mask_model,
    noise_model,
    shifted_photos,
)


@pytest.fixture(scope="module")
def restorer():
    return make_restorer(mask_model())


@pytest.fixture(scope="module")
def images(golden, restorer):
    return shifted_photos(golden, restorer.model)


@pytest.fixture(scope="module")
def score(restorer, images):
    def score(folder, **options):
        options = {"batch_size": 8, "nets": [NET], "images": images} | options
        (found,) = evaluate(restorer, str(folder), **options)
        return found

    return score


@pytest.fixture(scope="module")
def found(score, tmp_path_factory):
    return score(tmp_path_factory.mktemp("whole"))


def numbers(found):
    return found.loss, found.pixels, found.distances


class Interrupted:
    """Images of which only a limited number can be read."""

    def __init__(self, images, reads):
        self.images, self.reads = images, reads

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.reads -= 1
        if self.reads < 0:
            raise KeyboardInterrupt
        return self.images[index]


def test_the_same_call_returns_the_same_results(score, found, tmp_path):
    again = score(tmp_path)
    assert numbers(again) == numbers(found)
    assert again.settings == found.settings
    for group, rows in found.examples.items():
        for name, pixels in rows.items():
            np.testing.assert_array_equal(again.examples[group][name], pixels)
    assert found.settings["data"]["count"] == 22
    assert list(found.pixels) == ["degraded", "direct", "alg1", "alg2"]


def test_an_interrupted_evaluation_resumes(score, images, found, tmp_path):
    # All images are read for their fingerprint, and the third batch is incomplete.
    reads = len(images.images) + 20
    interrupted = images._replace(images=Interrupted(images.images, reads))
    with pytest.raises(KeyboardInterrupt):
        score(tmp_path, images=interrupted)
    done = len(list(tmp_path.glob("0/*.npz")))
    assert 1 <= done <= 2
    counting = Interrupted(images.images, 10**6)
    again = score(tmp_path, images=images._replace(images=counting))
    assert numbers(again) == numbers(found)
    scored = 10**6 - counting.reads
    whole = Interrupted(images.images, 10**6)
    score(tmp_path / "whole", images=images._replace(images=whole))
    assert scored == 10**6 - whole.reads - 8 * done


def test_examples_are_ordered_by_the_error_of_the_last_sampler(found):
    errors = found.per_image["mse/alg2"]
    for group, indices in chosen_by_rmse(errors, 8).items():
        rows = found.examples[group]
        clean, restored = (rows[name] / 255.0 for name in ("clean", "alg2"))
        own = np.square(clean - restored).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(own, errors[indices], rtol=1e-4)


def test_all_seeds_are_scored_by_one_program(restorer, images, found, tmp_path):
    traced = []

    def colours(params, x):
        traced.append(x.shape)
        return NET.apply(params, x)

    def traces(**options):
        options |= {"images": images, "nets": [FeatureNet("colours", colours)]}
        before = len(traced)
        scored = evaluate(restorer, str(tmp_path), batch_size=8, **options)
        return scored, len(traced) - before

    _, once = traces(seeds=[0])
    both, twice = traces(seeds=[5, 0])
    assert once == twice > 0
    assert [one.settings["seed"] for one in both] == [5, 0]
    assert numbers(both[1]) == numbers(found) != numbers(both[0])


def test_the_published_protocol_skips_the_first_image(score, tmp_path):
    shifted = score(tmp_path, protocol=Protocol(first_image_skipped=True))
    assert shifted.settings["data"]["count"] == 21
    assert shifted.settings["faults"] == ["first_image_skipped"]


def test_sets_are_compared_with_a_saved_reference(score, found, tmp_path):
    references = {"colours": found.references["colours"]}
    again = score(tmp_path / "same", references=references)
    for sampler, scores in found.distances["colours"].items():
        own = again.distances["colours"][sampler]
        assert own["frechet"] == pytest.approx(scores["frechet"], rel=1e-5)
    few = score(tmp_path / "few", references=references, num_images=10)
    assert any(note.startswith("count is 22") for note in few.notes)


def test_references_of_other_features_or_images_raise(score, found, tmp_path):
    reference = found.references["colours"]
    other_net = FeatureNet("colours", NET.apply, params=np.ones(3))
    with pytest.raises(InputError, match="'colours' with different weights"):
        score(tmp_path, nets=[other_net], references={"colours": reference})
    with pytest.raises(InputError, match=r"protocol.values_not_clipped is"):
        score(
            tmp_path,
            references={"colours": reference},
            protocol=Protocol(values_not_clipped=True),
        )
    other = dataclasses.replace(
        reference, data=reference.data | {"image_shape": [32, 32, 3]}
    )
    with pytest.raises(InputError, match="image_shape is"):
        score(tmp_path, references={"colours": other})


def test_any_folder_can_be_scored(restorer, images, score, golden, tmp_path):
    for i, pixels in enumerate(golden["images32"]):
        save_png(str(tmp_path / f"{i}.png"), pixels)
    (tmp_path / "notes.txt").write_text("no image")
    folder = images_of_folder(restorer.model, str(tmp_path))
    found = score(tmp_path / "part", images=folder, nets=[], num_examples=4)
    same = arrays(golden["images32"], golden["images32"]).test
    expected = score(tmp_path / "other", images=images._replace(images=same), nets=[])
    assert found.pixels == expected.pixels
    assert found.settings["data"]["source"] == str(tmp_path)
    assert found.distances == {}


def test_stochastic_samplers_draw_noise_by_seed_and_image(images, tmp_path):
    restorer = make_restorer(noise_model())

    def errors(name, **options):
        options |= {"images": images, "samplers": ["alg2", "ddim"], "seeds": [0, 1]}
        both = evaluate(restorer, str(tmp_path / name), **options)
        return [one.per_image["mse/ddim"] for one in both]

    found, other = errors("eight", batch_size=8)
    assert np.isfinite(found).all() and (np.abs(found - other) > 1e-6).all()
    again, _ = errors("four", batch_size=4)
    np.testing.assert_allclose(again, found, rtol=1e-4, atol=1e-5)


def test_few_images_for_the_features_are_noted(score, tmp_path):
    wide = FeatureNet("pixels", lambda _, x: Features(x.reshape(len(x), -1)[:, :40]))
    assert score(tmp_path / "four").notes == []
    (note,) = score(tmp_path / "forty", nets=[wide]).notes
    assert "has 22 images for 40 features of pixels" in note


def test_no_padding_is_scored_for_the_sake_of_a_large_batch(score, tmp_path):
    found = score(tmp_path, nets=[], num_images=3, batch_size=200)
    assert found.settings["batch_size"] == 4  # One image per device.


def test_settings_that_do_not_fit_raise_before_any_work(score, found, images, tmp_path):
    references = {"colours": found.references["colours"]}
    unfilled = Protocol(feature_rows_unfilled=True)
    one = images._replace(images=images.images[:1])
    skipping = Protocol(first_image_skipped=True)
    for options, message in (
        ({"nets": [NET, NET]}, "2 feature networks are called 'colours'"),
        ({"endpoint": "estimated"}, "`endpoint` estimated needs a model trained on"),
        ({"seeds": [2**32]}, r"`seed` must be an integer in 0..4294967295, got 42949"),
        (
            {"references": references, "protocol": unfilled},
            "feature_rows_unfilled affects both sets",
        ),
        ({"images": one, "protocol": skipping}, r"nothing to score: of 1 image"),
        ({"num_images": 23}, r"`num_images` must lie in 1..22.* got 23"),
        ({"num_images": 3}, "at least 5 images, got 3"),
        ({"batch_size": 6}, "`batch_size` must be a positive multiple"),
        ({"samplers": ["ddim"]}, "ddim needs a model trained on gaussian_noise"),
    ):
        with pytest.raises(InputError, match=message):
            score(tmp_path, **options)
    assert not list(tmp_path.iterdir())
