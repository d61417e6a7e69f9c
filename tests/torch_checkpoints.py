"""Writes checkpoints as `torch.save` does, without PyTorch."""

import collections
import io
import pickle
import sys
import types
import zipfile
from typing import Any

import numpy as np


class _Storage:
    def __init__(self, array: np.ndarray):
        self.array = array


class _Pickler(pickle.Pickler):
    """Turns arrays into tensors that refer to storages outside the pickle."""

    def __init__(self, file: io.BytesIO, torch: types.ModuleType):
        super().__init__(file, protocol=2)
        self.storages: list[np.ndarray] = []
        self._torch = torch

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, np.ndarray):
            return NotImplemented
        strides = tuple(step // obj.itemsize for step in obj.strides)
        hooks = collections.OrderedDict()
        storage = _Storage(np.ascontiguousarray(obj))
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (storage, 0, obj.shape, strides, False, hooks)

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, _Storage):
            return None
        self.storages.append(obj.array)
        key = str(len(self.storages) - 1)
        return "storage", self._torch.FloatStorage, key, "cpu", obj.array.size


def save_like_torch(path: Any, saved: Any) -> None:
    """Writes nested dictionaries of contiguous float32 arrays as a `.pt` file."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
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
        pickler = _Pickler(file, torch)
        pickler.dump(saved)
    finally:
        for name, module in real.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", file.getvalue())
        for key, array in enumerate(pickler.storages):
            archive.writestr(f"archive/data/{key}", array.tobytes())
