"""One run on several devices: as many processes, each of which learns from its share of a batch.

They are started by torch itself, which tells each its place::

    torchrun --nproc-per-node 2 -m geoseg train unet --data DATA --out model.safetensors

Gradients are averaged over the processes (torch's DistributedDataParallel), so all of them hold the
same weights; the first one alone scores, saves and tells.

A process takes the loss of its own windows. That of all is the mean, which for a mean over labelled
pixels is what one process finds only where windows have as many of them. Batch statistics are of
all windows on GPUs; on a processor each process has its own, and the model those of the first one:
two processes with a window each learn what one does that takes its batch of two in two parts
(``accumulate=2``), and not what it does with both windows at once.

When a process dies, torch ends the others, and the run can go on from its checkpoint.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from geoseg.errors import UserError

__all__ = ["Group", "joined", "leads", "refuse_several"]

PATIENCE = timedelta(days=1)  # while the first process scores, the others wait


@dataclass(frozen=True)
class Group:
    """The processes of a run, as one of them sees it.

    Parameters
    ----------
    rank, size : int
        Which one this is, from 0, and how many there are.
    device : torch.device
        Of this one.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this is the one that scores, saves and tells."""
        return self.rank == 0

    def share_of(self, batch: int, parts: int = 1) -> slice:
        """Which windows of a batch this process learns from.

        Parameters
        ----------
        batch : int
            Windows of all processes.
        parts : int
            In how many parts a process learns from its own.

        Raises
        ------
        UserError
            When they cannot be shared out evenly.
        """
        if batch % (self.size * parts):
            raise UserError(
                f"a batch of {batch} windows cannot be shared out among {self.size} processes in "
                f"{parts} parts each; set batch to a multiple of {self.size * parts}"
            )
        return slice(self.rank, batch, self.size)

    def gathered(self, number: float) -> list[float]:
        """The number of each process, which all of them must ask for."""
        if self.size == 1:
            return [number]
        own = torch.tensor([number], dtype=torch.float64, device=self.device)
        every = [torch.empty_like(own) for _ in range(self.size)]
        distributed.all_gather(every, own)
        return [float(each) for each in every]

    def refuse_other(self, step: int) -> None:
        """Refuse to go on where processes stand at different steps.

        Raises
        ------
        UserError
            When one of them did not find the checkpoint that another one did.
        """
        steps = self.gathered(step)
        if len(set(steps)) > 1:
            raise UserError(
                "processes stand at different steps ("
                + ", ".join(f"{each:.0f}" for each in steps)
                + "); put the model file on a disk that all of them see"
            )

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
        yield Group(device=device)
        return
    own = _own(device)
    distributed.init_process_group("nccl" if own.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        with _told_once():
            yield Group(distributed.get_rank(), distributed.get_world_size(), own)
    finally:
        distributed.destroy_process_group()


def refuse_several(because: str) -> None:
    """Refuse several processes where one does the work.

    Raises
    ------
    UserError
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            f"torchrun started {os.environ['WORLD_SIZE']} processes, but {because}; start it "
            "without torchrun"
        )


def leads() -> bool:
    """Whether this process is the one that scores, saves and tells, before it joined the others."""
    return os.environ.get("RANK", "0") == "0"


def _own(device: torch.device) -> torch.device:
    """The device of this process: each has a GPU of its own."""
    if device.type != "cuda":
        return device
    place, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if place >= there:
        raise UserError(
            f"process {place + 1} on this machine has no GPU, torch sees {there}; start one "
            "process a GPU"
        )
    torch.cuda.set_device(place)
    return torch.device("cuda", place)


@contextmanager
def _told_once() -> Iterator[None]:
    """Keep the log to the first process; what ends a run, any of them may tell."""
    log = logging.getLogger("geoseg")
    before = log.level
    if not leads():
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
