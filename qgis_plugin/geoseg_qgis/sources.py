# SPDX-License-Identifier: GPL-2.0-or-later
"""From layers of QGIS to files that the engine can open."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsFeatureRequest,
    QgsFields,
    QgsGeometry,
    QgsProcessingException,
    QgsProcessingFeatureSource,
    QgsProcessingFeedback,
    QgsProviderRegistry,
    QgsRasterBlockFeedback,
    QgsRasterDataProvider,
    QgsRasterFileWriter,
    QgsRasterLayer,
    QgsRasterPipe,
    QgsRectangle,
    QgsVectorFileWriter,
    QgsWkbTypes,
)
from qgis.PyQt.QtCore import Qt

from .facts import bands_of, is_picture
from .fitting import Band
from .words import translated as _tr

__all__ = [
    "LIMIT_PIXELS",
    "Region",
    "Source",
    "Taken",
    "crs_text",
    "export",
    "stop_if_cancelled",
    "take",
    "write",
    "write_features",
]

LIMIT_PIXELS = 100_000_000
"""Of an export from a service: 400 MB of pictures, and thousands of requests to its server."""

PICTURE_ALPHA = 4
"""Band of an exported picture that tells where it is transparent."""


@dataclass(frozen=True)
class Source:
    """What the engine can open.

    Parameters
    ----------
    path : str
        As GDAL opens it.
    assume_crs : str
        Coordinate system to be used because the file has none; empty where it has one.
    is_temporary : bool
        Whether it was written for this run.
    bands : tuple of Band
        With the numbers that they have in the file.
    """

    path: str
    assume_crs: str
    is_temporary: bool
    bands: tuple[Band, ...]


@dataclass(frozen=True)
class Taken:
    """What is known of a raster layer, so that another thread need not touch it.

    Parameters
    ----------
    name : str
        As the layer tree shows it.
    uri : str
    crs : QgsCoordinateReferenceSystem
        The layer's, which may have been set by hand.
    pipe : QgsRasterPipe
        Holds a copy of the layer's provider; of a copy no other one can be made in QGIS 3.22.
    bands : tuple of Band
        As for `Source`.
    """

    name: str
    uri: str
    crs: QgsCoordinateReferenceSystem
    pipe: QgsRasterPipe
    bands: tuple[Band, ...]

    @property
    def provider(self) -> QgsRasterDataProvider:
        """The layer's pixels."""
        return self.pipe.provider()

    @property
    def is_service(self) -> bool:
        """Whether it is drawn at any size by a server, and has no pixels of its own."""
        return self.provider.xSize() == 0 or self.provider.ySize() == 0

    @property
    def is_relocated(self) -> bool:
        """Whether the layer was set to another coordinate system than its file states."""
        own = self.provider.crs()
        return own.isValid() and self.crs.isValid() and own != self.crs

    @property
    def path(self) -> str | None:
        """What the engine opens as this one raster; None where it must be exported."""
        if self.provider.name() != "gdal" or "/vsimem/" in self.uri or self.uri.startswith("MEM"):
            return None
        if self.is_relocated or self._means_several:
            return None
        registry = QgsProviderRegistry.instance()
        parts = registry.decodeUri("gdal", self.uri)
        if parts.get("openOptions") or parts.get("credentialOptions"):
            return None
        file = Path(parts["path"])  # or the one that holds this raster, as in GPKG:file:table
        if file.is_absolute() or not file.exists():
            return self.uri
        # The engine runs in another folder.
        return str(registry.encodeUri("gdal", {**parts, "path": str(file.absolute())}))

    @property
    def _means_several(self) -> bool:
        """Whether the engine would look for files by this name: a folder, or a pattern."""
        is_remote = "://" in self.uri or self.uri.startswith("/vsi")
        is_pattern = any(sign in self.uri for sign in "*?[") and not is_remote
        return Path(self.uri).is_dir() or (is_pattern and not Path(self.uri).exists())


def take(layer: QgsRasterLayer) -> Taken:
    """What is needed of a layer; call it in the layer's own thread.

    Raises
    ------
    QgsProcessingException
        When the layer cannot be read.
    """
    if not layer.isValid() or layer.dataProvider() is None:
        raise QgsProcessingException(
            _tr("layer “{}” cannot be read; repair its source, or choose another one").format(
                layer.name()
            )
        )
    provider = layer.dataProvider()
    pipe = QgsRasterPipe()
    pipe.set(provider.clone())
    return Taken(layer.name(), layer.source(), layer.crs(), pipe, bands_of(provider))


def crs_text(crs: QgsCoordinateReferenceSystem) -> str:
    """A coordinate system as the engine reads it; empty for an unknown one."""
    if not crs.isValid():
        return ""
    name = str(crs.authid())
    return name if name and not name.startswith("USER:") else str(crs.toWkt())


@dataclass(frozen=True)
class Region:
    """What part of a layer is exported, and how finely.

    Parameters
    ----------
    extent : QgsRectangle, optional
        In the layer's coordinate system; all of it where none is given. A service needs it.
    pixel_size : float, optional
        In map units of the layer, for a service, which needs it.
    limit_pixels : int
        How large an export from a service may be.
    """

    extent: QgsRectangle | None = None
    pixel_size: float | None = None
    limit_pixels: int = LIMIT_PIXELS


def write(
    taken: Taken,
    folder: Path,
    region: Region,
    transforms: QgsCoordinateTransformContext,
    feedback: QgsProcessingFeedback,
) -> Source:
    """Give the engine a file, in any thread: the layer's own, or an export.

    Parameters
    ----------
    taken : Taken
    folder : Path
        Where an export is written; it exists.
    region : Region
    transforms : QgsCoordinateTransformContext
    feedback : QgsProcessingFeedback

    Raises
    ------
    QgsProcessingException
        When the layer cannot be exported.
    """
    path, own = taken.path, taken.provider.crs()
    if taken.is_relocated:
        feedback.pushWarning(
            _tr("layer “{}” is set to {}, but its file says {}; the layer's is used").format(
                taken.name, crs_text(taken.crs)[:60], crs_text(own)[:60]
            )
        )
    if path is None:
        path = export(taken, folder, region, transforms, feedback)
        return Source(path, "", True, taken.bands)
    return Source(path, "" if own.isValid() else crs_text(taken.crs), False, taken.bands)


@dataclass(frozen=True)
class _Grid:
    extent: QgsRectangle
    columns: int
    rows: int


def _grid(taken: Taken, region: Region) -> _Grid:
    """The pixels of an export; those of the layer where it has some."""
    if taken.is_service:
        return _grid_of_service(taken, region)
    whole, provider = taken.provider.extent(), taken.provider
    size = whole.width() / provider.xSize(), whole.height() / provider.ySize()
    extent = whole if region.extent is None else _snapped(region.extent, whole, size)
    if extent.isEmpty():
        raise QgsProcessingException(
            _tr("the extent lies outside of layer “{}”; choose one that meets it").format(
                taken.name
            )
        )
    return _Grid(extent, round(extent.width() / size[0]), round(extent.height() / size[1]))


def _snapped(wanted: QgsRectangle, whole: QgsRectangle, size: tuple[float, float]) -> QgsRectangle:
    """The part of a layer's grid that holds an extent."""
    wide, high = size
    met = wanted.intersect(whole)
    if met.isEmpty():
        return met
    left, bottom = whole.xMinimum(), whole.yMinimum()
    return QgsRectangle(
        left + wide * _floor((met.xMinimum() - left) / wide),
        bottom + high * _floor((met.yMinimum() - bottom) / high),
        left + wide * -_floor((left - met.xMaximum()) / wide),
        bottom + high * -_floor((bottom - met.yMaximum()) / high),
    )


def _floor(pixels: float) -> int:
    """Whole pixels; what lies on a border but for rounding stays there."""
    return round(pixels) if abs(pixels - round(pixels)) < 1e-6 else math.floor(pixels)


def _grid_of_service(taken: Taken, region: Region) -> _Grid:
    extent, size = region.extent, region.pixel_size
    if extent is None or extent.isEmpty() or not size:
        raise QgsProcessingException(
            _tr(
                "layer “{}” comes from a server and has no pixels of its own; set Extent and "
                "Pixel size (in map units), which say what is to be fetched"
            ).format(taken.name)
        )
    columns, rows = math.ceil(extent.width() / size), math.ceil(extent.height() / size)
    if columns * rows > region.limit_pixels:
        enough = math.sqrt(extent.width() * extent.height() / region.limit_pixels)
        raise QgsProcessingException(
            _tr(
                "the extent has {} x {} pixels of {:g} map units, and at most {:g} million may be "
                "fetched from a server; choose a smaller extent, or pixels of {:.3g} or more"
            ).format(columns, rows, size, region.limit_pixels / 1e6, enough * 1.01)
        )
    corner = extent.xMinimum(), extent.yMaximum()
    exact = QgsRectangle(corner[0], corner[1] - rows * size, corner[0] + columns * size, corner[1])
    return _Grid(exact, columns, rows)


def stop_if_cancelled(feedback: QgsProcessingFeedback) -> None:
    """Let go of what is being written.

    Raises
    ------
    QgsProcessingException
        When the user wants no more of it.
    """
    if feedback.isCanceled():
        raise QgsProcessingException(_tr("cancelled; nothing was written"))


def export(
    taken: Taken,
    folder: Path,
    region: Region,
    transforms: QgsCoordinateTransformContext,
    feedback: QgsProcessingFeedback,
) -> str:
    """Write a layer's pixels to a GeoTIFF, in any thread; parameters as of `write`.

    Returns
    -------
    str
        Its path.
    """
    grid = _grid(taken, region)
    feedback.pushInfo(
        _tr("Exporting {} x {} pixels of layer “{}”").format(grid.columns, grid.rows, taken.name)
    )
    path = Path(tempfile.mkdtemp(dir=folder)) / "layer.tif"
    writer = QgsRasterFileWriter(str(path))
    writer.setCreateOptions(_creation_options(taken))
    told = QgsRasterBlockFeedback()
    # A queued signal would wait for the event loop of this thread, which may have none.
    feedback.canceled.connect(told.cancel, Qt.ConnectionType.DirectConnection)
    try:
        stop_if_cancelled(feedback)
        status = writer.writeRaster(
            taken.pipe, grid.columns, grid.rows, grid.extent, taken.crs, transforms, told
        )
    finally:
        feedback.canceled.disconnect(told.cancel)
    stop_if_cancelled(feedback)
    if status != QgsRasterFileWriter.WriterError.NoError or told.errors():
        reason = "; ".join(told.errors()[:1]) or _tr("error {}").format(status)
        raise QgsProcessingException(
            _tr("layer “{}” could not be exported ({}); check it, and the free disk space").format(
                taken.name, reason
            )
        )
    if is_picture(taken.provider) and _is_empty(path):
        raise QgsProcessingException(
            _tr(
                "layer “{}” showed nothing in the extent; check the connection, and whether the "
                "server has pictures there at this pixel size"
            ).format(taken.name)
        )
    _date_by_content(path, feedback)
    return str(path)


def _creation_options(taken: Taken) -> list[str]:
    """GDAL takes any fourth band of bytes for transparency, and none of other numbers."""
    alpha = [band.number for band in taken.bands if band.is_alpha]
    if is_picture(taken.provider) or alpha == [PICTURE_ALPHA]:
        return ["PHOTOMETRIC=RGB", "ALPHA=YES"]
    return ["ALPHA=NO"]


def _date_by_content(path: Path, feedback: QgsProcessingFeedback) -> None:
    """Date a file by what it holds.

    The engine knows its input by name, size and date. So a run that was stopped goes on with the
    same pixels exported anew, and begins anew with others.
    """
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(2**22):
            sha.update(piece)
            stop_if_cancelled(feedback)
    # Nanoseconds: a day between 1985 and 2017, which every disk can tell.
    date = 5 * 10**17 + int.from_bytes(sha.digest()[:8], "big") % 10**18
    os.utime(path, ns=(date, date))


def _is_empty(picture: Path) -> bool:
    """Whether all of an exported picture is transparent."""
    layer = QgsRasterLayer(str(picture), "picture")  # which owns the provider
    provider = layer.dataProvider()
    has_alpha = provider.bandCount() == PICTURE_ALPHA
    return has_alpha and provider.bandStatistics(PICTURE_ALPHA).maximumValue == 0


def _mended(polygon: QgsGeometry) -> QgsGeometry:
    if polygon.isEmpty() or polygon.isGeosValid():
        return polygon
    mended, kind = polygon.makeValid(), QgsWkbTypes.GeometryType.PolygonGeometry
    mended.convertGeometryCollectionToSubclass(kind)
    # What is as thin as a line goes.
    return mended if mended.type() == kind else QgsGeometry()


def write_features(
    source: QgsProcessingFeatureSource,
    path: Path,
    crs: QgsCoordinateReferenceSystem,
    feedback: QgsProcessingFeedback,
    columns: Sequence[str] = (),
) -> int:
    """Write polygons to a GeoPackage, the selected ones where only those are meant.

    Those that cross themselves are written as QGIS fills them, for the engine refuses them.

    Parameters
    ----------
    source : QgsProcessingFeatureSource
    path : Path
        Where nothing is yet.
    crs : QgsCoordinateReferenceSystem
        To be taken where the source has none.
    feedback : QgsProcessingFeedback
    columns : sequence of str
        Attributes to keep.

    Returns
    -------
    int
        How many were written.
    """
    fields, places = QgsFields(), [source.fields().lookupField(name) for name in columns]
    for place in places:
        fields.append(source.fields().at(place))
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName, options.layerName = "GPKG", path.stem
    own = source.sourceCrs()
    writer = QgsVectorFileWriter.create(
        str(path),
        fields,
        source.wkbType(),
        own if own.isValid() else crs,
        QgsCoordinateTransformContext(),
        options,
    )
    count = 0
    unchecked = QgsProcessingFeatureSource.Flag.FlagSkipGeometryValidityChecks
    for feature in source.getFeatures(QgsFeatureRequest(), unchecked):
        if feedback.isCanceled():
            break
        copy = QgsFeature(fields)
        copy.setGeometry(_mended(feature.geometry()))
        copy.setAttributes([feature.attribute(place) for place in places])
        count += bool(not copy.geometry().isEmpty() and writer.addFeature(copy))
    if writer.hasError() != QgsVectorFileWriter.WriterError.NoError:
        raise QgsProcessingException(
            _tr("polygons could not be written to {} ({}); check the free disk space").format(
                path, writer.errorMessage()
            )
        )
    del writer  # which closes the file
    stop_if_cancelled(feedback)
    return count
