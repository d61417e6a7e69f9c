"""Every flag of every program at a wrong value ends in one clear message."""

import xml.etree.ElementTree

import pytest

from tests.programs.running import ROOT, TRAIN, run_failing

# A path below a file is no folder, file, number, name or class.
WRONG = "empty.npz/x"
RUN = "--workdir=runs/digits_blur-smoke"
PROGRAMS = {
    "train.py": f"{TRAIN} --workdir=unused",
    "sample.py": f"sample.py {RUN}",
    "evaluate.py": f"evaluate.py {RUN} --features=none",
    "convert": "-m colddiff_jax.cli.convert --checkpoint=empty.npz --workdir=unused "
    "--config=configs/digits_blur.py:smoke",
    "export": f"-m colddiff_jax.cli.export {RUN} --out=unused.safetensors",
    "gallery": "-m colddiff_jax.cli.gallery --out=unused",
    "severity": f"-m colddiff_jax.cli.severity {RUN}",
    "prepare": "-m colddiff_jax.cli.prepare mnist",
}


@pytest.fixture(scope="module")
def answers(folder):
    """By program and flag, the exit status and the text written to stderr."""
    listing = {}
    for name, command in PROGRAMS.items():
        program = " ".join(command.split()[: 2 if command.startswith("-m") else 1])
        listing[name] = f"tests/programs/list_flags.py {program}"
    listed = run_failing(listing.values(), ROOT)
    commands = {
        (name, flag): f"{PROGRAMS[name]} --{flag}={WRONG}"
        for name, command in listing.items()
        for flag in own_flags(listed[command][1])
    }
    found = run_failing(commands.values(), folder)
    return {key: found[command] for key, command in commands.items()}


def own_flags(listing: str) -> list[str]:
    """Returns the flags in the XML of --helpxml, except those of libraries."""
    root = xml.etree.ElementTree.fromstring(listing)
    return [
        flag.findtext("name")
        for flag in root.iter("flag")
        if flag.findtext("key") == "yes"
    ]


def test_every_program_lists_its_flags(answers):
    for program, flag in (
        ("train.py", "config"),
        ("sample.py", "guidance"),
        ("evaluate.py", "save_references"),
        ("evaluate.py", "generate"),
        ("convert", "config"),
        ("export", "out"),
        ("gallery", "size"),
        ("prepare", "manual_dir"),
    ):
        assert (program, flag) in answers


def test_a_wrong_value_of_any_flag_ends_in_one_clear_message(answers, folder):
    for (program, flag), (status, stderr) in answers.items():
        where = f"{program} --{flag}: {stderr}"
        assert status == 1, where
        assert "Traceback" not in stderr, where
        assert 1 <= len(stderr.splitlines()) <= 2, where
        assert ".py: error: " in stderr, where
    assert not list(folder.glob("unused*"))
