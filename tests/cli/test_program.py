"""How programs parse flags and print errors."""

import subprocess
import sys
import textwrap

import ml_collections
import pytest
from absl import flags
from ml_collections import config_flags

from colddiff_jax import InputError
from colddiff_jax.cli import program
from tests.conftest import ROOT

PROGRAM = textwrap.dedent(
    """
    import sys

    from absl import flags
    from ml_collections import config_flags

    from colddiff_jax import InputError
    from colddiff_jax.cli import program

    flags.DEFINE_string("workdir", "", "")
    flags.DEFINE_integer("steps", 0, "", 0)
    config_flags.DEFINE_config_file("config")


    def main(*arguments):
        if flags.FLAGS.steps == 7:
            raise InputError("`steps` is 7; set `data.path` or `workdir`, not `x`")
        if flags.FLAGS.steps == 8:
            raise ValueError("a bug")
        print("done", *arguments)


    program.run(main, required=("workdir",), num_arguments=NUM_ARGUMENTS)
    """
)
CONFIG = textwrap.dedent(
    """
    import ml_collections

    from colddiff_jax import InputError


    def get_config(variant=None):
        if variant:
            raise InputError(f"no variant {variant!r} here; see `workdir`")
        return ml_collections.ConfigDict({"data": {"path": "x"}})
    """
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs a small program that takes some number of arguments."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "config.py").write_text(CONFIG)

    def run(*arguments, num_arguments=0):
        path = folder / "small.py"
        path.write_text(PROGRAM.replace("NUM_ARGUMENTS", str(num_arguments)))
        return subprocess.run(
            [sys.executable, str(path), *arguments],
            cwd=folder,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture
def own_flags(monkeypatch):
    """Replaces the global flags with the flags of a small program."""
    own = flags.FlagValues()
    monkeypatch.setattr(flags, "FLAGS", own)
    flags.DEFINE_string("workdir", "", "", flag_values=own)
    flags.DEFINE_list("samplers", [], "", flag_values=own)
    return own


MESSAGE = (
    "`samplers` must be a list; see `data.path`, `data.sise`, `data`, `data.a.b`, "
    "`seed`, `seed.a`, `nope`, `a b` and `workdir`"
)


def test_argument_names_become_flags(own_flags):
    own_flags(["program"])
    assert program._with_flags(MESSAGE) == (
        "--samplers must be a list; see data.path, data.sise, data, data.a.b, seed, "
        "seed.a, nope, `a b` and --workdir"
    )


def test_fields_of_a_configuration_become_flags(own_flags):
    fields = {"seed": 0, "data": {"path": "", "a": {"b": 1}}}
    config = ml_collections.ConfigDict(fields)
    config_flags.DEFINE_config_dict("config", config, flag_values=own_flags)
    own_flags(["program"])
    assert program._with_flags(MESSAGE) == (
        "--samplers must be a list; see --config.data.path, data.sise, data, "
        "--config.data.a.b, --config.seed, seed.a, nope, `a b` and --workdir"
    )


def test_lists_of_integers_are_distinct_and_not_negative():
    assert program.integers("seeds", ["3", "0", "3", "12"]) == [3, 0, 12]
    assert program.integers("seeds", []) == []
    for text in ("-1", "one", "1.5", ""):
        with pytest.raises(InputError, match=f"--seeds must be non-neg.* got '{text}'"):
            program.integers("seeds", ["1", text])


@pytest.mark.parametrize(
    ("arguments", "num_arguments", "message"),
    [
        ([], 0, "--workdir is missing; --help explains it"),
        (["--workdir=x", "y"], 0, "unexpected argument 'y'; flags begin with --"),
        (["--workdir=x", "y"], 2, "an argument is missing; --help shows the usage"),
        (["--nope"], 0, "Unknown command line flag 'nope'"),
        (["--steps=-1"], 0, "flag --steps=-1: -1 is not a non-negative integer"),
        (
            ["--workdir=x", "--steps=7"],
            0,
            "--steps is 7; set data.path or --workdir, not x",
        ),
        (
            ["--workdir=x", "--steps=7", "--config=config.py"],
            0,
            "--steps is 7; set --config.data.path or --workdir, not x",
        ),
        (["--config=config.py:paper"], 0, "no variant 'paper' here; see --workdir"),
        (
            ["--config=config.py", "--config.data.pathe=y"],
            0,
            "the configuration has no field 'pathe' (--config.data.pathe=y); did you "
            "mean 'path'?",
        ),
        (
            ["--config=config.py", "--config.nope=1"],
            0,
            "the configuration has no field 'nope' (--config.nope=1); see the config",
        ),
    ],
)
def test_bad_input_prints_one_line_and_exits_with_1(
    run, arguments, num_arguments, message
):
    done = run(*arguments, num_arguments=num_arguments)
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"small.py: error: {message}")


def test_a_program_gets_the_arguments_that_are_not_flags(run):
    done = run("--workdir=x", "y", "z", num_arguments=None)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done y z\n", "")


def test_a_bug_keeps_its_traceback(run):
    done = run("--workdir=x", "--steps=8")
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "ValueError: a bug" in done.stderr
