"""Files to files: check, plan, classify what is missing, assemble, put in place.

A run keeps its finished blocks in a folder beside the output, named after the output and marked
with a fingerprint of input, model and options. Stopped at any moment, the same call goes on from
there and ends in the same bytes; the folder goes when the result is in place.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from math import prod
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal

import xarray as xr

from geoseg.allocator import release_memory
from geoseg.assembly import Assembly, assembling
from geoseg.blocks import is_out_of_memory
from geoseg.card import Card
from geoseg.checks import check_disk, check_folder, check_target, check_values
from geoseg.classes import told_classes
from geoseg.crew import CACHE_SHARE, Crew, LocalCrew, Spent
from geoseg.decisions import Output, dtype_of, missing_value
from geoseg.ensembles import Models, ensemble
from geoseg.errors import UserError
from geoseg.item import item_of, refuse_foreign, written
from geoseg.lease import refuse_lost
from geoseg.loader import Scene
from geoseg.places import Place, Remote, UnreachableError, place, scratch_of, scratches
from geoseg.plan import Blend, Tiling
from geoseg.polygons import (
    polygonize_file,
    refuse_open_elsewhere,
    refuse_unknown_format,
    refuse_unlocated,
    tell_units,
)
from geoseg.polygons.making import Making
from geoseg.precision import Precision
from geoseg.prediction import scene_of
from geoseg.progress import Emit, Progress, ignore
from geoseg.raster import clip, creation_options, files_of, grid_of, open_raster, open_stack
from geoseg.raster.cog import TILE
from geoseg.raster.damage import Damage, Unreadable, within
from geoseg.raster.files import block_cache, is_remote, opened
from geoseg.raster.gaps import find_gaps
from geoseg.raster.place import WriteError, publish, refuse_existing, writing
from geoseg.raster.read import origin_in, tiles_of
from geoseg.runs import Run, Targets, facts_of
from geoseg.store import LOCK, BlockStore, forget, locked, recall, remembered, unreadable
from geoseg.tasks import Running, Task, make_task
from geoseg.views import Turns, viewed
from geoseg.windows import Box, box_shape

__all__ = ["Result", "hired", "predict_file", "told_map"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What a run left behind.

    Parameters
    ----------
    outputs : mapping of str to Path or, for addresses, Remote
        ``classes``, ``item`` (the facts of all of them, a STAC Item) and, where asked for,
        ``polygons``, ``scores``, ``confidence``.
    seconds : float
    blocks, computed, empty : int
        Blocks of the plan, how many of them this call had to compute, and how many were known to
        have no data before anything was read.
    spent : Spent
        Seconds of reading, of the network and of writing, in all threads and processes of this
        call.
    unreadable : Unreadable
        Pixels that have no data because they could not be read.
    """

    outputs: Mapping[str, Place]
    seconds: float
    blocks: int
    computed: int
    empty: int = 0
    spent: Spent = field(default_factory=Spent)
    unreadable: Unreadable = field(default_factory=Unreadable)


def predict_file(
    src: str | PathLike[str] | Sequence[str | PathLike[str]],
    dst: str | PathLike[str] | Remote,
    model: Models,
    *,
    polygons: str | PathLike[str] | Remote | None = None,
    scores: str | PathLike[str] | Remote | None = None,
    confidence: str | PathLike[str] | Remote | None = None,
    blocks: str | PathLike[str] | Remote | None = None,
    window: int | None = None,
    halo: int | None = None,
    blend: Blend | None = None,
    stride: int | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    precision: str = "auto",
    bands: Sequence[str | int] | None = None,
    gsd: float | Literal["auto", "native"] = "auto",
    pixel_size: float | None = None,
    views: Turns | None = None,
    scales: Sequence[float] | None = None,
    bbox: tuple[float, float, float, float] | None = None,
    bbox_crs: str | None = None,
    assume_crs: str | None = None,
    mask: str | PathLike[str] | None = None,
    memory: int | None = None,
    min_area: float = 0.0,
    simplify: float = 0.0,
    overwrite: bool = False,
    restart: bool = False,
    co: Mapping[str, str] | None = None,
    skip_done: bool = False,
    scheduler: str | None = None,
    wait: bool = False,
    on_read_error: Literal["refuse", "nodata"] = "refuse",
    on_progress: Emit | None = None,
) -> Result:
    """Classify a raster file of any size into a class map and polygons.

    Parameters
    ----------
    src : path-like, or sequence of path-like
        A raster; several files are the bands of one scene, aligned to the first.
    dst : path-like
        The class map, a Cloud Optimized GeoTIFF. How, when and of what it was made is told by a
        STAC Item beside it, named after it with ``.json`` added. It and the other outputs may be
        addresses of an object storage, as ``s3://bucket/map.tif``, which fsspec writes to.
    model : Segmenter, path-like or str, or sequence of these
        A model, a model file, or the name of a shipped model; the probabilities of several are
        averaged (`geoseg.ensemble`).
    polygons : path-like, optional
        Polygons of the class map: ``.gpkg``, ``.fgb``, ``.parquet`` or ``.geojson``.
    scores, confidence : path-like, optional
        GeoTIFFs of the probability of each class, of the highest one: uint8 in steps of 1/254
        (their scale says so), 255 where there is no data.
    blocks : path-like, optional
        A folder, or an address of an object storage, to keep finished blocks in until the outputs
        are in place; by default they are kept beside the class map.
    window, halo, blend, stride, batch_size, device, bands, gsd, pixel_size, views, scales
        As for `geoseg.predict`.
    precision : {"auto", "fp32", "bf16", "fp16"}
        ``auto`` is bf16 where some windows of the raster are run at least 1.25 times as fast in it
        and 99.9 % of their pixels keep their class, else fp32; small rasters are not worth a try.
        The choice is logged, and written into the map's tag ``GEOSEG_CHOSEN``.
    bbox : tuple of float, optional
        West, south, east, north: only the pixels that touch this box.
    bbox_crs : str, optional
        Coordinate system of `bbox`, e.g. ``"EPSG:4326"``; by default the image's.
    assume_crs : str, optional
        Coordinate system of files that have coordinates and do not say in which system, as for
        `geoseg.open_raster`.
    mask : path-like, optional
        A file of polygons, in any coordinate system: pixels whose centres lie in none of them have
        no data. The others are what they are without it, for the network sees all of the image;
        what no pixel inside depends on is neither read nor computed.
    memory : int, optional
        Bytes that windows and blocks at work may take; they are made to fit. By default half of
        what is free, at most 4 GiB. Windows on a GPU go by its own memory.
    min_area : float
        Regions of less square metres go to their neighbours, on the map as well; see
        `geoseg.polygonize`. Confidence and scores stay those of the network. For an image that does
        not say how large its pixels are, state it (`pixel_size`), or this is in pixels. The map
        says no more of its place than the image, so areas of its polygons are in pixels either way.
    simplify : float
        How far boundaries of polygons may move to have fewer vertices, in pixels; see
        `geoseg.polygonize`.
    overwrite : bool
        Whether existing outputs may be replaced.
    restart : bool
        Whether to forget an interrupted run instead of going on with it.
    co : mapping of str to str, optional
        Creation options of GDAL's COG driver that change neither grid nor pixels.
    skip_done : bool
        Return at once when the outputs are there already, made by this very call from input that
        has not changed since: what a batch wants that is taken up again.
    scheduler : str, optional
        Address of a dask scheduler whose workers compute the blocks, or ``local``. By default that
        of the dask client that is active in this process, if one is. Sources and the folder of the
        output, or else `blocks`, must be where the workers find them.
    wait : bool
        Whether to wait for the end of another run that writes the same output, which is refused
        otherwise. When that was this very call, there is nothing left to do.
    on_read_error : {"refuse", "nodata"}
        What becomes of tiles that cannot be read: the scene is refused, or their pixels have no
        data. These are told by the log, the result, the event ``done`` and the tag
        ``GEOSEG_UNREADABLE`` of the map. Only for local files: what a network fails to bring may
        be whole.
    on_progress : callable, optional
        Is given events: dicts with the key ``event``, one of ``start, progress, done``. There is a
        ``start`` for the blocks, and one for the rows of the map when polygons are drawn from it;
        ``done`` tells ``outputs``, ``seconds``, those ``spent`` on reading, network and writing,
        and the map's ``classes`` and ``nodata``.

    Returns
    -------
    Result

    Raises
    ------
    UserError
        When anything is wrong with input, model, options or outputs, before any work is done.
    """
    started = time.monotonic()
    emit = on_progress or ignore
    making = Making(min_area=min_area, simplify=simplify)
    targets = Targets(place(dst), *map(_place, (scores, confidence, polygons, blocks)))
    sources = [_found(each) for each in ([src] if isinstance(src, str | PathLike) else src)]
    damage = _damage(on_read_error, sources)
    _check_targets(targets, sources, mask)
    if simplify and polygons is None:
        raise UserError(
            "simplify is for polygons, and none are asked for; add polygons (--polygons)"
        )
    options = creation_options(co or {})
    plain = ensemble(model)
    segmenter = viewed(plain, views, scales)
    image = (
        open_raster(sources[0], bands=bands, assume_crs=assume_crs, damage=damage)
        if len(sources) == 1
        else open_stack(sources, assume_crs=assume_crs, damage=damage)
    )
    image = image if bbox is None else clip(image, bbox, bbox_crs)
    scene = scene_of(
        image, segmenter.card, _already_chosen(bands, image, len(sources)), gsd, pixel_size
    )
    scene = replace(scene, damage=damage)
    if len(sources) == 1:
        scene = replace(scene, gaps=find_gaps(sources[0], scene.image))
    if mask is not None:
        from geoseg.shapes import Area, read_mask  # it takes half a second

        area = Area.of(read_mask(mask), grid_of(scene.image), sources[0])
        scene = replace(scene, area=area)
    tiling, running = Tiling(window, halo, blend, stride), Running(device, precision, batch_size)
    with hired(scheduler) as crew:
        recalled = remembered(targets.store).get("memory") if memory is None else memory
        budget, has = crew.means(device, recalled)
        task = make_task(scene, segmenter, tuple(targets.rasters), tiling, running, budget, has)
        asked = {
            "window": window,
            "halo": halo,
            "blend": blend,
            "stride": stride,
            "batch": batch_size,
            "precision": precision,
            "views": views,
            "scales": None if scales is None else [float(each) for each in scales],
            "bbox": bbox,
            "bbox_crs": bbox_crs,
            "assume_crs": assume_crs,
            "mask": None if scene.area is None else scene.area.digest,
            "pixel_size": None if pixel_size is None else float(pixel_size),
            "on_read_error": on_read_error,
        }
        run = Run(task, plain, targets, sources, options, asked, making, budget)
        if skip_done and run.is_done():
            return Result(targets.all, 0.0, task.plan.count, 0)
        _refuse_missed(task, sources[0])
        _say_where(image, sources[0])
        if min_area and targets.polygons is None and run.measured == grid_of(scene.image):
            tell_units(grid_of(scene.image))
        if targets.polygons is not None:
            refuse_unlocated(Path(targets.polygons.name), grid_of(scene.image))
        check_values(scene.image, segmenter.card)
        _check_disks(run)
        with _resumable(run), _held(run, wait) as waited, block_cache(_cache(run)):
            if waited and run.is_done():  # by the call that was waited for
                computed = Computed(task.plan.count, 0, 0, Spent())
            else:
                computed = _resume(run, crew, emit, overwrite, restart, started)
        release_memory()
        seconds = time.monotonic() - started
        outputs = {name: str(path) for name, path in targets.all.items()}
        about = told_map(segmenter.card)
        if damage is not None:
            about |= {"unreadable": computed.unreadable.told}
        took = {"seconds": round(seconds, 3), "spent": computed.spent.told}
        emit({"event": "done", "outputs": outputs, **took, **about})
        return Result(
            targets.all,
            seconds,
            computed.total,
            computed.count,
            computed.empty,
            computed.spent,
            computed.unreadable,
        )


def _damage(on_read_error: str, sources: Sequence[str]) -> Damage | None:
    """Where tiles that cannot be read are noted, if that is asked for."""
    if on_read_error == "refuse":
        return None
    if on_read_error != "nodata":
        raise UserError(f"on_read_error {on_read_error!r} must be refuse or nodata")
    for source in sources:
        if is_remote(source):
            raise UserError(
                f"{source.split('?')[0]} is read over a network, whose failures would become gaps "
                "in the map; copy it to a disk first, or leave out --on-read-error nodata"
            )
    return Damage()


@contextmanager
def _resumable(run: Run) -> Iterator[None]:
    """Turn failures of disks and memory into one line that says how to go on."""
    places = run.folder, *(path.parent for path in run.targets.all.values())
    folders = {each for each in places if isinstance(each, Path)}
    goes_on = "finished blocks are kept, and the same command goes on from there"
    try:
        with writing(*sorted(folders, key=lambda each: each != run.folder)):
            yield
    except WriteError as error:
        raise UserError(f"{error}; make room or mend it: {goes_on}") from error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"memory ran out; give blocks less (--memory {max(run.memory // 2_000_000, 1)}MB) or "
            f"free some: {goes_on} if they still fit"
        ) from error


@contextmanager
def _held(run: Run, wait: bool) -> Iterator[bool]:
    """Lock the output, make the folders that a run works in, and remove those that are empty.

    Tells whether another run held the output, whose end was waited for.
    """
    with ExitStack() as stack:
        folders = dict.fromkeys((run.targets.folder, run.folder))
        waited = [stack.enter_context(locked(folder, wait)) for folder in folders]
        stack.enter_context(scratches(tuple(run.targets.all.values())))
        yield any(waited)


@contextmanager
def hired(scheduler: str | None) -> Iterator[Crew]:
    """Who does the work: a cluster that is named or that this process has a client of, else we."""
    if scheduler == "local":
        yield LocalCrew()
    elif scheduler is not None:
        from geoseg.cluster import connected

        with connected(scheduler) as cluster:
            yield cluster
    elif (active := _active_client()) is not None:
        from geoseg.cluster import Cluster

        yield Cluster(active)
    else:
        yield LocalCrew()


def _active_client() -> Any:
    """The dask client of this process, if there is one."""
    if "distributed" not in sys.modules:
        return None
    try:
        return sys.modules["distributed"].default_client()
    except ValueError:
        return None


def told_map(card: Card) -> dict[str, Any]:
    """What programs are told of the class maps of a model: their classes and no-data value."""
    nodata = int(missing_value(card, "classes"))
    return {"classes": told_classes(card.classes), "nodata": nodata}


@dataclass(frozen=True)
class Computed:
    """How many blocks a run has, how many of them were new, and how many had no data anyway."""

    total: int
    count: int
    empty: int
    spent: Spent
    unreadable: Unreadable = field(default_factory=Unreadable)

    def after(self, more: Spent) -> Computed:
        """The same when more was spent."""
        return replace(self, spent=self.spent + more)


PUBLISHING = "publishing"  # marks of a call: its outputs are being put in place,
PUBLISHED = "published"  # and all of them are


def _resume(
    run: Run, crew: Crew, emit: Emit, overwrite: bool, restart: bool, started: float
) -> Computed:
    """Begin the run, or go on where it was stopped."""
    there = all(path.is_file() for path in run.targets.all.values())
    if not restart and there and _read(run.folder / PUBLISHED) == run.mark:  # it was cleaning up
        _clean_up(run)
        return Computed(run.task.plan.count, 0, 0, Spent())
    known = None if restart else recall(run.folder, run.fingerprint)
    if run.task.scene.damage is None and unreadable(run.folder):
        known = None  # blocks with gaps, by a call that allowed them
    # Outputs that this very call was putting in place when it was stopped may be replaced by it.
    began = bool(known) and _read(run.folder / PUBLISHING) == run.mark
    refuse_foreign(run.targets.item)
    for name, path in run.targets.all.items():
        if name != "item" and (not began or (run.folder / PUBLISHED).exists()):
            refuse_existing(path, overwrite)
    for mark in (PUBLISHING, PUBLISHED):
        if _read(run.folder / mark) != run.mark:  # another call's, whose outputs are given up
            (run.folder / mark).unlink(missing_ok=True)
    if not known and forget(run.folder) and not restart:
        log.warning(
            "an unfinished run of another input, model or option lay in %s; starting over",
            run.folder,
        )
    run = run.settled(Precision(**known["precision"]) if known else crew.precision(run))
    store = _store(run)
    with assembling(run, store) as assembly:
        computed = _classify(run, crew, store, assembly, emit)
        gone = _unreadable(run)
        computed = computed.after(_finish(run, store, assembly, emit, gone))
    _refuse_changed(run)
    computed = replace(computed, unreadable=gone)
    _tell(run, computed, time.monotonic() - started)
    _publish(run)
    return computed


def _unreadable(run: Run) -> Unreadable:
    """What of the image that is asked for could not be read, by this call or those before it."""
    found = unreadable(run.folder)
    if not found:
        return Unreadable()
    scene = run.task.scene
    with opened(run.sources[0]) as dataset:
        top, left = origin_in(dataset, scene.image)
    rows, columns = scene.image.shape[1:]
    frame = slice(top, top + rows), slice(left, left + columns)
    gone = [each for each in within(found, frame) if scene.area is None or scene.area.meets(each)]
    pixels = sum(
        prod(box_shape(each)) if scene.area is None else int(scene.area.drawn(each).sum())
        for each in gone
    )
    boxes = tuple((r.start, r.stop - 1, c.start, c.stop - 1) for r, c in gone)
    told = Unreadable(pixels, boxes)
    log.warning("%s: %s", run.sources[0], told)
    return told


def _refuse_changed(run: Run) -> None:
    """Refuse a map of two versions of its input."""
    for before, now in zip(run.files, facts_of(run.sources), strict=True):
        if before != now:
            raise UserError(
                f"{before['name']} changed while it was read, so the map may be of both versions "
                "and was not written; give the same command again"
            )


def _is_empty(scene: Scene, box: Box) -> bool:
    """Whether a box is known to have no data before anything of it is read."""
    if scene.gaps is not None and scene.gaps.cover(box):
        return True
    return scene.area is not None and not scene.area.meets(box)


def _store(run: Run) -> BlockStore:
    layouts = {name: run.layout(name) for name in run.targets.rasters}
    layers = {
        str(name): (len(layout.names), layout.dtype, int(layout.nodata or 0))
        for name, layout in layouts.items()
    }
    facts = {"precision": asdict(run.precision), "memory": run.memory}
    return BlockStore(run.folder, run.fingerprint, run.task.plan, layers, facts)


def _classify(run: Run, crew: Crew, store: BlockStore, assembly: Assembly, emit: Emit) -> Computed:
    """Compute the blocks that the store does not hold.

    Those that are known to have no data are no part of the total that is told.
    """
    plan, scene = run.task.plan, run.task.scene
    empty = store.leave_out(b for b in plan.blocks() if _is_empty(scene, plan.output(b)))
    done = store.done()
    missing = [block for block in plan.blocks() if not done[block.row, block.column]]
    total = plan.count - empty
    progress = Progress(emit, total, "block", total - len(missing), chosen=run.chosen)
    tops = [plan.output(block)[0].start for block in missing]
    late, first, spent = set(missing), 0, Spent()
    with closing(crew.finish(run, store, missing)) as finished:
        for block, seconds in finished:
            late.remove(block)
            progress.step(1, prod(box_shape(plan.output(block))))
            while first < len(missing) and missing[first] not in late:
                first += 1
            assembly.extend(tops[first] if first < len(missing) else scene.image.shape[1])
            spent += seconds
    return Computed(plan.count, len(missing), empty, spent)


def _finish(run: Run, store: BlockStore, assembly: Assembly, emit: Emit, gone: Unreadable) -> Spent:
    """Make drafts of all outputs but the item, each on its own disk; tells what it took.

    Polygons are drawn from the finished map: to draw them while blocks are computed was tried, and
    took as long, for both keep all cores at work.
    """
    if not store.is_whole():
        raise UserError(
            f"{store.folder} lacks blocks that were written to it: something else removes files "
            "there; mend that, and give the same command again"
        )
    tags = {"GEOSEG_UNREADABLE": json.dumps(gone.told)} if gone.pixels else {}
    assembly.finish(run.task.scene.image.shape[1], tags)
    began = time.monotonic()
    if run.targets.polygons is not None:
        draft = run.draft("polygons")
        draft.parent.mkdir(parents=True, exist_ok=True)
        confidence = None if run.targets.confidence is None else run.draft("confidence")
        polygonize_file(
            run.draft("classes"),
            draft,
            simplify=run.making.simplify,
            confidence=confidence,
            overwrite=True,
            on_progress=lambda event: None if event["event"] == "done" else emit(event),
        )
        _refuse_open_elsewhere(run.targets.polygons)
    return Spent(write=assembly.seconds + time.monotonic() - began)


def _tell(run: Run, computed: Computed, seconds: float) -> None:
    """Write the item that tells of the drafts."""
    draft = run.draft("item")
    draft.parent.mkdir(parents=True, exist_ok=True)
    blocks = {"blocks": computed.total, "computed": computed.count, "empty": computed.empty}
    facts = {"seconds": round(seconds, 3), "spent": computed.spent.told, **blocks}
    draft.write_text(written(item_of(run, facts)), encoding="utf-8")


def _refuse_open_elsewhere(polygons: Place) -> None:
    if isinstance(polygons, Path):
        refuse_open_elsewhere(polygons)


def _publish(run: Run) -> None:
    """Put all outputs in place, and forget the run."""
    _refuse_lost(run)
    (run.folder / PUBLISHING).write_text(run.mark, encoding="utf-8")
    for name, path in run.targets.all.items():
        _refuse_lost(run)
        publish(run.draft(name), path)
    _refuse_lost(run)  # what is cleaned up may be another's
    (run.folder / PUBLISHED).write_text(run.mark, encoding="utf-8")
    _clean_up(run)


def _refuse_lost(run: Run) -> None:
    """Refuse to go on where another run took over."""
    for folder in dict.fromkeys((run.targets.folder, run.folder)):
        if isinstance(folder, Remote):
            refuse_lost(folder / LOCK)


def _clean_up(run: Run) -> None:
    """Remove what a run left beside its outputs, but for its lock."""
    for name in run.targets.all:
        folder = run.draft(name).parents[1]
        if folder not in (run.targets.folder, run.folder):
            shutil.rmtree(folder, ignore_errors=True)
    for each in dict.fromkeys((run.targets.folder, run.folder)):
        forget(each)


def _read(path: Place) -> str:
    """The text of a mark; none where it is not there."""
    try:
        return path.read_text(encoding="utf-8")
    except UnreachableError:  # which does not mean that it is not there
        raise
    except OSError:
        return ""


def _cache(run: Run) -> int:
    """Bytes of tiles that GDAL should keep.

    Those that a block shares with the next one in its row, and those of overviews that are not full
    yet: more would follow the size of the raster and save nothing.
    """
    rows, columns = (int(side) for side in run.chosen["block"])
    block = 0
    for source in run.sources:
        tile = tiles_of(source, run.task.scene.image)
        block += tile.bytes * (-(-rows // tile.rows) + 2) * (-(-columns // tile.columns) + 2)
    overviews = TILE * run.task.scene.image.shape[2]
    return min(block + overviews, run.memory // CACHE_SHARE)


def _check_targets(
    targets: Targets, sources: Sequence[str], mask: str | PathLike[str] | None
) -> None:
    if not sources:
        raise UserError("no source is given; name a raster, or several that are bands of one scene")
    files = [file for source in sources for file in files_of(source)]
    files += [] if mask is None else [fspath(mask)]
    for name, path in targets.all.items():
        if name != "item":  # whose name is shorter than those of sidecars
            check_target(path, files)
    if len({path.resolve() for path in targets.all.values()}) < len(targets.all):
        raise UserError(f"two outputs have the name of one file, {targets.classes}; rename one")
    for path in targets.rasters.values():
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise UserError(f"{path} is a GeoTIFF whatever its name; let it end in .tif")
    if targets.polygons is not None:
        refuse_unknown_format(str(targets.polygons))
        _refuse_open_elsewhere(targets.polygons)
    if isinstance(targets.blocks, Path):
        check_folder(targets.blocks)


def _check_disks(run: Run) -> None:
    """Refuse to begin when a disk is too small for what goes there."""
    needed: dict[Path, int] = {}
    for output, path in run.targets.rasters.items():
        disk = scratch_of(path).parent if isinstance(path, Remote) else path.parent
        needed[disk] = needed.get(disk, 0) + _raw_bytes(run.task, output)
    for folder, size in needed.items():
        check_disk(folder, size)


def _already_chosen(
    bands: Sequence[str | int] | None, image: xr.DataArray, files: int
) -> Sequence[str | int] | None:
    """Bands of a single file were chosen when it was opened, alpha bands among them."""
    if bands is None or files > 1:
        return bands
    return [int(number) for number in image.coords["band"].values]


def _say_where(image: xr.DataArray, source: str) -> None:
    grid = grid_of(image)
    if grid.transform is None:
        log.warning("%s does not say where it lies; the map will not either", source)
    elif grid.crs is None:
        log.warning(
            "%s has no coordinate system; the map will have none either, unless one is assumed: "
            "--assume-crs EPSG:32633 (assume_crs), say",
            source,
        )


def _refuse_missed(task: Task, source: str) -> None:
    """Refuse a mask with no pixel inside of it: nothing would be done, and that is not meant."""
    area, plan = task.scene.area, task.plan
    if area is None or any(area.meets(plan.output(block)) for block in plan.blocks()):
        return
    from geoseg.shapes import apart

    raise apart(source)


def _raw_bytes(task: Task, output: Output) -> int:
    rows, columns = task.scene.image.shape[1:]
    bands = len(task.segmenter.card.classes) if output == "scores" else 1
    size = dtype_of(task.segmenter.card, "classes").itemsize if output == "classes" else 1
    return int(rows * columns * bands * size)


def _found(source: str | PathLike[str]) -> str:
    """A source as any process of this machine finds it, whatever folder it works in."""
    name = fspath(source)
    return str(Path(name).absolute()) if Path(name).exists() else name


def _place(name: str | PathLike[str] | Remote | None) -> Place | None:
    return None if name is None else place(name)
