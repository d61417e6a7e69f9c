"""Trains and scores the restoration models of docs/results.md.

    python -m benchmarks.restoration --data=FOLDER                all of them
    python -m benchmarks.restoration --data=FOLDER mnist_blur     these
    python -m benchmarks.restoration --data=FOLDER --jobs=3 --seconds=540
    python -m benchmarks.restoration --data=FOLDER fashion_blur-cpu

FOLDER has mnist.npz, fashion_mnist.npz, cifar10.npz and afhq_cat.npz, arrays
train_images and test_images of 0 to 255, with train_labels and test_labels but for the
cats, and the feature networks cifar10_resnet56.npz and
mobilenet_v1_upto_pw12_fp16.npz.

Most models are meant for a GPU, those whose names end in -cpu for a CPU core: a quarter
of an hour of training, and as much of scoring. Every model is trained, scored on the
whole test split and exported, by the three programs that anyone would use; their output
is RUNS/NAME.log. The same command goes on where it was stopped, by Ctrl-C or after
--seconds, also on another day: what is finished is not done again. --jobs are done at
once, for a GPU that one small network does not fill.

The scores of what is finished are kept in benchmarks/results/restoration, and pictures
of the eight test images with median errors in docs/images/results; but not those of
trials, with --num_images or fields of train.py such as --config.training.num_steps=20.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import IO, Any

from benchmarks import timing
from benchmarks.restoration_experiments import EXPERIMENTS, FEATURES, Experiment

ROOT = pathlib.Path(__file__).parent.parent


def commands(
    experiment: Experiment, data: str, runs: str, num_images: int = 0
) -> list[list[str]]:
    """Returns the commands that train, score and export a model."""
    run = f"{runs}/{experiment.name}"
    return [
        [
            "train.py",
            f"--config={experiment.config}",
            f"--workdir={run}",
            "--config.data.source=npz",
            f"--config.data.path={data}/{experiment.data}.npz",
            *experiment.flags,
        ],
        [
            "evaluate.py",
            f"--workdir={run}",
            f"--samplers={','.join(experiment.samplers)}",
            f"--features={FEATURES[experiment.data]}",
            *([f"--num_images={num_images}"] if num_images else []),
            "--batch_size=500",
        ],
        [
            *("-m", "colddiff_jax.cli.export", f"--workdir={run}", "--half"),
            f"--out={run}.safetensors",
        ],
    ]


def keep(experiment: Experiment, runs: str) -> None:
    """Copies the scores and a picture of a finished experiment into this checkout."""
    folder = pathlib.Path(runs, experiment.name)
    scores = json.loads((folder / "evaluation" / "results.json").read_text())
    del scores["commands"], scores["command"]  # They name folders of this machine.
    del scores["seconds"]  # Other jobs ran beside it.
    training, scoring, _ = (
        shlex.join(["python", *command])
        for command in commands(experiment, "FOLDER", "runs")
    )
    record: dict[str, Any] = {
        "training": training,
        "command": scoring,
        "machine": scores["settings"]["device"],
        "commit": timing.commit(),
        **scores,
    }
    target = timing.RESULTS / "restoration" / f"{experiment.name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(record, indent=2) + "\n")
    pictures = ROOT / "docs" / "images" / "results"
    pictures.mkdir(parents=True, exist_ok=True)
    picture = folder / "evaluation" / "median.png"
    shutil.copyfile(picture, pictures / f"{experiment.name}.png")


class Jobs:
    """Runs the commands of experiments, and stops all of them at once.

    Attributes:
        data: the folder of images, and of feature networks.
        runs: the folder of the runs.
        num_images: test images to score; 0 for all.
        extra: further flags of train.py, for all experiments.
    """

    def __init__(self, data: str, runs: str, num_images: int, extra: list[str]):
        self.data, self.runs = data, runs
        self.num_images, self.extra = num_images, extra
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen] = set()
        self._start = time.time()

    def do(self, experiment: Experiment) -> bool:
        """Does what is left of an experiment; returns whether it is finished."""
        exported = pathlib.Path(f"{self.runs}/{experiment.name}.safetensors")
        if exported.exists():
            self._keep(experiment)
            return True
        training, *later = commands(experiment, self.data, self.runs, self.num_images)
        with open(f"{self.runs}/{experiment.name}.log", "a") as log:
            for command in [training + self.extra, *later]:
                start = time.time()
                if not self._run(command, log):
                    return False
                self._say(
                    f"{experiment.name}: {command[0]} {time.time() - start:.0f} s"
                )
        self._keep(experiment)
        return True

    def _keep(self, experiment: Experiment) -> None:
        if not (self.num_images or self.extra):  # Those are trials.
            keep(experiment, self.runs)

    def _run(self, command: list[str], log: IO[str]) -> bool:
        with self._lock:
            if self._stopping.is_set():
                return False
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=os.environ | {"COLDDIFF_DATA": self.data},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            self._running.add(process)
        status = process.wait()
        self._running.discard(process)
        if status and not self._stopping.is_set():
            self._say(f"status {status} of {command}; see {log.name}")
        return status == 0 and not self._stopping.is_set()

    def stop(self) -> None:
        """Ends all commands; training writes a checkpoint first."""
        with self._lock:
            self._stopping.set()
            for process in self._running:
                process.send_signal(signal.SIGTERM)

    def _say(self, text: str) -> None:
        print(f"{time.time() - self._start:5.0f} s  {text}", flush=True)


def main() -> None:
    """Does the experiments that are named, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="default: all, in order of their list")
    parser.add_argument("--data", required=True)
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--num_images", type=int, default=0, help="0: the test split")
    parser.add_argument("--seconds", type=float, default=0, help="0: no limit")
    arguments, extra = parser.parse_known_args()
    known = {experiment.name: experiment for experiment in EXPERIMENTS}
    for name in arguments.names:
        if name not in known:
            parser.error(f"no experiment {name!r}; there are {', '.join(known)}")
    chosen = [known[name] for name in arguments.names or known]
    runs = os.path.abspath(arguments.runs)
    os.makedirs(runs, exist_ok=True)
    data = os.path.abspath(arguments.data)
    jobs = Jobs(data, runs, arguments.num_images, extra)
    if arguments.seconds:
        timer = threading.Timer(arguments.seconds, jobs.stop)
        timer.daemon = True
        timer.start()
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        try:
            finished = sum(pool.map(jobs.do, chosen))
        except KeyboardInterrupt:
            jobs.stop()
            raise SystemExit(130) from None
    print(f"{finished} of {len(chosen)} are finished")


if __name__ == "__main__":
    main()
