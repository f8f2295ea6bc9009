"""Files to files: check, plan, classify what is missing, assemble, put in place.

A run keeps its finished blocks in a folder beside the output, named after the output and marked
with a fingerprint of input, model and options. Stopped at any moment, the same call goes on from
there and ends in the same bytes; the folder goes when the result is in place.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from geoseg.allocator import release_memory
from geoseg.assembly import Assembly, assembling
from geoseg.blocks import is_out_of_memory
from geoseg.card import Card
from geoseg.classes import told_classes
from geoseg.crew import CACHE_SHARE, Crew, Spent
from geoseg.decisions import missing_value
from geoseg.devices import Capacity
from geoseg.ensembles import Models, ensemble
from geoseg.errors import UserError
from geoseg.finishing import (
    clean_up,
    finish_drafts,
    is_done,
    is_in_place,
    prepare_outputs,
    publish_all,
    refuse_changed,
    unreadable_of,
    write_item,
)
from geoseg.hiring import hired
from geoseg.inputs import Input, found
from geoseg.lease import owner
from geoseg.loader import Scene
from geoseg.locks import locked
from geoseg.places import Place, Remote, UnreachableError, place, scratches
from geoseg.plan import Blend, Tiling
from geoseg.polygons.making import Making
from geoseg.precision import Precision
from geoseg.progress import Emit, Progress, ignore
from geoseg.raster import creation_options
from geoseg.raster.cog import TILE
from geoseg.raster.damage import Unreadable
from geoseg.raster.files import block_cache
from geoseg.raster.place import WriteError, writing
from geoseg.raster.read import tiles_of
from geoseg.refusals import check_run, check_targets
from geoseg.runs import Run, Targets, files_named
from geoseg.store import BlockStore, forget, recall, remembered, unreadable
from geoseg.tasks import Fit, Running, Task, at_once, make_task
from geoseg.versions import VERSIONS
from geoseg.views import Turns, viewed
from geoseg.windows import Box, box_shape

__all__ = ["Result", "predict_file", "told_map"]

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
    was_there : bool
        Whether all outputs were in place already, made by this very call.
    """

    outputs: Mapping[str, Place]
    seconds: float
    blocks: int
    computed: int
    empty: int = 0
    spent: Spent = field(default_factory=Spent)
    unreadable: Unreadable = field(default_factory=Unreadable)
    was_there: bool = False

    @property
    def took(self) -> dict[str, Any]:
        """Time and seconds of work, for JSON."""
        return {"seconds": round(self.seconds, 3), "spent": self.spent.told}

    @property
    def counts(self) -> dict[str, int]:
        """Blocks, for JSON."""
        return {"blocks": self.blocks, "computed": self.computed, "empty": self.empty}


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
        A raster; several files are the bands of one scene, aligned to the first. Or a STAC Item or
        ItemCollection, ``.json`` or ``.geojson`` or the address of an item: its assets are found by
        the names of the model's bands, or by `bands`, and opened by `geoseg.open_stac`.
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
        has not changed since, as the item tells: what a batch wants that is taken up again.
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
        and the map's ``classes`` and ``nodata``, and ``was_there`` where nothing was left to do.

    Returns
    -------
    Result

    Raises
    ------
    UserError
        When anything is wrong with input, model, options or outputs, before any work is done. Later
        when a disk, a storage or a cluster fails, memory runs out, the input changes while it is
        read or cannot be read, a finished block comes back otherwise than written, or another run
        took the output over: no further output is put in place then, and the same call goes on with
        what is finished.
    """
    started = time.monotonic()
    emit = on_progress or ignore
    making = Making(min_area=min_area, simplify=simplify)
    targets = Targets(place(dst), *map(_place, (scores, confidence, polygons, blocks)))
    sources = [found(each) for each in ([src] if isinstance(src, str | PathLike) else src)]
    given = Input(sources, bands, gsd, pixel_size, bbox, bbox_crs, assume_crs, mask, on_read_error)
    check_targets(targets, [*files_named(sources)], mask)
    if simplify and polygons is None:
        raise UserError(
            "simplify is for polygons, and none are asked for; add polygons (--polygons)"
        )
    options = creation_options(co or {})
    plain = ensemble(model)
    segmenter = viewed(plain, views, scales)
    tiling, running = Tiling(window, halo, blend, stride), Running(device, precision, batch_size)
    asked = {
        "window": window,
        "halo": halo,
        "blend": blend,
        "stride": stride,
        "batch": batch_size,
        "precision": precision,
        "views": views,
        "scales": None if scales is None else [float(each) for each in scales],
    }
    with hired(scheduler) as crew:

        def planned() -> Run:
            pictured = given.pictured(segmenter.card)
            if pictured.origins:  # now it is known what their assets are
                check_targets(targets, pictured.assets, mask)
            scene = pictured.scene
            budget, has = crew.means(device, memory)
            outputs = tuple(targets.rasters)

            def task_for(fit: Fit) -> Task:
                own = replace(has, crew=fit.crew, tensors=fit.tensors, hands=fit.hands)
                return make_task(scene, segmenter, outputs, tiling, running, fit.memory, own)

            run = Run(
                task=task_for(Fit(budget, has.crew, has.tensors, has.hands)),
                model=plain,
                targets=targets,
                sources=pictured.sources,
                options=options,
                asked={**asked, **given.asked(scene)},
                making=making,
                memory=budget,
                files=pictured.files,
                origins=pictured.origins,
            )
            begun = remembered(targets.store) if not restart and _may_go_on(run) else {}
            fit = Fit.told(begun.get("fit"))
            if fit is None or begun.get("fingerprint") == run.fingerprint:
                return run
            other = run.planned_as(task_for(fit))
            if begun.get("fingerprint") != other.fingerprint:
                return run  # what lies there is not this one on other machines either
            return other.shared_by(_at_once(other.task, budget, has, memory is None))

        run = planned()
        if skip_done and is_done(run):
            return _already_done(run)
        check_run(run)
        with _resumable(run), _held(targets, wait) as waited:
            if waited:  # since then anything may have changed
                run = planned()
                check_run(run)
            if waited and is_done(run):  # by the call that was waited for
                result = _already_done(run)
            else:
                with block_cache(_cache(run)):
                    result = _carry_out(run, crew, emit, overwrite, restart, started)
        release_memory()
        result = replace(result, seconds=time.monotonic() - started)
        emit({"event": "done", **_told(run, result)})
        return result


def _at_once(task: Task, memory: int, has: Capacity, may_have_more: bool) -> int:
    """Blocks that are worked on at once by processes that a run was not planned for.

    What is taken by default is half of what is free; rather than that a run be given up, one block
    may have all of it.
    """
    crew = at_once(task, memory, has)
    if not crew and may_have_more:
        crew = min(at_once(task, 2 * memory, replace(has, tensors=2 * has.tensors)), 1)
    return crew


def _already_done(run: Run) -> Result:
    return Result(run.targets.all, 0.0, run.task.plan.count, 0, was_there=True)


def _told(run: Run, result: Result) -> dict[str, Any]:
    """What programs are told of a run that is done."""
    outputs = {name: str(path) for name, path in result.outputs.items()}
    there = {"was_there": True} if result.was_there else {}
    about = {"outputs": outputs, **there, **result.took, **told_map(run.task.segmenter.card)}
    if run.task.scene.damage is not None:
        about["unreadable"] = result.unreadable.told
    return about


def told_map(card: Card) -> dict[str, Any]:
    """What programs are told of the class maps of a model: their classes and no-data value."""
    nodata = int(missing_value(card, "classes"))
    return {"classes": told_classes(card.classes), "nodata": nodata}


def _carry_out(
    run: Run, crew: Crew, emit: Emit, overwrite: bool, restart: bool, started: float
) -> Result:
    """Begin the run, or go on where it was stopped."""
    if not restart and is_in_place(run):  # it was cleaning up
        clean_up(run)
        return _already_done(run)
    known = None if restart else _recalled(run)
    prepare_outputs(run, bool(known), overwrite)
    left = _left(run)
    if not known and forget(run.folder) and not restart:
        log.warning("an unfinished run of %s lay in %s; starting over", left, run.folder)
    run = run.settled(Precision(**known["precision"]) if known else crew.precision(run))
    store = _store(run)
    with assembling(run, store) as assembly:
        result = _classify(run, crew, store, assembly, emit)
        gone = unreadable_of(run)
        spent = result.spent + finish_drafts(run, store, assembly, emit, gone)
    refuse_changed(run)
    seconds = time.monotonic() - started
    result = replace(result, seconds=seconds, spent=spent, unreadable=gone)
    gaps = {"unreadable": gone.told} if gone.pixels else {}
    write_item(run, {**result.took, **result.counts, **gaps})
    publish_all(run, overwrite)
    return result


def _recalled(run: Run) -> dict[str, Any] | None:
    """What was settled when the run was begun, if blocks of it are there that may be used."""
    return recall(run.folder, run.fingerprint) if _may_go_on(run) else None


def _may_go_on(run: Run) -> bool:
    """Whether blocks that lie there may be used, should they be of this run."""
    if run.task.scene.damage is None and unreadable(run.folder):
        return False  # they have gaps, by a call that allowed them
    return run.untold is None


def _left(run: Run) -> str:
    """What an unfinished run is of whose blocks are not used."""
    if run.untold is not None:
        return f"{run.untold}, of which nothing tells whether it has changed since,"
    then = remembered(run.folder).get("versions")
    return _other_versions(then) or "another input, model or option"


def _other_versions(then: Any) -> str:
    """Versions that a run was begun with and that are others now, in words; none where all are."""
    known = then if isinstance(then, dict) else {}
    return " and ".join(
        f"{name} {known[name]} (now {now})" for name, now in VERSIONS if known.get(name, now) != now
    )


def _store(run: Run) -> BlockStore:
    layouts = {name: run.layout(name) for name in run.targets.rasters}
    layers = {
        str(name): (len(layout.names), layout.dtype, int(layout.nodata or 0))
        for name, layout in layouts.items()
    }
    facts = {
        "precision": asdict(run.precision),
        "fit": asdict(run.task.fit),
        "versions": dict(VERSIONS),
    }
    return BlockStore(run.folder, run.fingerprint, run.task.plan, layers, facts)


def _classify(run: Run, crew: Crew, store: BlockStore, assembly: Assembly, emit: Emit) -> Result:
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
    return Result(run.targets.all, 0.0, plan.count, len(missing), empty, spent)


def _is_empty(scene: Scene, box: Box) -> bool:
    """Whether a box is known to have no data before anything of it is read."""
    if scene.gaps is not None and scene.gaps.cover(box):
        return True
    return scene.area is not None and not scene.area.meets(box)


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
    except UnreachableError as error:
        raise UnreachableError(f"{error}; {goes_on}") from error
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"memory ran out; give blocks less (--memory {max(run.memory // 2_000_000, 1)}MB) or "
            f"free some: {goes_on} if they still fit"
        ) from error


@contextmanager
def _held(targets: Targets, wait: bool) -> Iterator[bool]:
    """Lock the outputs, make the folders that a run works in, and remove those that are empty.

    Tells whether another run held one of them, whose end was waited for.
    """
    with ExitStack() as stack:
        waited = [stack.enter_context(locked(folder, wait)) for folder in targets.locks]
        stack.enter_context(scratches(tuple(targets.all.values()), owner()))
        yield any(waited)


def _cache(run: Run) -> int:
    """Bytes of tiles that GDAL should keep.

    Those that a block shares with the next one in its row, and those of overviews that are not full
    yet: more would follow the size of the raster and save nothing.
    """
    rows, columns = (int(side) for side in run.chosen["block"])
    block, most = 0, run.memory // CACHE_SHARE
    for source in run.sources:
        if block >= most:  # there may be thousands of scenes, each with a header to fetch
            break
        tile = tiles_of(source, run.task.scene.image)
        block += tile.bytes * (-(-rows // tile.rows) + 2) * (-(-columns // tile.columns) + 2)
    overviews = TILE * run.task.scene.image.shape[2]
    return min(block + overviews, most)


def _place(name: str | PathLike[str] | Remote | None) -> Place | None:
    return None if name is None else place(name)
