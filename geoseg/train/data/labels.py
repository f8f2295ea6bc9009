"""Labelled files as a data set: paired, marks turned into classes, parts cut by place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import groupby
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from geoseg.errors import UserError
from geoseg.loader import Scene
from geoseg.raster import open_dataset, open_raster, open_stack
from geoseg.train.data.dataset import Dataset
from geoseg.train.data.decode import Codes, Palette
from geoseg.train.data.readers.files import LabelFiles
from geoseg.train.data.spec import PARTS, Spec, Split, read_spec
from geoseg.train.data.vectors import Meaning, read_polygons

__all__ = ["FILE_NAME", "read_dataset"]

FILE_NAME = "dataset.yaml"
"""The file that is looked for when a folder is given."""


def read_dataset(path: str | PathLike[str], root: str | PathLike[str] | None = None) -> Dataset:
    """Read a data set; images stay on disk until their pixels are asked for.

    Parameters
    ----------
    path : path-like
        A YAML file, or a folder that holds one named `FILE_NAME`.
    root : path-like, optional
        Folder of images and labels, instead of the one that the file names.

    Raises
    ------
    UserError
        When the description is incomplete, or files are missing or do not fit each other.
    """
    file = Path(fspath(path))
    file = file / FILE_NAME if file.is_dir() else file
    spec = read_spec(file)
    folder = file.parent / spec.root if root is None else Path(fspath(root))
    scenes: dict[str, list[Scene]] = {part: [] for part in PARTS}
    for image, scene in _open_scenes(folder, spec):
        for part, piece in _cut(scene, image.stem, spec.split):
            scenes[part].append(piece)
    return Dataset(
        name=spec.name,
        description=spec.description,
        classes=spec.classes,
        bands=tuple(spec.bands),
        gsd=spec.gsd,
        licence=spec.licence,
        unscored=tuple(
            index for index, each in enumerate(spec.classes) if each.name in spec.unscored
        ),
        training=scenes["training"],
        validation=scenes["validation"],
        held_out=scenes["held_out"],
    )


def _open_scenes(folder: Path, spec: Spec) -> Iterator[tuple[Path, Scene]]:
    labelled = _labeller(spec.meaning)
    for images, labels in _pairs(folder, spec):
        pixels = _pixels(images, list(spec.bands.values()))
        yield images[0], labelled(pixels, labels)


def _labeller(meaning: Meaning | Codes | Palette) -> Callable[[xr.DataArray, Path], Scene]:
    """What joins an image with its file of labels."""
    if not isinstance(meaning, Meaning):
        return LabelFiles(meaning).scene
    drawn = cache(read_polygons)  # a file of polygons may be that of all images
    return lambda pixels, labels: Scene(pixels, drawn(labels, meaning).on(pixels))


def _pixels(images: Sequence[Path], numbers: Sequence[Any]) -> xr.DataArray:
    """The bands of an image; of several files, counted through from the first one's."""
    if len(images) == 1:
        return open_raster(images[0], bands=numbers)
    owners = [(path, band) for path in images for band in range(1, _bands(path) + 1)]
    for number in numbers:
        if type(number) is not int or not 1 <= number <= len(owners):
            raise UserError(
                f"{images[0].stem} has no band {number!r}: its {len(images)} files have "
                f"{len(owners)} together; give numbers from 1 to {len(owners)}"
            )
    wanted = [owners[number - 1] for number in numbers]
    by_file = {path: [band for owner, band in wanted if owner == path] for path in images}
    used = {path: bands for path, bands in by_file.items() if bands}
    stacked = [(path, band) for path, bands in used.items() for band in bands]
    stack = open_stack(list(used), bands=list(used.values()))
    return stack.isel(band=[stacked.index(each) for each in wanted])


def _bands(path: Path) -> int:
    with open_dataset(fspath(path)) as dataset:
        return int(dataset.count)


def _pairs(folder: Path, spec: Spec) -> Iterator[tuple[tuple[Path, ...], Path]]:
    patterns = (*spec.images, spec.labels)
    files = [sorted(folder.glob(pattern)) for pattern in patterns]
    for pattern, found in zip(spec.images, files, strict=False):
        if not found:
            raise UserError(f"no image matches {folder / pattern}; check root and images")
    if isinstance(spec.meaning, Meaning) and len(files[-1]) == 1:
        images = _by_name(files[:-1], patterns[:-1])
        named = [*images, dict.fromkeys(images[0], files[-1][0])]
    else:
        named = _by_name(files, patterns)
    common = set(named[0]).intersection(*named)
    alone = sorted(set(named[0]).union(*named) - common)
    if alone:
        raise UserError(
            f"{len(alone)} of the files in {folder} have no partner, first {alone[0]}; images and "
            "labels are paired by file name without ending"
        )
    *images, labels = named
    return ((tuple(each[name] for each in images), labels[name]) for name in named[0])


def _by_name(files: Sequence[Sequence[Path]], patterns: Sequence[str]) -> list[dict[str, Path]]:
    """The files of each pattern by what they share: their names, or the beginnings of these."""
    whole = [{path.stem: path for path in found} for found in files]
    if all(each.keys() == whole[0].keys() for each in whole):
        return whole
    endings = [Path(pattern).stem.rpartition("*")[2] for pattern in patterns]
    begun = [
        {path.stem.removesuffix(ending): path for path in found}
        for found, ending in zip(files, endings, strict=True)
    ]
    return begun if all(each.keys() == begun[0].keys() for each in begun) else whole


def _cut(scene: Scene, stem: str, split: Split | None) -> Iterator[tuple[str, Scene]]:
    """The parts of a scene, none of which shares a pixel with another."""
    if split is None:
        yield PARTS[0], scene
    elif split.by == "name":
        part = split.part_of(np.array([_number(stem, split.pattern)]))[0]
        if part >= 0:
            yield PARTS[part], scene
    else:
        yield from _cut_along(scene, split, stem)


def _number(stem: str, pattern: str) -> float:
    found = re.search(pattern, stem)
    if found is None or not found.groups() or not found[1].isdecimal():
        raise UserError(
            f"the pattern {pattern!r} finds no number in {stem!r}; its first group must match one"
        )
    return float(found[1])


def _cut_along(scene: Scene, split: Split, stem: str) -> Iterator[tuple[str, Scene]]:
    if split.by not in scene.image.coords:
        raise UserError(f"{stem} has no coordinates along {split.by}; split it by name instead")
    parts = split.part_of(scene.image[split.by].values)
    start = 0
    for part, run in groupby(parts.tolist()):
        stop = start + len(list(run))
        if part >= 0:
            span = {split.by: slice(start, stop)}
            assert scene.labels is not None  # noqa: S101  (scenes of a data set are labelled)
            yield PARTS[part], Scene(scene.image.isel(span), scene.labels.isel(span))
        start = stop
