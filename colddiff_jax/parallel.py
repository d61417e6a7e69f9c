"""All that knows about devices: what is pmapped, and where its arguments live."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from colddiff_jax.errors import InputError

if TYPE_CHECKING:
    from colddiff_jax.training.step import TrainStep

_AXIS = "batch"


def parallel_train_step(train_step: "TrainStep") -> "TrainStep":
    """Runs a training step on all local devices, each on its share of the batch.

    The state goes in and comes out without a device axis, the same on every device, and
    its old buffers are donated. Whatever leaves the step must be equal on all devices:
    pmap does not check it, `assert_replicated` does.

    Args:
        train_step: from `make_train_step`; averages over the axis it is told.

    Returns:
        `step(state, batch, degrade, key)` for a batch from `shard`.
    """
    return jax.pmap(
        functools.partial(train_step, axis_name=_AXIS),
        axis_name=_AXIS,
        in_axes=(None, 0, None, None),
        out_axes=None,
        donate_argnums=0,
    )


def over_devices(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Runs function(shared, share) on every device, each with its share of a batch."""
    return jax.pmap(function, in_axes=(None, 0))


def num_devices() -> int:
    """How many devices of this process share a batch."""
    return jax.local_device_count()


def replicate(tree: Any) -> Any:
    """Puts a copy of every array on every device, once, so that no call has to."""
    return jax.device_put(tree, _replicated())


def replicated_like(tree: Any) -> Any:
    """The shapes and types of a tree, to be restored onto every device."""
    sharding = _replicated()
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
    )


def shard(batch: np.ndarray, num_devices: int) -> np.ndarray:
    """Splits a batch [B, ...] into shares [num_devices, B / num_devices, ...]."""
    return batch.reshape(num_devices, -1, *batch.shape[1:])


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
    """Raises AssertionError unless every device holds the same values, bit for bit.

    An array's own `is_fully_replicated` only repeats what was promised.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        first, *others = (np.asarray(s.data) for s in leaf.addressable_shards)
        for device, other in enumerate(others, start=1):
            if first.tobytes() != other.tobytes():
                name = jax.tree_util.keystr(path)
                raise AssertionError(f"{name} differs between device 0 and {device}")


def _replicated() -> NamedSharding:
    mesh = Mesh(np.asarray(jax.local_devices()), (_AXIS,))
    return NamedSharding(mesh, PartitionSpec())
