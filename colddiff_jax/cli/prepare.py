"""Prepares a data set of TensorFlow Datasets (TFDS) in the format that training reads.

    pip install 'colddiff-jax[tfds-prepare]'
    python -m colddiff_jax.cli.prepare mnist [--data_dir=DIR] [--manual_dir=DIR]

This needs TensorFlow, and network access unless `--manual_dir` names a folder with the
original files of the set. Reading the prepared set needs neither.
"""

import importlib.util
import os

from absl import flags

from colddiff_jax.checks import InputError
from colddiff_jax.cli import program
from colddiff_jax.data.sources import tfds_builder
from colddiff_jax.io import disk

_DATA_DIR = flags.DEFINE_string(
    "data_dir", "", "folder for prepared sets; default: the one of TFDS"
)
_MANUAL_DIR = flags.DEFINE_string(
    "manual_dir", "", "folder with the original files of the set"
)


def prepare(name: str, *, data_dir: str = "", manual_dir: str = "") -> str:
    """Prepares a TFDS set as ArrayRecord files, and returns their folder.

    Args:
        name: the name of the set, such as "mnist".
        data_dir: the folder for prepared sets; empty for the default of TFDS.
        manual_dir: a folder with the original files, for a machine without network
            access.

    Raises:
        InputError: TensorFlow is missing, the set is unknown, its files are
            unavailable, or the folder cannot be written to.
    """
    if manual_dir and not os.path.isdir(manual_dir):
        raise InputError(
            f"no folder {manual_dir!r}; `manual_dir` must hold the original files"
        )
    if importlib.util.find_spec("tensorflow") is None:
        raise InputError(
            "preparing a TFDS set needs TensorFlow: pip install "
            "'colddiff-jax[tfds-prepare]'"
        )
    import tensorflow_datasets as tfds

    if data_dir:
        disk.check_space(data_dir, ())
    builder = tfds_builder(name, file_format="array_record", data_dir=data_dir or None)
    if manual_dir:
        print(f"preparing {name} from the files in {manual_dir}")
    else:
        print(f"downloading {name}; without network access, use --manual_dir=FOLDER")
    try:
        config = tfds.download.DownloadConfig(manual_dir=manual_dir or None)
        builder.download_and_prepare(download_config=config)
    except OSError as error:
        raise InputError(
            f"the files of {name} are not available ({error}); put the original files "
            "in a folder and set `manual_dir`"
        ) from error
    return str(builder.data_dir)


def main(name: str) -> None:
    """Prepares the set named on the command line."""
    folder = prepare(name, data_dir=_DATA_DIR.value, manual_dir=_MANUAL_DIR.value)
    print(f"prepared in {folder}")


if __name__ == "__main__":
    program.run(main, num_arguments=1)
