"""PyTorch's Inception network with random weights, to compare our network with.

    pip install pytorch-fid torch-fidelity torchvision
    python tests/inception_reference.py

records the features in tests/golden/inception.npz. (torch-fidelity installs its own
package `tests`, which shadows ours: uninstall it before running the tests.)
"""

import json
import math
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any
from unittest import mock

import numpy as np

RECORDED = pathlib.Path(__file__).parent / "golden" / "inception.npz"
Entries = Mapping[str, tuple[int, ...]]


def random_state(entries: Entries) -> dict[str, np.ndarray]:
    """Draws a state dictionary whose activations neither vanish nor explode.

    Args:
        entries: shapes of the entries, by name.
    """
    rng = np.random.default_rng(0)

    def uniform(shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
        return low + (high - low) * rng.random(shape, np.float32)

    state: dict[str, np.ndarray] = {}
    for name, shape in entries.items():
        match name.split(".")[-2:]:
            case ["conv", "weight"]:
                # As in He et al. (2015), adjusted for the mean gain of the batch norm.
                bound = math.sqrt(6 / math.prod(shape[1:]) / 7.2)
                state[name] = uniform(shape, -bound, bound)
            case ["fc", "weight"]:
                state[name] = uniform(shape, -0.02, 0.02)
            case [_, "num_batches_tracked"]:
                state[name] = np.array(1000)
            case [_, "running_var"]:  # Some are small enough for epsilon to matter.
                state[name] = uniform(shape, 0.1, 1.5) ** 2
            case ["bn", "weight"]:
                state[name] = uniform(shape, 0.5, 1.5)
            case _:
                state[name] = uniform(shape, -0.2, 0.2)
    return state


def _fid_network(state: Mapping[str, np.ndarray], make: str) -> Any:
    """Builds pytorch-fid's network `make` with our weights instead of a download."""
    import pytorch_fid.inception
    import torch

    weights = {name: torch.from_numpy(value) for name, value in state.items()}
    with mock.patch.object(
        pytorch_fid.inception, "load_state_dict_from_url", lambda *_, **__: weights
    ):
        return getattr(pytorch_fid.inception, make)().eval()


def pytorch_fid_features(
    state: Mapping[str, np.ndarray], images: np.ndarray
) -> np.ndarray:
    """Computes pooled features [B, 2048] of images, uint8 [B, H, W, C]."""
    import torch

    x = torch.from_numpy(images.transpose(0, 3, 1, 2)).float() / 255
    with torch.no_grad():
        (pooled,) = _fid_network(state, "InceptionV3")(x.expand(-1, 3, -1, -1))
    return pooled[:, :, 0, 0].numpy()


def torch_fidelity_probabilities(
    state: Mapping[str, np.ndarray], images: np.ndarray
) -> np.ndarray:
    """Computes probabilities [B, 1008] for the Inception Score of uint8 images."""
    import torch
    from torch_fidelity import feature_extractor_inceptionv3 as fidelity

    with tempfile.NamedTemporaryFile(suffix=".pth") as file:
        weights = {name: torch.from_numpy(value) for name, value in state.items()}
        torch.save(weights, file.name)
        network = fidelity.FeatureExtractorInceptionV3(
            "inception", ["logits_unbiased"], file.name
        )
    (logits,) = network(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    return logits.softmax(dim=1).numpy()


def _images() -> dict[str, np.ndarray]:
    """Crops of scikit-learn's two photographs, by size."""
    from sklearn.datasets import load_sample_images

    china, flower = load_sample_images().images

    def both(step: int, side: int) -> np.ndarray:
        return np.stack(
            [photo[::step, ::step][:side, :side] for photo in (china, flower)]
        )

    return {
        "28x28x1": both(15, 28)[..., :1],
        "32x32x3": both(13, 32),
        "64x64x3": both(6, 64),
        "299x299x3": flower[None, 60:359, 150:449],
        "320x300x3": china[None, 60:380, 100:400],
    }


def main() -> None:
    """Records the features."""
    import torchvision

    network = torchvision.models.inception_v3(
        num_classes=1008, aux_logits=False, weights=None, init_weights=False
    )
    entries = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    state = random_state(entries)
    arrays: dict[str, Any] = {"entries": json.dumps(entries)}
    for size, images in _images().items():
        arrays[f"{size}/images"] = images
        arrays[f"{size}/pooled"] = pytorch_fid_features(state, images)
        if size == "299x299x3":
            arrays[f"{size}/probabilities"] = torch_fidelity_probabilities(
                state, images
            )
    np.savez_compressed(RECORDED, **arrays)


if __name__ == "__main__":
    main()
