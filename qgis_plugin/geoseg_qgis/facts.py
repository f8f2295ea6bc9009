# SPDX-License-Identifier: GPL-2.0-or-later
"""What QGIS knows of a raster layer: its bands, the size of its pixels, a sample of its values."""

from __future__ import annotations

from typing import Any, Callable

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsDistanceArea,
    QgsPointXY,
    QgsRaster,
    QgsRasterDataProvider,
    QgsRasterLayer,
    QgsRectangle,
    QgsTask,
    QgsUnitTypes,
)

from .fitting import Band, LayerFacts, Range, percentiles

PROBES = 4  # a side: small windows spread over the image tell its values without reading it all
PROBE = 24  # pixels a side
BYTE = (0.0, 255.0)

_COLOURS = {
    QgsRaster.ColorInterpretation.RedBand: "red",
    QgsRaster.ColorInterpretation.GreenBand: "green",
    QgsRaster.ColorInterpretation.BlueBand: "blue",
}


def facts_of(
    layer: QgsRasterLayer, extent: QgsRectangle, asked_size: float | None = None
) -> LayerFacts:
    """What can be said without reading pixels.

    Parameters
    ----------
    layer : QgsRasterLayer
    extent : QgsRectangle
        The part of it that is meant, in its CRS.
    asked_size : float, optional
        Side of the pixels, in units of the layer's CRS, with which it will be exported.
    """
    if not layer.isValid():
        return LayerFacts(())
    exported = has_no_pixels(layer)
    if exported:
        size = (asked_size, asked_size) if asked_size else None
    else:
        size = (layer.rasterUnitsPerPixelX(), layer.rasterUnitsPerPixelY())
    ground = None if size is None else ground_size(layer.crs(), extent, size)
    bands = bands_of(layer.dataProvider())
    # Pictures have 8 bits a colour, whatever is shown.
    values = {band.number: BYTE for band in bands} if is_picture(layer.dataProvider()) else {}
    return LayerFacts(bands, ground, values, exported)


def has_no_pixels(layer: QgsRasterLayer) -> bool:
    """Whether the layer is a web map, whose pixels are made to measure."""
    return layer.width() <= 0 or layer.height() <= 0


def bands_of(provider: QgsRasterDataProvider) -> tuple[Band, ...]:
    """The bands of a layer, or of the picture that it is exported as."""
    if is_picture(provider):
        return tuple(Band(n, name, name) for n, name in enumerate(_COLOURS.values(), 1))
    return tuple(_band(provider, number) for number in range(1, provider.bandCount() + 1))


def is_picture(provider: QgsRasterDataProvider) -> bool:
    """Whether QGIS exports what it draws: red, green, blue and transparency."""
    kinds = (Qgis.DataType.ARGB32, Qgis.DataType.ARGB32_Premultiplied)
    return provider.bandCount() == 1 and provider.dataType(1) in kinds


def _band(provider: QgsRasterDataProvider, number: int) -> Band:
    # QGIS writes "Band 1: red (Gray)" where the file names its band, else "Band 1".
    name = provider.generateBandName(number).partition(": ")[2]
    name = name.removesuffix(f" ({provider.colorInterpretationName(number)})")
    shown_as = provider.colorInterpretation(number)
    said = name.casefold() or "alpha"
    # As the engine judges: what is described as something else is that.
    is_alpha = shown_as == QgsRaster.ColorInterpretation.AlphaBand and (
        "alpha" in said or "mask" in said
    )
    return Band(number, name, _COLOURS.get(shown_as, ""), is_alpha)


def ground_size(
    crs: QgsCoordinateReferenceSystem, extent: QgsRectangle, size: Range
) -> Range | None:
    """Width and height in metres of a pixel in the middle of an extent.

    Parameters
    ----------
    crs : QgsCoordinateReferenceSystem
    extent : QgsRectangle
        In `crs`.
    size : tuple of float
        Width and height in units of `crs`.

    Returns
    -------
    tuple of float, or None
        On the ellipsoid, for map units may be stretched: at 50 degrees those of web maps are
        0.64 m. In map units where the CRS, or the place in it, is nowhere on Earth; None without a
        CRS.
    """
    if not crs.isValid():
        return None
    width, height = size
    unit = QgsUnitTypes.fromUnitToUnitFactor(
        crs.mapUnits(), QgsUnitTypes.DistanceUnit.DistanceMeters
    )
    ellipsoid = crs.ellipsoidAcronym() or ("EPSG:7030" if crs.isGeographic() else "")
    if not ellipsoid:
        return width * unit, height * unit
    ruler = QgsDistanceArea()
    ruler.setSourceCrs(crs, QgsCoordinateTransformContext())
    ruler.setEllipsoid(ellipsoid)
    here = extent.center()
    wide = ruler.measureLine(here, QgsPointXY(here.x() + width, here.y()))
    high = ruler.measureLine(here, QgsPointXY(here.x(), here.y() + height))
    return (wide, high) if wide > 0 and high > 0 else (width * unit, height * unit)


def sampler(layer: QgsRasterLayer) -> Callable[[QgsTask], dict[int, Range]]:
    """A function for another thread that gives low and high values of each band.

    It reads small windows with a copy of the layer's provider, as QGIS does to draw: statistics
    of the provider would write a file beside the user's image.
    """
    provider = layer.dataProvider().clone()
    numbers = [band.number for band in bands_of(provider)]

    def sample(task: QgsTask) -> dict[int, Range]:
        found = {
            number: percentiles(_probe(provider, number))
            for number in numbers
            if not task.isCanceled()
        }
        return {number: span for number, span in found.items() if span is not None}

    return sample


def _probe(provider: Any, band: int) -> list[float]:
    extent, columns, rows = provider.extent(), provider.xSize(), provider.ySize()
    side_x, side_y = extent.width() / columns, extent.height() / rows
    wide, high = min(PROBE, columns), min(PROBE, rows)
    values: list[float] = []
    for left in _starts(columns - wide):
        for top in _starts(rows - high):
            west, north = extent.xMinimum() + left * side_x, extent.yMaximum() - top * side_y
            box = QgsRectangle(west, north - high * side_y, west + wide * side_x, north)
            block = provider.block(band, box, wide, high)
            values += [
                block.value(index)
                for index in range(wide * high)
                if block.isValid() and not block.isNoData(index)
            ]
    return values


def _starts(last: int) -> list[int]:
    return sorted({last * each // (PROBES - 1) for each in range(PROBES)})
