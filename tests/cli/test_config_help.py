"""What --list and --help print about configurations."""

import shlex

import pytest

from colddiff_jax.cli.config_help import explain_config, list_configs
from colddiff_jax.training import get_config
from colddiff_jax.training.config import complete_config
from colddiff_jax.training.config_files import read_config, shipped_configs
from colddiff_jax.training.overrides import override


def check_width(text):
    assert all(len(line) <= 80 for line in text.splitlines())


def test_the_list_has_every_configuration_with_its_variants_and_purpose():
    text = list_configs()
    check_width(text)
    for name, path in shipped_configs().items():
        found = read_config(path)
        variants = " ".join(f":{variant}" for variant in found.variants)
        listed = text[text.index(f"\n{name} ") :].split()
        assert listed[: 1 + len(found.variants)] == [name, *variants.split()]
        assert f"\n    {found.purpose[:40]}" in text


@pytest.mark.parametrize(
    "name", ["cifar_blur:cpu", "photo_deblur", "generate_pixelate"]
)
def test_the_flags_that_are_shown_change_nothing(name):
    config = complete_config(get_config(name))
    text = explain_config(name, config)
    check_width(text)
    flags = [line.strip() for line in text.splitlines() if "--config." in line]
    assert len(flags) > 60
    whole = [shlex.split(flag) for flag in flags if not flag.endswith(" values)")]
    changes = [flag.removeprefix("--config.").split("=", 1) for (flag,) in whole]
    assert override(config, [tuple(change) for change in changes]) == (config, [])


def test_long_lists_and_missing_values_are_described():
    config, _ = override(get_config("generate_ihd"), [("loss", "pseudo_huber")])
    text = explain_config("generate_ihd", config)
    check_width(text)
    assert "--config.degradation.noise_stds=0.02,0.02,0.02,... (50 values)\n" in text
    assert "--config.loss.scale=... (must be given)\n" in text
    assert text.startswith("generate_ihd: Inverse heat dissipation on MNIST")
    assert "\nVariants: :mnist :cifar :smoke, which " in text
