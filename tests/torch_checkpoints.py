"""Writes checkpoints like `torch.save`, without PyTorch."""

import collections
import io
import pickle
import struct
import sys
import types
import zipfile
from typing import Any

import numpy as np

_STORAGES = {
    np.dtype(np.float32): "FloatStorage",
    np.dtype(np.float64): "DoubleStorage",
    np.dtype(np.int64): "LongStorage",
}


class _Storage:
    def __init__(self, array: np.ndarray):
        self.array = array


class _Pickler(pickle.Pickler):
    """Pickles arrays as tensors that refer to storages outside the pickle."""

    def __init__(self, file: io.BytesIO, torch: types.ModuleType, rest: tuple):
        super().__init__(file, protocol=2)
        self.storages: list[np.ndarray] = []
        self._torch, self._rest = torch, rest

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, np.ndarray):
            return NotImplemented
        strides = tuple(step // obj.itemsize for step in obj.strides)
        hooks = collections.OrderedDict()
        # np.ascontiguousarray would add an axis to a scalar.
        storage = _Storage(np.array(obj, order="C"))
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (storage, 0, obj.shape, strides, False, hooks)

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, _Storage):
            return None
        self.storages.append(obj.array)
        key = str(len(self.storages) - 1)
        kind = getattr(self._torch, _STORAGES[obj.array.dtype])
        return "storage", kind, key, "cpu", obj.array.size, *self._rest


def _pickled(saved: Any, *rest: Any) -> tuple[bytes, list[np.ndarray]]:
    """Returns the pickle, and the storages it refers to by index."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in _STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    utils._rebuild_tensor_v2 = types.FunctionType(
        (lambda *_: None).__code__, {}, "_rebuild_tensor_v2"
    )
    utils._rebuild_tensor_v2.__module__ = "torch._utils"
    utils._rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    file = io.BytesIO()
    fakes = {"torch": torch, "torch._utils": utils}
    real = {name: sys.modules.get(name) for name in fakes}
    sys.modules.update(fakes)
    try:
        pickler = _Pickler(file, torch, rest)
        pickler.dump(saved)
    finally:
        for name, module in real.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return file.getvalue(), pickler.storages


def save_like_torch(path: Any, saved: Any) -> None:
    """Writes nested dictionaries of contiguous arrays as a `.pt` file."""
    pickled, storages = _pickled(saved)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key, array in enumerate(storages):
            archive.writestr(f"archive/data/{key}", array.tobytes())


def save_like_old_torch(path: Any, saved: Any) -> None:
    """Writes a `.pt` file in the format before PyTorch 1.6."""
    pickled, storages = _pickled(saved, None)
    write_old(path, pickled, {str(key): array for key, array in enumerate(storages)})


def write_old(path: Any, pickled: bytes, storages: dict[str, np.ndarray]) -> None:
    """Writes a file in the old format from a pickle and its storages."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    with open(path, "wb") as file:
        for value in (0x1950A86A20F9469CFC6C, 1001, system):
            pickle.dump(value, file, protocol=2)
        file.write(pickled)
        pickle.dump(sorted(storages), file, protocol=2)
        for _, array in sorted(storages.items()):
            file.write(struct.pack("<q", array.size) + array.tobytes())
