# SPDX-License-Identifier: GPL-2.0-or-later
"""What the labels of a layer mean: classes as its renderer shows them, or of its values."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any

from qgis.core import (
    Qgis,
    QgsCategorizedSymbolRenderer,
    QgsPalettedRasterRenderer,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsRasterDataProvider,
    QgsRasterIterator,
    QgsRasterLayer,
    QgsVectorLayer,
)

from ..engine.commands import TrainingClass
from ..sources import stop_if_cancelled
from ..words import translated as _tr

__all__ = ["classes_of_raster", "classes_of_vector", "shown_in"]

MOST = 200
"""Classes that a map of bytes can hold, with room for no data; more are a picture, not labels."""

LARGEST = 254
"""The highest value of a class map, 255 being no data."""

REST = "background"


Shown = Mapping[Any, "tuple[str, str]"]
"""By label: the name and the colour that a layer's renderer has for it."""


def shown_in(layer: QgsRasterLayer | QgsVectorLayer, field: str) -> Shown:
    """Names and colours of a layer's labels, as far as it shows labels; in the layer's thread.

    Parameters
    ----------
    layer : QgsRasterLayer or QgsVectorLayer
    field : str
        The column whose values are labels.
    """
    renderer = layer.renderer()
    if isinstance(renderer, QgsPalettedRasterRenderer):
        return {each.value: (each.label, each.color.name()) for each in renderer.classes()}
    shown: dict[Any, tuple[str, str]] = {}
    if isinstance(renderer, QgsCategorizedSymbolRenderer) and renderer.classAttribute() == field:
        for category in renderer.categories():
            value, symbol = category.value(), category.symbol()
            color = symbol.color().name() if symbol is not None else ""
            for each in value if isinstance(value, list) else [value]:
                shown[each] = (category.label(), color)
    return shown


def classes_of_raster(
    provider: QgsRasterDataProvider, shown: Shown, feedback: QgsProcessingFeedback
) -> tuple[TrainingClass, ...]:
    """Classes of the values that a raster of labels holds.

    Raises
    ------
    QgsProcessingException
        When they are no labels, or reading them is cancelled.
    """
    codes = sorted(_codes(provider, feedback))
    small = all(0 <= code <= LARGEST for code in codes)
    return tuple(
        TrainingClass(name, color, marks[0] if small else index, codes=marks)
        for index, (name, color, marks) in enumerate(_joined(codes, shown, "class {}"))
    )


def _joined(
    marks: Iterable[Any], shown: Shown, unnamed: str
) -> Iterable[tuple[str, str, list[Any]]]:
    """Name, colour and labels of each class; labels that are shown by the same name are one."""
    classes: dict[str, tuple[str, str, list[Any]]] = {}
    for mark in marks:
        name, color = shown.get(mark, ("", ""))
        name = name or unnamed.format(mark)
        classes.setdefault(name, (name, color, []))[2].append(mark)
    return classes.values()


_FORMATS = {
    Qgis.DataType.Byte: "B",
    Qgis.DataType.UInt16: "H",
    Qgis.DataType.Int16: "h",
    Qgis.DataType.UInt32: "I",
    Qgis.DataType.Int32: "i",
    Qgis.DataType.Float32: "f",
    Qgis.DataType.Float64: "d",
}


def _codes(provider: QgsRasterDataProvider, feedback: QgsProcessingFeedback) -> set[int]:
    """The values of the first band, without no data."""
    kind = _FORMATS.get(provider.dataType(1))
    if kind is None:
        raise QgsProcessingException(
            _tr("the labels are a picture, not class values; choose a raster of whole numbers")
        )
    found: set[float] = set()
    for data in _blocks(provider):
        stop_if_cancelled(feedback)
        found.update(array(kind, data))
        if len(found) > MOST:
            raise QgsProcessingException(
                _tr(
                    "the labels have more than {} values, so they are a picture or measurements; "
                    "choose a raster with one whole number for each class"
                ).format(MOST)
            )
    if provider.sourceHasNoDataValue(1):
        found.discard(provider.sourceNoDataValue(1))
    whole = {int(value) for value in found if value == value and float(value).is_integer()}
    if len(whole) < len({value for value in found if value == value}):
        raise QgsProcessingException(
            _tr("the labels have broken numbers; choose a raster with one whole number a class")
        )
    if len(whole) < 2:
        raise QgsProcessingException(
            _tr("the labels have {} value; two at least are needed to tell apart").format(
                len(whole)
            )
        )
    return whole


def _blocks(provider: QgsRasterDataProvider) -> Iterable[bytes]:
    iterator = QgsRasterIterator(provider)
    iterator.startRasterRead(1, provider.xSize(), provider.ySize(), provider.extent())
    while True:
        going, _, _, block, _, _ = iterator.readNextRasterPart(1)
        if not going:
            return
        yield bytes(block.data())


def classes_of_vector(
    values: Iterable[Any] | None, shown: Shown, has_rest: bool
) -> tuple[TrainingClass, ...]:
    """Classes of polygons.

    Parameters
    ----------
    values : iterable, optional
        Of the column that holds labels; none where all polygons are of one class.
    shown : mapping
        As `shown_in` gives it.
    has_rest : bool
        Whether it is a class of its own where no polygon is.

    Raises
    ------
    QgsProcessingException
        When there are too many or none.
    """
    if values is None:
        return (
            TrainingClass(REST, value=0, polygons="none"),
            TrainingClass("polygons", value=1, polygons="all"),
        )
    marks = sorted({mark for each in values for mark in _mark_of(each)}, key=str)
    if not marks or len(marks) > MOST:
        raise QgsProcessingException(
            _tr("the field has {} values; choose one with a name or whole number a class").format(
                len(marks)
            )
        )
    classes = tuple(
        TrainingClass(name, color, number, polygons=own)
        for number, (name, color, own) in enumerate(_joined(marks, shown, "{}"), 1)
    )
    names = {each.name for each in classes}
    rest = "no polygon" if REST in names else REST
    return (TrainingClass(rest, value=0, polygons="none"), *classes) if has_rest else classes


def _mark_of(value: Any) -> tuple[int | str, ...]:
    """A value of a column as a label; nothing for an empty one."""
    if isinstance(value, float) and value.is_integer():
        return (int(value),)
    return (value,) if type(value) is int or (type(value) is str and value) else ()
