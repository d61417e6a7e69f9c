"""Adding results to those of other samplers."""

import json

import pytest

from colddiff_jax.evaluation.earlier import add_to_earlier


def results(*samplers, command="first", value=0.1, rows=("degraded",), **settings):
    scores = {name: {"rmse": value} for name in (*rows, *samplers)}
    return {
        "command": command,
        "seconds": 1.5,
        "settings": {"samplers": [*samplers], "step": 3, "seed": [0, 1], **settings},
        "pixels": scores,
        "distances": {"colours": scores},
        "by_seed": {"0": {"pixels": scores}, "1": {"pixels": scores}},
        "notes": [f"a note of {samplers[0]}"],
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.json"


def test_scores_are_merged_at_every_depth_and_the_later_ones_count(path):
    path.write_text(json.dumps(results("direct", "alg2")))
    later = results("heun", "alg2", command="second", value=0.2, batch_size=8)
    found = add_to_earlier(str(path), later)
    for scores in (
        found["pixels"],
        found["distances"]["colours"],
        found["by_seed"]["1"]["pixels"],
    ):
        rmse = {name: own["rmse"] for name, own in scores.items()}
        assert rmse == {"degraded": 0.2, "direct": 0.1, "alg2": 0.2, "heun": 0.2}
        assert [*rmse] == ["degraded", "direct", "alg2", "heun"]
    assert found["settings"] == {
        "samplers": ["direct", "alg2", "heun"],
        "step": 3,
        "seed": [0, 1],
        "batch_size": 8,
    }
    commands = {"direct": "first", "alg2": "second", "heun": "second"}
    assert found["commands"] == commands and found["command"] == "second"
    assert found["notes"] == ["a note of direct", "a note of heun"]
    assert found["seconds"] == 3.0


def test_a_third_call_keeps_the_commands_of_both(path):
    for sampler, command in (("direct", "first"), ("alg2", "second")):
        found = add_to_earlier(str(path), results(sampler, command=command))
        path.write_text(json.dumps(found))
    third = add_to_earlier(str(path), results("heun", command="third"))
    assert [*third["commands"].values()] == ["first", "second", "third"]


def test_images_of_the_run_stay_below_the_samplers(path):
    path.write_text(json.dumps(results("alg2", rows=("test images",))))
    found = add_to_earlier(str(path), results("ddim:5", rows=("test images",)))
    assert list(found["pixels"]) == ["alg2", "ddim:5", "test images"]


def test_other_settings_begin_anew_in_a_line_that_names_them(path, capsys):
    path.write_text(json.dumps(results("direct", step=2, seed=[0])))
    later = results("alg2")
    assert add_to_earlier(str(path), later) == later | {"commands": {"alg2": "first"}}
    assert capsys.readouterr().out == (
        f"{path} was of other settings (seed, step); the results begin anew\n"
    )


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"settings": {}}'])
def test_a_damaged_file_begins_anew(path, text, capsys):
    path.write_text(text)
    found = add_to_earlier(str(path), results("alg2"))
    assert list(found["pixels"]) == ["degraded", "alg2"]
    assert capsys.readouterr().out.endswith("cannot be read; the results begin anew\n")


def test_the_first_results_are_as_they_are(path, capsys):
    first = results("alg2")
    assert add_to_earlier(str(path), first) == first | {"commands": {"alg2": "first"}}
    assert capsys.readouterr().out == ""
