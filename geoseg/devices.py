"""Devices by name, and a pool that hands one to one block at a time while others read or write."""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch

from geoseg.errors import UserError
from geoseg.segmenter import Segmenter

__all__ = [
    "DevicePool",
    "at_once",
    "find_devices",
    "find_precision",
    "pool_for",
]

KINDS = ("cpu", "cuda", "mps")
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


def at_once(devices: str) -> int:
    """How many blocks are worked on at once: one on each GPU, one on each core of a processor."""
    return sum(cores() if each.type == "cpu" else 1 for each in find_devices(devices))


class DevicePool:
    """A model on each device, lent to one block at a time; a processor takes one for each core.

    A window on one core needs no other core to wait for: two cores with a window each are faster
    than two that share one.

    Parameters
    ----------
    segmenter : Segmenter
    devices : str
        As for `find_devices`.
    precision : str
        As for `find_precision`.

    Attributes
    ----------
    most : float
        Pixels that were found to fit into memory together.
    """

    def __init__(self, segmenter: Segmenter, devices: str, precision: str) -> None:
        self.most = float("inf")
        chosen = find_precision(precision)
        self._free: queue.SimpleQueue[Segmenter] = queue.SimpleQueue()
        for device in find_devices(devices):
            there = segmenter.on(device, chosen)
            for _ in range(cores() if device.type == "cpu" else 1):
                self._free.put(there)

    @contextmanager
    def lend(self, blocks: int) -> Iterator[Segmenter]:
        """Wait for a device and keep it for the length of a block.

        Parameters
        ----------
        blocks : int
            How many there are in all: where they are fewer than cores, each gets several.
        """
        segmenter = self._free.get()
        try:
            if segmenter.device.type == "cpu":
                torch.set_num_threads(max(cores() // max(blocks, 1), 1))
            yield segmenter
        finally:
            if segmenter.device.type == "cpu":
                torch.set_num_threads(cores())
            self._free.put(segmenter)


POOLS = 2  # kept: a process works with one model, or goes from one to the next
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
