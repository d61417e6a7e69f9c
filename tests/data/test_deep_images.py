"""Decoding images of more than 8 bits per channel, and what Pillow leaves of them."""

import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from colddiff_jax.data.decoding import decode, why_broken

GREY = np.array([[0, 1000, 30000, 65534, 65535]], np.uint16)
ALPHA = np.array([[65535, 0, 32768, 0, 65535]], np.uint16)


def decoded(path, channels=1):
    assert not why_broken(str(path), channels)
    pixels = decode(str(path), channels)
    return pixels[..., 0] if channels == 1 else pixels


def write_png(path, pixels, depth, color_type, transparent=()):
    """Writes a PNG that Pillow cannot write; pixels [H, W, C] in whole bytes."""

    def chunk(name, content):
        body = name + content
        return struct.pack(">I", len(content)) + body + struct.pack(
            ">I", zlib.crc32(body)
        )  # fmt: skip

    dtype = ">u2" if depth == 16 else "u1"
    rows = [b"\0" + np.asarray(row, dtype).tobytes() for row in pixels]
    width = pixels.shape[1] * 8 // min(depth, 8)
    header = struct.pack(
        ">IIBBBBB", width, len(pixels), depth, color_type, 0, 0, 0
    )  # fmt: skip
    key = struct.pack(f">{len(transparent)}H", *transparent)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + (chunk(b"tRNS", key) if key else b"")
        + chunk(b"IDAT", zlib.compress(b"".join(rows)))
        + chunk(b"IEND", b"")
    )


def over_white(grey, alpha):
    unit = alpha / 65535
    return grey / 257 * unit + 255 * (1 - unit)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_a_tiff_whose_zero_is_white_is_not_read_as_a_negative(tmp_path, options):
    shades = [(GREY >> 8).astype(np.uint8), GREY, (GREY / 65535).astype(np.float32)]
    for i, grey in enumerate(shades):
        path = tmp_path / f"{i}.tif"
        tifffile.imwrite(path, grey, photometric="minisblack", **options)
        black_is_zero = decoded(path)
        tifffile.imwrite(path, grey, photometric="miniswhite", **options)
        np.testing.assert_array_equal(decoded(path), 255 - black_is_zero)
        np.testing.assert_allclose(black_is_zero, GREY / 257, atol=1)


def test_floats_range_from_0_to_1_whatever_their_largest_value(tmp_path):
    path = tmp_path / "a.tif"
    for largest in (1, 0.9, 0.01):
        grey = np.array([[0, 0.5, 1]], np.float32) * np.float32(largest)
        Image.fromarray(grey).save(path)
        np.testing.assert_array_equal(decoded(path), np.round(grey * 255))
    for value in (np.nan, -0.5, 1.5, 254.0):
        Image.fromarray(grey + np.float32(value)).save(path)
        assert "are not within 0..1" in why_broken(str(path), 1)


def test_integers_without_a_known_range_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    for dtype in (np.int8, np.int16, np.int32, np.uint32):
        tifffile.imwrite(path, np.array([[0, 1, 100]], dtype))
        assert "no known range; save it with 8 or 16" in why_broken(str(path), 1)


def test_12_bit_grey_is_scaled_to_8_bits(tmp_path):
    path = tmp_path / "a.tif"
    packed = np.array([[0x00, 0x0F, 0xFF, 0x80, 0x00, 0x10]], np.uint8)
    tifffile.imwrite(path, packed, photometric="minisblack")
    with tifffile.TiffFile(path, mode="r+b") as file:
        tags = file.pages[0].tags
        tags["ImageWidth"].overwrite(4)
        tags["BitsPerSample"].overwrite(12)
    expected = np.round(np.array([[0, 0xFFF, 0x800, 0x010]]) / 4095 * 255)
    np.testing.assert_array_equal(decoded(path), expected)


def test_16_bit_transparency_shows_white(tmp_path):
    expected = over_white(GREY, ALPHA)
    rgb, colors = np.dstack([GREY] * 3), np.dstack([expected] * 3)
    rgba = np.dstack([rgb, ALPHA])
    write_png(tmp_path / "la.png", np.dstack([GREY, ALPHA]), 16, 4)
    np.testing.assert_allclose(decoded(tmp_path / "la.png"), expected, atol=1)
    write_png(tmp_path / "rgba.png", rgba, 16, 6)
    options = {"photometric": "rgb", "extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "rgba.tif", rgba, **options)
    for name in ("rgba.png", "rgba.tif"):
        found = decoded(tmp_path / name, channels=3)
        np.testing.assert_allclose(found, colors, atol=1)


def test_a_transparent_grey_or_color_is_compared_at_the_depth_of_the_file(tmp_path):
    path = tmp_path / "a.png"
    write_png(path, GREY[..., None], 16, 0, transparent=(1000,))
    np.testing.assert_array_equal(decoded(path), [[0, 255, 117, 255, 255]])
    write_png(path, GREY[..., None], 16, 0, transparent=(3,))  # 1000 >> 8 is 3.
    np.testing.assert_array_equal(decoded(path), [[0, 4, 117, 255, 255]])
    colors = np.array([[[1000, 500, 300], [3, 1, 1], [30000, 0, 0]]])
    write_png(path, colors, 16, 2, transparent=(1000, 500, 300))
    found = decoded(path, channels=3)
    np.testing.assert_array_equal(found, [[[255] * 3, [0] * 3, [117, 0, 0]]])
    # Two and four greys per byte: 15, 1, 2, 0 and 3, 1, 2, 0.
    write_png(path, np.array([[[0xF1], [0x20]]]), 4, 0, transparent=(1,))
    np.testing.assert_array_equal(decoded(path), [[255, 255, 34, 0]])
    write_png(path, np.array([[[0b11011000]]]), 2, 0, transparent=(1,))
    np.testing.assert_array_equal(decoded(path), [[255, 255, 170, 0]])


def test_premultiplied_and_lab_tiffs_are_converted(tmp_path):
    path = tmp_path / "a.tif"
    grey, alpha = np.uint8([[0, 51, 255]]), np.uint8([[0, 51, 255]])
    tifffile.imwrite(
        path, np.dstack([grey, alpha]), photometric="minisblack",
        extrasamples=["assocalpha"],
    )  # fmt: skip
    np.testing.assert_array_equal(decoded(path), [[255, 255, 255]])
    Image.new("LAB", (2, 1), (128, 128, 128)).save(path)
    grey = decoded(path)
    np.testing.assert_allclose(decoded(path, channels=3)[..., 0], grey, atol=1)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_separate_planes_are_read_exactly_or_refused(
    tmp_path, dtype, photometric, options
):
    num_planes = 3 if photometric == "rgb" else 2
    rng = np.random.default_rng(0)
    planes = rng.integers(0, np.iinfo(dtype).max, (num_planes, 6, 5)).astype(dtype)
    if num_planes == 2:
        options = options | {"extrasamples": ["unassalpha"]}
    tifffile.imwrite(
        tmp_path / "a.tif", planes, photometric=photometric, planarconfig="separate",
        **options,
    )  # fmt: skip
    why = why_broken(str(tmp_path / "a.tif"), 3)
    if num_planes == 3 and dtype == "uint8":
        assert not why
        found = decode(str(tmp_path / "a.tif"), 3)
        np.testing.assert_array_equal(found, np.moveaxis(planes, 0, -1))
    else:
        assert "interleaved channels" in why or "Pillow cannot read" in why
