"""Unpickles what PyTorch pickled of tensors, without running any of it.

A pickle can call any function; this reader knows the handful that tensors need and
refuses all others. Nor does it claim memory that the file does not fill: a tensor is a
view of its storage, however many of them share it.
"""

import collections
import io
import math
import pickle
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from colddiff_jax.errors import InputError

_DTYPES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class _StorageType(NamedTuple):
    dtype: np.dtype


class TensorUnpickler(pickle.Unpickler):
    """Knows tensors and ordered dictionaries, and nothing else that can be called.

    Args:
        pickled: one pickle, whole.
        path: the file it is from, for errors.
        read: gives the bytes of the storage with a key.
    """

    def __init__(self, pickled: bytes, path: str, read: Callable[[str], bytes]):
        super().__init__(io.BytesIO(pickled))
        self._path, self._read = path, read
        self._storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The few names that a checkpoint of tensors needs."""
        if module == "torch" and name in _DTYPES:
            return _StorageType(np.dtype(_DTYPES[name]))
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _Call(self.rebuild_tensor),
            ("torch._utils", "_rebuild_parameter"): _Call(_rebuild_parameter),
        }
        if (module, name) not in known:
            raise InputError(
                f"{self._path!r} holds a {module}.{name}, which is neither a tensor "
                "nor a plain value; nothing of it was run"
            )
        return known[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """The numbers of a storage, one-dimensional."""
        # The zip format leaves out the last of six.
        kind, storage_type, key, _, size, *view = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise pickle.UnpicklingError(f"a reference to a {type(kind).__name__}")
        if any(part is not None for part in view):
            raise pickle.UnpicklingError(f"storage {key} is a part of another")
        return self.storage(key, storage_type.dtype, size)

    def storage(self, key: str, dtype: np.dtype, size: int) -> Any:
        """At least `size` numbers, read-only."""
        if key not in self._storages:  # Several tensors may share one.
            self._storages[key] = np.frombuffer(self._read(key), dtype)
        storage = self._storages[key]
        if len(storage) < size:
            raise pickle.UnpicklingError(
                f"storage {key} has {len(storage)} numbers instead of {size}"
            )
        return storage

    def rebuild_tensor(
        self,
        storage: np.ndarray,
        offset: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        *rest: Any,
    ) -> Any:
        """The array that a tensor was, a view of its storage."""
        del rest  # Whether it needs gradients, and its hooks.
        steps = zip(shape, strides, strict=True)
        last = offset + sum((n - 1) * step for n, step in steps)
        size = math.prod(shape)
        negative = min((offset, *shape, *strides)) < 0
        if negative or (size and last >= len(storage)):
            raise pickle.UnpicklingError(
                f"a tensor of shape {shape} leaves its storage"
            )
        if size > len(storage):
            raise pickle.UnpicklingError(
                f"a tensor of shape {shape} repeats its numbers"
            )
        return np.lib.stride_tricks.as_strided(
            storage[offset:], shape, [step * storage.itemsize for step in strides]
        )


class DtypeUnpickler(TensorUnpickler):
    """Learns which type the numbers of every storage have, and makes no tensors.

    Attributes:
        dtypes: by the keys of the storages.
    """

    def __init__(self, pickled: bytes, path: str):
        super().__init__(pickled, path, lambda key: b"")
        self.dtypes: dict[str, np.dtype] = {}

    def storage(self, key: str, dtype: np.dtype, size: int) -> None:
        """Notes the type."""
        del size
        if self.dtypes.setdefault(key, dtype) != dtype:
            raise pickle.UnpicklingError(f"storage {key} is of two types")

    def rebuild_tensor(self, *arguments: Any) -> None:
        """Makes nothing."""


class _Call:
    """A function that a pickle may call, and can do nothing else to."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]):
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes a function")


def _rebuild_parameter(data: np.ndarray, *rest: Any) -> np.ndarray:
    del rest
    return data


def end_of_pickle(content: bytes, start: int = 0) -> int:
    """Where the pickle that begins at `start` ends, found without running it.

    Raises:
        ValueError: no pickle, or one that claims more memory than it fills.
    """
    stream = io.BytesIO(content)
    stream.seek(start)
    for number, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        if "PUT" in operation.name and argument is not None and argument > number:
            raise ValueError(f"{operation.name} {argument} leaves the file")
    return stream.tell()
