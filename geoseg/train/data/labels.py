"""Labelled files as a data set: paired, marks turned into classes, parts cut by place."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import groupby
from os import PathLike, fspath
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geoseg.errors import UserError
from geoseg.loader import Scene
from geoseg.raster import open_raster, open_stack, opened
from geoseg.train.data.dataset import Dataset
from geoseg.train.data.decode import Codes, Palette
from geoseg.train.data.readers.files import LabelFiles, common_gsd
from geoseg.train.data.spec import PARTS, Spec, Split, read_spec
from geoseg.train.data.vectors import Meaning, read_polygons

__all__ = ["FILE_NAME", "read_dataset"]

log = logging.getLogger(__name__)

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
    file = file / FILE_NAME if os.path.isdir(file) else file
    spec = read_spec(file)
    folder = file.parent / spec.root if root is None else Path(fspath(root))
    opened = list(_open_scenes(folder, spec))
    scenes = _in_parts(opened, spec.split)
    return Dataset(
        name=spec.name,
        description=spec.description,
        classes=spec.classes,
        bands=tuple(spec.bands),
        gsd=common_gsd(scene for _, scene in opened) if spec.gsd is None else spec.gsd,
        licence=spec.licence,
        unscored=tuple(
            index for index, each in enumerate(spec.classes) if each.name in spec.unscored
        ),
        training=scenes["training"],
        validation=scenes["validation"],
        held_out=scenes["held_out"],
    )


def _open_scenes(folder: Path, spec: Spec) -> Iterator[tuple[str, Scene]]:
    """Each scene, by the path of its first image from the folder on, without ending."""
    labelled = _labeller(spec.meaning)
    for images, labels in _pairs(folder, spec):
        pixels = _pixels(images, list(spec.bands.values()))
        name = images[0].relative_to(folder).with_suffix("").as_posix()
        yield name, labelled(pixels, labels)


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
    with opened(fspath(path)) as dataset:
        return int(dataset.count)


def _pairs(folder: Path, spec: Spec) -> Iterator[tuple[tuple[Path, ...], Path]]:
    patterns = (*spec.images, spec.labels)
    files = [sorted(folder.glob(pattern)) for pattern in patterns]
    for kind, pattern, found in zip(_kinds(spec), patterns, files, strict=True):
        if not found:
            raise UserError(f"no {kind} matches {folder / pattern}; check root and {kind}s")
    if isinstance(spec.meaning, Meaning) and len(files[-1]) == 1:
        images = _together(folder, files[:-1], patterns[:-1])
        named = [*images, dict.fromkeys(images[0], files[-1][0])]
    else:
        named = _together(folder, files, patterns)
    *images, labels = named
    return ((tuple(each[key] for each in images), labels[key]) for key in named[0])


def _kinds(spec: Spec) -> list[str]:
    return ["image"] * len(spec.images) + ["label"]


Key = tuple[str, str]
"""What tells which files belong together: of their folders, and of their names."""


def _together(
    folder: Path, files: Sequence[Sequence[Path]], patterns: Sequence[str]
) -> list[dict[Key, Path]]:
    """The files of each pattern, by keys that those of all patterns share."""
    by_pattern = [
        [_keys(path.relative_to(folder), Path(pattern)) for path in found]
        for found, pattern in zip(files, patterns, strict=True)
    ]
    ways = [
        [[keys[way] for keys in found] for found in by_pattern]
        for way in range(len(by_pattern[0][0]))
    ]
    distinct = [way for way in ways if all(len(set(keys)) == len(keys) for keys in way)]
    if not distinct:
        _refuse_same(folder, files, ways[0])
    best = min(distinct, key=lambda way: len(_unshared(way)))
    if _unshared(best):
        _refuse_alone(folder, files, best)
    return [dict(zip(keys, found, strict=True)) for keys, found in zip(best, files, strict=True)]


def _keys(path: Path, pattern: Path) -> list[Key]:
    """What a file may be paired by, the most telling first.

    Its name, or how that begins, or what the pattern's wildcards match in it; and what they match
    in its folders, or nothing of these.
    """
    folders = _wild(f"{pattern.parent.as_posix()}/", f"{path.parent.as_posix()}/")
    ending = pattern.stem.rpartition("*")[2]
    names = path.stem, path.stem.removesuffix(ending), _wild(pattern.stem, path.stem)
    return [(where, name) for where in (folders, "") for name in names]


_WILDCARD = re.compile(r"(\*\*/|\*|\?|\[[^]]+\])")


def _wild(pattern: str, text: str) -> str:
    """What the wildcards of a pattern match, as one text."""
    known = {"**/": "((?:[^/]+/)*)", "*": "([^/]*)", "?": "([^/])"}
    made = [
        known.get(piece) or ("([^/])" if _WILDCARD.fullmatch(piece) else re.escape(piece))
        for piece in _WILDCARD.split(pattern)
    ]
    found = re.fullmatch("".join(made), text)
    return "/".join(found.groups()) if found else text


def _unshared(way: Sequence[Sequence[Key]]) -> set[Key]:
    """Keys that the files of some pattern lack."""
    return set().union(*way) - set(way[0]).intersection(*way)


def _refuse_alone(
    folder: Path, files: Sequence[Sequence[Path]], way: Sequence[Sequence[Key]]
) -> NoReturn:
    alone = _unshared(way)
    lonely = [
        [path.relative_to(folder) for key, path in zip(keys, found, strict=True) if key in alone]
        for keys, found in zip(way, files, strict=True)
    ]
    raise UserError(
        f"{sum(map(len, lonely))} of the files in {folder} have no partner, first "
        f"{' and '.join(str(paths[0]) for paths in lonely if paths)}; files are paired by name "
        "without ending, and by what the same wildcards match in folders; where the names of one "
        "kind end otherwise, state that, as in labels: masks/*.mask.tif"
    )


def _refuse_same(
    folder: Path, files: Sequence[Sequence[Path]], way: Sequence[Sequence[Key]]
) -> NoReturn:
    one, other = next(
        [path.relative_to(folder) for own, path in zip(keys, found, strict=True) if own == key][:2]
        for keys, found in zip(way, files, strict=True)
        for key, count in Counter(keys).items()
        if count > 1
    )
    raise UserError(
        f"{one} and {other} have the same name, so that their partners are not known; write "
        "patterns that match one of them, or tell folders by the same wildcards, as in images: "
        "tile_*/images/*.jpg with labels: tile_*/masks/*.png"
    )


def _in_parts(opened: Sequence[tuple[str, Scene]], split: Split | None) -> dict[str, list[Scene]]:
    """Scenes of each part; a part that was asked for and holds nothing is told of."""
    scenes: dict[str, list[Scene]] = {part: [] for part in PARTS}
    if split is None:
        return scenes | {PARTS[0]: [scene for _, scene in opened]}
    places = [_places(scene, name, split) for name, scene in opened]
    for (_, scene), own in zip(opened, places, strict=True):
        for part, piece in _cut(scene, own, split):
            scenes[part].append(piece)
    _tell_of_empty(split, scenes, places)
    return scenes


def _tell_of_empty(
    split: Split, scenes: dict[str, list[Scene]], places: Sequence[NDArray[np.float64]]
) -> None:
    low, high = min(each.min() for each in places), max(each.max() for each in places)
    for part, span in (("validation", split.validation), ("held_out", split.held_out)):
        if span and not scenes[part]:
            log.warning(
                "%s %.10g to %.10g holds none of %d scenes (%s %.10g to %.10g); correct the split",
                part, *span, len(places), "numbers" if split.by == "name" else split.by, low, high,
            )  # fmt: skip


def _places(scene: Scene, name: str, split: Split) -> NDArray[np.float64]:
    """Where a scene is: its number, or that of each row or column."""
    if split.by == "name":
        return np.array([_number(name, split.pattern)])
    if split.by not in scene.image.coords:
        raise UserError(f"{name} has no coordinates along {split.by}; split it by name instead")
    return np.asarray(scene.image[split.by].values, np.float64)


def _number(name: str, pattern: str) -> float:
    stem = PurePosixPath(name).name
    for text in (stem, name):
        found = re.search(pattern, text)
        if found and found.groups() and found[1] and found[1].isdecimal():
            return float(found[1])
    raise UserError(
        f"the pattern {pattern!r} finds no number in {stem!r} nor in {name!r}; its first group "
        "must match one"
    )


def _cut(scene: Scene, places: NDArray[np.float64], split: Split) -> Iterator[tuple[str, Scene]]:
    """The parts of a scene, none of which shares a pixel with another."""
    parts = split.part_of(places)
    if split.by == "name":
        if parts[0] >= 0:
            yield PARTS[parts[0]], scene
        return
    start = 0
    for part, run in groupby(parts.tolist()):
        stop = start + len(list(run))
        if part >= 0:
            span = {split.by: slice(start, stop)}
            assert scene.labels is not None  # noqa: S101  (scenes of a data set are labelled)
            yield PARTS[part], Scene(scene.image.isel(span), scene.labels.isel(span))
        start = stop
