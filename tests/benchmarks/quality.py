"""Quality beside speed: windows cropped or blended, with more or less context, on labelled imagery.

    python tests/benchmarks/quality.py FOLDER [--data DIR] [--only NAME ...]

"moved" is the share of pixels that get another class when all windows are laid elsewhere: what a
seam is. FOLDER holds the benchmark's own scene and network; DIR the published imagery, if there.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networks
import numpy as np
import rasterio
import xarray as xr
from contenders import geoseg_model
from numpy.typing import NDArray
from prepare import prepare
from rasterio.windows import Window
from scene import CLASSES, truth_of

import geoseg
from geoseg import landscape
from geoseg.loader import IGNORE, Scene
from geoseg.metrics import ConfusionMatrix
from geoseg.segmenter import Segmenter
from geoseg.train import read_dataset

EXAMPLES = Path(__file__).parents[2] / "examples"
REPEATS = 3
SHIFT = 3  # strides of the network that windows are moved by


@dataclass(frozen=True)
class Case:
    """A model, labelled images, and the side of its windows."""

    model: Segmenter
    images: Sequence[tuple[NDArray[Any], NDArray[np.uint8], float | None]]
    window: int


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=list(CASES), choices=CASES)
    options = parser.parse_args()
    for name in options.only:
        case = CASES[name](options)
        halo = case.model.card.halo or 0
        pixels = sum(truth.size for _, truth, _ in case.images)
        print(f"\n{name}: {pixels / 1e6:.1f} Mpx, windows of {case.window}, halo {halo}\n")
        print("| windows | mIoU | moved | Mpx/s |\n|---|---:|---:|---:|")
        for label, settings in ways(halo, case.window):
            miou, moved, speed = measure(case, settings)
            print(f"| {label} | {miou:.4f} | {moved:.4%} | {speed:.1f} |", flush=True)


def ways(halo: int, window: int) -> list[tuple[str, dict[str, Any]]]:
    """Settings of `geoseg.predict`, by name."""
    cropped = {
        f"crop {part} ({size})": {"blend": "crop", "halo": size}
        for part, size in (
            ("halo", halo),
            ("halo / 2", halo // 2),
            ("halo / 4", halo // 4),
            ("nothing", 0),
        )
    }
    blended = {
        f"{blend}, {overlap:.0%} overlap": {
            "blend": blend,
            "stride": int(window * (1 - overlap)),
        }
        for blend in ("hann", "mean")
        for overlap in (0.25, 0.5)
    }
    return list({**cropped, **blended}.items())


def measure(case: Case, settings: dict[str, Any]) -> tuple[float, float, float]:
    """Mean IoU, share of pixels that depend on where windows lie, and megapixels a second."""
    card = case.model.card
    matrix = ConfusionMatrix(len(card.classes))
    moved = compared = 0
    seconds = []
    for pixels, truth, nodata in case.images:
        found, own = classify(case, pixels, nodata, settings)
        seconds.append(own)
        index = np.full(256, IGNORE, np.uint8)
        index[[each.value for each in card.classes]] = range(len(card.classes))
        known = (truth != IGNORE) & (found != 255)
        matrix.update(truth[known], index[found[known]])
        by, far = SHIFT * card.stride, case.window // 2
        if min(truth.shape) > by + 2 * far:
            other, _ = classify(case, pixels[:, by:, by:], nodata, settings, repeats=1)
            inner = slice(far, -far), slice(far, -far)
            differs = found[by:, by:][inner] != other[inner]
            moved, compared = moved + int(differs.sum()), compared + differs.size
    speed = sum(truth.size for _, truth, _ in case.images) / 1e6 / sum(seconds)
    return matrix.miou(), moved / max(compared, 1), speed


def classify(
    case: Case,
    pixels: NDArray[Any],
    nodata: float | None,
    settings: dict[str, Any],
    repeats: int = REPEATS,
) -> tuple[NDArray[np.uint8], float]:
    """The map of an image, and the median of the seconds it takes."""
    names = case.model.card.bands
    image = xr.DataArray(pixels, dims=("band", "y", "x"), attrs={"long_name": names})
    if nodata is not None:
        image = image.rio.write_nodata(nodata)
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        lazy = geoseg.predict(image, case.model, window=case.window, gsd="native", **settings)
        found = np.asarray(lazy.values)
        seconds.append(time.perf_counter() - begun)
    return found, statistics.median(seconds)


def demo(options: argparse.Namespace) -> Case:
    image, truth = landscape.make((1024, 1024), seed=7)
    return Case(geoseg.load("demo-landscape"), [(image, truth, 0)], 256)


def published(name: str, folder: str, window: int) -> Callable[[argparse.Namespace], Case]:
    def make(options: argparse.Namespace) -> Case:
        data = read_dataset(EXAMPLES / f"{name.replace('-', '_')}.yaml", options.data / folder)
        return Case(geoseg.load(name), mosaic(data.held_out), window)

    return make


def mosaic(
    scenes: Sequence[Scene],
) -> list[tuple[NDArray[Any], NDArray[np.uint8], float | None]]:
    """Small tiles, whose names say their row and column (``008_033``), joined to one image."""
    arrays = [
        (np.asarray(s.image.values), s.read_labels((slice(0, s.shape[0]), slice(0, s.shape[1]))))
        for s in scenes
    ]
    side = max(scenes[0].shape)
    if side > 256:
        pairs = zip(arrays, scenes, strict=True)
        return [(pixels, labels, scene.nodata) for (pixels, labels), scene in pairs]
    places = np.array([[int(part) for part in str(s.image.name).split("_")] for s in scenes])
    places -= places.min(0)
    rows, columns = (places.max(0) + 1) * side
    nodata = scenes[0].nodata if scenes[0].nodata is not None else -9999
    pixels = np.full((len(arrays[0][0]), rows, columns), nodata, np.float32)
    truth = np.full((rows, columns), IGNORE, np.uint8)
    for (own, labels), (row, column) in zip(arrays, places * side, strict=True):
        pixels[:, row : row + side, column : column + side] = own
        truth[row : row + side, column : column + side] = labels
    return [(pixels, truth, nodata)]


def own_u_net(options: argparse.Namespace) -> Case:
    prepare(options.folder, [4096])
    net = networks.build("u-net", CLASSES, options.folder / "u-net.pt")
    with rasterio.open(options.folder / "scene-4096.tif") as source:
        pixels = source.read(window=Window(1500, 1500, 2048, 2048))
    truth = truth_of(4096, 1)[1500:3548, 1500:3548]
    return Case(geoseg_model(net), [(pixels, truth, None)], 512)


CASES: dict[str, Callable[[argparse.Namespace], Case]] = {
    "demo-landscape": demo,
    "sentinel2-landcover": published("sentinel2-landcover", "korea_sentinel2", 320),
    "landsat8-crops": published("landsat8-crops", "landsat8_cdl", 256),
    "u-net": own_u_net,
}


if __name__ == "__main__":
    main()
