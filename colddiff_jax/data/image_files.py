"""Image files as a sequence of images, and the check that they can be read."""

import os
import warnings
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool

import numpy as np
from PIL import Image

from colddiff_jax.checks import InputError
from colddiff_jax.data.decoding import decode, examine, short_reason
from colddiff_jax.data.folder_report import report_broken


class ImageFiles:
    """Image files that are decoded on access.

    Args:
        root: an absolute path.
        names: of the files, relative to root.
        channels: 3 for RGB, 1 for grey.
        sizes: (height, width) of each image.
    """

    def __init__(
        self,
        root: str,
        names: Sequence[str],
        channels: int,
        sizes: Sequence[tuple[int, int]],
    ):
        self.root, self.names, self.channels, self.sizes = root, names, channels, sizes
        # Pillow warns about odd metadata in images that it reads correctly. Many
        # threads read them throughout training, and a filter affects the whole process.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

    def __reduce__(self) -> tuple:
        return ImageFiles, (self.root, self.names, self.channels, self.sizes)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        path = self.path_of(index)
        try:
            return decode(path, self.channels)
        except Exception as error:
            raise InputError(
                f"{path!r} can no longer be read ({short_reason(error)}); restore it "
                "and resume, or start a new run without it"
            ) from error

    def path_of(self, index: int) -> str:
        """Returns the path of an image."""
        return os.path.join(self.root, self.names[index])

    def chosen(self, indices: Sequence[int]) -> "ImageFiles":
        """Returns the files with these indices."""
        names = [self.names[i] for i in indices]
        sizes = [self.sizes[i] for i in indices]
        return ImageFiles(self.root, names, self.channels, sizes)


def readable_files(
    path: str, root: str, names: Sequence[str], channels: int, max_unreadable: float
) -> dict[str, tuple[int, int]]:
    """Decodes files, and lists the broken ones.

    Args:
        path: the folder as given by the user, for messages.
        root: its absolute path.
        names: of the files, relative to it.
        channels: 3 for RGB, 1 for grey.
        max_unreadable: fraction of the files that may be broken.

    Returns:
        (height, width) of each file that can be read, by name.

    Raises:
        InputError: too many files are broken.
    """
    from tqdm import tqdm

    def check(name: str) -> tuple[str, tuple[int, int]]:
        return examine(os.path.join(root, name), channels)

    with warnings.catch_warnings(), ThreadPool() as pool:
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        # disable=None: no progress bar without a terminal.
        examined = tqdm(
            pool.imap(check, names, chunksize=8),
            desc="checking images",
            total=len(names),
            unit="file",
            disable=None,
        )
        found = dict(zip(names, examined, strict=True))
    broken = {name: why for name, (why, _) in found.items() if why}
    report_broken(path, broken, len(names), max_unreadable)
    return {name: size for name, (why, size) in found.items() if not why}
