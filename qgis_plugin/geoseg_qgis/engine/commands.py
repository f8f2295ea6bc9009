# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine can be told: commands as it reads them, and descriptions of data to learn from.

Only what differs from the engine's own defaults is told, so that these stay in one place.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

__all__ = [
    "Evaluate",
    "ModelInfo",
    "Polygonize",
    "Segment",
    "Split",
    "Train",
    "TrainingClass",
    "TrainingData",
    "dataset_text",
]


@dataclass(frozen=True)
class Segment:
    """Classify a raster.

    Parameters
    ----------
    source, output : str
        The image, as GDAL names it, and the map to write.
    model : str
        A model file, or the name of a shipped one.
    bands : str
        Numbers or names in the model's order, as in "4,3,2"; empty for the model's own choice.
    bbox : tuple of float, optional
        West, south, east and north, in `bbox_crs`, or in the image's coordinate system.
    bbox_crs, assume_crs : str
        EPSG code or WKT; the latter is that of an image which has none.
    mask : str
        Polygons; only pixels inside are classified.
    polygons, confidence : str
        More files to write.
    min_area : float
        Square metres.
    simplify : float
        Pixels.
    window, halo : int, optional
        Pixels.
    blend : str
        "crop", "hann" or "mean".
    gsd : float or "native", optional
        Metres a pixel that the image is brought to.
    pixel_size : float, optional
        Metres, of an image that does not say it.
    views : str
        "flips" or "d4".
    device, memory : str
        As in "cuda:0" and "4GB".
    overwrite : bool
        Whether outputs that exist are replaced.
    """

    source: str
    output: str
    model: str
    bands: str = ""
    bbox: tuple[float, float, float, float] | None = None
    bbox_crs: str = ""
    assume_crs: str = ""
    mask: str = ""
    polygons: str = ""
    confidence: str = ""
    min_area: float = 0.0
    simplify: float = 0.0
    window: int | None = None
    halo: int | None = None
    blend: str = ""
    gsd: float | str | None = None
    pixel_size: float | None = None
    views: str = ""
    device: str = ""
    memory: str = ""
    overwrite: bool = False

    def arguments(self) -> list[str]:
        """Words of the command line."""
        return ["predict", *_told(self, "source", "output")]


@dataclass(frozen=True)
class Polygonize:
    """Make polygons of a class map.

    Parameters
    ----------
    source, output : str
        The map, as GDAL names it, and the .gpkg, .fgb, .parquet or .geojson to write.
    connectivity : int
        4, or 8 where pixels that touch at a corner are one region.
    min_area : float
        Square metres.
    simplify : float
        Pixels.
    classes : str
        Names or values of those that are wanted, as in "water,forest"; empty for all.
    with_nodata : bool
        Whether pixels without data become polygons, too.
    regularize : bool
        Whether corners are squared.
    crs : str
        Coordinate system of the polygons; empty for the map's.
    band : str
        Number or name of the band, of several.
    confidence : str
        A raster on the same grid to average by polygon.
    assume_crs : str
        EPSG code or WKT of the coordinate system of a map that has none.
    overwrite : bool
        Whether an output that exists is replaced.
    """

    source: str
    output: str
    connectivity: int = 4
    min_area: float = 0.0
    simplify: float = 0.0
    classes: str = ""
    with_nodata: bool = False
    regularize: bool = False
    crs: str = ""
    band: str = ""
    confidence: str = ""
    assume_crs: str = ""
    overwrite: bool = False

    def arguments(self) -> list[str]:
        """Words of the command line."""
        return ["polygonize", *_told(self, "source", "output")]


@dataclass(frozen=True)
class Evaluate:
    """Score a class map against a labelled raster of the same place.

    Parameters
    ----------
    predicted, truth : str
        Files.
    model : str
        Whose classes the map has; empty where `classes` says it, or the map.
    classes : str
        A JSON or YAML file of values and names.
    scores : str
        A raster of the probability, of two classes.
    report : str
        A folder to write figures into.
    overwrite : bool
        Whether a report that exists is replaced.
    """

    predicted: str
    truth: str
    model: str = ""
    classes: str = ""
    scores: str = ""
    report: str = ""
    overwrite: bool = False

    def arguments(self) -> list[str]:
        """Words of the command line."""
        return ["evaluate", *_told(self, "predicted", "truth")]


@dataclass(frozen=True)
class Train:
    """Train a model.

    Parameters
    ----------
    recipe : str
        As in "unet".
    data : str
        A folder, or a file that `dataset_text` describes.
    out : str
        The model file to write.
    settings : mapping
        Settings of the recipe, as in ``{"steps": "2000"}``.
    resume : bool
        Whether to go on from the last checkpoint.
    report : str
        A folder for curves and samples; empty for one beside the model.
    device : str
        As in "cuda:0".
    overwrite : bool
        Whether a model that exists is replaced.
    """

    recipe: str
    data: str
    out: str
    settings: Mapping[str, str] = field(default_factory=dict)
    resume: bool = False
    report: str = ""
    device: str = ""
    overwrite: bool = False

    def arguments(self) -> list[str]:
        """Words of the command line."""
        settings = [f"--set={name}={value}" for name, value in self.settings.items()]
        return ["train", *settings, *_told(self, "recipe", but=("settings",))]


@dataclass(frozen=True)
class ModelInfo:
    """Tell what a model takes and gives, for `geoseg_qgis.engine.process.ask`.

    Parameters
    ----------
    model : str
        A model file, or the name of a shipped one.
    brief : bool
        Whether to tell what ``model list --json`` tells of each; else the whole card.
    """

    model: str
    brief: bool = False

    def arguments(self) -> list[str]:
        """Words of the command line."""
        return ["model", "info", "--json", *_told(self, "model")]


def _told(command: Any, *positional: str, but: Sequence[str] = ()) -> list[str]:
    """Options that differ from their defaults, then what stands without one.

    A value is joined with its option, and what has no option follows ``--``: so neither is taken
    for an option if it begins with a dash.
    """
    words: list[str] = []
    for each in fields(command):
        value = getattr(command, each.name)
        if each.name not in (*positional, *but) and value != each.default:
            words += _option(f"--{each.name.replace('_', '-')}", value)
    return [*words, "--", *(getattr(command, name) for name in positional)]


def _option(name: str, value: Any) -> list[str]:
    if value is True:
        return [name]
    if isinstance(value, tuple):  # of numbers; so many are taken, whatever they begin with
        return [name, *map(str, value)]
    return [f"{name}={value}"]


@dataclass(frozen=True)
class TrainingClass:
    """A class to be learnt, and what it is in the labels.

    Parameters
    ----------
    name : str
    color : str
        As in "#1b5e34"; empty for one of the engine's choice.
    value : int, optional
        In maps; counted from 0 by default.
    codes : sequence of int
        Of labels that are a raster: its values.
    polygons : sequence of int or str, or "all" or "none"
        Of labels that are polygons: values of their column, any polygon, or where there is none.
    """

    name: str
    color: str = ""
    value: int | None = None
    codes: Sequence[int] = ()
    polygons: Sequence[int | str] | str = ()


@dataclass(frozen=True)
class Split:
    """A strip at the upper end of the image, by x or y, which is scored and not learnt from.

    Parameters
    ----------
    by : {"x", "y"}
    extent : tuple of float
        The lowest and the highest x or y of the image, in its map units.
    share : float
        Of the extent, above 0 and below 1.
    margin : float
        Map units beside the strip that are left out.
    """

    by: str
    extent: tuple[float, float]
    share: float
    margin: float = 0.0


@dataclass(frozen=True)
class TrainingData:
    """An image with its labels.

    Parameters
    ----------
    image, labels : str
        Absolute paths; labels are a raster on the image's grid, or polygons.
    name : str
    bands : mapping of str to int
        Names for the image's bands, in the order in which the model takes them.
    classes : sequence of TrainingClass
    column : str
        Of the polygons, whose values the classes list.
    layer : str
        Of a file of polygons with several.
    gsd : float, optional
        Metres a pixel, of an image that does not say it.
    split : Split, optional
    """

    image: str
    labels: str
    name: str
    bands: Mapping[str, int]
    classes: Sequence[TrainingClass]
    column: str = ""
    layer: str = ""
    gsd: float | None = None
    split: Split | None = None


def dataset_text(data: TrainingData) -> str:
    """Describe an image with its labels, as ``geoseg train RECIPE --data FILE`` reads it.

    Parameters
    ----------
    data : TrainingData

    Returns
    -------
    str
        JSON, to be written as UTF-8 into a file of any place.

    Raises
    ------
    ValueError
        When a file's name or place cannot be described; the message is for the user.
    """
    image, labels = os.path.normpath(data.image), os.path.normpath(data.labels)
    root = _common_folder(image, labels)
    split = None if data.split is None else _as_split(data.split)
    stated = {
        "name": data.name,
        "gsd": data.gsd,
        "root": root.as_posix(),
        "images": _pattern(Path(image), root),
        "labels": _pattern(Path(labels), root),
        "column": data.column,
        "layer": data.layer,
        "bands": dict(data.bands),
        "classes": [_as_class(each) for each in data.classes],
        "split": split,
    }
    return _as_json(_filled(stated))


def _common_folder(image: str, labels: str) -> Path:
    for each in (image, labels):
        if not os.path.isabs(each):
            raise ValueError(f"{each} is no file with a folder; save the layer as a file first")
    try:
        return Path(os.path.commonpath([os.path.dirname(image), os.path.dirname(labels)]))
    except ValueError as error:
        raise ValueError(
            f"{image} and {labels} lie on different drives; copy one of them beside the other"
        ) from error


def _pattern(path: Path, root: Path) -> str:
    """A pattern that matches one file."""
    if glob.has_magic(path.name):
        raise ValueError(
            f"{path.name} has one of * ? [ in its name, which the engine takes for a pattern; "
            "rename the file"
        )
    folder = path.parent.relative_to(root)
    return (Path(glob.escape(str(folder))) / path.name).as_posix()


def _as_class(stated: TrainingClass) -> dict[str, Any]:
    polygons = stated.polygons
    return _filled(
        {
            "name": stated.name,
            "color": stated.color,
            "value": stated.value,
            "codes": list(stated.codes),
            "polygons": polygons if isinstance(polygons, str) else list(polygons),
        }
    )


def _as_split(split: Split) -> dict[str, Any]:
    low, high = split.extent
    return {
        "by": split.by,
        "validation": [float(high - split.share * (high - low)), float(high)],
        "margin": float(split.margin),
    }


def _filled(stated: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stated.items() if value not in (None, "", [])}


def _as_json(value: Any) -> str:
    """JSON that is YAML as well, which takes 1e-05 for a text, but not 1.0e-05."""
    if isinstance(value, dict):
        members = (f"{_as_json(name)}: {_as_json(each)}" for name, each in value.items())
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_as_json, value))}]"
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and "e" in text and "." not in text:
        return text.replace("e", ".0e")
    return text
