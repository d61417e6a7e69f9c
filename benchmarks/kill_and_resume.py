"""Checks that a repeatedly killed run ends like an undisturbed one, bit for bit.

    python -m benchmarks.kill_and_resume --num_kills=30 --seed=0

Trains a small network with `train.py` (random masks, dropout, rollouts, moving average,
micro-batches) twice: once undisturbed, and once killed by SIGKILL at random moments
(while starting, compiling, stepping, evaluating, saving, deleting or finishing) and
restarted each time. Then compares the checkpoints, metrics and pictures of the two.
Takes about ten minutes on two CPU cores.
"""

import collections
import functools
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

from absl import flags

from benchmarks import timing
from benchmarks.comparing import compare
from colddiff_jax.cli import program

_NUM_KILLS = flags.DEFINE_integer("num_kills", 30, "number of kills", 1)
_SEED = flags.DEFINE_integer("seed", 0, "seed of the random moments")

ROOT = pathlib.Path(__file__).parent.parent
STEPS_PER_KILL = 8  # Enough for the run to outlast the last kill.
EVALUATE_EVERY, CHECKPOINT_EVERY = 6, 2
OPTIONS = {
    "model.base_channels": 32,
    "model.channel_multipliers": (1,),
    "objective.rollouts": 0.5,
    "training.micro_batches": 2,
    "training.log_every": 1,
    "training.evaluate_every": EVALUATE_EVERY,
    "training.checkpoint_every": CHECKPOINT_EVERY,
    "evaluation.num_images": 32,
}
MOMENTS = ("starting", "compiling", "stepping", "evaluating", "saving", "deleting")


class Training:
    """A process of `train.py` in a run folder.

    Args:
        workdir: the run folder.
        num_steps: training.num_steps.
        cache: the folder of JAX's compilation cache, so that a restart takes seconds.
    """

    def __init__(self, workdir: pathlib.Path, num_steps: int, cache: str):
        options = OPTIONS | {"training.num_steps": num_steps}
        self.num_steps = num_steps
        self.checkpoints = workdir / "checkpoints"
        self.lines: list[tuple[float, str]] = []
        self._start = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "train.py", "--config=configs/mnist_mask.py:smoke"]
            + [f"--config.{name}={value}" for name, value in options.items()]
            + [f"--workdir={workdir}"],
            cwd=ROOT,
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "JAX_COMPILATION_CACHE_DIR": cache,
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append((time.perf_counter() - self._start, line.rstrip()))

    def seconds_until(self, pattern: str) -> float | None:
        """Returns the seconds until a line first matched the pattern, or None."""
        times = (seconds for seconds, line in self.lines if re.search(pattern, line))
        return next(times, None)

    def names(self) -> list[str]:
        """Returns the names of the entries of checkpoints/."""
        return os.listdir(self.checkpoints) if self.checkpoints.is_dir() else []

    def steps(self) -> list[int]:
        """Returns the steps of the checkpoints."""
        return sorted(int(name) for name in self.names() if name.isdecimal())

    def newest(self) -> int:
        """Returns the step of the newest checkpoint, or -1."""
        return max(self.steps(), default=-1)

    def wait_for(self, happened: Callable[[], bool]) -> None:
        """Waits until an event has happened or the process has ended."""
        while self.process.poll() is None and not happened():
            time.sleep(1e-4)

    def end(self, *, kill: bool) -> int:
        """Kills the process or waits for it; returns its exit status."""
        if kill:
            self.process.kill()
        status = self.process.wait()
        self._reader.join()
        return status

    def output(self) -> str:
        """Returns everything the process has printed."""
        return "\n".join(line for _, line in self.lines)


def wait_for_moment(
    moment: str, training: Training, seconds: dict[str, float], rng: random.Random
) -> None:
    """Waits for a random moment of the given kind."""
    if moment == "starting":
        time.sleep(rng.uniform(0, seconds["starting"]))
        return
    # The leftovers of the last kill are deleted before this line is printed.
    training.wait_for(lambda: training.seconds_until("training images") is not None)
    if moment == "compiling":
        time.sleep(rng.uniform(0, seconds["compiling"]))
        return
    enough = training.newest() + CHECKPOINT_EVERY * rng.randrange(4)
    if moment == "finishing":
        last = rf"^step {training.num_steps}  test loss"
        training.wait_for(lambda: training.seconds_until(last) is not None)
        time.sleep(rng.uniform(0, 0.3))
        return
    training.wait_for(lambda: training.newest() >= enough)
    if moment in ("saving", "deleting"):
        ending = ".part" if moment == "saving" else ".deleted"
        training.wait_for(lambda: any(n.endswith(ending) for n in training.names()))
        time.sleep(rng.uniform(0, 0.03) if moment == "saving" else 0)
        return
    seen = len(training.lines)

    def reached() -> bool:
        steps = (re.match(r"step (\d+)/", line) for _, line in training.lines[seen:])
        found = [int(step[1]) for step in steps if step]
        if moment == "evaluating":
            return any((step + 1) % EVALUATE_EVERY == 0 for step in found)
        return bool(found)

    training.wait_for(reached)
    time.sleep(rng.uniform(0, 0.1))


def kill_once(
    moment: str,
    start: Callable[[], Training],
    seconds: dict[str, float],
    rng: random.Random,
) -> dict[str, Any] | None:
    """Starts a run and kills it; returns None if it ended before."""
    training = start()
    expected = training.newest()
    wait_for_moment(moment, training, seconds, rng)
    status = training.end(kill=True)
    if status not in (0, -9) or "damaged" in training.output():
        raise SystemExit(f"the run could not resume:\n{training.output()}")
    record_times(training, seconds)
    resumed = re.search(r"(?:resuming|starting) at step (\d+)", training.output())
    if resumed and int(resumed[1]) != max(expected, 0):
        raise SystemExit(
            f"the run did not resume at step {expected}:\n{training.output()}"
        )
    if status == 0:
        return None
    steps = re.findall(r"^step (\d+)", training.output(), re.MULTILINE)
    return {
        "while": moment,
        "resumed at": int(resumed[1]) if resumed else None,
        "last step heard of": int(steps[-1]) if steps else None,
        "checkpoints": training.steps(),
        "left half-done": [n for n in training.names() if not n.isdecimal()],
    }


def record_times(training: Training, seconds: dict[str, float]) -> None:
    """Records how long the first phases took, as far as this run reached them."""
    started = training.seconds_until("training images")
    if started is not None:
        seconds["starting"] = started
        # The first step is compiled before the first line of metrics.
        compiled = training.seconds_until(r"^step \d+/")
        if compiled is not None:
            seconds["compiling"] = compiled - started


def main() -> None:
    """Trains undisturbed, trains with kills, and compares the two."""
    num_kills = _NUM_KILLS.value
    rng = random.Random(_SEED.value)
    plan = [MOMENTS[i % len(MOMENTS)] for i in range(num_kills - 2)]
    rng.shuffle(plan)
    plan += ["finishing", "finishing"]
    with tempfile.TemporaryDirectory() as folder:
        start = functools.partial(
            Training,
            num_steps=STEPS_PER_KILL * num_kills,
            cache=os.path.join(folder, "cache"),
        )
        undisturbed = pathlib.Path(folder, "undisturbed")
        killed = pathlib.Path(folder, "killed")
        seconds: dict[str, float] = {}
        training = start(undisturbed)
        if training.end(kill=False):
            raise SystemExit(training.output())
        record_times(training, seconds)
        kills: list[dict[str, Any]] = []
        while len(kills) < num_kills:
            moment = plan.pop(0) if plan else "starting"
            kill = kill_once(moment, functools.partial(start, killed), seconds, rng)
            print(len(kills), kill or f"ended before {moment}", flush=True)
            kills += [kill] if kill else []
        training = start(killed)
        if training.end(kill=False):
            raise SystemExit(training.output())
        verdict = compare(killed, undisturbed)
    half_done = [name for kill in kills for name in kill["left half-done"]]
    timing.write(
        "kill_and_resume",
        {
            "num_steps": STEPS_PER_KILL * num_kills,
            **verdict,
            "kills while": collections.Counter(kill["while"] for kill in kills),
            "kills that left a folder half-saved": sum(".part" in n for n in half_done),
            "kills that left a folder half-deleted": sum(
                ".deleted" in n for n in half_done
            ),
            "kills": kills,
        },
    )
    if not all(value for name, value in verdict.items() if name.endswith("equal")):
        raise SystemExit("the killed run differs from the undisturbed one")


if __name__ == "__main__":
    program.run(main)
