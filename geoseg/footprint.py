"""How much memory a network takes, measured on the network itself, and how much there is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._pytree import tree_leaves

from geoseg.errors import UserError
from geoseg.windows import grown

__all__ = ["bytes_per_pixel", "half", "memory_budget"]

SIDE = 256  # pixels of the probe, or a little more: large beside the halo of most nets
MOST = 4 << 30  # bytes; more makes nothing faster
LEAST = 1 << 28
CONTROL_GROUPS = (  # folder, limit and use, of the second and of the first version
    ("/sys/fs/cgroup", "memory.max", "memory.current"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
)
UNSEEN = 1.25  # allows for tensors between layers, such as what is interpolated


def bytes_per_pixel(net: nn.Module, bands: int, stride: int = 1) -> float:
    """Bytes that are held at once, at most, for each pixel of a window.

    The network is run once over a small window. Before and after each of its layers the tensors
    that are still referred to are added up.

    Parameters
    ----------
    net : Module
        ``(B, bands, h, w) -> (B, K, h, w)`` in eval mode.
    bands : int
        Input channels.
    stride : int
        Rows and columns are a multiple of it.

    Returns
    -------
    float
        For a float32 window, its input and its scores included; its weights are not.
    """
    live, device = _Live(), next((each.device for each in net.parameters()), None)
    side = grown(SIDE, stride)
    layers = [each for each in net.modules() if not any(each.children())]
    hooks = [layer.register_forward_hook(live.look) for layer in layers]
    try:
        with torch.inference_mode():
            scores = net(torch.zeros(1, bands, side, side, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    least = 4.0 * (bands + 2 * scores.shape[1])  # what a network without layers holds, for one
    return float(max(UNSEEN * live.peak / side**2, least))


class _Live:
    """Adds up the memory of tensors that are in use."""

    def __init__(self) -> None:
        self.peak = 0
        self._held: dict[int, tuple[StorageWeakRef, int]] = {}

    def look(self, layer: nn.Module, given: Any, result: Any) -> None:
        """Count what a layer was given and gave, and what is left of earlier ones."""
        # A storage that was given up may have had the address of a new one.
        held = {k: v for k, v in self._held.items() if not v[0].expired()}  # type: ignore[no-untyped-call]
        for tensor in tree_leaves((given, result)):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                held[reference.cdata] = reference, storage.nbytes()
        self.peak = max(self.peak, sum(size for _, size in held.values()))
        self._held = held


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
    return min(max(half(_free()), LEAST), MOST)


def half(size: int) -> int:
    """Half of so many bytes, rounded down to a power of two."""
    return 1 << (max(size // 2, 1).bit_length() - 1)


def _free() -> int:
    """Free bytes, of the machine and of the container that this may be."""
    return min([_free_in_machine(), *_free_in_container()])


def _free_in_container() -> list[int]:
    """What a control group leaves of its limit, if there is one."""
    found = []
    for folder, most, used in CONTROL_GROUPS:
        try:
            limit, now = (int(Path(folder, name).read_text()) for name in (most, used))
        except (OSError, ValueError):  # there is none, or it is "max"
            continue
        found.append(max(limit - now, 0))
    return found


def _free_in_machine() -> int:
    """Free bytes, with what the system keeps of files and can do without."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvail"))
    except (OSError, StopIteration):
        pass
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return MOST
