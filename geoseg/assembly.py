"""Outputs of a run put together from its blocks, from top to bottom, while later ones are made."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np

from geoseg.decisions import Output
from geoseg.polygons.copying import RowWriter
from geoseg.polygons.making import Making, sieve_of
from geoseg.polygons.stream import strip_rows
from geoseg.raster import CogDraft, Grid
from geoseg.raster.cog import Read
from geoseg.runs import Run
from geoseg.store import BlockStore

__all__ = ["Assembly", "assembling"]


class SievedDraft:
    """A class map whose small regions go to their neighbours before it is written.

    Parameters
    ----------
    draft : CogDraft
    grid : Grid
        By which areas are measured.
    nodata : int
    making : Making
        Says which regions are small.
    """

    def __init__(self, draft: CogDraft, grid: Grid, nodata: int, making: Making) -> None:
        self._draft, self._nodata, self._columns = draft, nodata, grid.shape[1]
        self._sieve, self._writer = sieve_of(grid, nodata, making), RowWriter(draft)
        self._bottom = 0

    def extend(self, read: Read, bottom: int) -> None:
        """Take the rows that are there by now; write those of which is decided what they are."""
        while self._bottom < bottom:
            rows = slice(self._bottom, min(self._bottom + strip_rows(self._columns), bottom))
            pixels = read((rows, slice(0, self._columns)))
            if pixels is None:  # nothing was written there
                shape = rows.stop - rows.start, self._columns
                pixels = np.full((1, *shape), self._nodata, self._draft.dtype)
            for decided in self._sieve.add(pixels[0]):
                self._writer.add(decided)
            self._bottom = rows.stop

    def add_tags(self, tags: Mapping[str, str]) -> None:
        """Let the file say what was not known when it was begun."""
        self._draft.add_tags(tags)

    def finish(self) -> None:
        """Write the file."""
        self._draft.finish()


class Assembly:
    """The raster outputs of a run in the making, in a thread of their own.

    Parameters
    ----------
    drafts : mapping of str to CogDraft or SievedDraft
    store : BlockStore
    thread : Executor
        Of one thread, for a draft must not be written to by two.

    Attributes
    ----------
    seconds : float
        Spent on it.
    """

    def __init__(
        self, drafts: Mapping[Output, CogDraft | SievedDraft], store: BlockStore, thread: Executor
    ) -> None:
        self._drafts, self._store, self._thread = drafts, store, thread
        self._bottom = 0
        self._begun: list[Future[None]] = []
        self.seconds = 0.0

    def extend(self, bottom: int) -> None:
        """Begin to take over the rows above `bottom`, all blocks of which are finished.

        Raises
        ------
        Exception
            What went wrong with rows of earlier calls.
        """
        for each in [each for each in self._begun if each.done()]:
            self._begun.remove(each)
            each.result()
        if bottom > self._bottom:
            self._bottom = bottom
            self._begun.append(self._thread.submit(self._extend, bottom))

    def _extend(self, bottom: int) -> None:
        began = time.monotonic()
        for output, draft in self._drafts.items():
            draft.extend(partial(self._store.read, output), bottom)
        self.seconds += time.monotonic() - began

    def finish(self, bottom: int, tags: Mapping[str, str]) -> None:
        """Take over the rest of the rows, of which there are `bottom`, and write the files.

        Parameters
        ----------
        bottom : int
        tags : mapping of str to str
            What the files say that was not known when they were begun.
        """
        for each in self._begun:
            each.result()
        self._extend(bottom)
        began = time.monotonic()
        for draft in self._drafts.values():
            if tags:
                draft.add_tags(tags)
            draft.finish()
        self.seconds += time.monotonic() - began


@contextmanager
def assembling(run: Run, store: BlockStore) -> Iterator[Assembly]:
    """Open the drafts of a run, and remove what they need meanwhile in the end."""
    with ExitStack() as stack:
        drafts: dict[Output, CogDraft | SievedDraft] = {}
        run.forget_drafts()  # of calls that were stopped
        for output in run.targets.rasters:
            draft = run.draft(output)
            draft.parent.mkdir(parents=True)
            layout = run.layout(output)
            opened = stack.enter_context(CogDraft(draft, layout, run.options))
            drafts[output] = (
                SievedDraft(opened, run.measured, int(layout.nodata or 0), run.making)
                if output == "classes" and run.making.min_area
                else opened
            )
        thread = stack.enter_context(ThreadPoolExecutor(1, "geoseg-write"))
        stack.callback(thread.shutdown, cancel_futures=True)
        yield Assembly(drafts, store, thread)
