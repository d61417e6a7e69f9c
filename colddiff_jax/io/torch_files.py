"""Reads the arrays in a PyTorch checkpoint, without PyTorch or running any code in it.

Since PyTorch 1.6, `torch.save` writes a zip archive of a pickle, which describes nested
dictionaries of tensors, and their raw data. Before, it wrote five pickles, the fourth
of which describes the tensors, followed by their raw data.
"""

import pickle
import struct
import zipfile
from typing import Any, NoReturn

from colddiff_jax.checks import InputError
from colddiff_jax.io.torch_pickles import DtypeUnpickler, TensorUnpickler, end_of_pickle

# Every file in the old format begins with this.
_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
_PROTOCOL = 1001


def read_torch_file(path: str) -> Any:
    """Reads a checkpoint written by `torch.save`.

    Args:
        path: a `.pt` or `.pth` file, in the zip format or in the older one, which has
            no checksums.

    Returns:
        The saved object: dictionaries, lists and numbers, with tensors as read-only
        NumPy arrays.

    Raises:
        InputError: the file is missing, truncated, damaged or not a checkpoint, or it
            holds anything other than tensors and plain values.

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
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"no file {path!r}") from None
    except InputError:
        raise
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(
            f"{path!r} is not a torch.save checkpoint, or is truncated ({error}); "
            "download it again, or save it again with PyTorch 1.6 or later"
        ) from error
    except Exception as error:  # A broken pickle can raise almost anything.
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{path!r} is damaged ({reason})") from error


def _read_zip(archive: zipfile.ZipFile, path: str) -> Any:
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
        # A few bytes could decompress to more than fits into memory.
        raise InputError(f"{path!r} is compressed, which torch.save never does")
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise InputError(
            f"{path!r} is a zip archive, but not a torch.save checkpoint: it has "
            f"{len(pickles)} entries data.pkl instead of 1"
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
    version = TensorUnpickler(protocol, path, _no_storage).load()
    if version != _PROTOCOL:
        raise InputError(f"{path!r} has protocol {version!r} instead of {_PROTOCOL}")
    # The size of a storage depends on its dtype, which only the tensors specify.
    scan = DtypeUnpickler(saved, path)
    scan.load()
    storages = {}
    for key in TensorUnpickler(keys, path, _no_storage).load():
        (count,) = struct.unpack_from("<q", content, end)
        start, end = end + 8, end + 8 + count * scan.dtypes[key].itemsize
        if not start <= end <= len(content):
            raise EOFError(f"storage {key} should have {count} elements")
        storages[key] = content[start:end]
    if end != len(content):
        raise ValueError(f"{len(content) - end} bytes follow the last storage")
    return TensorUnpickler(saved, path, storages.__getitem__).load()


def _no_storage(key: str) -> NoReturn:
    raise pickle.UnpicklingError(f"unexpected storage {key}")
