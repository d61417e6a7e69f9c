"""Runs many short programs of the project, importing their modules only once.

Reads lines of JSON, each a list of the arguments of `python`, and answers each with the
exit status of the program and the text that it wrote to stderr. Every program runs in a
fork of this process, which has initialized no devices and started no threads.
"""

import json
import os
import runpy
import sys
import tempfile
import traceback
from typing import NoReturn

import sklearn.datasets  # noqa: F401

import colddiff_jax.evaluation.evaluate
import colddiff_jax.restoration.restore
import colddiff_jax.training  # noqa: F401


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(run_forked(json.loads(line))), flush=True)


def run_forked(arguments: list[str]) -> tuple[int, str]:
    with tempfile.TemporaryFile() as errors, open(os.devnull, "r+") as nothing:
        child = os.fork()
        if not child:
            os.dup2(nothing.fileno(), 0)
            os.dup2(nothing.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            become(arguments)
        _, status = os.waitpid(child, 0)
        errors.seek(0)
        return os.waitstatus_to_exitcode(status), errors.read().decode()


def become(arguments: list[str]) -> NoReturn:
    status: object = 0
    try:
        if arguments[0] == "-m":
            sys.argv = arguments[1:]
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = arguments
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
