"""Many scenes: one after another, or spread over the workers of a cluster."""

from __future__ import annotations

import logging
import os
import traceback
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.addresses import address_of, is_remote
from geoseg.crew import LocalCrew
from geoseg.ensembles import members_of
from geoseg.errors import UserError
from geoseg.hiring import hired
from geoseg.inputs import facts_of_mask, facts_of_scene, found, size_of_scene
from geoseg.job import Result, predict_file
from geoseg.places import Place, place, size_of
from geoseg.progress import Emit
from geoseg.raster.place import writing
from geoseg.segmenter import Segmenter
from geoseg.versions import VERSIONS

if TYPE_CHECKING:
    from geoseg.cluster import Cluster
    from geoseg.orders import Failure, Shown, Terms

__all__ = ["SceneJob", "predict_scenes", "refuse_clashes"]

log = logging.getLogger(__name__)

HUGE = 2**28  # pixels; a larger scene is shared by all workers, block by block

Outcome = tuple["SceneJob", Result | Exception]


@dataclass(frozen=True)
class SceneJob:
    """A scene and where its results go, by the names of `predict_file`'s arguments."""

    source: str
    outputs: tuple[tuple[str, Place], ...]

    def __str__(self) -> str:
        return self.source

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of `predict_file`, in paths that hold in any folder."""
        return {"src": found(self.source), **{name: path.absolute() for name, path in self.outputs}}

    @property
    def written(self) -> list[str]:
        """Every file that is written or replaced: outputs, their sidecars, and the item."""
        outputs = {name: _known_by(str(path)) for name, path in self.outputs}
        sidecars = [f"{name}.aux.xml" for name in outputs.values()]
        return [*outputs.values(), *sidecars, f"{outputs['dst']}.json"]


def refuse_clashes(jobs: Sequence[SceneJob]) -> None:
    """Refuse scenes of which one would replace what is made of another, or another itself.

    Raises
    ------
    UserError
    """
    sources = {_known_by(job.source): job for job in jobs}
    owners: dict[str, SceneJob] = {}
    for job in jobs:
        for name in job.written:
            if owners.setdefault(name, job) is not job:
                raise UserError(
                    f"{owners[name]} and {job} would both become {name}; rename one, or predict "
                    "them into different folders"
                )
            if sources.get(name, job) is not job:
                raise UserError(
                    f"{name}, which would be made of {job}, is a source itself; predict into "
                    "another folder"
                )


def _known_by(name: str) -> str:
    """The same for all names of a file, whether it is there or not."""
    address = address_of(name)
    return address if is_remote(address) else os.path.normcase(os.path.realpath(name))


def predict_scenes(
    jobs: Sequence[SceneJob],
    segmenter: Segmenter,
    named: Sequence[str | PathLike[str]],
    options: Mapping[str, Any],
    report: Callable[[SceneJob], Emit],
) -> Iterator[Outcome]:
    """Classify scenes, each unless its outputs are there; gives each with what came of it.

    Parameters
    ----------
    jobs : sequence of SceneJob
    segmenter : Segmenter
    named : sequence of path-like or str
        The files or shipped models that it was made of, in order.
    options : mapping
        Further arguments of `predict_file`, ``scheduler`` among them.
    report : callable
        Gives who is told of the progress of a scene.
    """
    with hired(options["scheduler"]) as crew:
        if isinstance(crew, LocalCrew):
            for job in jobs:
                yield job, _tried(job, segmenter, {**options, "scheduler": "local"}, report(job))
            return
        huge: list[SceneJob] = []
        yield from _spread(crew, jobs, huge, segmenter, _shown(segmenter, named), options)
    for job in huge:
        yield job, _tried(job, segmenter, options, report(job))


def _tried(job: SceneJob, model: Segmenter, options: Mapping[str, Any], emit: Emit) -> Any:
    try:
        return predict_file(
            **job.arguments, **options, model=model, skip_done=True, on_progress=emit
        )
    except Exception as error:
        if not isinstance(error, UserError):
            traceback.print_exc()
        # It is kept until the end of the batch, and frames would keep all that its run had read.
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)


def _small(
    jobs: Iterable[SceneJob], names: Sequence[str], huge: list[SceneJob]
) -> Iterator[SceneJob]:
    """Scenes for one thread each; those for all workers are put by."""
    for job in jobs:
        if _is_huge(job, names):
            huge.append(job)
        else:
            yield job


def _is_huge(job: SceneJob, names: Sequence[str]) -> bool:
    """Whether a scene is worth all workers; one that cannot be opened is not."""
    try:
        return size_of_scene(job.arguments["src"], names) >= HUGE
    except UserError:
        return False


@dataclass(frozen=True)
class SceneOrder:
    """What a worker needs to know of a scene.

    Parameters
    ----------
    arguments, options : mapping
        Of `predict_file`.
    names : tuple of str
        Of the bands, by which the assets of an item are found.
    models : tuple of (digest, file)
    files : tuple of mapping
        What scene and mask were found to be; see `facts_of_scene` and `facts_of_mask`.
    signs : tuple of (Path or Remote)
        Files in the folders of the outputs, by which these are known.
    terms : Terms
    """

    arguments: Mapping[str, Any]
    options: Mapping[str, Any]
    names: tuple[str, ...]
    models: Shown
    files: tuple[Mapping[str, Any], ...]
    signs: tuple[Place, ...]
    terms: Terms


@dataclass(frozen=True)
class Made:
    """What a worker has made of a scene: the result, and the bytes of each output, in order."""

    result: Result
    sizes: tuple[int | None, ...]
    who: str


def _spread(
    cluster: Cluster,
    jobs: Sequence[SceneJob],
    huge: list[SceneJob],
    segmenter: Segmenter,
    models: Shown,
    options: Mapping[str, Any],
) -> Generator[Outcome, None, None]:
    """Scenes, each on one thread of some worker; huge ones are put by."""
    from geoseg.orders import Terms

    memory, has = cluster.means(options["device"], options["memory"])
    share = max(memory // has.crew, 1)
    own = {**_anywhere(options), "scheduler": "local", "memory": share}
    terms = Terms(VERSIONS, has.kind)
    names = tuple(map(str, options.get("bands") or segmenter.card.bands))
    mask = facts_of_mask(own.get("mask"))
    unread: list[Outcome] = []
    with _signed(jobs) as signs:

        def order(seen: Seen) -> tuple[SceneOrder]:
            job, there = seen.job, tuple({signs[path.parent] for _, path in seen.job.outputs})
            files = (*seen.files, *mask)
            return (SceneOrder(job.arguments, own, names, models, files, there, terms),)

        small = _seen(_small(jobs, names, huge), names, unread)
        for seen, outcome in cluster.each(predict_scene, small, order):
            yield seen.job, _checked(seen, outcome) if isinstance(outcome, Made) else outcome
            yield from unread
            unread.clear()
    yield from unread


def _anywhere(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as they hold in any folder."""
    paths: dict[str, Any] = {}
    if options.get("mask") is not None:
        paths["mask"] = found(options["mask"])
    if options.get("blocks") is not None:
        paths["blocks"] = place(options["blocks"]).absolute()
    return {**options, **paths}


@contextmanager
def _signed(jobs: Iterable[SceneJob]) -> Iterator[Mapping[Place, Place]]:
    """Put a file into each folder that outputs go to, for workers to find; by folder."""
    name = f".geoseg-{uuid.uuid4().hex}"
    folders = {path.parent for job in jobs for _, path in job.outputs}
    signs = {folder: (folder / name).absolute() for folder in folders}
    try:
        for folder, sign in signs.items():
            with writing(*([folder] if isinstance(folder, Path) else [])):
                sign.write_bytes(b"")
        yield signs
    finally:
        for sign in signs.values():
            sign.unlink(missing_ok=True)


@dataclass(frozen=True, eq=False)
class Seen:
    """A scene, and what its files were when it was given to a worker."""

    job: SceneJob
    files: tuple[Mapping[str, Any], ...]

    def __str__(self) -> str:
        return str(self.job)


def _seen(jobs: Iterable[SceneJob], names: Sequence[str], unread: list[Outcome]) -> Iterator[Seen]:
    """Scenes as this process sees them; those that it cannot read are put by."""
    for job in jobs:
        try:
            yield Seen(job, facts_of_scene(job.arguments["src"], names))
        except UserError as error:
            unread.append((job, error))


def _checked(seen: Seen, made: Made) -> Result | UserError:
    """A result whose files are there for this process as well."""
    log.debug("%s done by %s: %s", seen, made.who, made.result.spent)
    for path, size in zip(made.result.outputs.values(), made.sizes, strict=True):
        if size is None or size_of(path) != size:
            return UserError(
                f"a worker says that it wrote {path}, which is not there or is another file; write "
                "into a folder that all workers see"
            )
    return made.result


def _shown(segmenter: Segmenter, named: Sequence[str | PathLike[str]]) -> Shown:
    """How workers find a model: shipped ones by name, files by path; and what they must be."""
    paths = [Path(each).absolute() if Path(each).is_file() else each for each in named]
    members = zip(members_of(segmenter), paths, strict=True)
    return tuple((own.digest, fspath(path)) for own, path in members)


def predict_scene(order: SceneOrder) -> Made | Failure:
    """Classify a scene on a worker; what the user is to be told is returned, to be sent alone."""
    from geoseg.orders import failing

    try:
        return _predicted(order)
    except UserError as error:
        return failing(error)


def _predicted(order: SceneOrder) -> Made:
    from distributed import get_worker

    from geoseg.orders import refuse_other_files, refuse_unseen, shared_model

    order.terms.refuse_others(order.options["device"])
    for sign in order.signs:
        refuse_unseen(sign.exists(), sign.parent)
    scene = facts_of_scene(order.arguments["src"], order.names)
    refuse_other_files(order.files, (*scene, *facts_of_mask(order.options.get("mask"))))
    model = shared_model(order.models)
    result = predict_file(**order.arguments, **order.options, model=model, skip_done=True)
    return Made(result, tuple(map(size_of, result.outputs.values())), get_worker().address)
