"""The package as users import it."""

import dataclasses
import inspect
import subprocess
import sys

import pytest

import colddiff_jax as cd

MODULES = (
    cd,
    cd.degradations,
    cd.losses,
    cd.metrics,
    cd.models,
    cd.sampling,
    cd.schedules,
)


def public_functions():
    for module in MODULES:
        for name, value in vars(module).items():
            ours = getattr(value, "__module__", "").startswith("colddiff_jax")
            if inspect.isfunction(value) and ours and not name.startswith("_"):
                yield pytest.param(value, id=f"{module.__name__}.{name}")


def run_python(code: str) -> str:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


def test_importing_loads_no_heavy_library():
    loaded = run_python("import sys, colddiff_jax; print(*sys.modules)").split()
    heavy = {"tensorflow", "tensorflow_datasets", "grain", "orbax", "sklearn", "PIL"}
    assert "jax" in loaded and "flax.nnx" not in loaded
    assert not heavy & {name.partition(".")[0] for name in loaded}


def test_what_trains_and_loads_is_imported_when_it_is_used():
    from colddiff_jax import restoration, training

    assert cd.train_and_evaluate is training.train_and_evaluate
    assert cd.get_config is training.get_config
    assert (cd.load, cd.load_run) == (restoration.load, restoration.load_run)
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = cd.train


def test_importing_takes_less_than_two_seconds_beyond_jax():
    code = (
        "import time, jax.numpy; start = time.perf_counter(); import colddiff_jax; "
        "print(time.perf_counter() - start)"
    )
    assert min(float(run_python(code)) for _ in range(2)) < 2


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_name_is_documented(module):
    assert module.__doc__
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        # Aliases and tables are documented where they are defined.
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), name


@pytest.mark.parametrize("function", list(public_functions()))
def test_keys_come_first_or_by_name_and_options_are_keyword_only(function):
    for i, parameter in enumerate(inspect.signature(function).parameters.values()):
        keyword_only = parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.name not in ("rng", "seed_key")
        assert parameter.name != "key" or i == 0 or keyword_only
        if parameter.default is not inspect.Parameter.empty:
            assert keyword_only, parameter


def test_attributes_in_docstrings_are_the_fields():
    for value in (*vars(cd.degradations).values(), cd.SampleResult):
        fields = (
            [field.name for field in dataclasses.fields(value)]
            if dataclasses.is_dataclass(value)
            else getattr(value, "_fields", [])
        )
        for field in fields:
            assert f"        {field}: " in value.__doc__, (value, field)


def test_the_package_is_typed():
    import importlib.resources

    assert importlib.resources.files("colddiff_jax").joinpath("py.typed").is_file()
