"""The class of all images, as a user gives it: by its name or its number."""

from colddiff_jax.checks import InputError
from colddiff_jax.restoration.restorer import Restorer


def parse_label(label: str | int | None, restorer: Restorer) -> int | None:
    """Returns the number of a class.

    Args:
        label: the name of a class, which counts before numbers; its number; or "own" or
            None for each image's own.
        restorer: the trained model, which knows the names of its classes if they were
            those of folders.

    Returns:
        The number, or None for each image's own.

    Raises:
        InputError: no such class, or a model that is not conditional.
    """
    classes, names = restorer.model.num_classes, restorer.class_names
    if label is None:
        return None
    check_conditional("label", restorer)
    text = str(label)
    if text in names:
        return names.index(text)
    if text == "own":
        return None
    if not text.isdecimal() or int(text) >= classes:
        known = f", or one of {', '.join(names)}" if names else ""
        raise InputError(
            f"`label` must be own or a class in 0..{classes - 1}{known}; got {text!r}"
        )
    return int(text)


def check_conditional(option: str, restorer: Restorer) -> None:
    """Raises InputError if an option needs classes, and the model has none."""
    if not restorer.model.num_classes:
        raise InputError(
            f"`{option}` needs a conditional model; the `model.num_classes` of this "
            "one is 0"
        )
