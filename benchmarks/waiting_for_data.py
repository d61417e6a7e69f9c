"""The share of its time that the training loop waits for data.

    python benchmarks/waiting_for_data.py cifar10.npz
    python benchmarks/waiting_for_data.py cifar10.npz --networks=small    on a CPU

For the networks and data of training_throughput.py, whose flags it takes: what
`train_and_evaluate` itself logs, without evaluations and checkpoints between. The first
log, which has the compilation, is left out.
"""

import json
import statistics

import timing
import training_throughput as throughput
from absl import flags

from colddiff_jax.cli import program
from colddiff_jax.training.parallel_step import parallel_train_step

_LOGS = flags.DEFINE_integer("logs", 5, "of which the median", 1)


def main(path: str) -> None:
    """Measures all rows, prints them and writes the results."""
    rows = []
    for cells, config, splits in throughput.cases(path):
        logs = throughput.train(
            config,
            splits,
            parallel_train_step,
            _LOGS.value + 1,
            flags.FLAGS.steps,
        )
        shares = [log["waiting_for_data"] for log in logs[1:]]
        rows.append(
            cells
            | {
                "batch_size": config.training.batch_size,
                "steps between logs": flags.FLAGS.steps,
                "waiting for data": round(statistics.median(shares), 4),
                "waiting for data, all logs": [round(share, 4) for share in shares],
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    timing.write("_".join(["waiting_for_data", *flags.FLAGS.networks]), {"rows": rows})


if __name__ == "__main__":
    program.run(main, num_arguments=1)
