"""A run that is killed again and again ends as one that was left alone, bit for bit.

    python benchmarks/kill_and_resume.py --num_kills=30 --seed=0

Trains a small network with `train.py`, with random masks, dropout, rollouts, averages
and micro-batches, once undisturbed and once killed (SIGKILL) at random moments of its
start, compilation, steps, evaluations, saving, deleting and end, and started again each
time. Then every checkpoint, line of metrics and picture of the two is compared. About
ten minutes on two CPU cores.
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

import timing
from absl import flags
from comparing import compare

from colddiff_jax.cli import program

_NUM_KILLS = flags.DEFINE_integer("num_kills", 30, "how often to kill the run", 1)
_SEED = flags.DEFINE_integer("seed", 0, "of the moments")

ROOT = pathlib.Path(__file__).parent.parent
STEPS_PER_KILL = 8  # Enough that the run does not end before the last kill.
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
    """`train.py` at work on a run folder.

    Args:
        workdir: the run folder.
        num_steps: training.num_steps.
        cache: folder of what was compiled, so that another start takes seconds.
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
        """When it first said something, or None."""
        found = (when for when, line in self.lines if re.search(pattern, line))
        return next(found, None)

    def names(self) -> list[str]:
        """What lies under checkpoints/."""
        return os.listdir(self.checkpoints) if self.checkpoints.is_dir() else []

    def steps(self) -> list[int]:
        """The checkpoints."""
        return sorted(int(name) for name in self.names() if name.isdecimal())

    def newest(self) -> int:
        """The newest checkpoint, or -1."""
        return max(self.steps(), default=-1)

    def wait_for(self, happened: Callable[[], bool]) -> None:
        """Waits until something happened, or the program ended."""
        while self.process.poll() is None and not happened():
            time.sleep(1e-4)

    def end(self, *, kill: bool) -> int:
        """Kills it or waits for it; returns its exit status."""
        if kill:
            self.process.kill()
        status = self.process.wait()
        self._reader.join()
        return status

    def said(self) -> str:
        """Everything it said."""
        return "\n".join(line for _, line in self.lines)


def wait_for_moment(
    moment: str, training: Training, seconds: dict[str, float], dice: random.Random
) -> None:
    """Waits for a moment of a training; which of the many of its kind is random."""
    if moment == "starting":
        time.sleep(dice.uniform(0, seconds["starting"]))
        return
    # What the last kill left of folders is deleted before this line.
    training.wait_for(lambda: training.seconds_until("training images") is not None)
    if moment == "compiling":
        time.sleep(dice.uniform(0, seconds["compiling"]))
        return
    enough = training.newest() + CHECKPOINT_EVERY * dice.randrange(4)
    if moment == "finishing":
        last = rf"^step {training.num_steps}  test loss"
        training.wait_for(lambda: training.seconds_until(last) is not None)
        time.sleep(dice.uniform(0, 0.3))
        return
    training.wait_for(lambda: training.newest() >= enough)
    if moment in ("saving", "deleting"):
        ending = ".part" if moment == "saving" else ".deleted"
        training.wait_for(lambda: any(n.endswith(ending) for n in training.names()))
        time.sleep(dice.uniform(0, 0.03) if moment == "saving" else 0)
        return
    seen = len(training.lines)

    def reached() -> bool:
        steps = (re.match(r"step (\d+)/", line) for _, line in training.lines[seen:])
        found = [int(step[1]) for step in steps if step]
        if moment == "evaluating":
            return any((step + 1) % EVALUATE_EVERY == 0 for step in found)
        return bool(found)

    training.wait_for(reached)
    time.sleep(dice.uniform(0, 0.1))


def kill_once(
    moment: str,
    start: Callable[[], Training],
    seconds: dict[str, float],
    dice: random.Random,
) -> dict[str, Any] | None:
    """Starts a run and kills it; None if it had ended by then."""
    training = start()
    expected = training.newest()
    wait_for_moment(moment, training, seconds, dice)
    status = training.end(kill=True)
    if status not in (0, -9) or "damaged" in training.said():
        raise SystemExit(f"the run cannot resume:\n{training.said()}")
    learn_times(training, seconds)
    resumed = re.search(r"(?:resuming|starting) at step (\d+)", training.said())
    if resumed and int(resumed[1]) != max(expected, 0):
        raise SystemExit(f"not resumed at step {expected}:\n{training.said()}")
    if status == 0:
        return None
    steps = re.findall(r"^step (\d+)", training.said(), re.MULTILINE)
    return {
        "while": moment,
        "resumed at": int(resumed[1]) if resumed else None,
        "last step heard of": int(steps[-1]) if steps else None,
        "checkpoints": training.steps(),
        "left half-done": [n for n in training.names() if not n.isdecimal()],
    }


def learn_times(training: Training, seconds: dict[str, float]) -> None:
    """Notes how long the first phases take, if this run came so far."""
    started = training.seconds_until("training images")
    if started is not None:
        seconds["starting"] = started
        # The first step is compiled before the first line of metrics.
        compiled = training.seconds_until(r"^step \d+/")
        if compiled is not None:
            seconds["compiling"] = compiled - started


def main() -> None:
    """Trains undisturbed, kills and resumes, and compares."""
    num_kills = _NUM_KILLS.value
    dice = random.Random(_SEED.value)
    plan = [MOMENTS[i % len(MOMENTS)] for i in range(num_kills - 2)]
    dice.shuffle(plan)
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
            raise SystemExit(training.said())
        learn_times(training, seconds)
        kills: list[dict[str, Any]] = []
        while len(kills) < num_kills:
            moment = plan.pop(0) if plan else "starting"
            kill = kill_once(moment, functools.partial(start, killed), seconds, dice)
            print(len(kills), kill or f"ended before {moment}", flush=True)
            kills += [kill] if kill else []
        training = start(killed)
        if training.end(kill=False):
            raise SystemExit(training.said())
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
        raise SystemExit("the killed run did not end as the undisturbed one")


if __name__ == "__main__":
    program.run(main)
