"""One run on several devices: as many processes, each of which learns from its share of a batch.

They are started by torch itself, which tells each its place::

    torchrun --nproc-per-node 2 -m geoseg train unet --data DATA --out model.safetensors

Gradients are averaged over the processes (torch's DistributedDataParallel), so all of them hold the
same weights; the first one alone scores, saves and tells.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from geoseg.errors import UserError

__all__ = ["Group", "joined"]


@dataclass(frozen=True)
class Group:
    """The processes of a run, as one of them sees it.

    Parameters
    ----------
    rank, size : int
        Which one this is, from 0, and how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that scores, saves and tells."""
        return self.rank == 0

    def own(self, device: torch.device) -> torch.device:
        """The device of this process: each has a GPU of its own."""
        if device.type == "cuda" and self.size > 1:
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", self.rank)))
        return device

    def share_of(self, batch: int) -> slice:
        """Which windows of a batch this process learns from.

        Raises
        ------
        UserError
            When they cannot be shared out evenly.
        """
        if batch % self.size:
            raise UserError(
                f"a batch of {batch} windows cannot be shared out among {self.size} processes; set "
                f"batch to a multiple of {self.size}"
            )
        return slice(self.rank, batch, self.size)

    def wrap(self, net: nn.Module) -> nn.Module:
        """The network whose gradients are those of the whole batch."""
        if self.size == 1:
            return net
        if next(net.parameters()).is_cuda:  # torch has no such layer for a processor
            net = nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(net)


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """Join the processes that torch started for this run; alone where it started none."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Group()
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
