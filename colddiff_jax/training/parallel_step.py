"""Training steps on the devices of all processes."""

from typing import Any

import jax

from colddiff_jax import devices
from colddiff_jax.training.batches import gather
from colddiff_jax.training.step import TrainStep


def parallel_train_step(train_step: TrainStep) -> TrainStep:
    """Runs training steps with `pmap`, each device on its shard of the batch.

    The state has no device axis: it is the same on every device, and its old buffers
    are donated. All results of a step must be equal on all devices; `pmap` does not
    check this, `devices.assert_replicated` does. Devices are numbered process by
    process. With several processes, the sum over devices may be rounded differently.

    Args:
        train_step: from `make_train_step`; averages over the axis it is given.

    Returns:
        `steps(state, resident, batches, degrade, key)`, which takes K steps without
        returning to the host, one for each of the batches from `devices.shard_steps`.
        It returns the new state and the metrics of every step, [K]. If `resident` is a
        `Batch` of all images, `batches` holds indices into it instead of images.
    """

    def steps(
        state: Any, resident: Any, batches: Any, degrade: Any, key: jax.Array
    ) -> Any:
        def step(state: Any, batch: Any) -> Any:
            if resident is not None:
                batch = gather(resident, batch)
            return train_step(state, batch, degrade, key, axis_name=devices.AXIS)

        return jax.lax.scan(step, state, batches)

    return jax.pmap(
        steps,
        axis_name=devices.AXIS,
        in_axes=(None, None, 0, None, None),
        out_axes=None,
        donate_argnums=0,
    )
