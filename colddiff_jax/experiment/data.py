"""The images of a run: training and test images, and the endpoints of a blend."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from colddiff_jax import devices
from colddiff_jax.checks import InputError
from colddiff_jax.data import (
    SOURCES,
    ImageSplits,
    Preprocessing,
    check_splits,
    fingerprint,
    load_image,
)
from colddiff_jax.data.image_files import ImageFiles
from colddiff_jax.data.pairs import pair_arrays
from colddiff_jax.degradations.base import Degradation, takes_images
from colddiff_jax.experiment.builders import load_splits, make_preprocessing
from colddiff_jax.experiment.pairs import (
    check_ends_in_partner,
    is_paired,
    open_partners,
)
from colddiff_jax.experiment.sections import defaults_of, parameters_of
from colddiff_jax.metrics.pixel import SSIM_SIDE
from colddiff_jax.reprs import short_repr


class RunData(NamedTuple):
    """The images of a run.

    Attributes:
        splits: the training and test images, with labels for a conditional network.
        endpoints: the images that a blend degrades into, or None.
        paired: whether each image has the endpoint of its index, its degraded partner.
    """

    splits: ImageSplits
    endpoints: ImageSplits | None
    paired: bool = False

    def __repr__(self) -> str:
        return short_repr(self)

    @property
    def channels(self) -> int:
        """The number of channels of the images."""
        return self.splits.train[0].shape[-1]

    def fingerprint(self) -> str:
        """Returns a hash of everything training sees: images, labels and endpoints."""
        hashes = [fingerprint(self.splits.train, labels=self.splits.train_labels)]
        if self.endpoints:
            hashes.append(fingerprint(self.endpoints.train))
        return "-".join(hashes)


def open_data(
    config: Mapping[str, Any],
    degrade: Degradation,
    *,
    splits: ImageSplits | None = None,
) -> RunData:
    """Opens the images that a configuration names, and checks that they fit.

    The main process prints the fields that the chosen source does not use.

    Args:
        config: nested fields as in `configs/`.
        degrade: the degradation of the configuration.
        splits: images to use instead of the configured ones.

    Raises:
        InputError: images that are missing, have the wrong size, or lack the labels or
            endpoints that the configuration needs.
    """
    num_classes = config["model"].get("num_classes", 0)
    preprocessing = make_preprocessing(config["data"])
    paired = is_paired(config)
    if paired:
        check_ends_in_partner(degrade)
    if splits is None:
        _report_unused("data", config["data"])
        splits = load_splits("data", config["data"], labels=bool(num_classes))
    splits = check_splits(splits)
    if not num_classes:
        splits = ImageSplits(splits.train, splits.test)
    endpoints: ImageSplits | None
    if paired and isinstance(splits.train, ImageFiles):
        _report_unused("endpoints", config["endpoints"])
        splits, endpoints = open_partners(config["endpoints"], splits)
    else:
        endpoints = open_endpoints(config, degrade)
        if paired:
            assert endpoints is not None  # D blends with images.
            splits, endpoints = pair_arrays(splits, endpoints)
    data = RunData(splits, endpoints, paired)
    _check_splits(data, num_classes)
    _check_sizes(data, preprocessing)
    return data


def open_endpoints(
    config: Mapping[str, Any], degrade: Degradation
) -> ImageSplits | None:
    """Opens the images that a degradation blends with; None if it needs none.

    Raises:
        InputError: endpoints that are missing, or that the degradation does not need.
    """
    given = bool(config["endpoints"].get("source"))
    if given != takes_images(degrade):
        raise InputError(
            "the section endpoints must name a source of images if, and only if, "
            "the degradation blends with other images, as animorph does"
        )
    _report_unused("endpoints", config["endpoints"])
    if not given:
        return None
    fields = {n: v for n, v in config["endpoints"].items() if n != "paired"}
    endpoints = load_splits("endpoints", fields, labels=False)
    return check_splits(endpoints, where="endpoints")


def _report_unused(section: str, fields: Mapping[str, Any]) -> None:
    """Prints the fields that were given, but that only other sources use.

    The name of a TFDS set is not reported: configurations have one, so that a single
    flag switches to the source "tfds".
    """
    source = fields.get("source")
    used = parameters_of(SOURCES[source]) if source in SOURCES else {}
    unused: dict[str, list[str]] = {}
    for other, function in SOURCES.items():
        for name, default in defaults_of(function).items():
            given = fields.get(name, default)
            if name not in used and name != "name" and given != default:
                unused.setdefault(f"{section}.{name} = {given!r}", []).append(other)
    if unused and devices.is_main_process():
        found = [f"{given} (for {', '.join(users)})" for given, users in unused.items()]
        print(f"no effect with {section}.source = {source!r}: {', '.join(found)}")


def _check_splits(data: RunData, num_classes: int) -> None:
    splits, endpoints, _ = data
    if num_classes:
        if splits.train_labels is None or splits.test_labels is None:
            raise InputError(
                f"`model.num_classes` is {num_classes}, and the images have no labels; "
                "set it to 0 or provide labels"
            )
        if splits.num_classes > num_classes:
            raise InputError(
                f"`model.num_classes` must be at least {splits.num_classes}, the "
                f"classes of the images, got {num_classes}"
            )
    if endpoints and endpoints.train[0].shape[-1] != data.channels:
        raise InputError(
            f"the images have {data.channels} channels and their endpoints "
            f"{endpoints.train[0].shape[-1]}; both need the same number"
        )


def _check_sizes(data: RunData, preprocessing: Preprocessing) -> None:
    side = preprocessing.image_size
    if side < SSIM_SIDE:
        raise InputError(
            f"`data.image_size` must be at least {SSIM_SIDE}, the window of SSIM, by "
            f"which runs are scored; got {side}"
        )
    # Resize one image of each kind now: a wrong size must raise before any work.
    for splits in (data.splits, data.endpoints) if data.endpoints else (data.splits,):
        load_image(splits.train, 0, preprocessing.test)
        load_image(splits.test, 0, preprocessing.test)
