"""One optimizer step, on one device and on four."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import colddiff_jax as cd
from colddiff_jax import devices
from colddiff_jax.data import Batch, Preprocessing
from colddiff_jax.prng import stream
from colddiff_jax.training import step
from colddiff_jax.training.objective import Objective
from colddiff_jax.training.optimizers import make_optimizer, warmup_ema
from colddiff_jax.training.parallel_step import parallel_train_step
from colddiff_jax.training.state import TrainState
from tests.networks import random_parameters, tiny_unet

SIZE = 16
PREPROCESSING = Preprocessing(image_size=SIZE, pad=1, flip=True)


def make_degrade(seed=0):
    # Unbound: the step itself draws new masks.
    return cd.gaussian_mask(SIZE, 6 * [2.0 + seed], center="random")


@pytest.fixture(scope="module")
def model():
    return tiny_unet()


@pytest.fixture(scope="module")
def optimizer():
    return make_optimizer(learning_rate=1e-3, warmup_steps=0)


@pytest.fixture
def state(model, optimizer):
    params = random_parameters(model, (SIZE, SIZE, 1))
    average = jax.tree.map(jnp.copy, params)
    return TrainState(jnp.zeros((), jnp.int32), params, average, optimizer.init(params))


@pytest.fixture(scope="module")
def train_step(model, optimizer):
    return make_step(model, optimizer)


def make_step(model, optimizer, micro_batches=1, **objective):
    return step.make_train_step(
        model,
        optimizer,
        warmup_ema(decay=0.9),
        Objective(**objective),
        PREPROCESSING,
        micro_batches,
    )


def batch(seed=0):
    shape = (8, SIZE, SIZE, 1)
    rng = np.random.default_rng(seed)
    return Batch(rng.integers(0, 256, shape, dtype=np.uint8))


def sharded(*batches):
    """Returns batches for consecutive steps, sharded over the devices."""
    return jax.tree.map(lambda *x: devices.shard_steps(np.stack(x)), *batches)


def run_parallel(train_step, state, *batches, degrade=None, resident=None):
    degrade, replicated_key = devices.replicate((degrade or make_degrade(), key()))
    run = parallel_train_step(train_step)
    return run(
        # A copy: a replicated state would itself be donated.
        devices.replicate(jax.tree.map(jnp.copy, state)),
        resident,
        sharded(*batches),
        degrade,
        replicated_key,
    )


def key():
    return stream(0, "train")


def test_a_step_is_adam_on_the_mean_loss_followed_by_the_average(
    model, optimizer, train_step, state
):
    """An independent implementation, with the random draws of the step."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(
        jax.random.fold_in(key(), 0), jnp.arange(8)
    )
    crop_keys, _, keys = jax.vmap(lambda k: tuple(jax.random.split(k, 3)))(keys)
    t_keys, degrade_keys, _, _, _, _, dropout_keys = jax.vmap(
        lambda k: tuple(jax.random.split(k, 7))
    )(keys)
    t = jax.vmap(lambda k: jax.random.randint(k, (), 1, 7))(t_keys)
    x_0 = cd.to_float(PREPROCESSING.augment(crop_keys, batch().images))
    degrade = make_degrade().bind(degrade_keys, x_0.shape)
    x_t = degrade(x_0, t)

    @jax.jit
    def loss_and_gradient(params):
        def loss(params):
            variables = {"params": params}
            x0_hat = model.apply(variables, x_t, t, dropout_keys=dropout_keys)
            return jnp.abs(x0_hat - x_0).mean()

        return jax.value_and_grad(loss)(params)

    loss, gradient = loss_and_gradient(state.params)
    updates, _ = optimizer.update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    new, metrics = jax.jit(train_step)(state, batch(), make_degrade(), key())
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(
        metrics["gradient_norm"], optax.tree.norm(gradient), rtol=1e-4
    )
    chex.assert_trees_all_close(new.params, params, atol=2e-5)
    average = jax.tree.map(lambda old, new: 0.1 * old + 0.9 * new, state.params, params)
    chex.assert_trees_all_close(new.ema_params, average, atol=2e-5)
    assert new.step == 1


def test_four_devices_equal_one_up_to_rounding_and_share_one_state(train_step, state):
    assert jax.local_device_count() == 4
    alone, loss = state, []
    jitted = jax.jit(train_step)
    for i in range(3):
        alone, metrics = jitted(alone, batch(i), make_degrade(), key())
        loss.append(float(metrics["loss"]))
    pmapped = parallel_train_step(train_step)
    shared = devices.replicate(state)
    degrade, replicated_key = devices.replicate((make_degrade(), key()))
    for i in range(3):
        shared, metrics = pmapped(
            shared, None, sharded(batch(i)), degrade, replicated_key
        )
        np.testing.assert_allclose(metrics["loss"], [loss[i]], rtol=1e-5)
        devices.assert_replicated((shared, metrics))
    # Adam divides by the root of tiny second moments, which amplifies rounding errors
    # to a hundredth of the total update, about 3e-3.
    chex.assert_trees_all_close(shared.params, alone.params, atol=3e-5)
    chex.assert_trees_all_close(shared.ema_params, alone.ema_params, atol=3e-5)


def test_gradients_on_four_devices_equal_those_on_one_up_to_rounding(model, state):
    """With plain gradient descent, the updates differ only as the gradients do."""
    descend = make_step(model, optax.sgd(1.0))
    state = state.replace(opt_state=optax.sgd(1.0).init(state.params))
    alone, _ = jax.jit(descend)(state, batch(), make_degrade(), key())
    shared, _ = run_parallel(descend, state, batch())
    chex.assert_trees_all_close(shared.params, alone.params, atol=1e-6)


def test_micro_batches_on_four_devices_take_the_same_step_up_to_rounding(model, state):
    optimizer = optax.sgd(1.0)
    state = state.replace(opt_state=optimizer.init(state.params))
    whole = make_step(model, optimizer)
    alone, expected = jax.jit(whole)(state, batch(), make_degrade(), key())
    parts = make_step(model, optimizer, micro_batches=4)
    in_parts, found = jax.jit(parts)(state, batch(), make_degrade(), key())
    two = make_step(model, optimizer, micro_batches=2)
    shared, _ = run_parallel(two, state, batch())
    for new in (in_parts, shared):
        chex.assert_trees_all_close(new.params, alone.params, atol=1e-6)
    chex.assert_trees_all_close(found, expected, rtol=1e-5)


def test_a_missing_average_over_devices_is_detected():
    without_mean = jax.pmap(lambda x: x.sum(), axis_name="batch", out_axes=None)
    value = without_mean(np.arange(8.0).reshape(4, 2))
    with pytest.raises(AssertionError, match="differs between device 0 and 1"):
        devices.assert_replicated({"loss": value})


def test_every_step_and_example_draws_its_own_t_and_mask(model, state):
    """A network that only records its inputs shows the draws."""
    seen = []

    class Recorder(type(model)):
        def apply(self, variables, x_t, t, *, dropout_keys):
            jax.debug.callback(lambda t, x: seen.append((t, x)), t, x_t)
            return 0 * x_t + jax.tree.leaves(variables)[0].mean()

    recorder = Recorder()
    run = make_step(recorder, optax.sgd(0.0))
    state = state.replace(opt_state=optax.sgd(0.0).init(state.params))
    white = Batch(np.full((8, SIZE, SIZE, 1), 255, np.uint8))
    for _ in range(60):
        state, _ = jax.jit(run)(state, white, make_degrade(), key())
    jax.effects_barrier()
    steps = np.concatenate([t for t, _ in seen])
    assert set(steps.tolist()) == set(range(1, 7))  # Not 0, a clean image.
    counts = np.bincount(steps, minlength=7)[1:]
    assert counts.min() > 50 and counts.max() < 110  # 80 each are expected.
    masks = {x.tobytes() for _, batch_x in seen for x in batch_x}
    assert len(masks) > 400


def test_a_second_call_with_new_arguments_does_not_recompile(train_step, state):
    run = parallel_train_step(chex.assert_max_traces(train_step, n=1))
    state = devices.replicate(state)
    for seed in range(3):
        degrade, replicated_key = devices.replicate(
            (make_degrade(seed), stream(seed, "train"))
        )
        state, _ = run(state, None, sharded(batch(seed)), degrade, replicated_key)


def test_the_old_state_is_donated(train_step, state):
    run = parallel_train_step(train_step)
    old = devices.replicate(state)
    degrade, replicated_key = devices.replicate((make_degrade(), key()))
    run(old, None, sharded(batch()), degrade, replicated_key)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(old))


def test_the_program_keeps_its_state_in_place(train_step, state):
    """The new state takes the memory of the old one."""
    run = parallel_train_step(train_step)
    degrade, replicated_key = devices.replicate((make_degrade(), key()))
    old = devices.replicate(state)
    compiled = run.lower(old, None, sharded(batch()), degrade, replicated_key).compile()
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    assert compiled.memory_analysis().alias_size_in_bytes >= size


def test_two_steps_in_one_call_equal_two_calls_up_to_rounding(model, state):
    descend = make_step(model, optax.sgd(1.0))
    state = state.replace(opt_state=optax.sgd(1.0).init(state.params))
    expected, losses = state, []
    for i in range(2):
        expected, metrics = run_parallel(descend, expected, batch(i))
        losses += metrics["loss"].tolist()
    found, metrics = run_parallel(descend, state, batch(0), batch(1))
    assert found.step == 2
    np.testing.assert_allclose(metrics["loss"], losses, rtol=1e-5)
    chex.assert_trees_all_close(found.params, expected.params, atol=1e-6)


def test_resident_and_streamed_images_give_the_same_step_bit_for_bit(train_step, state):
    images = np.random.default_rng(5).integers(0, 256, (20, SIZE, SIZE, 1), np.uint8)
    indices = np.random.default_rng(6).permutation(20)[:8]
    streamed, _ = run_parallel(train_step, state, Batch(images[indices]))
    resident = devices.replicate(Batch(images))
    gathered, _ = run_parallel(train_step, state, Batch(indices), resident=resident)
    chex.assert_trees_all_equal(streamed, gathered)


def test_a_batch_size_that_does_not_divide_evenly_raises():
    for size in (6, 0, -4):
        with pytest.raises(
            cd.InputError, match=f"multiple of the 4 devices, got {size}"
        ):
            devices.check_batch_size("training.batch_size", size, 4)
    with pytest.raises(cd.InputError, match="devices times 3 micro-batches, got 16"):
        devices.check_batch_size("training.batch_size", 16, 4, micro_batches=3)


def test_a_gradient_whose_norm_overflows_is_skipped(model, state):
    adam = make_optimizer(learning_rate=1e-3, warmup_steps=0)
    optimizer = optax.apply_if_finite(adam, 2)
    state = state.replace(opt_state=optimizer.init(state.params))
    # Every entry is finite, but its square is not.
    huge = make_step(model, optimizer, weights=(1e22,) * 6)
    after, metrics = jax.jit(huge)(state, batch(), make_degrade(), key())
    assert jnp.isfinite(metrics["loss"]) and jnp.isinf(metrics["gradient_norm"])
    chex.assert_trees_all_equal(after.params, state.params)
    assert after.opt_state.notfinite_count == 1
