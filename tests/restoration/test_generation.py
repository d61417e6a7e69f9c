"""Images generated from priors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import InputError, sampling
from colddiff_jax.restoration import generation
from tests.restoration.small_restorers import make_restorer

COSINE = {"name": "cosine", "num_steps": 4}
DEGRADATIONS = {
    "blur": {"name": "gaussian_blur", "stds": (3.0, 3.0), "kernel_size": 5,
             "to_mean": True},
    "mask": {"name": "gaussian_mask", "stds": (3.0, 6.0), "center": "random"},
    "noise": {"name": "gaussian_noise", "alphas_cumprod": COSINE},
    "colour": {"name": "fade_to_color", "stds": (1.0, 2.0, 3.0)},
    "other images": {"name": "animorph", "alphas_cumprod": COSINE},
}  # fmt: skip
PRIOR = sampling.EmpiricalPrior(
    jax.random.normal(jax.random.key(9), (40, 32, 32, 3)) / 2
)


def key():
    return jax.random.key(3)


@pytest.fixture(params=DEGRADATIONS)
def kind(request):
    return request.param


def own(kind):
    return None if kind in ("noise", "colour") else PRIOR


def test_an_image_depends_on_the_key_and_its_index_alone(kind):
    restorer = make_restorer(DEGRADATIONS[kind])
    images = restorer.generate(5, key(), prior=own(kind))
    assert images.shape == (5, 32, 32, 3) and images.dtype == np.float32
    np.testing.assert_allclose(
        restorer.generate(2, key(), prior=own(kind)), images[:2], atol=2e-5
    )
    in_batches = restorer.generate(5, key(), prior=own(kind), batch_size=2)
    np.testing.assert_allclose(in_batches, images, atol=2e-5)
    assert np.abs(images[0] - images[1]).max() > 1e-3


def test_generation_is_the_sampler_on_draws_of_the_prior():
    restorer = make_restorer(DEGRADATIONS["blur"])
    x_T = PRIOR.sample(jax.random.fold_in(key(), 0), 3)
    expected = jax.jit(cd.sample_alg2)(restorer.restore_fn, restorer.degradation, x_T)
    images = restorer.generate(3, key(), prior=PRIOR)
    np.testing.assert_allclose(images, expected.x_0, atol=2e-5)


def test_noise_is_estimated_and_colours_are_kept_by_default():
    noise = make_restorer(DEGRADATIONS["noise"])
    images = {
        endpoint: noise.generate(2, key(), endpoint=endpoint)
        for endpoint in (None, "estimated", "fixed")
    }
    np.testing.assert_array_equal(images[None], images["estimated"])
    assert np.abs(images[None] - images["fixed"]).max() > 1e-3
    color = make_restorer(DEGRADATIONS["colour"])
    np.testing.assert_array_equal(
        color.generate(2, key()), color.generate(2, key(), endpoint="fixed")
    )


def test_noise_of_a_degradation_is_added_to_its_prior():
    restorer = make_restorer(DEGRADATIONS["blur"] | {"noise_stds": (0.1, 0.3)})
    flat = sampling.EmpiricalPrior(jnp.zeros((1, 32, 32, 3)))
    result = generation.generate_images(
        restorer.model, restorer.params, flat, key(), 4, return_trajectory=True
    )
    assert result.trajectory.shape == (4, 3, 32, 32, 3)
    assert abs(float(result.trajectory[:, 0].std()) - 0.3) < 0.01


def test_a_blend_with_images_and_noise_begins_at_their_share_and_noise():
    fields = {
        "name": "blend",
        "endpoint": "image",
        "image_weights": (0.5, 0.0),
        "endpoint_weights": (0.25, 0.5),
        "noise_stds": (0.1, 0.3),
        "noise_gains": (0.8, 0.5),
    }
    restorer = make_restorer(fields)
    flat = sampling.EmpiricalPrior(jnp.full((1, 32, 32, 3), 0.8))
    for options in ({}, {"sampler": "ddim", "eta": 1.0}):
        result = generation.generate_images(
            restorer.model, restorer.params, flat, key(), 4, return_trajectory=True,
            **options,
        )  # fmt: skip
        x_T = np.asarray(result.trajectory[:, 0])
        assert abs(x_T.mean() - 0.4) < 0.01 and abs(x_T.std() - 0.3) < 0.01
        assert np.abs(x_T[0] - x_T[1]).max() > 0.1


def test_a_second_call_compiles_nothing(monkeypatch):
    traced, sample = [], generation._sample
    monkeypatch.setattr(
        generation, "_sample", lambda *given: traced.append(1) or sample(*given)
    )
    restorer = make_restorer(DEGRADATIONS["noise"])
    restorer.generate(3, key(), steps=3)
    first = len(traced)
    restorer.generate(3, jax.random.key(7), steps=3)
    assert first == len(traced) > 0


def test_interpolated_images_go_from_one_draw_to_another():
    restorer = make_restorer(DEGRADATIONS["blur"])
    ends = restorer.generate(1, key(), prior=PRIOR)
    between = restorer.generate(5, key(), prior=PRIOR, interpolate=True)
    np.testing.assert_allclose(between[0], ends[0], atol=2e-5)
    steps = np.abs(np.diff(between, axis=0)).mean(axis=(1, 2, 3))
    assert steps.min() > 0.5 * steps.max() > 0  # R is nearly linear here.


def test_labels_and_guidance_change_conditional_images():
    restorer = make_restorer(DEGRADATIONS["noise"], num_classes=3)
    images = {
        (label, guidance): restorer.generate(
            2, key(), labels=label, guidance=guidance, steps=2
        )
        for label, guidance in ((None, 1.0), (1, 1.0), (2, 1.0), (2, 3.0))
    }
    found = list(images.values())
    for i, first in enumerate(found):
        assert all(np.abs(first - other).max() > 1e-4 for other in found[:i])
    both = restorer.generate(2, key(), labels=[1, 2], steps=2)
    np.testing.assert_allclose(both[0], images[1, 1.0][0], atol=2e-5)
    np.testing.assert_allclose(both[1], images[2, 1.0][1], atol=2e-5)


def test_fresh_noise_changes_images_of_ddim():
    restorer = make_restorer(DEGRADATIONS["noise"])
    plain, fresh = (
        restorer.generate(2, key(), sampler="ddim", eta=eta) for eta in (None, 1.0)
    )
    assert np.abs(plain - fresh).max() > 1e-3


def test_all_noise_may_be_drawn_anew():
    restorer = make_restorer(DEGRADATIONS["noise"])
    kept, redrawn, again = (
        restorer.generate(2, key(), sampler="ddim", eta=1.0, redraw=redraw)
        for redraw in (False, True, True)
    )
    np.testing.assert_array_equal(redrawn, again)
    assert np.abs(kept - redrawn).max() > 1e-3
    with pytest.raises(
        InputError, match="`redraw` needs the sampler ddim and an `eta`"
    ):
        restorer.generate(2, key(), redraw=True)


def test_missing_and_wrong_priors_raise():
    blur = make_restorer(DEGRADATIONS["blur"])
    with pytest.raises(InputError, match="give a `prior`, such as sampling"):
        blur.generate(2, key())
    with pytest.raises(InputError, match=r"of shape \(32, 32, 3\), got \(8, 8, 3\)"):
        blur.generate(2, key(), prior=sampling.NormalPrior((8, 8, 3)))
    with pytest.raises(InputError, match=r"`steps` must lie in 1\.\.2, got 3"):
        blur.generate(2, key(), prior=PRIOR, steps=3)
    with pytest.raises(ValueError, match="n must be a positive integer"):
        blur.generate(0, key(), prior=PRIOR)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"sampler": "ddim"},
            "the sampler ddim needs a model trained on gaussian_noise",
        ),
        ({"sampler": "best"}, "`sampler` must be among"),
        ({"eta": 0.5}, "`eta` needs the sampler ddim"),
        ({"endpoint": "estimated"}, "`endpoint` estimated needs a model"),
        ({"labels": 1}, "`labels` need a conditional model"),
        ({"guidance": 2.0}, "`guidance` needs `labels`"),
    ],
)
def test_options_that_do_not_fit_the_model_raise(options, message):
    blur = make_restorer(DEGRADATIONS["blur"])
    with pytest.raises(InputError, match=message):
        blur.generate(2, key(), prior=PRIOR, **options)


@pytest.mark.parametrize("sampler", ["direct", "ddim"])
@pytest.mark.parametrize("endpoint", ["fixed", "estimated"])
def test_an_endpoint_for_a_sampler_that_has_no_choice_raises(sampler, endpoint):
    restorer = make_restorer(DEGRADATIONS["noise"])
    with pytest.raises(InputError, match=f"no effect with the sampler {sampler}"):
        restorer.generate(2, key(), sampler=sampler, endpoint=endpoint)


@pytest.mark.parametrize("labels", [3, -1, [0, 1, 2], 0.5, "cat"])
def test_labels_that_are_no_classes_raise(labels):
    restorer = make_restorer(DEGRADATIONS["noise"], num_classes=3)
    with pytest.raises(InputError, match=r"`labels` must be one class in 0\.\.2"):
        restorer.generate(2, key(), labels=labels)
