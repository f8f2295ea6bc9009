"""Files to files: check, plan, classify what is missing, assemble, put in place.

A run keeps its finished blocks in a folder beside the output, named after the output and marked
with a fingerprint of input, model and options. Stopped at any moment, the same call goes on from
there and ends in the same bytes; the folder goes when the result is in place.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isqrt
from os import PathLike, fspath, stat
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform_bounds

import geoseg
from geoseg.blocks import Output, Running, Task, dtype_of, make_task, run_block
from geoseg.checks import check_disk, check_target, check_values
from geoseg.errors import UserError
from geoseg.loader import Part
from geoseg.plan import BLOCK, Blend, Block, Tiling
from geoseg.polygons import polygonize_file, refuse_unknown_format
from geoseg.prediction import scene_of
from geoseg.raster import (
    Layout,
    class_layout,
    files_of,
    grid_of,
    open_raster,
    open_stack,
    to_cog,
)
from geoseg.raster.write import creation_options, publish, refuse_existing
from geoseg.segmenter import Segmenter, load
from geoseg.store import BlockStore, belongs_to

__all__ = ["Result", "predict_file"]

log = logging.getLogger(__name__)

Event = dict[str, Any]
"""What happens, as the command line prints it with ``--progress json``."""

QUANTA = 254  # scores and confidence are written in steps of 1/254; 255 is no data
MEMORY = 4_000_000_000  # bytes that blocks may take unless told otherwise


@dataclass(frozen=True)
class Result:
    """What a run left behind.

    Parameters
    ----------
    outputs : mapping of str to Path
        ``classes`` and, where asked for, ``polygons``, ``scores``, ``confidence``.
    seconds : float
    blocks, computed : int
        Blocks of the plan, and how many of them this call had to compute.
    """

    outputs: Mapping[str, Path]
    seconds: float
    blocks: int
    computed: int


@dataclass(frozen=True)
class Targets:
    """Where the results of a run go."""

    classes: Path
    scores: Path | None
    confidence: Path | None
    polygons: Path | None

    @property
    def rasters(self) -> dict[Output, Path]:
        """Raster outputs by what they hold; the class map comes first."""
        named: dict[Output, Path | None] = {
            "classes": self.classes,
            "scores": self.scores,
            "confidence": self.confidence,
        }
        return {name: path for name, path in named.items() if path is not None}

    @property
    def all(self) -> dict[str, Path]:
        """Every output by name."""
        named: dict[str, Path] = {str(name): path for name, path in self.rasters.items()}
        return named if self.polygons is None else named | {"polygons": self.polygons}


def predict_file(
    src: str | PathLike[str] | Sequence[str | PathLike[str]],
    dst: str | PathLike[str],
    model: Segmenter | str | PathLike[str],
    *,
    polygons: str | PathLike[str] | None = None,
    scores: str | PathLike[str] | None = None,
    confidence: str | PathLike[str] | None = None,
    window: int | None = None,
    halo: int | None = None,
    blend: Blend | None = None,
    stride: int | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    bands: Sequence[str | int] | None = None,
    gsd: float | Literal["auto", "native"] = "auto",
    bbox: tuple[float, float, float, float] | None = None,
    bbox_crs: str | None = None,
    memory: int = MEMORY,
    overwrite: bool = False,
    restart: bool = False,
    co: Mapping[str, str] | None = None,
    on_progress: Callable[[Event], object] | None = None,
) -> Result:
    """Classify a raster file of any size into a class map and polygons.

    Parameters
    ----------
    src : path-like, or sequence of path-like
        A raster; several files are the bands of one scene, aligned to the first.
    dst : path-like
        The class map, a Cloud Optimized GeoTIFF.
    model : Segmenter, path-like or str
        A model, a model file, or the name of a shipped model.
    polygons : path-like, optional
        Polygons of the class map: ``.gpkg``, ``.fgb``, ``.parquet`` or ``.geojson``.
    scores, confidence : path-like, optional
        GeoTIFFs of the probability of each class, of the highest one: uint8 in steps of 1/254
        (their scale says so), 255 where there is no data.
    window, halo, blend, stride, batch_size, device, precision, bands, gsd
        As for `geoseg.predict`.
    bbox : tuple of float, optional
        West, south, east, north: only the pixels that touch this box.
    bbox_crs : str, optional
        Coordinate system of `bbox`, e.g. ``"EPSG:4326"``; by default the image's.
    memory : int
        Bytes that the pixels in flight may take; blocks are made to fit. The map does not change.
    overwrite : bool
        Whether existing outputs may be replaced.
    restart : bool
        Whether to forget an interrupted run instead of going on with it.
    co : mapping of str to str, optional
        Creation options of GDAL's COG driver that change neither grid nor pixels.
    on_progress : callable, optional
        Is given events: dicts with the key ``event``, one of ``start, progress, done``.

    Returns
    -------
    Result

    Raises
    ------
    UserError
        When anything is wrong with input, model, options or outputs, before any work is done.
    """
    started = time.monotonic()
    emit = on_progress or _ignore
    targets = Targets(Path(dst), _path(scores), _path(confidence), _path(polygons))
    sources = [fspath(each) for each in ([src] if isinstance(src, str | PathLike) else src)]
    _check_targets(targets, [file for source in sources for file in files_of(source)])
    options = creation_options(co or {})
    segmenter = model if isinstance(model, Segmenter) else load(model)
    image = open_raster(sources[0], bands=bands) if len(sources) == 1 else open_stack(sources)
    image = image if bbox is None else clip(image, bbox, bbox_crs)
    scene = scene_of(image, segmenter.card, _already_chosen(bands, image, len(sources)), gsd)
    tiling = Tiling(window, halo, blend, stride, _block_side(memory, image, segmenter))
    running = Running(device, precision, batch_size)
    task = make_task(scene, segmenter, tuple(targets.rasters), tiling, running)
    _say_where(image, sources[0])
    check_values(scene.image, segmenter.card)
    check_disk(targets.classes.parent, sum(_raw_bytes(task, name) for name in targets.rasters))
    run = Run(task, targets, sources, options, bbox)
    if restart:
        shutil.rmtree(run.folder, ignore_errors=True)
    if not belongs_to(run.folder, run.fingerprint):
        for path in targets.all.values():
            refuse_existing(path, overwrite)
    computed = _classify(run, emit)
    _finish(run, computed.store)
    seconds = time.monotonic() - started
    outputs = {name: str(path) for name, path in targets.all.items()}
    emit({"event": "done", "outputs": outputs, "seconds": round(seconds, 3)})
    return Result(targets.all, seconds, computed.total, computed.count)


@dataclass(frozen=True)
class Run:
    """One call of `predict_file`, checked and planned."""

    task: Task
    targets: Targets
    sources: Sequence[str]
    options: Mapping[str, str]
    bbox: tuple[float, float, float, float] | None

    @property
    def folder(self) -> Path:
        """Where finished blocks and drafts are kept, on the disk of the output."""
        name = self.targets.classes.name
        short = name if len(name) < 100 else hashlib.sha256(name.encode()).hexdigest()[:40]
        return self.targets.classes.with_name(f".{short}.geoseg")

    @property
    def fingerprint(self) -> str:
        """Names everything that the bytes of the result depend on, and the blocks of the plan."""
        facts = {
            "geoseg": geoseg.__version__,
            "sources": [source_facts(path) for path in self.sources],
            "model": self.task.segmenter.digest,
            "bands": [str(band) for band in self.task.scene.image.coords["band"].values],
            "zoom": self.task.scene.zoom,
            "bbox": self.bbox,
            "plan": repr(self.task.plan),
            "batch": self.task.batch_size,
            "device": self.task.running.device,
            "precision": self.task.running.precision,
            "outputs": {name: path.name for name, path in self.targets.all.items()},
            "options": dict(self.options),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def tags(self) -> dict[str, str]:
        """What the outputs say about where they come from; the same wherever they are made."""
        card, plan = self.task.segmenter.card, self.task.plan
        return {
            "GEOSEG_VERSION": geoseg.__version__,
            "GEOSEG_MODEL": card.name,
            "GEOSEG_MODEL_DIGEST": self.task.segmenter.digest,
            "GEOSEG_OPTIONS": json.dumps(
                {
                    "bands": [str(b) for b in self.task.scene.image.coords["band"].values],
                    "blend": plan.blend,
                    "window": plan.windows.size,
                    "stride": plan.windows.stride,
                    "zoom": self.task.scene.zoom,
                    "precision": self.task.running.precision,
                }
            ),
        }

    def layout(self, output: Output) -> Layout:
        """How an output is written."""
        card = self.task.segmenter.card
        grid = grid_of(self.task.scene.image)
        if output == "classes":
            return class_layout(grid, card.classes, self.tags)
        names = tuple(each.name for each in card.classes) if output == "scores" else (output,)
        return Layout(grid, "uint8", 255, names, scale=1 / QUANTA, tags=self.tags)


@dataclass(frozen=True)
class Computed:
    """The blocks of a run: where they are kept, how many there are, how many were new."""

    store: BlockStore
    total: int
    count: int


def _classify(run: Run, emit: Callable[[Event], object]) -> Computed:
    """Compute the blocks that the store does not hold, reading one ahead."""
    layouts = {name: run.layout(name) for name in run.targets.rasters}
    layers = {
        str(name): (len(layout.names), layout.dtype, int(layout.nodata or 0))
        for name, layout in layouts.items()
    }
    store = BlockStore(run.folder, run.fingerprint, run.task.plan, layers)
    done = store.done()
    missing = [block for block in run.task.plan.blocks() if not done[block.row, block.column]]
    progress = Progress(run.task, emit, done.size - len(missing), done.size)
    for block, part in _read_ahead(run.task, missing):
        pixels = run_block(run.task, block, part)
        store.write(block, {name: _stored(name, values) for name, values in pixels.items()})
        progress.step(block)
    return Computed(store, done.size, len(missing))


def _read_ahead(task: Task, blocks: Sequence[Block]) -> Iterator[tuple[Block, Part]]:
    """Blocks with their pixels; the next one is read while the caller works on this one."""
    with ThreadPoolExecutor(1, "geoseg-read") as reader:
        hulls = [task.plan.hull(block) for block in blocks]
        coming = reader.submit(task.scene.part, hulls[0]) if hulls else None
        for i, block in enumerate(blocks):
            assert coming is not None  # noqa: S101  (for the type checker: there is a block)
            part = coming.result()
            if i + 1 < len(blocks):
                coming = reader.submit(task.scene.part, hulls[i + 1])
            yield block, part


def _stored(output: Output, values: NDArray[Any]) -> NDArray[Any]:
    """Pixels as they are written: (band, rows, columns)."""
    if output == "classes":
        return values[None]
    with np.errstate(invalid="ignore"):
        steps = np.rint(values * QUANTA)
    stored = np.where(np.isnan(steps), 255, steps).astype(np.uint8)
    return stored if stored.ndim == 3 else stored[None]


class Progress:
    """Events about blocks done, speed and time left."""

    def __init__(self, task: Task, emit: Callable[[Event], object], done: int, total: int) -> None:
        self._task, self._emit, self._done, self._total = task, emit, done, total
        self._started, self._pixels, self._fresh = time.monotonic(), 0, 0
        emit({"event": "start", "total": total, "unit": "block", "done": done})

    def step(self, block: Block) -> None:
        """One more block is kept."""
        rows, columns = self._task.plan.output(block)
        self._pixels += (rows.stop - rows.start) * (columns.stop - columns.start)
        self._done, self._fresh = self._done + 1, self._fresh + 1
        seconds = max(time.monotonic() - self._started, 1e-6)
        self._emit(
            {
                "event": "progress",
                "done": self._done,
                "total": self._total,
                "mpx_per_s": round(self._pixels / 1e6 / seconds, 3),
                "eta_s": round(seconds / self._fresh * (self._total - self._done), 1),
            }
        )


def _finish(run: Run, store: BlockStore) -> None:
    """Assemble the outputs as drafts in the run's folder, then put all of them in place."""
    # Each in a folder of its own, under its final name: a GeoPackage's layer is named after it.
    drafts = {name: run.folder / name / path.name for name, path in run.targets.all.items()}
    for draft in drafts.values():
        draft.parent.mkdir(exist_ok=True)
    for output in run.targets.rasters:
        to_cog(drafts[output], run.layout(output), _reader(store, output), run.options)
    if run.targets.polygons is not None:
        confidence = drafts.get("confidence")
        polygonize_file(
            drafts["classes"], drafts["polygons"], confidence=confidence, overwrite=True
        )
    for name, path in run.targets.all.items():
        publish(drafts[name], path)
    store.remove()


def _reader(store: BlockStore, name: str) -> Callable[[tuple[slice, slice]], NDArray[Any]]:
    return lambda box: store.read(name, box)


def clip(
    image: xr.DataArray, bbox: tuple[float, float, float, float], crs: str | None
) -> xr.DataArray:
    """The pixels of an image that touch a box.

    Parameters
    ----------
    image : DataArray, dims (band, y, x)
    bbox : tuple of float
        West, south, east, north.
    crs : str, optional
        Coordinate system of `bbox`; by default the image's.

    Raises
    ------
    UserError
        When the image does not say where it lies, or the box misses it.
    """
    grid = grid_of(image)
    if grid.transform is None or (crs is not None and grid.crs is None):
        raise UserError("the image does not say where it lies, so no box can be cut out of it")
    west, south, east, north = bbox
    if not (west < east and south < north):
        raise UserError(f"box {bbox} is empty; give west south east north, in this order")
    if crs is not None:
        west, south, east, north = transform_bounds(_crs(crs), grid.crs, *bbox)
    corners = [(west, south), (west, north), (east, south), (east, north)]
    places = np.array([~grid.transform @ corner for corner in corners])
    left, top = np.floor(places.min(0)).astype(int).clip(0)
    right, bottom = np.minimum(np.ceil(places.max(0)).astype(int), grid.shape[::-1])
    if left >= right or top >= bottom:
        raise UserError(f"box {bbox} lies outside the image; give its coordinates in {grid.crs}")
    moved = grid.transform @ Affine.translation(left, top)
    part: xr.DataArray = image[:, top:bottom, left:right].rio.write_transform(moved)
    return part


def _crs(text: str) -> CRS:
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise UserError(f"coordinate system {text!r} is unknown; write e.g. EPSG:4326") from error


def source_facts(path: str) -> dict[str, Any]:
    """What tells one input from another: size, time of change, and a hash of both ends."""
    try:
        facts = stat(path)
    except OSError:
        return {"name": path}  # not a local file; its name is all there is without reading it
    sha = hashlib.sha256()
    with Path(path).open("rb") as file:
        sha.update(file.read(65536))
        file.seek(max(facts.st_size - 65536, 0))
        sha.update(file.read(65536))
    return {"size": facts.st_size, "changed": facts.st_mtime_ns, "ends": sha.hexdigest()}


def _check_targets(targets: Targets, sources: Sequence[str]) -> None:
    for path in targets.all.values():
        check_target(path, sources)
    if len({path.resolve() for path in targets.all.values()}) < len(targets.all):
        raise UserError(f"two outputs have the name of one file, {targets.classes}; rename one")
    for path in targets.rasters.values():
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise UserError(f"{path} is a GeoTIFF whatever its name; let it end in .tif")
    if targets.polygons is not None:
        refuse_unknown_format(targets.polygons)


def _already_chosen(
    bands: Sequence[str | int] | None, image: xr.DataArray, files: int
) -> Sequence[str | int] | None:
    """Bands of a single file were chosen when it was opened, alpha bands among them."""
    if bands is None or files > 1:
        return bands
    return [int(number) for number in image.coords["band"].values]


def _block_side(memory: int, image: xr.DataArray, segmenter: Segmenter) -> int:
    """Side of a block so that the pixels in flight, a block at work and one ahead, fit."""
    channels = len(segmenter.card.bands) * 8 + len(segmenter.card.classes) * 4
    return max(min(BLOCK, isqrt(memory // (4 * channels))), 1)


def _say_where(image: xr.DataArray, source: str) -> None:
    grid = grid_of(image)
    if grid.transform is None:
        log.warning("%s does not say where it lies; the map will not either", source)
    elif grid.crs is None:
        log.warning("%s has no coordinate system; the map will have none either", source)


def _raw_bytes(task: Task, output: Output) -> int:
    rows, columns = task.scene.image.shape[1:]
    bands = len(task.segmenter.card.classes) if output == "scores" else 1
    size = dtype_of(task.segmenter.card, "classes").itemsize if output == "classes" else 1
    return int(rows * columns * bands * size)


def _path(path: str | PathLike[str] | None) -> Path | None:
    return None if path is None else Path(path)


def _ignore(event: Event) -> None:
    """Nobody asked for progress."""
