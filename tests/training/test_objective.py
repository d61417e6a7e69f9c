"""The losses of a batch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax.data import Batch
from colddiff_jax.models.preconditioning import velocity_scales
from colddiff_jax.prng import (
    draw_steps_by_frequency,
    indexed_keys,
    split_keys,
    stream,
)
from colddiff_jax.restoration.restore import bind
from colddiff_jax.training.objective import Objective, draw_noise_levels, roll_out

SIZE, T, NUMBER = 8, 4, 256


@dataclasses.dataclass
class Network:
    """Replaces a network: records its inputs and returns a constant image."""

    answer: float = 0.0
    num_classes: int = 3
    seen: list = dataclasses.field(default_factory=list)

    def apply(self, variables, x, t, *, labels=None, dropout_keys=None):
        del variables
        self.seen.append((x, t, labels, dropout_keys is not None))
        return jnp.full_like(x, self.answer)


def degrade():
    return cd.gaussian_mask(SIZE, T * [2.0], center="random")


def losses(objective, network, batch):
    keys = indexed_keys(stream(0, "test"), jnp.arange(NUMBER))
    return objective.losses(network, {}, degrade(), batch, keys)


def white(**fields):
    return Batch(np.full((NUMBER, SIZE, SIZE, 1), 255, np.uint8), **fields)


def test_the_default_loss_is_the_mean_distance_of_one_prediction():
    network = Network(answer=0.5)
    found = losses(Objective(), network, white())
    np.testing.assert_allclose(found, np.full(NUMBER, 0.5))
    ((x_t, t, labels, dropout),) = network.seen
    assert labels is None and dropout
    assert set(np.asarray(t).tolist()) == {1, 2, 3, 4}
    assert len({x.tobytes() for x in np.asarray(x_t)}) > 100
    squared = losses(Objective(distance=jnp.square), Network(answer=0.5), white())
    np.testing.assert_allclose(squared, np.full(NUMBER, 0.25))


def test_the_target_can_be_the_step_before_without_its_noise():
    """x_t = A_t x_0 + sigma z, and the loss is (R(x_t, t) - A_{t-1} x_0)^2."""
    images = np.random.default_rng(0).integers(0, 256, (NUMBER, SIZE, SIZE, 1))
    batch = Batch(images.astype(np.uint8))
    blur = cd.heat_blur(SIZE, [0.5, 1.0, 2.0, 4.0])
    network = Network(answer=0.2)
    keys = indexed_keys(stream(0, "test"), jnp.arange(NUMBER))
    objective = Objective(distance=jnp.square, target="previous")
    noisy = cd.noisy(blur, T * [0.02])
    found = objective.losses(network, {}, noisy, batch, keys)
    ((x_t, t, *_),) = network.seen
    x_0 = images / 127.5 - 1
    z = np.asarray(x_t - blur(jnp.asarray(x_0, jnp.float32), t)) / 0.02
    assert abs(z.mean()) < 0.03 and abs(z.std() - 1) < 0.03
    for i, step in enumerate(np.asarray(t)):
        y = blur(jnp.asarray(x_0[i : i + 1], jnp.float32), int(step) - 1)
        np.testing.assert_allclose(found[i], ((0.2 - y) ** 2).mean(), rtol=1e-4)
        if step == 1:
            loss = ((0.2 - x_0[i]) ** 2).mean()
            np.testing.assert_allclose(found[i], loss, rtol=1e-4)


def test_the_step_before_a_random_mask_has_the_same_mask():
    network = Network(answer=0.0)
    found = losses(Objective(target="previous"), network, white())
    t = np.asarray(network.seen[0][1])
    keys = split_keys(indexed_keys(stream(0, "test"), jnp.arange(NUMBER)), 7)
    ones = jnp.ones((NUMBER, SIZE, SIZE, 1))
    masks = bind(degrade(), keys[1], ones.shape, None)
    np.testing.assert_allclose(
        found, masks(ones, t - 1).mean(axis=(1, 2, 3)), atol=1e-6
    )


def test_weights_multiply_the_losses_of_their_steps():
    network = Network(answer=0.0)
    found = losses(Objective(weights=(1.0, 2.0, 0.5, 4.0)), network, white())
    t = np.asarray(network.seen[0][1])
    np.testing.assert_allclose(found, np.array([1.0, 2.0, 0.5, 4.0])[t - 1])


def test_steps_are_drawn_as_often_as_their_frequencies_say():
    network = Network()
    frequencies = (0.0, 1.0, 3.0, 0.0)
    losses(Objective(frequencies=frequencies), network, white())
    counts = np.bincount(np.asarray(network.seen[0][1]), minlength=T + 1)
    assert counts[[0, 1, 4]].sum() == 0 and counts.sum() == NUMBER
    assert abs(counts[2] - NUMBER / 4) < 4 * np.sqrt(NUMBER * 3 / 16)


def test_steps_are_drawn_by_the_probabilities_of_a_schedule():
    probabilities = cd.schedules.logit_normal(8, mean=0.5)
    keys = indexed_keys(stream(0, "test"), jnp.arange(20_000))
    t = np.asarray(draw_steps_by_frequency(keys, 5 * probabilities))
    found = np.bincount(t, minlength=9)[1:] / len(t)
    error = np.sqrt(probabilities * (1 - probabilities) / len(t))
    assert (np.abs(found - probabilities) < 4 * error).all()


def test_frequencies_that_are_negative_or_all_zero_raise():
    with pytest.raises(ValueError, match="frequencies must not be negative, got -1"):
        Objective(frequencies=(1.0, -1.0))
    with pytest.raises(ValueError, match="frequencies must not all be 0"):
        Objective(frequencies=(0.0, 0.0))


def test_the_loss_of_a_velocity_is_that_of_flow_matching():
    """Liu et al. (2022), equation 1: |F - (z - x_0)|^2, F = v(x_t, t)."""
    number, steps = 32, 5
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (number, SIZE, SIZE, 1), np.uint8)
    fractions = np.arange(1, steps + 1) / steps
    flow = cd.blend(1 - fractions, fractions)
    network = Network(answer=0.3)
    objective = Objective(
        distance=jnp.square, weights=tuple(cd.schedules.power(steps, exponent=-2))
    )
    scales = velocity_scales(flow)

    class Velocity:
        def apply(self, variables, x, t, **options):
            F = network.apply(variables, x, t, **options)
            r = jnp.asarray(scales.output)[t - 1][:, None, None, None]
            return x + r * F

    keys = indexed_keys(stream(0, "test"), jnp.arange(number))
    found = objective.losses(Velocity(), {}, flow, Batch(images), keys)
    ((x_t, t, *_),) = network.seen
    x_0 = images / 127.5 - 1
    tau = (np.asarray(t) / steps)[:, None, None, None]
    z = (np.asarray(x_t, np.float64) - (1 - tau) * x_0) / tau
    expected = ((0.3 - (z - x_0)) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_noise_is_added_to_the_input_only_and_has_the_given_deviation():
    plain, noisy = Network(), Network()
    before = losses(Objective(), plain, white())
    after = losses(Objective(input_noise=0.1), noisy, white())
    np.testing.assert_array_equal(before, after)
    noise = np.asarray(noisy.seen[0][0] - plain.seen[0][0])
    assert abs(noise.std() - 0.1) < 0.003 and abs(noise.mean()) < 0.003
    assert len({x.tobytes() for x in noise}) == NUMBER


def test_consistent_predictions_only_leave_the_network_what_was_lost():
    network = Network(answer=0.5)
    found = losses(Objective(consistent_noise=(0.01, 0.01)), network, white())
    ((z, t, *_),) = network.seen
    keys = split_keys(indexed_keys(stream(0, "test"), jnp.arange(NUMBER)), 7)
    ones = jnp.ones((NUMBER, SIZE, SIZE, 1))
    mask = np.asarray(bind(degrade(), keys[1], ones.shape, None)(ones, t))
    x_t = (mask**2 + (0.01 / 0.1) ** 2) / np.maximum(mask, 1e-9) * z  # z = W x_t.
    seen = mask > 1e-3
    assert abs(np.std((x_t - mask)[seen]) - 0.01) < 2e-4  # The noise.
    change = mask / (mask**2 + (0.01 / 0.03) ** 2) * (x_t - 0.5 * mask)
    errors = np.abs(0.5 + np.where(seen, change, 0.0) - 1)
    np.testing.assert_allclose(found, errors.mean(axis=(1, 2, 3)), atol=1e-4)


def test_noise_levels_fill_their_range():
    keys = indexed_keys(stream(0, "test"), jnp.arange(2000))
    levels = np.asarray(draw_noise_levels(keys, (0.01, 0.16)))
    assert 0.01 <= levels.min() < 0.0102 and 0.157 < levels.max() <= 0.16
    octaves = np.histogram(np.log2(levels / 0.01), bins=4, range=(0, 4))[0]
    assert (np.abs(octaves - 500) < 80).all()


def test_the_given_fraction_of_labels_is_dropped():
    labels = np.arange(NUMBER, dtype=np.int32) % 3
    for fraction in (0.0, 0.3, 1.0):
        network = Network()
        losses(Objective(label_dropout=fraction), network, white(labels=labels))
        shown = np.asarray(network.seen[0][2])
        assert (shown[shown != 3] == labels[shown != 3]).all()
        assert abs((shown == 3).mean() - fraction) < 0.1


def test_a_rollout_is_one_step_of_algorithm_2_from_a_later_step():
    x_0 = jax.random.normal(jax.random.key(0), (5, SIZE, SIZE, 1))
    bound = degrade().bind(jax.random.key(1), x_0.shape)
    later, t = jnp.array([4, 4, 3, 4, 2]), jnp.array([1, 3, 2, 4, 2])

    def restore_fn(x, t):
        return 0.5 * x + 0.1 * t[:, None, None, None]

    found = roll_out(restore_fn, bound, x_0, later, t)
    for i in range(3):  # The other examples do not move.
        trajectory = cd.sample_alg2(
            restore_fn,
            bound,
            bound(x_0, later[i]),
            timesteps=np.array([later[i], t[i], 0]),
            return_trajectory=True,
        ).trajectory
        np.testing.assert_allclose(found[i], trajectory[1][i], atol=1e-6)
    np.testing.assert_allclose(found[3:], bound(x_0, t)[3:], atol=1e-6)


def test_with_a_perfect_restorer_rollouts_equal_degraded_images():
    x_0 = jax.random.normal(jax.random.key(0), (5, SIZE, SIZE, 1))
    bound = degrade().bind(jax.random.key(1), x_0.shape)
    later, t = jnp.full(5, 4), jnp.array([1, 2, 3, 1, 2])
    found = roll_out(lambda x, t: x_0, bound, x_0, later, t)
    np.testing.assert_allclose(found, bound(x_0, t), atol=1e-6)


def test_rollouts_replace_the_given_fraction_of_inputs_but_never_at_the_last_step():
    plain = Network()
    losses(Objective(), plain, white())
    for fraction, low, high in ((0.5, 0.3, 0.7), (1.0, 1.0, 1.0)):
        network = Network(answer=-1.0)  # Far from white, so that every rollout differs.
        losses(Objective(rollouts=fraction), network, white())
        (_, later, _, dropout), (x_t, t, _, with_dropout) = network.seen
        assert with_dropout and not dropout  # Samplers use no dropout.
        t, later = np.asarray(t), np.asarray(later)
        assert (later[t < T] > t[t < T]).all() and (later[t == T] == T).all()
        differs = np.abs(x_t - plain.seen[0][0]).max(axis=(1, 2, 3)) > 1e-6
        assert low <= differs[t < T].mean() <= high
        assert not differs[t == T].any()


def test_no_gradient_flows_through_the_rollout():
    keys = indexed_keys(stream(0, "test"), jnp.arange(8))
    batch = Batch(np.full((8, SIZE, SIZE, 1), 255, np.uint8))

    class Linear:
        def apply(self, variables, x, t, *, dropout_keys=None):
            w = variables["params"]
            # The call of the sampler has no dropout.
            return w * jnp.ones_like(x) if dropout_keys is None else 0.0 * x

    gradient = jax.grad(
        lambda w: (
            Objective(rollouts=1.0).losses(Linear(), w, degrade(), batch, keys).sum()
        )
    )(0.3)
    assert gradient == 0


def test_bind_gives_a_blend_its_endpoints():
    blend = cd.animorph(cd.schedules.cosine(4))
    endpoints = np.zeros((2, SIZE, SIZE, 1), np.uint8)
    keys = indexed_keys(stream(0, "test"), jnp.arange(2))
    x = jnp.ones((2, SIZE, SIZE, 1))
    bound = bind(blend, keys, x.shape, endpoints)
    expected = blend.with_endpoint(-jnp.ones((1, 1, 1, 1)))(x, 3)
    np.testing.assert_allclose(bound(x, 3), expected, atol=1e-6)


def test_bind_adds_the_noise_of_endpoints():
    blend = cd.animorph(cd.schedules.cosine(4), endpoint_noise=0.5)
    endpoints = np.full((200, SIZE, SIZE, 1), 255, np.uint8)
    keys = indexed_keys(stream(0, "test"), jnp.arange(200))
    noise = bind(blend, keys, endpoints.shape, endpoints).endpoint - 1
    assert noise.std() == pytest.approx(0.5, rel=0.05)
    assert np.abs(noise.mean(axis=(1, 2, 3))).min() > 0  # Not shared by the images.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_noise": -0.1}, "input_noise must not be negative, got -0.1"),
        ({"rollouts": 2}, r"rollouts must lie in 0\.\.1, got 2"),
        ({"target": "next"}, "target must be one of .*'previous'.*, got 'next'"),
        ({"compare": "images"}, "compare must be one of .*'degraded'.* got 'images'"),
        ({"label_dropout": -1}, r"label_dropout must lie in 0\.\.1, got -1"),
    ],
)
def test_invalid_options_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        Objective(**arguments)
