"""Tables and histograms of an evaluation."""

import numpy as np
import pytest
from PIL import Image

from colddiff_jax.evaluation.paper_tables import RESTORATION
from colddiff_jax.evaluation.tables import generation_table, histograms, table
from colddiff_jax.restoration.samplers import title

PIXELS = {
    "degraded": {"rmse": 0.2868, "rmse_per_image": 0.28, "psnr": 11.0, "ssim": 0.0141},
    "alg2:5": {"rmse": 0.15, "rmse_per_image": 0.14, "psnr": 16.5, "ssim": 0.7},
}
DISTANCE = {
    "frechet": 123.456,
    "kernel": 0.12345,
    "kernel_std": 0.0123,
    "precision": 0.5,
    "recall": 0.25,
}


def test_titles_spell_out_algorithms_and_steps():
    names = ("degraded", "alg1", "alg2:5")
    assert [title(name) for name in names] == [
        "degraded",
        "Algorithm 1",
        "Algorithm 2, 5 steps",
    ]


def test_a_table_has_the_papers_numbers_next_to_ours():
    paper = {
        "degraded": RESTORATION["inpainting", "mnist"]["degraded"],
        "direct": RESTORATION["inpainting", "mnist"]["direct"],
    }
    text = table(PIXELS, {}, fid=[], paper=paper)
    assert text.splitlines() == [
        "| | RMSE | PSNR | SSIM | paper: FID | SSIM | RMSE |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| degraded | 0.287 | 11.00 | 0.014 | 108.48 ? | 0.49 ? | 0.262 ? |",
        "| Algorithm 2, 5 steps | 0.150 | 16.50 | 0.700 | | | |",
        "",
        "? from memory, not verified",
    ]


def test_only_inception_is_called_fid():
    by_sampler = dict.fromkeys(PIXELS, DISTANCE)
    distances = {"Inception 2015": by_sampler, "classifier": by_sampler}
    head, _, row, _ = table(
        PIXELS, distances, fid=["Inception 2015"], paper={}
    ).splitlines()
    assert head.count("FID") == head.count("KID") == 1
    assert "| FID | KID | precision | recall | Frechet, classifier | kernel |" in head
    assert row.count("| 123.5 | 0.123 ± 0.01 | 0.500 | 0.250 ") == 2


def test_histograms_are_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    per_image = {
        f"{metric}/{sampler}": rng.uniform(size=50)
        for metric in ("mse", "ssim")
        for sampler in ("degraded", "alg2")
    }
    histograms(str(tmp_path / "h.png"), per_image, ["degraded", "alg2"])
    with Image.open(tmp_path / "h.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(10**6)}
    # Matplotlib's first two colours, for the two samplers.
    assert {(31, 119, 180), (255, 127, 14)} <= colours


def test_a_table_of_generated_images_has_distances_and_copies():
    rows = ("alg2:5", "test images")
    distances = {"inception": dict.fromkeys(rows, DISTANCE)}
    copies = {"alg2:5": {"share": 0.0123, "rmse": 0.12345}}
    copies["test images"] = {"share": 0.01, "rmse": 0.1}
    head, _, first, second = generation_table(
        distances, copies, fid=["inception"]
    ).splitlines()
    assert head == "| | FID | KID | precision | recall | nearest, RMSE | copies, % |"
    scores = "123.5 | 0.123 ± 0.01 | 0.500 | 0.250"
    assert first == f"| Algorithm 2, 5 steps | {scores} | 0.1235 | 1.2 |"
    assert second == f"| test images | {scores} | 0.1000 | 1.0 |"


def test_spreads_over_seeds_replace_those_of_the_kernel_distance():
    spread = {"frechet": 2.34, "kernel": 0.0, "precision": 0.03, "recall": 0.0}
    spreads = {
        "distances": {"colours": {"alg2": spread}},
        "copies": {"alg2": {"share": 0.002, "rmse": 0.0004}},
    }
    copies = {"alg2": {"share": 0.0123, "rmse": 0.12345}}
    distances = {"colours": {"alg2": DISTANCE}}
    *_, row = generation_table(distances, copies, fid=[], spreads=spreads).splitlines()
    assert row == (
        "| Algorithm 2 | 123.5 ± 2 | 0.123 | 0.500 ± 0.03 | 0.250 | 0.1235 ± 0.0004 | "
        "1.2 ± 0.2 |"
    )
