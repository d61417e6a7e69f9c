"""Feature networks from plain arrays, against an implementation in NumPy."""

import jax
import numpy as np
import pytest

from colddiff_jax.checks import InputError
from colddiff_jax.data import npz
from colddiff_jax.feature_nets.array_networks import load_feature_net
from colddiff_jax.io import images

WIDTHS = [32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024]
STRIDES = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def draw_resnet(depth=1):
    rng = np.random.default_rng(0)
    arrays = {}

    def add(name, *shape):
        gain = np.sqrt(2 / np.prod(shape[:-1]))
        arrays[f"{name}/w"] = rng.normal(0, gain, shape).astype(np.float32)
        arrays[f"{name}/b"] = rng.normal(0, 0.1, shape[-1]).astype(np.float32)

    add("conv1", 3, 3, 3, 16)
    channels = 16
    for stage, width in enumerate((16, 32, 64), 1):
        for block in range(depth):
            add(f"layer{stage}_{block}/conv1", 3, 3, channels, width)
            add(f"layer{stage}_{block}/conv2", 3, 3, width, width)
            channels = width
    add("linear", 64, 10)
    return arrays


def draw_mobilenet():
    rng = np.random.default_rng(1)
    arrays = {"strides": np.int8(STRIDES)}

    def add(name, fan_in, *shape):
        # Large enough for some values to reach the upper bound of relu6.
        gain = np.sqrt(3 / fan_in)
        arrays[f"{name}/w"] = rng.normal(0, gain, shape).astype(np.float16)
        arrays[f"{name}/b"] = rng.normal(0, 0.2, shape[-1]).astype(np.float16)

    add("conv1", 27, 3, 3, 3, WIDTHS[0])
    for i in range(1, len(WIDTHS)):
        add(f"dw{i}", 9, 3, 3, WIDTHS[i - 1])
        add(f"pw{i}", WIDTHS[i - 1], WIDTHS[i - 1], WIDTHS[i])
    return arrays


def conv(x, w, b, stride, before, per_channel=False):
    """A 3 x 3 convolution tap by tap, with `before` zeros above and to the left."""
    side = -(-x.shape[1] // stride)
    after = (side - 1) * stride + 3 - before - x.shape[1]
    x = np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
    y = 0
    for i, j in np.ndindex(3, 3):
        window = x[:, i:, j:][:, ::stride, ::stride][:, :side, :side]
        y = y + (window * w[i, j] if per_channel else window @ w[i, j])
    return y + b


def resnet(arrays, x, depth=1):
    """Features and probabilities of x [B, 32, 32, 3] by the definition, float64."""
    arrays = {name: array.astype(np.float64) for name, array in arrays.items()}

    def layer(name, x, stride):
        return conv(x, arrays[f"{name}/w"], arrays[f"{name}/b"], stride, before=1)

    h = np.maximum(layer("conv1", ((x + 1) / 2 - MEAN) / STD, 1), 0)
    for stage, width in enumerate((16, 32, 64), 1):
        for block in range(depth):
            stride = 2 if stage > 1 and block == 0 else 1
            name = f"layer{stage}_{block}"
            shortcut = h
            if stride == 2:
                shortcut = np.zeros((len(h), 32 * 16 // width, 32 * 16 // width, width))
                shortcut[..., width // 4 : 3 * width // 4] = h[:, ::2, ::2]
            h = np.maximum(layer(f"{name}/conv1", h, stride), 0)
            h = np.maximum(layer(f"{name}/conv2", h, 1) + shortcut, 0)
    pooled = h.mean((1, 2))
    powers = np.exp(pooled @ arrays["linear/w"] + arrays["linear/b"])
    return pooled, powers / powers.sum(-1, keepdims=True)


def mobilenet(arrays, x):
    """Features of x [B, 224, 224, 3] by the definition, float64."""
    arrays = {name: array.astype(np.float64) for name, array in arrays.items()}

    def pair(name):
        return arrays[f"{name}/w"], arrays[f"{name}/b"]

    # TensorFlow pads only at the end for stride 2 and even sides.
    h = np.clip(conv(x, *pair("conv1"), stride=2, before=0), 0, 6)
    for i, stride in enumerate(STRIDES, 1):
        h = conv(h, *pair(f"dw{i}"), stride, before=2 - stride, per_channel=True)
        w, b = pair(f"pw{i}")
        h = np.clip(np.clip(h, 0, 6) @ w + b, 0, 6)
    return h.mean((1, 2))


def save(folder, arrays, name="net.npz"):
    np.savez(folder / name, **arrays)
    return str(folder / name)


def upsample_by_2(x):
    """Bilinear upsampling by 2: weights 3/4 and 1/4 on adjacent pixels."""
    for axis in (1, 2):
        last = np.take(x, [-1], axis)
        above = np.concatenate([np.take(x, [0], axis), x], axis).take(
            range(x.shape[axis]), axis
        )
        below = np.concatenate([x, last], axis).take(range(1, x.shape[axis] + 1), axis)
        pair = np.stack([x * 0.75 + above * 0.25, x * 0.75 + below * 0.25], axis + 1)
        x = pair.reshape(
            *x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :], order="C"
        )
    return x


@pytest.mark.parametrize("depth", [1, 2])
def test_resnets_of_any_depth_match_the_definition(tmp_path, photos, depth):
    arrays = draw_resnet(depth)
    net = load_feature_net(save(tmp_path, arrays))
    found = jax.jit(net)(photos)
    pooled, probabilities = resnet(arrays, photos, depth)
    np.testing.assert_allclose(found.pooled, pooled, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.probabilities, probabilities, atol=1e-4)


def test_mobilenet_stored_in_float16_matches_the_definition_in_float32(tmp_path):
    x = np.random.default_rng(2).uniform(-1, 1, (1, 224, 224, 3)).astype(np.float32)
    arrays = draw_mobilenet()
    found = jax.jit(load_feature_net(save(tmp_path, arrays)))(x)
    expected = mobilenet(arrays, x)
    assert expected.max() > 5  # relu6 saturates.
    assert found.probabilities is None
    np.testing.assert_allclose(found.pooled, expected, atol=2e-4)


def test_smaller_images_are_upsampled_bilinearly(tmp_path, photos):
    net = load_feature_net(save(tmp_path, draw_resnet()))
    small = photos[:, :16, :16]
    found, expected = net(small), net(upsample_by_2(small).astype(np.float32))
    np.testing.assert_allclose(found.pooled, expected.pooled, atol=1e-5)


def test_grey_images_equal_rgb_images_with_three_equal_channels(tmp_path, photos):
    net = load_feature_net(save(tmp_path, draw_resnet()))
    grey = photos[..., :1]
    found, expected = net(grey), net(np.repeat(grey, 3, axis=-1))
    np.testing.assert_allclose(found.pooled, expected.pooled, atol=1e-6)
    with pytest.raises(ValueError, match="must have 1 or 3 channels, got 2"):
        net(photos[..., :2])


def test_a_network_is_named_after_its_file_and_identified_by_its_weights(tmp_path):
    arrays = draw_resnet()
    one = load_feature_net(save(tmp_path, arrays, "cifar10_resnet8.npz"))
    again = load_feature_net(save(tmp_path, arrays, "cifar10_resnet8.npz"))
    arrays["conv1/b"] = arrays["conv1/b"] + 1
    other = load_feature_net(save(tmp_path, arrays, "cifar10_resnet8.npz"))
    assert one.name == "cifar10_resnet8" and not one.is_fid
    assert one.fingerprint == again.fingerprint != other.fingerprint


def without(arrays, name):
    return {key: array for key, array in arrays.items() if key != name}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: {"x": np.zeros(3)}, r"MobileNet v1 \(conv1/w, .*, got x$"),
        (
            lambda: without(draw_resnet(), "layer3_0/conv2/b"),
            r"do not form a ResNet for CIFAR-10: 1 missing \(layer3_0/conv2/b\)",
        ),
        (
            lambda: draw_resnet() | {"bn/w": np.ones(1), "linear/b": np.ones(9)},
            r"1 unexpected \(bn/w\); "
            r"1 with the wrong shape \(linear/b \(9,\) instead of \(10,\)\)",
        ),
        (
            lambda: without(draw_mobilenet(), "strides"),
            r"do not form MobileNet v1: 1 missing \(strides\)",
        ),
        (
            lambda: draw_mobilenet() | {"strides": np.ones(12, np.int8)},
            r"strides must be \(1, 2, 1, 2, .* got \(1, 1, 1, 1,",
        ),
        (
            lambda: draw_resnet() | {"linear/b": np.full(10, np.nan)},
            "linear/b must hold finite numbers",
        ),
        (
            lambda: draw_resnet() | {"linear/b": np.array(["a"] * 10)},
            "linear/b must hold finite numbers",
        ),
    ],
)
def test_raises_for_arrays_that_form_no_supported_network(tmp_path, make, message):
    with pytest.raises(InputError, match=message):
        load_feature_net(save(tmp_path, make()))


def test_raises_for_missing_or_unreadable_files(tmp_path):
    with pytest.raises(InputError, match=r"no file .*nothing\.npz"):
        load_feature_net(str(tmp_path / "nothing.npz"))
    path = tmp_path / "net.npz"
    save(tmp_path, draw_resnet())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a readable"):
        load_feature_net(str(path))
    np.savez(path, **{"layer1_0/conv1/w": np.array([{}])})
    with pytest.raises(InputError, match="not a readable"):
        load_feature_net(str(path))


@pytest.fixture(scope="session")
def weights(data_folder):
    folder = data_folder / "weights"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    return folder


@pytest.mark.parametrize(
    # Of the first 1,000 images; on all 10,000 the accuracies are the published 91.73
    # and 93.39 %.
    ("name", "correct"),
    [("cifar10_resnet20", 915), ("cifar10_resnet56", 926)],
)
def test_published_weights_have_the_published_accuracy(
    data_folder, weights, name, correct
):
    net = load_feature_net(str(weights / f"{name}.npz"))
    splits = npz(path=str(data_folder / "cifar10.npz"), labels=True)
    apply, found = jax.jit(net.apply), 0
    for start in range(0, 1000, 250):
        part = slice(start, start + 250)
        x = images.to_float(splits.test[part])
        predicted = apply(net.params, x).probabilities.argmax(-1)
        found += int((predicted == splits.test_labels[part]).sum())
    assert abs(found - correct) <= 1
