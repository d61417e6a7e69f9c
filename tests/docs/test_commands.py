"""Every command of the README and of the documentation is one that can be typed."""

import importlib.util
import pathlib
import tomllib

import pytest

from colddiff_jax.experiment.builders import make_degradation, make_network
from colddiff_jax.training.config import get_config
from colddiff_jax.training.overrides import override
from tests.conftest import ROOT
from tests.docs.commands import Command, all_commands
from tests.docs.conftest import RUN
from tests.programs.running import run_forked

COMMANDS = all_commands()
# Commands that are not checked further than here, and why.
NOT_CHECKED = {
    # The README's two commands, which .ci/run types as they are.
    "python3 -m venv .venv",
    "python -m pytest -n auto --dist loadfile",
    # Trainings of minutes, which tests/test_examples.py runs for a few steps.
    "python examples/blackout_diffusion.py --steps=2000",
    "python examples/dyffusion.py --steps=500",
    "python examples/variational_cold.py --steps=1500",
}


@pytest.fixture(scope="module")
def answers(clone) -> dict[Command, tuple[int, str]]:
    """The answers of all programs, which read their flags and stop."""
    chosen = [c for c in COMMANDS if c.is_program or _has_absl_flags(c)]
    programs = [[*c.words[1:], "--only_check_args"] for c in chosen]
    found = run_forked(programs, clone, clone / "cache")
    return dict(zip(chosen, found, strict=True))


def _has_absl_flags(command: Command) -> bool:
    return "program.run(" in _benchmark(command)


def _benchmark(command: Command) -> str:
    """Returns the source of a benchmark; empty if the command is another one."""
    if command.words[:2] != ("python", "-m") or "benchmarks" not in command.words[2]:
        return ""
    name = command.words[2].replace("benchmarks", "benchmarks.__main__", 1)
    if "." in command.words[2]:
        name = command.words[2]
    spec = importlib.util.find_spec(name)
    assert spec and spec.origin, command
    return pathlib.Path(spec.origin).read_text()


def test_programs_accept_their_flags_and_configurations(answers):
    assert len(answers) >= 35
    for command, (status, stderr) in answers.items():
        assert status == 0, f"{command.page}: {command.text}: {stderr}"


def test_a_wrong_flag_or_field_would_be_noticed(clone):
    wrong = ["sample.py --workdir=x --step=5", "train.py --config=configs/none.py"]
    wrong += ["train.py --config=configs/cifar_blur.py --config.training.batch=64"]
    programs = [[*command.split(), "--only_check_args"] for command in wrong]
    for status, stderr in run_forked(programs, clone, clone / "cache"):
        assert status == 1 and "error: " in stderr


def test_configurations_with_their_changes_make_a_degradation_and_a_network(clone):
    for command in COMMANDS:
        if command.words[:2] != ("python", "train.py") or "--list" in command.words:
            continue
        given = dict(
            w.removeprefix("--").split("=", 1) for w in command.words[2:] if "=" in w
        )
        name = given["config"].replace("configs/", f"{ROOT}/configs/")
        if not name.startswith("/"):
            name = str(clone / name)
        changes = [(k.removeprefix("config."), v) for k, v in given.items() if "." in k]
        config, _ = override(get_config(name), changes)
        degrade = make_degradation(config["degradation"], config["data"]["image_size"])
        assert degrade.num_steps > 0
        assert make_network(config["model"])


def test_other_benchmarks_have_the_flags():
    for command in COMMANDS:
        source = _benchmark(command)
        if source and not _has_absl_flags(command):
            for word in command.words[3:]:
                name = word.partition("=")[0]
                assert not name.startswith("--") or f'"{name}"' in source, command


def test_pip_installs_extras_that_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for command in COMMANDS:
        if command.words[0] == "pip":
            for word in command.words[2:]:
                extras = word.partition("[")[2].rstrip("]")
                assert not extras or extras in project["optional-dependencies"]


def test_commands_that_run_are_typed_on_a_page():
    assert set(RUN) <= {command.text for command in COMMANDS}


def test_every_command_is_checked_or_excused():
    assert {command.text for command in COMMANDS} >= NOT_CHECKED
    for command in COMMANDS:
        checked = command.is_program or _benchmark(command) or command.words[0] == "pip"
        assert checked or command.text in NOT_CHECKED, command
