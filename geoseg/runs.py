"""One run of files to files: what it is, where it keeps its blocks, what its outputs say of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import rasterio
from affine import Affine
from rasterio.errors import RasterioError

import geoseg
from geoseg.addresses import address_of
from geoseg.decisions import Output
from geoseg.ensembles import digest_of, members_of
from geoseg.errors import UserError
from geoseg.identity import facts_of_file, untold
from geoseg.lease import owner
from geoseg.places import Place, Remote, followed, scratch_of
from geoseg.polygons.making import Making
from geoseg.precision import Precision
from geoseg.raster import (
    Grid,
    Layout,
    class_layout,
    grid_of,
    opened,
    pixel_size,
)
from geoseg.raster.files import Listing, listing_of, unlocated_is_fine
from geoseg.segmenter import Segmenter
from geoseg.stac import Origin, is_stac
from geoseg.tasks import Task
from geoseg.versions import VERSIONS

__all__ = [
    "QUANTA",
    "Run",
    "Targets",
    "facts_before",
    "facts_of",
    "facts_of_files",
    "files_behind",
    "files_named",
    "other_file",
]

QUANTA = 254  # scores and confidence are written in steps of 1/254; 255 is no data


@dataclass(frozen=True)
class Targets:
    """Where the results of a run go, and its blocks where that is not beside the class map."""

    classes: Place
    scores: Place | None
    confidence: Place | None
    polygons: Place | None
    blocks: Place | None = None

    @property
    def item(self) -> Place:
        """What tells of all of them; no program writes a file of such a name by itself."""
        beside = self.classes.with_name(f"{self.classes.name}.json")
        return followed(beside) if isinstance(beside, Path) else beside

    @property
    def rasters(self) -> dict[Output, Place]:
        """Raster outputs by what they hold; the class map comes first."""
        named: dict[Output, Place | None] = {
            "classes": self.classes,
            "scores": self.scores,
            "confidence": self.confidence,
        }
        return {name: path for name, path in named.items() if path is not None}

    @property
    def folder(self) -> Place:
        """Where a run with these targets works, beside the class map."""
        return self.classes.with_name(_hidden(self.classes))

    @property
    def store(self) -> Place:
        """Where a run with these targets keeps its blocks."""
        if self.blocks is None:
            return self.folder
        # Several runs may keep theirs there, of outputs of one name in several folders.
        digest = hashlib.sha256(str(self.classes.resolve()).encode()).hexdigest()[:12]
        return self.blocks / _hidden(self.classes, f".{digest}")

    @property
    def locks(self) -> tuple[Place, ...]:
        """The folders that a run with these targets locks: for each output one, and its blocks.

        They are in an order that all runs share, so that no two wait for each other: by their names
        from the end, for machines may know one shared folder by several paths.
        """
        outputs = [path for name, path in self.all.items() if name != "item"]
        folders = [*(each.with_name(_hidden(each)) for each in outputs), self.store]
        named = {str(each.resolve()): each for each in folders}
        return tuple(named[name] for name in sorted(named, key=_from_the_end))

    @property
    def all(self) -> dict[str, Place]:
        """Every output by name."""
        named: dict[str, Place] = {str(name): path for name, path in self.rasters.items()}
        drawn = {} if self.polygons is None else {"polygons": self.polygons}
        return named | drawn | {"item": self.item}


@dataclass(frozen=True)
class Run:
    """One call of `geoseg.predict_file`, checked and planned.

    Parameters
    ----------
    task : Task
    model : Segmenter
        As it was given; that of the task may see several views of each window.
    targets : Targets
    sources : sequence of str
        What was given as input.
    options : mapping of str to str
        Creation options of the rasters.
    asked : mapping of str to object
        What was asked for of windows, precision, views, extent, mask and the size of pixels; None
        leaves it to geoseg.
    making : Making
        How small regions and polygons are dealt with.
    memory : int
        Bytes that windows and blocks at work may take.
    files : tuple of mapping
        What tells the input from another: facts of every file that it is read from, taken before
        any of them was opened.
    precision : Precision
        What the network runs in.
    origins : sequence of Origin
        STAC Items that the sources are assets of, if they are.
    """

    task: Task
    model: Segmenter
    targets: Targets
    sources: Sequence[str]
    options: Mapping[str, str]
    asked: Mapping[str, Any]
    making: Making
    memory: int
    files: tuple[Mapping[str, Any], ...]
    precision: Precision = field(default_factory=lambda: Precision("fp32"))
    origins: Sequence[Origin] = ()

    def settled(self, precision: Precision) -> Run:
        """The same run in a precision."""
        running = replace(self.task.running, precision=precision.name)
        return self._same(task=replace(self.task, running=running), precision=precision)

    def shared_by(self, crew: int) -> Run:
        """The same run with so many blocks at once in each process."""
        return self._same(task=replace(self.task, crew=crew))

    def planned_as(self, task: Task) -> Run:
        """The same run with other blocks."""
        planned = replace(self, task=task)
        vars(planned).update(digests=self.digests)  # models are slow to hash
        return planned

    def _same(self, **changes: Any) -> Run:
        same = replace(self, **changes)
        # Neither depends on them, and models are slow to hash.
        vars(same).update(digests=self.digests, fingerprint=self.fingerprint)
        return same

    @property
    def folder(self) -> Place:
        """Where finished blocks are kept."""
        return self.targets.store

    def draft(self, name: str) -> Path:
        """Where an output is made, on its own disk; under its name, which layers are named after.

        Outputs beside the class map are made in one folder with it; what goes to a storage is made
        among the temporary files of this machine. No other process has a draft of that name: one
        that was thought to be dead, and goes on, must not find it.
        """
        target, own = self.targets.all[name], f"{name}-{owner()}"
        if isinstance(target, Remote):
            return scratch_of(target) / own / target.name
        classes = self.targets.classes
        beside = target.parent.resolve() == classes.parent.resolve()
        named = classes if beside and isinstance(classes, Path) else target
        return named.with_name(_hidden(named)) / own / target.name

    def forget_drafts(self) -> None:
        """Remove all drafts of these outputs, whoever made them."""
        for name in self.targets.all:
            for each in self.draft(name).parent.parent.glob(f"{name}*"):
                shutil.rmtree(each, ignore_errors=True)

    @property
    def measured(self) -> Grid:
        """The grid that areas are measured on: in metres where the size of pixels was stated."""
        grid, stated = grid_of(self.task.scene.image), self.asked["pixel_size"]
        if stated is None or pixel_size(grid) is not None:
            return grid
        return Grid(grid.shape, None, Affine.scale(stated))

    @property
    def members(self) -> Sequence[Segmenter]:
        """The models that are files of their own."""
        return members_of(self.model)

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """Names the weights and the card of each member."""
        return tuple(each.digest for each in self.members)

    @property
    def digest(self) -> str:
        """Names the weights and the cards of the model."""
        return digest_of(self.digests)

    @cached_property
    def fingerprint(self) -> str:
        """Names everything that the pixels of the blocks depend on, and how they are cut."""
        image = self.task.scene.image
        facts = {
            "versions": VERSIONS,
            "files": self.files,
            "items": [each.told for each in self.origins],
            "grid": repr(grid_of(image)),
            "nodata": str(self.task.scene.nodata),
            "model": self.digest,
            "bands": [str(band) for band in image.coords["band"].values],
            "zoom": self.task.scene.zoom,
            "plan": repr(self.task.plan),
            "batch": self.task.batch_size,
            "device": self.task.kind,
            "precision": self.asked["precision"],
            "views": self.asked["views"],
            "scales": self.asked["scales"],
            "outputs": self.task.outputs,
            "mask": self.asked["mask"],
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def untold(self) -> str | None:
        """A file of the input of which nothing tells whether it has changed, if there is one.

        What was made of it before is not used again.
        """
        return untold(self.files)

    @property
    def mark(self) -> str:
        """Names this very call: blocks of one fingerprint may be made into several results."""
        outputs = {name: str(path.resolve()) for name, path in self.targets.all.items()}
        facts = [self.fingerprint, repr(self.making), self.options, self.asked, outputs]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def chosen(self) -> dict[str, Any]:
        """Sizes and precision that the work is done in, whoever chose them."""
        plan = self.task.plan
        return {
            "window": plan.windows.size,
            "stride": plan.windows.stride,
            "cut": plan.rows.cut,
            "blend": plan.blend,
            "block": tuple(max(sizes) for sizes in plan.chunks),
            "batch": self.task.batch_size,
            "precision": self.precision.name,
            "agreement": self.precision.agreement,
        }

    @property
    def tags(self) -> dict[str, str]:
        """What the outputs say about where they come from; the same wherever they are made.

        So they do not tell the sizes of blocks and batches, and of windows that are cropped, which
        follow from memory and cores and change no class.
        """
        telling = ["blend", "cut", "precision", "agreement"]
        if self.task.plan.blend != "crop":
            telling += ["window", "stride"]
        chosen = {name: self.chosen[name] for name in telling}
        return self._identity | {"GEOSEG_CHOSEN": json.dumps(chosen)}

    @property
    def _identity(self) -> dict[str, str]:
        """The tags by which a call knows its own results."""
        scene = self.task.scene
        options = {
            "bands": [str(b) for b in scene.image.coords["band"].values],
            **self.asked,
            "min_area": self.making.min_area,
            "simplify": self.making.simplify,
            "zoom": scene.zoom,
            "creation": dict(self.options),
        }
        files = [{k: v for k, v in each.items() if k != "changed"} for each in self.files]
        sources = [*(each.told for each in self.origins), *files]
        return {
            "GEOSEG_VERSION": geoseg.__version__,
            "GEOSEG_SOURCES": json.dumps(sources),
            "GEOSEG_MODEL": self.model.card.name,
            "GEOSEG_MODEL_DIGEST": self.digest,
            "GEOSEG_OPTIONS": json.dumps(options),
        }

    def is_tagged(self) -> bool:
        """Whether the rasters say that they were made by this very call."""
        tags = self._identity.items()
        return all(tags <= _tags_of(path).items() for path in self.targets.rasters.values())

    def layout(self, output: Output) -> Layout:
        """How an output is written."""
        card = self.task.segmenter.card
        grid = grid_of(self.task.scene.image)
        if output == "classes":
            return class_layout(grid, card.classes, self.tags)
        names = tuple(each.name for each in card.classes) if output == "scores" else (output,)
        return Layout(grid, "uint8", 255, names, scale=1 / QUANTA, tags=self.tags)


def facts_of(sources: Iterable[str]) -> tuple[Mapping[str, Any], ...]:
    """What tells sources from others: facts of every file that they are read from."""
    return facts_of_files({source: _listing(source) for source in sources})


def facts_before(paths: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What tells files from others, by their names: for `facts_of_files`, once they were opened."""
    return {file: facts_of_file(file) for file in _told(paths)}


def facts_of_files(
    sources: Mapping[str, Listing], before: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Mapping[str, Any], ...]:
    """What tells sources from others that were opened already.

    Parameters
    ----------
    sources : mapping of str to Listing
    before : mapping of str to mapping, optional
        What some of their files were before that; see `facts_before`.
    """
    known = before or {}
    listed = _told(chain(*(each.files for each in sources.values())))
    facts = {file: dict(known.get(file) or facts_of_file(file)) for file in listed}
    for source, listing in sources.items():
        own, files = address_of(source), listing.files[1:]
        if own in facts and listing.header:
            facts[own]["header"] = listing.header
        if own in facts and not listing.is_whole:
            facts[own]["elsewhere"] = True
        stands_for_others = own in facts and files and own not in map(address_of, files)
        if stands_for_others and untold([facts[own]]):
            # No file but a part of those that are listed, as one of the datasets in them.
            facts[own]["named"] = hashlib.sha256(source.encode()).hexdigest()[:16]
    return tuple(facts.values())


def other_file(before: Iterable[Mapping[str, Any]], now: Iterable[Mapping[str, Any]]) -> str | None:
    """Name of the first file that is not what it was; None where all are; see `facts_of`."""
    nothing: Mapping[str, Any] = {}
    # A file may have come beside a source, or gone from there.
    for one, other in zip_longest(before, now, fillvalue=nothing):
        if one != other:
            return str((one or other)["name"])
    return None


def files_named(sources: Iterable[str]) -> Iterator[str]:
    """Every file that sources stand for; an item is a file of its own, whatever it names."""
    for source in sources:
        yield from _listing(source).files


def _listing(source: str) -> Listing:
    return Listing((source,)) if is_stac(source) else listing_of(source)


def files_behind(sources: Iterable[str]) -> tuple[str, ...]:
    """Every file that sources are read from."""
    return _told(files_named(sources))


def _told(files: Iterable[str]) -> tuple[str, ...]:
    """Files of which is told, each once."""
    # GDAL has a name of its own for an address of the web that it was given.
    known = dict.fromkeys(map(address_of, files))
    # Statistics that a viewer leaves beside an image do not make it another one; whatever else such
    # a file says is part of the header.
    return tuple(file for file in known if not _is_sidecar(file))


def _hidden(target: Place, more: str = "") -> str:
    """The name of a hidden folder for an output, after its own as far as names may be long."""
    name = target.name
    short = name if len(os.fsencode(name)) < 100 else hashlib.sha256(name.encode()).hexdigest()[:40]
    return f".{short}{more}.geoseg"


def _from_the_end(path: str) -> list[str]:
    return re.split(r"[/\\]", path)[::-1]


def _is_sidecar(path: str) -> bool:
    return path.lower().endswith(".aux.xml")


def _tags_of(path: Place) -> dict[str, str]:
    """Metadata of a raster; none when the file is no raster."""
    if isinstance(path, Remote):
        return _tags_of_object(path)
    try:
        with opened(str(path)) as dataset:
            return dict(dataset.tags())
    except UserError:
        return {}


def _tags_of_object(path: Remote) -> dict[str, str]:
    # Not as GDAL finds it, which remembers that something was not there a moment ago.
    with path.open() as file:
        try:
            with unlocated_is_fine(), rasterio.open(file) as dataset:
                return dict(dataset.tags())
        except RasterioError:
            return {}
