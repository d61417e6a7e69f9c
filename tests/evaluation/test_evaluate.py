"""Whole evaluations: repeatable, resumable, and refused where they make no sense."""

import dataclasses
import json

import numpy as np
import pytest
from colddiff_jax.evaluation.image_set import folder_of, load_batch, split_of

from colddiff_jax import InputError, devices
from colddiff_jax.data import arrays
from colddiff_jax.evaluation.evaluate import evaluate
from colddiff_jax.evaluation.protocol import Protocol
from colddiff_jax.evaluation.settings import check_settings
from colddiff_jax.io.figures import save_png
from colddiff_jax.metrics import FeatureNet, Features
from colddiff_jax.restoration.load import Run
from colddiff_jax.training.task import build_experiment
from configs import mnist_mask
from tests.networks import random_parameters, tiny_unet

NET = FeatureNet("colours", lambda _, x: Features(x.mean((1, 2))))


@pytest.fixture(scope="module")
def run(golden):
    config = mnist_mask.get_config("smoke").to_dict()
    config["data"] |= {"image_size": 16, "resize_to": 16}
    config["degradation"]["stds"] = (3.0, 3.0)
    pixels = golden["images32"]
    rng = np.random.default_rng(0)
    images = np.stack([np.roll(pixels[i % 4], rng.integers(32), 0) for i in range(22)])
    experiment = build_experiment(config, splits=arrays(images[:6], images))
    experiment = dataclasses.replace(experiment, model=tiny_unet())
    params = random_parameters(experiment.model, (16, 16, 3))
    return Run(config, experiment, 7, devices.replicate(params), trained_on="")


def score(run, workdir, **options):
    options = {"batch_size": 8, "nets": [NET]} | options
    (found,) = evaluate(run, str(workdir), **options)
    return found


@pytest.fixture(scope="module")
def found(run, tmp_path_factory):
    return score(run, tmp_path_factory.mktemp("whole"))


def numbers(found):
    return found.loss, found.pixels, found.distances


class Interrupted:
    """Images that can be read only so often."""

    def __init__(self, images, reads):
        self.images, self.reads = images, reads

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.reads -= 1
        if self.reads < 0:
            raise KeyboardInterrupt
        return self.images[index]


def test_the_same_call_gives_the_same_numbers(run, found, tmp_path):
    again = score(run, tmp_path)
    assert numbers(again) == numbers(found)
    assert again.settings == found.settings
    for group, rows in found.examples.items():
        for name, pixels in rows.items():
            np.testing.assert_array_equal(again.examples[group][name], pixels)
    assert found.settings["data"]["count"] == 22
    assert list(found.pixels) == ["degraded", "direct", "alg1", "alg2"]


def test_an_interrupted_evaluation_goes_on_where_it_stopped(run, found, tmp_path):
    images = split_of(run.experiment)
    # All are read for their fingerprint; then the third batch is not complete.
    reads = len(images.images) + 20
    with pytest.raises(KeyboardInterrupt):
        score(
            run,
            tmp_path,
            images=images._replace(images=Interrupted(images.images, reads)),
        )
    done = len(list(tmp_path.glob("0/*.npz")))
    assert 1 <= done <= 2
    counting = Interrupted(images.images, 10**6)
    again = score(run, tmp_path, images=images._replace(images=counting))
    assert numbers(again) == numbers(found)
    scored = 10**6 - counting.reads
    whole = Interrupted(images.images, 10**6)
    score(run, tmp_path / "whole", images=images._replace(images=whole))
    assert scored == 10**6 - whole.reads - 8 * done


def test_examples_are_ordered_by_the_error_of_the_last_method(found):
    errors = found.per_image["mse/alg2"]
    for group, numbers_ in report.chosen_by_rmse(errors, 8).items():
        rows = found.examples[group]
        clean, restored = (rows[name] / 255.0 for name in ("clean", "alg2"))
        own = np.square(clean - restored).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(own, errors[numbers_], rtol=1e-4)


def test_results_are_json_with_what_it_takes_to_repeat_them(run, found, tmp_path):
    other = score(run, tmp_path, seeds=[5])
    results = json.loads(json.dumps(report.results([found, other], {})))
    assert results["settings"]["seed"] == [0, 5]
    assert results["settings"]["config"]["degradation"]["name"] == "gaussian_mask"
    assert {"weights", "samplers", "features", "versions"} < results["settings"].keys()
    pair = [one.pixels["alg2"]["rmse"] for one in (found, other)]
    assert results["pixels"]["alg2"]["rmse"] == pytest.approx(np.mean(pair))
    spread = results["standard_deviations"]["pixels"]["alg2"]["rmse"]
    assert spread == pytest.approx(np.std(pair))
    assert results["by_seed"]["5"]["pixels"] == other.pixels


def test_all_seeds_are_scored_by_one_program(run, found, tmp_path):
    traced = []

    def colours(params, x):
        traced.append(x.shape)
        return NET.apply(params, x)

    def traces(**options):
        nets = [FeatureNet("colours", colours)]
        before = len(traced)
        scored = evaluate(run, str(tmp_path), batch_size=8, nets=nets, **options)
        return scored, len(traced) - before

    _, once = traces(seeds=[0])
    both, twice = traces(seeds=[5, 0])
    assert once == twice > 0
    assert [one.settings["seed"] for one in both] == [5, 0]
    assert numbers(both[1]) == numbers(found) != numbers(both[0])


def test_the_published_protocol_skips_the_first_image(run, tmp_path):
    protocol = Protocol(first_image_skipped=True)
    shifted = score(run, tmp_path, protocol=protocol)
    assert shifted.settings["data"]["count"] == 21
    assert shifted.settings["faults"] == ["first_image_skipped"]


def test_sets_are_compared_with_a_saved_reference(run, found, tmp_path):
    reference = found.references["colours"]
    again = score(run, tmp_path / "same", references={"colours": reference})
    for method, scores in found.distances["colours"].items():
        own = again.distances["colours"][method]
        assert own["frechet"] == pytest.approx(scores["frechet"], rel=1e-5)
    few = score(run, tmp_path / "few", references={"colours": reference}, num_images=10)
    assert any(note.startswith("count is 22") for note in few.notes)


def test_references_made_otherwise_are_refused(run, found, tmp_path):
    reference = found.references["colours"]
    other_net = FeatureNet("colours", NET.apply, params=np.ones(3))
    with pytest.raises(InputError, match="'colours' with other weights"):
        score(run, tmp_path, nets=[other_net], references={"colours": reference})
    with pytest.raises(InputError, match=r"protocol.values_not_clipped is"):
        score(
            run,
            tmp_path,
            references={"colours": reference},
            protocol=Protocol(values_not_clipped=True),
        )
    other = dataclasses.replace(
        reference, data=reference.data | {"image_shape": [32, 32, 3]}
    )
    with pytest.raises(InputError, match="image_shape is"):
        score(run, tmp_path, references={"colours": other})


def test_any_folder_can_be_scored(run, golden, tmp_path):
    for i, pixels in enumerate(golden["images32"]):
        save_png(str(tmp_path / f"{i}.png"), pixels)
    (tmp_path / "notes.txt").write_text("no image")
    images = folder_of(run.experiment, str(tmp_path))
    found = score(run, tmp_path / "part", images=images, nets=[], num_examples=4)
    same = arrays(golden["images32"], golden["images32"]).test
    expected = score(
        run,
        tmp_path / "other",
        images=split_of(run.experiment)._replace(images=same),
        nets=[],
    )
    assert found.pixels == expected.pixels
    assert found.settings["data"]["source"] == str(tmp_path)
    assert found.distances == {}


def test_what_does_not_go_together_is_refused_before_any_work(run, found, tmp_path):
    with pytest.raises(InputError, match="2 feature networks are called 'colours'"):
        score(run, tmp_path, nets=[NET, NET])
    with pytest.raises(
        InputError, match="--endpoint=estimated needs a run that was trained"
    ):
        score(run, tmp_path, endpoint="estimated")
    with pytest.raises(InputError, match=r"seed must lie in 0..4294967295, got 42949"):
        score(run, tmp_path, seeds=[2**32])
    with pytest.raises(InputError, match="feature_rows_unfilled is in both sets"):
        score(
            run,
            tmp_path,
            references={"colours": found.references["colours"]},
            protocol=Protocol(feature_rows_unfilled=True),
        )
    one = split_of(run.experiment)
    one = one._replace(images=one.images[:1])
    with pytest.raises(InputError, match=r"nothing to score: the set has 1 image"):
        score(run, tmp_path, images=one, protocol=Protocol(first_image_skipped=True))
    assert not list(tmp_path.iterdir())


def test_images_of_two_sizes_are_refused_where_they_are_cut_on_the_device(run):
    preprocessing = dataclasses.replace(run.experiment.preprocessing, resize_to=0)
    experiment = dataclasses.replace(run.experiment, preprocessing=preprocessing)
    images = split_of(experiment)
    mixed = [np.zeros((16, 16, 3), np.uint8), np.zeros((16, 20, 3), np.uint8)]
    with pytest.raises(InputError, match="the images have different sizes"):
        load_batch(images._replace(images=mixed), experiment, [0, 1], cut=False)


def test_few_images_for_the_features_are_noted(run, tmp_path):
    wide = FeatureNet("pixels", lambda _, x: Features(x.reshape(len(x), -1)[:, :40]))
    assert score(run, tmp_path / "four").notes == []
    (note,) = score(run, tmp_path / "forty", nets=[wide]).notes
    assert "has 22 images for 40 features of pixels" in note


def test_what_will_be_scored_is_told_before_any_work(run):
    images = split_of(run.experiment)
    skipping = Protocol(first_image_skipped=True)
    for options, expected in (
        ({}, range(22)),
        ({"num_images": 5}, range(5)),
        ({"protocol": skipping}, range(1, 22)),
        ({"protocol": skipping, "num_images": 5}, range(1, 6)),
    ):
        assert check_settings(run, images=images, **options) == expected
    with pytest.raises(InputError, match=r"num_images must lie in 1..21.* got 22"):
        check_settings(run, images=images, protocol=skipping, num_images=22)


def test_wrong_numbers_of_images_are_named(run, tmp_path):
    with pytest.raises(InputError, match=r"num_images must lie in 1..22.* got 23"):
        score(run, tmp_path, num_images=23)
    with pytest.raises(InputError, match="at least 5 images, got 3"):
        score(run, tmp_path, num_images=3)
    with pytest.raises(InputError, match="batch_size must be a positive multiple"):
        score(run, tmp_path, batch_size=6)
    assert not list(tmp_path.iterdir())
