"""A small classifier trained on the given labelled images, as a feature network.

Inception was trained on photographs. Its distances mean little for images such as
digits, for which a classifier trained on the same data set is the usual alternative.
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

from colddiff_jax.checks import InputError
from colddiff_jax.data import (
    ImageSplits,
    Preprocessing,
    fingerprint,
    load_test_images,
)
from colddiff_jax.feature_nets.features import FeatureNet, Features
from colddiff_jax.io import images
from colddiff_jax.io.atomic import save_npz
from colddiff_jax.models.convolution import conv_general_dilated
from colddiff_jax.models.layers import fold_patches

_RECIPE = 3  # Increment with every change below, which invalidates cached weights.
# Distances must not depend on the backend: by default, GPUs and TPUs use fewer bits.
_PRECISION = jax.lax.Precision.HIGHEST
_SEED = 0
_EPOCHS, _MIN_STEPS, _BATCH_SIZE = 5, 600, 128
_LEARNING_RATE = 3e-3
_LONGEST_SIDE, _WIDTHS = 16, (32, 64, 128)
_TEST_BATCH = 500


class Trained(NamedTuple):
    """A trained classifier and its accuracy.

    Attributes:
        net: the feature network.
        accuracy: fraction of the test images that are classified correctly, in 0..1.
    """

    net: FeatureNet
    accuracy: float


class Classifier(nn.Module):
    """Three convolutions, with the image halved in between, and a linear layer.

    Pixels are first folded into channels until no side is longer than 16. All layers
    compute in full float32 precision, also on GPUs and TPUs, whose default is TF32 or
    bfloat16: the features do not depend on the backend, except for rounding.

    Attributes:
        num_classes: number of classes, K.
    """

    num_classes: int

    @nn.compact
    def __call__(self, x: chex.Array) -> tuple[chex.Array, chex.Array]:
        """Computes features and logits.

        Args:
            x: images, float [B, H, W, C], in [-1, 1].

        Returns:
            Spatial means of the last convolution, [B, 128], and logits [B, K].
        """
        patch = 1
        while max(x.shape[1:3]) > _LONGEST_SIDE * patch:
            patch *= 2
        x = _fold(x, patch)
        Conv = functools.partial(
            nn.Conv, precision=_PRECISION, conv_general_dilated=conv_general_dilated
        )
        x = nn.relu(Conv(_WIDTHS[0], (3, 3), name="conv_0")(x))
        for i, features in enumerate(_WIDTHS[1:], 1):
            # Equals a 4 x 4 convolution of stride 2, whose gradient is slow on a CPU.
            x = nn.relu(Conv(features, (2, 2), name=f"conv_{i}")(_fold(x, 2)))
        pooled = x.mean(axis=(1, 2))
        logits = nn.Dense(self.num_classes, precision=_PRECISION, name="logits")
        return pooled, logits(pooled)


def classifier(
    splits: ImageSplits, preprocessing: Preprocessing, *, cache: str
) -> Trained:
    """Trains a classifier on the training images, or loads it from the cache.

    Images are preprocessed as in an evaluation: resized and centre-cropped, without
    flips. The same images, labels and sizes give the same weights, bit for bit on the
    same CPU.

    Args:
        splits: labelled images with any number of channels.
        preprocessing: how images are resized and cropped.
        cache: folder for the weights; created if missing.

    Returns:
        A network with 128 features and the class probabilities, for images of this size
        and number of channels, and its accuracy on the test images.

    Raises:
        InputError: images without labels, or from a single class.

    Example:
        >>> net, accuracy = classifier(
        ...     digits(labels=True), Preprocessing(image_size=8), cache="cache"
        ... )
        >>> net(jnp.zeros((16, 8, 8, 1))).pooled.shape
        (16, 128)
    """
    if splits.train_labels is None or splits.test_labels is None:
        raise InputError(
            "training a classifier needs labels, and these images have none; use "
            "another feature network"
        )
    if len(np.unique(splits.train_labels)) < 2:
        raise InputError(
            "training a classifier needs images of at least two classes, and all of "
            f"these are of class {splits.train_labels[0]}; use another feature network"
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
    """Returns the trained parameters and the accuracy on the test images."""
    from tqdm import tqdm

    assert splits.train_labels is not None
    labels, count = splits.train_labels, len(splits.train)
    num_steps = max(_EPOCHS * count // _BATCH_SIZE, _MIN_STEPS)
    size = preprocessing.image_size
    print(
        f"training a classifier of {model.num_classes} classes on {count} images of "
        f"{size} x {size} pixels, {num_steps} steps: once, a minute or two",
        flush=True,
    )
    start = time.perf_counter()
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
        # Wait for the step, or all batches would accumulate in memory.
        state = jax.block_until_ready(step(state, batch, labels[chosen]))
    params = jax.device_get(state[0])
    accuracy = _accuracy(model, params, splits, preprocessing)
    print(
        f"the classifier is right on {accuracy:.1%} of {len(splits.test)} test images, "
        f"trained in {time.perf_counter() - start:.0f} s",
        flush=True,
    )
    return params, accuracy


def _batches(
    pixels: np.ndarray, num_steps: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields batches of randomly shifted images, with the indices of the images."""
    rng = np.random.default_rng(_SEED)
    size = pixels.shape[1]
    margin = 1 if size <= 14 else 2
    padding = ((0, 0), (margin, margin), (margin, margin), (0, 0))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(pixels, padding, mode="edge"), (size, size), axis=(1, 2)
    )
    total = num_steps * _BATCH_SIZE
    epochs = [rng.permutation(len(pixels)) for _ in range(-(-total // len(pixels)))]
    for chosen in np.concatenate(epochs)[:total].reshape(num_steps, _BATCH_SIZE):
        top, left = rng.integers(0, 2 * margin + 1, (2, _BATCH_SIZE))
        yield windows[chosen, top, left].transpose(0, 2, 3, 1), chosen


def _accuracy(
    model: Classifier, params: Any, splits: ImageSplits, preprocessing: Preprocessing
) -> float:
    """Returns the fraction of the test images that are classified correctly."""

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
    """Folds patches into channels, with edge padding to whole patches."""
    height, width = x.shape[1:3]
    padding = ((0, 0), (0, -height % size), (0, -width % size), (0, 0))
    return fold_patches(jnp.pad(x, padding, mode="edge"), size)


def _file_name(splits: ImageSplits, preprocessing: Preprocessing) -> str:
    """Names the file after the recipe, the images, their labels and preprocessing."""
    train = fingerprint(splits.train, labels=splits.train_labels)
    test = fingerprint(splits.test, labels=splits.test_labels)
    size = f"{preprocessing.resize_to}to{preprocessing.image_size}"
    return f"classifier-v{_RECIPE}-{train[:12]}-{test[:12]}-{size}.npz"


def _save(path: str, params: Any, accuracy: float) -> None:
    """Caches the weights if possible; failing to do so is not an error."""
    weights = flax.traverse_util.flatten_dict(params, sep="/")
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        save_npz(path, accuracy=np.array(accuracy), **weights)
    except OSError as error:
        print(f"{path} cannot be written ({error}): the next run will train again")


def _read(path: str, like: Any) -> tuple[Any, float] | None:
    """Returns the result of `_save`, or None if the classifier has to be trained."""
    if not os.path.exists(path):
        return None
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        accuracy = float(found.pop("accuracy"))
        params = flax.traverse_util.unflatten_dict(found, sep="/")
        chex.assert_trees_all_equal_shapes_and_dtypes(params, like)
        chex.assert_tree_all_finite((params, accuracy))
    except Exception as error:  # A damaged file raises one of many types.
        print(f"{path} is damaged ({type(error).__name__}): training again")
        return None
    return params, accuracy
