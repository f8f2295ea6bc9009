"""What a run is refused for, and what is told of it, before any work is done."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from os import PathLike, fspath
from pathlib import Path

from geoseg.checks import check_disk, check_folder, check_target, check_values
from geoseg.decisions import Output, dtype_of
from geoseg.errors import UserError
from geoseg.places import Remote, scratch_of
from geoseg.polygons import (
    refuse_open_elsewhere,
    refuse_unknown_format,
    refuse_unlocated,
    tell_units,
)
from geoseg.raster import Grid, grid_of
from geoseg.runs import Run, Targets
from geoseg.tasks import Task

__all__ = ["check_run", "check_targets"]

log = logging.getLogger(__name__)


def check_targets(targets: Targets, files: Sequence[str], mask: str | PathLike[str] | None) -> None:
    """Refuse outputs that cannot be written, or that are files of the input.

    Parameters
    ----------
    targets : Targets
    files : sequence of str
        Of the input, but for the mask.
    mask : path-like or None

    Raises
    ------
    UserError
    """
    taken = [*files, *([] if mask is None else [fspath(mask)])]
    drawn = [] if targets.polygons is None else [targets.polygons]
    for path in (*targets.rasters.values(), *drawn):  # the item's name is shorter than sidecars'
        check_target(path, taken)
    if len({path.resolve() for path in targets.all.values()}) < len(targets.all):
        raise UserError(f"two outputs have the name of one file, {targets.classes}; rename one")
    for path in targets.rasters.values():
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise UserError(f"{path} is a GeoTIFF whatever its name; let it end in .tif")
    if targets.polygons is not None:
        refuse_unknown_format(str(targets.polygons))
        if isinstance(targets.polygons, Path):
            refuse_open_elsewhere(targets.polygons)
    if isinstance(targets.blocks, Path):
        check_folder(targets.blocks)


def check_run(run: Run) -> None:
    """Refuse a run that cannot give what is meant, and warn of what may not be meant.

    Raises
    ------
    UserError
    """
    scene, polygons = run.task.scene, run.targets.polygons
    grid = grid_of(scene.image)
    _refuse_missed(run.task, run.sources[0])
    _refuse_large_blocks(run)
    _tell_where(grid, run.sources[0])
    if polygons is not None:
        refuse_unlocated(Path(polygons.name), grid)
    elif run.making.min_area and run.measured == grid:
        tell_units(grid)
    check_values(scene.image, run.task.segmenter.card)
    _check_disks(run)


def _refuse_missed(task: Task, source: str) -> None:
    """Refuse a mask with no pixel inside of it: nothing would be done, and that is not meant."""
    area, plan = task.scene.area, task.plan
    if area is None or any(area.meets(plan.output(block)) for block in plan.blocks()):
        return
    from geoseg.shapes import apart

    raise apart(source)


def _refuse_large_blocks(run: Run) -> None:
    """Refuse to go on with blocks of which not one fits; what is finished of them is not lost."""
    if run.task.crew < 1:
        raise UserError(
            f"the unfinished run in {run.folder} has blocks for {run.task.fit.memory} bytes of "
            f"memory, of which not one fits into {run.memory}; go on with it on as much memory "
            f"(--memory {run.task.fit.memory}), or begin anew with smaller ones: --restart"
        )


def _tell_where(grid: Grid, source: str) -> None:
    if grid.transform is None:
        log.warning("%s does not say where it lies; the map will not either", source)
    elif grid.crs is None:
        log.warning(
            "%s has no coordinate system; the map will have none either, unless one is assumed: "
            "--assume-crs EPSG:32633 (assume_crs), say",
            source,
        )


def _check_disks(run: Run) -> None:
    """Refuse to begin when a disk is too small for what goes there: outputs, and their blocks."""
    goes: list[tuple[Path, int]] = []
    for output, path in run.targets.rasters.items():
        size = _raw_bytes(run.task, output)
        goes.append((scratch_of(path).parent if isinstance(path, Remote) else path.parent, size))
        if isinstance(run.folder, Path):
            goes.append((run.folder.parent, size))
    disks: dict[int, list[tuple[Path, int]]] = {}
    for folder, size in goes:
        disks.setdefault(folder.stat().st_dev, []).append((folder, size))
    for disk, own in disks.items():
        kept = _size_on(disk, run.folder) if isinstance(run.folder, Path) else 0
        check_disk(own[0][0], sum(size for _, size in own), kept)


def _size_on(disk: int, folder: Path) -> int:
    """Bytes of the blocks that an earlier call left on a disk."""
    size = 0
    with suppress(FileNotFoundError):  # whoever has them removes them
        if folder.stat().st_dev == disk:
            for each in folder.rglob("*"):
                size += each.stat().st_size if each.is_file() else 0
    return size


def _raw_bytes(task: Task, output: Output) -> int:
    rows, columns = task.scene.image.shape[1:]
    bands = len(task.segmenter.card.classes) if output == "scores" else 1
    size = dtype_of(task.segmenter.card, "classes").itemsize if output == "classes" else 1
    return int(rows * columns * bands * size)
