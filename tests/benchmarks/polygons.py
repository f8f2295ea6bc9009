"""Polygons of a class map: geoseg beside rasterio with shapely, and beside GDAL's own program.

    python tests/benchmarks/polygons.py FOLDER [--rounds 3] [--sides 2048,10240,40960]
        [--contenders NAME,NAME,...]

Makes class maps in FOLDER, runs everybody in turn as often as asked, each a process of its own that
is measured from its start to its end, and prints medians. Then the files of the last round are
checked and removed; where a check fails, the benchmark says so and fails.

`shapes` makes a shapely polygon of every feature of rasterio.features.shapes, `ragged` all of them
at once from flat arrays, `gdal` is gdal_polygonize.py. They run up to `WIDEST_OF_RIVALS`: those in
Python hold the raster and all polygons in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

# Further libraries are imported where they are used: no rival waits for one that it does not need.

CLASSES = 6
NODATA = 255
PIXEL = 0.5  # metres a side
SCALES = (64, 24, 9)  # pixels between the points of a grid of noise
WEIGHT = 0.8  # of every scale
SIGMA = 0.8  # of the Gaussian that smooths a grid, in its cells
REACH = 3  # cells that the Gaussian looks at on either side
SHARPNESS = -0.75  # the free parameter of cubic convolution (Keys, 1981), as OpenCV has it
STRIP = 512  # rows made at a time: one row of tiles

WIDEST_OF_RIVALS = 10240
GDAL = "gdal_polygonize.py"
ENDINGS = {
    "geoseg": ".gpkg",
    "geoseg-parquet": ".parquet",
    "geoseg-flatgeobuf": ".fgb",
    "geoseg-simplify": ".gpkg",
    "shapes": ".gpkg",
    "shapes-parquet": ".parquet",
    "ragged": ".gpkg",
    "ragged-parquet": ".parquet",
    "gdal": ".gpkg",
}
RACES = {"GeoPackage": "geoseg", "GeoParquet": "geoseg-parquet"}
COLUMNS = ("wall s", "CPU s", "peak GB", "polygons")

# A process between the benchmark and a contender: the kernel's peak of a child begins at that of
# its parent, and this parent is small.
MEASURE = """
import json, os, subprocess, sys, time
begun = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(child.pid, 0)
wall = time.perf_counter() - begun
cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
print(json.dumps({"status": status, "wall": wall, "cpu": cpu, "peak": peak}))
"""

Facts = dict[str, float]


def main() -> None:
    """Run the benchmark, or one rival."""
    if sys.argv[1:2] == ["--rival"]:
        rival(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", type=lambda text: [int(side) for side in text.split(",")])
    parser.add_argument("--contenders", type=lambda text: text.split(","))
    parser.set_defaults(sides=[2048, 10240], contenders=list(ENDINGS))
    options = parser.parse_args()
    if unknown := set(options.contenders) - set(ENDINGS):
        parser.error(f"unknown contenders {sorted(unknown)}; there are {', '.join(ENDINGS)}")
    prepare(options.folder, options.sides)
    print(f"{platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}", end="")
    for package in ("geoseg", "rasterio", "shapely", "geopandas", "pyogrio"):
        print(f", {package} {version(package)}", end="")
    print(f", GDAL of rasterio {rasterio.__gdal_version__}")
    found: dict[int, dict[str, Facts]] = {}
    faults: list[str] = []
    for side in options.sides:
        names = admitted(options.contenders, side)
        found[side], wrong = compare(options.folder, side, names, options.rounds)
        faults += wrong
    if len(found) > 1:
        print_growth(found)
    if faults:
        raise SystemExit(f"{len(faults)} checks failed")


def admitted(names: list[str], side: int) -> list[str]:
    """Those of the contenders that can run here and at this size."""
    if side > WIDEST_OF_RIVALS:
        print(f"\nno rivals above {WIDEST_OF_RIVALS}")
        return [name for name in names if name.startswith("geoseg")]
    if "gdal" in names and not shutil.which(GDAL):
        print(f"\nno gdal: {GDAL} is not on the path")
        return [name for name in names if name != "gdal"]
    return names


def compare(
    folder: Path, side: int, names: list[str], rounds: int
) -> tuple[dict[str, Facts], list[str]]:
    """Run contenders in turn and print their medians; these, and what is wrong with the files."""
    source = folder / f"classes-{side}.tif"
    targets = {name: folder / f"polygons-{side}-{name}{ENDINGS[name]}" for name in names}
    area = area_with_data(source)  # which also brings the file into memory, for the first as well
    runs: dict[str, list[Facts]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, target in targets.items():
            runs[name].append(run(name, source, target))
    middle = {
        name: {key: statistics.median(one[key] for one in each) for key in each[0]}
        for name, each in runs.items()
    }
    counts, faults = check(targets, area)
    print(f"\n{side} x {side}: medians of {rounds}\n")
    print(f"| | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}")
    for name, facts in middle.items():
        print(
            f"| {name} | {facts['wall']:.2f} | {facts['cpu']:.2f} | {facts['peak'] / 1e9:.2f} "
            f"| {counts[name]:,} |"
        )
    print_ratios(middle)
    print("".join(f"\nWRONG: {fault}" for fault in faults), end="\n" * bool(faults), flush=True)
    return middle, faults


def print_ratios(middle: dict[str, Facts]) -> None:
    """By how much geoseg is quicker than the quickest rival that writes the same format."""
    for kind, own in RACES.items():
        rivals = [
            (facts["wall"], name)
            for name, facts in middle.items()
            if not name.startswith("geoseg") and ENDINGS[name] == ENDINGS[own]
        ]
        if rivals and own in middle:
            wall, name = min(rivals)
            ratio = wall / middle[own]["wall"]
            print(f"\n{kind}: {name} / {own} = {ratio:.2f}")


def print_growth(found: dict[int, dict[str, Facts]]) -> None:
    """Seconds per megapixel of geoseg at every size."""
    sides = sorted(found)
    own = ("geoseg", "geoseg-simplify")
    names = [name for name in own if all(name in found[side] for side in sides)]
    if not names:
        return
    titles = [*map(str, sides), f"{sides[-1]} / {sides[0]}"]
    print(f"\n| s / Mpx | {' | '.join(titles)} |\n|---|{'---:|' * len(titles)}")
    for name in names:
        costs = [found[side][name]["wall"] / (side**2 / 1e6) for side in sides]
        cells = [f"{cost:.4f}" for cost in costs]
        print(f"| {name} | {' | '.join(cells)} | {costs[-1] / costs[0]:.2f} |")


def run(name: str, source: Path, target: Path) -> Facts:
    """One process from its start to its end; ``peak`` is in bytes."""
    target.unlink(missing_ok=True)
    os.sync()  # nobody waits for the disk because of the one before
    environment = dict(os.environ)
    if name == "gdal":  # an interpreter of its own, which our packages are not meant for
        environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, words(name, source, target))],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    facts: Facts = json.loads(done.stdout)
    if facts.pop("status"):
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return facts


def words(name: str, source: Path, target: Path) -> list[Any]:
    """The command line of a contender."""
    if name == "gdal":
        return [shutil.which(GDAL), "-q", source, "-f", "GPKG", target, "polygons", "class_id"]
    if not name.startswith("geoseg"):
        return [sys.executable, __file__, "--rival", name, source, target]
    more = ["--simplify", "2"] if name == "geoseg-simplify" else []
    return [
        *(sys.executable, "-m", "geoseg", "polygonize", source, target, "--progress", "none"),
        *more,
    ]


def rival(name: str, source: str, target: str) -> None:
    """What a script of the usual kind does: read, trace, make polygons, write."""
    import geopandas as gpd
    from rasterio.features import shapes

    make, _, parquet = name.partition("-")
    with rasterio.open(source) as dataset:
        pixels, crs = dataset.read(1), dataset.crs
        valid, transform = pixels != dataset.nodata, dataset.transform
    values, polygons = MAKERS[make](shapes(pixels, mask=valid, transform=transform))
    frame = gpd.GeoDataFrame({"class_id": values}, geometry=polygons, crs=crs)
    if parquet:
        frame.to_parquet(target)
    else:
        arrow = make == "ragged"
        frame.to_file(target, driver="GPKG", layer="polygons", engine="pyogrio", use_arrow=arrow)


def one_by_one(features: Iterator[Any]) -> tuple[list[int], list[Any]]:
    """Classes and polygons, each made from its GeoJSON."""
    from shapely.geometry import shape

    values, polygons = [], []
    for geometry, value in features:
        values.append(int(value))
        polygons.append(shape(geometry))
    return values, polygons


def all_at_once(features: Iterator[Any]) -> tuple[list[int], NDArray[Any]]:
    """Classes and polygons, made from all vertices in one array."""
    import shapely

    values: list[int] = []
    vertices, rings = [0], [0]  # how many there are before each ring, and before each polygon

    def pass_by() -> Iterator[list[tuple[float, float]]]:
        for geometry, value in features:
            values.append(int(value))
            rings.append(rings[-1] + len(geometry["coordinates"]))
            for ring in geometry["coordinates"]:
                vertices.append(vertices[-1] + len(ring))
                yield ring

    numbers = np.fromiter(chain.from_iterable(chain.from_iterable(pass_by())), np.float64)
    polygons = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON,
        numbers.reshape(-1, 2),
        (np.array(vertices), np.array(rings)),
    )
    return values, polygons


MAKERS: dict[str, Callable[[Iterator[Any]], tuple[list[int], Any]]] = {
    "shapes": one_by_one,
    "ragged": all_at_once,
}


def area_with_data(source: Path) -> float:
    """Square metres of the pixels that have a class."""
    pixels = 0
    with rasterio.open(source) as dataset:
        for top in range(0, dataset.height, STRIP):
            rows = min(STRIP, dataset.height - top)
            window = rasterio.windows.Window(0, top, dataset.width, rows)
            pixels += int((dataset.read(1, window=window) != dataset.nodata).sum())
    return pixels * PIXEL**2


def check(targets: dict[str, Path], area: float) -> tuple[dict[str, int], list[str]]:
    """How many polygons everybody has written, and what is wrong; the files are removed."""
    counts: dict[str, int] = {}
    faults: list[str] = []
    for name, target in targets.items():
        total = 0.0
        counts[name] = 0
        for batch in batches(target):
            counts[name] += len(batch)
            total += measured(batch) if name.startswith("geoseg") else 0.0
        if name.startswith("geoseg") and abs(total - area) > 1e-9 * area:
            faults.append(f"{target.name} covers {total!r} m2, the pixels with data {area!r} m2")
        target.unlink()
    if len(set(counts.values())) > 1:
        faults.append(f"numbers of polygons differ: {counts}")
    return counts, faults


def batches(path: Path) -> Iterator[Any]:
    """The geometries of a file as WKB, some at a time."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            column = json.loads(file.metadata.metadata[b"geo"])["primary_column"]
            for batch in file.iter_batches(columns=[column]):
                yield batch.column(0)
    else:
        import pyogrio

        with pyogrio.open_arrow(path, columns=[], use_pyarrow=True) as (about, reader):
            for batch in reader:
                yield batch.column(about["geometry_name"] or "wkb_geometry")


def measured(batch: Any) -> float:
    """The sum of the areas of polygons, in square metres."""
    import shapely

    polygons = shapely.from_wkb(batch.to_numpy(zero_copy_only=False))
    return float(shapely.area(polygons).sum())


def prepare(folder: Path, sides: list[int]) -> None:
    """Make the class maps that are not there yet: ``classes-SIDE.tif``."""
    folder.mkdir(parents=True, exist_ok=True)
    for side in sides:
        path = folder / f"classes-{side}.tif"
        if not path.exists():
            print(f"making {path}", flush=True)
            make_classes(path.with_suffix(".part.tif"), side)
            path.with_suffix(".part.tif").rename(path)


def make_classes(path: Path, side: int, seed: int = 1) -> None:
    """Write classes as uint8, tiled 512, deflate.

    The pixels depend on the seed and on their place alone: a smaller map is the upper left corner
    of a larger one.
    """
    profile = {
        "driver": "GTiff",
        "height": side,
        "width": side,
        "count": 1,
        "dtype": "uint8",
        "nodata": NODATA,
        "crs": "EPSG:32633",
        "transform": rasterio.Affine(PIXEL, 0, 500_000, 0, -PIXEL, 5_600_000),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
    }
    with (
        rasterio.Env(GDAL_CACHEMAX=64),  # MB; GDAL would keep a twentieth of the machine's memory
        rasterio.open(path, "w", **profile) as target,
    ):
        for top in range(0, side, STRIP):
            pixels = classes_of(top, min(top + STRIP, side), side, seed)
            window = rasterio.windows.Window(0, top, side, len(pixels))
            target.write(pixels, 1, window=window)


def classes_of(top: int, bottom: int, side: int, seed: int) -> NDArray[np.uint8]:
    """The class of every pixel of some rows: the largest of smooth fields."""
    best = field(top, bottom, side, (seed, 0))
    classes = np.zeros(best.shape, np.uint8)
    for index in range(1, CLASSES):
        score = field(top, bottom, side, (seed, index))
        classes[score > best] = index
        np.maximum(best, score, out=best)
    return classes


def field(top: int, bottom: int, side: int, seed: tuple[int, int]) -> NDArray[np.float32]:
    """Rows of smooth noise whose features are as wide as `SCALES`."""
    from scipy import sparse

    downwards, across = [], []
    for scale in SCALES:
        first, rows = cubic(top, bottom, scale)
        _, columns = cubic(0, side, scale)
        grid = smooth_noise(first, (rows.shape[1], columns.shape[1]), (*seed, scale))
        across.append((columns @ grid.T).T)
        downwards.append(rows)
    weights = np.float32(WEIGHT) * sparse.hstack(downwards, format="csr")
    return np.asarray(weights @ np.concatenate(across))


def cubic(start: int, stop: int, scale: int) -> tuple[int, Any]:
    """Cubic convolution from the points of a grid to the pixels between.

    Returns the number of the first point that pixels from `start` to `stop` need, and the weights
    as a sparse matrix of pixels by points.
    """
    from scipy import sparse

    places = (np.arange(start, stop) + 0.5) / scale
    before = np.floor(places).astype(np.int64)
    points = before[:, None] + np.arange(4)  # point 0 lies one cell before the raster
    away = np.abs(places[:, None] + 1 - points)
    near = (SHARPNESS + 2) * away**3 - (SHARPNESS + 3) * away**2 + 1
    far = SHARPNESS * (away**3 - 5 * away**2 + 8 * away - 4)
    weights = np.where(away <= 1, near, far).astype(np.float32)
    first = int(points[0, 0])
    ends = np.arange(0, points.size + 1, 4)
    shape = (len(places), int(points[-1, -1]) + 1 - first)
    return first, sparse.csr_array((weights.ravel(), (points - first).ravel(), ends), shape)


def smooth_noise(
    first: int, shape: tuple[int, int], seed: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Some rows of a grid of normal noise, smoothed; every row has a seed of its own."""
    from scipy import ndimage

    rows, columns = (count + 2 * REACH for count in shape)
    noise = np.stack(
        [
            np.random.default_rng((*seed, row)).standard_normal(columns, np.float32)
            for row in range(first, first + rows)
        ]
    )
    smooth = ndimage.gaussian_filter(noise, SIGMA, radius=REACH)
    return np.asarray(smooth[REACH:-REACH, REACH:-REACH])


if __name__ == "__main__":
    main()
