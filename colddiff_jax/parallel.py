"""All that knows about devices and processes: what is pmapped, and on which arrays.

Processes that train together run the same program. Each has the whole state on its own
devices, and its own share of every batch: every array is local to its process.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from colddiff_jax.errors import InputError

if TYPE_CHECKING:
    from colddiff_jax.training.step import TrainStep

_AXIS = "batch"


def num_processes() -> int:
    """How many processes train together."""
    return jax.process_count()


def process_index() -> int:
    """The number of this process, and of its share of a batch."""
    return jax.process_index()


def is_main_process() -> bool:
    """Whether this process is the one that prints, and writes what all share."""
    return process_index() == 0


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process; all must ask, in the same order.

    The answer comes after all that the devices were given before: with several
    processes, asking at every step makes every step wait for the one before.
    """
    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def check_agreement(what: str, number: int) -> None:
    """Waits for all processes, and raises InputError unless they have one number."""
    number = number % 2**31  # JAX gathers integers of 32 bits.
    found = multihost_utils.process_allgather(np.int32(number)).ravel()
    if (found != number).any():
        raise InputError(
            f"the processes of this run do not see the same {what}: they have "
            f"{found.tolist()}; start all of them with the same arguments, on a"
            " file system that they share"
        )


def parallel_train_step(train_step: "TrainStep") -> "TrainStep":
    """Runs training steps on the devices of all processes, each on its share.

    The state goes in and comes out without a device axis, the same on every device, and
    its old buffers are donated. Whatever leaves the step must be equal on all devices:
    pmap does not check it, `assert_replicated` does. The devices are numbered process
    by process. The sum over devices of several processes may be rounded differently.

    Args:
        train_step: from `make_train_step`; averages over the axis it is told.

    Returns:
        `steps(state, resident, batches, degrade, key)`, which takes one step for each
        of the batches from `shard_steps`, without the host. It returns the new state
        and the metrics of every step, [K]. With `resident`, a `Batch` of all images,
        `batches` holds numbers of images instead of images.
    """
    from colddiff_jax.training.feed import take

    def steps(
        state: Any, resident: Any, batches: Any, degrade: Any, key: jax.Array
    ) -> Any:
        def step(state: Any, batch: Any) -> Any:
            if resident is not None:
                batch = take(resident, batch)
            return train_step(state, batch, degrade, key, axis_name=_AXIS)

        return scan(step, state, batches)

    return jax.pmap(
        steps,
        axis_name=_AXIS,
        in_axes=(None, None, 0, None, None),
        out_axes=None,
        donate_argnums=0,
    )


def scan(
    step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any
) -> tuple[Any, Any]:
    """`jax.lax.scan` of training steps, which on CPUs is written out without a loop.

    Inside a loop XLA for CPUs does not bring convolutions into the form that its fast
    routines take, and the gradient of a convolution is far slower.
    """
    length = len(jax.tree.leaves(xs)[0])
    if length > 1 and jax.default_backend() != "cpu":
        return jax.lax.scan(step, carry, xs)
    step = jax.jit(step)  # Traced once, however many there are.
    results = []
    for i in range(length):
        carry, result = step(carry, jax.tree.map(lambda x: x[i], xs))  # noqa: B023
        results.append(result)
    return carry, jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)


def over_devices(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Runs function(shared, share) on every device of this process, on its share."""
    # Without `devices` all processes would have to call it together.
    return jax.pmap(function, in_axes=(None, 0), devices=jax.local_devices())


def num_devices() -> int:
    """How many devices share a training batch, in all processes."""
    return jax.device_count()


def num_local_devices() -> int:
    """How many devices this process has."""
    return jax.local_device_count()


def replicate(tree: Any) -> Any:
    """Puts a copy of every array on every local device, once for all calls."""
    return jax.device_put(tree, _replicated(jax.local_devices()))


def replicated_like(tree: Any) -> Any:
    """The shapes and types of a tree, to be restored onto every local device."""
    sharding = _replicated(jax.local_devices())
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
    )


def shard(batch: np.ndarray, num_devices: int) -> np.ndarray:
    """Splits a batch [B, ...] into shares [num_devices, B / num_devices, ...]."""
    return batch.reshape(num_devices, -1, *batch.shape[1:])


def shard_steps(batches: np.ndarray) -> jax.Array:
    """Splits this process's share of the batches of K steps over its devices.

    Args:
        batches: [K, B, ...].

    Returns:
        [num_local_devices, K, B / num_local_devices, ...].
    """
    devices = jax.local_devices()
    shares = batches.reshape(len(batches), len(devices), -1, *batches.shape[2:])
    mesh = Mesh(np.asarray(devices), (_AXIS,))
    return jax.device_put(
        shares.swapaxes(0, 1), NamedSharding(mesh, PartitionSpec(_AXIS))
    )


def unshard(shares: jax.Array) -> np.ndarray:
    """Puts the shares of all devices together again, on the host, as [B, ...]."""
    return np.asarray(shares).reshape(-1, *shares.shape[2:])


def check_batch_size(
    name: str, batch_size: int, num_devices: int, micro_batches: int = 1
) -> None:
    """Raises InputError unless the batch divides evenly into micro-batches."""
    if batch_size < 1 or batch_size % (num_devices * micro_batches):
        each = f" times {micro_batches} micro-batches" if micro_batches > 1 else ""
        raise InputError(
            f"{name} must be a positive multiple of the {num_devices} devices{each}, "
            f"got {batch_size}"
        )


def assert_replicated(tree: Any) -> None:
    """Raises AssertionError unless every device of all processes has the same bits.

    An array's own `is_fully_replicated` only repeats what was promised.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    copies = ((np.asarray(s.data) for s in x.addressable_shards) for _, x in leaves)
    local = [[zlib.crc32(copy.tobytes()) for copy in row] for row in copies]
    gathered = multihost_utils.process_allgather(np.array(local, np.uint32))
    for (path, _), sums in zip(leaves, np.concatenate(gathered, axis=1), strict=True):
        (others,) = np.nonzero(sums != sums[0])
        if len(others):
            name = jax.tree_util.keystr(path)
            raise AssertionError(f"{name} differs between device 0 and {others[0]}")


def _replicated(devices: Sequence[jax.Device]) -> NamedSharding:
    return NamedSharding(Mesh(np.asarray(devices), (_AXIS,)), PartitionSpec())
