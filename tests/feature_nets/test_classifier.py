"""The classifier trained on the given images."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from colddiff_jax.checks import InputError
from colddiff_jax.data import Preprocessing, arrays, digits
from colddiff_jax.feature_nets.classifier import Classifier, classifier
from colddiff_jax.io import images

EIGHT = Preprocessing(image_size=8)


@pytest.fixture(scope="module")
def splits():
    return digits(labels=True)


@pytest.fixture(scope="module")
def trained(optimized, splits, tmp_path_factory):
    return classifier(splits, EIGHT, cache=str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def short(monkeypatch):
    """Trains for only twenty steps, where accuracy does not matter."""
    monkeypatch.setattr("colddiff_jax.feature_nets.classifier._EPOCHS", 0)
    monkeypatch.setattr("colddiff_jax.feature_nets.classifier._MIN_STEPS", 20)


def frechet_distance(x, y):
    """|m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2)) of features [N, F]."""
    x, y = np.float64(x), np.float64(y)
    cov_x, cov_y = np.cov(x.T), np.cov(y.T)
    roots = np.sqrt(np.linalg.eigvals(cov_x @ cov_y).astype(complex)).real.sum()
    means = np.square(x.mean(0) - y.mean(0)).sum()
    return means + np.trace(cov_x) + np.trace(cov_y) - 2 * roots


def test_it_recognises_the_digits_of_held_out_writers(trained, splits):
    # A support vector machine reaches 95.3 %.
    assert trained.accuracy >= 0.945
    features = trained.net(images.to_float(splits.test))
    chex.assert_shape(features.pooled, (len(splits.test), 128))
    correct = np.asarray(features.probabilities).argmax(-1) == splits.test_labels
    assert correct.mean() == trained.accuracy
    np.testing.assert_allclose(features.probabilities.sum(-1), 1, atol=1e-5)


def test_distances_grow_with_blur_and_start_near_zero(trained, splits):
    pixels = np.concatenate([splits.train, splits.test])
    order = np.random.default_rng(0).permutation(len(pixels))
    half = len(pixels) // 2
    x = np.array(images.to_float(pixels[order]))
    reference = trained.net(x[:half]).pooled
    distances = []
    for std in (0, 0.5, 0.7, 1.0, 1.5, 2.0):
        blurred = scipy.ndimage.gaussian_filter(x[half:], (0, std, std, 0))
        distances.append(frechet_distance(reference, trained.net(blurred).pooled))
    assert (np.diff(distances) > 0).all(), distances
    assert 4 * distances[0] < distances[1] and 10 * distances[1] < distances[-1]


def test_the_same_images_give_the_same_weights_which_are_cached(
    short, splits, tmp_path, capsys
):
    first = classifier(splits, EIGHT, cache=str(tmp_path / "a"))
    start, end = capsys.readouterr().out.splitlines()
    assert "training a classifier of 10 classes on 1500 images of 8 x 8" in start
    assert f"is right on {first.accuracy:.1%} of 297 test images" in end
    again = classifier(splits, EIGHT, cache=str(tmp_path / "b"))
    assert "training" in capsys.readouterr().out
    read = classifier(splits, EIGHT, cache=str(tmp_path / "b"))
    assert not capsys.readouterr().out
    for other in (again, read):
        assert other.accuracy == first.accuracy
        assert other.net.fingerprint == first.net.fingerprint
        chex.assert_trees_all_equal(other.net.params, first.net.params)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def change(**changes):
    def damage(path):
        with np.load(path) as file:
            found = dict(file)
        np.savez(path, **found | changes)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        flip_a_bit,
        change(**{"logits/bias": np.full(10, np.nan, np.float32)}),
        change(**{"logits/bias": np.zeros(9, np.float32)}),
        change(another=np.zeros(3)),
    ],
    ids=["truncated", "one bit", "NaN", "shape", "unexpected"],
)
def test_a_damaged_file_is_reported_and_replaced(
    short, splits, tmp_path, capsys, damage
):
    first = classifier(splits, EIGHT, cache=str(tmp_path))
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    damage(path)
    capsys.readouterr()
    again = classifier(splits, EIGHT, cache=str(tmp_path))
    assert capsys.readouterr().out.startswith(f"{path} is damaged")
    chex.assert_trees_all_equal(again.net.params, first.net.params)
    assert path.read_bytes() == content


def test_different_images_labels_or_sizes_have_different_files(short, splits, tmp_path):
    inverted = splits._replace(train=255 - splits.train)
    relabelled = splits._replace(train_labels=splits.train_labels[::-1].copy())
    cases = [
        (splits, EIGHT),
        (inverted, EIGHT),
        (relabelled, EIGHT),
        (splits._replace(test=splits.test[::-1]), EIGHT),
        (splits, Preprocessing(image_size=8, resize_to=9)),
        (splits, Preprocessing(image_size=9, resize_to=9)),
    ]
    for count, (given, preprocessing) in enumerate(cases, 1):
        classifier(given, preprocessing, cache=str(tmp_path))
        assert len(list(tmp_path.iterdir())) == count


def test_the_network_is_returned_even_if_it_cannot_be_cached(
    short, splits, tmp_path, capsys
):
    (tmp_path / "file").touch()
    net, _ = classifier(splits, EIGHT, cache=str(tmp_path / "file" / "folder"))
    assert "cannot be written" in capsys.readouterr().out
    assert net.params


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 13, 28, 32, 64])
def test_the_network_accepts_small_images_of_any_size(size, channels):
    x = jnp.zeros((2, size, size, channels))
    (pooled, logits), variables = jax.eval_shape(
        Classifier(7).init_with_output, jax.random.key(0), x
    )
    assert pooled.shape == (2, 128) and logits.shape == (2, 7)
    count = sum(leaf.size for leaf in jax.tree.leaves(variables))
    assert 100_000 < count < 300_000


def test_raises_for_images_without_labels_or_of_a_single_class(splits, tmp_path):
    with pytest.raises(InputError, match="needs labels, and these images have none"):
        classifier(digits(), EIGHT, cache=str(tmp_path))
    ones = np.ones(4, np.int32)
    single_class = arrays(
        splits.train[:4], splits.test[:4], train_labels=ones, test_labels=ones
    )
    with pytest.raises(InputError, match=r"at least two classes, .* of class 1;"):
        classifier(single_class, EIGHT, cache=str(tmp_path))
    assert not list(tmp_path.iterdir())
