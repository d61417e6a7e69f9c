"""sample.py as users run it."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from tests.programs.running import SAMPLE, SAMPLE_BOTH, check_failure, run, run_failing


def test_it_writes_a_grid_arrays_a_strip_and_an_animation(folder):
    done = run(
        f"{SAMPLE} --sampler=alg1 --num_images=3 --out=out --arrays --trajectory --gif",
        folder,
    )
    assert done.returncode == 0, done.stderr
    written = done.stdout.splitlines()
    assert [pathlib.Path(path).suffix for path in written] == [
        ".png",
        ".npz",
        ".png",
        ".gif",
    ]
    with np.load(folder / written[1]) as arrays:
        assert {name: arrays[name].shape for name in arrays.files} == dict.fromkeys(
            ("clean", "degraded", "alg1"), (3, 16, 16, 1)
        )
    with Image.open(folder / written[3]) as gif:
        assert gif.n_frames == 21
    done = run(f"{SAMPLE} --sampler=direct", folder)
    assert done.returncode == 0, done.stderr
    assert (folder / done.stdout.splitlines()[-1]).is_file()


def test_batches_on_several_devices_give_the_same_images(folder):
    command = f"{SAMPLE} --sampler=heun --steps=3 --spacing=change --start=12"
    command += " --num_images=10 --arrays"
    arrays = []
    for devices, options in ((1, "--out=one"), (4, "--batch_size=2 --out=four")):
        done = run(f"{command} {options}", folder, devices)
        assert done.returncode == 0, done.stderr
        saying, *scores = done.stderr.splitlines()  # No progress bar in a file.
        assert saying == "restoring: 10 images"
        assert [line.split()[:2] for line in scores] == [
            ["degraded", "RMSE"],
            ["restored", "RMSE"],
        ]
        path = done.stdout.split()[1]
        assert pathlib.Path(path).name.startswith(
            "heun_3_by_change_from_12_10_images_step_"
        )
        arrays.append(dict(np.load(folder / path)))
    one, four = arrays
    assert one["heun"].shape == (10, 16, 16, 1)
    for name in one:
        np.testing.assert_allclose(one[name], four[name], atol=1e-5)
    done = run(f"{SAMPLE} --steps=3 --spacing=log --gif --out=log", folder)
    assert done.returncode == 0, done.stderr
    with Image.open(folder / done.stdout.splitlines()[1]) as gif:
        assert gif.n_frames == 4


def test_it_generates_the_same_images_on_several_devices(folder):
    command = f"{SAMPLE_BOTH} --generate=5 --label=2 --endpoint=estimated --arrays"
    arrays = []
    for devices, options in ((1, "--out=g1 --files --gif"), (4, "--batch_size=2")):
        done = run(f"{command} {options}", folder, devices)
        assert done.returncode == 0, done.stderr
        path = done.stdout.split()[1]
        arrays.append(np.load(folder / path)["images"].astype(int))
    assert arrays[0].shape == (5, 16, 16, 1)
    assert np.abs(arrays[0] - arrays[1]).max() <= 1
    assert "both/generated/alg2_estimated_label_2_5_images_step_" in path
    with Image.open(next((folder / "g1").glob("*.gif"))) as gif:
        assert gif.n_frames == 5


def test_labels_and_endpoints_change_the_restored_images(folder):
    found = {}
    for options in ("", "--endpoint=estimated", "--label=3 --guidance=2.5"):
        command = f"{SAMPLE_BOTH} {options} --num_images=3 --arrays --steps=2"
        done = run(f"{command} --spacing=change", folder)
        assert done.returncode == 0, done.stderr
        path = done.stdout.splitlines()[1]
        with np.load(folder / path) as arrays:
            found[path.removeprefix("both/samples/")] = arrays["alg2"]
    assert list(found) == [
        "alg2_2_by_change_3_images_step_00000001.npz",
        "alg2_2_by_change_estimated_3_images_step_00000001.npz",
        "alg2_2_by_change_label_3_guidance_2.5_3_images_step_00000001.npz",
    ]
    plain, *others = found.values()
    for other in others:
        assert np.isfinite(other).all() and np.abs(other - plain).max() > 1e-5


def test_photographs_are_restored_beside_the_originals(folder):
    (folder / "album").mkdir()
    for name, size in (("a.jpg", (40, 20)), ("b.png", (16, 16))):
        Image.new("RGB", size, "teal").save(folder / "album" / name)
    done = run(f"{SAMPLE} --photo=album --start=3 --steps=2", folder)
    assert done.returncode == 0, done.stderr
    written = ["album/a_restored.png", "album/b_restored.png"]
    assert done.stdout.split() == written
    with Image.open(folder / written[0]) as restored:
        assert restored.size == (40, 20) and restored.mode == "RGB"
    (folder / "album" / "c.png").write_text("no image")
    command = f"{SAMPLE} --photo=album --photo=album/a.jpg --degrade --sampler=direct"
    done = run(f"{command} --out=results", folder)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    for name in ("a.jpg", "b.png"):
        assert lines.pop(0).startswith(f"album/{name}: degraded RMSE ")
        assert [lines.pop(0), lines.pop(0)] == [
            f"results/{name[0]}_{kind}.png" for kind in ("degraded", "restored")
        ]
    assert len(done.stderr.splitlines()) == 3
    reason = "restoring: 3 photographs\n'album/c.png' cannot be read ("
    assert done.stderr.startswith(reason)
    assert "error: 1 of 3 photographs could not be restored" in done.stderr


BAD = {
    "sample.py": "--workdir is missing",
    "sample.py --workdir=nowhere": "no run folder 'nowhere'",
    "sample.py --workdir=empty_run": "'empty_run' has no checkpoint yet",
    f"{SAMPLE} --num_images=298": "--num_images must be at most 297, got 298",
    f"{SAMPLE} --checkpoint=5": "no checkpoint of step 5",
    f"{SAMPLE} --checkpoint=new": "--checkpoint must be latest, best or the",
    f"{SAMPLE} --sampler=alg3": "--sampler must be one of direct, alg1, alg2",
    f"{SAMPLE} --sampler=direct --gif": "no trajectory; leave --gif out",
    f"{SAMPLE} --sampler=direct --steps=2": "leave --steps out",
    f"{SAMPLE} --sampler=ddim": "sampler ddim needs a model trained on gaussian_noise",
    f"{SAMPLE} --sampler=direct --endpoint=fixed": "--endpoint has no effect with",
    f"{SAMPLE} --out=shape.npz/out": "cannot write to shape.npz",
    f"{SAMPLE} --out=shape.npz": "--out must be a folder, but 'shape.npz' is a file",
    f"{SAMPLE} --endpoint=estimated": "degradation is a Separable",
    f"{SAMPLE} --steps=21": "--steps must be at most 20, got 21",
    f"{SAMPLE} --label=3": "--label needs a conditional model",
    f"{SAMPLE} --guidance=nan": "--guidance must be a finite number",
    f"{SAMPLE} --label=1 --guidance=0": "--guidance 0 ignores labels; leave --label",
    f"{SAMPLE_BOTH} --label=10": "own or a class in 0..9; got '10'",
    f"{SAMPLE_BOTH} --sampler=ddim": "needs a model trained on gaussian_noise",
    f"{SAMPLE} --start=21": "--start must lie in 1..20",
    f"{SAMPLE} --start=5 --steps=6": "--steps must be at most 5, got 6",
    f"{SAMPLE} --spacing=log": "--spacing needs a number of steps; set --steps",
    f"{SAMPLE} --eta=0.5": "--eta needs the sampler ddim",
    f"{SAMPLE} --start=last": "it must be a step, 0 for the last one, or auto",
    f"{SAMPLE} --start=auto": "--start=auto needs --photo",
    f"{SAMPLE} --degrade": "--degrade needs --photo",
    f"{SAMPLE} --mask=m.png": "--mask needs --photo",
    f"{SAMPLE} --noise=0.1": "--noise needs --photo",
    f"{SAMPLE} --enlarge": "--enlarge needs --photo",
    f"{SAMPLE} --photo=nowhere.png": "no file 'nowhere.png'; name an image",
    f"{SAMPLE} --photo=empty_run": "no image files in empty_run",
    f"{SAMPLE} --photo=shape.npz": "'shape.npz' cannot be read",
    f"{SAMPLE} --photo=x.png --gif": "--gif has no effect with --photo",
    f"{SAMPLE} --photo=x.png --start=21": "--start must lie in 1..20, or be 0 for 20",
    f"{SAMPLE} --photo=x.png --start=auto": "has no estimate of the severity; fit one",
    f"{SAMPLE} --photo=x.png --sampler=ddim": "needs a model trained on gaussian_noise",
    f"{SAMPLE} --photo=x.png --steps=21": "--steps must lie in 1..20, got 21",
}


@pytest.fixture(scope="module")
def answers(folder):
    """By bad command, the exit status and the text written to stderr."""
    return run_failing(BAD, folder)


@pytest.mark.parametrize("command", BAD)
def test_bad_input_ends_in_one_clear_line_and_status_1(answers, command):
    check_failure(command, answers[command], BAD[command])
