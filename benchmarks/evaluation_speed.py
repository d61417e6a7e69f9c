"""Measures the speed of a whole evaluation, side by side with the same work in PyTorch.

    pip install torch torchvision pytorch-fid pytorch-msssim
    python -m benchmarks.evaluation_speed

The task is the published deblurring of MNIST (T = 20, the network with 57 million
parameters, random weights): images are blurred, restored directly and by Algorithm 2,
and scored by RMSE and SSIM, and Inception features are computed for all four sets. The
PyTorch version follows the official code: it uses the plain network of
torch_networks.py and pytorch-fid, and blurs by one convolution per step. The two take
turns, batch by batch, and medians are compared. The images are scikit-learn's digits;
compilation is not counted.
"""

import statistics
import time

import numpy as np
import pytorch_msssim
import torch
import torch.nn.functional as F

from benchmarks import feature_speed, timing, torch_networks
from colddiff_jax import devices
from colddiff_jax.data import digits
from colddiff_jax.evaluation.scoring import Scorer
from colddiff_jax.feature_nets import FeatureNet, inception
from colddiff_jax.restoration.image_set import split_of
from colddiff_jax.restoration.samplers import parse_samplers
from colddiff_jax.training.task import build_model_and_task, initial_state
from configs import mnist_blur

BATCH, ROUNDS, T = 32, 3, 20


class Theirs:
    """The official protocol in PyTorch."""

    def __init__(self, inception_module: torch.nn.Module):
        self._inception = inception_module
        self._network = torch_networks.ConvNeXtUNet(1).eval()
        offsets = torch.arange(11) - 5.0
        taps = torch.exp(-(offsets**2) / (2 * 7.0**2))
        taps /= taps.sum()
        self._kernel = (taps[:, None] * taps)[None, None]

    def _degrade(self, x: torch.Tensor, steps: int) -> torch.Tensor:
        for _ in range(steps):
            x = F.conv2d(F.pad(x, (5, 5, 5, 5), mode="circular"), self._kernel)
        return x

    def __call__(self, x_0: torch.Tensor) -> list[torch.Tensor]:
        with torch.no_grad():
            x_T = self._degrade(x_0, T)
            x_t, direct = x_T, x_T
            for step in range(T, 0, -1):
                x0_hat = self._network(x_t, torch.full((len(x_t),), step - 1))
                if step == T:
                    direct = x0_hat
                x_t = (
                    x_t - self._degrade(x0_hat, step) + self._degrade(x0_hat, step - 1)
                )
            found = []
            for x in (x_0, x_T, direct, x_t):
                unit = ((x + 1) / 2).repeat(1, 3, 1, 1)
                found.append(self._inception(unit)[0])
                found.append(((x - x_0) / 2).square().mean().sqrt())
                found.append(
                    pytorch_msssim.ssim(unit, (x_0 + 1).repeat(1, 3, 1, 1) / 2, 1.0)
                )
            return found


def main() -> None:
    """Measures both and writes the results."""
    module, state = feature_speed.reference_network()
    config = mnist_blur.get_config("paper")
    config.data.update({"image_size": 32, "resize_to": 32})
    model, task = build_model_and_task(config, splits=digits())
    net = FeatureNet(
        "Inception 2015", inception.features, inception.inception_params(state)
    )
    scorer = Scorer(
        model,
        specs=parse_samplers(["direct", "alg2"], model.degrade),
        nets=[net],
        batch_size=BATCH,
    )
    params = devices.replicate(initial_state(model, task).params)
    images = split_of(task.data, task.preprocessing)
    theirs = Theirs(module)
    x_0 = torch.zeros(BATCH, 1, 32, 32)

    def ours() -> None:
        for _ in scorer.stream(params, images, 0, range(BATCH)):
            pass

    rows: dict[str, list[float]] = {"ours": [], "PyTorch": []}
    compiling = time.perf_counter()
    ours()
    compiling = time.perf_counter() - compiling
    theirs(x_0)
    for _ in range(ROUNDS):
        for name, function in (("ours", ours), ("PyTorch", lambda: theirs(x_0))):
            start = time.perf_counter()
            function()
            rows[name].append(time.perf_counter() - start)
    seconds = {name: statistics.median(found) for name, found in rows.items()}
    timing.write(
        "evaluation_speed",
        {
            "batch": [BATCH, 32, 32, 1],
            "network calls per image": T,
            "torch": str(torch.__version__),
            "threads of PyTorch": torch.get_num_threads(),
            "seconds to compile and run once": round(compiling, 1),
            "images per second": {
                name: round(BATCH / value, 2) for name, value in seconds.items()
            },
            "ours over PyTorch, seconds": round(
                seconds["ours"] / seconds["PyTorch"], 2
            ),
            "seconds, all rounds": {
                name: np.round(found, 2).tolist() for name, found in rows.items()
            },
        },
    )


if __name__ == "__main__":
    main()
