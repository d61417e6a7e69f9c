"""All samplers take the same arguments and return the same structure."""

import dataclasses
import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import sampling
from tests.sampling import samplers
from tests.sampling.samplers import T, toy_restorer

ALL = samplers.SAMPLERS | {"direct": cd.restore_direct}
COMMON = inspect.signature(cd.sample_alg2).parameters
SPECIAL = {
    cd.sample_ddim: ["eta", "redraw"],
    cd.sample_ihd: ["noise_ratio"],
    cd.sample_momentum: ["noise_stds"],
}
# sample_ihd takes every step of an R that predicts the step before.
OF_CLEAN = {name: run for name, run in sampling.SAMPLERS.items() if name != "ihd"}
ALL_STEPS = [{}, {"start": 5}, {"timesteps": 3, "start": 3, "check_finite": True}]


@pytest.fixture(params=ALL)
def name(request):
    return request.param


@pytest.fixture
def sampler(name):
    return ALL[name]


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"timesteps": 1}, [8, 0]),
        ({"timesteps": 4}, [8, 6, 4, 2, 0]),
        ({"timesteps": np.int64(3)}, [8, 5, 3, 0]),
        ({"timesteps": 8}, [8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ({"timesteps": 3, "start": 6}, [6, 4, 2, 0]),
        ({"timesteps": 5, "start": 5}, [5, 4, 3, 2, 1, 0]),
    ],
)
def test_a_number_of_steps_equals_the_explicit_steps(
    sampler, degrade, photos, options, steps
):
    chosen = sampling.equal_stride(steps[0], num_calls=int(options["timesteps"]))
    np.testing.assert_array_equal(chosen, steps)
    x_t = degrade(photos, steps[0])
    result, expected = (
        sampler(toy_restorer, degrade, x_t, return_trajectory=True, **arguments)
        for arguments in (options, {"timesteps": steps})
    )
    chex.assert_trees_all_equal(result, expected)


@pytest.mark.parametrize("timesteps", [0, -1, 9, True, False])
def test_a_bad_number_of_steps_raises(sampler, degrade, photos, timesteps):
    message = rf"timesteps must be an integer in 1\.\.8, got {timesteps}$"
    with pytest.raises(ValueError, match=message):
        sampler(toy_restorer, degrade, photos, timesteps=timesteps)


def test_more_steps_than_the_start_raise(sampler, degrade, photos):
    with pytest.raises(ValueError, match=r"timesteps must be an .* 1\.\.3, got 4"):
        sampler(toy_restorer, degrade, photos, timesteps=4, start=3)
    with pytest.raises(ValueError, match=r"or a number of steps, got 2\.0"):
        sampler(toy_restorer, degrade, photos, timesteps=2.0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"start": 5},
        {"timesteps": 3},
        {"timesteps": 3, "start": 6, "check_finite": True},
        {"timesteps": [8, 3, 0], "last_step": "direct"},
        {"restart": sampling.Restart(2, 4)},
        {"return_trajectory": True, "trajectory_every": 3, "check_finite": True},
    ],
)
def test_samplers_can_be_exchanged(photos, options):
    assert_exchangeable(OF_CLEAN, photos, options)


@pytest.mark.parametrize("options", ALL_STEPS)
def test_with_all_steps_every_sampler_can_be_exchanged(photos, options):
    assert_exchangeable(sampling.SAMPLERS, photos, options | {"last_step": "direct"})


def assert_exchangeable(samplers, photos, options):
    noise = cd.gaussian_noise(cd.schedules.cosine(T))

    def run(sampler, x_T):
        key = jax.random.key(0)
        return sampler(
            toy_restorer, noise, x_T, key=key, endpoint="estimated", **options
        )

    results = [
        jax.eval_shape(lambda x_T, sampler=sampler: run(sampler, x_T), photos)
        for sampler in samplers.values()
    ]
    for result in results:
        assert isinstance(result, sampling.SampleResult)
        assert jax.tree.structure(result) == jax.tree.structure(results[0])
        assert result.x_0.shape == result.direct.shape == photos.shape
        for array, other in zip(result, results[0], strict=True):
            if array is not None:  # Trajectories may differ in length.
                assert array.shape[-4:] == other.shape[-4:]
                assert array.dtype == other.dtype


def test_samplers_can_be_exchanged_in_one_loop(photos):
    noise = cd.gaussian_noise(cd.schedules.cosine(T))
    for sampler in OF_CLEAN.values():
        result = sampler(
            lambda x_t, t: jnp.asarray(photos),
            noise,
            jax.random.normal(jax.random.key(1), photos.shape),
            key=jax.random.key(0),
            timesteps=4,
            endpoint="estimated",
            check_finite=True,
        )
        np.testing.assert_allclose(result.x_0, photos, atol=3e-6)
        np.testing.assert_array_equal(result.direct, photos)
        np.testing.assert_array_equal(result.nonfinite_step, 4 * [-1])


@pytest.mark.parametrize("sampler", [*sampling.SAMPLERS.values(), cd.sample_momentum])
def test_signatures_differ_only_in_special_options(sampler):
    parameters = inspect.signature(sampler).parameters
    assert [name for name in parameters if name in COMMON] == [*COMMON]
    special = [name for name in parameters if name not in COMMON]
    assert special == SPECIAL.get(sampler, [])
    for name in [*parameters][3:]:
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    different = {n for n in COMMON if parameters[n].default != COMMON[n].default}
    assert different == {
        cd.sample_ddim: {"key", "endpoint"},
        cd.sample_ihd: {"key"},
        cd.sample_momentum: {"key"},
    }.get(sampler, set())


def test_samplers_without_noise_ignore_the_key(blur, photos):
    for name in ("direct", "alg1", "alg2", "heun", "ab2"):
        without, with_key = (
            sampling.SAMPLERS[name](toy_restorer, blur, photos, timesteps=2, key=key)
            for key in (None, jax.random.key(0))
        )
        chex.assert_trees_all_equal(without, with_key)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class OwnBlend:
    """D(x, t) = (1 - t / T) x + t / T z, of a class that the package does not know."""

    endpoint_kind: str | None = dataclasses.field(metadata={"static": True})
    z: chex.Array | None = None
    num_steps: int = dataclasses.field(default=T, metadata={"static": True})

    @property
    def image_weights(self):
        return 1 - self.endpoint_weights

    @property
    def endpoint_weights(self):
        return jnp.arange(T + 1) / T

    def bind(self, key, shape):
        return self

    def with_endpoint(self, z):
        return dataclasses.replace(self, z=z)

    def levels(self, t):
        return self.image_weights[t], self.endpoint_weights[t]

    def estimate_endpoint(self, x_t, x0_hat, t):
        return (x_t - self.image_weights[t] * x0_hat) / self.endpoint_weights[t]

    def __call__(self, x, t):
        return self.image_weights[t] * x + self.endpoint_weights[t] * self.z


@pytest.mark.parametrize("kind", ["noise", "image"])
def test_the_endpoint_kind_decides_not_the_class(kind, photos):
    degrade = OwnBlend(kind)
    x_0 = {
        name: sampling.SAMPLERS[name](
            toy_restorer,
            degrade,
            photos,
            key=jax.random.key(0),
            timesteps=4,
            endpoint="estimated",
        ).x_0
        for name in ("alg1", "alg2", "ddim")
    }
    np.testing.assert_allclose(x_0["alg1"], x_0["alg2"], atol=2e-6)
    np.testing.assert_allclose(x_0["alg1"], x_0["ddim"], atol=2e-6)


def test_without_a_suitable_endpoint_kind_the_samplers_raise(photos):
    with pytest.raises(TypeError, match=r"a degradation with an .* got OwnBlend"):
        cd.sample_alg2(toy_restorer, OwnBlend(None), photos, endpoint="estimated")
    for kind in ("color", None):
        with pytest.raises(TypeError, match=r"needs gaussian_noise, .* got OwnBlend"):
            cd.sample_ddim(toy_restorer, OwnBlend(kind), photos, key=jax.random.key(0))
    fixed = OwnBlend(None).with_endpoint(jnp.asarray(photos[::-1]))
    x_T = fixed(photos, T)
    result = cd.sample_alg2(lambda x_t, t: jnp.asarray(photos), fixed, x_T)
    np.testing.assert_allclose(result.x_0, photos, atol=2e-6)
