"""Exporting a sampler as one program that runs without this package."""

import dataclasses
import functools
import pathlib

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import InputError, schedules
from colddiff_jax.experiment.model import Model
from colddiff_jax.models.preconditioning import Preconditioned, measure_scales
from colddiff_jax.restoration.export_sampler import PLATFORMS, export_sampler
from colddiff_jax.restoration.restorer import Restorer
from colddiff_jax.sampling import SAMPLERS
from tests.networks import random_parameters, tiny_unet
from tests.subprocesses import start, succeed

SIDE, T = 16, 6
SHAPE = (SIDE, SIDE, 3)
BLUR = cd.gaussian_blur(SIDE, T * [1.0], kernel_size=5)
DEGRADATIONS = {
    "blur": BLUR,
    "compose": cd.compose(BLUR, cd.desaturate(schedules.linear_decay(3))),
    "fade": cd.fade(schedules.linear_decay(T)),
    "heat": cd.heat_blur(SIDE, schedules.geometric(T, start=0.5, stop=9.0)),
    "jpeg": cd.jpeg_like([70, 50, 30, 20, 10, 2]),
    "mask": cd.gaussian_mask(SIDE, T * [3.0]),
    "motion": cd.motion_blur(SIDE, [1, 2, 3, 4, 5, 6], angle=30),
    "pixelate": cd.pixelate(SIDE, [14, 12, 8, 6, 4, 2]),
    "rank_mask": cd.rank_mask(cd.spiral_ranks(SIDE), [9, 50, 90, 150, 200, 250]),
}
BLENDS = {
    "animorph": cd.animorph(schedules.cosine(T)),
    "color": cd.fade_to_color(SIDE, T * [3.0]),
    "noise": cd.gaussian_noise(schedules.cosine(T)),
}
DRAWN = {
    "compose": cd.compose(BLUR, cd.snow(SIDE, T)),
    "mask": cd.gaussian_mask(SIDE, T * [3.0], center="random"),
    "motion": cd.motion_blur(SIDE, [1, 2, 3, 4, 5, 6]),
    "snow": cd.snow(SIDE, T),
}
NETWORKS = {
    "unet": tiny_unet(),
    "unet, bfloat16": tiny_unet(dtype=jnp.bfloat16),
    "unet, remat": tiny_unet(remat=True),
    "unet, two levels": tiny_unet(channel_multipliers=(1, 2), patch_size=2),
    "convnext": cd.ConvNeXtUNet(base_channels=8, channel_multipliers=(1, 2)),
}


def restorer(network=NETWORKS["unet"], degrade=BLUR) -> Restorer:
    model = Model({"model": {}}, degrade, network, None, SHAPE)
    return Restorer(model, random_parameters(network, SHAPE), step=0, trained_on="")


def images(batch: int) -> np.ndarray:
    rng = np.random.default_rng(batch)
    return rng.uniform(-1, 1, (batch, *SHAPE)).astype(np.float32)


def exported(path: pathlib.Path, *arguments, **options) -> jax.export.Exported:
    export_sampler(arguments[0], str(path / "x.stablehlo"), *arguments[1:], **options)
    return jax.export.deserialize(bytearray((path / "x.stablehlo").read_bytes()))


def assert_samples_alike(program, sampler, restorer, batch=2, **options) -> None:
    x_T = images(batch)
    sample = functools.partial(SAMPLERS[sampler], **options)
    expected = jax.jit(sample)(restorer.restore_fn, restorer.model.degrade, x_T).x_0
    found = jax.jit(program.call)(x_T)
    assert found.dtype == expected.dtype == jnp.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
    assert np.ptp(expected) > 0.1


def test_another_process_runs_the_program_without_this_package(tmp_path):
    """The script is the whole of what a user needs."""
    model = restorer()
    export_sampler(model, str(tmp_path / "blur.stablehlo"), "alg2:3")
    np.save(tmp_path / "x_T.npy", images(5))
    (tmp_path / "run.py").write_text(
        "import sys\n"
        "import jax\n"
        "import jax.export\n"
        "import numpy as np\n"
        "with open('blur.stablehlo', 'rb') as file:\n"
        "    program = jax.export.deserialize(bytearray(file.read()))\n"
        "x_0 = jax.jit(program.call)(np.load('x_T.npy'))\n"
        "assert not any(name.startswith('colddiff') for name in sys.modules)\n"
        "assert 'flax' not in sys.modules\n"
        "np.save('x_0.npy', x_0)\n"
    )
    succeed([start("run.py", cwd=tmp_path, PYTHONPATH="")])
    degrade, x_T = model.model.degrade, images(5)
    expected = cd.sample_alg2(model.restore_fn, degrade, x_T, timesteps=3).x_0
    np.testing.assert_allclose(np.load(tmp_path / "x_0.npy"), expected, atol=2e-5)


@pytest.mark.parametrize("sampler", ["direct", "alg1", "alg2", "heun", "ab2"])
def test_every_sampler_gives_the_same_images(sampler, tmp_path):
    model = restorer()
    assert_samples_alike(exported(tmp_path, model, sampler), sampler, model)


@pytest.mark.parametrize("network", NETWORKS)
def test_one_program_takes_any_number_of_images_for_every_network(network, tmp_path):
    model = restorer(NETWORKS[network])
    program = exported(tmp_path, model, "alg2:2")
    assert program.platforms == PLATFORMS and not program.disabled_safety_checks
    for batch in (1, 3):
        assert_samples_alike(program, "alg2", model, batch, timesteps=2)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_degradations_that_draw_nothing_are_part_of_the_program(name, tmp_path):
    model = restorer(degrade=DEGRADATIONS[name])
    assert_samples_alike(exported(tmp_path, model), "alg2", model)


@pytest.mark.parametrize(
    ("name", "sampler"),
    [("animorph", "alg2"), ("color", "heun"), ("noise", "alg1"), ("noise", "ab2")],
)
def test_blends_estimate_their_endpoint(name, sampler, tmp_path):
    model = restorer(degrade=BLENDS[name])
    with pytest.raises(InputError, match="set `endpoint` to estimated"):
        exported(tmp_path, model, sampler)
    program = exported(tmp_path, model, sampler, endpoint="estimated")
    assert_samples_alike(program, sampler, model, endpoint="estimated")


@pytest.mark.parametrize("name", DRAWN)
def test_only_the_direct_prediction_undoes_a_random_degradation(name, tmp_path):
    model = restorer(degrade=DRAWN[name])
    with pytest.raises(InputError, match="drawn at random for each image"):
        exported(tmp_path, model)
    assert not list(tmp_path.iterdir())
    assert_samples_alike(exported(tmp_path, model, "direct"), "direct", model)


def test_a_conditional_network_is_given_labels(tmp_path):
    model = restorer(tiny_unet(num_classes=3))
    program = exported(tmp_path, model, "alg2:2")
    labels, x_T = jnp.array([0, 2, 3]), images(3)
    conditional = model.model.restore_fn(model.params, labels=labels)
    expected = cd.sample_alg2(conditional, BLUR, x_T, timesteps=2).x_0
    found = program.call(x_T, labels)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    unlabelled = cd.sample_alg2(model.restore_fn, BLUR, x_T, timesteps=2).x_0
    different = np.abs(found - unlabelled).max(axis=(1, 2, 3)) > 1e-3
    assert different.tolist() == [True, True, False]


def test_a_preconditioned_network_keeps_its_scales(tmp_path):
    network = Preconditioned(tiny_unet(), measure_scales(BLUR, images(8)))
    model = restorer(network)
    assert_samples_alike(exported(tmp_path, model), "alg2", model)


@pytest.mark.parametrize(
    ("degrade", "sampler", "endpoint", "message"),
    [
        (BLUR, "alg2:7", "fixed", r"must take 1\.\.6 steps"),
        (BLUR, "alg3", "fixed", "must be among direct, alg1"),
        (BLUR, "alg2", "estimated", "needs a model trained on animorph"),
        (BLENDS["noise"], "ddim", "fixed", "draws no noise, as ddim may"),
        (BLENDS["noise"], "direct", "estimated", "`endpoint` has no effect"),
    ],
)
def test_samplers_that_do_not_fit_raise(degrade, sampler, endpoint, message, tmp_path):
    model = restorer(degrade=degrade)
    with pytest.raises(InputError, match=message):
        exported(tmp_path, model, sampler, endpoint=endpoint)
    assert not list(tmp_path.iterdir())


def test_a_model_that_predicts_the_step_before_cannot_be_exported(tmp_path):
    plain = restorer(degrade=cd.noisy(BLUR, T * [0.1]))
    config = {"model": {}, "objective": {"target": "previous"}}
    model = dataclasses.replace(
        plain, model=dataclasses.replace(plain.model, config=config)
    )
    for sampler, message in (
        ("alg2", "the sampler alg2 needs predictions of clean images"),
        ("ihd", "draws no noise, as ihd does at every step"),
    ):
        with pytest.raises(InputError, match=message):
            exported(tmp_path, model, sampler)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_the_code_for_other_platforms_gives_the_same_images(platform, tmp_path):
    """A CPU runs their code, if the program takes it for that platform."""
    model = restorer(NETWORKS["convnext"])
    program = exported(tmp_path, model, "alg2:2")
    disguised = [{"cpu": platform, platform: "cpu"}.get(p, p) for p in PLATFORMS]
    program = dataclasses.replace(program, platforms=tuple(disguised))
    assert_samples_alike(program, "alg2", model, timesteps=2)
