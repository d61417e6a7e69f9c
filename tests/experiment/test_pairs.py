"""Opening pairs, and the degradations and networks that go with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import colddiff_jax as cd
from colddiff_jax import InputError, data
from colddiff_jax.data import arrays, fingerprint
from colddiff_jax.experiment.builders import make_degradation
from colddiff_jax.experiment.data import open_data
from colddiff_jax.experiment.model import build_model
from colddiff_jax.experiment.pairs import check_ends_in_partner, seen_image
from colddiff_jax.experiment.prior import PriorOptions, measure_prior
from colddiff_jax.training.task import build_model_and_task
from configs import digits_blur, photo_pairs
from tests.data.image_folders import save


def opened(config, splits=None):
    config = config.to_dict()
    degrade = make_degradation(config["degradation"], config["data"]["image_size"])
    return open_data(config, degrade, splits=splits)


def noise(n, size=64, channels=1):
    rng = np.random.default_rng(n)
    return rng.integers(0, 256, (n, size, size, channels), np.uint8)


def save_npz(path, train=4, test=2, **options):
    np.savez(path, train_images=noise(train, **options), test_images=noise(test))
    return str(path)


def test_arrays_are_partners_by_index_and_both_count_for_the_fingerprint(tmp_path):
    config = photo_pairs.get_config("smoke")
    config.endpoints.update({"source": "npz", "path": save_npz(tmp_path / "y.npz")})
    clean = arrays(255 - noise(4), 255 - noise(2))
    found = opened(config, clean)
    assert found.paired
    np.testing.assert_array_equal(found.splits.train, clean.train)
    np.testing.assert_array_equal(found.endpoints.test, 255 - clean.test)
    both = [fingerprint(images) for images in (clean.train, noise(4))]
    assert found.fingerprint() == "-".join(both)


def test_files_are_partners_by_path(tmp_path):
    for i in range(5):
        save(tmp_path / "clean" / f"{i}.png", 70, 80, seed=i)
        save(tmp_path / "degraded" / f"{i}.jpg", 70, 80, seed=i)
    config = photo_pairs.get_config("smoke")
    for section, name in ((config.data, "clean"), (config.endpoints, "degraded")):
        section.update({"source": "folder", "path": str(tmp_path / name)})
    found = opened(config)
    for i, path in enumerate(map(found.splits.train.path_of, range(4))):
        partner = found.endpoints.train.path_of(i)
        assert partner == path.replace("clean", "degraded").replace("png", "jpg")
    config.endpoints.max_unreadable = 0.0
    (tmp_path / "degraded" / "0.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"more than `endpoints\.max_unreadable` = 0"):
        opened(config)
    config.endpoints.source = "npz"
    with pytest.raises(InputError, match=r"`endpoints\.source` must be folder"):
        opened(config)


def test_arrays_of_another_length_raise(tmp_path):
    config = photo_pairs.get_config("smoke")
    path = save_npz(tmp_path / "y.npz", train=3)
    config.endpoints.update({"source": "npz", "path": path})
    with pytest.raises(InputError, match="are 1500 clean training images and 3 degr"):
        opened(config)


def test_pairs_need_a_degradation_that_ends_in_the_partner():
    config = digits_blur.get_config("smoke")
    config.endpoints.paired = True
    with pytest.raises(InputError, match=r"`endpoints\.paired` needs .* a Separable"):
        opened(config)
    for a, b, message in (
        ([0.5, 0.1], [0.5, 0.9], "0.1 and 0.9"),
        ([0.5, 0.0], [0.2, 0.5], "0 and 0.5"),
    ):
        with pytest.raises(InputError, match=f"is the degraded image; got {message}"):
            check_ends_in_partner(cd.blend(a, b, endpoint="image"))
    with pytest.raises(InputError, match="needs a degradation that blends images with"):
        check_ends_in_partner(cd.blend([0.5, 0.0], [0.5, 1.0]))
    check_ends_in_partner(cd.animorph(cd.schedules.cosine(200)))


def test_a_model_of_pairs_keeps_no_prior():
    config = photo_pairs.get_config("smoke")
    model, task = build_model_and_task(config)
    assert model.paired and not model.sees_endpoint
    options = PriorOptions()
    for paired in (True, False):
        images = task.data._replace(paired=paired)
        kept = measure_prior(options, model.degrade, images, task.preprocessing, 0)
        assert bool(kept) != paired


def test_a_network_sees_the_endpoint_as_more_channels():
    config = photo_pairs.get_config("smoke")
    config.model.precondition = False
    shapes = {}
    for sees in (False, True):
        config.model.see_endpoint = sees
        model = build_model(config, channels=3)
        assert model.sees_endpoint == sees and model.image_shape == (64, 64, 3)
        assert model.network.size_multiple == 4 and not model.network.local
        leaves = jax.tree.leaves(model.abstract_params)
        shapes[sees] = max(leaf.shape[-2] for leaf in leaves if leaf.ndim == 4)
    assert shapes[True] >= 2 * 3 * 16 > 3 * 16  # Patches of 4 x 4 pixels.


def test_only_blends_with_images_have_an_endpoint_to_see():
    config = digits_blur.get_config("smoke")
    config.model.see_endpoint = True
    message = r"`model.see_endpoint` needs .* images, got a Separable; leave it False"
    with pytest.raises(InputError, match=message):
        build_model(config, channels=1)
    with pytest.raises(InputError, match=message):
        build_model_and_task(config, splits=data.digits())
    y = jnp.ones((1, 8, 8, 1))
    blend = cd.blend([0.0], [1.0], endpoint="image")
    np.testing.assert_array_equal(seen_image(blend.with_endpoint(y)), y)
    with pytest.raises(InputError, match="sees the image that x_t is blended with"):
        seen_image(blend)
