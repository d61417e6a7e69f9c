"""The README and the documentation show what was measured, and all configurations.

That their code runs is tested in tests/docs.
"""

import json
import re

import pytest

from benchmarks.restoration_page import paper_rows
from colddiff_jax.evaluation.tables import generation_table, table
from colddiff_jax.training.config_files import read_config, shipped_configs


def test_every_configuration_is_listed(pytestconfig):
    text = (pytestconfig.rootpath / "README.md").read_text()
    for name, path in shipped_configs().items():
        (row,) = re.findall(rf"^\| `configs/{name}.py` \|.*$", text, re.MULTILINE)
        for variant in read_config(path).variants:
            assert f"`:{variant}`" in row


def test_the_table_of_costs_is_the_committed_result(pytestconfig):
    root = pytestconfig.rootpath
    page = (root / "docs" / "degradations.md").read_text()
    results = json.loads(
        (root / "benchmarks" / "results" / "degradation_cost.json").read_text()
    )
    for name, row in results["degradations"].items():
        single = row.get("T single steps, milliseconds", "")
        cells = [name, *row["milliseconds"].values(), single]
        assert f"| {' | '.join(map(str, cells))} |".replace(
            "|  |", "| |"
        ) in page.replace("|  |", "| |")
    ratios = results["200 convolutions over gaussian_blur at random t"]
    assert all(f"{ratio:,} times" in page for ratio in ratios.values())


def test_the_speeds_of_evaluation_are_the_committed_results(pytestconfig):
    root = pytestconfig.rootpath
    page = (root / "docs" / "evaluation.md").read_text().replace("\n", " ")
    for name, other in (("feature", "pytorch-fid"), ("evaluation", "PyTorch")):
        path = root / "benchmarks" / "results" / f"{name}_speed.json"
        speeds = json.loads(path.read_text())["images per second"]
        theirs = max(speed for who, speed in speeds.items() if who != "ours")
        assert f"{speeds['ours']}, {other} {theirs}" in page


def test_the_table_of_mnist_is_the_committed_result(pytestconfig):
    root = pytestconfig.rootpath
    page = (root / "README.md").read_text()
    path = root / "benchmarks" / "results" / "mnist_blur_cpu_l2.json"
    result = json.loads(path.read_text())
    assert (
        f"    {result['command']}\n" in page and f"    {result['training']}\n" in page
    )
    paper = paper_rows(result)
    whole = table(result["pixels"], result["distances"], fid=[], paper=paper)
    dropped = [6, 7, 8]  # The columns after the Frechet distance.
    for line in whole.splitlines()[2:]:
        cells = [c for i, c in enumerate(line.split("|")) if i not in dropped]
        assert "|".join(cells) in page


RESTORED = ["cifar_blur", "cifar_mask", "cifar_pixelate"]
RESTORED += ["mnist_blur", "mnist_mask", "mnist_pixelate"]


@pytest.mark.parametrize("name", RESTORED)
def test_the_tables_of_restored_images_are_the_committed_results(name, pytestconfig):
    root = pytestconfig.rootpath
    folder = root / "benchmarks" / "results" / "restoration"
    assert name in {path.stem for path in folder.glob("*.json")}
    result = json.loads((folder / f"{name}.json").read_text())
    page = (root / "docs" / "results.md").read_text()
    assert f"    {result['training']}\n    {result['command']}\n" in page
    paper = paper_rows(result)
    assert table(result["pixels"], result["distances"], fid=[], paper=paper) in page
    (distances,) = result["distances"].values()
    cells = [
        f"{pixels['rmse']:.3f} / {pixels['ssim']:.3f} / {own['frechet']:.4g}"
        for pixels, own in (
            (result["pixels"][sampler], distances[sampler])
            for sampler in ("direct", "alg2", "alg2+consistent:5")
        )
    ]
    degraded = f"{result['pixels']['degraded']['rmse']:.3f}"
    row = f"| {' | '.join([degraded, *cells])} |"
    assert row in page
    # Its network draws black frames, as the README says.
    shown = name != "cifar_pixelate"
    assert (row in (root / "README.md").read_text()) == shown


@pytest.mark.parametrize("name", ["consistent", "l2"])
def test_the_tables_of_other_trainings_are_the_committed_results(name, pytestconfig):
    root = pytestconfig.rootpath
    path = root / "benchmarks" / "results" / f"mnist_blur_cpu_{name}.json"
    result = json.loads(path.read_text())
    page = (root / "docs" / "results.md").read_text()
    assert f"    {result['training']}\n    {result['command']}\n" in page
    paper = paper_rows(result)
    assert table(result["pixels"], result["distances"], fid=[], paper=paper) in page


def test_the_speeds_on_a_gpu_are_the_committed_results(pytestconfig):
    root = pytestconfig.rootpath
    page = (root / "docs" / "performance.md").read_text()
    path = root / "benchmarks" / "results" / "gpu" / "on_gpu.json"
    result = json.loads(path.read_text())
    step = result["cifar"]["bfloat16"]
    for job, share in (("ours, 1 per call", "26 %"), ("ours, 8 per call", "31 %")):
        rate = step["rates"][job]
        assert f"{100 * rate['share of the measured peak']:.0f} %" == share
        assert f"{step['8 steps without waiting']['milliseconds'][job]:.1f} ms" in page
        assert f"{rate['images/s']:,.0f} images/s | {share} |" in page
    walk = result["sampling"]["Algorithm 2"]
    assert f"| {walk['images/s']:.0f} images/s | 46 % |" in page
    assert f"{walk['images/s']:.0f} CIFAR-10 images" in (root / "README.md").read_text()


def photo_rows(root):
    """Returns the rows of the table of photographs, from the committed results."""

    def cell(found):
        return f"{found['PSNR']:.2f} / {found['SSIM']:.3f}"

    for job in ("deblur", "upscale", "inpaint", "unjpeg"):
        path = root / "benchmarks" / "results" / "photo_quality" / f"{job}.json"
        for name, row in json.loads(path.read_text())["rows"].items():
            classical = {key: row[key] for key in CLASSICAL if key in row}
            best = max(classical, key=lambda key: classical[key]["PSNR"], default="")
            theirs = f"{best} {cell(row[best])}" if best else ""
            ours = [cell(row[key]) for key in ("direct", "Algorithm 2")]
            yield " | ".join([name, cell(row["degraded"]), theirs, *ours])


CLASSICAL = ("Wiener", "Richardson-Lucy", "Bicubic", "Lanczos", "Biharmonic")


def test_the_table_of_photographs_is_the_committed_result(pytestconfig):
    root = pytestconfig.rootpath
    page = (root / "docs" / "photos.md").read_text()
    rows = list(photo_rows(root))
    assert len(rows) == 11
    for row in rows:
        assert f"| {row} |" in page
    readme = (root / "README.md").read_text()
    assert sum(f"| {row} |" in readme for row in rows) == 4


@pytest.mark.parametrize(
    ("name", "count"), [("mnist", 12), ("cifar", 12), ("fashion", 5)]
)
def test_the_table_of_generated_images_is_the_committed_result(
    name, count, pytestconfig
):
    root = pytestconfig.rootpath
    page = (root / "docs" / "generation.md").read_text()
    path = root / "benchmarks" / "results" / "generation" / f"{name}.json"
    result = json.loads(path.read_text())
    assert f"    {result['command']}\n" in page
    table = generation_table(result["distances"], result["copies"], fid=[])
    assert table in page
    assert len(result["rows"]) == count


@pytest.mark.parametrize("network", ["large", "small"])
def test_the_table_of_throughput_is_the_committed_result(network, pytestconfig):
    root = pytestconfig.rootpath
    page = (root / "docs" / "training.md").read_text()
    result, waiting = (
        json.loads((root / "benchmarks" / "results" / f"{name}.json").read_text())
        for name in (f"training_throughput_{network}", f"waiting_for_data_{network}")
    )
    for command in (result["command"], waiting["command"]):
        assert command in page
    for row, other in zip(result["rows"], waiting["rows"], strict=True):
        for name in ("network", "data", "steps_per_call", "batch_size"):
            assert row[name] == other[name]
        cells = [row["network"], row["data"], row["steps_per_call"], row["batch_size"]]
        cells += [row["images/s, bare"], row["images/s, loop"]]
        cells += [row["loop / bare"], f"{other['waiting for data']:.1%}"]
        assert f"| {' | '.join(map(str, cells))} |" in page
        if memory := row.get("memory, bytes"):
            assert memory["the state is updated in place"]


def test_the_table_of_training_levers_is_the_committed_result(pytestconfig):
    root = pytestconfig.rootpath
    page = (root / "docs" / "training.md").read_text()
    results = root / "benchmarks" / "results" / "training_levers"
    runs = json.loads((results / "mnist_blur_cpu.json").read_text())["runs"]
    assert len(runs) == 12
    for lever in {name.rpartition(", seed ")[0] for name in runs}:
        both = [runs[f"{lever}, seed {seed}"] for seed in range(2)]
        cells = [lever, str(both[0]["num_steps"])]
        for method in ("direct", "alg2"):
            for score in ("rmse", "ssim"):
                one, other = (run[score][method] for run in both)
                mean, most = (one + other) / 2, abs(one - other) / 2
                cells.append(f"{mean:.3f} ± {most:.3f}")
        assert f"| {' | '.join(cells)} |" in page


def result(root, name):
    return json.loads((root / "benchmarks" / "results" / f"{name}.json").read_text())


def test_the_speeds_of_networks_are_the_committed_results(pytestconfig):
    root = pytestconfig.rootpath
    page = (root / "docs" / "performance.md").read_text()
    readme = (root / "README.md").read_text().replace("\n", " ")
    for name, row in result(root, "network_speed")["networks"].items():
        for kind in ("forward", "step"):
            seconds = row[kind]["seconds"]
            cells = [name, kind, seconds["ours"], seconds["PyTorch, channels-last"]]
            cells += [seconds["PyTorch, contiguous"], row[kind]["ours over PyTorch"]]
            assert f"| {' | '.join(map(str, cells))} |" in page
        assert f"{row['step']['ours over PyTorch']} times" in readme
        ours, theirs = (
            profile.get("kinds", {})
            for profile in row["milliseconds of a step"].values()
        )
        assert ours.keys() == theirs.keys()
        for kind in ours:
            assert f"| {name} | {kind} | {ours[kind]} | {theirs[kind]} |" in page


def test_the_programs_compiled_for_tpus_are_the_committed_results(pytestconfig):
    root = pytestconfig.rootpath
    page = (root / "docs" / "performance.md").read_text()
    _, *parts = page.partition("XLA's compiler for TPUs")[2].split("\n### ")
    sections = {part.partition("\n")[0]: part for part in parts}
    for program, row in result(root, "tpu_compile")["programs"].items():
        kind, _, name = program.partition(": ")
        if "error" in row:
            assert f"\n* {name} did not compile: " in sections[kind]
            continue
        title = f"{name} (T = {row['rounds']})" if row["rounds"] > 1 else name
        cells = [title, f"{row['GFLOP'] / 1e3:.1f}", f"{row['GB accessed']:.0f}"]
        cells += [f"{row['FLOP per byte']:.0f}"]
        cells += [f"{value:.0f}" for value in row["milliseconds"].values()]
        memory = row["share of the chip's memory"]
        cells += [f"{memory:.1%}"]
        assert f"| {' | '.join(cells)} |" in sections[kind]


def test_the_other_tables_of_performance_are_the_committed_results(pytestconfig):
    root = pytestconfig.rootpath
    page = (root / "docs" / "performance.md").read_text()
    for name, row in result(root, "layer_speed")["layers"].items():
        faster = [row[kind]["times faster"] for kind in ("forward", "and gradients")]
        assert f"| {name} | {faster[0]} | {faster[1]} |" in page
    for part, found in result(root, "suite_short")["parts"].items():
        for work, row in found["rows"].items():
            for other, ratio in row.get("over ours", {}).items():
                if part == "stacking" and other != "stacked":
                    continue
                cells = [part, work, other, ratio["median"]]
                cells.append("{} to {}".format(*ratio["range"]))
                assert f"| {' | '.join(map(str, cells))} |" in page
    (row,) = result(root, "suite_devices")["parts"]["dividing"]["rows"].values()
    for number, seconds in row["seconds"].items():
        cells = [number, seconds, row["temporary MB"][number]]
        assert f"| {' | '.join(map(str, cells))} |" in page
