"""Runs the programs of the project as users do, from another folder."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterable

ROOT = pathlib.Path(__file__).parent.parent.parent

TRAIN = (
    "train.py --config=configs/digits_blur.py:smoke "
    "--config.model.channel_multipliers=(1,)"
)
# A run with endpoints and with classes.
TRAIN_BOTH = (
    "train.py --config=configs/animorph.py:smoke --workdir=both "
    "--config.model.num_classes=10 --config.model.channel_multipliers=(1,) "
    "--config.degradation.alphas_cumprod.num_steps=4 --config.training.num_steps=1"
)
SAMPLE = "sample.py --workdir=runs/digits_blur-smoke"
SAMPLE_BOTH = "sample.py --workdir=both"
EVALUATE = "evaluate.py --workdir=runs/digits_blur-smoke"
EXPORT = "-m colddiff_jax.cli.export --workdir=runs/digits_blur-smoke"


def run(
    command: str, cwd: pathlib.Path, devices: int = 1
) -> subprocess.CompletedProcess:
    """Runs a program in a folder, with that many CPU devices."""
    return subprocess.run(
        [sys.executable, *_arguments(command)],
        cwd=cwd,
        env=_environment(devices, cwd / "cache"),
        capture_output=True,
        text=True,
    )


def run_failing(
    commands: Iterable[str], cwd: pathlib.Path, programs: pathlib.Path = ROOT
) -> dict[str, tuple[int, str]]:
    """Runs commands with bad input, in forks of one process with four CPU devices.

    Nothing may be cached, as nothing may be computed before an input is checked.

    Args:
        commands: the commands, without `python`.
        cwd: the folder to run them in.
        programs: the folder with the programs.

    Returns:
        By command, the exit status and the text written to stderr.
    """
    commands = list(commands)
    cache = cwd / "unused"
    answers = run_forked([_arguments(c, programs) for c in commands], cwd, cache)
    assert not cache.exists()
    return dict(zip(commands, answers, strict=True))


def run_forked(
    programs: Iterable[list[str]], cwd: pathlib.Path, cache: pathlib.Path
) -> list[tuple[int, str]]:
    """Runs programs in forks of one process with four CPU devices.

    Args:
        programs: for each, what follows `python`.
        cwd: the folder to run them in.
        cache: the folder for what they keep between runs.

    Returns:
        For each, the exit status and the text written to stderr.
    """
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "forking.py")],
        cwd=cwd,
        env=_environment(4, cache),
        input="\n".join(map(json.dumps, programs)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_failure(command: str, answer: tuple[int, str], message: str) -> None:
    """Asserts that a command ends with status 1 and one line with this message."""
    status, stderr = answer
    assert status == 1, stderr
    (line,) = stderr.splitlines()
    program = command.split()[0].replace("-m", "export.py")
    assert line.startswith(f"{program}: error: "), line
    assert "`" not in line, line
    assert message in line


def _arguments(command: str, programs: pathlib.Path = ROOT) -> list[str]:
    """Returns what follows `python` in a command, with paths into the project."""
    program, *options = command.split()
    options = [o.replace("configs/", f"{ROOT}/configs/") for o in options]
    return [program if program == "-m" else str(programs / program), *options]


def _environment(devices: int, cache: pathlib.Path) -> dict[str, str]:
    changes = {"JAX_NUM_CPU_DEVICES": str(devices), "COLDDIFF_CACHE": str(cache)}
    return os.environ | changes
