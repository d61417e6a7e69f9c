"""Sampling with a trained model: options, files and errors."""

import os

import numpy as np
import pytest
from PIL import Image

import colddiff_jax as cd
from colddiff_jax import InputError
from colddiff_jax.restoration.export import export_model
from colddiff_jax.restoration.loading import load_run
from colddiff_jax.restoration.pixel_scores import pixel_scores
from colddiff_jax.restoration.sample_run import SampleOptions, sample_run
from configs import digits_blur
from tests.restoration.runs import npz_config, save_images, save_run


@pytest.fixture(scope="module")
def blur(tmp_path_factory):
    """An untrained, unconditional model of a blur of 6 steps."""
    folder = tmp_path_factory.mktemp("blur")
    save_images(folder / "images.npz")
    config = npz_config(folder / "images.npz")
    config.degradation.stds.num_steps = 6
    save_run(config, folder / "run", {3: 0.1})
    return str(folder / "run")


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """An untrained, conditional model of Gaussian noise of 4 steps, on digits."""
    config = digits_blur.get_config("smoke")
    config.model.update({"channel_multipliers": (1,), "num_classes": 10})
    with config.unlocked():
        config.degradation = {
            "name": "gaussian_noise",
            "alphas_cumprod": {"name": "cosine", "num_steps": 4},
        }
    workdir = tmp_path_factory.mktemp("conditional") / "run"
    save_run(config, workdir, {3: 0.1})
    return str(workdir)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (SampleOptions("ihd"), "ihd"),
        (SampleOptions("heun", steps=5), "heun_5_by_stride"),
        (SampleOptions("alg2", steps=5, spacing="log"), "alg2_5_by_log"),
        (SampleOptions("alg2", endpoint="fixed", label="own", guidance=1.0), "alg2"),
        (SampleOptions("alg2", endpoint="estimated", start=7), "alg2_estimated_from_7"),
        (SampleOptions("alg2", label=3, guidance=2.5), "alg2_label_3_guidance_2.5"),
        (SampleOptions("ddim", label="0", eta=0.5), "ddim_label_0_eta_0.5"),
    ],
)
def test_files_are_named_after_the_options(options, name):
    assert options.file_name == name


def test_images_pictures_and_trajectories_are_written(blur, tmp_path, capsys):
    paths = sample_run(
        blur,
        SampleOptions(steps=3),
        out=str(tmp_path),
        num_images=5,
        batch_size=4,
        arrays=True,
        trajectory=True,
        gif=True,
    )
    stem = str(tmp_path / "alg2_3_by_stride_5_images_step_00000003")
    names = [f"{stem}{end}" for end in (".png", ".npz", "_trajectory.png", ".gif")]
    printed = capsys.readouterr()
    assert paths == names == printed.out.split()
    with np.load(paths[1]) as arrays:
        assert {name: arrays[name].shape for name in arrays.files} == dict.fromkeys(
            ("clean", "degraded", "alg2"), (5, 16, 16, 1)
        )
        clean, degraded, x_0 = (arrays[n] for n in ("clean", "degraded", "alg2"))
    restorer = load_run(blur)
    images = np.load(restorer.model.config["data"]["path"])["test_images"][:5]
    np.testing.assert_allclose(clean, cd.to_float(images), atol=1e-6)
    np.testing.assert_allclose(
        degraded, restorer.model.degrade(cd.to_float(images), 6), atol=1e-5
    )
    expected = cd.sample_alg2(
        restorer.restore_fn, restorer.model.degrade, degraded, timesteps=[6, 4, 2, 0]
    )
    np.testing.assert_allclose(x_0, expected.x_0, atol=1e-4)
    with Image.open(paths[3]) as gif:
        assert gif.n_frames == 4
    assert printed.err.splitlines()[1:] == [
        f"degraded {pixel_scores(degraded, clean)}",
        f"restored {pixel_scores(x_0, clean)}",
    ]


def test_nothing_is_overwritten(blur, tmp_path):
    def sample(**options):
        options = {"out": str(tmp_path), "num_images": 1, **options}
        return [
            os.path.basename(path)
            for path in sample_run(blur, SampleOptions("direct"), **options)
        ]

    stem = "direct_1_image_step_00000003"
    assert sample() == [f"{stem}.png"]
    before = (tmp_path / f"{stem}.png").read_bytes()
    assert sample(arrays=True) == [f"{stem}-2.png", f"{stem}-2.npz"]
    assert sample(seed=7) == ["direct_1_image_seed_7_step_00000003.png"]
    assert (tmp_path / f"{stem}.png").read_bytes() == before


def test_a_file_writes_next_to_itself(blur, tmp_path, monkeypatch):
    file = str(tmp_path / "model.safetensors")
    restorer = load_run(blur)
    export_model(restorer, file)
    # The file knows the name of its images, but not their folder.
    monkeypatch.chdir(os.path.dirname(restorer.model.config["data"]["path"]))
    (path,) = sample_run(file, SampleOptions("direct", start=2), num_images=1)
    assert path == str(
        tmp_path / "model" / "samples" / "direct_from_2_1_image_step_00000003.png"
    )
    assert os.path.isfile(path)


def test_labels_guidance_and_stochastic_samplers_change_the_images(
    conditional, tmp_path
):
    def restored(**options):
        paths = sample_run(
            conditional,
            SampleOptions(**options),
            out=str(tmp_path),
            num_images=3,
            arrays=True,
        )
        with np.load(paths[1]) as arrays:
            return arrays[options.get("sampler", "alg2")]

    own = restored()
    labels = cd.data.digits(labels=True).test_labels[:3]
    third = restored(label=str(labels[2]))
    np.testing.assert_allclose(third[2], own[2], atol=1e-6)
    assert np.abs(third[:2] - own[:2]).max() > 1e-6
    guided, estimated = restored(guidance=3.0), restored(endpoint="estimated")
    still, drawn = (restored(sampler="ddim", eta=eta) for eta in (None, 1.0))
    for x, y in ((guided, own), (estimated, own), (still, drawn)):
        assert np.isfinite(x).all() and np.abs(x - y).max() > 1e-6
    np.testing.assert_allclose(still, estimated, atol=1e-4)  # As eta is 0.


@pytest.mark.parametrize("spacing", ["log", "change"])
def test_spacings_are_measured_on_test_images(blur, tmp_path, spacing):
    options = SampleOptions(steps=2, spacing=spacing, start=5)
    (path,) = sample_run(blur, options, out=str(tmp_path), num_images=2)
    assert (
        os.path.basename(path)
        == f"alg2_2_by_{spacing}_from_5_2_images_step_00000003.png"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "alg3"}, "`sampler` must be among direct, .* got 'alg3'"),
        ({"sampler": "direct", "steps": 2}, "no trajectory; leave `steps` out"),
        ({"sampler": "direct", "endpoint": "fixed"}, "`endpoint` has no effect with"),
        ({"spacing": "log"}, "`spacing` needs a number of steps; set `steps`"),
        ({"eta": 0.5}, "`eta` needs the sampler ddim"),
        ({"guidance": np.nan}, "`guidance` must be a finite number .* got nan"),
        ({"guidance": -1.0}, "`guidance` must be .* at least 0, such as 2, got -1.0"),
        ({"guidance": 0.0, "label": 1}, "`guidance` 0 ignores labels; leave `label`"),
        ({"label": 3}, "`label` needs a conditional model; the `model.num_classes`"),
        ({"guidance": 2.0}, "`guidance` needs a conditional model"),
        ({"sampler": "ddim"}, "ddim needs a model trained on gaussian_noise"),
        ({"sampler": "ihd"}, "sampler ihd needs a model that predicts the step before"),
        ({"endpoint": "estimated"}, "`endpoint` estimated needs a model trained on"),
        ({"steps": 7}, "`steps` must be at most 6, got 7"),
        ({"start": 7}, r"`start` must lie in 1..6, .* got 7"),
        ({"start": 3, "steps": 4}, "`steps` must be at most 3, got 4"),
    ],
)
def test_options_that_do_not_fit_raise_before_anything_is_written(
    blur, tmp_path, options, message
):
    with pytest.raises(InputError, match=message):
        sample_run(blur, SampleOptions(**options), out=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_trajectories_of_the_direct_prediction_raise(blur):
    with pytest.raises(InputError, match="no trajectory; leave `gif` out"):
        sample_run(blur, SampleOptions("direct"), gif=True)


def test_by_default_all_test_images_are_restored_if_they_are_few(
    blur, tmp_path, monkeypatch
):
    monkeypatch.setattr("colddiff_jax.restoration.sample_run._NUM_IMAGES", 99)
    options = {"options": SampleOptions("direct"), "arrays": True}
    paths = sample_run(blur, **options, out=str(tmp_path))
    (arrays,) = (path for path in paths if path.endswith(".npz"))
    with np.load(arrays) as file:
        assert {len(file[name]) for name in ("clean", "degraded")} == {8}


def test_counts_labels_and_folders_that_do_not_fit_raise(blur, conditional, tmp_path):
    with pytest.raises(InputError, match="`num_images` must be at most 8, got 9"):
        sample_run(blur, num_images=9)
    for label in (10, "dog"):
        with pytest.raises(InputError, match=rf"in 0..9; got '{label}'"):
            sample_run(conditional, SampleOptions(label=label))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"`out` must be a folder, but .* is a file"):
        sample_run(blur, out=str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot write to .*file"):
        sample_run(blur, out=str(tmp_path / "file" / "out"))
