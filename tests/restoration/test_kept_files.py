"""Exported files of earlier versions load, and restore the images they did then."""

import numpy as np
import pytest

from colddiff_jax import sample_alg2
from colddiff_jax.restoration import load_run
from tests.conftest import ROOT

KEPT = sorted((ROOT / "tests" / "golden").glob("exported_*.safetensors"))


def test_a_file_of_version_0_1_0_is_kept():
    assert "exported_0_1_0.safetensors" in [path.name for path in KEPT]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_kept_file_restores_as_when_it_was_written(path):
    recorded = np.load(path.with_suffix(".npz"))
    restorer = load_run(str(path))
    assert restorer.step == recorded["step"]
    x0_hat = restorer.restore_fn(recorded["x_t"], recorded["t"])
    np.testing.assert_allclose(x0_hat, recorded["x0_hat"], rtol=0, atol=1e-5)
    degrade = restorer.model.degrade
    x_T = degrade(recorded["x_0"], degrade.num_steps)
    np.testing.assert_allclose(x_T, recorded["x_T"], rtol=0, atol=1e-5)
    restored = sample_alg2(restorer.restore_fn, degrade, x_T, timesteps=5).x_0
    np.testing.assert_allclose(restored, recorded["restored"], rtol=0, atol=1e-5)
