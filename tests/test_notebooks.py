"""The notebooks run from top to bottom; in the repository they have no outputs."""

import ast
import functools
import re
import tomllib

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT

NOTEBOOKS = {path.stem: path for path in sorted(ROOT.glob("notebooks/*.ipynb"))}
# Injected below the cell that is tagged "parameters", as Papermill does.
SETTINGS = {
    "generate_digits": {"num_images": 4, "num_steps": 10},
    "quickstart": {"num_images": 16},
    "restore_a_photo": {"longest_side": 160},
    "train_on_tpu": {"config_name": "digits_blur:smoke", "num_steps": 40},
    "your_own_degradation": {"num_steps": 20, "batch_size": 16},
}
PICTURES = {
    "generate_digits": 5,
    "quickstart": 6,
    "restore_a_photo": 4,
    "train_on_tpu": 1,
    "your_own_degradation": 3,
}


def read(name):
    notebook = nbformat.read(NOTEBOOKS[name], as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs a notebook with small settings, once for all tests."""

    @functools.cache
    def run(name):
        notebook = read(name)
        (place,) = (
            i
            for i, cell in enumerate(notebook.cells)
            if "parameters" in cell.metadata.get("tags", [])
        )
        lines = ast.parse(notebook.cells[place].source).body
        assert SETTINGS[name].keys() <= {line.targets[0].id for line in lines}
        injected = "\n".join(
            f"{key} = {value!r}" for key, value in SETTINGS[name].items()
        )
        notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(injected))
        where = {"metadata": {"path": str(tmp_path_factory.mktemp(name))}}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(ROOT))
            NotebookClient(notebook, timeout=300, resources=where).execute()
        return notebook

    return run


def printed(cell):
    outputs = (output for output in cell.outputs if output.output_type == "stream")
    return "".join(output.text for output in outputs if output.name == "stdout")


def test_every_notebook_is_tested():
    assert NOTEBOOKS.keys() == SETTINGS.keys() == PICTURES.keys()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_cell_runs_and_the_pictures_are_shown(run, name):
    cells = code_cells(run(name))
    assert not cells[0].outputs, "the package is installed, and pip must not run"
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == PICTURES[name]


def test_algorithm_2_wins_as_the_quickstart_says(run):
    text = "\n".join(printed(cell) for cell in code_cells(run("quickstart")))
    rows = re.findall(r"^(\w[\w ,]*?) +(\d\.\d+)  (\d\.\d+)$", text, re.M)
    rmse = {
        name: [float(r) for found, r, _ in rows if found == name]
        for name in ("degraded", "direct", "Algorithm 1", "Algorithm 2")
    }
    blur, drift, grey = 0, 1, 2
    for part in (blur, drift, grey):
        assert rmse["Algorithm 2"][part] < 0.8 * rmse["Algorithm 1"][part]
    assert rmse["Algorithm 2"][drift] == 0.0
    assert max(rmse["direct"][blur], rmse["Algorithm 2"][blur]) < 0.05
    assert float(rmse["Algorithm 2"][grey]) < rmse["degraded"][grey]


def test_algorithm_2_keeps_the_observation_of_a_degradation_of_ones_own(run):
    text = "\n".join(printed(cell) for cell in code_cells(run("your_own_degradation")))
    rows = re.findall(r"^(\w[\w ,]*?) +\d\.\d+  \d\.\d+  (\S+)$", text, re.M)
    distance = {name: float(value) for name, value in rows}
    assert distance["Algorithm 2"] < 1e-5 < 1e-3 < distance["direct"]


def test_a_training_on_eight_devices_is_interrupted_and_resumed(run):
    cells = code_cells(run("train_on_tpu"))
    text = "\n".join(printed(cell) for cell in cells)
    assert re.findall(r"^cpu:(\d) \(1, 1, 1, ", text, re.M) == [*"01234567"]
    assert "8 cpu device(s), starting at step 0" in text
    assert "8 cpu device(s), resuming at step 20" in text
    assert re.search(r"^8 device\(s\): \d+\.\d+ steps/s$", text, re.M)
    assert re.search(r"^/host:CPU: [\d,]+ events$", text, re.M)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_not_committed(name):
    for cell in code_cells(read(name)):
        assert cell.outputs == [] and cell.execution_count is None
        assert cell.metadata.keys() <= {"tags"}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_opens_in_colab_and_installs_the_package(name):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    repository = project["urls"]["Repository"].removeprefix("https://github.com/")
    colab = "https://colab.research.google.com"
    badge = (
        f"[![Open in Colab]({colab}/assets/colab-badge.svg)]"
        f"({colab}/github/{repository}/blob/main/notebooks/{name}.ipynb)"
    )
    notebook = read(name)
    assert notebook.cells[0].source.splitlines()[0] == badge
    install = code_cells(notebook)[0].source
    guard, _, command = install.partition("%pip install")
    assert 'if importlib.util.find_spec("colddiff_jax") is None:' in guard
    assert f'"{project["name"]}[plots]"' in command
    assert install == code_cells(read("quickstart"))[0].source
