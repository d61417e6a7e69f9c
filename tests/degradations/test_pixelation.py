"""pixelate against the official code, PyTorch and step-by-step application."""

import pathlib

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from colddiff_jax import pixelate, schedules

RECORDED = pathlib.Path(__file__).parent.parent / "golden" / "torch_resize.npz"
METHODS = ["bicubic", "bilinear", "area"]


@pytest.mark.parametrize(("size", "num_steps"), [(32, 3), (64, 4)])
def test_pixelate_matches_the_recorded_steps(golden, size, num_steps):
    name = f"resolution/Incremental_factor_2/T{num_steps}_r{size}"
    x = golden[f"images{size}"].astype(np.float32) / 255 * 2 - 1
    degrade = pixelate(size, schedules.halving(size, num_steps=num_steps))
    for t, recorded in zip(golden[f"{name}/t"], golden[f"{name}/x_t"], strict=True):
        np.testing.assert_allclose(degrade(x, int(t)), recorded, atol=2e-5, rtol=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("blur_std", [None, 0.5])
def test_one_pixel_per_step_matches_repeated_resizing_in_pytorch(method, blur_std):
    recorded = np.load(RECORDED)
    x = recorded["image"].astype(np.float32) / 255 * 2 - 1
    sizes = [(21 - i, 27 - i) for i in range(8)]
    degrade = pixelate((21, 27), sizes, method=method, blur_std=blur_std)
    expected = recorded[f"{method}/one_pixel_a_step/blur{int(blur_std is not None)}"]
    np.testing.assert_allclose(degrade(x[None], 8)[0], expected, atol=2e-5, rtol=0)
    if blur_std is None:  # The first step resizes the image to its own size.
        np.testing.assert_allclose(degrade(x[None], 1)[0], x, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_halving_odd_sides_matches_repeated_resizing_in_pytorch(method):
    recorded = np.load(RECORDED)
    x = recorded["image"].astype(np.float32) / 255 * 2 - 1
    degrade = pixelate((21, 27), [(10, 13), (5, 6), (2, 3)], method=method)
    np.testing.assert_allclose(
        degrade(x[None], 3)[0], recorded[f"{method}/halved"], atol=2e-5, rtol=0
    )


def cubic(d: float) -> float:
    """Keys' kernel with a = -0.75."""
    d, a = abs(d), -0.75
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def shrink(signal: np.ndarray, small: int, method: str) -> np.ndarray:
    """Resizes the first axis by definition, one output at a time in float64."""
    side = len(signal)
    outputs = []
    for d in range(small):
        if method == "area":
            first, end = int(d * side / small), int(np.ceil((d + 1) * side / small))
            outputs.append(signal[first:end].mean(axis=0))
            continue
        kernel = cubic if method == "bicubic" else lambda d: max(0.0, 1 - abs(d))
        position = (d + 0.5) * side / small - 0.5
        near = range(int(np.floor(position)) - 2, int(np.floor(position)) + 4)
        outputs.append(
            sum(kernel(position - i) * signal[min(max(i, 0), side - 1)] for i in near)
        )
    return np.stack(outputs)


def shrink_and_repeat(signal: np.ndarray, small: int, method: str) -> np.ndarray:
    side = len(signal)
    cells = [(2 * i + 1) * small // (2 * side) for i in range(side)]
    return shrink(signal, small, method)[cells]


def blur(signal: np.ndarray) -> np.ndarray:
    """Applies three taps of std 0.5 to the first axis, with mirrored edges."""
    outer = np.exp(-2.0)
    padded = np.concatenate([signal[1:2], signal, signal[-2:-1]])
    return (signal + outer * (padded[:-2] + padded[2:])) / (1 + 2 * outer)


@st.composite
def chains(draw):
    sides = draw(st.tuples(st.integers(2, 14), st.integers(2, 14)))
    steps = draw(st.integers(1, 5))
    axes = [
        sorted(
            draw(st.lists(st.integers(1, side), min_size=steps, max_size=steps)),
            reverse=True,
        )
        for side in sides
    ]
    return sides, list(zip(*axes, strict=True))


@hypothesis.settings(deadline=None, max_examples=40, derandomize=True)
@hypothesis.given(chains(), st.sampled_from(METHODS), st.booleans(), st.integers(1, 4))
def test_closed_form_matches_step_by_step_application(chain, method, blurred, channels):
    sides, sizes = chain
    x = np.random.default_rng(0).uniform(-1, 1, (*sides, channels))
    degrade = pixelate(sides, sizes, method=method, blur_std=0.5 if blurred else None)
    expected = x
    for t, small in enumerate(sizes, start=1):
        for axis in (0, 1):
            along = np.moveaxis(expected, axis, 0)
            along = blur(along) if blurred else along
            along = shrink_and_repeat(along, small[axis], method)
            along = blur(along) if blurred else along
            expected = np.moveaxis(along, 0, axis)
        x_t = degrade(x[None].astype(np.float32), t)[0]
        np.testing.assert_allclose(x_t, expected, atol=5e-6, rtol=0)


def test_halving_by_area_is_a_block_mean_and_a_projection(photos):
    degrade = pixelate(32, schedules.halving(32, num_steps=4), method="area")
    blocks = photos.reshape(4, 4, 8, 4, 8, 3).mean((2, 4), dtype=np.float64)
    expected = blocks.repeat(8, 1).repeat(8, 2)
    np.testing.assert_allclose(degrade(photos, 3), expected, atol=1e-6)
    np.testing.assert_allclose(degrade(degrade(photos, 2), 3), expected, atol=1e-6)
    bilinear = pixelate(32, schedules.halving(32, num_steps=4), method="bilinear")
    np.testing.assert_allclose(bilinear(photos, 3), expected, atol=1e-6)


def test_sizes_may_have_any_integer_dtype(photos):
    expected = pixelate(32, [8, 4, 2])(photos, 3)
    small = pixelate(32, np.array([8, 4, 2], np.uint8))
    np.testing.assert_array_equal(small(photos, 3), expected)


def test_flat_image_is_unchanged():
    x = np.full((1, 15, 15, 3), 0.3, np.float32)
    for method in METHODS:
        degrade = pixelate(15, [11, 7, 1], method=method, blur_std=0.5)
        np.testing.assert_allclose(degrade(x, 3), x, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"sizes": [4, 5]},
            r"sizes must not increase .* got sizes\[1\] = \[5 5\] after \[4 4\]",
        ),
        ({"sizes": [(4, 4), (3, 5)]}, "sizes must not increase"),
        ({"sizes": [9]}, r"sizes must lie in 1\.\.8 .* got sizes\[0\] = 9"),
        ({"sizes": [4, 0]}, r"sizes must lie in 1\.\.8 .* got sizes\[1\] = 0"),
        ({"sizes": [4.5]}, "sizes must list one integer or"),
        ({"sizes": []}, "sizes must list one integer or"),
        ({"method": "nearest"}, "method must be one of .* got 'nearest'"),
        ({"blur_std": 0.0}, "blur_std must be positive or None, got 0.0"),
        ({"blur_std": "a"}, "blur_std must be positive or None, got 'a'"),
    ],
)
def test_invalid_arguments_raise(arguments, message):
    arguments = {"image_size": 8, "sizes": [4]} | arguments
    with pytest.raises(ValueError, match=message):
        pixelate(**arguments)
