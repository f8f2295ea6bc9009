"""How much memory a network takes, measured on the network itself without computing anything."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from geoseg.errors import UserError

__all__ = ["bytes_per_pixel", "memory_budget"]

SIDE = 256  # pixels of the probe: a multiple of the stride of any net, large beside its halo
MOST = 4 << 30  # bytes; more makes nothing faster
LEAST = 1 << 28
UNKNOWN = 4096.0  # bytes a pixel of a network that cannot be followed: more than usual ones take


def bytes_per_pixel(net: nn.Module, bands: int) -> float:
    """Bytes that are held at once, at most, for each pixel of a window.

    The network is run on the meta device, where tensors have shapes but no values; after each
    operation the tensors that are still referred to are added up.

    Parameters
    ----------
    net : Module
        ``(B, bands, h, w) -> (B, K, h, w)``; it is copied, not changed.
    bands : int
        Input channels.

    Returns
    -------
    float
        For a float32 window, its input and its scores included; its weights are not.
    """
    probe = copy.deepcopy(net).to("meta").eval()
    live = _Live()
    try:
        with torch.no_grad(), live:
            probe(torch.empty(1, bands, SIDE, SIDE, device="meta"))
    except (RuntimeError, NotImplementedError):  # an operation without a meta version
        return UNKNOWN
    return max(live.peak / SIDE**2, 4.0 * bands)


class _Live(TorchDispatchMode):
    """Adds up the memory of tensors that are in use after each operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._held: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        # A storage that was given up may have had the address of a new one.
        self._held = {k: v for k, v in self._held.items() if not v[0].expired()}  # type: ignore[no-untyped-call]
        for tensor in tree_leaves((result, args)):
            if isinstance(tensor, Tensor) and not isinstance(tensor, nn.Parameter):
                reference = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
                self._held[reference.cdata] = reference, tensor.untyped_storage().nbytes()
        self.peak = max(self.peak, sum(size for _, size in self._held.values()))
        return result


def memory_budget(asked: int | None = None) -> int:
    """Bytes that blocks at work may take.

    Parameters
    ----------
    asked : int, optional
        What the user wants. By default half of what is free, rounded down to a power of two, so
        that a run that is taken up again finds the same, from 256 MiB to 4 GiB.

    Raises
    ------
    UserError
        When that is no positive number.
    """
    if asked is not None:
        if asked < 1:
            raise UserError(f"memory {asked} must be a number of bytes, e.g. 4GB")
        return asked
    half = max(_free() // 2, 1)
    return min(max(1 << (half.bit_length() - 1), LEAST), MOST)


def _free() -> int:
    """Free bytes, with what the system keeps of files and can do without."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvail"))
    except (OSError, StopIteration):
        pass
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return MOST
