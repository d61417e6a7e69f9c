"""PyTorch weights, recorded as `param/<name>`, in the layouts of Flax."""

import numpy as np


def conv(recorded, name: str) -> dict[str, np.ndarray]:
    """A convolution: OIHW to HWIO."""
    kernel = recorded[f"param/{name}.weight"].transpose(2, 3, 1, 0)
    return {"kernel": kernel, "bias": recorded[f"param/{name}.bias"]}


def linear(recorded, name: str) -> dict[str, np.ndarray]:
    """A linear layer or 1 x 1 convolution, with a bias where there is one."""
    weight = recorded[f"param/{name}.weight"]
    tree = {"kernel": weight.reshape(weight.shape[:2]).T}
    if f"param/{name}.bias" in recorded:
        tree["bias"] = recorded[f"param/{name}.bias"]
    return tree


def norm(recorded, name: str, scale: str = "weight", bias: str = "bias"):
    """A normalisation."""
    return {
        "scale": recorded[f"param/{name}.{scale}"].reshape(-1),
        "bias": recorded[f"param/{name}.{bias}"].reshape(-1),
    }
