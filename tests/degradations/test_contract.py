"""What every degradation promises, for all public factories."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd

FACTORIES = {
    "blur_circular": lambda: cd.gaussian_blur(
        32, cd.schedules.constant(6, value=2.0), kernel_size=5
    ),
    "blur_reflect_to_mean": lambda: cd.gaussian_blur(
        32, cd.schedules.exponential(6, rate=0.2), kernel_size=7, padding="reflect",
        to_mean=True,
    ),
    "mask_middle": lambda: cd.gaussian_mask(
        32, cd.schedules.linear(6, start=1.0, increment=1.0)
    ),
    "mask_given": lambda: cd.gaussian_mask(32, 6 * [3.0], center=(4, 20)),
    "mask_random": lambda: cd.gaussian_mask(32, 6 * [3.0], center="random"),
    "function": lambda: cd.from_function(_darken, num_steps=6),
}  # fmt: skip


def _darken(x, t):
    return (x + 1) * 0.8**t - 1


@pytest.fixture(params=FACTORIES)
def make(request):
    return FACTORIES[request.param]


@pytest.fixture
def degrade(make, photos):
    return make().bind(jax.random.key(0), photos.shape)


def test_every_public_factory_is_covered_here():
    public = {name: getattr(cd.degradations, name) for name in cd.degradations.__all__}
    factories = {name for name, value in public.items() if not isinstance(value, type)}
    assert factories == {"gaussian_blur", "gaussian_mask", "from_function"}


def test_it_follows_the_protocol(degrade):
    assert isinstance(degrade, cd.Degradation)


def test_step_zero_returns_the_image_bit_for_bit(degrade, photos):
    x = photos.copy()
    x[0, 0, :4, 0] = [-0.0, 1e-38, 1e30, -1.0]
    for t in (0, np.zeros(4, np.int32)):
        assert np.asarray(degrade(x, t)).tobytes() == x.tobytes()
    assert np.asarray(jax.jit(degrade)(x, 0)).tobytes() == x.tobytes()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_shape_and_dtype_are_kept(degrade, photos, dtype):
    x = jnp.asarray(photos, dtype)
    for t in (0, 3, jnp.array([0, 1, 3, 6])):
        chex.assert_trees_all_equal_shapes_and_dtypes(degrade(x, t), x)


def test_a_vector_of_steps_equals_a_loop_of_scalar_steps(degrade, photos):
    t = jnp.array([6, 0, 1, 3])
    together = degrade(photos, t)
    alone = jnp.stack([degrade(photos, int(t[b]))[b] for b in range(4)])
    np.testing.assert_allclose(together, alone, atol=1e-6, rtol=0)


def test_jit_vmap_pmap_and_grad_agree_with_the_plain_call(degrade, photos):
    t = jnp.array([1, 2, 4, 6])
    expected = degrade(photos, 4)
    jitted = jax.jit(lambda d, x, t: d(x, t))(degrade, photos, 4)
    np.testing.assert_allclose(jitted, expected, atol=1e-6)
    stacked = np.stack([photos, photos[::-1]])
    mapped = jax.vmap(degrade, (0, None))(stacked, t)
    for x, x_t in zip(stacked, mapped, strict=True):
        np.testing.assert_allclose(x_t, degrade(x, t), atol=1e-6)
    on_devices = jax.pmap(lambda d, x: d(x, t), in_axes=(None, 0))(degrade, stacked)
    np.testing.assert_allclose(on_devices, mapped, atol=1e-6)
    # All of them are affine in x, so the gradient of a sum is their linear part.
    gradient = jax.grad(lambda x: degrade(x, t).sum())(photos)
    direction = np.random.default_rng(0).normal(size=photos.shape).astype(np.float32)
    difference = degrade(photos + direction, t).sum() - degrade(photos, t).sum()
    np.testing.assert_allclose(
        (gradient * direction).sum(), difference, rtol=1e-3, atol=1e-2
    )


def test_a_fresh_object_new_keys_and_new_steps_compile_nothing(make, photos):
    apply = jax.jit(chex.assert_max_traces(lambda d, x, t: d(x, t), n=1))
    for seed in range(3):
        degrade = make().bind(jax.random.key(seed), photos.shape)
        apply(degrade, photos + seed, jnp.int32(seed + 1))


def test_it_crosses_a_scan(degrade, photos):
    def body(x, t):
        return x, degrade(x, t)

    _, scanned = jax.lax.scan(body, jnp.asarray(photos), jnp.arange(7))
    for t in range(7):
        np.testing.assert_allclose(scanned[t], degrade(photos, t), atol=1e-6)


def test_rising_steps_bring_no_information_back(degrade, photos):
    distances = [np.linalg.norm(degrade(photos, t) - photos) for t in range(7)]
    assert distances[0] == 0
    assert (np.diff(distances) > 0).all()
    assert np.isfinite(degrade(photos, 6)).all()


def test_binding_draws_once_per_example_and_only_where_something_is_random(
    make, photos
):
    one, same, two = (
        make().bind(jax.random.key(seed), photos.shape) for seed in (0, 0, 1)
    )
    assert np.array_equal(one(photos, 3), same(photos, 3))
    random = not np.array_equal(one(photos, 3), two(photos, 3))
    assert random == (make is FACTORIES["mask_random"])
    if random:
        ones = np.ones_like(photos)
        assert len({np.asarray(image).tobytes() for image in one(ones, 3)}) == 4


def test_bad_calls_are_named(degrade, photos):
    with pytest.raises(ValueError, match=r"t must lie in 0\.\.6, got 7"):
        degrade(photos, 7)
    with pytest.raises(ValueError, match=r"t must lie in 0\.\.6"):
        degrade(photos, jnp.array([0, 1, -1, 2]))
    with pytest.raises(TypeError, match="t must be an integer, got dtype float32"):
        degrade(photos, 1.0)
    with pytest.raises(ValueError, match=r"one value per example, shape \(4,\)"):
        degrade(photos, jnp.array([1, 2]))
    with pytest.raises(TypeError, match=r"images must be floating point .* uint8"):
        degrade((photos * 0).astype(np.uint8), 1)
    with pytest.raises(ValueError, match=r"shape \[B, H, W, C\], got \(32, 32, 3\)"):
        degrade(photos[0], 1)


def test_another_image_size_is_named(make):
    degrade = make().bind(jax.random.key(0), (2, 16, 16, 1))
    if isinstance(degrade, cd.degradations.FunctionDegradation):
        return  # A function is not made for any size.
    with pytest.raises(ValueError, match=r"made for images of 32 x 32 pixels, got"):
        degrade(jnp.zeros((2, 16, 16, 1)), 1)
