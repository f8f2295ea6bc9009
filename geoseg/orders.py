"""What workers of a cluster do: they are given a run's order, and finish blocks of it.

An order holds no pixels and no weights. A worker reads the input itself, loads the model once from
where all see it, and writes into the store of the run, which all see as well.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import geoseg
from geoseg.crew import Spent, finish_block
from geoseg.devices import Room, room_of
from geoseg.ensembles import ensemble
from geoseg.errors import UserError
from geoseg.footprint import half, memory_budget
from geoseg.places import Place, Remote, place
from geoseg.plan import Block
from geoseg.runs import Run, facts_of
from geoseg.segmenter import Segmenter, load
from geoseg.store import BlockStore, BlockWriter, Layers, recall
from geoseg.tasks import Task
from geoseg.views import Turns, viewed

try:
    from distributed import get_worker
except ImportError as error:
    raise UserError(
        "a cluster needs dask's distributed scheduler, which is not installed; "
        "pip install 'geoseg[cluster]'"
    ) from error

__all__ = [
    "VERSIONS",
    "Means",
    "Order",
    "Shown",
    "finish",
    "loaded",
    "means_of_worker",
    "shared_model",
]

log = logging.getLogger(__name__)

PLACES = 4  # runs, and models, that a worker keeps open
VERSIONS = (geoseg.__version__, torch.__version__.partition("+")[0])

Shown = tuple[tuple[str, str], ...]
"""Digest and file of each member of a model."""


@dataclass(frozen=True)
class Means:
    """What a worker has: its devices, bytes of memory for blocks, versions of what computes."""

    room: Room
    memory: int
    versions: tuple[str, str]


def means_of_worker(devices: str) -> Means:
    """What this worker has; blocks may take half of the memory it was given."""
    worker = get_worker()
    _use_threads(worker.state.nthreads)
    limit, memory = worker.memory_manager.memory_limit, memory_budget()
    if limit is not None:
        memory = min(memory, half(limit))
    return Means(replace(room_of(devices), spare=1), memory, VERSIONS)


@lru_cache
def _use_threads(count: int) -> None:
    """Let torch compute as many windows at a time as this worker has threads.

    Dask tells its workers to compute with one thread, for it counts its own.
    """
    torch.set_num_threads(count)


@dataclass(frozen=True)
class Order:
    """What a worker needs to know of a run.

    Parameters
    ----------
    facts : mapping of str to object
        Fields of the task, but for its model.
    models : tuple of (digest, file)
    views, scales
        As for `viewed`.
    sources : tuple of str
    files : tuple of mapping
        What the sources were when the run was planned; see `facts_of`.
    folder : Path or Remote
        Of the store.
    layers : mapping
    fingerprint : str
        Of the run.
    """

    facts: Mapping[str, Any]
    models: Shown
    views: Turns | None
    scales: tuple[float, ...] | None
    sources: tuple[str, ...]
    files: tuple[Mapping[str, Any], ...]
    folder: Place
    layers: Layers
    fingerprint: str

    @classmethod
    def of(cls, run: Run, store: BlockStore) -> Order:
        """The order of a run; its models are put beside its blocks, where workers find them."""
        task, scales = run.task, run.asked["scales"]
        # Coordinates follow from the transform, and gaps from the file: both are long.
        image = task.scene.image.drop_vars(("x", "y"), errors="ignore")
        facts = {each.name: getattr(task, each.name) for each in fields(task)}
        facts |= {"scene": replace(task.scene, image=image, gaps=None)}
        return cls(
            facts={k: v for k, v in facts.items() if k not in ("segmenter", "limit")},
            models=tuple(_kept(each, store.folder) for each in run.members),
            views=run.asked["views"],
            scales=None if scales is None else tuple(scales),
            sources=tuple(run.sources),
            files=run.files,
            folder=store.folder.absolute(),
            layers=store.layers,
            fingerprint=run.fingerprint,
        )


def _kept(model: Segmenter, folder: Place) -> tuple[str, str]:
    digest = model.digest
    path = (folder / f"{digest[:40]}.safetensors").absolute()
    if not path.exists():
        if isinstance(path, Remote):
            with tempfile.TemporaryDirectory(prefix="geoseg-") as scratch:
                model.save(Path(scratch) / path.name)
                path.put(Path(scratch) / path.name)
        else:
            model.save(path)
    return digest, str(path)


def finish(order: Order, row: int, column: int) -> tuple[int, Spent, str] | UserError:
    """Finish a block, unless a worker did that who did not live to tell.

    Returns
    -------
    (mark, spent, who) : (int, Spent, str)
        See `BlockWriter.mark`, and the address of this worker; or what the user is to be told, on
        its own: what an error of GDAL holds cannot be sent.
    """
    try:
        return (*_finish(order, row, column), get_worker().address)
    except UserError as error:
        return UserError(str(error))


def _finish(order: Order, row: int, column: int) -> tuple[int, Spent]:
    site, block = _site(order), Block(row, column)
    if mark := site.store.mark(block):
        return mark, Spent()
    log.debug("%s begun", block)
    began = time.monotonic()
    part = site.task.scene.part(site.task.plan.hull(block))
    spent = Spent(read=time.monotonic() - began)
    spent += finish_block(site.task, site.store, block, part)
    return site.store.mark(block), spent


@dataclass(frozen=True)
class Site:
    """A run as a worker has it open."""

    task: Task
    store: BlockWriter


_sites: dict[tuple[str, Place], Site] = {}
_models: dict[str, Segmenter] = {}
_opening = threading.RLock()


def _site(order: Order) -> Site:
    key = order.fingerprint, order.folder
    with _opening:
        if key not in _sites:
            _refuse_other_files(order)
            model = viewed(shared_model(order.models), order.views, order.scales)
            site = Site(
                Task(segmenter=model, **order.facts), BlockWriter(order.folder, order.layers)
            )
            while len(_sites) >= PLACES:
                _sites.pop(next(iter(_sites)))
            _sites[key] = site
        return _sites[key]


def _refuse_other_files(order: Order) -> None:
    """Refuse to work where the store or the input is not what the run was planned with."""
    if recall(order.folder, order.fingerprint) is None:
        raise UserError(
            f"worker {get_worker().address} does not see the blocks in {order.folder}; write the "
            "output into a folder that all workers see"
        )
    for planned, own in zip(order.files, facts_of(order.sources), strict=True):
        if {**planned, "changed": 0} != {**own, "changed": 0}:
            raise UserError(
                f"worker {get_worker().address} sees another {planned['name']} than was planned "
                "with; put the input where all see the same"
            )


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
