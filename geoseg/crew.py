"""Who finishes the blocks of a run: the threads of this process, or whoever else can.

A crew is given blocks that are missing, and gives them back once the store holds them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geoseg.blocks import run_block
from geoseg.decisions import Output, missing_value
from geoseg.devices import Capacity, capacity_of
from geoseg.footprint import memory_budget
from geoseg.loader import Part
from geoseg.plan import Block
from geoseg.precision import Precision, choose_precision
from geoseg.raster.read import tiles_of
from geoseg.reading import BlockReader
from geoseg.runs import QUANTA, Run
from geoseg.store import BlockStore, BlockWriter
from geoseg.tasks import Task

__all__ = ["CACHE_SHARE", "Crew", "Finished", "LocalCrew", "Spent", "Threads", "finish_block"]

log = logging.getLogger(__name__)

CACHE_SHARE = 8  # of the memory, at most, for pixels that the next blocks need again


@dataclass(frozen=True)
class Spent:
    """Seconds of work, of all threads and processes together."""

    read: float = 0.0
    network: float = 0.0
    write: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.read + other.read, self.network + other.network, self.write + other.write)

    def __str__(self) -> str:
        return f"read {self.read:.1f}, network {self.network:.1f}, write {self.write:.1f} s"

    @property
    def told(self) -> dict[str, float]:
        """The seconds for JSON."""
        return {name: round(seconds, 3) for name, seconds in asdict(self).items()}


Finished = Generator[tuple[Block, Spent], None, None]
"""Blocks as they are finished, and what each took."""


class Crew(Protocol):
    """Whoever finishes blocks."""

    def means(self, devices: str, asked: int | None) -> tuple[int, Capacity]:
        """Bytes that blocks at work may take in each process (`memory_budget`), and what it has."""

    def precision(self, run: Run) -> Precision:
        """What to run in; see `choose_precision`."""

    def finish(self, run: Run, store: BlockStore, blocks: Sequence[Block]) -> Finished:
        """Write blocks of a run into its store."""


class LocalCrew:
    """The threads of this process: one reads, as many as devices take finish blocks."""

    def means(self, devices: str, asked: int | None) -> tuple[int, Capacity]:
        """Bytes that blocks at work may take, and what this process has."""
        memory = memory_budget(asked)
        return memory, capacity_of(devices, memory)

    def precision(self, run: Run) -> Precision:
        """What to run in."""
        return choose_precision(run.task.scene, run.task.segmenter, run.task.running)

    def finish(self, run: Run, store: BlockStore, blocks: Sequence[Block]) -> Finished:
        """Write blocks of a run into its store."""
        has = capacity_of(run.task.running.device, run.memory)
        tiles = tiles_of(run.sources[0], run.task.scene.image)
        reader = BlockReader(run.task, tiles, run.memory // CACHE_SHARE, has.spare)

        def finish(block: Block, part: Part) -> Spent:
            return finish_block(run.task, store, block, part)

        return Threads(reader.read, finish, run.task.crew).run(blocks)


@dataclass(frozen=True)
class Threads:
    """One thread that reads blocks, in order, and some that finish them.

    What neighbours share is decoded once that way. Two blocks wait, read, for their turn.

    Parameters
    ----------
    read : callable
        Block to its pixels.
    finish : callable
        Block and pixels to the seconds that were spent.
    count : int
        Threads that finish.
    """

    read: Callable[[Block], Part]
    finish: Callable[[Block, Part], Spent]
    count: int

    def run(self, blocks: Sequence[Block]) -> Finished:
        """Read and finish blocks; gives each when it and those before it are finished."""
        under_way: deque[tuple[Block, Future[Spent]]] = deque()
        with (
            ThreadPoolExecutor(self.count, "geoseg-block") as crew,
            ThreadPoolExecutor(1, "geoseg-read") as reader,
        ):
            try:
                for block in blocks:
                    part = reader.submit(self._read, block)
                    under_way.append((block, crew.submit(self._finish, block, part)))
                    if len(under_way) > self.count + 1:
                        first, done = under_way.popleft()
                        yield first, done.result()
                while under_way:
                    first, done = under_way.popleft()
                    yield first, done.result()
            except BaseException:
                for pool in (reader, crew):
                    pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _read(self, block: Block) -> tuple[Part, float]:
        log.debug("%s begun: it is read", block)
        began = time.monotonic()
        return self.read(block), time.monotonic() - began

    def _finish(self, block: Block, coming: Future[tuple[Part, float]]) -> Spent:
        part, seconds = coming.result()
        spent = self.finish(block, part) + Spent(read=seconds)
        who = threading.current_thread().name
        log.debug("%s done by %s: %s", block, who, spent)
        return spent


def finish_block(task: Task, store: BlockWriter, block: Block, part: Part) -> Spent:
    """Classify a block, and keep it.

    Parameters
    ----------
    task : Task
    store : BlockWriter
    block : Block
    part : Part
        Its pixels.
    """
    began = time.monotonic()
    pixels = _stored(task, run_block(task, block, part))
    done = time.monotonic()
    if task.scene.damage is not None:  # before the block counts as finished, and is not read again
        store.note_unreadable(task.scene.damage.boxes())
    store.write(block, pixels)
    return Spent(network=done - began, write=time.monotonic() - done)


def _stored(task: Task, pixels: Mapping[Output, NDArray[Any]]) -> dict[str, NDArray[Any]] | None:
    """A block as it is written, by output (band, rows, columns); None when it has no data."""
    if (pixels["classes"] == missing_value(task.segmenter.card, "classes")).all():
        return None
    return {name: _in_steps(name, values) for name, values in pixels.items()}


def _in_steps(output: Output, values: NDArray[Any]) -> NDArray[Any]:
    """Pixels as they are written: (band, rows, columns)."""
    if output == "classes":
        return values[None]
    with np.errstate(invalid="ignore"):
        steps = np.rint(values * QUANTA)
    stored = np.where(np.isnan(steps), 255, steps).astype(np.uint8)
    return stored if stored.ndim == 3 else stored[None]
