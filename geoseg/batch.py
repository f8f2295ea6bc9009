"""Many scenes: one after another, or spread over the workers of a cluster."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.crew import LocalCrew
from geoseg.ensembles import members_of
from geoseg.errors import UserError
from geoseg.hiring import hired
from geoseg.inputs import found
from geoseg.job import Result, predict_file
from geoseg.places import Place
from geoseg.progress import Emit
from geoseg.raster.files import opened
from geoseg.segmenter import Segmenter

if TYPE_CHECKING:
    from geoseg.cluster import Cluster
    from geoseg.orders import Shown

__all__ = ["SceneJob", "predict_scenes"]

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
        small = _small(jobs, huge)
        yield from _spread(crew, small, _shown(segmenter, named), options)
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
        return error


def _small(jobs: Iterable[SceneJob], huge: list[SceneJob]) -> Iterator[SceneJob]:
    """Scenes for one thread each; those for all workers are put by."""
    for job in jobs:
        if _is_huge(job):
            huge.append(job)
        else:
            yield job


def _is_huge(job: SceneJob) -> bool:
    """Whether a scene is worth all workers; one that cannot be opened is not."""
    try:
        with opened(job.source) as dataset:
            return bool(dataset.width * dataset.height >= HUGE)
    except UserError:
        return False


def _spread(
    cluster: Cluster, jobs: Iterable[SceneJob], models: Shown, options: Mapping[str, Any]
) -> Generator[Outcome, None, None]:
    """Scenes, each on one thread of some worker."""
    memory, has = cluster.means(options["device"], options["memory"])
    share = max(memory // has.crew, 1)
    own = {**options, "scheduler": "local", "memory": share}
    yield from cluster.each(predict_scene, jobs, lambda job: (job.arguments, models, own))


def _shown(segmenter: Segmenter, named: Sequence[str | PathLike[str]]) -> Shown:
    """How workers find a model: shipped ones by name, files by path; and what they must be."""
    paths = [Path(each).absolute() if Path(each).is_file() else each for each in named]
    members = zip(members_of(segmenter), paths, strict=True)
    return tuple((own.digest, fspath(path)) for own, path in members)


def predict_scene(
    arguments: Mapping[str, Any], models: Shown, options: Mapping[str, Any]
) -> Result | UserError:
    """Classify a scene on a worker; what the user is to be told is returned, to be sent alone."""
    from geoseg.orders import shared_model

    try:
        return predict_file(**arguments, **options, model=shared_model(models), skip_done=True)
    except UserError as error:
        return UserError(str(error))
