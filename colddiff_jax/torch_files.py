"""Reads the arrays in a PyTorch checkpoint, without PyTorch and without running it.

A checkpoint of `torch.save` is a zip archive of a pickle, which describes nested
dictionaries of tensors, and of their raw numbers. A pickle can call any function; this
reader knows the handful that tensors need and refuses all others.
"""

import collections
import io
import math
import pickle
import pickletools
import zipfile
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
    dtype: Any


def read_torch_file(path: str) -> Any:
    """Reads a checkpoint of `torch.save`.

    Args:
        path: a `.pt` or `.pth` file, in the zip format of PyTorch 1.6 and later.

    Returns:
        What was saved: dictionaries, lists and numbers, with tensors as NumPy arrays.

    Raises:
        InputError: no such file, one that is truncated or damaged or no checkpoint, or
            one that holds anything but tensors and plain values.

    Example:
        >>> read_torch_file("model.pt").keys()
        dict_keys(['step', 'model', 'ema'])
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive, path)
    except FileNotFoundError:
        raise InputError(f"no file {path!r}") from None
    except InputError:
        raise
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(
            f"{path!r} is no checkpoint of torch.save, or is truncated ({error}); "
            "download it again, or save it anew with PyTorch 1.6 or later"
        ) from error
    except Exception as error:  # A pickle can be wrong in more ways than have names.
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{path!r} is damaged ({reason})") from error


def _read(archive: zipfile.ZipFile, path: str) -> Any:
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
        # A few bytes could unpack to more than any memory holds.
        raise InputError(f"{path!r} is compressed, which torch.save never does")
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise InputError(
            f"{path!r} is a zip archive, but no checkpoint of torch.save: it has "
            f"{len(pickles)} entries data.pkl"
        )
    folder = pickles[0].removesuffix("data.pkl")
    order = f"{folder}byteorder"
    if order in archive.namelist() and archive.read(order) != b"little":
        raise InputError(f"{path!r} was saved on a big-endian machine")
    return _Unpickler(archive, folder, path).load()


class _Unpickler(pickle.Unpickler):
    """Knows tensors and ordered dictionaries, and nothing else that can be called."""

    def __init__(self, archive: zipfile.ZipFile, folder: str, path: str):
        content = archive.read(f"{folder}data.pkl")
        _check_lengths(content)
        super().__init__(io.BytesIO(content))
        self._archive, self._folder, self._path = archive, folder, path
        self._storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The few names that a checkpoint of tensors needs."""
        if module == "torch" and name in _DTYPES:
            return _StorageType(_DTYPES[name])
        known = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _Call(_rebuild_tensor),
            ("torch._utils", "_rebuild_parameter"): _Call(_rebuild_parameter),
        }
        if (module, name) not in known:
            raise InputError(
                f"{self._path!r} holds a {module}.{name}, which is neither a tensor "
                "nor a plain value; nothing of it was run"
            )
        return known[module, name]

    def persistent_load(self, pid: Any) -> np.ndarray:
        """The numbers of a storage, one-dimensional."""
        kind, storage_type, key, _, size = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise pickle.UnpicklingError(f"a reference to a {type(kind).__name__}")
        if key not in self._storages:  # Several tensors may share one.
            raw = self._archive.read(f"{self._folder}data/{key}")
            self._storages[key] = np.frombuffer(raw, storage_type.dtype)
        storage = self._storages[key]
        if len(storage) < size:
            raise pickle.UnpicklingError(
                f"storage {key} has {len(storage)} numbers instead of {size}"
            )
        return storage


class _Call:
    """A function that a pickle may call, and can do nothing else to."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., np.ndarray]):
        self._function = function

    def __call__(self, *arguments: Any) -> np.ndarray:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes a function")


def _check_lengths(content: bytes) -> None:
    """Raises ValueError for a pickle that claims more memory than it fills."""
    for number, (operation, argument, _) in enumerate(pickletools.genops(content)):
        if "PUT" in operation.name and argument is not None and argument > number:
            raise ValueError(f"{operation.name} {argument} leaves the file")


def _rebuild_tensor(
    storage: np.ndarray, offset: int, shape: tuple, strides: tuple, *rest: Any
) -> np.ndarray:
    """The array that a tensor was, a copy."""
    del rest  # Whether it needs gradients, and its hooks.
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    negative = min((offset, *shape, *strides)) < 0
    size = math.prod(shape)
    if negative or (size and last >= len(storage)):
        raise pickle.UnpicklingError(f"a tensor of shape {shape} leaves its storage")
    if size > len(storage):
        raise pickle.UnpicklingError(f"a tensor of shape {shape} repeats its numbers")
    return np.lib.stride_tricks.as_strided(
        storage[offset:], shape, [step * storage.itemsize for step in strides]
    ).copy()


def _rebuild_parameter(data: np.ndarray, *rest: Any) -> np.ndarray:
    del rest
    return data
