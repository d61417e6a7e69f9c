"""Writers of scalars and pictures."""

import json
import struct

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from colddiff_jax.training import writers


def read(path):
    return [
        json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()
    ]


def test_a_resumed_run_rewrites_the_lines_after_its_checkpoint(tmp_path):
    first = writers.JsonLines(str(tmp_path), first_step=0)
    for step in (10, 20, 30):
        first.scalars(step, {"loss": 1 / step})
    first.close()
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 40, "lo')  # Killed in the middle of a line.
    second = writers.JsonLines(str(tmp_path), first_step=20)
    assert [line["step"] for line in read(tmp_path)] == [10, 20]
    second.scalars(30, {"loss": 0.5})
    assert read(tmp_path)[-1] == {"step": 30, "loss": 0.5}
    second.close()


def resume(tmp_path, content, first_step=30):
    """Resumes a run with the given lines, at a step, and logs one step more."""
    (tmp_path / "metrics.jsonl").write_bytes(content)
    lines = writers.JsonLines(str(tmp_path), first_step=first_step)
    lines.scalars(40, {"loss": 0.5})
    lines.close()
    return [line["step"] for line in read(tmp_path)]


DAMAGE = {
    "invalid UTF-8": b'{"step": 20, "loss": "\xff\xfe"}',
    "torn": b'{"step": 20, "lo{"step": 25, "loss": 1.0}',
    "zeros": bytes(64),
    "no step": b'{"loss": 1.0}',
    "no object": b"20",
    "a list": b"[20]",
    "a step of text": b'{"step": "20"}',
    "a step that is not finite": b'{"step": NaN}',
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_is_dropped_and_counted(tmp_path, capsys, damage):
    first, last = b'{"step": 10, "loss": 1.0}\n', b'{"step": 30, "loss": 1.0}\n'
    assert resume(tmp_path, first + DAMAGE[damage] + b"\n" + last) == [10, 30, 40]
    path = tmp_path / "metrics.jsonl"
    assert capsys.readouterr().out == f"{path}: dropped 1 unreadable line\n"
    assert path.read_bytes().startswith(first + last)


def test_several_damaged_lines_are_counted_in_one_line(tmp_path, capsys):
    lines = [*DAMAGE.values(), b'{"step": 10}', b'{"step": 99}', b'{"step": 99']
    assert resume(tmp_path, b"\n".join(lines)) == [10, 40]
    count = len(DAMAGE) + 1
    path = tmp_path / "metrics.jsonl"
    assert capsys.readouterr().out == f"{path}: dropped {count} unreadable lines\n"


def test_a_last_line_without_a_newline_stays_a_line_of_its_own(tmp_path, capsys):
    content = b'{"step": 10, "loss": 1.0}\n\n{"step": 30, "loss": 1.0}'
    assert resume(tmp_path, content) == [10, 30, 40]
    assert not capsys.readouterr().out


@pytest.mark.parametrize("again", [False, True])
def test_an_evaluation_that_is_due_again_keeps_one_line(tmp_path, again):
    first = b'{"step": 20, "test_loss": 1.0}\n{"step": 30, "loss": 1.0}\n'
    (tmp_path / "metrics.jsonl").write_bytes(first + b'{"step": 30, "test_loss": 1.0}')
    writers.JsonLines(str(tmp_path), 30, evaluates_first=again).close()
    kept = [line["step"] for line in read(tmp_path) if "test_loss" in line]
    assert kept == ([20] if again else [20, 30])
    assert {"step": 30, "loss": 1.0} in read(tmp_path)


def test_a_run_that_restarts_at_step_0_evaluates_it_again_and_keeps_one_line(
    tmp_path,
):
    for _ in range(2):  # The first run is killed before it saves anything else.
        lines = writers.JsonLines(str(tmp_path), first_step=0)
        lines.scalars(0, {"test_loss": 0.5})
        lines.close()
    assert read(tmp_path) == [{"step": 0, "test_loss": 0.5}]


def test_tensorboard_receives_every_scalar_and_picture(tmp_path):
    made = writers.make_writers(str(tmp_path), 0, {}, tensorboard=True)
    for writer in made:
        writer.scalars(1, {"loss": 0.25})
        writer.image(1, "grid", np.zeros((4, 4, 3), np.uint8))
        writer.close()
    (events,) = tmp_path.glob("events.out.tfevents.*")
    assert b"loss" in events.read_bytes() and b"grid" in events.read_bytes()
    assert read(tmp_path) == [{"step": 1, "loss": 0.25}]


def test_tensorboard_hides_what_a_killed_run_wrote_for_later_steps(tmp_path):
    for first_step in (0, 40):
        writer = writers.TensorBoard(str(tmp_path / str(first_step)), first_step)
        writer.scalars(first_step + 10, {"loss": 0.25})
        writer.close()
    starts = {
        folder.name: [
            event.step
            for event in events(next(folder.glob("events.*")))
            if event.session_log.status == SessionLog.START
        ]
        for folder in tmp_path.iterdir()
    }
    # Step 40 was logged before it was saved.
    assert starts == {"0": [0], "40": [41]}


def events(path):
    content = path.read_bytes()
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        yield Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]


def test_a_run_keeps_its_id_and_no_two_folders_share_one(tmp_path):
    folders = [tmp_path / where / "run" for where in ("here", "there")]
    for folder in folders:
        folder.mkdir(parents=True)
    first, other = (writers.run_id(str(folder)) for folder in folders)
    assert first != other
    assert writers.run_id(str(folders[0])) == first
