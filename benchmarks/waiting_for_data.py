"""Measures the fraction of time that the training loop waits for data.

    python -m benchmarks.waiting_for_data cifar10.npz
    python -m benchmarks.waiting_for_data cifar10.npz --networks=small    on a CPU

Reports the fraction that `train_and_evaluate` logs, without intermediate evaluations
and checkpoints, for the networks and data of training_throughput.py, whose flags it
shares. The first log is omitted, since it includes the compilation.
"""

import json
import statistics

from absl import flags

from benchmarks import timing
from benchmarks import training_throughput as throughput
from colddiff_jax.cli import program
from colddiff_jax.training.parallel_step import parallel_train_step

_LOGS = flags.DEFINE_integer("logs", 5, "number of logs; the median is reported", 1)


def main(path: str) -> None:
    """Measures and prints all rows, and writes the results."""
    rows = []
    for cells, config, splits in throughput.cases(path):
        logs = throughput.train(
            config,
            splits,
            parallel_train_step,
            _LOGS.value + 1,
            flags.FLAGS.steps,
        )
        fractions = [log["waiting_for_data"] for log in logs[1:]]
        rows.append(
            cells
            | {
                "batch_size": config.training.batch_size,
                "steps between logs": flags.FLAGS.steps,
                "waiting for data": round(statistics.median(fractions), 4),
                "waiting for data, all logs": [round(value, 4) for value in fractions],
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    timing.write("_".join(["waiting_for_data", *flags.FLAGS.networks]), {"rows": rows})


if __name__ == "__main__":
    program.run(main, num_arguments=1)
