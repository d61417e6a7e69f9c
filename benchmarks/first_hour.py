"""Times what a new user waits for, in this checkout and in an earlier one.

    python -m benchmarks.first_hour --before=ede2281

Each command runs once with an empty compilation cache and once with what that run has
kept; the two versions take turns. Reported are the seconds of the clock, those of all
CPU cores together, which other work on the machine hardly changes, and the longest time
without a new line.
"""

import argparse
import contextlib
import itertools
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from benchmarks import timing

_ROOT = timing.RESULTS.parents[1]


def readme_code(root: pathlib.Path) -> str:
    """Returns the README's Python code until an image is restored."""
    text = (root / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (code,) = (block for block in blocks if "cd.sample_heun" in block)
    return code.partition("# A degradation of your own")[0]


def train_smoke(root: pathlib.Path, workdir: str) -> list[str]:
    """Returns the arguments of Python that train for a few steps."""
    return ["train.py", "--config=configs/digits_blur.py:smoke", f"--workdir={workdir}"]


def restore(root: pathlib.Path, workdir: str) -> list[str]:
    """Returns the arguments of Python that run the README's code."""
    return ["-c", readme_code(root)]


COMMANDS: dict[str, Callable[[pathlib.Path, str], list[str]]] = {
    "train.py, smoke": train_smoke,
    "README's restoration": restore,
}


def run(command: list[str], root: pathlib.Path, cache: str) -> dict[str, float]:
    """Returns the seconds that a command takes, and its longest silence."""
    places = {"PYTHONPATH": str(root), "COLDDIFF_CACHE": cache}
    places |= {"JAX_COMPILATION_CACHE_DIR": os.path.join(cache, "compiled")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = last = time.perf_counter()
    silence = 0.0
    with subprocess.Popen(
        [sys.executable, "-u", *command],
        cwd=root,
        env=os.environ | places,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        for _ in process.stdout:
            now = time.perf_counter()
            silence, last = max(silence, now - last), now
    if process.returncode:
        raise SystemExit(f"{command} failed in {root}")
    end = time.perf_counter()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    seconds = {"clock": end - start, "cpu": cpu, "silence": max(silence, end - last)}
    return {name: round(value, 1) for name, value in seconds.items()}


@contextlib.contextmanager
def checkout(commit: str, path: pathlib.Path) -> Iterator[None]:
    """Checks a commit out into a folder, for the time of the block."""
    worktree = ["git", "worktree"]
    add = [*worktree, "add", "--detach", str(path), commit]
    subprocess.run(add, cwd=_ROOT, check=True, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        remove = [*worktree, "remove", "--force", str(path)]
        subprocess.run(remove, cwd=_ROOT, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", required=True, help="a commit to compare with")
    flags = parser.parse_args()
    rows: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        earlier = pathlib.Path(folder) / "earlier"
        versions = {"before": earlier, "after": _ROOT}
        with checkout(flags.before, earlier):
            for (name, command), state, (version, root) in itertools.product(
                COMMANDS.items(), ("cold", "warm"), versions.items()
            ):
                cache = os.path.join(folder, version, name)
                workdir = os.path.join(folder, f"{version}-{state}")
                row = rows.setdefault(f"{name}, {state}", {})
                row[version] = run(command(root, workdir), root, cache)
                print(name, state, version, row[version], flush=True)
    timing.write("first_hour", {"before": flags.before, "rows": rows})


if __name__ == "__main__":
    main()
