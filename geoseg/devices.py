"""Devices by name, and a pool that hands one to one block at a time while others read or write."""

from __future__ import annotations

import math
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import torch

from geoseg.allocator import in_kept_memory
from geoseg.errors import UserError
from geoseg.segmenter import Segmenter

__all__ = [
    "Capacity",
    "DevicePool",
    "Room",
    "capacity_of",
    "find_devices",
    "find_precision",
    "pool_for",
    "room_of",
]

Result = TypeVar("Result")

KINDS = ("cpu", "cuda", "mps")
STREAMS = 2  # blocks at a time on a GPU: while one is computed, the other is sent or fetched
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def find_devices(names: str) -> tuple[torch.device, ...]:
    """Devices by name.

    Parameters
    ----------
    names : str
        ``auto`` (the first GPU, else the processor), ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or
        several separated by commas.

    Raises
    ------
    UserError
        When a device is unknown or not there.
    """
    return tuple(_find(name.strip()) for name in names.split(","))


def _find(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in KINDS:
        raise UserError(f"device {name!r} is unknown; choose auto, cpu, cuda, cuda:N or mps")
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise UserError(
            f"device {name!r} is not there: torch sees {count} GPUs; choose auto or cpu"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("device 'mps' is not there; choose auto or cpu")
    return device


def find_precision(name: str) -> str:
    """The precision to run in; ``auto`` is fp32, in which tiling is exact."""
    if name not in PRECISIONS:
        raise UserError(f"precision {name!r} is unknown; choose one of {', '.join(PRECISIONS)}")
    return "fp32" if name == "auto" else name


@lru_cache
def cores() -> int:
    """Threads that torch was set to use when geoseg first asked."""
    return torch.get_num_threads()


@dataclass(frozen=True)
class Capacity:
    """What a process that works on blocks has.

    Parameters
    ----------
    kind : {"cpu", "cuda", "mps"}
        Of its first device.
    crew : int
        Blocks that are worked on at once: some on each GPU, one on each core of a processor.
    spare : int
        Threads for other work than that of networks: all where GPUs do it, else one.
    tensors : float
        Bytes that the tensors of one block at work may take.
    hands : int
        Blocks that are worked on at once by it and by all processes beside it.
    """

    kind: str
    crew: int
    spare: int
    tensors: float
    hands: int


@dataclass(frozen=True)
class Room:
    """What the devices of a process have, whatever part of the host's memory it may use.

    Parameters
    ----------
    kind, crew, spare
        As of `Capacity`.
    each : float
        Bytes that GPUs have for the tensors of one block at work; infinite where there are none.
    on_host : bool
        Whether some blocks are worked on in the host's memory.
    """

    kind: str
    crew: int
    spare: int
    each: float
    on_host: bool

    def within(self, host: int) -> Capacity:
        """The capacity where so many bytes of the host's memory may be used."""
        most = host / 2 / self.crew if self.on_host else math.inf
        return Capacity(self.kind, self.crew, self.spare, min(self.each, most), self.crew)


def capacity_of(devices: str, host: int) -> Capacity:
    """What this process has.

    Parameters
    ----------
    devices : str
        As for `find_devices`.
    host : int
        Bytes of the host's memory that may be used: half of it is for tensors.
    """
    return room_of(devices).within(host)


def room_of(devices: str) -> Room:
    """What the devices of this process have.

    Of a GPU's memory it is half of what is free, rounded down to a power of two, so that a run that
    is taken up again finds the same.
    """
    found = find_devices(devices)
    kinds, crew = [device.type for device in found], sum(map(_places, found))
    each = [math.inf]
    for device in found:
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            # What torch holds and does not use is free as well.
            free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            each.append((1 << max(free.bit_length() - 1, 0)) / 2 / STREAMS)
    spare = 1 if "cpu" in kinds else cores()
    return Room(kinds[0], crew, spare, min(each), on_host=set(kinds) != {"cuda"})


def _places(device: torch.device) -> int:
    return {"cpu": cores(), "cuda": STREAMS, "mps": 1}[device.type]


class DevicePool:
    """A model on each device, lent to as many blocks as it takes at once: see `Capacity`.

    A window on one core needs no other core to wait for: two cores with a window each are faster
    than two that share one.

    Parameters
    ----------
    segmenter : Segmenter
    devices : str
        As for `find_devices`.
    precision : str
        As for `find_precision`.
    """

    def __init__(self, segmenter: Segmenter, devices: str, precision: str) -> None:
        chosen = find_precision(precision)
        self._free: queue.SimpleQueue[tuple[Segmenter, Any]] = queue.SimpleQueue()
        for device in find_devices(devices):
            there = segmenter.on(device, chosen)
            for _ in range(_places(device)):
                stream: Any = None
                if device.type == "cuda":
                    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
                self._free.put((there, stream))
            if device.type == "cuda":  # the weights are there before any stream wants them
                torch.cuda.synchronize(device)

    def run(self, blocks: int, work: Callable[[Segmenter], Result]) -> Result:
        """Wait for a device, and do the work of a block with it.

        Parameters
        ----------
        blocks : int
            How many there are in all: where they are fewer than cores, each gets several.
        work : callable
            Is given the model on that device.
        """

        def working() -> Result:
            with self._lend(blocks) as segmenter:
                return work(segmenter)

        return in_kept_memory(working)

    @contextmanager
    def _lend(self, blocks: int) -> Iterator[Segmenter]:
        segmenter, stream = self._free.get()
        try:
            if segmenter.device.type == "cpu":
                torch.set_num_threads(max(cores() // max(blocks, 1), 1))
            with nullcontext() if stream is None else torch.cuda.stream(stream):
                yield segmenter
        finally:
            if segmenter.device.type == "cpu":
                torch.set_num_threads(cores())
            self._free.put((segmenter, stream))


POOLS = 8  # kept: of models and precisions that are used in turn
_pools: OrderedDict[tuple[object, ...], DevicePool] = OrderedDict()
_building = threading.Lock()


def pool_for(segmenter: Segmenter, devices: str, precision: str) -> DevicePool:
    """The pool of this process for a model, made anew when its weights have changed."""
    key = (segmenter, segmenter.state, devices, precision)
    with _building:
        if key not in _pools:
            _pools[key] = DevicePool(segmenter, devices, precision)
            while len(_pools) > POOLS:
                _pools.popitem(last=False)
        _pools.move_to_end(key)
        return _pools[key]
