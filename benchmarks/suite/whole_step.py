"""The training step of the small network, with degradation and moving average.

As a program, it takes steps on all devices whenever it reads a line, and answers with
one:

    python -m benchmarks.suite.whole_step short
"""

import json
import sys
from typing import Any, cast

import jax
import numpy as np

from benchmarks.suite import Form, small
from colddiff_jax import devices, prng
from colddiff_jax.data import Batch, arrays
from colddiff_jax.training.parallel_step import parallel_train_step
from colddiff_jax.training.task import (
    build_model_and_task,
    start_state,
    train_step,
)

STEPS = 5  # Taken per line.


class WholeStep:
    """A compiled training step on one batch, which updates its state in place.

    Args:
        form: which network.
        side: of the images.
        batch_size: over all devices; None for the configured one.

    Attributes:
        facts: the memory that a device reserves.
    """

    def __init__(self, form: Form, *, side: int = 32, batch_size: int | None = None):
        config = small.configuration(form)
        config.data.update({"image_size": side, "resize_to": 0})
        size = batch_size or config.training.batch_size
        config.training.batch_size = size
        images = np.random.default_rng(0).integers(0, 256, (size, side, side, 1))
        pixels = images.astype(np.uint8)
        model, task = build_model_and_task(config, splits=arrays(pixels, pixels))
        self._state = start_state(model, task)
        self._arguments = (
            None,
            Batch(devices.shard_steps(pixels[None])),
            devices.replicate(model.degrade),
            devices.replicate(prng.stream(task.seed, "train")),
        )
        steps: Any = parallel_train_step(train_step(model, task))
        self._program: Any = steps.lower(self._state, *self._arguments).compile()
        memory = self._program.memory_analysis()
        self.facts = {"temporary MB": round(memory.temp_size_in_bytes / 1e6, 1)}

    def __call__(self) -> Any:
        self._state, _ = self._program(self._state, *self._arguments)
        return self._state


def main(form: Form) -> None:
    """Answers every line with one, after some steps."""
    step = WholeStep(form)
    print(json.dumps(step.facts), flush=True)
    for _ in sys.stdin:
        for _ in range(STEPS):
            jax.block_until_ready(step())
        print(flush=True)


if __name__ == "__main__":
    main(cast(Form, sys.argv[1]))
