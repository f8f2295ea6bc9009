# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import enum
import os
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsGeometry,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSource,
    QgsProcessingUtils,
    QgsRasterFileWriter,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from voice import Heard, forget

from geoseg_qgis import sources

WORLD = 20037508.342789244  # half the width of the world in EPSG:3857


def prepared(
    layer: QgsRasterLayer,
    context: QgsProcessingContext,
    heard: Heard,
    *region: Any,
) -> sources.Source:
    folder = Path(tempfile.mkdtemp(dir=QgsProcessingUtils.tempFolder()))
    taken, wanted = sources.take(layer), sources.Region(*region)
    return sources.write(taken, folder, wanted, context.transformContext(), heard)


def pixels_of(path: str, band: int = 1) -> bytes:
    layer = QgsRasterLayer(path, "file")
    provider = layer.dataProvider()
    block = provider.block(band, provider.extent(), provider.xSize(), provider.ySize())
    return bytes(block.data())


def test_a_file_is_handed_over_as_it_is(
    scene: QgsRasterLayer, context: QgsProcessingContext, heard: Heard
) -> None:
    source = prepared(scene, context, heard)
    assert source.path == scene.source()
    assert source.assume_crs == ""
    assert not source.is_temporary
    assert [band.number for band in source.bands] == [1, 2, 3, 4]
    assert [band.is_alpha for band in source.bands] == [False, False, False, True]


def test_a_relative_path_becomes_absolute(
    scene: QgsRasterLayer, context: QgsProcessingContext, heard: Heard
) -> None:
    path = os.path.relpath(scene.source())
    source = prepared(QgsRasterLayer(path, "chip"), context, heard)
    assert os.path.isabs(source.path)
    assert os.path.samefile(source.path, scene.source())


def test_a_layer_set_to_another_crs_is_exported_with_it(
    scene: QgsRasterLayer, context: QgsProcessingContext, heard: Heard
) -> None:
    scene.setCrs(QgsCoordinateReferenceSystem("EPSG:32633"))
    source = prepared(scene, context, heard)
    assert "is set to EPSG:32633, but its file says EPSG:32652" in heard.warnings[0]
    made = QgsRasterLayer(source.path, "made")
    assert made.crs().authid() == "EPSG:32633"
    assert made.extent() == scene.extent()
    assert pixels_of(source.path, 4) == pixels_of(scene.source(), 4)


def test_a_folder_that_is_a_raster_is_exported(
    scene: QgsRasterLayer, context: QgsProcessingContext, heard: Heard, tmp_path: Path
) -> None:
    one = gdal.Translate("", scene.source(), format="MEM", bandList=[1])
    one.GetRasterBand(1).SetColorInterpretation(gdal.GCI_Undefined)
    gdal.GetDriverByName("Zarr").CreateCopy(str(tmp_path / "chip"), one)
    layer = QgsRasterLayer(str(tmp_path / "chip"), "chip")
    assert layer.isValid()
    source = prepared(layer, context, heard)
    assert os.path.isfile(source.path)
    assert pixels_of(source.path) == pixels_of(scene.source())
    forget(layer)


def test_a_name_that_looks_like_a_pattern_is_exported_unless_it_is_a_file(
    scene: QgsRasterLayer, context: QgsProcessingContext, heard: Heard, tmp_path: Path
) -> None:
    table, file = f"GPKG:{tmp_path}/chips[1].gpkg:chip", str(tmp_path / "chip [1].tif")
    original = gdal.Open(scene.source())
    gdal.GetDriverByName("GPKG").CreateCopy(
        f"{tmp_path}/chips[1].gpkg", original, options=["RASTER_TABLE=chip", "TILE_FORMAT=PNG"]
    )
    gdal.GetDriverByName("GTiff").CreateCopy(file, original)
    for uri, is_exported in ((table, True), (file, False)):
        layer = QgsRasterLayer(uri, "chip")
        assert layer.isValid()
        source = prepared(layer, context, heard)
        assert source.is_temporary == is_exported
        assert pixels_of(source.path) == pixels_of(scene.source())
        forget(layer)


def test_exports_of_the_same_pixels_are_the_same_to_the_engine(
    scene: QgsRasterLayer, context: QgsProcessingContext, heard: Heard
) -> None:
    scene.setCrs(QgsCoordinateReferenceSystem("EPSG:32633"))
    first, second = (Path(prepared(scene, context, heard).path) for _ in range(2))
    assert first != second
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_mtime_ns == second.stat().st_mtime_ns
    made = gdal.Open(scene.source(), gdal.GA_Update)
    made.GetRasterBand(2).WriteRaster(256, 256, 1, 1, b"\x01")
    del made
    again = QgsRasterLayer(scene.source(), "chip")
    again.setCrs(QgsCoordinateReferenceSystem("EPSG:32633"))
    other = Path(prepared(again, context, heard).path)
    assert other.stat().st_mtime_ns != first.stat().st_mtime_ns
    forget(again)


@pytest.mark.parametrize("kind", [gdal.GDT_Byte, gdal.GDT_UInt16])
@pytest.mark.parametrize(
    "last", [gdal.GCI_AlphaBand, gdal.GCI_Undefined], ids=["transparency", "infrared"]
)
def test_an_export_has_transparency_where_the_layer_has(
    kind: int, last: int, context: QgsProcessingContext, heard: Heard
) -> None:
    made = gdal.GetDriverByName("GTiff").Create(
        "/vsimem/four.tif", 8, 8, 4, kind, ["PHOTOMETRIC=RGB", "ALPHA=NO"]
    )
    made.GetRasterBand(4).SetColorInterpretation(last)
    del made
    layer = QgsRasterLayer("/vsimem/four.tif", "four")
    source = prepared(layer, context, heard)
    exported = gdal.Open(source.path)
    assert (exported.GetRasterBand(4).GetColorInterpretation() == gdal.GCI_AlphaBand) == (
        last == gdal.GCI_AlphaBand
    )
    forget(layer)
    gdal.Unlink("/vsimem/four.tif")


def test_a_raster_that_qgis_computes_is_exported_whole(
    scene: QgsRasterLayer, context: QgsProcessingContext, heard: Heard
) -> None:
    context.project().addMapLayer(scene, False)
    box = scene.extent()
    uri = (
        f"?crs=EPSG:32652&extent={box.xMinimum()},{box.yMinimum()},{box.xMaximum()},"
        f"{box.yMaximum()}&width=512&height=512&formula=%22chip@1%22%20%2B%201"
        f"&chip:uri={scene.source()}&chip:provider=gdal"
    )
    computed = QgsRasterLayer(uri, "computed", "virtualraster")
    assert computed.isValid()
    source = prepared(computed, context, heard)
    assert source.is_temporary
    made = QgsRasterLayer(source.path, "made")
    assert (made.width(), made.height()) == (512, 512)
    assert made.extent() == scene.extent()
    assert made.crs().authid() == "EPSG:32652"
    (first,) = made.dataProvider().sample(scene.extent().center(), 1)[:1]
    (before,) = scene.dataProvider().sample(scene.extent().center(), 1)[:1]
    assert first == before + 1


def test_a_raster_in_the_memory_of_qgis_is_exported_with_its_pixels(
    scene: QgsRasterLayer, context: QgsProcessingContext, heard: Heard
) -> None:
    original = gdal.Open(scene.source())
    gdal.GetDriverByName("GTiff").CreateCopy("/vsimem/chip.tif", original)
    layer = QgsRasterLayer("/vsimem/chip.tif", "in memory")
    assert layer.isValid()
    source = prepared(layer, context, heard)
    assert source.is_temporary
    assert os.path.isfile(source.path)
    for band in (1, 2, 3):
        assert pixels_of(source.path, band) == pixels_of(scene.source(), band)
    forget(layer)
    gdal.Unlink("/vsimem/chip.tif")


def test_rasters_in_archives_and_geopackages_are_handed_over_as_they_are(
    scene: QgsRasterLayer, context: QgsProcessingContext, heard: Heard, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "chips.zip", "w") as archive:
        archive.write(scene.source(), "chip.tif")
    table, original = str(tmp_path / "chips.gpkg"), gdal.Open(scene.source())
    gdal.GetDriverByName("GPKG").CreateCopy(
        table, original, options=["RASTER_TABLE=chip", "TILE_FORMAT=PNG"]
    )
    for uri in (f"/vsizip/{tmp_path}/chips.zip/chip.tif", f"GPKG:{table}:chip"):
        layer = QgsRasterLayer(uri, "chip")
        assert layer.isValid()
        source = prepared(layer, context, heard)
        assert not source.is_temporary
        opened = gdal.Open(source.path)
        assert opened.GetRasterBand(1).ReadRaster() == pixels_of(scene.source(), 1)
        forget(layer)


def test_a_raster_within_a_file_of_a_relative_name_is_handed_over_by_the_absolute_one(
    scene: QgsRasterLayer, context: QgsProcessingContext, heard: Heard, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with zipfile.ZipFile(tmp_path / "chips.zip", "w") as archive:
        archive.write(scene.source(), "in/chip.tif")
    gdal.GetDriverByName("GPKG").CreateCopy(
        f"{tmp_path}/chips.gpkg",
        gdal.Open(scene.source()),
        options=["RASTER_TABLE=chip", "TILE_FORMAT=PNG"],
    )
    monkeypatch.chdir(tmp_path)
    for relative, absolute in (
        ("GPKG:chips.gpkg:chip", f"GPKG:{tmp_path}/chips.gpkg:chip"),
        ("/vsizip/chips.zip/in/chip.tif", f"/vsizip/{tmp_path}/chips.zip/in/chip.tif"),
    ):
        layer = QgsRasterLayer(relative, "chip")
        assert layer.isValid()
        assert prepared(layer, context, heard).path == absolute
        forget(layer)


def test_an_export_ends_when_it_is_cancelled_from_another_thread(
    tmp_path: Path, context: QgsProcessingContext, heard: Heard
) -> None:
    """The thread that exports has no event loop that could bring it a signal."""
    side = 20_000
    made = gdal.GetDriverByName("GTiff").Create("/vsimem/small.tif", 10, 10, 1, gdal.GDT_Byte)
    made.SetGeoTransform((500_000, 1000, 0, 5_400_000, 0, -1000))
    made.GetRasterBand(1).Fill(1)
    del made
    large = gdal.Translate(
        "/vsimem/large.vrt", "/vsimem/small.tif", format="VRT", width=side, height=side
    )
    del large
    layer = QgsRasterLayer("/vsimem/large.vrt", "large")
    assert layer.isValid()
    taken, transforms = sources.take(layer), context.transformContext()
    told: list[str] = []

    def export() -> None:
        try:
            sources.export(taken, tmp_path, sources.Region(), transforms, heard)
        except QgsProcessingException as error:
            told.append(str(error))

    thread = threading.Thread(target=export)
    thread.start()
    while thread.is_alive() and not list(tmp_path.rglob("layer.tif")):
        time.sleep(0.001)
    heard.cancel()
    thread.join()
    assert told == ["cancelled; nothing was written"]
    (written,) = tmp_path.rglob("layer.tif")
    assert gdal.Open(str(written)).ReadRaster(0, side - 1, 1, 1) == bytes(1)  # of ones
    forget(layer)
    gdal.Unlink("/vsimem/large.vrt")
    gdal.Unlink("/vsimem/small.tif")


def test_a_layer_that_cannot_be_exported_is_told_with_a_reason(
    scene: QgsRasterLayer, context: QgsProcessingContext, heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    class Failing(QgsRasterFileWriter):
        def writeRaster(self, *told: Any) -> Any:  # noqa: N802
            return Number.WriteError

    class Number(enum.Enum):  # as enumerations of PyQt6 are
        NoError, WriteError = 0, 6

    Failing.WriterError = Number
    monkeypatch.setattr(sources, "QgsRasterFileWriter", Failing)
    scene.setCrs(QgsCoordinateReferenceSystem("EPSG:32633"))
    with pytest.raises(QgsProcessingException, match=r"could not be exported \(.*WriteError\); ch"):
        prepared(scene, context, heard)


def test_polygons_are_written_as_they_are_filled(
    tmp_path: Path, context: QgsProcessingContext, heard: Heard
) -> None:
    layer, path = QgsVectorLayer("Polygon?crs=EPSG:32652", "drawn", "memory"), tmp_path / "p.gpkg"
    bow_tie, line = "POLYGON((0 0,2 2,2 0,0 2,0 0))", "POLYGON((5 5,6 6,5 5,5 5))"
    spiked, square = "POLYGON((4 0,6 0,6 2,6 9,6 2,4 2,4 0))", "POLYGON((8 0,9 0,9 1,8 1,8 0))"
    for wkt in (bow_tie, line, spiked, square):
        feature = QgsFeature()
        feature.setGeometry(QgsGeometry.fromWkt(wkt))
        layer.dataProvider().addFeature(feature)
    source = QgsProcessingFeatureSource(layer, context)
    assert sources.write_features(source, path, layer.crs(), heard) == 3
    shapes = [each.geometry() for each in QgsVectorLayer(str(path), "written").getFeatures()]
    assert [shape.area() for shape in shapes] == [2, 4, 1]
    assert all(shape.isGeosValid() for shape in shapes)
    forget(layer)


def test_open_options_make_an_export(
    scene: QgsRasterLayer, context: QgsProcessingContext, heard: Heard
) -> None:
    layer = QgsRasterLayer(f"{scene.source()}|option:NUM_THREADS=1", "chip")
    assert layer.isValid()
    extent = QgsRectangle(336405, 3839795, 336455, 3839865)
    source = prepared(layer, context, heard, extent)
    made = QgsRasterLayer(source.path, "made")
    # Whole pixels that hold the extent.
    assert made.extent() == QgsRectangle(336400, 3839790, 336460, 3839870)
    assert (made.width(), made.height()) == (6, 8)


def test_a_web_map_is_fetched_in_the_extent(
    web_map: QgsRasterLayer, context: QgsProcessingContext, heard: Heard
) -> None:
    extent = QgsRectangle(-2_000_000, 0, 2_000_000, 1_000_000)
    source = prepared(web_map, context, heard, extent, 20_000)
    assert [band.name for band in source.bands] == ["red", "green", "blue"]
    made = QgsRasterLayer(source.path, "made")
    assert (made.width(), made.height(), made.bandCount()) == (200, 50, 4)
    assert made.crs().authid() == "EPSG:3857"
    assert made.extent() == extent
    red, green = pixels_of(source.path, 1), pixels_of(source.path, 2)
    assert red[:90] == bytes([255] * 90)
    assert red[110:200] == bytes(90)
    assert green[110:200] == bytes([128] * 90)


@pytest.mark.parametrize(("extent", "size"), [(None, 10.0), (QgsRectangle(0, 0, 1, 1), None)])
def test_a_web_map_needs_extent_and_pixel_size(
    web_map: QgsRasterLayer,
    extent: QgsRectangle | None,
    size: float | None,
    context: QgsProcessingContext,
    heard: Heard,
) -> None:
    with pytest.raises(QgsProcessingException, match=r"“tiles” comes .* set Extent and Pixel size"):
        prepared(web_map, context, heard, extent, size)


def test_too_much_of_a_web_map_is_refused_with_what_would_do(
    web_map: QgsRasterLayer, context: QgsProcessingContext, heard: Heard
) -> None:
    extent = QgsRectangle(0, 0, 100_000, 40_000)
    with pytest.raises(
        QgsProcessingException,
        match=r"has 100000 x 40000 pixels of 1 map units, and at most 10 million .* of 20.2 or",
    ):
        prepared(web_map, context, heard, extent, 1.0, 10_000_000)
    allowed = prepared(web_map, context, heard, extent, 202.0, 10_000_000)
    assert QgsRasterLayer(allowed.path, "made").width() == 496


def test_a_web_map_that_shows_nothing_is_told(
    web_map: QgsRasterLayer, context: QgsProcessingContext, heard: Heard
) -> None:
    beyond = QgsRectangle(2 * WORLD, 0, 2 * WORLD + 1000, 1000)
    with pytest.raises(QgsProcessingException, match="showed nothing in the extent"):
        prepared(web_map, context, heard, beyond, 10)


def test_a_layer_without_its_file_is_told(context: QgsProcessingContext, heard: Heard) -> None:
    gone = QgsRasterLayer("/nowhere/image.tif", "gone")
    with pytest.raises(QgsProcessingException, match="“gone” cannot be read; repair its source"):
        prepared(gone, context, heard)
