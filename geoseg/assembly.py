"""Outputs of a run put together from its blocks, from top to bottom, while later ones are made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

from geoseg.blocks import Output
from geoseg.raster import CogDraft
from geoseg.runs import Run
from geoseg.store import BlockStore

__all__ = ["Assembly", "assembling"]


class Assembly:
    """The raster outputs of a run in the making.

    Parameters
    ----------
    drafts : mapping of str to CogDraft
    store : BlockStore
    """

    def __init__(self, drafts: Mapping[Output, CogDraft], store: BlockStore) -> None:
        self._drafts, self._store = drafts, store

    def extend(self, bottom: int) -> None:
        """Take over the rows above `bottom`, all blocks of which are finished."""
        for output, draft in self._drafts.items():
            draft.extend(partial(self._store.read, output), bottom)

    def finish(self) -> None:
        """Write the files."""
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
        yield Assembly(drafts, store)
