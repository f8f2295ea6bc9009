"""Class names and colours beside a GeoTIFF, where GDAL and QGIS look for them.

A TIFF has no field for class names. GDAL reads them from ``name.tif.aux.xml`` (its Persistent
Auxiliary Metadata), as category names and as a thematic raster attribute table; see
https://gdal.org/en/stable/user/raster_data_model.html, "Raster Band" and "Raster Attribute Table".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np

from geoseg.classes import PALETTE, ClassInfo
from geoseg.errors import UserError
from geoseg.raster.files import opened

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["CLASSES_TAG", "class_attrs", "class_table", "classes_tag", "pam_xml"]

CLASSES_TAG = "GEOSEG_CLASSES"
"""TIFF tag that repeats the class table, for maps that lost their sidecar."""

# Column name, GDALRATFieldType (0 integer, 2 string), GDALRATFieldUsage (1 pixel count, 2 name,
# 5 min-max value, 6 red, 7 green, 8 blue).
_COLUMNS = (
    ("Value", 0, 5),
    ("Count", 0, 1),
    ("Class", 2, 2),
    ("Red", 0, 6),
    ("Green", 0, 7),
    ("Blue", 0, 8),
)


def pam_xml(classes: Sequence[ClassInfo], counts: Mapping[int, int]) -> bytes:
    """The sidecar of a class map.

    Parameters
    ----------
    classes : sequence of ClassInfo
    counts : mapping of int to int
        Pixels by class value.

    Returns
    -------
    bytes
        XML, UTF-8.
    """
    root = ET.Element("PAMDataset")
    band = ET.SubElement(root, "PAMRasterBand", band="1")
    names = {each.value: each.name for each in classes}
    categories = ET.SubElement(band, "CategoryNames")
    for value in range(max(names) + 1):
        ET.SubElement(categories, "Category").text = names.get(value, "")
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, usage) in enumerate(_COLUMNS):
        field = ET.SubElement(table, "FieldDefn", index=str(index))
        ET.SubElement(field, "Name").text = name
        ET.SubElement(field, "Type").text = str(kind)
        ET.SubElement(field, "Usage").text = str(usage)
    for index, each in enumerate(classes):
        row = ET.SubElement(table, "Row", index=str(index))
        for cell in (each.value, counts.get(each.value, 0), each.name, *each.rgb):
            ET.SubElement(row, "F").text = str(cell)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8"))


def classes_tag(classes: Sequence[ClassInfo]) -> str:
    """The class table as the value of `CLASSES_TAG`."""
    return json.dumps([[each.value, each.name, each.color] for each in classes])


def class_attrs(classes: Sequence[ClassInfo]) -> dict[str, Any]:
    """The class table as attributes of an array, where `class_table` finds it again."""
    return {
        "flag_values": [each.value for each in classes],
        "flag_meanings": " ".join(each.name.replace(" ", "_") for each in classes),
        "category_names": [each.name for each in classes],
        "category_colors": [each.color for each in classes],
    }


def class_table(source: str | PathLike[str] | xr.DataArray) -> tuple[ClassInfo, ...]:
    """Values, names and colours of the classes of a map.

    Parameters
    ----------
    source : path-like or DataArray
        A class map: a file written by geoseg or any raster whose sidecar has an attribute table
        with a name, or an array with ``flag_values`` and ``category_names`` in its attributes.

    Returns
    -------
    tuple of ClassInfo
        In the order of the table; empty when the map does not say.

    Raises
    ------
    UserError
        When the table is there and cannot be understood.
    """
    if not isinstance(source, str | PathLike):
        return _from_attrs(source)
    path = fspath(source)
    with opened(path) as dataset:
        tag = dataset.tags().get(CLASSES_TAG)
    try:
        if tag is not None:
            return tuple(ClassInfo(int(v), str(n), str(c)) for v, n, c in json.loads(tag))
        sidecar = Path(f"{path}.aux.xml")
        return _from_pam(sidecar.read_bytes()) if sidecar.is_file() else ()
    except (ValueError, TypeError, LookupError, ET.ParseError) as error:
        raise UserError(
            f"the class table of {path} cannot be read ({error}); remove {path}.aux.xml or write "
            "the map again"
        ) from error


def _from_attrs(labels: xr.DataArray) -> tuple[ClassInfo, ...]:
    """Of geoseg's own attributes, or those of the CF conventions (1.11, section 3.5)."""
    attrs = labels.attrs
    values = np.atleast_1d(attrs.get("flag_values", ())).tolist()
    names = attrs.get("category_names", str(attrs.get("flag_meanings", "")).split())
    colors = attrs.get("category_colors", [PALETTE[i % len(PALETTE)] for i in range(len(values))])
    if not len(values) == len(names) == len(colors):
        return ()
    return tuple(
        ClassInfo(int(v), str(n), str(c)) for v, n, c in zip(values, names, colors, strict=True)
    )


def _from_pam(xml: bytes) -> tuple[ClassInfo, ...]:
    table = ET.fromstring(xml).find("PAMRasterBand/GDALRasterAttributeTable")  # noqa: S314
    if table is None:
        return ()
    usages = [int(field.findtext("Usage", "0")) for field in table.findall("FieldDefn")]
    if not {5, 2, 6, 7, 8} <= set(usages):
        return ()
    rows = [[cell.text or "" for cell in row.findall("F")] for row in table.findall("Row")]
    value, name, *rgb = (usages.index(usage) for usage in (5, 2, 6, 7, 8))
    return tuple(
        ClassInfo(int(row[value]), row[name], "#" + "".join(f"{int(row[i]):02x}" for i in rgb))
        for row in rows
    )
