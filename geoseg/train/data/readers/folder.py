"""A folder of images and label rasters, described by what lies in it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geoseg.classes import PALETTE, ClassInfo
from geoseg.errors import UserError
from geoseg.loader import IGNORE
from geoseg.raster import class_table, open_raster
from geoseg.train.data.dataset import Dataset
from geoseg.train.data.decode import Codes, Palette
from geoseg.train.data.readers.files import LabelFiles, by_stem, common_gsd, paired
from geoseg.train.data.readers.parts import SEVEN_TENTHS, in_parts, shared_out

__all__ = ["folder"]

PART_NAMES = {
    "training": ("training", "train"),
    "validation": ("validation", "valid", "val"),
    "held_out": ("held_out", "test"),
}
PART_OF = {name: part for part, names in PART_NAMES.items() for name in names}

Pair = tuple[str, Path, Path]

Listed = tuple[list[Pair], list[str], list[str]]
"""Pairs, the part of each, and the region of each where regions are known."""


def folder(root: Path) -> Dataset:
    """Read a folder of ``images/`` and ``labels/`` of the same names, or a table of files.

    A table is a file ``*.csv`` with the columns ``image`` and ``label``, paths from the folder on,
    and possibly ``split`` (training, validation or held_out) or ``region``: seven tenths are then
    learnt from, one validates, two are held out, and regions are never parted. Without either all
    is learnt from, for tiles picked at random would have their neighbours on the other side.

    Classes are those of ``class_dict.csv`` (columns ``name,r,g,b``), whose colours the labels then
    have; else those that the first label raster names; else every value of the labels is one. The
    pixel size is what the images say, where all agree within 1 % and none is in degrees. What needs
    more to be said is described in YAML; see `geoseg.train.data.spec`.

    Parameters
    ----------
    root : Path

    Returns
    -------
    Dataset

    Raises
    ------
    UserError
        When files are missing or do not fit each other, or the table cannot be understood.
    """
    root = Path(root)
    pairs, parts, regions = _table(root) or _halves(root)
    first = open_raster(pairs[0][1])
    classes, decode = _classes(root, [labels for _, _, labels in pairs])
    scenes = LabelFiles(decode).scenes(pairs)
    named = [name or f"band {i + 1}" for i, name in enumerate(first.attrs.get("long_name", ()))]
    return Dataset(
        name=root.resolve().name,
        description="",
        classes=classes,
        bands=tuple(named),
        gsd=common_gsd(scenes),
        **shared_out(scenes, parts, regions),
    )


def _halves(root: Path) -> Listed:
    pairs = paired(
        by_stem(root / "images"),
        by_stem(root / "labels"),
        root,
        "looked at were its folders images/ and labels/: name files alike there, or describe other "
        "ones in a YAML file (images, labels, bands, classes)",
    )
    return pairs, ["training"] * len(pairs), []


def _table(root: Path) -> Listed | None:
    """What the table lists, where there is one."""
    for path in sorted(root.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if {"image", "label"} <= set(rows.fieldnames or ()):
                return _of_rows(list(rows), path)
    return None


def _of_rows(rows: Sequence[dict[str, str]], path: Path) -> Listed:
    if not rows:
        raise UserError(f"{path} lists nothing; add rows of image and label")
    files = path.parent
    pairs = [(row["image"], files / row["image"], files / row["label"]) for row in rows]
    regions = [row["region"] for row in rows] if "region" in rows[0] else []
    if "split" in rows[0]:
        return pairs, [_part(row["split"], path) for row in rows], regions
    parts = in_parts(regions, SEVEN_TENTHS) if regions else ["training"] * len(pairs)
    return pairs, parts, regions


def _part(name: str, path: Path) -> str:
    if name not in PART_OF:
        raise UserError(f"{path}: split is {name!r}; choose from {', '.join(PART_OF)}")
    return PART_OF[name]


def _classes(root: Path, labels: Sequence[Path]) -> tuple[tuple[ClassInfo, ...], Codes | Palette]:
    table = root / "class_dict.csv"
    if table.is_file():
        classes = _of_colors(table)
        return classes, Palette(tuple((each.rgb,) for each in classes))
    classes = class_table(labels[0]) or _of_values(labels)
    return classes, Codes(tuple((each.value,) for each in classes))


def _of_colors(table: Path) -> tuple[ClassInfo, ...]:
    with table.open(newline="", encoding="utf-8") as file:
        rows = [
            {str(key).strip(): str(value).strip() for key, value in row.items()}
            for row in csv.DictReader(file)
        ]
    if not rows or not {"name", "r", "g", "b"} <= rows[0].keys():
        raise UserError(f"{table} must have the columns name, r, g and b, and a row a class")
    try:
        colors = ["#" + bytes(int(row[each]) for each in "rgb").hex() for row in rows]
    except ValueError as error:
        raise UserError(f"{table}: colours are whole numbers, 0 to 255 ({error})") from error
    both = zip(rows, colors, strict=True)
    return tuple(ClassInfo(index, row["name"], color) for index, (row, color) in enumerate(both))


def _of_values(labels: Sequence[Path]) -> tuple[ClassInfo, ...]:
    """A class for every value that occurs, except the no-data value and `IGNORE`."""
    values: set[int] = set()
    for path in labels:
        codes = open_raster(path)
        if len(codes) != 1 or codes.dtype.kind not in "ui":
            raise UserError(
                f"{path} has {len(codes)} bands of {codes.dtype}; labels are one band of whole "
                "numbers, or colours that class_dict.csv names"
            )
        nodata = codes.rio.nodata
        values |= {int(v) for v in np.unique(codes.values)} - {nodata, IGNORE}
    if not 0 < len(values) < IGNORE:
        raise UserError(
            f"the labels have {len(values)} values; give 1 to {IGNORE - 1}, or describe the data "
            "set in YAML"
        )
    return tuple(
        ClassInfo(value, f"class {value}", PALETTE[index % len(PALETTE)])
        for index, value in enumerate(sorted(values))
    )
