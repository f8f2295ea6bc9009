"""The end of a run: polygons, what could not be read, the item; all put in place at once.

Outputs are made as drafts. They are put in place one by one, and marks in the folder of the run say
whether a call was stopped before, within or after that.
"""

from __future__ import annotations

import json
import logging
import time
from math import prod
from pathlib import Path

from geoseg.assembly import Assembly
from geoseg.beside import read_item
from geoseg.crew import Spent
from geoseg.errors import UserError
from geoseg.item import Facts, differences, item_of, refuse_foreign, written
from geoseg.locks import refuse_lost
from geoseg.places import Place, UnreachableError
from geoseg.polygons import polygonize_file, refuse_open_elsewhere
from geoseg.progress import Emit
from geoseg.raster.damage import Unreadable, within
from geoseg.raster.files import opened
from geoseg.raster.place import publish, refuse_existing
from geoseg.raster.read import origin_in
from geoseg.runs import Run, facts_of, other_file
from geoseg.store import BlockStore, forget, unreadable
from geoseg.windows import box_shape

__all__ = [
    "clean_up",
    "finish_drafts",
    "is_done",
    "is_in_place",
    "prepare_outputs",
    "publish_all",
    "refuse_changed",
    "unreadable_of",
    "write_item",
]

log = logging.getLogger(__name__)

PUBLISHING = "publishing"  # marks of a call: its outputs are being put in place,
PUBLISHED = "published"  # and all of them are


def is_done(run: Run) -> bool:
    """Whether the outputs are there, made by this very call from input that is as it was then.

    The item is put in place last and tells of all of them. No times are compared but for equality,
    for clocks of cameras, archives and file servers may be years off.
    """
    item = read_item(run.targets.item) if run.untold is None else None
    return item is not None and not differences(item, run)


def is_in_place(run: Run) -> bool:
    """Whether this very call has put all of its outputs in place, and was stopped thereafter."""
    there = all(path.is_file() for path in run.targets.all.values())
    return there and run.untold is None and _read(run.folder / PUBLISHED) == run.mark


def prepare_outputs(run: Run, goes_on: bool, overwrite: bool) -> None:
    """Refuse outputs that are there already and may not be replaced.

    Those that this very call was putting in place when it was stopped may be replaced by it.

    Parameters
    ----------
    run : Run
    goes_on : bool
        Whether blocks of it are there.
    overwrite : bool

    Raises
    ------
    UserError
    """
    _refuse_outputs(run, goes_on, overwrite)
    for mark in (PUBLISHING, PUBLISHED):
        if _read(run.folder / mark) != run.mark:  # another call's, whose outputs are given up
            (run.folder / mark).unlink(missing_ok=True)


def _refuse_existing(path: Place, run: Run, overwrite: bool) -> None:
    """Refuse to write over an output, and tell why it is not what the run would make."""
    item = None if overwrite or not path.exists() else read_item(run.targets.item)
    how = [] if item is None else differences(item, run)
    refuse_existing(path, overwrite, "".join(f", {each}" for each in how))


def _refuse_outputs(run: Run, goes_on: bool, overwrite: bool) -> None:
    began = goes_on and _read(run.folder / PUBLISHING) == run.mark
    refuse_foreign(run.targets.item)
    for name, path in run.targets.all.items():
        if name != "item" and (not began or (run.folder / PUBLISHED).exists()):
            _refuse_existing(path, run, overwrite)


def unreadable_of(run: Run) -> Unreadable:
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


def finish_drafts(
    run: Run, store: BlockStore, assembly: Assembly, emit: Emit, gone: Unreadable
) -> Spent:
    """Finish drafts of all outputs but the item, each on its own disk; tells what it took.

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
        _draw_polygons(run, run.targets.polygons, emit)
    return Spent(write=assembly.seconds + time.monotonic() - began)


def _draw_polygons(run: Run, target: Place, emit: Emit) -> None:
    draft = _draft(run, "polygons")
    polygonize_file(
        run.draft("classes"),
        draft,
        simplify=run.making.simplify,
        confidence=None if run.targets.confidence is None else run.draft("confidence"),
        overwrite=True,
        on_progress=lambda event: None if event["event"] == "done" else emit(event),
    )
    if isinstance(target, Path):
        refuse_open_elsewhere(target)


def refuse_changed(run: Run) -> None:
    """Refuse a map of two versions of its input.

    Raises
    ------
    UserError
    """
    if (name := other_file(run.files, facts_of(run.sources))) is not None:
        raise UserError(
            f"{name} changed while it was read, so the map may be of both versions and was not "
            "written; give the same command again"
        )


def write_item(run: Run, facts: Facts) -> None:
    """Write the draft of the item that tells of the others, and what they took."""
    _draft(run, "item").write_text(written(item_of(run, facts)), encoding="utf-8")


def _draft(run: Run, name: str) -> Path:
    """Where an output is made, in a folder that is there."""
    draft = run.draft(name)
    draft.parent.mkdir(parents=True, exist_ok=True)
    return draft


def publish_all(run: Run, overwrite: bool) -> None:
    """Put all outputs in place, and forget the run.

    Raises
    ------
    UserError
        When one was made there meanwhile that may not be replaced, or a lock was lost.
    """
    _refuse_outputs(run, True, overwrite)
    _refuse_lost(run)
    (run.folder / PUBLISHING).write_text(run.mark, encoding="utf-8")
    for name, path in run.targets.all.items():
        _refuse_lost(run)
        publish(run.draft(name), path)
    _refuse_lost(run)  # what is cleaned up may be another's
    (run.folder / PUBLISHED).write_text(run.mark, encoding="utf-8")
    clean_up(run)


def _refuse_lost(run: Run) -> None:
    """Refuse to go on where another run took over."""
    for folder in run.targets.locks:
        refuse_lost(folder)


def clean_up(run: Run) -> None:
    """Remove what a run left beside its outputs, but for its locks."""
    run.forget_drafts()
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
