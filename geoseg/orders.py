"""What workers of a cluster do: they are given a run's order, and finish blocks of it.

An order holds no pixels and no weights. A worker reads the input itself, loads the model once from
where all see it, and writes into the store of the run, which all see as well.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from typing import Any

import torch

from geoseg.allocator import release_memory
from geoseg.crew import CACHE_SHARE, Spent, finish_block
from geoseg.devices import Room, find_devices, room_of
from geoseg.ensembles import ensemble
from geoseg.errors import UserError
from geoseg.footprint import half, memory_budget
from geoseg.loader import Scene
from geoseg.places import Place, RefusedError, Remote, UnreachableError, place
from geoseg.plan import Block
from geoseg.precision import Precision, choose_precision
from geoseg.raster.files import block_cache
from geoseg.runs import Run, facts_of, other_file
from geoseg.segmenter import Segmenter, load
from geoseg.store import BlockStore, BlockWriter, Layers, is_begun
from geoseg.tasks import Running, Task
from geoseg.versions import VERSIONS, Versions, apart
from geoseg.views import Turns, viewed

try:
    from distributed import Worker, get_worker
except ImportError as error:
    raise UserError(
        "a cluster needs dask's distributed scheduler, which is not installed; "
        "pip install 'geoseg[cluster]'"
    ) from error

__all__ = [
    "Failure",
    "Means",
    "ModelOrder",
    "Order",
    "Shown",
    "Terms",
    "failing",
    "finish",
    "loaded",
    "means_of_worker",
    "precision_of",
    "refuse_other_files",
    "refuse_unseen",
    "shared_model",
]

log = logging.getLogger(__name__)

PLACES = 4  # runs, and models, that a worker keeps open
LARGE = 0.6  # of its limit that a worker holds; dask pauses those that hold 0.8
LEAST = 1 << 26  # bytes for blocks where nothing is left, for who is paused is told of

Shown = tuple[tuple[str, str], ...]
"""Digest and file of each member of a model."""


@dataclass(frozen=True)
class Means:
    """What a worker has: its devices, bytes of memory for blocks, versions of what computes."""

    room: Room
    memory: int
    versions: Versions


@dataclass(frozen=True)
class Terms:
    """What a worker must have for its work to be that of any other.

    Parameters
    ----------
    versions : tuple of (package, version)
    kind : {"cpu", "cuda", "mps"}
        Of the device.
    """

    versions: Versions
    kind: str

    def refuse_others(self, devices: str) -> None:
        """Refuse to work here with other versions, or on another kind of device.

        Those that are there when a run begins are asked for it; this is for those that join later.

        Raises
        ------
        UserError
        """
        address = get_worker().address
        if differing := apart(VERSIONS, self.versions):
            raise UserError(
                "worker {} has {}, the run was begun with {}; install the same versions "
                "everywhere".format(address, *differing)
            )
        kind = find_devices(devices)[0].type
        if kind != self.kind:
            raise UserError(
                f"worker {address} computes on {kind}, the run was begun on {self.kind}, which "
                "rounds otherwise; choose one: --device cpu, or workers with GPUs only"
            )


@dataclass(frozen=True)
class Failure:
    """Why work was not done, in words: what an error of GDAL holds cannot be sent.

    Parameters
    ----------
    said : str
        What the user is to be told.
    may_pass : bool
        Whether it may be done when it is tried later.
    """

    said: str
    may_pass: bool


def failing(error: UserError) -> Failure:
    """What is sent of an error that a worker met; who lacks credentials must be known."""
    who = f"worker {get_worker().address}: " if isinstance(error, RefusedError) else ""
    return Failure(f"{who}{error}", isinstance(error, UnreachableError))


def means_of_worker(devices: str) -> Means:
    """What this worker has; blocks may take half of the memory it was given, if that is left."""
    worker = get_worker()
    _use_threads(worker.state.nthreads)
    release_memory()  # which the blocks of the run before have left
    limit, memory = worker.memory_manager.memory_limit, memory_budget()
    if limit is not None:
        # Dask pauses a worker for good that holds more, as do some whose libraries keep what is
        # freed; what they are themselves is some 0.8 GB.
        most = limit * (worker.memory_manager.memory_pause_fraction or 1.0)
        left = most - worker.monitor.get_process_memory()
        memory = min(memory, half(limit), half(2 * max(int(left), LEAST)))
    return Means(replace(room_of(devices), spare=1), memory, VERSIONS)


@lru_cache
def _use_threads(count: int) -> None:
    """Let torch compute as many windows at a time as this worker has threads.

    Dask tells its workers to compute with one thread, for it counts its own.
    """
    torch.set_num_threads(count)


@dataclass(frozen=True)
class ModelOrder:
    """A model as workers find it, and how it sees windows.

    Parameters
    ----------
    members : tuple of (digest, file)
    views, scales
        As for `viewed`.
    """

    members: Shown
    views: Turns | None
    scales: tuple[float, ...] | None

    @classmethod
    def of(cls, run: Run) -> ModelOrder:
        """That of a run; its members are put beside its blocks, where workers find them."""
        scales = run.asked["scales"]
        return cls(
            tuple(map(_kept, run.members, run.digests, repeat(run.folder))),
            run.asked["views"],
            None if scales is None else tuple(scales),
        )

    def loaded(self) -> Segmenter:
        """The model, of which each file is loaded by a worker once."""
        return viewed(shared_model(self.members), self.views, self.scales)


@dataclass(frozen=True)
class Order:
    """What a worker needs to know of a run.

    Parameters
    ----------
    facts : mapping of str to object
        Fields of the task, but for its model.
    model : ModelOrder
    sources : tuple of str
    files : tuple of mapping
        What the sources were when the run was planned; see `facts_of`.
    folder : Path or Remote
        Of the store.
    name : str
        Of the run, in there.
    layers : mapping
    terms : Terms
    cache : int
        Bytes of tiles that GDAL may keep in a worker.
    """

    facts: Mapping[str, Any]
    model: ModelOrder
    sources: tuple[str, ...]
    files: tuple[Mapping[str, Any], ...]
    folder: Place
    name: str
    layers: Layers
    terms: Terms
    cache: int

    @classmethod
    def of(cls, run: Run, store: BlockStore) -> Order:
        """The order of a run; its models are put beside its blocks, where workers find them."""
        task = run.task
        facts = {each.name: getattr(task, each.name) for each in fields(task)}
        facts |= {"scene": replace(_slim(task.scene), gaps=None)}
        return cls(
            facts={k: v for k, v in facts.items() if k not in ("segmenter", "limit")},
            model=ModelOrder.of(run),
            sources=tuple(run.sources),
            files=run.files,
            folder=store.folder.absolute(),
            name=store.name,
            layers=store.layers,
            terms=Terms(VERSIONS, task.kind),
            cache=run.memory // CACHE_SHARE,
        )


def _slim(scene: Scene) -> Scene:
    """A scene without its coordinates, which are long and follow from its transform."""
    return replace(scene, image=scene.image.drop_vars(("x", "y"), errors="ignore"))


def _kept(model: Segmenter, digest: str, folder: Place) -> tuple[str, str]:
    path = (folder / f"{digest[:40]}.safetensors").absolute()
    if not path.exists():
        if isinstance(path, Remote):
            with tempfile.TemporaryDirectory(prefix="geoseg-") as scratch:
                model.save(Path(scratch) / path.name)
                path.put(Path(scratch) / path.name)
        else:
            model.save(path)
    return digest, str(path)


def precision_of(scene: Scene, model: ModelOrder, running: Running) -> Precision | Failure:
    """What this worker finds best to run a scene in; see `choose_precision`."""
    try:
        return choose_precision(scene, model.loaded(), running)
    except UserError as error:
        return failing(error)


def finish(order: Order, row: int, column: int) -> tuple[int, Spent, str] | Failure:
    """Finish a block, unless a worker did that who did not live to tell.

    Returns
    -------
    (mark, spent, who) : (int, Spent, str)
        See `BlockWriter.mark`, and the address of this worker.
    """
    try:
        with block_cache(order.cache):
            mark, spent = _finish(order, row, column)
    except UserError as error:
        return failing(error)
    _stay_small(get_worker())
    return mark, spent, get_worker().address


def _stay_small(worker: Worker) -> None:
    """Hand back what blocks have freed, rather than that dask pauses a worker for it."""
    limit = worker.memory_manager.memory_limit
    if limit is not None and worker.monitor.get_process_memory() > LARGE * limit:
        release_memory()


def _finish(order: Order, row: int, column: int) -> tuple[int, Spent]:
    site, block = _site(order), Block(row, column)
    if mark := site.store.mark(block):
        return mark, Spent()
    with site.seats:
        log.debug("%s begun", block)
        began = time.monotonic()
        part = site.task.scene.part(site.task.plan.hull(block))
        spent = Spent(read=time.monotonic() - began)
        spent += finish_block(site.task, site.store, block, part)
    return site.store.mark(block), spent


class Seats:
    """Room for a number of blocks at once, which may be changed while they are at work."""

    def __init__(self) -> None:
        self._count = self._taken = 0
        self._change = threading.Condition()

    def set(self, count: int) -> None:
        """Let no more than so many begin beside each other; those at work are finished."""
        with self._change:
            self._count = count
            self._change.notify_all()

    def __enter__(self) -> None:
        with self._change:
            self._change.wait_for(lambda: self._taken < self._count)
            self._taken += 1

    def __exit__(self, *_: object) -> None:
        with self._change:
            self._taken -= 1
            self._change.notify()


@dataclass(frozen=True)
class Site:
    """A run as a worker has it open, and room for as many of its blocks as fit into memory."""

    task: Task
    store: BlockWriter
    seats: Seats


_sites: dict[tuple[Place, str], Site] = {}
_models: dict[str, Segmenter] = {}
_opening = threading.RLock()


def _site(order: Order) -> Site:
    key = order.folder, order.name
    with _opening:
        if key not in _sites:
            order.terms.refuse_others(order.facts["running"].device)
            refuse_unseen(is_begun(order.folder, order.name), order.folder)
            refuse_other_files(order.files, facts_of(order.sources))
            task = Task(segmenter=order.model.loaded(), **order.facts)
            store = BlockWriter(order.folder, order.name, order.layers)
            site = Site(task, store, Seats())
            while len(_sites) >= PLACES:
                _sites.pop(next(iter(_sites)))
            _sites[key] = site
        # A run that goes on may be given other memory than when this worker opened it.
        _sites[key].seats.set(order.facts["crew"])
        return _sites[key]


def refuse_unseen(is_seen: bool, folder: Place) -> None:
    """Refuse to work where the folder of the output is another one.

    Raises
    ------
    UserError
    """
    if not is_seen:
        raise UserError(
            f"worker {get_worker().address} does not see what was put into {folder}; write the "
            "output into a folder that all workers see"
        )


def refuse_other_files(
    files: Sequence[Mapping[str, Any]], here: Sequence[Mapping[str, Any]]
) -> None:
    """Refuse to work where the input is not what it was planned with.

    Parameters
    ----------
    files, here : sequence of mapping
        What it was found to be, and what this worker finds; see `facts_of`.

    Raises
    ------
    UserError
    """
    if (name := other_file(_undated(files), _undated(here))) is not None:
        raise UserError(
            f"worker {get_worker().address} sees another {name} than was planned with; put the "
            "input where all see the same"
        )


def _undated(files: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Facts of files but for their dates, which copies do not share."""
    return ({**each, "changed": 0} for each in files)


def shared_model(models: Shown) -> Segmenter:
    """A model, each member of which is loaded by a worker once, wherever its file lies.

    Raises
    ------
    UserError
        When a file is not there, or is not the one that was meant.
    """
    return ensemble([_known(*each) for each in models])


def _known(digest: str, path: str) -> Segmenter:
    with _opening:
        if digest not in _models:
            _use_threads(get_worker().state.nthreads)
            _models[digest] = loaded(digest, path)
            while len(_models) > PLACES:
                _models.pop(next(iter(_models)))
        return _models[digest]


def _fetched(path: Place) -> Segmenter:
    """A model of a storage."""
    with tempfile.TemporaryDirectory(prefix="geoseg-") as scratch:
        copy = Path(scratch) / path.name
        copy.write_bytes(path.read_bytes())
        return load(copy)


def loaded(digest: str, path: str) -> Segmenter:
    """A model file that has a digest.

    Raises
    ------
    UserError
        When it has another one.
    """
    model = _fetched(place(path)) if "://" in path else load(path)
    if model.digest != digest:
        raise UserError(
            f"worker {get_worker().address} sees another model in {path}; put the file where all "
            "see the same"
        )
    log.debug("model %s loaded", digest[:12])
    return model
