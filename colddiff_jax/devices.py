"""Devices and processes: replicating arrays, sharding batches, agreeing on a value.

Processes that train together run the same program. Each holds the whole state on its
own devices and its own shard of every batch: every array is local to its process.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from colddiff_jax.checks import InputError

AXIS = "batch"
"""The name of the axis that a batch is sharded over."""


def platform_problem() -> str | None:
    """Says why JAX has no devices on the platform it is told to use, or returns None.

    Example:
        >>> platform_problem() is None
        True
    """
    try:
        jax.devices()
    # A RuntimeError, or for cuda without its plugin an AssertionError without words.
    except (RuntimeError, AssertionError) as error:
        config: Any = jax.config  # Its type hints lack the options.
        reason = " ".join(str(error).split()).partition(" (set JAX_PLATFORMS")[0]
        return (
            f"JAX finds no devices of JAX_PLATFORMS={config.jax_platforms}"
            f"{reason and f' ({reason})'}; install JAX for them, such as jax[cuda12], "
            "or unset JAX_PLATFORMS"
        )
    return None


def num_processes() -> int:
    """Returns the number of processes that train together."""
    return jax.process_count()


def process_index() -> int:
    """Returns the index of this process and of its shard of a batch."""
    return jax.process_index()


def is_main_process() -> bool:
    """Whether this is the process that prints and writes the shared files."""
    return process_index() == 0


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process; all must call this in the same order.

    The result arrives after all work queued before it: with several processes, calling
    this at every step makes each step wait for the previous one.
    """
    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def check_agreement(what: str, number: int) -> None:
    """Waits for all processes; raises InputError unless all pass the same number."""
    number = number % 2**31  # JAX gathers 32-bit integers.
    numbers = multihost_utils.process_allgather(np.int32(number)).ravel()
    if (numbers != number).any():
        raise InputError(
            f"the processes of this run do not have the same {what}: "
            f"{numbers.tolist()}; start all of them with the same arguments, on a "
            "shared file system"
        )


def over_devices(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Maps function(shared, shard) over the devices of this process."""
    # Without `devices`, pmap would span all processes, which would have to call it
    # together.
    return jax.pmap(function, in_axes=(None, 0), devices=jax.local_devices())


def num_devices() -> int:
    """Returns the number of devices of all processes, which share a training batch."""
    return jax.device_count()


def num_local_devices() -> int:
    """Returns the number of devices of this process."""
    return jax.local_device_count()


def replicate(tree: Any) -> Any:
    """Copies every array to every local device, once for all later calls."""
    return jax.device_put(tree, _replicated(jax.local_devices()))


def replicated_like(tree: Any) -> Any:
    """Returns the shapes and dtypes of a tree, to restore it onto all local devices."""
    sharding = _replicated(jax.local_devices())
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
    )


def shard(batch: np.ndarray, num_devices: int) -> np.ndarray:
    """Splits a batch [B, ...] into shards [num_devices, B / num_devices, ...]."""
    return batch.reshape(num_devices, -1, *batch.shape[1:])


def shard_steps(batches: np.ndarray) -> jax.Array:
    """Splits this process's shard of the batches of K steps over its devices.

    Args:
        batches: [K, B, ...].

    Returns:
        [num_local_devices, K, B / num_local_devices, ...].
    """
    devices = jax.local_devices()
    shards = batches.reshape(len(batches), len(devices), -1, *batches.shape[2:])
    mesh = Mesh(np.asarray(devices), (AXIS,))
    return jax.device_put(
        shards.swapaxes(0, 1), NamedSharding(mesh, PartitionSpec(AXIS))
    )


def unshard(shards: jax.Array) -> np.ndarray:
    """Joins the shards of all devices on the host, as [B, ...]."""
    return np.asarray(shards).reshape(-1, *shards.shape[2:])


def divisible(number: int) -> int:
    """Returns a number of images, rounded up to a multiple of the local devices.

    Example:
        >>> divisible(1) == num_local_devices()
        True
    """
    return -(-number // num_local_devices()) * num_local_devices()


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
    """Raises AssertionError unless every device of all processes holds the same bits.

    An array's own `is_fully_replicated` only reports its declared sharding.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    copies = ((np.asarray(s.data) for s in x.addressable_shards) for _, x in leaves)
    local = [[zlib.crc32(copy.tobytes()) for copy in row] for row in copies]
    gathered = multihost_utils.process_allgather(np.array(local, np.uint32))
    for (path, _), sums in zip(leaves, np.concatenate(gathered, axis=1), strict=True):
        (different,) = np.nonzero(sums != sums[0])
        if len(different):
            name = jax.tree_util.keystr(path)
            raise AssertionError(f"{name} differs between device 0 and {different[0]}")


def _replicated(devices: Sequence[jax.Device]) -> NamedSharding:
    return NamedSharding(Mesh(np.asarray(devices), (AXIS,)), PartitionSpec())
