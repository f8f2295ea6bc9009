"""One prediction planned: what runs where, in windows and blocks that fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isqrt, prod
from typing import get_args

from geoseg.card import Card
from geoseg.decisions import Output
from geoseg.devices import at_once, find_devices, find_precision, tensor_memory
from geoseg.errors import UserError
from geoseg.footprint import bytes_per_pixel, memory_budget
from geoseg.loader import Scene
from geoseg.plan import BLOCK, Plan, Room, Tiling, make_plan
from geoseg.segmenter import Segmenter

__all__ = ["Running", "Task", "make_task"]

SHARES = 4  # windows that a raster has at least, unless it is small
SMALL = 2**20  # pixels
LEAST_BLOCK = 512  # pixels a side
BLOCKS = {"cpu": BLOCK, "cuda": 4096, "mps": BLOCK}  # pixels a side: a GPU takes ms for a small one
BATCH_PIXELS = {"cpu": 1, "cuda": 2**23, "mps": 2**21}  # of a batch; more only costs memory


@dataclass(frozen=True)
class Running:
    """Where and how windows are run: devices, precision, windows together."""

    device: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None

    def __post_init__(self) -> None:
        find_devices(self.device)
        find_precision(self.precision)
        if self.batch_size is not None and self.batch_size < 1:
            raise UserError(f"batch size {self.batch_size} must be 1 or more, or auto")


@dataclass
class Limit:
    """Pixels that are run together at most: less once memory ran out; the same for all blocks."""

    pixels: float = float("inf")


@dataclass(frozen=True)
class Task:
    """Everything that the blocks of one prediction have in common.

    Parameters
    ----------
    scene : Scene
    segmenter : Segmenter
    outputs : tuple of str
    plan : Plan
    running : Running
    room : float
        Pixels of windows that a device has memory for at a time.
    limit : Limit
        How many were found to be too many.
    """

    scene: Scene
    segmenter: Segmenter
    outputs: tuple[Output, ...]
    plan: Plan
    running: Running
    room: float
    limit: Limit = field(default_factory=Limit, compare=False, repr=False)

    @property
    def batch_size(self) -> int:
        """Windows run together."""
        if self.running.batch_size is not None:
            return self.running.batch_size
        kind = find_devices(self.running.device)[0].type
        rows, columns = self.plan.windows.size
        return max(1, int(min(BATCH_PIXELS[kind], self.room)) // (rows * columns))


def make_task(
    scene: Scene,
    segmenter: Segmenter,
    outputs: Sequence[Output],
    tiling: Tiling,
    running: Running,
    memory: int | None = None,
) -> Task:
    """Plan a prediction; see `predict`.

    Parameters
    ----------
    scene, segmenter, outputs, tiling, running
    memory : int, optional
        Bytes that blocks at work may take; by default what `memory_budget` gives.
    """
    for output in outputs:
        if output not in get_args(Output):
            raise UserError(
                f"output {output!r} is unknown; choose one of {', '.join(get_args(Output))}"
            )
    budget = memory_budget(memory)
    each = bytes_per_pixel(segmenter.net, segmenter.channels, segmenter.card.stride)
    room = tensor_memory(running.device, budget) / each
    fitted = _fitted(scene, segmenter, outputs, tiling, running, budget, room)
    plan = make_plan(scene.axes, segmenter.card, fitted)
    return Task(scene, segmenter, tuple(outputs), plan, running, room)


def _fitted(
    scene: Scene,
    segmenter: Segmenter,
    outputs: Sequence[Output],
    tiling: Tiling,
    running: Running,
    memory: int,
    room: float,
) -> Tiling:
    """The tiling whose windows and blocks fit into memory.

    Half of it is for the tensors of windows at work, a fourth for blocks: those at work, one that
    is read ahead and one that is written; the rest for what reads and writes files. Blended windows
    do not grow, so blended blocks may have more: two fifths, for blocks of many sizes leave gaps
    in memory that are half as large again.
    """
    crew, card = at_once(running.device), segmenter.card
    # The first touch of memory takes time as well, so a raster is not worth one huge window.
    window = min(room, max(prod(scene.shape) / SHARES, SMALL))
    held = _bytes_held(scene, card, outputs) * (crew + 2)
    side = tiling.window or card.window
    # Of a window and a stride more, and once more where they are divided by their weights.
    copies = 1 if tuple(outputs) == ("classes",) else 2
    sums = 4.0 * (len(card.classes) + 1) * 1.5 * side * copies * crew
    # What windows of a given side leave of the room for tensors, which is half of the memory.
    left = max(0.4 - 0.5 * side**2 / room, 0.25) * memory
    tiling = replace(tiling, pixels=int(window), room=Room(left, held, sums), crew=crew)
    if tiling.block is not None or tiling.blending(card) != "crop":
        return tiling
    zoom = max(axis.size / axis.length for axis in scene.axes)
    # A small raster is cut as well: there is work for all, and something to write before the end.
    own = isqrt(prod(scene.image.shape[1:]) // (SHARES * crew))
    most = BLOCKS[find_devices(running.device)[0].type]
    block = min(most, int(isqrt(int(memory / 4 / held)) / max(zoom, 1.0)), max(own, LEAST_BLOCK))
    return replace(tiling, block=max(block, 1))


def _bytes_held(scene: Scene, card: Card, outputs: Sequence[Output]) -> int:
    """Bytes of a block for each of its pixels, beside the tensors of its windows."""
    read = scene.image.dtype.itemsize + (4 if scene.is_zoomed else 0)
    # As they are made and as they are stored; and one that tells what is missing, and
    # where a part is asked for one more.
    made = sum(
        5 * len(card.classes) if each == "scores" else 2 if each == "classes" else 5
        for each in outputs
    )
    told = 1 if scene.area is None else 2
    return len(card.bands) * read + made + told
