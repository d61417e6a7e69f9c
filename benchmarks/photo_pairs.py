"""Makes pairs of JPEG files and photographs, and scores what a network made of them.

    python -m benchmarks.photo_pairs --folder=pairs --make=photos
    python train.py --config=configs/photo_pairs.py:cpu --workdir=pairs/run \
        --config.data.path=pairs/clean --config.endpoints.path=pairs/degraded
    python sample.py --workdir=pairs/run --photo=pairs/degraded/test --out=pairs/alg2
    python -m benchmarks.photo_pairs --folder=pairs --restored alg2

`photos` holds the folder `free` of photographs to train on, and `cbsd68` to test on,
with those in `free/misc`. --restored names the folders with what sample.py restored, by
which samplers.
PSNR and SSIM of every photograph are compared with those of its JPEG file, and --draw
makes a picture of the centres of those in `free/misc`.
"""

import argparse
import pathlib
from typing import Any

import numpy as np
from PIL import Image, ImageOps

import colddiff_jax as cd
from benchmarks import timing
from colddiff_jax.data.decoding import EXTENSIONS, decode
from colddiff_jax.io import figures
from colddiff_jax.restoration.samplers import title

QUALITY = 10
SETS = {
    "train": ("free/cq100", "free/gb82", "free/unsplash"),
    "test": ("cbsd68", "free/misc"),
}
SHOWN = 160  # Pixels of the centre of a photograph in the picture.
PICTURE = timing.RESULTS.parents[1] / "docs" / "images" / "photo_pairs.png"


def make(photos: pathlib.Path, folder: pathlib.Path) -> None:
    """Writes photographs as PNG files, and as JPEG files of the same names."""
    for split, sources in SETS.items():
        for source in sources:
            for path in sorted((photos / source).iterdir()):
                if path.suffix.lower() not in EXTENSIONS:
                    continue
                with Image.open(path) as opened:
                    image = ImageOps.exif_transpose(opened).convert("RGB")
                name = f"{path.parent.name}_{path.stem}"
                for kind in ("clean", "degraded"):
                    (folder / kind / split).mkdir(parents=True, exist_ok=True)
                image.save(folder / "clean" / split / f"{name}.png")
                jpeg = folder / "degraded" / split / f"{name}.jpg"
                image.save(jpeg, quality=QUALITY)


def read(folder: pathlib.Path, restored: list[str]) -> dict[str, dict[str, np.ndarray]]:
    """Returns the test photographs, uint8 [H, W, 3], by name and by kind.

    Not every photograph needs to be restored in every way.
    """
    found = {}
    for path in sorted((folder / "clean" / "test").iterdir()):
        paths = {
            "clean": path,
            "degraded": folder / "degraded" / "test" / f"{path.stem}.jpg",
            **{kind: folder / kind / f"{path.stem}_restored.png" for kind in restored},
        }
        found[path.stem] = {
            kind: decode(str(path), 3) for kind, path in paths.items() if path.exists()
        }
    return found


def scores(images: dict[str, np.ndarray]) -> dict[str, Any]:
    """Returns PSNR and SSIM of the degraded and restored forms of a photograph."""
    x_0 = cd.to_float(images["clean"][None])
    rows = {}
    for kind, image in images.items():
        if kind != "clean":
            x = cd.to_float(image[None])
            rows[kind] = {
                "PSNR": float(cd.metrics.psnr(x, x_0)[0]),
                "SSIM": float(cd.metrics.ssim(x, x_0)[0]),
            }
    return rows


def summary(rows: dict[str, Any]) -> dict[str, Any]:
    """Returns the mean scores of some photographs, and how many became better."""
    found: dict[str, Any] = {"photographs": len(rows)}
    for kind in sorted(set.intersection(*map(set, rows.values()))):
        found[kind] = {
            score: round(float(np.mean([row[kind][score] for row in rows.values()])), n)
            for score, n in (("PSNR", 2), ("SSIM", 4))
        }
        if kind != "degraded":
            gains = [
                row[kind]["PSNR"] - row["degraded"]["PSNR"] for row in rows.values()
            ]
            found[kind] |= {
                "better PSNR": sum(gain > 0 for gain in gains),
                "least gain": round(min(gains), 2),
                "greatest gain": round(max(gains), 2),
            }
    return found


def draw(photographs: dict[str, dict[str, np.ndarray]], names: list[str]) -> None:
    """Draws the centres of some photographs: degraded, restored and clean."""

    def centre(image: np.ndarray) -> np.ndarray:
        top, left = ((side - SHOWN) // 2 for side in image.shape[:2])
        return image[top : top + SHOWN, left : left + SHOWN]

    kinds = [kind for kind in photographs[names[0]] if kind != "clean"]
    rows = {
        f"JPEG {QUALITY}" if kind == "degraded" else title(kind): cd.to_float(
            np.stack([centre(photographs[name][kind]) for name in names])
        )
        for kind in [*kinds, "clean"]
    }
    figures.save_png(str(PICTURE), figures.grid(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--make", type=pathlib.Path, help="the photographs")
    parser.add_argument("--restored", nargs="+", help="folders in --folder")
    parser.add_argument("--draw", nargs="+", default=[], help="names of photographs")
    flags = parser.parse_args()
    if flags.make:
        make(flags.make, flags.folder)
        return
    photographs = read(flags.folder, flags.restored)
    rows = {name: scores(images) for name, images in photographs.items()}
    sets = {
        source: {
            name: row
            for name, row in rows.items()
            if name.startswith(pathlib.Path(source).name)
        }
        for source in SETS["test"]
    }
    rounded = {
        name: {
            kind: {score: round(value, 4) for score, value in found.items()}
            for kind, found in row.items()
        }
        for name, row in rows.items()
    }
    found = {"JPEG quality": QUALITY}
    timing.write(
        "photo_pairs",
        found | {s: summary(r) for s, r in sets.items()} | {"per photograph": rounded},
    )
    if flags.draw:
        draw(photographs, flags.draw)


if __name__ == "__main__":
    main()
