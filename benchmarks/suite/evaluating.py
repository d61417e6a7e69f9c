"""Images per second of an evaluation: degrading, restoring and scoring.

The task of `configs/mnist_blur.py:cpu`, with untrained weights: images are blurred,
restored by one prediction and by Algorithm 2, and scored by RMSE and SSIM. Ours also
computes the held-out loss, which takes one more prediction. In PyTorch the degradation
takes single steps, as in the official code, or is our closed form. Feature networks are
measured by `benchmarks.feature_speed` and `benchmarks.evaluation_speed`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks import timing
from benchmarks.single_steps import gaussian_kernels
from benchmarks.suite import Form, small
from benchmarks.suite.optional import theirs
from colddiff_jax.evaluation.scoring import Scorer
from colddiff_jax.restoration.image_set import split_of
from colddiff_jax.restoration.samplers import parse_samplers


class Sizes(NamedTuple):
    batch: int
    rounds: int


SIZES = {"smoke": Sizes(8, 1), "short": Sizes(32, 3), "full": Sizes(128, 15)}
TOLERANCE = {"mse": 1e-4, "ssim": 2e-3}


def measure(form: Form) -> dict[str, Any]:
    """Measures one batch of the test images."""
    sizes, net = SIZES[form], small.build(form)
    specs = parse_samplers(["direct", "alg2"], net.model.degrade)
    scorer = Scorer(net.model, specs=specs, batch_size=sizes.batch)
    images = split_of(net.task.data, net.task.preprocessing)
    params = net.state.params

    def ours() -> dict[str, np.ndarray]:
        (scores,) = scorer.stream(params, images, 0, range(sizes.batch))
        return scores.values

    calls: dict[str, Callable] = {"ours": ours}
    if theirs:
        kernels = gaussian_kernels(np.full(small.T, small.STD), small.KERNEL)
        steps = theirs.degrading.blurs(kernels, 1, "circular")
        operators = net.operators
        forms = {
            "single steps": functools.partial(theirs.degrading.up_to, steps),
            "closed form": theirs.degrading.Products(operators),
        }
        pixels = images.load(range(sizes.batch)).images
        for layout, memory_format in theirs.networks.LAYOUTS.items():
            network = theirs.networks.SmallUNet(
                net.model.config["model"], 1, net.scales, params
            ).eval()
            network = network.to(memory_format=memory_format)
            for name, degrade in forms.items():
                calls[f"PyTorch, {name}, {layout}"] = functools.partial(
                    theirs.evaluating.scores, network, degrade, pixels, small.T
                )
        expected = ours()
        for call in [*calls.values()][1:]:
            for name, found in call().items():
                atol = TOLERANCE[name.split("/")[0]]
                np.testing.assert_allclose(
                    found, expected[name], atol=atol, err_msg=name
                )
    row = timing.ratio(calls, sizes.rounds, over="ours")
    rates = {
        name: round(sizes.batch / seconds, 2)
        for name, seconds in row["seconds"].items()
    }
    facts = {"images": sizes.batch, "images per second": rates}
    return {"RMSE and SSIM of direct and alg2": facts | row}
