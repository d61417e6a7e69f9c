"""Pages of the documentation show the results that are committed."""

import bisect
import json
import re

import jax
import jax.numpy as jnp

import colddiff_jax as cd


def test_the_tables_of_few_steps_are_the_committed_results(pytestconfig):
    root = pytestconfig.rootpath
    page = (root / "docs" / "few_steps.md").read_text()
    paths = sorted((root / "benchmarks" / "results" / "few_steps").glob("*.json"))
    assert [path.stem for path in paths] == re.findall(r"^## (\S+)$", page, re.M)
    *parts, distances = page.split("\n## ")[1:]
    for path, part in zip(paths, parts, strict=True):
        for name, entries in json.loads(path.read_text())["samplers"].items():
            (row,) = re.findall(rf"^\| {re.escape(name)} \| (.*) \|$", part, re.M)
            (head,) = re.findall(r"^\| \| (.*) \|$", part, re.M)
            columns = [int(number) for number in head.split("|")]
            cells = dict(zip(columns, row.split("|"), strict=True))
            assert {c: cell.strip() for c, cell in cells.items() if cell.strip()} == {
                e["column"]: f"{e['rmse']:.3f} / {e['ssim']:.3f} / {e['sharpness']:.2f}"
                for e in entries
            }
    for path in (root / "benchmarks" / "results" / "restoration").glob("*.json"):
        if path.stem.endswith("-cpu"):  # On docs/more_results.md.
            continue
        (found,) = json.loads(path.read_text())["distances"].values()
        names = ["direct", *(f"alg2:{n}" for n in (2, 3, 5, 10)), "alg2"]
        cells = [f"{found[name]['frechet']:.4g}" for name in names]
        assert f"| {path.stem} | {' | '.join(cells)} |" in distances


def test_the_scores_of_pairs_are_the_committed_results(pytestconfig):
    root = pytestconfig.rootpath
    page = (root / "docs" / "training.md").read_text()
    path = root / "benchmarks" / "results" / "photo_pairs.json"
    result = json.loads(path.read_text())
    for name, title in (("cbsd68", "CBSD68"), ("free/misc", "seven others")):
        row, count = result[name], result[name]["photographs"]
        cells = [
            f"{row[kind]['PSNR']:.2f} / {row[kind]['SSIM']:.3f}"
            for kind in ("degraded", "direct")
        ]
        better = f"{row['direct']['better PSNR']} of {count}"
        assert f"| {title} | {' | '.join(cells)} | {better} |" in page


def test_the_comparisons_of_the_family_are_the_committed_results(pytestconfig):
    root = pytestconfig.rootpath
    page = (root / "docs" / "family.md").read_text()
    results = root / "benchmarks" / "results" / "family"
    generation = json.loads((results / "generation.json").read_text())
    for name, method in generation["methods"].items():
        found = method["frechet by calls"]
        cells = [
            f"{found[n]:.3g}" if n in found else "" for n in ("2", "5", "10", "20")
        ]
        last = list(found)[-1]
        cells.append(f"{found[last]:.3g}" + ("" if last == "50" else f" ({last})"))
        assert f"| {name} | {method['T']} | {' | '.join(cells)} |" in page
    restoration = json.loads((results / "restoration.json").read_text())
    columns = [1, 2, 5, 10, 20, 100]
    for name, method in restoration["methods"].items():
        found = method["by calls"]
        cells = [""] * 6
        for n, scores in found.items():
            column, exact = bisect.bisect_left(columns, int(n)), int(n) in columns
            cells[column] = (
                f"{scores['PSNR']:.2f} / {scores['SSIM']:.3f} / "
                f"{scores['sharpness']:.2f}" + (f" ({n} calls)" if not exact else "")
            )
        assert f"| {name} | {' | '.join(cells)} |" in page


def test_the_table_of_sampling_levers_is_the_committed_results(pytestconfig):
    root = pytestconfig.rootpath
    page = (root / "docs" / "results.md").read_text()
    runs = ("mnist_blur-cpu-l2", "mnist_blur-cpu-l2-seed1", "mnist_mask-cpu")
    results = [
        json.loads(
            (root / f"benchmarks/results/sampling_levers/{run}.json").read_text()
        )
        for run in runs
    ]
    assert len({result["features"] for result in results}) == 1
    assert len(results[0]["variants"]) == 15
    for name in results[0]["variants"]:
        cells = [
            f"{found['rmse']:.3f} / {found['ssim']:.3f} / {found['frechet']:.4g}"
            for found in (result["variants"][name] for result in results)
        ]
        assert f"| {name} | {' | '.join(cells)} |" in page


def test_the_table_of_two_seeds_is_the_committed_results(pytestconfig):
    root = pytestconfig.rootpath
    page = (root / "docs" / "results.md").read_text().split("### Another seed")[1]
    both = [
        json.loads((root / "benchmarks" / "results" / f"{name}.json").read_text())
        for name in ("mnist_blur_cpu_l2", "mnist_blur_cpu_l2_seed1")
    ]
    assert [found["settings"]["config"]["seed"] for found in both] == [0, 1]
    names = {
        "direct": "direct",
        "Algorithm 1": "alg1",
        "Algorithm 2": "alg2",
        "Algorithm 2, consistent, 5 steps": "alg2+consistent:5",
    } | {f"Algorithm 2, {n} steps": f"alg2:{n}" for n in (2, 3, 5, 10)}
    for title, name in names.items():
        pixels = [found["pixels"][name] for found in both]
        (one,), (other,) = (found["distances"].values() for found in both)
        cells = [
            " / ".join(f"{scores['rmse']:.3f}" for scores in pixels),
            " / ".join(f"{scores['ssim']:.3f}" for scores in pixels),
            f"{one[name]['frechet']:.4g} / {other[name]['frechet']:.4g}",
        ]
        assert f"| {title} | {' | '.join(cells)} |" in page


def test_the_table_of_walk_levers_is_the_committed_result(pytestconfig):
    root = pytestconfig.rootpath
    path = root / "benchmarks" / "results" / "walk_levers" / "mnist_blur_cpu.json"
    page = (root / "docs" / "results.md").read_text()
    runs = json.loads(path.read_text())["runs"]
    for lever in ("plain", "l2", "perturbed", "late rollouts"):
        both = [runs[f"{lever}, seed {seed}"] for seed in (0, 1)]
        cells = [str(both[0]["num_steps"])]
        for sampler in ("direct", "alg2", "alg2+consistent:5"):
            for score, digits in (("rmse", 3), ("frechet", 1)):
                one, other = (run["scores"][sampler][score] for run in both)
                half = abs(one - other) / 2
                cells.append(f"{(one + other) / 2:.{digits}f} ± {half:.{digits}f}")
        assert f"| {lever} | {' | '.join(cells)} |" in page


def test_the_masks_of_mnist_hide_as_many_pixels_as_the_page_says(pytestconfig):
    mask = cd.gaussian_mask(
        32, cd.schedules.linear(50, start=1.1, increment=0.1), center="random"
    )
    shape = (4096, 32, 32, 1)
    left = mask.bind(jax.random.key(0), shape)(jnp.ones(shape), 50)
    counts = [int((left < c).sum(axis=(1, 2, 3)).mean().round()) for c in (1e-4, 1e-5)]
    page = (pytestconfig.rootpath / "docs" / "results.md").read_text()
    text = f"{counts[0]} of 1,024 pixels less than 0.0001 of their brightness, on\n"
    assert text in page and f" {counts[1]} less than 0.00001." in page
