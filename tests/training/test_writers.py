"""Writers of scalars and pictures."""

import json
import struct

import numpy as np
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
