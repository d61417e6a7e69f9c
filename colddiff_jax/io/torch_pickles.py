"""Unpickles the tensors that PyTorch pickled, without running any code of the pickle.

A pickle can call any function; this reader allows the few that tensors need and rejects
all others. It also never allocates more memory than the file fills: a tensor is a view
of its storage, however many tensors share it.
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

from colddiff_jax.checks import InputError

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
    """Unpickles tensors, ordered dictionaries and plain values, and nothing else.

    Args:
        pickled: one complete pickle.
        path: the file it comes from, for error messages.
        read: maps the key of a storage to its bytes.
    """

    def __init__(self, pickled: bytes, path: str, read: Callable[[str], bytes]):
        super().__init__(io.BytesIO(pickled))
        self._path, self._read = path, read
        self._storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Returns one of the few classes and functions that tensors need."""
        if module == "torch" and name in _DTYPES:
            return _StorageType(np.dtype(_DTYPES[name]))
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _Call(self.rebuild_tensor),
            ("torch._utils", "_rebuild_parameter"): _Call(_rebuild_parameter),
        }
        if (module, name) not in known:
            raise InputError(
                f"{self._path!r} holds {module}.{name}, which is neither a tensor nor "
                "a plain value; it was not run"
            )
        return known[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Returns the elements of a storage, one-dimensional."""
        # The zip format omits the last of the six items.
        kind, storage_type, key, _, size, *view = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise pickle.UnpicklingError(
                f"unexpected reference: a {type(kind).__name__}"
            )
        if any(part is not None for part in view):
            raise pickle.UnpicklingError(f"storage {key} is a view of another")
        return self.storage(key, storage_type.dtype, size)

    def storage(self, key: str, dtype: np.dtype, size: int) -> Any:
        """Returns at least `size` elements, read-only."""
        if key not in self._storages:  # Several tensors may share a storage.
            self._storages[key] = np.frombuffer(self._read(key), dtype)
        storage = self._storages[key]
        if len(storage) < size:
            raise pickle.UnpicklingError(
                f"storage {key} has {len(storage)} elements instead of {size}"
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
        """Returns a tensor as an array, a view of its storage."""
        del rest  # Whether the tensor requires gradients, and its hooks.
        steps = zip(shape, strides, strict=True)
        last = offset + sum((n - 1) * step for n, step in steps)
        size = math.prod(shape)
        negative = min((offset, *shape, *strides)) < 0
        if negative or (size and last >= len(storage)):
            raise pickle.UnpicklingError(
                f"a tensor of shape {shape} exceeds its storage"
            )
        if size > len(storage):
            raise pickle.UnpicklingError(
                f"a tensor of shape {shape} repeats elements of its storage"
            )
        return np.lib.stride_tricks.as_strided(
            storage[offset:], shape, [step * storage.itemsize for step in strides]
        )


class DtypeUnpickler(TensorUnpickler):
    """Collects the dtype of every storage without making any tensors.

    Attributes:
        dtypes: the dtypes by storage key.
    """

    def __init__(self, pickled: bytes, path: str):
        super().__init__(pickled, path, lambda key: b"")
        self.dtypes: dict[str, np.dtype] = {}

    def storage(self, key: str, dtype: np.dtype, size: int) -> None:
        """Records the dtype."""
        del size
        if self.dtypes.setdefault(key, dtype) != dtype:
            raise pickle.UnpicklingError(f"storage {key} has two dtypes")

    def rebuild_tensor(self, *arguments: Any) -> None:
        """Makes no tensor."""


class _Call:
    """A function that a pickle may call, but not modify."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]):
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it modifies a function")


def _rebuild_parameter(data: np.ndarray, *rest: Any) -> np.ndarray:
    del rest
    return data


def end_of_pickle(content: bytes, start: int = 0) -> int:
    """Returns the end of the pickle that begins at `start`, without running it.

    Raises:
        ValueError: this is not a pickle, or it would allocate more memory than it
            fills.
    """
    stream = io.BytesIO(content)
    stream.seek(start)
    for index, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        # A memo index beyond the number of opcodes would only inflate the memo.
        if "PUT" in opcode.name and argument is not None and argument > index:
            raise ValueError(f"memo index {argument} of {opcode.name} is too large")
    return stream.tell()
