"""Reports on a folder of images, printed by the main process only."""

from collections.abc import Sequence

from colddiff_jax import devices
from colddiff_jax.checks import InputError, listed
from colddiff_jax.data.folder_splits import SplitFiles
from colddiff_jax.data.splits import ImageSplits


def report_broken(
    path: str, broken: dict[str, str], num_files: int, max_unreadable: float
) -> None:
    """Lists the broken files; raises an InputError if there are too many."""
    if not broken:
        return
    lines = [f"{name!r}: {why}" for name, why in broken.items()]
    fraction = len(broken) / num_files
    count = f"{len(broken)} of {num_files} image files ({fraction:.2%}) cannot be read"
    _print(f"{path}: {count}:")
    for line in lines[:10]:
        _print(f"  {line}")
    if len(lines) > 10:
        _print(f"  and {len(lines) - 10} more")
    if fraction > max_unreadable:
        first = "; ".join(lines[:3]) + ("; ..." if len(lines) > 3 else "")
        raise InputError(
            f"{path}: {count}, more than `data.max_unreadable` = {max_unreadable} "
            f"allows ({first}); repair or remove them, or raise `data.max_unreadable`"
        )


def report_skipped(path: str, skipped: dict[str, int]) -> None:
    """Prints the number of files without the extension of an image, if any."""
    if skipped:
        kinds = [f"{n} {kind or 'without extension'}" for kind, n in skipped.items()]
        total = _count(sum(skipped.values()), "file")
        _print(f"{path}: skipped {total}: {listed(kinds)}")


def report_splits(
    path: str, found: SplitFiles, splits: ImageSplits, classes: Sequence[str] = ()
) -> None:
    """Prints the size and origin of the splits, and the classes with their labels."""
    train = _count(len(splits.train), "training image")
    test = _count(len(splits.test), "test image")
    if found.folders is None:
        line = f"{path}: {train} and {test}, assigned by a hash of their paths"
    else:
        line = (
            f"{path}: {train} in {found.folders[0]!r}, {test} in {found.folders[1]!r}"
        )
    if found.ignored:
        line += f"; ignored subfolders: {listed(found.ignored)}"
    if found.loose:
        line += f"; ignored {_count(found.loose, 'file')} beside these subfolders"
    if classes:
        numbered = [f"{i} = {name}" for i, name in enumerate(classes)]
        shown = ", ".join(numbered) if len(numbered) <= 100 else listed(numbered)
        line += f"; {len(classes)} classes: {shown}"
    _print(line)


def report_pairs(path: str, splits: ImageSplits, num_files: int) -> None:
    """Prints the number of pairs, and of those that lost a half."""
    train = _count(len(splits.train), "training pair")
    line = f"{path}: {train} and {_count(len(splits.test), 'test pair')}"
    dropped = num_files - len(splits.train) - len(splits.test)
    if dropped:
        line += f"; left out {_count(dropped, 'pair')} of which a half cannot be read"
    _print(line)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _print(line: str) -> None:
    if devices.is_main_process():
        # File names may hold bytes that are not UTF-8, which cannot be printed.
        print(line.encode(errors="backslashreplace").decode())
