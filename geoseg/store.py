"""Finished blocks of an unfinished run, beside the output: what resume and assembly read.

Blocks differ in size, so the store counts them instead of pixels: an array (row of blocks, column
of blocks, band, rows, columns) with a file for each strip of a block, filled up with no data. Zarr
writes a file whole or not at all, and a block counts as done once its mark is made after them: an
empty file whose name tells all, for a folder is listed sooner than its files are read. Of a block
without data only the mark is kept.

All this lies in a folder of the run's own, whose name no other run has: a worker that goes on for
a run which was stopped or given up, because nobody could tell it, writes beside the blocks of the
next one and never among them. Once that folder is gone, nobody makes it again.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import re
import shutil
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore, MemoryStore

from geoseg.errors import UserError
from geoseg.lease import refuse_known_lost
from geoseg.locks import HOLDER, LOCK
from geoseg.places import Place, Remote, UnreachableError, names_in, telling
from geoseg.plan import Block, Plan
from geoseg.windows import Box, box_shape, grown

__all__ = [
    "BlockStore",
    "BlockWriter",
    "Layers",
    "forget",
    "is_begun",
    "recall",
    "remembered",
    "unreadable",
]

log = logging.getLogger(__name__)

STRIP = 512  # rows that are decoded together when the map is assembled in strips of whole tiles
# Read once and thrown away; the checksum is that of what the disk was given.
FAST = (BloscCodec(cname="lz4", clevel=1, shuffle="noshuffle"), Crc32cCodec())
# Bytes of strips that are kept decoded, for the next piece of a map begins in the blocks of the
# last one. Two dozen of a class map a thousand columns wide fit, and so little that no budget needs
# to know of it; strips of many scores are decoded twice.
CACHED = 16 << 20
KEPT, EMPTY = 1, 2  # marks of finished blocks


Layers = Mapping[str, tuple[int, str, int]]
"""What is kept of a block: by name the number of bands, dtype and no-data value."""


class DamagedError(Exception):
    """What is stored of a block is not what was written."""


class BlockWriter:
    """Writes blocks into a store that was begun, from any process that sees its folder.

    Parameters
    ----------
    folder : Path or Remote
    name : str
        Of the run: that of its own folder in there.
    layers : mapping of str to (bands, dtype, no-data value)
    """

    def __init__(self, folder: Place, name: str, layers: Layers) -> None:
        self.folder, self.name, self.layers = folder, name, layers
        self._own = folder / name
        with telling(folder):
            blocks = self._own / BLOCKS
            kept = blocks.store() if isinstance(blocks, Remote) else _Standing(blocks)
            group = zarr.open_group(kept, mode="r+")
            self._arrays = {name: _array(group, name) for name in layers}
        self._noted: set[str] = set()

    def note_unreadable(self, boxes: Iterable[Box]) -> None:
        """Keep which parts of the input could not be read: by the names of empty files."""
        for rows, columns in boxes:
            name = f"{rows.start},{rows.stop},{columns.start},{columns.stop}"
            if name not in self._noted:
                noted = self._own / UNREADABLE / name
                noted.parent.mkdir(exist_ok=True)
                noted.write_bytes(b"")
                self._noted.add(name)

    def mark(self, block: Block) -> int:
        """`KEPT` or `EMPTY` when a block is finished, whoever did it, else 0."""
        return next((mark for mark in (KEPT, EMPTY) if self._mark(block, mark).exists()), 0)

    def _mark(self, block: Block, mark: int) -> Place:
        return self._own / DONE / f"{block.row},{block.column},{mark}"

    def _unmark(self, block: Block) -> None:
        for mark in (KEPT, EMPTY):
            self._mark(block, mark).unlink(missing_ok=True)

    def write(self, block: Block, pixels: Mapping[str, NDArray[Any]] | None) -> None:
        """Keep a finished block: by layer an array (band, rows, columns); None has no data.

        Raises
        ------
        UserError
            When the run is over, or was given up for another.
        """
        self._refuse_over()
        with telling(self.folder):
            for name, values in (pixels or {}).items():
                array = self._arrays[name]
                full = np.full(array.shape[2:], array.fill_value, array.dtype)
                full[:, : values.shape[1], : values.shape[2]] = values
                array[block.row, block.column] = full
        self._mark(block, EMPTY if pixels is None else KEPT).write_bytes(b"")
        self._refuse_over()

    def _refuse_over(self) -> None:
        """Refuse to write for a run that a storage no longer knows; folders do that by themselves.

        Asked before something is written, and after it, for whoever gave up the run may have
        looked at what there was to remove just before.
        """
        if isinstance(self._own, Remote) and not is_begun(self.folder, self.name):
            self._own.empty()
            raise UserError(
                f"{self.folder} is not this run's any more: it was removed, or another run took it "
                "over; wait for the end of that, and give the same command again"
            )


class _Standing(LocalStore):
    """Chunks below a folder that is there; one that was removed is not made again."""

    async def _open(self, *, mode: Any = None) -> None:
        if not self.root.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.root))
        self._is_open = True

    async def set(self, key: str, value: Buffer) -> None:
        """Write a chunk, whole or not at all."""
        await asyncio.to_thread(self._put, self.root / key, value)

    def _put(self, path: Path, value: Buffer) -> None:
        self._make(path.parent)
        draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            draft.write_bytes(value.as_buffer_like())
            draft.replace(path)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(exist_ok=True)
        except FileNotFoundError:
            if folder == self.root:
                raise
            self._make(folder.parent)
            folder.mkdir(exist_ok=True)


class BlockStore(BlockWriter):
    """Blocks of one run, in a folder that is removed when the run is complete.

    Parameters
    ----------
    folder : Path or Remote
        Made, or taken up again when it belongs to the same run, else emptied.
    fingerprint : str
        Names input, model and options of the run.
    plan : Plan
    layers : mapping of str to (bands, dtype, no-data value)
        What is kept of a block.
    facts : mapping of str to object
        What whoever goes on with the run must `recall`.

    Attributes
    ----------
    resumed : bool
        Whether blocks of an earlier, interrupted run were found.
    """

    def __init__(
        self,
        folder: Place,
        fingerprint: str,
        plan: Plan,
        layers: Layers,
        facts: Mapping[str, Any],
    ) -> None:
        self._plan = plan
        known = recall(folder, fingerprint)
        self.resumed = known is not None and _is_sound(folder / known["run"], plan, layers)
        if known is not None and not self.resumed:
            log.warning("%s is damaged; starting over", folder)
        if known is None or not self.resumed:
            name = f"{fingerprint[:16]}-{uuid.uuid4().hex[:16]}"
            known = {**facts, "fingerprint": fingerprint, "layout": LAYOUT, "run": name}
            _begin(folder, plan, layers, known)
        super().__init__(folder, known["run"], layers)
        self._lock = folder / LOCK
        self._marks = self._all_marks()
        self._starts = [_starts(sizes) for sizes in plan.chunks]
        self._strips: OrderedDict[tuple[str, Block, int], NDArray[Any]] = OrderedDict()
        self._bytes = 0  # of them

    def _all_marks(self) -> NDArray[np.uint8]:
        marks = np.zeros(self._plan.shape, np.uint8)
        names = (MARK.fullmatch(name) for name in names_in(self._own / DONE))
        for row, column, mark in (map(int, each.groups()) for each in names if each):
            if marks[row, column] != KEPT:  # were there both, its pixels must be there
                marks[row, column] = mark
        return marks

    def done(self) -> NDArray[np.bool_]:
        """Which blocks are finished, shape (rows, columns) of blocks."""
        return np.asarray(self._marks != 0)

    def is_whole(self) -> bool:
        """Whether all blocks are finished, and what was written of them is still there."""
        unseen = np.argwhere((self._marks == KEPT) & (self._all_marks() != KEPT))
        # A shared folder may be listed as it was a moment ago, before others wrote into it.
        there = all(self.mark(Block(int(row), int(column))) == KEPT for row, column in unseen)
        return bool(self.done().all()) and there

    def leave_out(self, blocks: Iterable[Block]) -> int:
        """Take blocks as finished that are known to have no data, whoever looks; their number."""
        left = list(blocks)
        for block in left:
            self._marks[block.row, block.column] = EMPTY
        return len(left)

    def write(self, block: Block, pixels: Mapping[str, NDArray[Any]] | None) -> None:
        """Keep a finished block: by layer an array (band, rows, columns); None has no data."""
        self._refuse_taken_over()
        super().write(block, pixels)
        self.note(block, EMPTY if pixels is None else KEPT)

    def note(self, block: Block, mark: int) -> None:
        """Take a block as finished that another process wrote, and marked so.

        Raises
        ------
        UserError
            When another run has taken over.
        """
        self._refuse_taken_over()
        self._marks[block.row, block.column] = mark

    def _refuse_taken_over(self) -> None:
        if isinstance(self._lock, Remote):
            refuse_known_lost(self._lock)

    def read(self, layer: str, box: Box) -> NDArray[Any] | None:
        """Put together the pixels of a box, shape (band, rows, columns), from its blocks.

        None when none of them has data.
        """
        bands, dtype, nodata = self.layers[layer]
        under = [_under(starts, span) for starts, span in zip(self._starts, box, strict=True)]
        kept = [
            (r, rows, c, columns)
            for (r, rows), (c, columns) in product(*under)
            if self._marks[r, c] == KEPT
        ]
        if not kept:
            return None
        pixels = np.full((bands, *box_shape(box)), nodata, dtype)
        for r, rows, c, columns in kept:
            piece = self._piece(layer, Block(r, c), rows.start - self._starts[0][r], rows)
            left = columns.start - self._starts[1][c]
            pixels[
                :,
                rows.start - box[0].start : rows.stop - box[0].start,
                columns.start - box[1].start : columns.stop - box[1].start,
            ] = piece[:, :, left : left + columns.stop - columns.start]
        return pixels

    def _piece(self, layer: str, block: Block, top: int, rows: slice) -> NDArray[Any]:
        bottom = top + rows.stop - rows.start
        height = self._arrays[layer].chunks[3]
        strips = range(top // height, -(-bottom // height))
        joined = np.concatenate([self._strip(layer, block, i) for i in strips], axis=1)
        first = strips[0] * height
        return joined[:, top - first : bottom - first]

    def _strip(self, layer: str, block: Block, index: int) -> NDArray[Any]:
        """A decoded strip: one of those that were read last, or read now."""
        key = layer, block, index
        if key in self._strips:
            self._strips.move_to_end(key)
            return self._strips[key]
        try:
            strip = self._stored(layer, block, index)
        except DamagedError as error:
            raise self._give_up_damaged(block) from error
        self._strips[key] = strip
        self._bytes += strip.nbytes
        while self._bytes > CACHED:
            self._bytes -= self._strips.popitem(last=False)[1].nbytes
        return strip

    def _stored(self, layer: str, block: Block, index: int) -> NDArray[Any]:
        array = self._arrays[layer]
        height = array.chunks[3]
        rows = slice(index * height, (index + 1) * height)
        try:
            with telling(self.folder):
                pixels = np.asarray(array[block.row, block.column, :, rows, :])
        except UserError:
            raise
        except ValueError as error:  # of the checksum
            raise DamagedError from error
        # For zarr, what is not there is no data.
        if (pixels == array.fill_value).all():
            key = array.metadata.encode_chunk_key((block.row, block.column, 0, index, 0))
            if not (self._own / BLOCKS / layer / key).exists():
                raise DamagedError
        return pixels

    def _give_up_damaged(self, first: Block) -> UserError:
        """Take a block, and all others that are damaged, as not done; tells what to do."""
        kept = [Block(int(row), int(column)) for row, column in np.argwhere(self._marks == KEPT)]
        others = [block for block in kept if block != first and self._is_damaged(block)]
        for block in (first, *others):
            self._unmark(block)
        more = f" and {len(others)} more" if others else ""
        return UserError(
            f"{first}{more} in {self.folder} came back otherwise than written; see whether the "
            "disk is sound, and give the same command again, which computes anew what is damaged"
        )

    def _is_damaged(self, block: Block) -> bool:
        try:
            for layer, array in self._arrays.items():
                for index in range(array.shape[3] // array.chunks[3]):
                    self._stored(layer, block, index)
        except DamagedError:
            return True
        return False


RUN = "run.json"
BLOCKS = "blocks.zarr"
DONE = "done"
MARK = re.compile(r"(\d+),(\d+),([12])")  # row and column of a block, and its mark
RUN_NAME = re.compile(r"[\w-]{1,40}")  # a name that leads nowhere else
LAYOUT = 3  # of all this; what was begun by another one is begun anew
UNREADABLE = "unreadable"
LATE = (0.1, 0.4, 1.6)  # seconds after which a folder is removed into which files came meanwhile


def _blocks(own: Place) -> Any:
    """What zarr takes for the blocks in the folder of a run's own."""
    blocks = own / BLOCKS
    return blocks.store() if isinstance(blocks, Remote) else blocks


def _begin(folder: Place, plan: Plan, layers: Layers, facts: Mapping[str, Any]) -> None:
    """Make an empty store."""
    folder.mkdir(exist_ok=True)
    if (folder / RUN).exists():  # else what lies there was put there for this run
        forget(folder)
    own = folder / facts["run"]
    with telling(folder):
        # Nothing lies there; to remove it all the same, zarr would take the name for a pattern.
        _make_arrays(zarr.open_group(_blocks(own), mode="w-"), plan, layers)
    (own / DONE).mkdir(exist_ok=True)
    # Written last: a folder without it holds nothing that could be continued.
    (folder / RUN).write_text(json.dumps(facts))


def _is_sound(own: Place, plan: Plan, layers: Layers) -> bool:
    """Whether the arrays of a store are those that were made."""
    made = zarr.open_group(MemoryStore(), mode="w")
    _make_arrays(made, plan, layers)
    try:
        with telling(own, missing=True):
            group = zarr.open_group(_blocks(own), mode="r")
            return all(group[name].metadata == made[name].metadata for name in layers)
    except UserError:
        raise
    except (ValueError, KeyError, TypeError, OverflowError, FileNotFoundError):
        return False


def _make_arrays(group: zarr.Group, plan: Plan, layers: Layers) -> None:
    rows, columns = (max(sizes) for sizes in plan.chunks)
    strip = min(STRIP, rows)
    rows = grown(rows, strip)
    for name, (bands, dtype, nodata) in layers.items():
        group.create_array(
            name,
            shape=(*plan.shape, bands, rows, columns),
            chunks=(1, 1, bands, strip, columns),
            dtype=dtype,
            fill_value=nodata,
            compressors=FAST,
        )


def forget(folder: Place) -> bool:
    """Empty the folder of a run, but for its lock and holder; tells whether a run was there."""
    facts = folder / RUN
    was_there = facts.exists()
    facts.unlink(missing_ok=True)  # first: a folder that is half emptied is no run
    if isinstance(folder, Remote):
        folder.empty(but=(LOCK,))
        return was_there
    for old in sorted(folder.glob("*"), key=Path.is_file):  # folders first
        if old.is_dir():
            _remove(old)
        elif old.name not in (LOCK, HOLDER):
            old.unlink(missing_ok=True)
    return was_there


def _remove(folder: Path) -> None:
    """Remove a folder that others may be writing into."""
    with suppress(OSError):  # of Windows, where files in it are open
        # Renamed first: who writes late does not find it, and nothing comes after what is removed.
        folder = folder.rename(folder.with_name(f"gone-{uuid.uuid4().hex}"))
    for pause in (*LATE, None):
        try:
            shutil.rmtree(folder)
        except OSError as error:
            if not folder.exists():
                return
            if pause is None or error.errno not in (errno.ENOTEMPTY, errno.ENOENT, errno.EEXIST):
                raise
            time.sleep(pause)
        else:
            return


def recall(folder: Place, fingerprint: str) -> dict[str, Any] | None:
    """The facts of an interrupted run of the same input, model and options, if there is one."""
    facts = remembered(folder)
    is_same = facts.get("fingerprint") == fingerprint and facts.get("layout") == LAYOUT
    return facts if is_same and RUN_NAME.fullmatch(str(facts.get("run"))) else None


def is_begun(folder: Place, name: str) -> bool:
    """Whether a run of that name is the one that a folder is for."""
    return remembered(folder).get("run") == name


def unreadable(folder: Place) -> list[Box]:
    """The parts of the input that could not be read for blocks of a run, in order."""
    name = str(remembered(folder).get("run", ""))
    if not RUN_NAME.fullmatch(name):
        return []
    places = [map(int, each.split(",")) for each in names_in(folder / name / UNREADABLE)]
    return [(slice(a, b), slice(c, d)) for a, b, c, d in sorted(map(tuple, places))]


def remembered(folder: Place) -> dict[str, Any]:
    """The facts of whatever run was interrupted; none where there was none."""
    try:
        text = (folder / RUN).read_text()
    except UnreachableError:  # which does not mean that there is none
        raise
    except OSError:
        return {}
    try:
        facts = json.loads(text)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _array(group: zarr.Group, name: str) -> Any:
    # To find out whether there is nothing in a strip takes longer than to write it.
    with zarr.config.set({"array.write_empty_chunks": True}):
        return group[name]


def _starts(sizes: tuple[int, ...]) -> NDArray[np.intp]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)


def _under(starts: NDArray[np.intp], span: slice) -> list[tuple[int, slice]]:
    """The blocks under a span, and what each has of it."""
    first = int(np.searchsorted(starts, span.start, side="right")) - 1
    last = int(np.searchsorted(starts, span.stop, side="left"))
    return [
        (i, slice(max(span.start, int(starts[i])), min(span.stop, int(starts[i + 1]))))
        for i in range(first, last)
    ]
