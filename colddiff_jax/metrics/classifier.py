"""A feature network of one's own: a small classifier, trained on the labelled images.

Inception has seen photographs. On digits and the like its distances say little, and a
classifier of these very images is the usual way out.
"""

import functools
import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax

from colddiff_jax import images
from colddiff_jax.data import (
    ImageSplits,
    Preprocessing,
    fingerprint,
    load_test_images,
)
from colddiff_jax.errors import InputError
from colddiff_jax.metrics.features import FeatureNet, Features
from colddiff_jax.models.layers import fold_patches
from colddiff_jax.writers import save_npz

_RECIPE = 1  # To be raised with every change below: older files are then trained anew.
_SEED = 0
_EPOCHS, _MIN_STEPS, _BATCH_SIZE = 5, 600, 128
_LEARNING_RATE = 3e-3
_LONGEST_SIDE, _WIDTHS = 16, (32, 64, 128)
_TEST_BATCH = 500


class Trained(NamedTuple):
    """A classifier and how good it is.

    Attributes:
        net: the feature network.
        accuracy: share of the test images whose class it finds, in 0..1.
    """

    net: FeatureNet
    accuracy: float


class Classifier(nn.Module):
    """Three convolutions, between which the image is halved, and a linear layer.

    Pixels are folded into channels first, until no side is longer than 16.

    Attributes:
        num_classes: K.
    """

    num_classes: int

    @nn.compact
    def __call__(self, x: chex.Array) -> tuple[chex.Array, chex.Array]:
        """Features and logits of images.

        Args:
            x: float [B, H, W, C] in [-1, 1].

        Returns:
            The last layer's means over the image, [B, 128], and logits [B, K].
        """
        patch = 1
        while max(x.shape[1:3]) > _LONGEST_SIDE * patch:
            patch *= 2
        x = _fold(x, patch)
        x = nn.relu(nn.Conv(_WIDTHS[0], (3, 3), name="conv_0")(x))
        for i, features in enumerate(_WIDTHS[1:], 1):
            # 4 x 4 pixels with stride 2, whose gradient would be slow on a CPU.
            x = nn.relu(nn.Conv(features, (2, 2), name=f"conv_{i}")(_fold(x, 2)))
        pooled = x.mean(axis=(1, 2))
        return pooled, nn.Dense(self.num_classes, name="logits")(pooled)


def classifier(
    splits: ImageSplits, preprocessing: Preprocessing, *, cache: str
) -> Trained:
    """Trains a classifier on the training images, or reads one that was trained before.

    It sees images as an evaluation does: resized and cut from the centre, without
    mirroring. The same images, labels and sizes give the same weights, bit for bit on
    the same CPU.

    Args:
        splits: images of any number of channels with their labels.
        preprocessing: how the images become squares.
        cache: a folder, made if need be, that keeps the weights.

    Returns:
        A network with 128 features and the probabilities of the classes, for images of
        this size and as many channels, and its accuracy on the test images.

    Raises:
        InputError: images without labels, or of one class only.

    Example:
        >>> net, accuracy = classifier(
        ...     digits(labels=True), Preprocessing(image_size=8), cache="cache"
        ... )
        >>> net(x).pooled.shape
        (16, 128)
    """
    if splits.train_labels is None or splits.test_labels is None:
        raise InputError(
            "a classifier learns from labels, and these images have none; measure "
            "distances with another feature network"
        )
    if len(np.unique(splits.train_labels)) < 2:
        raise InputError(
            "a classifier needs training images of two classes at least, and all of "
            f"these are of class {splits.train_labels[0]}; measure distances with "
            "another feature network"
        )
    model = Classifier(splits.num_classes)
    path = os.path.join(cache, _file_name(splits, preprocessing))
    size = preprocessing.image_size
    shape = (1, size, size, splits.train[0].shape[-1])
    like = jax.eval_shape(model.init, jax.random.key(_SEED), jnp.zeros(shape))
    found = _read(path, like["params"])
    if found is None:
        found = _train(model, splits, preprocessing)
        _save(path, *found)
    params, accuracy = found
    apply = functools.partial(_features, model)
    return Trained(FeatureNet("classifier", apply, params), accuracy)


def _features(model: Classifier, params: Any, x: chex.Array) -> Features:
    outputs: Any = model.apply({"params": params}, x)
    pooled, logits = outputs
    return Features(pooled, jax.nn.softmax(logits))


def _train(
    model: Classifier, splits: ImageSplits, preprocessing: Preprocessing
) -> tuple[Any, float]:
    """The parameters after training, and the accuracy on the test images."""
    from tqdm import tqdm

    assert splits.train_labels is not None
    labels, count = splits.train_labels, len(splits.train)
    num_steps = max(_EPOCHS * count // _BATCH_SIZE, _MIN_STEPS)
    size = preprocessing.image_size
    print(
        f"training a classifier of {model.num_classes} classes on {count} images of "
        f"{size} x {size} pixels, {num_steps} steps: a minute or two, once",
        flush=True,
    )
    begin = time.perf_counter()
    pixels = load_test_images(splits.train, preprocessing, 0, count)
    schedule = optax.cosine_onecycle_schedule(num_steps, _LEARNING_RATE, 0.1)
    optimizer = optax.adam(schedule)
    params = model.init(jax.random.key(_SEED), images.to_float(pixels[:1]))["params"]
    state = (params, optimizer.init(params))

    @jax.jit
    def step(state: Any, pixels: chex.Array, labels: chex.Array) -> Any:
        params, opt_state = state

        def loss(params: Any) -> chex.Array:
            _, logits = model.apply({"params": params}, images.to_float(pixels))
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean()

        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state)
        return optax.apply_updates(params, updates), opt_state

    batches = _batches(pixels, num_steps)
    for batch, chosen in tqdm(batches, "training", num_steps, disable=None):
        # Waits for the step, or all batches would pile up in memory.
        state = jax.block_until_ready(step(state, batch, labels[chosen]))
    params = jax.device_get(state[0])
    accuracy = _accuracy(model, params, splits, preprocessing)
    print(
        f"the classifier finds the class of {accuracy:.1%} of {len(splits.test)} test "
        f"images, trained in {time.perf_counter() - begin:.0f} s",
        flush=True,
    )
    return params, accuracy


def _batches(
    pixels: np.ndarray, num_steps: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of images and their numbers; every image is shifted a little."""
    rng = np.random.default_rng(_SEED)
    size = pixels.shape[1]
    margin = 1 if size <= 14 else 2
    spread = ((0, 0), (margin, margin), (margin, margin), (0, 0))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(pixels, spread, mode="edge"), (size, size), axis=(1, 2)
    )
    drawn = num_steps * _BATCH_SIZE
    epochs = [rng.permutation(len(pixels)) for _ in range(-(-drawn // len(pixels)))]
    for chosen in np.concatenate(epochs)[:drawn].reshape(num_steps, _BATCH_SIZE):
        top, left = rng.integers(0, 2 * margin + 1, (2, _BATCH_SIZE))
        yield windows[chosen, top, left].transpose(0, 2, 3, 1), chosen


def _accuracy(
    model: Classifier, params: Any, splits: ImageSplits, preprocessing: Preprocessing
) -> float:
    """The share of the test images whose class the network finds."""

    @jax.jit
    def predict(params: Any, pixels: chex.Array) -> chex.Array:
        outputs: Any = model.apply({"params": params}, images.to_float(pixels))
        return jnp.argmax(outputs[1], axis=-1)

    count = len(splits.test)
    predicted = [
        predict(
            params,
            load_test_images(
                splits.test, preprocessing, start, min(start + _TEST_BATCH, count)
            ),
        )
        for start in range(0, count, _TEST_BATCH)
    ]
    return float((np.concatenate(predicted) == splits.test_labels).mean())


def _fold(x: chex.Array, size: int) -> chex.Array:
    """Folds patches into channels; repeats the last rows and columns to whole ones."""
    height, width = x.shape[1:3]
    spread = ((0, 0), (0, -height % size), (0, -width % size), (0, 0))
    return fold_patches(jnp.pad(x, spread, mode="edge"), size)


def _file_name(splits: ImageSplits, preprocessing: Preprocessing) -> str:
    """Of the recipe, the images, their labels and how they become squares."""
    train = fingerprint(splits.train, labels=splits.train_labels)
    test = fingerprint(splits.test, labels=splits.test_labels)
    size = f"{preprocessing.resize_to}to{preprocessing.image_size}"
    return f"classifier-v{_RECIPE}-{train[:12]}-{test[:12]}-{size}.npz"


def _save(path: str, params: Any, accuracy: float) -> None:
    """Keeps the weights if it can: they are in memory in any case."""
    weights = flax.traverse_util.flatten_dict(params, sep="/")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        save_npz(path, accuracy=np.array(accuracy), **weights)
    except OSError as error:
        print(f"{path} cannot be written ({error}): it will be trained again next time")


def _read(path: str, like: Any) -> tuple[Any, float] | None:
    """What `_save` wrote, or None where it has to be trained."""
    if not os.path.exists(path):
        return None
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        accuracy = float(found.pop("accuracy"))
        params = flax.traverse_util.unflatten_dict(found, sep="/")
        chex.assert_trees_all_equal_shapes_and_dtypes(params, like)
        chex.assert_tree_all_finite((params, accuracy))
    except Exception as error:  # A file can be damaged in more ways than have names.
        print(f"{path} is damaged ({type(error).__name__}) and will be written anew")
        return None
    return params, accuracy
