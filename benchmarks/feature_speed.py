"""Measures the speed of the Inception network for FID, side by side with pytorch-fid.

    pip install torch torchvision pytorch-fid
    python -m benchmarks.feature_speed

Images per second, including the resizing, in float32 and with the same random weights.
On a CPU, PyTorch runs with one thread and with all. Calls take turns, and medians are
compared.
"""

import functools
from unittest import mock

import jax
import numpy as np
import pytorch_fid.inception
import torch
import torchvision

from benchmarks import timing
from colddiff_jax.feature_nets import inception
from colddiff_jax.feature_nets.inception_network import Inception, resize_for_inception

BATCH, SIDE, ROUNDS = 16, 32, 7
DEVICE = "cuda" if jax.default_backend() == "gpu" else "cpu"
THREADS = torch.get_num_threads()


def reference_network() -> tuple[torch.nn.Module, dict[str, np.ndarray]]:
    """Returns the network of pytorch-fid with random weights, and these weights."""
    torch.manual_seed(0)
    # Full float32 precision, as in our network.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    state = torchvision.models.inception_v3(
        num_classes=1008, aux_logits=False, weights=None, init_weights=True
    ).state_dict()
    with mock.patch.object(
        pytorch_fid.inception, "load_state_dict_from_url", lambda *_, **__: state
    ):
        module = pytorch_fid.inception.InceptionV3().eval().to(DEVICE)
    return module, {name: value.numpy() for name, value in state.items()}


def main() -> None:
    """Measures both and writes the result."""
    module, state = reference_network()
    params = inception.inception_params(state)
    x = np.random.default_rng(0).random((BATCH, SIDE, SIDE, 3), np.float32)
    ours_x = jax.device_put(2 * x - 1)
    theirs_x = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).to(DEVICE)

    @jax.jit
    def pooled(params: dict, x: jax.Array) -> jax.Array:
        return Inception().apply({"params": params}, resize_for_inception(x)).pooled

    def theirs(threads: int) -> np.ndarray:
        torch.set_num_threads(threads)
        with torch.no_grad():
            return module(theirs_x)[0][:, :, 0, 0].cpu().numpy()

    expected = theirs(THREADS)
    np.testing.assert_allclose(
        pooled(params, ours_x), expected, rtol=1e-4, atol=1e-4 * expected.max()
    )
    jobs = {
        f"pytorch-fid, {threads} threads": functools.partial(theirs, threads)
        for threads in sorted({1, THREADS} if DEVICE == "cpu" else {THREADS})
    }
    seconds = timing.compare({"ours": lambda: pooled(params, ours_x)} | jobs, ROUNDS)
    best = min(seconds[job] for job in jobs)
    timing.write(
        "feature_speed",
        {
            "batch": [BATCH, SIDE, SIDE, 3],
            "torch": str(torch.__version__),
            "images per second": {
                job: round(BATCH / value, 1) for job, value in seconds.items()
            },
            "seconds, ours over pytorch-fid": round(seconds["ours"] / best, 2),
        },
    )


if __name__ == "__main__":
    main()
