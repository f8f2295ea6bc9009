"""The block task: pixels in, classes or scores out, as a plain function of arrays.

A block reads the hull of its windows once, runs them in batches on a device, decides there what
each pixel is, and returns its own pixels. It knows no file and no graph, and shares nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geoseg.card import Card
from geoseg.decisions import NonsenseError, Output, Scores, decide, dtype_of, missing_value
from geoseg.devices import pool_for
from geoseg.errors import UserError
from geoseg.loader import Part, Scene, batches
from geoseg.plan import Block, Plan
from geoseg.resample import resampled
from geoseg.segmenter import Segmenter
from geoseg.tasks import Task
from geoseg.windows import Box, box_shape, common, grown, hann, relative

__all__ = ["is_out_of_memory", "run_block"]


def run_block(task: Task, block: Block, part: Part) -> dict[Output, NDArray[Any]]:
    """Classify one block.

    Parameters
    ----------
    task : Task
    block : Block
    part : Part
        The pixels of ``task.plan.hull(block)``.

    Returns
    -------
    dict of str to ndarray
        For each output of the task the block's own pixels, shape (rows, columns), or
        (class, rows, columns) for scores.
    """
    card = task.segmenter.card
    target = task.plan.output(block)
    results = {name: _nothing(card, name, box_shape(target)) for name in task.outputs}
    mask, asked = Mask.of(part, card), Mask.asked(task.scene, target)
    if not (mask.any(target) and asked.any(target)):
        return results

    def fill(segmenter: Segmenter) -> None:
        work = Work(task, block, part, segmenter, mask, asked)
        pieces = _cropped(work) if task.plan.blend == "crop" else _blended(work)
        for places, scores in pieces:
            for name, result in results.items():
                decided = _decided(name, scores, places, task)
                for own, (box, inner) in zip(decided, places, strict=True):
                    result[..., *relative(box, target)] = own[..., *inner]

    pool = pool_for(task.segmenter, task.running.device, task.running.precision)
    pool.run(task.plan.count, fill)
    for gone in (mask.missing(target), asked.missing(target)):
        if gone is not None:
            for name, result in results.items():
                np.copyto(result, result.dtype.type(missing_value(card, name)), where=gone)
    return results


def _decided(
    name: Output, scores: Scores, places: Sequence[tuple[Box, Box]], task: Task
) -> NDArray[Any]:
    """What the pixels of some windows are; scores that are none are told with their place."""
    try:
        return decide(name, scores, task.segmenter.card)
    except NonsenseError as error:
        window, *inside = error.place
        row, column = (
            box.start + each - inner.start
            for box, inner, each in zip(*places[window], inside, strict=True)
        )
        lower = task.running.precision in ("bf16", "fp16")
        remedy = "choose --precision fp32" if lower else "its weights are damaged: train it anew"
        raise UserError(
            f"{error} in row {row}, column {column} of the image; {remedy}, or choose another model"
        ) from error


def _nothing(card: Card, output: Output, shape: tuple[int, int]) -> NDArray[Any]:
    full = (len(card.classes), *shape) if output == "scores" else shape
    return np.full(full, missing_value(card, output), dtype_of(card, output))


@dataclass(frozen=True)
class Mask:
    """Where the image has data, or is asked for, on its own grid; None for everywhere."""

    valid: NDArray[np.bool_] | None
    box: Box

    @classmethod
    def of(cls, part: Part, card: Card) -> Mask:
        """The mask of a part by the no-data policy of a card."""
        valid = part.native.valid(card.nodata)
        return cls(valid, part.native.box)

    @classmethod
    def asked(cls, scene: Scene, box: Box) -> Mask:
        """The pixels of a box that are asked for."""
        drawn = None if scene.area is None else scene.area.drawn(box)
        return cls(None if drawn is None or drawn.all() else drawn, box)

    def any(self, box: Box) -> bool:
        """Whether there is data in a box."""
        return self.valid is None or bool(self.valid[relative(box, self.box)].any())

    def missing(self, box: Box) -> NDArray[np.bool_] | None:
        """Where there is no data in a box, shape (rows, columns); None for nowhere."""
        if self.valid is None:
            return None
        return ~self.valid[relative(box, self.box)]


@dataclass(frozen=True)
class Work:
    """A block at work: its pixels, where they are missing or asked for, its device."""

    task: Task
    block: Block
    part: Part
    segmenter: Segmenter
    mask: Mask
    asked: Mask

    @property
    def plan(self) -> Plan:
        """The plan of the task."""
        return self.task.plan

    def has_data(self, window: Box) -> bool:
        """Whether a window holds any data; one without is not worth running."""
        return self.mask.any(self.task.scene.native_box(window))

    def is_asked_for(self, place: tuple[int, int]) -> bool:
        """Whether pixels that are asked for depend on the window in a row and column."""
        if self.asked.valid is None:
            return True
        reached = self.plan.rows.reached(place[0]), self.plan.columns.reached(place[1])
        shared = common(reached, self.asked.box)
        return shared is not None and self.asked.any(shared)

    def logits(self, windows: Sequence[Box]) -> Tensor:
        """Scores before softmax (window, class, rows, columns) of windows of one size.

        As many are run together as memory takes; where it does not take one, that is cut in two.
        """
        pixels = len(windows) * prod(box_shape(windows[0]))
        limit = self.task.limit
        if pixels <= limit.pixels:
            try:
                return self._run(windows)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                limit.pixels = min(limit.pixels, pixels // 2)
        if len(windows) == 1:
            return self._in_two(windows[0])
        half = len(windows) // 2
        return torch.cat([self.logits(windows[:half]), self.logits(windows[half:])])

    def _run(self, windows: Sequence[Box]) -> Tensor:
        # A processor gains nothing from batches, and sums in another order for each size of batch:
        # one window at a time, scores are the same to the last bit however windows are grouped.
        size = 1 if self.segmenter.device.type == "cpu" else len(windows)
        made = batches(((self.part, window) for window in windows), size)
        scores = [self.segmenter.logits(batch.pixels, batch.nodata) for batch in made]
        return scores[0] if len(scores) == 1 else torch.cat(scores)

    def _in_two(self, window: Box) -> Tensor:
        """Scores of a window from its halves, which overlap by what is cut off of windows."""
        dim = int(np.argmax(box_shape(window)))
        span, cut, stride = window[dim], self.plan.rows.cut, self.segmenter.card.stride
        middle = span.start + -(-(span.stop - span.start) // (2 * stride)) * stride
        shared = grown(cut or 0, stride)
        halves = slice(span.start, middle + shared), slice(middle - shared, span.stop)
        if cut is None or halves[0].stop >= span.stop or halves[1].start <= span.start:
            rows, columns = box_shape(window)
            raise UserError(
                f"there is no memory for a window of {rows} x {columns} pixels; choose a smaller "
                "one (--window), or the processor (--device cpu)"
            )
        first, second = (
            self.logits([(own, window[1]) if dim == 0 else (window[0], own)]) for own in halves
        )
        kept = first.narrow(dim + 2, 0, middle - span.start)
        return torch.cat([kept, second.narrow(dim + 2, shared, span.stop - middle)], dim + 2)

    def batched(self, places: Iterator[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        """Places of windows that are worth running, as many at a time as run together."""
        wanted = (
            place
            for place in places
            if self.is_asked_for(place) and self.has_data(self.window(place))
        )
        while chosen := list(islice(wanted, self.task.batch_size)):
            yield chosen

    def window(self, place: tuple[int, int]) -> Box:
        """The network pixels of the window in a row and column of windows."""
        return self.plan.windows.span(0, place[0]), self.plan.windows.span(1, place[1])


def is_out_of_memory(error: Exception) -> bool:
    """Whether torch or numpy asked for more memory than there is."""
    kinds = MemoryError, torch.OutOfMemoryError
    said = str(error)  # of kinds of their own for processors and Apple's GPUs
    return isinstance(error, kinds) or "can't allocate memory" in said or "out of memory" in said


Piece = tuple[list[tuple[Box, Box]], Scores]
"""Of each window: image pixels, where they lie in its scores; and the scores of all of them."""


def _cropped(work: Work) -> Iterator[Piece]:
    """The cores of windows that hold data, as many at a time as run together."""
    plan, block = work.plan, work.block
    places = product(plan.rows.members(block.row), plan.columns.members(block.column))
    for chosen in work.batched(places):
        windows = [work.window(place) for place in chosen]
        scores = work.logits(windows)
        cores = [(plan.rows.core(row), plan.columns.core(column)) for row, column in chosen]
        if work.task.scene.is_zoomed:
            yield from _zoomed_back(plan, windows, cores, scores)
        else:
            inner = [relative(c, w) for c, w in zip(cores, windows, strict=True)]
            rows, columns = (_union(spans) for spans in zip(*inner, strict=True))
            targets = [(plan.rows.output(c[0]), plan.columns.output(c[1])) for c in cores]
            places_in = [
                (target, relative(_inside(own, target), (rows, columns)))
                for target, own in zip(targets, inner, strict=True)
            ]
            yield places_in, Scores(scores[..., rows, columns], True)


def _zoomed_back(
    plan: Plan, windows: Sequence[Box], cores: Sequence[Box], scores: Tensor
) -> Iterator[Piece]:
    """Probabilities, for logits must not be resampled, on the image's pixels."""
    for window, core, own in zip(windows, cores, scores, strict=True):
        kept = plan.rows.widened(core[0]), plan.columns.widened(core[1])
        target = plan.rows.output(core[0]), plan.columns.output(core[1])
        rows, columns = relative(kept, window)
        back = _back(plan, own[:, rows, columns].softmax(0), kept, target)
        yield [(target, _whole(target))], Scores(back[None], False)


def _union(spans: Sequence[slice]) -> slice:
    return slice(min(each.start for each in spans), max(each.stop for each in spans))


def _whole(box: Box) -> Box:
    """A box counted from its own first pixel."""
    return relative(box, box)


def _inside(box: Box, target: Box) -> Box:
    """The first pixels of a box, as many as there are in a target: cores end with the lattice."""
    rows, columns = (
        slice(own.start, own.start + wanted.stop - wanted.start)
        for own, wanted in zip(box, target, strict=True)
    )
    return rows, columns


def _blended(work: Work) -> Iterator[Piece]:
    """Weighted means of overlapping windows, finished from top to bottom.

    Only the rows that later windows still add to are kept, so memory follows the width of the block
    and the height of a window, not the area of the block.
    """
    plan, (hull_rows, columns) = work.plan, work.plan.hull(work.block)
    target = plan.output(work.block)
    weights = _weights(plan, work.segmenter.device)
    sums = _Sums(work, hull_rows.start, columns, weights)
    done = target[0].start
    rows = plan.rows.evaluated(work.block.row)
    for row in rows:
        span = plan.windows.span(0, row)
        _add_row(work, row, sums.rows(span), columns.start, weights)
        last = row == rows[-1]
        final = span.stop if last else plan.windows.span(0, row + 1).start
        stop = plan.rows.output(slice(0, max(final - plan.margin, 0))).stop
        ready = slice(done, target[0].stop if last else min(max(stop, done), target[0].stop))
        if ready.stop > ready.start:
            box, scores = sums.scores(span.stop)
            own = (ready, target[1])
            yield [(own, _whole(own))], Scores(_back(plan, scores, box, own)[None], False)
        sums.drop(final - 2 * plan.margin)
        done = ready.stop


class _Sums:
    """Weighted scores added up, and in the last channel the weights: some rows of a block."""

    def __init__(self, work: Work, top: int, columns: slice, weights: Tensor) -> None:
        self._top, self._columns = top, columns
        classes, step = len(work.segmenter.card.classes), work.plan.windows.stride[0]
        height = weights.shape[0] + step + 2 * work.plan.margin
        width = columns.stop - columns.start
        self._sums = torch.zeros(classes + 1, height, width, device=weights.device)
        # The largest sum is that of the highest mean, and classes need no more than that.
        self._is_enough = work.task.outputs == ("classes",) and not work.task.scene.is_zoomed

    def rows(self, span: slice) -> Tensor:
        """The sums of a span of rows, to be added to."""
        return self._sums[:, span.start - self._top : span.stop - self._top]

    def scores(self, bottom: int) -> tuple[Box, Tensor]:
        """Means, or where these are enough sums, of the rows above one, and where they lie."""
        own = self._sums[:, : bottom - self._top]
        if not self._is_enough:
            own = own[:-1] / own[-1].clamp_min(torch.finfo(torch.float32).tiny)
        return (slice(self._top, bottom), self._columns), own[: len(self._sums) - 1]

    def drop(self, top: int) -> None:
        """Forget the rows above one, and move the others up."""
        step = max(top - self._top, 0)
        height = self._sums.shape[1]
        for start in range(0, height if step else 0, max(step, 1)):
            moved = self._sums[:, start + step : start + 2 * step]
            self._sums[:, start : start + moved.shape[1]] = moved
            self._sums[:, start + moved.shape[1] : start + step] = 0
        self._top += step


def _add_row(work: Work, row: int, sums: Tensor, left: int, weights: Tensor) -> None:
    """Add a row of windows to their sums, shape (class + 1, rows, columns)."""
    places = ((row, column) for column in work.plan.columns.evaluated(work.block.column))
    for chosen in work.batched(places):
        windows = [work.window(place) for place in chosen]
        for window, scores in zip(windows, work.logits(windows).softmax(1), strict=True):
            under = sums[:, :, window[1].start - left : window[1].stop - left]
            under[:-1].addcmul_(scores, weights)
            under[-1] += weights


def _weights(plan: Plan, device: torch.device) -> Tensor:
    rows, columns = plan.windows.size
    if plan.blend == "mean":
        return torch.ones(rows, columns, device=device)
    return torch.from_numpy(np.outer(hann(rows), hann(columns))).to(device)


def _back(plan: Plan, scores: Tensor, box: Box, target: Box) -> Tensor:
    """Scores on the network's pixels of `box` brought to the image's pixels of `target`."""
    for dim, axis in enumerate((plan.rows, plan.columns)):
        if axis.resampling.is_identity:
            start = target[dim].start - box[dim].start
            scores = scores.narrow(dim + 1, start, target[dim].stop - target[dim].start)
        else:
            way = axis.resampling.inverse
            scores = resampled(scores, way, dim + 1, target[dim], box[dim])
    return scores
