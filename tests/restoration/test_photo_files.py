"""Photographs restored beside the originals."""

import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from colddiff_jax import InputError
from colddiff_jax.restoration.export import export_model
from colddiff_jax.restoration.photo_files import restore_photos
from tests.restoration.small_restorers import make_restorer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An exported model, under a name with a space and an umlaut."""
    path = str(tmp_path_factory.mktemp("Modelle für Photos") / "blur model.safetensors")
    export_model(make_restorer(), path)
    return path


@pytest.fixture
def folder(tmp_path):
    """A folder with one photograph, one grey one, a broken file and a text."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 12, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a photo.jpg")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_one_broken_file_does_not_stop_the_others(model, folder, capsys):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match="1 of 3 photographs could not be restored"):
        restore_photos(model, [str(folder)], start=2)
    out, err = capsys.readouterr()
    names = ["a photo_restored.png", "grey_restored.png"]
    assert out.splitlines() == [str(folder / name) for name in names]
    announced, reason = err.splitlines()
    assert announced == "restoring: 3 photographs"
    assert "broken.png' cannot be read (" in reason
    with Image.open(folder / names[0]) as restored:
        assert restored.size == (12, 20) and restored.mode == "RGB"
    with Image.open(folder / names[1]) as restored:
        assert restored.mode == "L"
    assert all(path.read_bytes() == content for path, content in before.items())


def test_results_are_numbered_and_not_restored_again(model, folder):
    os.unlink(folder / "broken.png")
    first = restore_photos(model, [str(folder)], start=1)
    content = [pathlib.Path(path).read_bytes() for path in first]
    second = restore_photos(model, [str(folder), str(folder / "grey.png")], start=1)
    assert [os.path.basename(path) for path in second] == [
        "a photo_restored-2.png",
        "grey_restored-2.png",
    ]
    assert [pathlib.Path(path).read_bytes() for path in first] == content


def test_clean_photographs_are_degraded_first(model, folder, tmp_path, capsys):
    out = str(tmp_path / "new" / "results")
    clean = str(folder / "a photo.jpg")
    degraded, restored = restore_photos(model, [clean], out=out, degrade=True)
    shown = capsys.readouterr()
    assert shown.err == "restoring: 1 photograph\n"
    scores, *printed = shown.out.splitlines()
    assert printed == [degraded, restored]
    given = (np.asarray(Image.open(path), float) for path in (clean, degraded))
    rmse = np.sqrt(np.square(np.subtract(*given)).mean()) / 255
    assert scores.startswith(f"{clean}: degraded RMSE {rmse:.3f}, SSIM ")
    assert "; restored RMSE " in scores
    names = ["a photo_degraded.png", "a photo_restored.png"]
    assert sorted(os.listdir(out)) == names
    images = [np.asarray(Image.open(path), float) for path in (clean, degraded)]
    assert images[1].std() < 0.5 * images[0].std()
    again = restore_photos(model, [degraded], out=out)
    np.testing.assert_array_equal(Image.open(again[0]), Image.open(restored))


def test_wrong_options_raise_before_anything_is_written(model, folder):
    before = sorted(os.listdir(folder))
    for photos, options, message in (
        ([str(folder)], {"start": 9}, r"`start` must lie in 1\.\.4"),
        ([str(folder)], {"sampler": "euler"}, "`sampler` must be among"),
        ([], {}, "no image files in nothing"),
        ([os.path.dirname(model)], {}, "no image files in"),
    ):
        with pytest.raises(InputError, match=message):
            restore_photos(model, photos, **options)
    assert sorted(os.listdir(folder)) == before


def test_a_mask_file_says_which_pixels_are_missing(folder, tmp_path):
    path = str(tmp_path / "holes.safetensors")
    export_model(make_restorer({"name": "holes", "num_steps": 2}), path)
    mask = np.zeros((20, 12), np.uint8)
    mask[5:9, 2:8] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    photo, mask_file = str(folder / "grey.png"), str(folder / "mask.png")
    with pytest.raises(InputError, match="give `mask`"):
        restore_photos(path, [photo])
    with pytest.raises(InputError, match="leave out `degrade`"):
        restore_photos(path, [photo], mask=mask_file, degrade=True)
    with pytest.raises(InputError, match=r"20 x 12 pixels, got 4 x 4"):
        Image.new("L", (4, 4)).save(folder / "small.png")
        restore_photos(path, [photo], mask=str(folder / "small.png"))
    (restored,) = restore_photos(path, [photo], mask=mask_file)
    with Image.open(restored) as after, Image.open(photo) as before:
        changed = np.asarray(after) != np.asarray(before)
    assert changed[mask > 0].mean() > 0.5 and not changed[mask == 0].any()
    degraded, _ = restore_photos(path, [photo], degrade=True)
    with Image.open(degraded) as after:
        assert (np.asarray(after) == 128).any()
