"""One prediction planned: what runs where, in windows and blocks that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import isqrt, prod
from typing import Any, get_args

from geoseg.card import Card
from geoseg.decisions import Output
from geoseg.devices import Capacity, capacity_of, find_precision
from geoseg.errors import UserError
from geoseg.footprint import bytes_per_pixel, memory_budget
from geoseg.loader import Scene
from geoseg.plan import BLOCK, Block, Plan, Room, Tiling, make_plan
from geoseg.segmenter import Segmenter
from geoseg.windows import Box, box_shape

__all__ = ["Fit", "Running", "Task", "at_once", "make_task"]

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
        find_precision(self.precision)
        if self.batch_size is not None and self.batch_size < 1:
            raise UserError(f"batch size {self.batch_size} must be 1 or more, or auto")


@dataclass(frozen=True)
class Fit:
    """What windows and blocks were made to fit into.

    Parameters
    ----------
    memory : int
        Bytes that blocks at work may take.
    crew : int
        Blocks that are worked on at once in each process.
    tensors : float
        Bytes that the tensors of one of them may take.
    hands : int
        Blocks that are worked on at once in all processes, which there should be enough for.
    """

    memory: int
    crew: int
    tensors: float
    hands: int

    def __post_init__(self) -> None:
        are_counts = all(1 <= each < 2**31 for each in (self.crew, self.hands))
        if not (1 <= self.memory < 2**63 and are_counts and self.tensors > 0):
            raise ValueError(f"{self} is no room for anything")

    @classmethod
    def told(cls, facts: Any) -> Fit | None:
        """What was written as JSON; None where that is something else."""
        try:
            whole = {name: int(facts[name]) for name in ("memory", "crew", "hands")}
            return cls(tensors=float(facts["tensors"]), **whole)
        except (KeyError, TypeError, ValueError, OverflowError):
            return None


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
    kind : {"cpu", "cuda", "mps"}
        Of the devices.
    batch_size : int
        Windows run together.
    fit : Fit
        What the plan was made for.
    crew : int
        Blocks that a process works on at once, at most; see `at_once`.
    limit : Limit
        How many were found to be too many.
    """

    scene: Scene
    segmenter: Segmenter
    outputs: tuple[Output, ...]
    plan: Plan
    running: Running
    kind: str
    batch_size: int
    fit: Fit
    crew: int
    limit: Limit = field(default_factory=Limit, compare=False, repr=False)


def make_task(
    scene: Scene,
    segmenter: Segmenter,
    outputs: Sequence[Output],
    tiling: Tiling,
    running: Running,
    memory: int | None = None,
    capacity: Capacity | None = None,
) -> Task:
    """Plan a prediction; see `predict`.

    Parameters
    ----------
    scene, segmenter, outputs, tiling, running
    memory : int, optional
        Bytes that blocks at work may take; by default what `memory_budget` gives.
    capacity : Capacity, optional
        Of the processes that work on the blocks; by default that of this one.
    """
    for output in outputs:
        if output not in get_args(Output):
            raise UserError(
                f"output {output!r} is unknown; choose one of {', '.join(get_args(Output))}"
            )
    budget = memory_budget(memory)
    each = _bytes_at_work(scene, segmenter)
    has = capacity or capacity_of(running.device, budget)
    room = has.tensors / each
    fitted = _fitted(scene, segmenter, outputs, tiling, has, budget, room)
    plan = make_plan(scene.axes, segmenter.card, fitted)
    size = running.batch_size or max(
        1, int(min(BATCH_PIXELS[has.kind], room)) // prod(plan.windows.size)
    )
    fit = Fit(budget, has.crew, has.tensors, has.hands)
    return Task(scene, segmenter, tuple(outputs), plan, running, has.kind, size, fit, has.crew)


def at_once(task: Task, memory: int, has: Capacity) -> int:
    """Blocks of a plan that fit beside each other into other memory than it was made for.

    Memory is shared out as in planning. None takes more than the share that it was made for.

    Parameters
    ----------
    task : Task
    memory : int
        Bytes that blocks at work may take.
    has : Capacity
        Of the processes that work on the blocks.

    Returns
    -------
    int
        At most as many as processes work on; 0 where there is too little memory for one.
    """
    fit, each = task.fit, _bytes_at_work(task.scene, task.segmenter)
    tensors = min(each * prod(task.plan.windows.size) * task.batch_size, fit.tensors)
    held = min(_bytes_of_block(task), fit.memory / 4 / (fit.crew + 2))
    # Shares are no whole numbers, and a whole number of them may be a little less when multiplied.
    most = int(memory / 4 / held + 1e-6) - 2
    if has.kind != "cuda":  # where windows are halved that are too large
        most = min(most, int(has.tensors * has.crew / tensors + 1e-6))
    return max(min(most, has.crew), 0)


def _bytes_at_work(scene: Scene, segmenter: Segmenter) -> float:
    """Bytes of tensors, at most, for each pixel of a window: in the network or on the way back."""
    card = segmenter.card
    network = bytes_per_pixel(segmenter.net, segmenter.channels, card.stride)
    if not scene.is_zoomed:
        return network
    # Scores of the image's pixels: those so far, those of one tap more, and the sum of both.
    return max(network, 3 * 4.0 * len(card.classes) * _spread(scene))


def _spread(scene: Scene) -> float:
    """Image pixels for each pixel that the network sees."""
    return prod(scene.image.shape[1:]) / prod(scene.shape)


def _bytes_of_block(task: Task) -> float:
    """Bytes that the largest block takes beside the tensors of its windows."""
    plan, card, scene = task.plan, task.segmenter.card, task.scene
    held = _bytes_held(scene, card, task.outputs)
    hull = _largest(plan, plan.hull)
    native = _largest(plan, lambda block: scene.native_box(plan.hull(block)))
    own = _largest(plan, plan.output)
    total = float(held.read * prod(native) + held.seen * prod(hull) + held.made * prod(own))
    if plan.blend != "crop":
        total += _bytes_summed(card, task.outputs, plan.windows.size[0]) * hull[1]
    return total


def _largest(plan: Plan, box_of: Callable[[Block], Box]) -> tuple[int, int]:
    """Most rows, and most columns, of the boxes of blocks."""
    down, across = plan.shape
    rows = max(box_shape(box_of(Block(row, 0)))[0] for row in range(down))
    return rows, max(box_shape(box_of(Block(0, column)))[1] for column in range(across))


def _fitted(
    scene: Scene,
    segmenter: Segmenter,
    outputs: Sequence[Output],
    tiling: Tiling,
    has: Capacity,
    memory: int,
    room: float,
) -> Tiling:
    """The tiling whose windows and blocks fit into memory.

    Half of it is for the tensors of windows at work, a fourth for blocks: those at work, one that
    is read ahead and one that is written; the rest for what reads and writes files. Blended windows
    do not grow, so blended blocks may have more: two fifths, for blocks of many sizes leave gaps
    in memory that are half as large again.
    """
    crew, card = has.crew, segmenter.card
    # The first touch of memory takes time as well, so a raster is not worth one huge window.
    window = min(room, max(prod(scene.shape) / SHARES, SMALL))
    own, spread = _bytes_held(scene, card, outputs), _spread(scene)
    held = (own.read + own.seen / spread + own.made) * (crew + 2)
    side = tiling.window or card.window
    sums = _bytes_summed(card, outputs, side) * crew
    # What windows of a given side leave of the room for tensors, which is half of the memory.
    left = max(0.4 - 0.5 * side**2 / room, 0.25) * memory
    tiling = replace(
        tiling, pixels=int(window), room=Room(left, held * spread, sums), crew=has.hands
    )
    if tiling.block is not None or tiling.blending(card) != "crop":
        return tiling
    # A small raster is cut as well: there is work for all, and something to write before the end.
    share = max(isqrt(prod(scene.image.shape[1:]) // (SHARES * has.hands)), LEAST_BLOCK)
    block = min(BLOCKS[has.kind], isqrt(int(memory / 4 / held)), share)
    return replace(tiling, block=max(block, 1))


def _bytes_summed(card: Card, outputs: Sequence[Output], side: int) -> float:
    """Bytes of the sums of blended windows for each column of a block."""
    # Of a window and a stride more, and once more where they are divided by their weights.
    copies = 1 if tuple(outputs) == ("classes",) else 2
    return 4.0 * (len(card.classes) + 1) * 1.5 * side * copies


@dataclass(frozen=True)
class Held:
    """Bytes of a block, beside the tensors of its windows, for each pixel.

    Parameters
    ----------
    read : int
        Of the image, as it is read.
    seen : int
        Of what the network sees, where that is not what is read.
    made : int
        Of the image, where the block says what it is.
    """

    read: int
    seen: int
    made: int


def _bytes_held(scene: Scene, card: Card, outputs: Sequence[Output]) -> Held:
    """What a block holds beside the tensors of its windows."""
    # As they are made and as they are stored; and one that tells what is missing, and
    # where a part is asked for one more.
    made = sum(
        5 * len(card.classes) if each == "scores" else 2 if each == "classes" else 5
        for each in outputs
    )
    told = 1 if scene.area is None else 2
    bands = len(card.bands)
    seen = 4 * bands if scene.is_zoomed else 0
    return Held(bands * scene.image.dtype.itemsize, seen, made + told)
