"""Changes to a configuration given as text."""

import copy

import pytest

from colddiff_jax import InputError
from colddiff_jax.training import get_config
from colddiff_jax.training.config import complete_config
from colddiff_jax.training.overrides import override

CONFIG = complete_config(get_config("cifar_blur"))
WITHOUT_NUMBERS = {"name": "constant", "num_steps": 3, "value": 2.0}


def value_at(config, path):
    for name in path.split("."):
        config = config[name]
    return config


def test_no_change_returns_the_completed_configuration():
    assert override(get_config("cifar_blur"), []) == (CONFIG, [])


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("seed", "7", 7),
        ("training.num_steps", "1e4", 10_000),
        ("training.resident_mb", "None", None),
        ("model.remat", "yes", True),
        ("model.attention_resolutions", "16", (16,)),
        ("model.attention_implementation", "cudnn", "cudnn"),
        ("logging.wandb", "None", None),
        ("data.name", "mnist", "mnist"),
        ("degradation.stds", "1,2,3", (1.0, 2.0, 3.0)),
        ("degradation.stds.increment", "0.5", 0.5),
        ("degradation.stds", str(WITHOUT_NUMBERS), WITHOUT_NUMBERS),
        ("degradation.kernel_size", "3,5", (3, 5)),
        ("objective.weights", "1,2", (1.0, 2.0)),
    ],
)
def test_a_field_is_set_and_nothing_else(path, text, expected):
    before = copy.deepcopy(CONFIG)
    changed, notices = override(CONFIG, [(path, text)])
    found = value_at(changed, path)
    assert found == expected and type(found) is type(expected)
    *parents, name = path.split(".")
    fields = value_at(changed, ".".join(parents)) if parents else changed
    fields[name] = value_at(CONFIG, path)
    assert changed == CONFIG == before and not notices


def test_the_last_change_of_a_field_is_valid():
    changed, _ = override(CONFIG, [("seed", "1"), ("seed", "2")])
    assert changed["seed"] == 2


def test_a_new_name_drops_the_arguments_of_the_former_and_says_so():
    changes = [("degradation.num_steps", "200"), ("degradation.name", "snow")]
    changed, notices = override(CONFIG, changes)
    assert changed["degradation"] == {
        "name": "snow",
        "num_steps": 200,
        "level": 3,
        "brighten": False,
        "fade_to_black": (),
        "noise_stds": (),
        "noise_gains": (),
    }
    assert notices == [
        "degradation.name=snow drops kernel_size, padding, stds of gaussian_blur"
    ]


def test_a_new_network_keeps_what_every_network_has():
    changes = [("model.precondition", "yes"), ("model.dtype", "float32")]
    changed, _ = override(CONFIG, changes)
    changed, notices = override(changed, [("model.name", "convnext")])
    assert (
        changed["model"]
        == complete_config(
            CONFIG
            | {"model": {"name": "convnext", "precondition": True, "dtype": "float32"}}
        )["model"]
    )
    assert notices == []  # All other fields had their defaults.


def test_a_schedule_takes_the_place_of_another_or_of_numbers():
    changes = [
        ("degradation.stds.name", "constant"),
        ("degradation.stds.num_steps", "3"),
        ("degradation.stds.value", "2"),
    ]
    changed, _ = override(CONFIG, changes)
    assert changed["degradation"]["stds"] == WITHOUT_NUMBERS
    changed, _ = override(CONFIG, [("objective.weights.name", "linear_decay")])
    assert changed["objective"]["weights"] == {"name": "linear_decay"}


def test_a_section_is_set_as_a_whole():
    changed, _ = override(CONFIG, [("loss", "{'name': 'pseudo_huber', 'scale': 1}")])
    assert changed["loss"] == {"name": "pseudo_huber", "scale": 1.0}


@pytest.mark.parametrize(
    ("section", "name"),
    [("loss", "l2"), ("model", "convnext"), ("ema", "warmup"), ("degradation", "snow")],
)
def test_a_name_alone_chooses_the_function_of_a_section(section, name):
    whole, notices = override(CONFIG, [(section, name)])
    assert (whole, notices) == override(CONFIG, [(f"{section}.name", name)])
    assert whole[section]["name"] == name


def test_a_name_alone_comes_before_the_arguments_wherever_it_stands():
    changes = [("degradation.level", "4"), ("degradation", "snow")]
    changed, _ = override(CONFIG, [*changes, ("degradation.num_steps", "9")])
    assert changed["degradation"]["level"] == 4
    assert changed["degradation"]["num_steps"] == 9


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("training.num_steps", "many", "`training.num_steps` must be an integer, got"),
        (
            "training.num_stepz",
            "1",
            "no field 'training.num_stepz'; did you mean 'num_",
        ),
        ("trainning.num_steps", "1", "no field 'trainning'; did you mean 'training'?"),
        ("seeds", "1", "no field 'seeds'; did you mean 'seed'?"),
        ("seed.x", "1", "`seed` has no fields, since it is 0"),
        ("data.path.x", "1", "`data.path` has no fields, since it is ''"),
        ("degradation.level", "1", "no field 'degradation.level'; known: stds, kernel"),
        ("degradation.image_size", "1", "no field 'degradation.image_size'; known: st"),
        ("degradation.stds.value", "1", "no field 'degradation.stds.value'; known: nu"),
        (
            "data.path.name",
            "linear",
            "`data.path` must be a text, got {'name': 'linear'}",
        ),
        (
            "training.log_every",
            str(WITHOUT_NUMBERS),
            "`training.log_every` must be an ",
        ),
        ("degradation.name", "snowy", "`degradation.name` must be one of .*'snow'"),
        ("training", "long", "`training` must be all fields of the section, such as {"),
        (
            "loss",
            "{'name': 'l2'",
            "`loss` must be all fields of the section, such as {",
        ),
        ("model", "resnet", "`model.name` must be one of .* got 'resnet'"),
        ("model.dtype", "int8", "`model.dtype` must be one of .*'bfloat16'.*, got"),
        ("", "1", "no field ''; known: seed, data"),
    ],
)
def test_wrong_changes_raise(path, text, message):
    with pytest.raises(InputError, match=message) as raised:
        override(CONFIG, [(path, text)])
    assert "\n" not in str(raised.value)
