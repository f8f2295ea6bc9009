"""Small made-up data sets in the folder layouts of published ones, the same in every run.

Each writes files below a folder and returns it. Labels are rectangles, so that a network can learn
what they are from colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.transform import Affine, from_origin

from geoseg.raster.files import unlocated_is_fine

LAND_COLORS = np.array(  # of unknown, urban, agriculture, rangeland, forest, water, barren
    [
        [0, 0, 0],
        [0, 255, 255],
        [255, 255, 0],
        [255, 0, 255],
        [0, 255, 0],
        [0, 0, 255],
        [255, 255, 255],
    ],
    np.uint8,
)
CDL_CODES = (0, 1, 5, 36, 111, 141, 142, 176, 81)
SEASONS = {"spring": "ROIs1158_spring", "winter": "ROIs2017_winter"}
UTM = CRS.from_epsg(32633)


def write_image(
    path: Path,
    pixels: NDArray[np.generic],
    where: tuple[CRS, Affine] | None = None,
    colors: Sequence[Sequence[int]] = (),
) -> None:
    """Write pixels (band, rows, columns) as what the ending says; colours are those of numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    driver = {".jpg": "JPEG", ".png": "PNG"}.get(path.suffix, "GTiff")
    more = {"quality": 90} if driver == "JPEG" else {}
    crs, transform = where or (None, None)
    count, rows, columns = pixels.shape
    with (
        unlocated_is_fine(),
        rasterio.Env(GDAL_PAM_ENABLED=False),
        rasterio.open(
            path, "w", driver, columns, rows, count, crs, transform, pixels.dtype, **more
        ) as file,
    ):
        if colors:
            file.write_colormap(1, {number: (*each, 255) for number, each in enumerate(colors)})
        file.write(pixels)


def read_image(path: Path) -> NDArray[np.generic]:
    """Pixels (band, rows, columns) of a file."""
    with unlocated_is_fine(), rasterio.open(path) as file:
        return np.asarray(file.read())


def rectangles(rng: np.random.Generator, values: Sequence[int], size: int) -> NDArray[np.uint8]:
    """Overlapping rectangles; every value is there."""
    field = np.full((size, size), values[0], np.uint8)
    for value in [*rng.permutation(values), *rng.permutation(values)]:
        top, left = rng.integers(0, size * 3 // 4, 2)
        rows, columns = rng.integers(size // 8, size // 2, 2)
        field[top : top + rows, left : left + columns] = value
    for place, value in enumerate(values):  # even if it was covered
        field[4 * place : 4 * place + 4, :4] = value
    return field


def land_labels(number: int, size: int) -> NDArray[np.uint8]:
    """What the masks of `fake_deepglobe_land` show, before they are disturbed."""
    return rectangles(np.random.default_rng((1, number)), range(7), size)


def disturbed(rng: np.random.Generator, pixels: NDArray[np.uint8], by: int) -> NDArray[np.uint8]:
    noisy = pixels.astype(int) + rng.integers(-by, by + 1, pixels.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def fake_deepglobe_land(root: Path, n: int = 5, size: int = 64) -> Path:
    """``train/<id>_sat.jpg`` and masks of seven colours, off by up to 60; images without masks."""
    for number in range(n):
        rng = np.random.default_rng((2, number))
        mask = np.moveaxis(LAND_COLORS[land_labels(number, size)], -1, 0)
        name = 100 + 37 * number
        write_image(root / "train" / f"{name}_mask.png", disturbed(rng, mask, 60))
        write_image(root / "train" / f"{name}_sat.jpg", disturbed(rng, mask // 2 + 60, 20))
    write_image(root / "valid" / "9_sat.jpg", np.full((3, size, size), 90, np.uint8))
    (root / "class_dict.csv").write_text("name,r,g,b\nurban_land,0,255,255\n")
    return root


def road_labels(number: int, size: int) -> NDArray[np.uint8]:
    """What the masks of `fake_deepglobe_road` show: a broken line 7 pixels wide."""
    rng = np.random.default_rng((3, number))
    corners = rng.uniform(0, size, (4, 2))
    rows, columns = np.mgrid[:size, :size] + 0.5
    road = np.zeros((size, size), bool)
    for (top, left), (bottom, right) in pairwise(corners):
        along = np.array([bottom - top, right - left])
        share = ((rows - top) * along[0] + (columns - left) * along[1]) / (along @ along)
        share = share.clip(0, 1)
        road |= np.hypot(rows - top - share * along[0], columns - left - share * along[1]) <= 3.5
    return road.astype(np.uint8)


def fake_deepglobe_road(root: Path, n: int = 5, size: int = 64) -> Path:
    """``train/<id>_sat.jpg`` and grey masks of roads, off by up to 60."""
    for number in range(n):
        rng = np.random.default_rng((4, number))
        road = np.repeat(road_labels(number, size)[None], 3, 0)
        grey = np.repeat(disturbed(rng, road[:1] * 255, 60), 3, 0)
        write_image(root / "train" / f"{number + 7}_mask.png", grey)
        write_image(root / "train" / f"{number + 7}_sat.jpg", disturbed(rng, 60 + 120 * road, 20))
    return root


def fake_sen12ms(
    root: Path,
    n: int = 2,
    scenes: Sequence[int] = (1, 2, 63),
    size: int = 64,
    codes: Sequence[int] = range(1, 18),
) -> Path:
    """Two seasons of some scenes with `n` patches each; scene 63 of spring is a test scene.

    Radar of the first patch of all is missing. Lists of training and test are there. Land cover is
    of the IGBP codes given, and both sensors tell which.
    """
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for season, prefix in SEASONS.items():
        for scene in scenes:
            for patch in range(n):
                name = f"{prefix}_s2_{scene}_p{30 + patch}.tif"
                number = len(lists["train"]) + len(lists["test"])
                _write_triple(root, name, number, igbp_labels(number, max(size, 4 * 17), codes))
                lists["test" if (season, scene) == ("spring", 63) else "train"].append(name)
    for part, names in lists.items():
        (root / f"{part}_list.txt").write_text("\n".join(names) + "\n")
    return root


def igbp_labels(number: int, size: int, codes: Sequence[int] = range(1, 18)) -> NDArray[np.uint8]:
    """IGBP codes of the patch of a number in `fake_sen12ms`."""
    return rectangles(np.random.default_rng((5, number)), codes, size)


def _write_triple(root: Path, name: str, number: int, igbp: NDArray[np.uint8]) -> None:
    rng, size = np.random.default_rng((6, number)), len(igbp)
    where = UTM, from_origin(400_000 + 10 * size * number, 5_000_000, 10, 10)
    optical = 200 + 150 * igbp + 40 * np.arange(13)[:, None, None]
    optical = (optical + rng.integers(0, 60, (13, size, size))).astype(np.uint16)
    radar = (1.8 * igbp - 28 + rng.uniform(-2, 2, (2, size, size))).astype(np.float32)
    if number == 0:
        radar[:] = np.nan
    cover = np.stack([igbp, igbp, igbp, igbp]).astype(np.uint8)
    for sensor, pixels in (("s1", radar), ("s2", optical), ("lc", cover)):
        own = name.replace("_s2_", f"_{sensor}_")
        season, _, scene, _ = own.rsplit("_", 3)
        write_image(root / season / f"{sensor}_{scene}" / own, pixels, where)


def fake_massachusetts(root: Path, size: int = 64, ending: str = ".tiff") -> Path:
    """``train|valid|test/{sat,map}``: red buildings, and a white corner of 8 pixels."""
    for part, count in (("train", 3), ("valid", 1), ("test", 2)):
        for number in range(count):
            labels = building_labels(part, number, size)
            rng = np.random.default_rng((7, number))
            image = disturbed(rng, np.repeat(60 + 120 * labels[None], 3, 0), 20)
            image[:, :8, :8] = 255
            red = np.stack([labels * 255, 0 * labels, 0 * labels])
            where = CRS.from_epsg(26986), from_origin(230_000 + size * number, 900_000, 1, 1)
            write_image(root / part / "sat" / f"{part}_{number}{ending}", image, where)
            write_image(root / part / "map" / f"{part}_{number}.tif", red, where)
    return root


def building_labels(part: str, number: int, size: int) -> NDArray[np.uint8]:
    """What the maps of `fake_massachusetts` show."""
    rng = np.random.default_rng((8, number, len(part)))
    return rectangles(rng, (0, 1), size)


def cdl_labels(size: int) -> NDArray[np.uint8]:
    """CDL codes of `fake_cdl`."""
    return rectangles(np.random.default_rng(9), CDL_CODES, size)


def fake_cdl(root: Path, size: int = 128) -> Path:
    """``image.tif``, where every code has a spectrum of its own, and ``cdl.tif``, in degrees."""
    rng = np.random.default_rng(10)
    codes = cdl_labels(size)
    spectra = rng.integers(500, 4000, (256, 7))
    noise = rng.normal(0, 60, (7, size, size))
    pixels = (np.moveaxis(spectra[codes], -1, 0) + noise).astype(np.int16)
    where = CRS.from_epsg(4326), from_origin(-93.0, 42.0, 0.00026949, 0.00026949)
    write_image(root / "image.tif", pixels, where)
    write_image(root / "cdl.tif", codes[None], where)
    return root
