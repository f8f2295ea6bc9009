"""The workers of a dask cluster as a crew that finishes blocks.

A task is one block, or one scene of a batch. Nothing but orders, marks and seconds goes through the
scheduler, and a worker that is lost takes with it what it was just working on. Few tasks are
submitted at a time: the scheduler's memory does not follow the raster.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from http.client import HTTPException
from importlib import import_module
from itertools import count, islice
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar
from urllib.request import urlopen

import distributed
from distributed.comm.core import CommClosedError

from geoseg.crew import Finished
from geoseg.devices import Capacity
from geoseg.errors import UserError
from geoseg.footprint import memory_budget
from geoseg.orders import (
    Failure,
    Means,
    ModelOrder,
    Order,
    finish,
    means_of_worker,
    precision_of,
)
from geoseg.plan import Block
from geoseg.precision import Precision
from geoseg.runs import Run
from geoseg.store import BlockStore
from geoseg.versions import VERSIONS, apart

__all__ = ["Cluster", "connected"]

log = logging.getLogger(__name__)

AHEAD = 3  # tasks submitted for each thread of the workers, so that none waits for the next
LOST = 3  # times that a task may be lost with its worker; dask itself tries several each time
TRIES = 4  # times that a task is tried whose input or store could not be reached
PAUSE = 0.5  # seconds until the second of these, and twice as many each time
PATIENCE = 5.0  # seconds until it is looked who is there
COLD = 20.0  # seconds that a worker may take to say what it has before it is named: it may have
# to import torch, from a slow disk,
SILENCE = 30.0  # and before it is not waited for
ROOM = "give workers more (dask worker --memory-limit), or blocks less (--memory)"
SAME = "install the same versions everywhere: pip install 'geoseg[cluster]'"
GPU = "GPU"  # the resource that workers name who may compute on one

Item = TypeVar("Item")
Gone = (
    CommClosedError,
    asyncio.CancelledError,
    distributed.client.FutureCancelledError,
    distributed.client.FuturesCancelledError,
)
UNREAD = "Error during deserialization of the task graph"  # what dask says of its scheduler
LOGGERS = ("distributed.batched", "distributed.client", "distributed.core")


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """A cluster by the address of its scheduler, as in ``tcp://10.0.0.5:8786``.

    Raises
    ------
    UserError
        When no scheduler answers there.
    """
    try:
        with _quiet():
            client = _client(address)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no scheduler answers at {address}; start one (dask scheduler) and workers (dask "
            f"worker {address}), or leave --scheduler out"
        ) from error
    with _quiet():
        try:
            log.info("cluster %s%s", address, _page(client))
            yield Cluster(client)
        finally:
            client.close(timeout=2)  # type: ignore[no-untyped-call]


def _page(client: distributed.Client) -> str:
    """Where the scheduler shows what it does: it names a place even when it shows nothing."""
    try:
        with urlopen(client.dashboard_link, timeout=1):  # noqa: S310  (dask's own link)
            return f"; its page: {client.dashboard_link}"
    except (OSError, HTTPException, ValueError):
        return ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep dask from telling in pages what is told here in a line."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in levels:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _client(address: str) -> distributed.Client:
    return distributed.Client(  # type: ignore[no-untyped-call]
        address, timeout="5s", set_as_default=False, name="geoseg"
    )


class Cluster:
    """The workers of a dask cluster.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: distributed.Client) -> None:
        self._client = client
        self._there: set[str] = set()  # when it was looked last
        self._silent: set[str] = set()
        self._paused: set[str] = set()
        self._stuck: float | None = None  # since when all are paused

    def means(self, devices: str, asked: int | None) -> tuple[int, Capacity]:
        """Bytes that blocks at work may take in each worker, and what workers have.

        By default blocks may take half of what the least worker was given.

        Raises
        ------
        UserError
            When they compute on devices of several kinds, or with other versions than this process:
            what a block becomes would depend on who gets it.
        """
        means = self._look(devices)
        kinds = {each.room.kind for each in means}
        if len(kinds) > 1:
            raise UserError(
                f"workers compute on {' and '.join(sorted(kinds))}, which round otherwise; choose "
                "one: --device cpu, or workers with GPUs only and --device cuda"
            )
        for each in means:
            if differing := apart(each.versions, VERSIONS):
                raise UserError(
                    "workers have {}, this process {}; install the same versions everywhere".format(
                        *differing
                    )
                )
        memory = min(each.memory for each in means) if asked is None else memory_budget(asked)
        all_have = [each.room.within(memory) for each in means]
        crew = max(each.crew for each in all_have)
        least = min(each.tensors for each in all_have)
        hands = sum(each.crew for each in all_have)
        return memory, replace(all_have[0], crew=crew, tensors=least, hands=hands)

    def precision(self, run: Run) -> Precision:
        """What to run in: as asked, or for ``auto`` what a worker finds."""
        running = run.task.running
        if running.precision != "auto":
            return Precision(running.precision)
        what = run.task.scene, ModelOrder.of(run), running
        for _, outcome in self.each(precision_of, ["the choice of a precision"], lambda _: what):
            if isinstance(outcome, BaseException):
                raise outcome
            chosen: Precision = outcome
        return chosen

    def finish(self, run: Run, store: BlockStore, blocks: Sequence[Block]) -> Finished:
        """Let workers write blocks of a run into its store."""
        if not blocks:
            return
        # A task of its own: dask brings its result to each worker once, and can make it again.
        # Workers that are given no blocks may not even be able to read it.
        order = self._client.submit(
            _same, Order.of(run, store), pure=False, resources=self._resources()
        )
        errands = self.each(finish, blocks, lambda each: (order, each.row, each.column))
        with closing(errands) as outcomes:
            for done, outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome
                mark, spent, who = outcome
                log.debug("%s done by %s: %s", done, who, spent)
                store.note(done, mark)
                yield done, spent

    def each(
        self,
        function: Callable[..., Any],
        items: Iterable[Item],
        arguments: Callable[[Item], tuple[Any, ...]],
    ) -> Generator[tuple[Item, Any], None, None]:
        """Call a function for each item on some worker; gives items with what came of them.

        Parameters
        ----------
        function : callable
        items : iterable
            Taken one by one, as workers become free.
        arguments : callable
            Item to the arguments of the function.

        Yields
        ------
        item, outcome
            What the function returned; or the exception that it raised, or that tells of the
            `Failure` which it returned, or that the item cost too many workers.

        Raises
        ------
        UserError
            When the scheduler is lost.
        """
        resources = self._resources()
        errands = Errands(self._client, function, arguments, resources)

        def look() -> int:
            self._tell_lost(errands)
            return self.threads(resources)

        try:
            with self._alive():
                yield from errands.run(items, look)
                self._tell_lost(errands)
        finally:
            errands.cancel()

    def threads(self, resources: Mapping[str, int] | None = None) -> int:
        """Threads of all workers that are there and have some resources.

        Raises
        ------
        UserError
            When all of them are paused, and stay so.
        """
        there = self._workers()
        self._tell_paused(_able(there, resources))
        self._tell_silent({name: float(each["last_seen"]) for name, each in there.items()})
        return sum(int(each["nthreads"]) for each in _able(there, resources).values())

    def _tell_lost(self, errands: Errands[Any]) -> None:
        """Name workers that were lost since it was looked last, and what others go on with."""
        there = set(self._workers())
        for name in sorted(self._there - there):
            if (held := self._held(name)) is not None:
                left = ", ".join(sorted(map(str, errands.of(held))))
                log.warning("worker %s was lost%s", name, left and f"; others go on with {left}")
        self._there = there

    def _held(self, worker: str) -> Collection[str] | None:
        """Keys of what a worker had when it was lost; None where it left as it should."""
        for _, event in reversed(self._client.get_events(worker)):
            if event.get("action") == "remove-worker":
                return None if event.get("expected") else event["processing-tasks"]
        return ()

    def _tell_silent(self, seen: Mapping[str, float]) -> None:
        """Name workers that give no sign of life while others do, once each."""
        newest = max(seen.values(), default=0.0)  # by the scheduler's clock
        silent = {name for name, last in seen.items() if newest - last > SILENCE}
        for name in silent - self._silent:
            log.warning("%s gives no sign of life; dask gives it up after its worker-ttl", name)
        self._silent = silent

    def _tell_paused(self, able: Mapping[str, Mapping[str, Any]]) -> None:
        """Name workers that dask gives no work to for want of memory; some stay so for ever."""
        paused = {name: each for name, each in able.items() if each["status"] == "paused"}
        for name in sorted(paused.keys() - self._paused):
            log.warning(
                "worker %s is paused by dask: it %s; %s", name, _held_by(paused[name]), ROOM
            )
        self._paused = set(paused)
        if not paused or len(paused) < len(able):
            self._stuck = None
            return
        self._stuck = self._stuck or time.monotonic()
        if time.monotonic() - self._stuck > SILENCE:
            name, first = next(iter(paused.items()))
            raise UserError(
                f"all workers are paused by dask, {name} for one, which {_held_by(first)}; what is "
                f"finished is kept: {ROOM}, start them again, and give the same command again"
            )

    def _workers(self) -> Mapping[str, Any]:
        told = self._client.scheduler_info(n_workers=-1)
        if "workers" not in told:  # dask has nobody to ask any more
            raise _gone()
        workers: Mapping[str, Any] = told["workers"]
        return workers

    def _resources(self) -> dict[str, int] | None:
        """What a worker must name to be given work."""
        return {GPU: 1} if _able(self._workers(), {GPU: 1}) else None

    def _look(self, devices: str) -> list[Means]:
        """What each worker has that may be given work and stays long enough to tell."""
        with self._alive():
            for _ in range(LOST):
                while not (awake := self._awake()):
                    self._wait_for_workers()
                asked = {address: self._asked(address, devices) for address in awake}
                if done := self._answered(asked):
                    return [_told_by(name, each) for name, each in asked.items() if each in done]
                names = ", ".join(asked)
                log.warning("%s was lost when it was asked what it has; see its log", names)
        raise _lost(names)

    def _asked(self, address: str, devices: str) -> distributed.Future[Any]:
        """A worker's answer; before it is asked, it is seen whether it has what answers.

        Dask's workers end without a word to us when they are sent what they cannot import.
        """
        there = {"workers": [address], "pure": False}
        ready = self._client.submit(import_module, __name__, **there)
        return self._client.submit(_means, ready, devices, **there)

    def _awake(self) -> list[str]:
        """Workers that are there and may be given work."""
        able = _able(self._workers(), self._resources())
        self._tell_paused(able)
        return [name for name in able if name not in self._paused]

    def _wait_for_workers(self) -> None:
        if self._paused:
            time.sleep(PATIENCE)
            return
        try:
            self._client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            log.warning("the cluster has no worker yet; waiting for one (dask worker ADDRESS)")
            self._client.wait_for_workers(1)

    def _answered(self, asked: dict[str, distributed.Future[Any]]) -> list[distributed.Future[Any]]:
        """Wait for the answers of the workers that are still there, of some in vain.

        Those look for themselves whether they may work when they come back; see `Terms`.
        """
        began, told = time.monotonic(), False
        while True:
            with suppress(TimeoutError):
                _wait(self._client, [*asked.values()])
            done = [each for each in asked.values() if _is_done(each)]
            there = self._workers()
            late = [name for name, each in asked.items() if name in there and each not in done]
            if not late:
                return done
            waited = time.monotonic() - began
            if waited >= COLD and not told:
                log.warning(
                    "waiting for workers to say what they have, they may be importing torch: %s",
                    ", ".join(late),
                )
                told = True
            if done and waited > SILENCE:
                log.warning("%s, hung or busy, is not waited for any more", ", ".join(late))
                self._client.cancel([asked[name] for name in late], force=True)  # type: ignore[no-untyped-call]
                return done

    @contextmanager
    def _alive(self) -> Iterator[None]:
        """Turn the loss of the scheduler into one line."""
        try:
            yield
        except Gone as error:
            raise _gone() from error
        except (OSError, RuntimeError) as error:
            if self._client.status != "running":
                raise _gone() from error
            if UNREAD not in str(error):
                raise
            raise UserError(
                f"the scheduler cannot read what it is sent ({error.__cause__}); {SAME}"
            ) from error


def _able(
    workers: Mapping[str, Mapping[str, Any]], resources: Mapping[str, int] | None
) -> dict[str, Mapping[str, Any]]:
    """Those of some workers that name some resources."""
    wanted = set(resources or ())
    return {name: each for name, each in workers.items() if wanted <= each["resources"].keys()}


def _held_by(worker: Mapping[str, Any]) -> str:
    held, limit = worker["metrics"].get("memory", 0) / 1e9, worker["memory_limit"] / 1e9
    return f"holds {held:.1f} of its {limit:.1f} GB of memory"


def _gone() -> UserError:
    return UserError(
        "the scheduler of the cluster is gone, and what is finished is kept; start another and "
        "give the same command again, or leave --scheduler out"
    )


def _is_done(future: distributed.Future[Any]) -> bool:
    return bool(future.done())  # type: ignore[no-untyped-call]


def _wait(client: distributed.Client, futures: list[Any]) -> None:
    """Wait for futures; TimeoutError when some are not done after a while."""
    with client.as_current():
        distributed.wait(futures, PATIENCE)  # type: ignore[no-untyped-call]


def _means(_ready: object, devices: str) -> Means:
    return means_of_worker(devices)


def _told_by(worker: str, future: distributed.Future[Any]) -> Means:
    try:
        means: Means = future.result()
    except ImportError as error:
        raise UserError(f"worker {worker} cannot import geoseg ({error}); {SAME}") from error
    except distributed.KilledWorker as error:
        raise _lost(worker) from error
    return means


def _lost(worker: str) -> UserError:
    return UserError(
        f"workers are lost as soon as they are asked what they have, {worker} last; see its log, "
        f"and {SAME}"
    )


def _same(order: Order) -> Order:
    return order


class Errands(Generic[Item]):
    """Calls on their way to workers and back; those that fail in a way that may pass go again.

    Parameters
    ----------
    client : distributed.Client
    function : callable
    arguments : callable
        Item to the arguments of the function.
    resources : mapping of str to int, optional
        What a worker must have.
    """

    def __init__(
        self,
        client: distributed.Client,
        function: Callable[..., Any],
        arguments: Callable[[Item], tuple[Any, ...]],
        resources: Mapping[str, int] | None,
    ) -> None:
        self._client, self._function = client, function
        self._arguments, self._resources = arguments, resources
        self._under_way: dict[distributed.Future[Any], Item] = {}
        self._done: SimpleQueue[distributed.Future[Any]] = SimpleQueue()
        self._later: list[tuple[float, int, Item]] = []  # when to submit it again
        self._order = count()
        self._lost: Counter[Item] = Counter()
        self._failed: Counter[Item] = Counter()

    def run(self, items: Iterable[Item], threads: Callable[[], int]) -> Iterator[tuple[Item, Any]]:
        """Submit items, a few for each thread, until all have come back."""
        waiting, there, looked = iter(items), 0, -math.inf
        while True:
            if time.monotonic() - looked > PATIENCE:  # workers come and go
                there, looked = self._look(threads, there), time.monotonic()
            while self._later and self._later[0][0] <= time.monotonic():
                self._submit(heapq.heappop(self._later)[2])
            free = max(AHEAD * there, 1) - len(self._under_way) - len(self._later)
            for item in islice(waiting, max(free, 0)):
                self._submit(item)
            if not self._under_way and not self._later:
                return
            yield from self._finished()

    def _look(self, threads: Callable[[], int], before: int) -> int:
        there = threads()
        if before and not there:
            log.warning("all workers%s are gone; waiting for others", self._named())
        return there

    def _named(self) -> str:
        return f" that name {', '.join(self._resources)}" if self._resources else ""

    def _submit(self, item: Item) -> None:
        future = self._client.submit(
            self._function, *self._arguments(item), pure=False, resources=self._resources
        )
        self._under_way[future] = item
        future.add_done_callback(self._done.put)  # type: ignore[no-untyped-call]
        log.debug("%s submitted", item)

    def _finished(self) -> Iterator[tuple[Item, Any]]:
        """Wait for the next; one that failed in a way that may pass is submitted again."""
        due = self._later[0][0] - time.monotonic() if self._later else PATIENCE
        try:
            future = self._done.get(timeout=min(max(due, 0.0), PATIENCE))
        except Empty:
            return
        item = self._under_way.pop(future)
        outcome = _outcome(future)
        pause = self._pause(item, outcome)
        if pause is None:
            yield item, _told(item, outcome)
        else:
            heapq.heappush(self._later, (time.monotonic() + pause, next(self._order), item))

    def _pause(self, item: Item, outcome: Any) -> float | None:
        """Seconds after which an item is worth another try; None when it is not."""
        if isinstance(outcome, distributed.KilledWorker):
            self._lost[item] += 1
            if self._lost[item] < LOST:
                log.warning("%s was lost with its worker; once more", item)
                return 0.0
        elif _may_pass(outcome):
            self._failed[item] += 1
            if self._failed[item] < TRIES:
                log.warning("%s failed (%s); once more", item, _told(item, outcome))
                return float(PAUSE * 2 ** (self._failed[item] - 1))
        return None

    def of(self, keys: Collection[str]) -> list[Item]:
        """Items that are under way by some of dask's keys."""
        return [item for future, item in self._under_way.items() if future.key in keys]

    def cancel(self) -> None:
        """Give up what is under way."""
        if self._client.status == "running":
            self._client.cancel([*self._under_way], force=True)  # type: ignore[no-untyped-call]


def _outcome(future: distributed.Future[Any]) -> Any:
    """What a call returned, or the exception that it raised."""
    if future.status == "error":
        return future.exception()  # type: ignore[no-untyped-call]
    return future.result()


def _may_pass(outcome: Any) -> bool:
    if isinstance(outcome, Failure):
        return outcome.may_pass
    return isinstance(outcome, OSError) and not isinstance(outcome, PermissionError)


def _told(item: object, outcome: Any) -> Any:
    """What came of an item, in words where it failed in a way that is known."""
    if isinstance(outcome, distributed.KilledWorker):
        return UserError(
            f"{item} took {LOST} workers with it, of which memory is the usual cause; give workers "
            "more of it, or blocks less: --memory 1GB"
        )
    return UserError(outcome.said) if isinstance(outcome, Failure) else outcome
