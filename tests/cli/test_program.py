"""How programs parse flags and print errors."""

import os
import shutil
import subprocess
import sys
import textwrap
from importlib.util import find_spec

import pytest
from absl import flags

from colddiff_jax import InputError
from colddiff_jax.cli import program
from tests.conftest import ROOT
from tests.programs.running import check_failure, run_failing

PROGRAM = textwrap.dedent(
    """
    import jax
    from absl import flags

    from colddiff_jax import InputError
    from colddiff_jax.cli import program

    flags.DEFINE_string("workdir", "", "")
    flags.DEFINE_integer("steps", 0, "", 0)
    flags.DEFINE_float("eta", None, "", 0.0, 1.0)
    flags.DEFINE_bool("gif", False, "")
    flags.DEFINE_enum("sampler", "alg2", ["alg1", "alg2"], "")
    program.define_config()


    def main(*arguments):
        given = flags.FLAGS
        if given.steps == 7:
            raise InputError("`steps` is 7; set `data.path` or `workdir`, not `x`")
        if given.steps == 8:
            raise ValueError("a bug")
        if given.steps == 9:
            open(given.workdir)
        if given.steps == 10:
            jax.devices()
        if given.config:
            print(given.config.name, given.config.fields["data"]["path"])
        print("done", given.workdir, *arguments)


    program.run(main, required=("workdir",), num_arguments=NUM_ARGUMENTS)
    """
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with three programs, which take no, two or any number of arguments."""
    folder = tmp_path_factory.mktemp("small programs")
    for number in ("0", "2", "None"):
        path = folder / f"small_{number}.py"
        path.write_text(PROGRAM.replace("NUM_ARGUMENTS", number))
    shutil.copy(ROOT / "configs" / "digits_blur.py", folder)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """Runs a program that takes some number of arguments."""

    def run(*arguments, num_arguments=0, **environment):
        return subprocess.run(
            [sys.executable, f"small_{num_arguments}.py", *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
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
    flags.DEFINE(program._ConfigParser(), "config", None, "", flag_values=own_flags)
    own_flags(["program"])
    own_flags.config = program.GivenConfig("small.py", fields)
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


HOME = os.path.expanduser("~")
CONFIG = "small_0.py --config=digits_blur.py"
BAD = {
    "small_0.py": "--workdir is missing; --help explains it",
    "small_0.py --workdir=x y": "unexpected argument 'y'; flags begin with --",
    "small_2.py --workdir=x y": "an argument is missing; --help shows the usage",
    "small_0.py --nope": "Unknown command line flag 'nope'",
    "small_0.py --workdir": "Missing value for flag --workdir",
    "small_0.py --steps=-1": "--steps must be a non-negative integer, got '-1'",
    "small_0.py --steps=1.5": "--steps must be a non-negative integer, got '1.5'",
    "small_0.py --eta=a:b": (
        "--eta must be a number in the range [0.0, 1.0], got 'a:b'"
    ),
    "small_0.py --gif=maybe": "--gif must be true or false, got 'maybe'",
    "small_0.py --sampler=alg3": "--sampler must be one of alg1, alg2, got 'alg3'",
    "small_0.py --workdir=x --steps=7": (
        "--steps is 7; set data.path or --workdir, not x"
    ),
    f"{CONFIG} --workdir=x --steps=7": (
        "--steps is 7; set --config.data.path or --workdir, not x"
    ),
    f"{CONFIG}:paper": "no variant 'paper' of this configuration; it has smoke",
    f"{CONFIG} --config.seed=one --help": "--config.seed must be an integer, got",
    "small_0.py --config=nope.py": "no configuration 'nope.py'; this library has",
    "small_0.py --config=~/nope.py": f"no configuration '{HOME}/nope.py'; this",
    f"{CONFIG} --config.data.pathe=y": (
        "the configuration has no field 'data.pathe'; did you mean 'path'?"
    ),
    f"{CONFIG} --config.date.path=y": (
        "the configuration has no field 'date'; did you mean 'data'?"
    ),
    f"{CONFIG} --config.seed.a=y": "--config.seed has no fields",
    f"{CONFIG} --config.=y": "the configuration has no field ''; known: seed, data",
    f"{CONFIG} --config.seed=one": "--config.seed must be an integer, got 'one'",
    f"{CONFIG} --config.seed": ("--config.seed has no value; give --config.seed=VALUE"),
    "small_0.py --config.seed=1": "--config.seed needs --config=configs/NAME.py",
    "small_0.py --workdir=small_0.py/x --steps=9": (
        "small_0.py/x: Not a directory; name a folder, not a file"
    ),
    "small_0.py --workdir=. --steps=9": ".: Is a directory; ",
    "small_0.py --workdir=no --steps=9": "no: No such file or directory; check that",
}


@pytest.fixture(scope="module")
def answers(folder):
    return run_failing(BAD, folder, programs=folder)


@pytest.mark.parametrize("command", BAD)
def test_bad_input_prints_one_line_and_exits_with_1(answers, command):
    check_failure(command, answers[command], BAD[command])


def test_a_program_gets_the_arguments_that_are_not_flags(run):
    done = run("--workdir=x", "y", "z", num_arguments=None)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done x y z\n", "")


@pytest.mark.parametrize("flag", ["--help", "--helpfull"])
def test_help_is_no_failure(run, flag):
    done = run(flag)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--config" in done.stdout


def test_help_beside_a_configuration_explains_its_fields_as_they_are_changed(run):
    given = ("--config=digits_blur.py:smoke", "--config.loss=l2", "--help")
    done = run(*given, "--config.seed=7")  # Without the required --workdir.
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("digits_blur.py:smoke: Deblurring scikit-learn's")
    for line in ("  --config.seed=7", "  --config.loss.name=l2", "loss: Squared error"):
        assert f"\n{line}" in done.stdout


def test_a_bug_keeps_its_traceback(run):
    done = run("--workdir=x", "--steps=8")
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "ValueError: a bug" in done.stderr


def test_values_of_flags_and_fields_may_begin_with_the_home_of_the_user(run, folder):
    done = run(
        "--config=~/digits_blur.py:smoke",
        "--config.data.path=~/images",
        "--workdir=~/a,~/b~,c",
        "--",
        "~/x",
        num_arguments=None,
        HOME=str(folder),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{folder}/digits_blur.py:smoke {folder}/images",
        f"done {folder}/a,{folder}/b~,c ~/x",
    ]


def test_a_terminal_that_cannot_show_a_name_shows_its_code(run):
    done = run("--workdir=bl\u00fcte", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "done bl\\xfcte\n")


def has_cuda():
    return any(find_spec(f"jax_cuda{version}_plugin") for version in (12, 13))


@pytest.mark.parametrize(
    "platform",
    [pytest.param("cuda", marks=pytest.mark.skipif(has_cuda(), reason="CUDA")), "none"],
)
def test_a_platform_that_is_not_there_ends_in_one_line(run, platform):
    done = run("--workdir=x", "--steps=10", JAX_PLATFORMS=platform)
    assert done.returncode == 1
    *warnings, line = done.stderr.splitlines()
    assert line.startswith(
        f"small_0.py: error: JAX finds no devices of JAX_PLATFORMS={platform}"
    )
    assert line.endswith("or unset JAX_PLATFORMS")
    assert "Traceback" not in "".join(warnings)
