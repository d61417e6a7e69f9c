"""Reads the arrays in a PyTorch checkpoint, without PyTorch and without running it.

Since PyTorch 1.6 a checkpoint of `torch.save` is a zip archive of a pickle, which
describes nested dictionaries of tensors, and of their raw numbers. Before, it was five
pickles, the fourth of which does so, and the numbers behind them.
"""

import pickle
import struct
import zipfile
from typing import Any, NoReturn

from colddiff_jax.errors import InputError
from colddiff_jax.torch_pickles import DtypeUnpickler, TensorUnpickler, end_of_pickle

# What every file of the old format begins with.
_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
_PROTOCOL = 1001


def read_torch_file(path: str) -> Any:
    """Reads a checkpoint of `torch.save`.

    Args:
        path: a `.pt` or `.pth` file, in the zip format or in the one before it, which
            cannot tell whether its numbers are as they were written.

    Returns:
        What was saved: dictionaries, lists and numbers, with tensors as NumPy arrays,
        read-only.

    Raises:
        InputError: no such file, one that is truncated or damaged or no checkpoint, or
            one that holds anything but tensors and plain values.

    Example:
        >>> read_torch_file("model.pt").keys()
        dict_keys(['step', 'model', 'ema'])
    """
    try:
        with open(path, "rb") as file:
            if file.read(len(_MAGIC)) == _MAGIC:
                return _read_old(_MAGIC + file.read(), path)
            with zipfile.ZipFile(file) as archive:
                return _read_zip(archive, path)
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


def _read_zip(archive: zipfile.ZipFile, path: str) -> Any:
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
    pickled = archive.read(pickles[0])
    end_of_pickle(pickled)
    read = lambda key: archive.read(f"{folder}data/{key}")  # noqa: E731
    return TensorUnpickler(pickled, path, read).load()


def _read_old(content: bytes, path: str) -> Any:
    pickles, end = [], 0
    for _ in range(5):
        start, end = end, end_of_pickle(content, end)
        pickles.append(content[start:end])
    _, protocol, _, saved, keys = pickles
    number = TensorUnpickler(protocol, path, _no_storage).load()
    if number != _PROTOCOL:
        raise InputError(f"{path!r} is of protocol {number!r} instead of {_PROTOCOL}")
    # How long a storage is depends on its type, which only the tensors tell.
    types = DtypeUnpickler(saved, path)
    types.load()
    storages = {}
    for key in TensorUnpickler(keys, path, _no_storage).load():
        (count,) = struct.unpack_from("<q", content, end)
        start, end = end + 8, end + 8 + count * types.dtypes[key].itemsize
        if not start <= end <= len(content):
            raise EOFError(f"storage {key} should have {count} numbers")
        storages[key] = content[start:end]
    if end != len(content):
        raise ValueError(f"{len(content) - end} bytes follow the last storage")
    return TensorUnpickler(saved, path, storages.__getitem__).load()


def _no_storage(key: str) -> NoReturn:
    raise pickle.UnpicklingError(f"storage {key} where there should be none")
