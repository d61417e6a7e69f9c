"""Every field of every configuration has a meaning, from the docstrings."""

import pytest

from colddiff_jax.experiment.builders import DEGRADATIONS, NETWORKS, SCHEDULES
from colddiff_jax.losses import DISTANCES
from colddiff_jax.training import get_config
from colddiff_jax.training.config import SECTIONS, complete_config
from colddiff_jax.training.config_files import shipped_configs
from colddiff_jax.training.field_docs import REQUIRED, describe
from colddiff_jax.training.optimizers import EMA_DECAYS
from colddiff_jax.training.overrides import override

CONFIG = complete_config(get_config("digits_blur:smoke"))


def fields_of(config):
    """The described fields of a configuration by path."""
    return {f.path: f for section in describe(config) for f in section.fields}


def flattened(fields, prefix=""):
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@pytest.mark.parametrize("name", shipped_configs())
def test_every_field_is_shown_once_with_its_value(name):
    config = complete_config(get_config(name))
    sections = list(describe(config))
    assert [section.name for section in sections] == list(SECTIONS)
    shown = [(f.path, f.value) for section in sections for f in section.fields]
    assert len(shown) == len(dict(shown)) and REQUIRED not in dict(shown).values()
    expected = dict(flattened(config))
    if not config["endpoints"]["source"]:  # Its other fields have no effect.
        expected = {
            path: value
            for path, value in expected.items()
            if not path.startswith("endpoints.") or path == "endpoints.source"
        }
    # Besides those, the defaults of a schedule, which configurations leave out.
    others = dict(shown).keys() - expected.keys()
    assert others <= {"degradation.alphas_cumprod.offset"}
    assert expected.items() <= dict(shown).items()


CHOICES = [("degradation", name) for name in DEGRADATIONS if name != "own"] + [
    (section, name)
    for section, functions in (
        ("model", NETWORKS),
        ("loss", DISTANCES),
        ("ema", EMA_DECAYS),
        ("degradation.stds", SCHEDULES),
    )
    for name in functions
]


@pytest.mark.parametrize(("section", "name"), CHOICES)
def test_every_field_has_a_meaning_of_one_line(section, name):
    config, _ = override(CONFIG, [(f"{section}.name", name)])
    for field in fields_of(config).values():
        assert len(field.meaning) > 8 and "\n" not in field.meaning, field
        assert field.meaning[-1] not in ".,:;", field


def test_the_meaning_is_that_of_the_chosen_function():
    fields = fields_of(CONFIG)
    assert fields["training.num_steps"] == (
        "training.num_steps",
        6,
        "optimizer steps in total",
    )
    stds = fields["degradation.stds.name"].meaning
    assert stds.startswith("standard deviations in pixels, whatever the image's size")
    assert "Makes a constant schedule, s_i = value; one of constant, cosine" in stds
    changed, _ = override(CONFIG, [("loss", "pseudo_huber")])
    scale = fields_of(changed)["loss.scale"]
    assert scale.value is REQUIRED and scale.meaning.startswith("c, positive")


def test_fields_of_other_sources_name_these():
    digits = fields_of(CONFIG)["data.path"].meaning
    assert digits == (
        "for the source folder: the folder; for the source npz: an .npz file with "
        "these two uint8 arrays, [N, H, W] or [N, H, W, C]; ~ at its beginning is the "
        "home of the user"
    )
    folder, _ = override(CONFIG, [("data.source", "folder")])
    assert fields_of(folder)["data.path"].meaning == "the folder"


def test_fields_that_are_in_pixels_say_so():
    for name, field in {
        "gaussian_blur": "stds",
        "gaussian_mask": "stds",
        "fade_to_color": "stds",
        "heat_blur": "blur_sigmas",
        "motion_blur": "lengths",
        "holes": "radii",
        "pixelate": "sizes",
    }.items():
        config, _ = override(CONFIG, [("degradation", name)])
        path = f"degradation.{field}"
        path += ".name" if name == CONFIG["degradation"]["name"] else ""
        meaning = fields_of(config)[path].meaning
        assert "in pixels, whatever the image's size" in meaning, meaning
