"""Generating images with a trained model: options, files and errors."""

import os

import jax
import numpy as np
import pytest
from PIL import Image

import colddiff_jax as cd
from colddiff_jax import InputError, sampling
from colddiff_jax.experiment.prior import save_prior
from colddiff_jax.prng import stream
from colddiff_jax.restoration.export import export_model
from colddiff_jax.restoration.generate_run import generate_run
from colddiff_jax.restoration.sample_run import SampleOptions
from tests.restoration.runs import npz_config, save_images, save_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An untrained model of a blur to the mean in 3 steps, with a prior."""
    folder = tmp_path_factory.mktemp("generate")
    save_images(folder / "images.npz")
    config = npz_config(folder / "images.npz")
    config.degradation.update({"to_mean": True})
    config.degradation.stds.num_steps = 3
    config.prior.update({"block": 1, "noise_std": 0.05})
    save_run(config, folder / "run", {3: 0.1})
    arrays = {"log_weights": [0.0], "means": [[0.2]], "factors": [[[0.1]]]}
    save_prior(
        {name: np.array(x, np.float32) for name, x in arrays.items()},
        str(folder / "run"),
    )
    os.unlink(folder / "images.npz")  # Nothing below needs the images.
    return str(folder / "run")


def test_images_strips_and_animations_are_written(run, tmp_path, capsys):
    out = str(tmp_path / "out")
    paths = generate_run(
        run, 5, out=out, arrays=True, files=True, trajectory=True, gif=True
    )
    assert capsys.readouterr().out.split() == paths
    names = [os.path.relpath(path, out) for path in paths]
    stem = "alg2_5_images_step_00000003"
    assert names == [
        f"{stem}.png", f"{stem}.npz", stem, f"{stem}_trajectory.png", f"{stem}.gif",
    ]  # fmt: skip
    images = np.load(paths[1])["images"]
    assert images.shape == (5, 16, 16, 1) and images.dtype == np.uint8
    assert sorted(os.listdir(paths[2])) == [f"{i:06d}.png" for i in range(5)]
    for i, image in enumerate(images):
        with Image.open(os.path.join(paths[2], f"{i:06d}.png")) as file:
            np.testing.assert_array_equal(np.asarray(file)[..., :1], image)
    with Image.open(paths[0]) as picture:  # Three columns, enlarged four times.
        assert picture.size == (3 * 66 - 2, 2 * 66 - 2)
        shown = np.asarray(picture)[66 : 66 + 64 : 4, 66 : 66 + 64 : 4, :1]
        np.testing.assert_array_equal(shown, images[4])
    with Image.open(paths[3]) as strips:  # Two rows for each, at t = 3, 2, 1 and 0.
        assert strips.height == 20 + 10 * 66 and strips.width > 4 * 66
    with Image.open(paths[4]) as animation:
        assert animation.n_frames == 4
        assert animation.size == (3 * 66 - 2, 20 + 2 * 66 - 2)
    again = generate_run(run, 2, out=out, seed=3, prior_noise=0.1)
    again += generate_run(run, 2, out=out)
    assert [os.path.basename(path) for path in again] == [
        "alg2_noise_0.1_2_images_seed_3_step_00000003.png",
        "alg2_2_images_step_00000003.png",
    ]  # fmt: skip


def test_images_depend_on_the_seed_and_their_index(run, tmp_path):
    def images(num_images, seed=0, **options):
        out = str(tmp_path / f"{num_images}_{seed}_{len(options)}")
        paths = generate_run(
            run, num_images, out=out, seed=seed, arrays=True, **options
        )
        return np.load(paths[1])["images"].astype(int)

    five = images(5)
    assert np.abs(images(2) - five[:2]).max() <= 1
    assert np.abs(images(5, batch_size=4) - five).max() <= 1
    assert np.abs(images(5, seed=1) - five).max() > 1


def test_noise_on_the_prior_can_be_changed(run, tmp_path):
    restorer = cd.load(run)
    assert restorer.prior.std == 0.05
    flat = restorer.prior.prior
    key = stream(0, "generate")
    for noise, prior in ((None, restorer.prior), (0.0, flat)):
        paths = generate_run(
            run, 3, prior_noise=noise, out=str(tmp_path / f"{noise}"), arrays=True
        )
        expected = cd.to_uint8(restorer.generate(3, key, prior=prior))
        np.testing.assert_array_equal(np.load(paths[1])["images"], expected)


def test_an_exported_file_generates_the_same_images(run, tmp_path):
    path = str(tmp_path / "model.safetensors")
    export_model(cd.load(run), path)
    assert isinstance(cd.load(path).prior.prior, sampling.MixturePrior)
    np.testing.assert_array_equal(
        cd.load(path).generate(2, jax.random.key(0)),
        cd.load(run).generate(2, jax.random.key(0)),
    )
    again = str(tmp_path / "again.safetensors")
    export_model(cd.load(path), again)
    assert cd.load(again).prior_arrays.keys() == {"log_weights", "means", "factors"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SampleOptions(label=3), "`label` needs a conditional model"),
        (SampleOptions(guidance=2.0), "`guidance` needs a conditional model"),
        (
            SampleOptions("ddim"),
            "the sampler ddim needs a model trained on gaussian_noise",
        ),
        (SampleOptions(steps=4), r"`steps` must lie in 1\.\.3, got 4"),
        (SampleOptions(endpoint="estimated"), "`endpoint` estimated needs a model"),
        (SampleOptions("direct", steps=2), "direct is a single prediction"),
    ],
)
def test_options_that_do_not_fit_raise_and_write_nothing(run, options, message):
    with pytest.raises(InputError, match=message):
        generate_run(run, 2, options)
    with pytest.raises(InputError, match="does not say where images begin"):
        generate_run("digits-deblur", 2)
    assert not os.path.exists(os.path.join(run, "generated"))


def test_an_unusable_folder_raises(run, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="`out` must be a folder"):
        generate_run(run, 2, out=str(tmp_path / "file"))
