"""Blocks finished by the workers of a dask cluster.

A task is one block. It is given the run's order, which travels to each worker once, and the row and
column of the block; it reads its pixels itself and writes into the store that all see. So nothing
but marks and seconds goes through the scheduler, and a worker that is lost takes with it what it
was just working on. Few blocks are submitted at a time: the scheduler's memory does not follow the
raster.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import geoseg
from geoseg.crew import Finished, Spent, finish_block
from geoseg.devices import Capacity, capacity_of
from geoseg.ensembles import ensemble
from geoseg.errors import UserError
from geoseg.footprint import memory_budget
from geoseg.loader import Scene
from geoseg.plan import Block
from geoseg.precision import Precision, choose_precision
from geoseg.runs import Run, facts_of
from geoseg.segmenter import Segmenter
from geoseg.store import BlockStore, BlockWriter, Layers, recall
from geoseg.tasks import Running, Task
from geoseg.views import Turns, viewed

try:
    import distributed
    from distributed.comm.core import CommClosedError
except ImportError as error:
    raise UserError(
        "a cluster needs dask's distributed scheduler, which is not installed; "
        "pip install 'geoseg[cluster]'"
    ) from error

__all__ = ["Cluster", "connected"]

log = logging.getLogger(__name__)

AHEAD = 3  # blocks submitted for each thread of the workers, so that none waits for the next
LOST = 10  # times that a block may be lost with its worker; dask itself tries three workers each
TRIES = 4  # times that a block is tried whose input or store could not be reached
PATIENCE = 5.0  # seconds until it is told that nobody works
PLACES = 4  # runs that a worker keeps open
GPU = "GPU"  # the resource that workers name who may compute on one


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """A cluster by the address of its scheduler, as in ``tcp://10.0.0.5:8786``.

    Raises
    ------
    UserError
        When no scheduler answers there.
    """
    try:
        client = _client(address)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no scheduler answers at {address}; start one (dask scheduler) and workers (dask "
            f"worker {address}), or leave --scheduler out"
        ) from error
    try:
        log.info("cluster %s; its page: %s", address, client.dashboard_link)
        yield Cluster(client)
    finally:
        client.close(timeout=2)  # type: ignore[no-untyped-call]


def _client(address: str) -> distributed.Client:
    return distributed.Client(  # type: ignore[no-untyped-call]
        address, timeout="10s", set_as_default=False, name="geoseg"
    )


@dataclass(frozen=True)
class Means:
    """What a worker has: its capacity, bytes of memory for blocks, versions of what computes."""

    capacity: Capacity
    memory: int
    versions: tuple[str, str]


VERSIONS = (geoseg.__version__, torch.__version__.partition("+")[0])


def _means(devices: str, memory: int | None) -> Means:
    """What this worker has."""
    worker = distributed.get_worker()
    _use_threads(worker.state.nthreads)
    limit = worker.memory_manager.memory_limit
    if memory is None:
        free = memory_budget()
        memory = free if limit is None else min(free, 1 << (max(limit // 2, 1).bit_length() - 1))
    has = replace(capacity_of(devices, memory), spare=1)
    return Means(has, memory, VERSIONS)


@lru_cache
def _use_threads(count: int) -> None:
    """Let torch compute as many windows at a time as this worker has threads.

    Workers are told by dask to compute with one thread each, for it counts its own.
    """
    torch.set_num_threads(count)


class Cluster:
    """The workers of a dask cluster.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: distributed.Client) -> None:
        self._client = client

    def memory(self, asked: int | None) -> int:
        """Bytes that blocks at work may take in each worker: half of what the least one has."""
        return memory_budget(asked) if asked else min(m.memory for m in self._look("cpu", None))

    def capacity(self, devices: str, memory: int) -> Capacity:
        """What the least worker has.

        Raises
        ------
        UserError
            When they compute on devices of several kinds, or with other versions than this process:
            what a block becomes would depend on who gets it.
        """
        means = self._look(devices, memory)
        kinds = {each.capacity.kind for each in means}
        if len(kinds) > 1:
            raise UserError(
                f"workers compute on {' and '.join(sorted(kinds))}, which round otherwise; choose "
                "one: --device cpu, or workers with GPUs only and --device cuda"
            )
        for versions in {each.versions for each in means} - {VERSIONS}:
            raise UserError(
                "workers have geoseg {} and torch {}, this process {} and {}; ".format(
                    *versions, *VERSIONS
                )
                + "install the same versions everywhere"
            )
        one = means[0].capacity
        crew = max(each.capacity.crew for each in means)
        return replace(one, crew=crew, tensors=min(each.capacity.tensors for each in means))

    def _look(self, devices: str, memory: int | None) -> list[Means]:
        """What each worker has that stays long enough to tell."""
        means: list[Means] = []
        while not means:
            self._wait_for_workers()
            with self._alive():
                asked = {
                    address: self._client.submit(
                        _means, devices, memory, workers=[address], pure=False
                    )
                    for address in self._workers
                }
                means = [future.result() for future in self._answered(asked)]
        return means

    def _answered(self, asked: dict[str, distributed.Future[Any]]) -> list[distributed.Future[Any]]:
        """Wait for the answers of all workers that are still there."""
        while True:
            try:
                _wait(self._client, [*asked.values()], "ALL_COMPLETED")
            except TimeoutError:
                there = self._workers
                asked = {address: each for address, each in asked.items() if address in there}
                continue
            return [*asked.values()]

    def _wait_for_workers(self) -> None:
        with self._alive():
            try:
                self._client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError:
                log.warning(
                    "no worker is at %s yet; waiting for one (dask worker %s)",
                    self._address,
                    self._address,
                )
                self._client.wait_for_workers(1)

    @property
    def _address(self) -> str:
        scheduler = self._client.scheduler
        return "the cluster" if scheduler is None else str(scheduler.address)

    def precision(self, scene: Scene, segmenter: Segmenter, running: Running) -> Precision:
        """What to run in: as asked, or for ``auto`` what a worker finds."""
        if running.precision != "auto":
            return Precision(running.precision)
        with self._alive():
            model = self._client.scatter(segmenter)  # type: ignore[no-untyped-call]
            future = self._client.submit(
                choose_precision, scene, model, running, pure=False, resources=self._resources
            )
            chosen: Precision = future.result()
        return chosen

    @property
    def _workers(self) -> Mapping[str, Any]:
        with self._alive():
            workers: Mapping[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        return workers

    @property
    def _resources(self) -> dict[str, int] | None:
        """What a worker must name to be given blocks."""
        named = any(GPU in each["resources"] for each in self._workers.values())
        return {GPU: 1} if named else None

    def finish(self, run: Run, store: BlockStore, blocks: Sequence[Block]) -> Finished:
        """Let workers write blocks of a run into its store."""
        if not blocks:
            return
        order = Order.of(run, store)
        errand = Errand(self._client, order, store, self._resources)
        try:
            with self._alive(len(blocks)):
                yield from errand.run(blocks, self._threads)
        finally:
            errand.cancel()

    def _threads(self) -> int:
        return sum(int(each["nthreads"]) for each in self._workers.values())

    @contextmanager
    def _alive(self, blocks: int = 0) -> Iterator[None]:
        """Turn the loss of the scheduler into one line."""
        try:
            yield
        except (
            CommClosedError,
            asyncio.CancelledError,
            distributed.client.FutureCancelledError,
        ) as error:
            raise self._gone(blocks) from error
        except (OSError, RuntimeError) as error:
            if self._client.status == "running":
                raise
            raise self._gone(blocks) from error

    def _gone(self, blocks: int) -> UserError:
        kept = "; finished blocks are kept" if blocks else ""
        return UserError(
            f"the scheduler of the cluster is gone{kept}; start another and give the same command "
            "again, or leave --scheduler out"
        )


def _wait(client: distributed.Client, futures: list[Any], until: str) -> set[Any]:
    """Futures that are done; TimeoutError when there are not enough after a while."""
    with client.as_current():
        done: set[Any] = distributed.wait(  # type: ignore[no-untyped-call]
            futures, PATIENCE, until
        ).done
    return done


@dataclass(frozen=True)
class Order:
    """What a worker needs to know of a run; no pixels and no weights."""

    facts: Mapping[str, Any]
    models: tuple[tuple[str, str], ...]  # digest, file
    views: Turns | None
    scales: tuple[float, ...] | None
    sources: tuple[str, ...]
    files: tuple[Mapping[str, Any], ...]
    folder: Path
    layers: Layers
    fingerprint: str

    @classmethod
    def of(cls, run: Run, store: BlockStore) -> Order:
        """The order of a run; its models are put where workers find them."""
        task = run.task
        # Coordinates follow from the transform, and gaps from the file: both are long.
        image = task.scene.image.drop_vars(("x", "y"), errors="ignore")
        facts = {each.name: getattr(task, each.name) for each in fields(task)}
        facts |= {"scene": replace(task.scene, image=image, gaps=None)}
        scales = run.asked["scales"]
        return cls(
            facts={k: v for k, v in facts.items() if k not in ("segmenter", "limit")},
            models=tuple(_kept(each, store.folder) for each in run.members),
            views=run.asked["views"],
            scales=None if scales is None else tuple(scales),
            sources=tuple(
                str(Path(each).absolute()) if Path(each).exists() else each for each in run.sources
            ),
            files=run.files,
            folder=store.folder.absolute(),
            layers=store.layers,
            fingerprint=run.fingerprint,
        )


def _kept(model: Segmenter, folder: Path) -> tuple[str, str]:
    """Digest and file of a model in the folder of a run."""
    digest = model.digest
    path = (folder / f"{digest[:40]}.safetensors").absolute()
    model.save(path)
    return digest, str(path)


@lru_cache(PLACES)
def _model(digests: tuple[tuple[str, str], ...], views: Any, scales: Any) -> Segmenter:
    """A model, loaded by this worker once."""
    return viewed(ensemble([path for _, path in digests]), views, scales)


@dataclass(frozen=True)
class Site:
    """A run as a worker has it open."""

    task: Task
    store: BlockWriter


_sites: dict[str, Site] = {}
_opening = threading.Lock()


def _site(order: Order) -> Site:
    with _opening:
        if order.fingerprint not in _sites:
            _use_threads(distributed.get_worker().state.nthreads)
            _refuse_other_files(order)
            model = _model(order.models, order.views, order.scales)
            task = Task(segmenter=model, **order.facts)
            site = Site(task, BlockWriter(order.folder, order.layers))
            while len(_sites) >= PLACES:
                _sites.pop(next(iter(_sites)))
            _sites[order.fingerprint] = site
        return _sites[order.fingerprint]


def _refuse_other_files(order: Order) -> None:
    """Refuse to work where the store or the input is not what the run was planned with."""
    host = distributed.get_worker().address
    if recall(order.folder, order.fingerprint) is None:
        raise UserError(
            f"worker {host} does not see the blocks in {order.folder}; write the output into a "
            "folder that all workers see"
        )
    seen = facts_of(order.sources)
    for planned, own in zip(order.files, seen, strict=True):
        if {**planned, "changed": 0} != {**own, "changed": 0}:
            raise UserError(
                f"worker {host} sees another {planned['name']} than this process does; put the "
                "input where all see the same"
            )


def _finish(order: Order, row: int, column: int) -> tuple[int, Spent, str]:
    """Finish a block, unless that was done by a worker who did not live to tell.

    Tells its mark, what it took, and who did it.
    """
    site, block, who = _site(order), Block(row, column), distributed.get_worker().address
    if mark := site.store.mark(block):
        return mark, Spent(), who
    began = time.monotonic()
    part = site.task.scene.part(site.task.plan.hull(block))
    spent = Spent(read=time.monotonic() - began)
    spent += finish_block(site.task, site.store, block, part)
    return site.store.mark(block), spent, who


class Errand:
    """Blocks of a run on their way to workers and back.

    Parameters
    ----------
    client : distributed.Client
    order : Order
    store : BlockStore
    resources : mapping of str to int, optional
        What a worker must have.
    """

    def __init__(
        self,
        client: distributed.Client,
        order: Order,
        store: BlockStore,
        resources: Mapping[str, int] | None,
    ) -> None:
        self._client, self._store, self._resources = client, store, resources
        # A task of its own: dask brings its result to each worker once, and can make it again.
        self._order = client.submit(_same, order, pure=False)
        self._under_way: dict[distributed.Future[Any], Block] = {}
        self._lost: Counter[Block] = Counter()
        self._failed: Counter[Block] = Counter()

    def run(self, blocks: Sequence[Block], threads: Any) -> Finished:
        """Blocks in order, each when it and those before it are finished."""
        waiting, ready = iter(blocks), dict[Block, Spent]()
        pending = iter(blocks)
        expected = next(pending, None)
        most = 0
        while expected is not None:
            most = AHEAD * threads() or most
            while (
                len(self._under_way) < max(most, 1) and (block := next(waiting, None)) is not None
            ):
                self._submit(block)
            for block, spent in self._finished():
                ready[block] = spent
            while expected in ready:
                yield expected, ready.pop(expected)
                expected = next(pending, None)

    def _submit(self, block: Block) -> None:
        future = self._client.submit(
            _finish,
            self._order,
            block.row,
            block.column,
            pure=False,
            resources=self._resources,
            priority=-block.row,  # rows in order, for the map is put together from the top
        )
        self._under_way[future] = block
        log.debug("block %d,%d submitted", *_place(block))

    def _finished(self) -> list[tuple[Block, Spent]]:
        """Wait for blocks; those that failed in a way that may pass are submitted again."""
        try:
            done = _wait(self._client, [*self._under_way], "FIRST_COMPLETED")
        except TimeoutError:
            return []
        told = []
        for future in done:
            block = self._under_way.pop(future)
            if future.status == "error" and self._may_pass(block, future.exception()):
                self._submit(block)
                continue
            mark, spent, who = future.result()
            log.debug("block %d,%d done by %s: %s", *_place(block), who, spent)
            self._store.note(block, mark)
            told.append((block, spent))
        return told

    def _may_pass(self, block: Block, error: BaseException) -> bool:
        """Whether a block is to be tried again."""
        if isinstance(error, distributed.KilledWorker):
            self._lost[block] += 1
            if self._lost[block] < LOST:
                log.warning("block %d,%d was lost with its worker; once more", *_place(block))
                return True
            raise UserError(
                f"block {block.row},{block.column} took {LOST} workers with it; give them more "
                "memory, or blocks less: --memory 1GB"
            ) from error
        if isinstance(error, OSError) and not isinstance(error, PermissionError):
            self._failed[block] += 1
            time.sleep(2.0 ** self._failed[block] / 4)
            return self._failed[block] < TRIES
        return False

    def cancel(self) -> None:
        """Give up what is under way."""
        if self._client.status == "running":
            self._client.cancel(  # type: ignore[no-untyped-call]
                [*self._under_way, self._order], force=True
            )


def _place(block: Block) -> tuple[int, int]:
    return block.row, block.column


def _same(order: Order) -> Order:
    return order
