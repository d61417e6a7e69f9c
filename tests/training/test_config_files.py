"""Files that are no configurations, and names with colons."""

import pytest

from colddiff_jax import InputError
from colddiff_jax.training.config import get_config
from colddiff_jax.training.config_files import (
    find_config,
    read_config,
    shipped_configs,
    split_name,
)
from tests.conftest import ROOT

VARIANTS = "def get_config(variant=None):\n    return {'variant': variant}\n"
WRONG = {
    "a.json": ('{"seed": 0}', "'.*a.json' is not a configuration, which is a Python"),
    "a.yaml": ("seed: 0", "'.*a.yaml' is not a configuration, which is a Python"),
    "none.py": ("x = 1", "none.py' is not a configuration: it has no function get_"),
    "syntax.py": ("\ndef get_config(:", "syntax.py', line 2: SyntaxError: invalid"),
    "import.py": ("import no_such", "line 1: ModuleNotFoundError: No module named"),
    "fails.py": (
        "def get_config():\n    x = {}\n    return x['a']",
        "fails.py', line 3: KeyError: 'a'; correct that file",
    ),
    "list.py": ("def get_config():\n    return []", "must return an .*, got list"),
    "plain.py:x": ("def get_config():\n    return {}", r"arguments \(\); leave :x out"),
    "needs.py": ("def get_config(x):\n    return {}", r"arguments \(x\); add :VARIANT"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_is_no_configuration_raises_one_line(tmp_path, name):
    text, message = WRONG[name]
    (tmp_path / name.partition(":")[0]).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        get_config(str(tmp_path / name))
    assert len(str(caught.value).splitlines()) == 1


def test_paths_may_have_colons_and_begin_with_the_home_of_the_user(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a:b").mkdir()
    for name in ("a:b/mine.py", "c:d.py"):
        (tmp_path / name).write_text(VARIANTS)
        for path in (tmp_path / name, f"~/{name}"):
            assert get_config(str(path)) == {"variant": None}
            assert get_config(f"{path}:cpu") == {"variant": "cpu"}
    assert split_name("~/a:b/mine.py:cpu") == (str(tmp_path / "a:b/mine.py"), "cpu")
    assert split_name("digits_blur") == ("digits_blur", "")


def test_a_folder_with_the_name_of_a_configuration_does_not_hide_it(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits_blur").mkdir()
    assert get_config("digits_blur").seed == 0


def test_the_configurations_of_the_library_are_those_of_the_folder():
    files = sorted((ROOT / "configs").glob("*.py"))
    assert shipped_configs() == {file.stem: str(file) for file in files}
    (digits,) = (str(file) for file in files if file.stem == "digits_blur")
    assert find_config("digits_blur:smoke") == (digits, "smoke")


def test_every_configuration_says_what_it_trains_and_has_the_variants_it_names():
    for name, path in shipped_configs().items():
        found = read_config(path)
        assert found.purpose.endswith(".") and len(found.purpose) > 40
        assert "smoke" in found.variants
        with pytest.raises(InputError) as raised:
            get_config(f"{name}:none")
        listed = str(raised.value).partition("it has ")[2]
        assert listed == ", ".join(sorted(found.variants))


def test_a_file_without_a_docstring_or_variants_can_be_read(tmp_path):
    (tmp_path / "mine.py").write_text(VARIANTS)
    assert read_config(str(tmp_path / "mine.py")) == ("", ())
