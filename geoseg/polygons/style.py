"""The classes' colours as a QGIS layer style."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from geoseg.classes import ClassInfo

__all__ = ["qml"]


def qml(classes: Sequence[ClassInfo]) -> str:
    """A style that fills polygons by ``class_id``.

    Parameters
    ----------
    classes : sequence of ClassInfo

    Returns
    -------
    str
        A QGIS style document; see ``QgsCategorizedSymbolRenderer`` in the QGIS API for what its
        renderer reads.
    """
    root = ET.Element("qgis", version="3.22.0", styleCategories="Symbology")
    renderer = ET.SubElement(root, "renderer-v2", type="categorizedSymbol", attr="class_id")
    categories = ET.SubElement(renderer, "categories")
    symbols = ET.SubElement(renderer, "symbols")
    for number, each in enumerate(classes):
        category = {"value": str(each.value), "symbol": str(number), "label": each.name}
        ET.SubElement(categories, "category", category, type="long", render="true")
        symbol = ET.SubElement(symbols, "symbol", type="fill", name=str(number), alpha="1")
        _fill(symbol, each)
    ET.indent(root)
    return "<!DOCTYPE qgis>\n" + ET.tostring(root, encoding="unicode")


def _fill(symbol: ET.Element, each: ClassInfo) -> None:
    color = ",".join(str(part) for part in (*each.rgb, 255))
    layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill"}, enabled="1", locked="0")
    options = ET.SubElement(layer, "Option", type="Map")
    # An outline of the same colour covers the hairlines that smoothing leaves between neighbours.
    looks = {
        "color": color,
        "style": "solid",
        "outline_color": color,
        "outline_style": "solid",
        "outline_width": "0.1",
        "outline_width_unit": "MM",
    }
    for name, value in looks.items():
        ET.SubElement(options, "Option", name=name, type="QString", value=value)
        ET.SubElement(layer, "prop", k=name, v=value)  # what QGIS before 3.26 reads
