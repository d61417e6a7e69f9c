"""The files that an evaluation writes."""

import json

import numpy as np
import pytest
from PIL import Image

from colddiff_jax.evaluation.evaluate import Evaluation
from colddiff_jax.evaluation.output import results, write_references, write_results
from colddiff_jax.evaluation.paper_tables import data_set_name, rows_for
from colddiff_jax.metrics.reference import load_reference
from configs import mnist_blur
from tests.evaluation.models import NET, random_reference

SAMPLERS = ("degraded", "alg2")


@pytest.fixture
def evaluation():
    """Makes the evaluation of a seed, with random scores, as if of MNIST."""

    def make(seed, split="test", count=50, **settings):
        rng = np.random.default_rng(seed)
        data = {"source": "mnist", "split": split, "count": count}
        config = json.loads(json.dumps(mnist_blur.get_config().to_dict()))
        pictures = {
            name: rng.integers(0, 256, (2, 16, 16, 1), np.uint8)
            for name in ("clean", *SAMPLERS)
        }
        scores = {"rmse": 0.1, "rmse_per_image": 0.1, "psnr": 20.0, "ssim": 0.7}
        distances = {"frechet": 1.0, "kernel": 0.1, "kernel_std": 0.0}
        distances |= {"precision": 0.5, "recall": 0.5}
        return Evaluation(
            settings={"seed": seed, "step": 100, "data": data, "config": config}
            | {"faults": [], "samplers": ["alg2"], **settings},
            loss=rng.uniform(),
            pixels={
                name: {score: x * rng.uniform() for score, x in scores.items()}
                for name in SAMPLERS
            },
            distances={"colours": dict.fromkeys(SAMPLERS, distances)},
            per_image={
                f"{metric}/{name}": rng.uniform(size=count)
                for metric in ("mse", "ssim")
                for name in SAMPLERS
            },
            references={"colours": random_reference()},
            notes=["count is 20 here and 50 in the reference"],
            examples=dict.fromkeys(("best", "median", "worst"), pictures),
        )

    return make


def test_one_seed_has_its_scores_and_the_papers(evaluation):
    one = evaluation(0)
    config = one.settings["config"]
    found = results([one], rows_for(config, data_set_name(config)))
    assert json.loads(json.dumps(found)) == found
    assert found["settings"] == one.settings | {"seed": [0]}
    assert found["test_loss"] == one.loss and found["pixels"] == one.pixels
    assert found["distances"] == one.distances and found["notes"] == one.notes
    assert found["paper"]["alg2"]["rmse"] == {"value": 0.154, "verified": True}
    assert "by_seed" not in found


def test_several_seeds_have_means_and_standard_deviations(evaluation):
    both = evaluation(0), evaluation(5)
    found = results(both, {})
    assert found["settings"]["seed"] == [0, 5] and found["paper"] == {}
    values = [one.pixels["alg2"]["rmse"] for one in both]
    assert found["pixels"]["alg2"]["rmse"] == pytest.approx(np.mean(values))
    spread = found["standard_deviations"]["pixels"]["alg2"]["rmse"]
    assert spread == pytest.approx(np.std(values))
    assert found["by_seed"]["5"]["pixels"] == both[1].pixels
    assert found["test_loss"] == pytest.approx(np.mean([one.loss for one in both]))


def test_numbers_a_table_and_pictures_are_written(evaluation, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    both = evaluation(0), evaluation(5)
    options = {"seconds": 1.23, "command": "python evaluate.py"}
    content = write_results(str(tmp_path), both, [NET], **options)
    assert json.loads((tmp_path / "results.json").read_text()) == content
    assert content["seconds"] == 1.2 and content["command"] == "python evaluate.py"
    page = (tmp_path / "results.md").read_text()
    assert page in capsys.readouterr().out
    heading, _, head, *_ = page.splitlines()
    assert heading == ("50 images (mnist, test split), step 100, means over 2 seeds")
    assert "| Frechet, colours | kernel |" in head and "| paper: FID |" in head
    assert "Note: count is 20 here and 50 in the reference.\n" in page
    names = {"results.json", "results.md", "histograms.png"}
    names |= {"best.png", "median.png", "worst.png"}
    assert {path.name for path in tmp_path.iterdir()} == names
    with Image.open(tmp_path / "best.png") as picture:
        assert picture.height > 3 * 16


def test_few_images_have_no_histograms_not_even_earlier_ones(
    evaluation, tmp_path, capsys
):
    (tmp_path / "histograms.png").write_bytes(b"those of an earlier call")
    write_results(str(tmp_path), [evaluation(0, count=5)], [NET], seconds=1)
    assert not (tmp_path / "histograms.png").exists()
    message = "no histograms: they need at least 50 images, and these are 5\n"
    assert message in capsys.readouterr().out


@pytest.mark.parametrize("split", ["train", ""])
def test_only_test_images_are_compared_with_the_paper(evaluation, tmp_path, split):
    faults = ["values_not_clipped", "dropout_on"]
    one = evaluation(0, split, faults=faults)
    content = write_results(str(tmp_path), [one], [NET], seconds=1)
    assert content["paper"] == {}
    heading, _, head, *_ = (tmp_path / "results.md").read_text().splitlines()
    assert heading == (
        f"50 images (mnist{', train split' if split else ''}), step 100, with the "
        "faults values_not_clipped, dropout_on"
    )
    assert "paper" not in head


def test_references_are_saved_under_their_data_and_network(evaluation, tmp_path):
    folder = str(tmp_path / "references")
    references = evaluation(0).references
    write_references(folder, references)
    (path,) = (tmp_path / "references").iterdir()
    assert path.name == "mnist_test_colours.npz"
    loaded = load_reference(str(path))
    assert loaded.data == references["colours"].data
    np.testing.assert_array_equal(loaded.features, references["colours"].features)
