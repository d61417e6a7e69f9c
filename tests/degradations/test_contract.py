"""The contract of every degradation, tested for all public factories."""

import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import degradations, schedules
from tests.degradations.cases import ANY_SIZE, CASES, NONLINEAR, RANDOM, T, partners


@jax.jit
def apply(degrade, x, t):
    return degrade(x, t)


def test_cases_cover_every_public_factory():
    public = {name: getattr(degradations, name) for name in degradations.__all__}
    functions = {name for name, value in public.items() if inspect.isfunction(value)}
    assert functions - {"spiral_ranks"} == {name.split(":")[0] for name in CASES}
    assert all(getattr(cd, name) is public[name] for name in functions)


def test_degradation_follows_the_protocol(degrade):
    assert isinstance(degrade, cd.Degradation)
    assert degrade.num_steps == T


def test_the_repr_is_one_line_with_the_name_of_the_factory(name, make, photos):
    bound = make().bind(jax.random.key(0), photos.shape)
    assert repr(bound) == repr(make())
    factory = name.partition(":")[0]
    assert repr(bound).startswith(f"{factory}(") and len(repr(bound)) < 100
    size = "" if factory in (*ANY_SIZE, "animorph") else ", 32 x 32"
    if factory not in ("compose", "from_function", "noisy", "quantize"):
        assert repr(bound) == f"{factory}(T={T}{size})"


def test_the_repr_of_a_wrapper_has_those_of_its_members():
    wrapped = cd.compose(
        cd.quantize(cd.gaussian_blur((24, 32), 3 * [1.0], kernel_size=3)),
        cd.noisy(cd.fade([0.5]), [0.1]),
        cd.from_function(lambda x, t: x / t, num_steps=2),
    )
    assert repr(wrapped) == (
        "compose(quantize(gaussian_blur(T=3, 24 x 32)), noisy(fade(T=1)), "
        "from_function(<lambda>, T=2))"
    )


def test_step_zero_returns_the_image_bit_for_bit(degrade, photos):
    x = photos.copy()
    x[0, 0, :4, 0] = [-0.0, 1e-38, 1e30, -1.0]
    for t in (0, np.zeros(4, np.int32)):
        assert np.asarray(degrade(x, t)).tobytes() == x.tobytes()
    assert np.asarray(apply(degrade, x, 0)).tobytes() == x.tobytes()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_shape_and_dtype_are_preserved(degrade, photos, dtype):
    x = jnp.asarray(photos, dtype)
    for t in (0, 3, jnp.array([0, 1, 3, 6])):
        x_t = apply(degrade, x, t)
        chex.assert_trees_all_equal_shapes_and_dtypes(x_t, x)
        exact = apply(degrade, x.astype(jnp.float32), t)
        atol = 0 if dtype == jnp.float32 else 0.02  # bfloat16 has 8 significant bits.
        np.testing.assert_allclose(x_t.astype(jnp.float32), exact, atol=atol)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_any_number_of_channels_is_accepted(name, make, channels):
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, channels))
    x = x.astype(np.float32)
    degrade = make().bind(jax.random.key(0), x.shape)
    if name.startswith("animorph"):
        degrade = degrade.with_endpoint(partners()[:2, ..., :1])
    x_t = degrade(x, 3)
    assert x_t.shape == x.shape and np.isfinite(x_t).all()
    assert np.array_equal(x_t, x) == (name == "desaturate" and channels == 1)


def test_vector_of_steps_matches_a_loop_over_scalar_steps(degrade, photos):
    t = jnp.array([6, 0, 1, 3])
    x_t = degrade(photos, t)
    expected = jnp.stack([degrade(photos, int(t[b]))[b] for b in range(4)])
    np.testing.assert_allclose(x_t, expected, atol=2e-6, rtol=0)


def test_jit_vmap_and_pmap_match_the_plain_call(degrade, photos):
    t = jnp.array([1, 2, 4, 6])
    np.testing.assert_allclose(apply(degrade, photos, 4), degrade(photos, 4), atol=2e-6)
    stacked = np.stack([photos, photos[::-1]])
    mapped = jax.vmap(degrade, (0, None))(stacked, t)
    for x, x_t in zip(stacked, mapped, strict=True):
        np.testing.assert_allclose(x_t, degrade(x, t), atol=2e-6)
    on_devices = jax.pmap(lambda d, x: d(x, t), in_axes=(None, 0))(degrade, stacked)
    np.testing.assert_allclose(on_devices, mapped, atol=2e-6)


def test_gradient_matches_finite_differences(name, degrade, photos):
    t = jnp.array([0, 2, 4, 6])
    direction = np.random.default_rng(0).normal(size=photos.shape).astype(np.float32)
    x = photos * 0.8  # Away from the clipping of snow.

    def value(x):
        return (degrade(x, t) * direction[::-1]).sum()

    slope = (jax.grad(value)(x) * direction).sum()
    np.testing.assert_allclose(
        (jax.jit(jax.grad(value))(x) * direction).sum(), slope, rtol=1e-3, atol=1e-2
    )
    if name == "quantize":  # The straight-through gradient ignores the rounding.
        inner = cd.fade(schedules.linear_decay(T))
        gradient = jax.grad(lambda x: (inner(x, t) * direction[::-1]).sum())(x)
        np.testing.assert_allclose(slope, (gradient * direction).sum(), 1e-5)
        return
    if name == "jpeg_like:exact, subsampled":  # So does its gradient.
        return
    small = 1e-4 if name in NONLINEAR else 1.0
    ahead, behind = (value(x + h * direction) for h in (small, -small))
    np.testing.assert_allclose(
        slope, (ahead - behind) / (2 * small), rtol=2e-2, atol=0.5
    )


def test_new_objects_keys_and_steps_do_not_recompile(make, photos):
    traced_once = jax.jit(chex.assert_max_traces(lambda d, x, t: d(x, t), n=1))
    for seed in range(3):
        degrade = make().bind(jax.random.key(seed), photos.shape)
        traced_once(degrade, photos + seed, jnp.int32(seed + 1))


NEW_VALUES = {
    "animorph": lambda v: cd.animorph(T * [v]).with_endpoint(v * partners()),
    "blend": lambda v: cd.blend(T * [v], T * [2 * v]),
    "blur_and_noise": lambda v: cd.blur_and_noise(32, T * [v], T * [v], min_gain=v),
    "desaturate": lambda v: cd.desaturate(T * [v]),
    "fade_to_color": lambda v: cd.fade_to_color(32, T * [v], color_range=(-v, v)),
    "gaussian_blur": lambda v: cd.gaussian_blur(32, T * [v], kernel_size=3),
    "gaussian_mask": lambda v: cd.gaussian_mask(32, T * [v], center=(3, int(6 * v))),
    "gaussian_mask:random": lambda v: cd.gaussian_mask(32, T * [v], center="random"),
    "gaussian_noise": lambda v: cd.gaussian_noise(T * [v]),
    "heat_blur": lambda v: cd.heat_blur(32, T * [v]),
    "holes": lambda v: cd.holes(32, T, radii=(v, 8 * v)),
    "jpeg_like": lambda v: cd.jpeg_like(T * [100 * v]),
    "motion_blur": lambda v: cd.motion_blur(32, T * [16 * v]),
    "motion_blur:given": lambda v: cd.motion_blur(
        32, T * [16 * v], angle=90 * v, padding="reflect"
    ),
    "pixelate": lambda v: cd.pixelate(32, T * [int(32 * v)]),
    "rank_mask": lambda v: cd.rank_mask(
        cd.spiral_ranks(32), T * [100 * v], color_range=(0.0, v)
    ),
    "snow": lambda v: cd.snow(32, T, level=int(4 * v)),
}  # fmt: skip


@pytest.mark.parametrize("name", NEW_VALUES)
def test_new_parameter_values_do_not_recompile(name, photos):
    traced_once = jax.jit(chex.assert_max_traces(lambda d, x, t: d(x, t), n=1))
    for seed, value in enumerate((0.5, 1.0)):
        degrade = NEW_VALUES[name](value).bind(jax.random.key(seed), photos.shape)
        traced_once(degrade, photos, 3)


LONG = {
    "fade_to_color": lambda: cd.fade_to_color(32, 200 * [3.0]),
    "gaussian_blur": lambda: cd.gaussian_blur(32, 200 * [1.0], kernel_size=3),
    "gaussian_mask:random": lambda: cd.gaussian_mask(32, 200 * [3.0], center="random"),
    "holes": lambda: cd.holes(32, 200),
    "jpeg_like": lambda: cd.jpeg_like(np.linspace(90, 2, 200)),
    "motion_blur": lambda: cd.motion_blur(32, np.linspace(1, 16, 200)),
    "pixelate": lambda: cd.pixelate(32, np.linspace(32, 2, 200).astype(int)),
    "snow": lambda: cd.snow(32, 200),
}


@pytest.mark.parametrize("name", LONG)
def test_many_steps_use_bounded_memory(name):
    x = jnp.zeros((16, 32, 32, 3))
    degrade = LONG[name]().bind(jax.random.key(0), x.shape)
    t = jnp.arange(16) * 12
    compiled = jax.jit(lambda d, x, t: d(x, t)).lower(degrade, x, t).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 12 * x.nbytes
    # No table is larger than T + 1 images of twice the side.
    largest = max(leaf.nbytes for leaf in jax.tree.leaves(degrade))
    assert largest <= 201 * 64 * 64 * 4


def test_binding_works_inside_jit_with_one_key_per_example(make, photos):
    def bind_and_apply(degrade, keys, x):
        return degrade.bind(keys, x.shape)(x, 4)

    def keys():
        return jax.random.split(jax.random.key(0), 4)

    inside = jax.jit(bind_and_apply)(make(), keys(), photos)
    outside = make().bind(keys(), photos.shape)(photos, 4)
    np.testing.assert_allclose(inside, outside, atol=2e-6)


def test_degradation_works_inside_scan(degrade, photos):
    def body(x, t):
        return x, degrade(x, t)

    _, scanned = jax.lax.scan(body, jnp.asarray(photos), jnp.arange(7))
    for t in range(7):
        np.testing.assert_allclose(scanned[t], degrade(photos, t), atol=2e-6)


def test_distance_from_the_clean_image_increases_with_t(degrade, photos):
    distances = [np.linalg.norm(degrade(photos, t) - photos) for t in range(7)]
    assert distances[0] == 0
    assert (np.diff(distances) > 0).all()
    assert np.isfinite(degrade(photos, 6)).all()


def test_binding_draws_per_example_and_only_if_random(name, make, photos):
    first, same, other = (
        make().bind(jax.random.key(seed), photos.shape) for seed in (0, 0, 1)
    )
    for t in range(1, T + 1):
        assert np.array_equal(first(photos, t), same(photos, t))
    assert np.array_equal(first(photos, 4), other(photos, 4)) == (name not in RANDOM)
    if name in RANDOM:
        copies = np.repeat(photos[:1], 4, axis=0)
        assert len({np.asarray(image).tobytes() for image in first(copies, 4)}) == 4


def test_rebinding_draws_anew_for_any_batch_size(name, make, photos):
    if name not in RANDOM:
        return
    bound = make().bind(jax.random.key(0), photos.shape)
    rebound = bound.bind(jax.random.key(1), photos.shape)
    expected = make().bind(jax.random.key(1), photos.shape)
    np.testing.assert_array_equal(rebound(photos, 4), expected(photos, 4))
    assert not np.array_equal(rebound(photos, 4), bound(photos, 4))
    assert bound.bind(jax.random.key(1), (2, 32, 32, 3))(photos[:2], 4).shape[0] == 2


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int64])
def test_steps_of_any_integer_dtype_are_accepted(degrade, photos, dtype):
    for t in (dtype(5), np.array([1, 2, 3, 6], dtype)):
        expected = degrade(photos, np.asarray(t, np.int32))
        np.testing.assert_array_equal(degrade(photos, t), expected)


def test_bound_objects_can_be_stacked_and_mapped(make, photos):
    bound = [make().bind(jax.random.key(seed), photos.shape) for seed in (0, 1)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *bound)
    mapped = jax.vmap(lambda d, x: d(x, 4), (0, None), axis_size=2)(stacked, photos)
    for degrade, x_t in zip(bound, mapped, strict=True):
        np.testing.assert_allclose(x_t, degrade(photos, 4), atol=2e-6)


def test_calling_a_bound_degradation_draws_nothing(degrade, photos):
    # All draws are leaves, so nothing else can differ between steps.
    program = str(jax.make_jaxpr(lambda x, t: degrade(x, t))(photos, 3))
    assert "random" not in program and "threefry" not in program


def test_one_key_per_example_draws_the_same_in_any_batch(make, photos):
    def keys():
        return jax.random.split(jax.random.key(0), 4)

    degrade = make()
    if degrade.bind(keys(), photos.shape) is degrade:
        return
    whole = degrade.bind(keys(), photos.shape)(photos, 5)
    for i in (0, 2):
        part = degrade.bind(keys()[i : i + 2], (2, 32, 32, 3))(photos[i : i + 2], 5)
        np.testing.assert_allclose(part, whole[i : i + 2], atol=2e-6)
