"""The scene that everybody classifies: parcels with texture that compress about twofold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["CLASSES", "make_scene", "truth_of"]

CLASSES = 6
STRIP = 1024  # rows made at a time, so that the largest scene fits into memory
# Mean of red, green and blue, and spread of the texture, of each class.
COLORS = np.array(
    [[62, 92, 48], [148, 138, 88], [97, 128, 66], [122, 117, 112], [44, 66, 96], [168, 158, 140]]
)
SPREAD = np.array([5.0, 2.5, 3.5, 4.0, 1.0, 3.0])


def _field(shape: tuple[int, int], scale: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise whose features are `scale` pixels wide."""
    rows, columns = (side // scale + 4 for side in shape)
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    fine = ndimage.zoom(coarse, scale, order=1)
    return np.asarray(fine[: shape[0], : shape[1]], np.float32)


def truth_of(side: int, seed: int) -> NDArray[np.uint8]:
    """The class of every pixel, shape (side, side): the largest of smooth fields."""
    best = np.full((side, side), -np.inf, np.float32)
    truth = np.zeros((side, side), np.uint8)
    for index in range(CLASSES):
        rng = np.random.default_rng((seed, index))
        score = _field((side, side), 160, rng)
        for scale, weight in ((48, 0.55), (16, 0.25)):
            score += np.float32(weight) * _field((side, side), scale, rng)
        truth[score > best] = index
        np.maximum(best, score, out=best)
    return truth


def make_scene(path: Path, side: int, seed: int = 1) -> None:
    """Write RGB uint8, tiled 512, deflate; a wedge at the top left is 0, no data."""
    truth = truth_of(side, seed)
    rng = np.random.default_rng((seed, 99))
    profile = {
        "driver": "GTiff",
        "height": side,
        "width": side,
        "count": 3,
        "dtype": "uint8",
        "nodata": 0,
        "crs": "EPSG:32633",
        "transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_600_000),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
        "predictor": 2,
        "photometric": "RGB",
        "interleave": "pixel",
    }
    with rasterio.open(path, "w", **profile) as target:
        for top in range(0, side, STRIP):
            own = truth[top : top + STRIP]
            noise = rng.standard_normal((3, *own.shape), dtype=np.float32) * SPREAD[own]
            values = COLORS[own].transpose(2, 0, 1) + noise
            pixels = np.clip(np.rint(values), 1, 255).astype(np.uint8)
            rows, columns = np.ogrid[top : top + len(own), :side]
            pixels[:, rows + columns < side // 5] = 0
            window = rasterio.windows.Window(0, top, side, len(own))
            target.write(pixels, window=window)
