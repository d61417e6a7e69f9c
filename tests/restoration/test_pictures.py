"""Pictures of restored images and of their trajectories."""

import numpy as np
import pytest
from PIL import Image

from colddiff_jax.io import figures
from colddiff_jax.restoration.pictures import (
    file_name,
    shown_steps,
    with_predictions,
    write_pictures,
)
from colddiff_jax.restoration.restore import RestoredImages
from colddiff_jax.sampling import SampleResult

STEPS = np.array([20, 10, 5, 0])


@pytest.fixture
def result():
    """Flat images whose grey says which they are: trajectories of three images."""
    grey = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4, 1, 1, 1)
    x_t = np.broadcast_to(grey, (3, 4, 64, 64, 1))
    return SampleResult(x_t[:, -1], x_t[:, 0], x_t, predictions=-x_t[:, :-1])


def test_each_image_of_a_trajectory_has_its_prediction_and_x_0_is_its_own(result):
    x_t, predictions = with_predictions(result)
    assert x_t.shape == predictions.shape == (4, 3, 64, 64, 1)
    np.testing.assert_array_equal(predictions[:-1], -x_t[:-1])
    np.testing.assert_array_equal(predictions[-1], x_t[-1])


def test_pictures_show_the_steps_the_predictions_and_the_label(result, tmp_path):
    clean = np.zeros((3, 64, 64, 1), np.float32)
    restored = RestoredImages(clean, clean + 0.5, result)
    stem = str(tmp_path / "a")
    found = write_pictures(
        stem, restored, "alg2", STEPS, label="Algorithm 2", trajectory=True, gif=True
    )
    assert found == [f"{stem}.png", f"{stem}_trajectory.png", f"{stem}.gif"]
    with Image.open(found[0]) as picture:
        rows = {"clean": clean, "degraded": clean + 0.5, "Algorithm 2": result.x_0}
        np.testing.assert_array_equal(np.asarray(picture), figures.grid(rows))
    with Image.open(found[1]) as strip:  # Four x_t, three predictions, clean.
        assert strip.height == 8 * 66
    with Image.open(found[2]) as gif:
        heads = []
        for i in range(gif.n_frames):
            gif.seek(i)
            heads.append(np.asarray(gif.convert("L"))[:20])
    assert len({head.tobytes() for head in heads}) == len(STEPS)  # Each says its t.


def test_at_most_ten_steps_are_shown_with_the_first_and_the_last():
    np.testing.assert_array_equal(shown_steps(4), [0, 1, 2, 3])
    assert len(shown_steps(51)) == 10 and {0, 50} < {*shown_steps(51)}


def test_file_names_say_the_number_of_images_and_the_seed():
    assert file_name("alg2", 0, 0, 30) == "alg2_step_00000030"
    assert file_name("alg2", 1, 5, 30) == "alg2_1_image_seed_5_step_00000030"
    assert file_name("alg2_label_2", 3, 0, 7) == "alg2_label_2_3_images_step_00000007"
