"""Which windows, cut how, in which blocks: integers only, so it is tested without file or network.

The lattice of windows belongs to the raster. Blocks only group its windows into tasks, so the map
does not depend on how they are grouped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil, isqrt
from typing import Literal, get_args

from geoseg.card import Card
from geoseg.errors import UserError
from geoseg.resample import Resampling
from geoseg.windows import Box, Windows, grown

__all__ = ["Blend", "Block", "Plan", "Tiling", "make_plan"]

Blend = Literal["crop", "hann", "mean"]

BLOCK = 1536  # output pixels a side: a task of a second on a CPU, 4,356 for 100,000 x 100,000
WORTH = 50  # overlaps: a window of 50 of them computes (50 / 49)^2 = 1.04 times its own pixels
SLACK = 1.03  # times the least time that smaller blocks may take
MORE = 4  # windows along an axis beyond the fewest that are tried


@dataclass(frozen=True)
class Room:
    """Memory that a blended block may take.

    Parameters
    ----------
    total : float
        Bytes.
    area, width : float
        Bytes it takes for each pixel that it reads, and for each column of these.
    """

    total: float = 2**30
    area: float = 24.0
    width: float = 2**16

    def rows(self, columns: int) -> int:
        """Rows of pixels that fit beside so many columns."""
        return int((self.total - self.width * columns) / (self.area * columns))


@dataclass(frozen=True)
class Tiling:
    """How the user wants the windows laid.

    Parameters
    ----------
    window : int, optional
        Side in the network's pixels; by default what the card recommends, or more (see `pixels`).
    halo : int, optional
        Pixels cut off each side; by default the card's, measured, halo.
    blend : {"crop", "hann", "mean"}, optional
        Keep each window's core, or average overlapping windows with Hann or equal weights. By
        default crop, and hann for networks without a halo.
    stride : int, optional
        Pixels from one blended window to the next; by default half a window.
    block : int, optional
        Side of a block in output pixels, roughly; by default `BLOCK`, or what takes least time.
    pixels : int, optional
        Pixels of the largest window that memory has room for. Cropped windows whose size was not
        asked for grow up to it, while their halos are worth saving, and are made equal.
    room : Room
        Blended blocks are made to fit into it.
    crew : int
        Windows that are run at a time, wherever.
    """

    window: int | None = None
    halo: int | None = None
    blend: Blend | None = None
    stride: int | None = None
    block: int | None = None
    pixels: int | None = None
    room: Room = Room()
    crew: int = 1

    def blending(self, card: Card) -> Blend:
        """How windows are put together: as asked for, else cropped where a halo makes that exact.

        Raises
        ------
        UserError
            When it is unknown, or takes no stride though one is asked for.
        """
        blend = self.blend or ("hann" if card.halo is None else "crop")
        if blend not in get_args(Blend):
            raise UserError(
                f"blend {blend!r} is unknown; choose one of {', '.join(get_args(Blend))}"
            )
        if blend == "crop" and self.stride is not None:
            raise UserError(
                f"stride {self.stride} is for blended windows; cropped ones follow from window and "
                "halo: leave it out or choose blend hann or mean"
            )
        return blend


@dataclass(frozen=True)
class Axis:
    """Rows, or columns, of the plan: windows `first` to `last` of each block and what they write.

    Parameters
    ----------
    index : int
        0 for rows, 1 for columns.
    windows : Windows
    resampling : Resampling
        From the image's grid to the network's.
    cut : int or None
        Pixels cut off each window; None when windows are blended.
    margin : int
        Network pixels beyond its core that the way back to the image's grid needs.
    per_block : int
        Windows a block answers for.
    """

    index: int
    windows: Windows
    resampling: Resampling
    cut: int | None
    margin: int
    per_block: int

    @property
    def count(self) -> int:
        """Number of blocks."""
        return ceil(self.windows.counts[self.index] / self.per_block)

    def members(self, block: int) -> range:
        """The windows that a block answers for."""
        start = block * self.per_block
        return range(start, min(start + self.per_block, self.windows.counts[self.index]))

    def core(self, window: int) -> slice:
        """The network pixels that a window answers for; cores partition the axis."""
        size = self.resampling.size
        if self.cut is not None:
            core = self.windows.core(self.index, window, self.cut)
            return slice(core.start, min(core.stop, size))
        last = window == self.windows.counts[self.index] - 1
        stop = size if last else self.windows.span(self.index, window + 1).start
        return slice(self.windows.span(self.index, window).start, stop)

    def span(self, block: int) -> slice:
        """The network pixels that a block answers for."""
        members = self.members(block)
        return slice(self.core(members[0]).start, self.core(members[-1]).stop)

    def widened(self, span: slice) -> slice:
        """A span of network pixels with the margin around it."""
        size = self.windows.shape[self.index]
        return slice(max(span.start - self.margin, 0), min(span.stop + self.margin, size))

    def output(self, span: slice) -> slice:
        """The image pixels that a span of network pixels is answerable for."""
        back = self.resampling.inverse
        ends = self.resampling.size, self.resampling.length
        start, stop = (
            ends[1] if edge == ends[0] else back.border(edge) for edge in (span.start, span.stop)
        )
        return slice(start, stop)

    def evaluated(self, block: int) -> range:
        """The windows a block must run: its own and, when blended, those that reach into it."""
        members = self.members(block)
        if self.cut is not None:
            return members
        reach = self.widened(self.span(block))
        first, last = members[0], members[-1]
        while first > 0 and self.windows.span(self.index, first - 1).stop > reach.start:
            first -= 1
        while (
            last + 1 < self.windows.counts[self.index]
            and self.windows.span(self.index, last + 1).start < reach.stop
        ):
            last += 1
        return range(first, last + 1)

    def reached(self, window: int) -> slice:
        """The image pixels that depend on a window."""
        if self.cut is not None:
            return self.output(self.core(window))
        span = self.widened(self.windows.span(self.index, window))
        return self.output(slice(span.start, min(span.stop, self.resampling.size)))

    def hull(self, block: int) -> slice:
        """The network pixels that a block reads."""
        windows = self.evaluated(block)
        start = self.windows.span(self.index, windows[0]).start
        return slice(start, self.windows.span(self.index, windows[-1]).stop)


@dataclass(frozen=True)
class Block:
    """One task: row and column of blocks."""

    row: int
    column: int

    def __str__(self) -> str:
        return f"block {self.row},{self.column}"


@dataclass(frozen=True)
class Plan:
    """Which windows, cut how, in which blocks.

    Parameters
    ----------
    rows, columns : Axis
    blend : {"crop", "hann", "mean"}
    """

    rows: Axis
    columns: Axis
    blend: Blend

    @property
    def windows(self) -> Windows:
        """The lattice over the network's grid, grown to a multiple of the stride."""
        return self.rows.windows

    @property
    def margin(self) -> int:
        """Network pixels around a core that the way back to the image's grid needs."""
        return self.rows.margin

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        return self.rows.count, self.columns.count

    @property
    def count(self) -> int:
        """Number of blocks."""
        return self.rows.count * self.columns.count

    @property
    def chunks(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Output rows of each row of blocks, output columns of each column of blocks."""
        rows, columns = (
            tuple(
                span.stop - span.start
                for span in (axis.output(axis.span(i)) for i in range(axis.count))
            )
            for axis in (self.rows, self.columns)
        )
        return rows, columns

    def blocks(self) -> Iterator[Block]:
        """All blocks, row by row."""
        return (Block(r, c) for r in range(self.rows.count) for c in range(self.columns.count))

    def output(self, block: Block) -> Box:
        """The image pixels that a block writes; blocks partition the image."""
        rows = self.rows.output(self.rows.span(block.row))
        return rows, self.columns.output(self.columns.span(block.column))

    def hull(self, block: Block) -> Box:
        """The network pixels that a block reads."""
        return self.rows.hull(block.row), self.columns.hull(block.column)


def make_plan(axes: tuple[Resampling, Resampling], card: Card, tiling: Tiling) -> Plan:
    """Lay windows and blocks over a scene.

    Parameters
    ----------
    axes : tuple of Resampling
        `Scene.axes`: rows and columns, from the image's grid to the network's.
    card : Card
    tiling : Tiling

    Returns
    -------
    Plan

    Raises
    ------
    UserError
        When the window is too small for the halo, or an option does not fit the network.
    """
    blend = tiling.blending(card)
    zoom = max(_zooms(axes))
    zoomed = not all(axis.is_identity for axis in axes)
    margin = ceil(1.5 * max(zoom, 1.0)) + 1 if zoomed else 0
    halo = _halo(card, tiling) if blend == "crop" else 0
    overlap = 2 * (halo + margin)
    shape = grown(axes[0].size, card.stride), grown(axes[1].size, card.stride)
    if blend == "crop" and tiling.window is None and tiling.pixels is not None:
        sides = _fitted(card, shape, overlap, tiling)
    else:
        side = _side(card, tiling, overlap)
        sides = side, side
    if blend != "crop":  # such windows need not lie on the stride's lattice: nothing is mirrored
        shape = max(axes[0].size, min(side, shape[0])), max(axes[1].size, min(side, shape[1]))
    steps = [_step(card, tiling, side, overlap, blend) for side in sides]
    size = min(sides[0], shape[0]), min(sides[1], shape[1])
    windows = Windows(shape, size, (min(steps[0], size[0]), min(steps[1], size[1])))
    if blend == "crop" or tiling.block is not None:
        block = tiling.block or BLOCK
        counts = [max(round(block * z / s), 1) for z, s in zip(_zooms(axes), steps, strict=True)]
    else:
        counts = _blended_block(tiling, windows, margin)
    cut = halo + margin if blend == "crop" else None
    rows, columns = (Axis(i, windows, axes[i], cut, margin, counts[i]) for i in (0, 1))
    return Plan(rows, columns, blend)


def _halo(card: Card, tiling: Tiling) -> int:
    if tiling.halo is not None:
        if tiling.halo < 0:
            raise UserError(f"halo {tiling.halo} must be 0 or more pixels, or auto")
        return tiling.halo
    if card.halo is None:
        raise UserError(
            f"{card.name} looks at its whole window, so no halo is exact; choose one (--halo 64) "
            "or blend hann"
        )
    return card.halo


def _side(card: Card, tiling: Tiling, overlap: int) -> int:
    """Side of a window: a multiple of the stride with a core left when the overlap is cut off."""
    least = grown(overlap + card.stride, card.stride)
    if tiling.window is None:
        return max(grown(card.window, card.stride), least)
    side = grown(tiling.window, card.stride)
    if tiling.window < 1 or side < least:
        raise UserError(
            f"window {tiling.window} leaves no core once {overlap // 2} pixels are cut off each "
            f"side; choose at least {least}"
        )
    return side


def _fitted(card: Card, shape: tuple[int, int], overlap: int, tiling: Tiling) -> tuple[int, int]:
    """Sides of equal windows that cover an image in the shortest time, within ``tiling.pixels``.

    A window of side s does work for s - overlap: from `WORTH` overlaps on, larger ones save nothing
    that counts, and caches like small ones. Below what the card recommends none is made. The time
    is that of the windows one after another, as many at a time as the crew takes.
    """
    pixels = tiling.pixels or 0
    least = _side(card, Tiling(), overlap)
    sides = least, max(min(WORTH * overlap, isqrt(pixels)), least)
    choices = [
        [(n, _even(length, n, overlap, card.stride)) for n in _counts(length, sides, overlap, card)]
        for length in shape
    ]
    allowed = max(pixels, least**2)
    _, _, rows, columns = min(
        (ceil(down * across / tiling.crew) * rows * columns, rows * columns, rows, columns)
        for (down, rows), (across, columns) in product(*choices)
        if rows * columns <= allowed
    )
    return rows, columns


def _counts(length: int, sides: tuple[int, int], overlap: int, card: Card) -> range:
    """Numbers of windows along an axis that are worth a try, for sides from least to most."""
    shared = grown(overlap, card.stride)
    many, few = (
        max(ceil((length - shared) / ((side - shared) // card.stride * card.stride)), 1)
        for side in sides
    )
    return range(max(few - 1, 1), max(few, min(few + MORE, many)) + 1)


def _even(length: int, count: int, overlap: int, stride: int) -> int:
    """Side of a number of equal windows that cover an axis."""
    if count == 1:
        return max(length, grown(overlap, stride) + stride)
    shared = grown(overlap, stride)
    return grown(ceil((length - shared) / count), stride) + shared


def _zooms(axes: tuple[Resampling, Resampling]) -> list[float]:
    """Network pixels per image pixel."""
    return [axis.size / axis.length for axis in axes]


def _step(card: Card, tiling: Tiling, side: int, overlap: int, blend: Blend) -> int:
    if blend == "crop":
        return (side - overlap) // card.stride * card.stride
    step = tiling.stride if tiling.stride is not None else max(side // 2, 1)
    if not 1 <= step <= side:
        raise UserError(f"stride {step} must be 1 to {side}, the side of a window")
    return step


def _blended_block(tiling: Tiling, windows: Windows, margin: int) -> list[int]:
    """Rows and columns of windows that a blended block answers for, so that all take least time.

    A block runs once more the windows that reach into it from its neighbours, so few large blocks
    run fewer; but there should be some for everybody of the crew, and they must fit into memory.
    """
    (down, across), (high, wide) = windows.counts, windows.size
    more = [  # windows that reach in from other blocks
        ceil((side + margin) / step) - 1 + (margin > 0)
        for side, step in zip(windows.size, windows.stride, strict=True)
    ]
    found: list[tuple[float, int, int, int]] = []
    for strips in range(1, across + 1):
        columns = ceil(across / strips)
        width = (columns - 1 + more[1]) * windows.stride[1] + wide
        room = (tiling.room.rows(width) - high) // windows.stride[0] + 1 - more[0]
        least = ceil(down / max(min(room, down), 1))
        if room < 1 and strips < across:
            continue
        for pieces in range(least, min(least + tiling.crew, down) + 1):
            rows = ceil(down / pieces)
            rounds = ceil(ceil(down / rows) * ceil(across / columns) / tiling.crew)
            run = min(rows + more[0], down) * min(columns + more[1], across)
            found.append((rounds * run, rows * columns, rows, columns))
    # Of those that take hardly longer, the smallest: it shows progress, and is less to lose.
    enough = min(found)[0] * SLACK
    _, rows, columns = min(each[1:] for each in found if each[0] <= enough)
    return [rows, columns]
