"""Outputs of a run put together from its blocks, from top to bottom, while later ones are made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

from geoseg.decisions import Output
from geoseg.raster import CogDraft
from geoseg.runs import Run
from geoseg.store import BlockStore

__all__ = ["Assembly", "assembling"]


class Assembly:
    """The raster outputs of a run in the making, in a thread of their own.

    Parameters
    ----------
    drafts : mapping of str to CogDraft
    store : BlockStore
    thread : Executor
        Of one thread, for a draft must not be written to by two.
    """

    def __init__(
        self, drafts: Mapping[Output, CogDraft], store: BlockStore, thread: Executor
    ) -> None:
        self._drafts, self._store, self._thread = drafts, store, thread
        self._bottom = 0
        self._begun: list[Future[None]] = []

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
        for output, draft in self._drafts.items():
            draft.extend(partial(self._store.read, output), bottom)

    def finish(self, bottom: int) -> None:
        """Take over the rest of the rows, of which there are `bottom`, and write the files."""
        for each in self._begun:
            each.result()
        self._extend(bottom)
        for draft in self._drafts.values():
            draft.finish()


@contextmanager
def assembling(run: Run, store: BlockStore) -> Iterator[Assembly]:
    """Open the drafts of a run, and remove what they need meanwhile in the end."""
    with ExitStack() as stack:
        drafts = {}
        for output in run.targets.rasters:
            draft = run.draft(output)
            shutil.rmtree(draft.parent, ignore_errors=True)  # of a run that was stopped
            draft.parent.mkdir(parents=True)
            opened = CogDraft(draft, run.layout(output), run.options)
            drafts[output] = stack.enter_context(opened)
        thread = stack.enter_context(ThreadPoolExecutor(1, "geoseg-write"))
        stack.callback(thread.shutdown, cancel_futures=True)
        yield Assembly(drafts, store, thread)
