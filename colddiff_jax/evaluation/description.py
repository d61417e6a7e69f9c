"""Describes what the results of an evaluation depend on, as JSON."""

import hashlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from colddiff_jax.evaluation.paper_tables import data_set_name
from colddiff_jax.evaluation.protocol import SOUND, Protocol
from colddiff_jax.experiment.model import Model
from colddiff_jax.experiment.run_folder import versions
from colddiff_jax.metrics.reference import Reference
from colddiff_jax.restoration.image_set import ImageSet
from colddiff_jax.restoration.restorer import Restorer


def describe_data(
    model: Model, images: ImageSet, count: int, protocol: Protocol = SOUND
) -> dict[str, Any]:
    """Describes the images that are scored, as in `Reference.data`."""
    data = images.describe(count, data_set_name(model.config))
    data["protocol"] = {
        name: name in protocol.faults
        for name in ("values_not_clipped", "test_images_augmented")
    }
    return data


def settings_of(restorer: Restorer) -> dict[str, Any]:
    """Returns the settings that depend on the model and on this machine, as JSON."""
    return {
        "step": restorer.step,
        "weights": hash_of(restorer.params),
        "config": restorer.model.config,
        "versions": versions(),
        "device": f"{jax.local_device_count()} x {jax.local_devices()[0].device_kind}",
    }


def describe_references(references: Mapping[str, Reference]) -> dict[str, Any]:
    """Describes saved references, by feature network, as JSON."""
    return {
        name: {
            "name": found.name,
            "data": found.data,
            "statistics": hash_of((found.moments.mean, found.moments.covariance)),
        }
        for name, found in references.items()
    }


def name_of(data: Mapping[str, Any]) -> str:
    """Returns the name of a reference of these images, such as "mnist train"."""
    return f"{data['source']} {data['split']}".strip()


def hash_of(tree: Any) -> str:
    """Returns a hash of the arrays in a tree."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]
