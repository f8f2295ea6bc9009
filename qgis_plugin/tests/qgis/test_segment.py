# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import processing
import pytest
from osgeo import gdal
from pretence import engine_that
from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsGeometry,
    QgsPalettedRasterRenderer,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelParameter,
    QgsProcessingParameterRasterLayer,
    QgsProject,
    QgsRasterFileWriter,
    QgsRasterLayer,
    QgsRasterPipe,
    QgsVectorLayer,
)
from voice import Heard, forget

from geoseg_qgis import sources
from geoseg_qgis.algorithms.models import bands_for
from geoseg_qgis.fitting import Band
from geoseg_qgis.provider import GeosegProvider

pytestmark = pytest.mark.usefixtures("provider", "engine")

NAMES = {10: "building", 30: "road", 50: "field", 70: "forest", 100: "other"}
COLORS = {10: "#c8353a", 30: "#4a4a4a", 50: "#e3c35a", 70: "#1b5e34", 100: "#9fc6e0"}
"""Of the model's card, as `geoseg model info sentinel2-landcover` prints it."""

SIDE, LEFT, TOP = 512, 336380.0, 3839870.0
"""The chip's grid, of 10 m pixels in EPSG:32652."""


def asked(scene: QgsRasterLayer, **more: Any) -> dict[str, Any]:
    return {"INPUT": scene, "MODEL": "sentinel2-landcover", "BANDS": "1,2,3", **more}


def pixels_of(path: str) -> bytes:
    layer = QgsRasterLayer(path, "map")
    provider = layer.dataProvider()
    block = provider.block(1, provider.extent(), provider.xSize(), provider.ySize())
    return bytes(block.data())


def polygon(wkt: str, crs: str) -> QgsVectorLayer:
    layer = QgsVectorLayer(f"Polygon?crs={crs}", "mask", "memory")
    for each in wkt.split(";"):
        feature = QgsFeature()
        feature.setGeometry(QgsGeometry.fromWkt(each))
        layer.dataProvider().addFeature(feature)
    return layer


def box(west: float, south: float, east: float, north: float) -> str:
    return QgsGeometry.fromWkt(
        f"POLYGON(({west} {south},{east} {south},{east} {north},{west} {north},{west} {south}))"
    ).asWkt()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("give --bbox, or --min-area=2", "give “Extent” (EXTENT), or “Smallest area of a region "
         "(square metres)” (MIN_AREA)=2"),
        ("another file (--out).", "another file (“Class map” (OUTPUT))."),
        ("take another --out.", "take another “Class map” (OUTPUT)."),
        ("/a/my--out.tif is no image", "/a/my--out.tif is no image"),
        ("/a/--out.tif and C:\\--out are none", "/a/--out.tif and C:\\--out are none"),
        ("--out/map.tif is none", "--out/map.tif is none"),
        ("give --overwrite", "give --overwrite"),
        ("leave --mask (mask) out", "leave “Mask polygons” (MASK) out"),
        ("take --mask (cuda)", "take “Mask polygons” (MASK) (cuda)"),
        ("say it with --pixel-size (pixel_size), or", "set the coordinate system of the layer, or"),
        ("there is no model 'a' (b, c); see geoseg model list", "there is no model 'a' (b, c)"),
        ("or another model (geoseg model list)", "or another model"),
        ("of no class and ignored; if they mean something, list it in a class",
         "of no class and ignored"),
        ("mIoU 0.3 on 1 validation scene", "mIoU 0.3 on the part that was held out"),
    ],
)  # fmt: skip
def test_options_in_messages_are_called_as_the_parameters_and_files_stay(
    provider: GeosegProvider, message: str, expected: str
) -> None:
    made = provider.algorithm("segment").create()
    assert made._in_terms_of_parameters(message) == expected


def test_what_the_engine_says_is_in_terms_of_parameters_and_an_error_is_told_once(
    provider: GeosegProvider, scene: QgsRasterLayer, tmp_path: Path, heard: Heard,
    context: QgsProcessingContext, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    does = """say(event="log", level="warning", message="or take --gsd native")
say(event="error", kind="user", message="no --mask (mask)")
sys.exit("geoseg: no --mask (mask)")
"""
    monkeypatch.setenv("GEOSEG_PYTHON", engine_that(does, tmp_path))
    wanted = asked(scene, MODEL="true-colour", OUTPUT=str(tmp_path / "map.tif"))
    with pytest.raises(QgsProcessingException, match=r"^no “Mask polygons” \(MASK\)$"):
        processing.run("geoseg:segment", wanted, context=context, feedback=heard)
    (warning,) = heard.warnings
    assert warning.startswith("or take “Resample to metres a pixel")
    assert warning.endswith("(GSD) native")
    assert heard.console == []


def test_a_chip_becomes_a_map_with_polygons_and_confidence(
    scene: QgsRasterLayer, tmp_path: Path, heard: Heard, context: QgsProcessingContext
) -> None:
    folder = tmp_path / "a folder of Łódź"
    folder.mkdir()
    paths = {
        "OUTPUT": str(folder / "classes.tif"),
        "POLYGONS": str(folder / "polygons.gpkg"),
        "CONFIDENCE": str(folder / "confidence.tif"),
    }
    found = processing.run("geoseg:segment", asked(scene, **paths), context=context, feedback=heard)
    assert {name: found[name] for name in paths} == paths
    told = json.loads(found["CLASSES"])
    assert {each["value"]: each["name"] for each in told} == NAMES
    assert {each["value"]: each["color"] for each in told} == COLORS
    made = QgsRasterLayer(paths["OUTPUT"], "map")
    assert made.crs().authid() == "EPSG:32652"
    assert made.extent() == scene.extent()
    there = set(pixels_of(paths["OUTPUT"]))
    assert len(there) > 1
    assert there <= set(NAMES)
    confidence = QgsRasterLayer(paths["CONFIDENCE"], "confidence")
    statistics = confidence.dataProvider().bandStatistics(1)
    assert 1 / len(NAMES) <= statistics.minimumValue <= statistics.maximumValue <= 1
    polygons = QgsVectorLayer(paths["POLYGONS"], "polygons")
    area = sum(each["area_m2"] for each in polygons.getFeatures())
    assert area == pytest.approx((SIDE * 10) ** 2)
    assert {each["class_id"]: each["class_name"] for each in polygons.getFeatures()} == {
        value: NAMES[value] for value in there
    }
    assert heard.percents == sorted(heard.percents)
    assert heard.percents[-1] == 100
    assert any("Mpx/s" in each for each in heard.texts)
    assert any(each.startswith("Making polygons") for each in heard.texts)


def test_loaded_results_have_the_models_colours_and_names_and_polygons_on_top(
    scene: QgsRasterLayer, context: QgsProcessingContext, heard: Heard
) -> None:
    parameters = asked(
        scene, **dict.fromkeys(("OUTPUT", "POLYGONS", "CONFIDENCE"), "TEMPORARY_OUTPUT")
    )
    processing.runAndLoadResults("geoseg:segment", parameters, feedback=heard, context=context)
    project = QgsProject.instance()
    names = [each.name() for each in project.layerTreeRoot().findLayers()]
    assert names == ["chip: polygons", "chip: classes", "chip: confidence"]
    (polygons,) = project.mapLayersByName("chip: polygons")
    renderer = polygons.renderer()
    assert isinstance(renderer, QgsCategorizedSymbolRenderer)
    assert renderer.classAttribute() == "class_id"
    categories = renderer.categories()  # which own their symbols
    assert {each.value(): each.label() for each in categories} == NAMES
    assert {each.value(): each.symbol().color().name() for each in categories} == COLORS
    outlines = {
        each.value(): each.symbol().symbolLayer(0).strokeColor().name() for each in categories
    }
    assert outlines == COLORS
    (classes,) = project.mapLayersByName("chip: classes")
    assert isinstance(classes.renderer(), QgsPalettedRasterRenderer)
    entries = classes.renderer().classes()
    assert {each.value: each.label for each in entries} == NAMES
    assert {each.value: each.color.name() for each in entries} == COLORS


def test_only_the_extent_is_classified(
    scene: QgsRasterLayer, tmp_path: Path, context: QgsProcessingContext
) -> None:
    wanted = f"{LEFT + 1000},{LEFT + 2000},{TOP - 2500},{TOP - 500} [EPSG:32652]"
    output = str(tmp_path / "map.tif")
    processing.run("geoseg:segment", asked(scene, EXTENT=wanted, OUTPUT=output), context=context)
    made = QgsRasterLayer(output, "map")
    assert (made.width(), made.height()) == (100, 200)
    assert made.extent().xMinimum() == LEFT + 1000
    assert made.extent().yMaximum() == TOP - 500


def test_an_extent_may_be_in_degrees(
    scene: QgsRasterLayer, tmp_path: Path, context: QgsProcessingContext
) -> None:
    wanted = "127.23,127.24,34.66,34.67 [EPSG:4326]"
    output = str(tmp_path / "map.tif")
    processing.run("geoseg:segment", asked(scene, EXTENT=wanted, OUTPUT=output), context=context)
    made = QgsRasterLayer(output, "map")
    # A hundredth of a degree is 1110 m to the north, and 913 m to the east there.
    assert 110 <= made.height() <= 116
    assert 91 <= made.width() <= 96
    assert made.crs().authid() == "EPSG:32652"


def test_only_the_selected_polygons_of_a_mask_are_classified(
    scene: QgsRasterLayer, tmp_path: Path, context: QgsProcessingContext
) -> None:
    near = box(LEFT + 100, TOP - 300, LEFT + 300, TOP - 100)
    far = box(LEFT + 3000, TOP - 4000, LEFT + 4000, TOP - 3000)
    mask = polygon(f"{near};{far}", "EPSG:32652")
    mask.selectByIds([min(each.id() for each in mask.getFeatures())])
    context.project().addMapLayer(mask)
    output = str(tmp_path / "map.tif")
    given = QgsProcessingFeatureSourceDefinition(mask.id(), True)
    processing.run("geoseg:segment", asked(scene, MASK=given, OUTPUT=output), context=context)
    inside = sum(each != 255 for each in pixels_of(output))
    assert inside == 20 * 20


def test_a_mask_without_selection_is_refused(
    scene: QgsRasterLayer, heard: Heard, context: QgsProcessingContext
) -> None:
    mask = context.project().addMapLayer(polygon(box(0, 0, 1, 1), "EPSG:4326"))
    given = QgsProcessingFeatureSourceDefinition(mask.id(), True)
    with pytest.raises(QgsProcessingException):
        processing.run(
            "geoseg:segment",
            asked(scene, MASK=given, OUTPUT="TEMPORARY_OUTPUT"),
            context=context,
            feedback=heard,
        )


EMPTY = "Extent (EXTENT) holds nothing: it has no width or no height, or is that of an empty layer"


@pytest.fixture
def nothing(context: QgsProcessingContext) -> str:
    """Id of a layer of polygons that has none."""
    layer = QgsVectorLayer("Polygon?crs=EPSG:32652", "nothing", "memory")
    return str(context.project().addMapLayer(layer).id())


@pytest.mark.parametrize("extent", ["127.23,127.23,34.66,34.67 [EPSG:4326]", "nothing"])
def test_an_extent_that_holds_nothing_is_refused(
    scene: QgsRasterLayer, extent: str, nothing: str, tmp_path: Path, provider: GeosegProvider,
    context: QgsProcessingContext,
) -> None:  # fmt: skip
    output = tmp_path / "map.tif"
    wanted = nothing if extent == "nothing" else extent
    parameters = asked(scene, EXTENT=wanted, OUTPUT=str(output))
    with pytest.raises(QgsProcessingException, match=re.escape(EMPTY)):
        processing.run("geoseg:segment", parameters, context=context)
    made = provider.algorithm("segment").create()
    able, message = made.checkParameterValues(parameters, context)
    assert (able, EMPTY in message) == (False, True)
    assert not output.exists()


def test_a_mask_that_cannot_be_loaded_is_refused(
    scene: QgsRasterLayer, tmp_path: Path, context: QgsProcessingContext
) -> None:
    output = tmp_path / "map.tif"
    parameters = asked(scene, MASK="/nowhere.gpkg", OUTPUT=str(output))
    with pytest.raises(QgsProcessingException, match=r"layer for MASK: /nowhere\.gpkg not found"):
        processing.run("geoseg:segment", parameters, context=context)
    assert not output.exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"EXTENT": "127.23,127.23,34.66,34.67 [EPSG:4326]"}, EMPTY),
        ({"EXTENT": "nothing"}, EMPTY),
        ({"EXTENT": "/nowhere.gpkg"}, EMPTY),
        (
            {"MASK": "/nowhere.gpkg"},
            "Could not load source layer for MASK: /nowhere.gpkg not found",
        ),
    ],
)
def test_a_model_of_the_designer_refuses_an_area_that_holds_nothing(
    scene: QgsRasterLayer, given: dict[str, str], message: str, nothing: str, heard: Heard,
    tmp_path: Path, context: QgsProcessingContext,
) -> None:  # fmt: skip
    """QGIS does not check what a model hands to its steps."""
    output = tmp_path / "map.tif"
    stated = {"MODEL": "sentinel2-landcover", "BANDS": "1,2,3", "OUTPUT": str(output), **given}
    child = QgsProcessingModelChildAlgorithm("geoseg:segment")
    child.setChildId("segment")
    source = QgsProcessingModelChildParameterSource
    child.addParameterSources("INPUT", [source.fromModelParameter("image")])
    for name, value in stated.items():
        static = source.fromStaticValue(nothing if value == "nothing" else value)
        child.addParameterSources(name, [static])
    model = QgsProcessingModelAlgorithm("a model", "tests")
    image = QgsProcessingParameterRasterLayer("image", "Image")
    model.addModelParameter(image, QgsProcessingModelParameter("image"))
    model.addChildAlgorithm(child)
    with pytest.raises(QgsProcessingException, match="Error encountered while running"):
        processing.run(model, {"image": scene}, context=context, feedback=heard)
    assert message in heard.errors[0]
    assert not output.exists()


def test_an_extent_that_the_layers_crs_cannot_tell_is_refused_in_one_line(
    scene: QgsRasterLayer, context: QgsProcessingContext
) -> None:
    parameters = asked(scene, EXTENT="20,92,100,193 [EPSG:4326]", OUTPUT="TEMPORARY_OUTPUT")
    told = r"^Extent \(EXTENT\) cannot be told in EPSG:32652, [^\n]* “chip”; [^\n]*$"
    with pytest.raises(QgsProcessingException, match=told):
        processing.run("geoseg:segment", parameters, context=context)


@pytest.mark.parametrize(
    ("model", "bands", "message"),
    [
        (
            "demo-landscape",
            "",
            "demo-landscape takes 4 bands (blue, green, red, nir), but layer “chip” has 4 "
            "(1 red, 2 green, 3 blue, 4 transparency); say under Bands (BANDS) which they are, in "
            "the model's order, as in 1,2,3,4",
        ),
        (
            "sentinel2-landcover",
            "1,2",
            "Bands (BANDS) has 2 entries (1,2), but sentinel2-landcover takes 3: blue, green, red",
        ),
        (
            "sentinel2-landcover",
            "1,2,7",
            "Bands (BANDS) names band 7, but layer “chip” has 4; give 1 to 4",
        ),
    ],
)
def test_wrong_bands_are_told_with_both_sides(
    scene: QgsRasterLayer, model: str, bands: str, message: str, context: QgsProcessingContext
) -> None:
    parameters = {
        "INPUT": scene, "MODEL": model, "BANDS": bands, "OUTPUT": "TEMPORARY_OUTPUT",
    }  # fmt: skip
    with pytest.raises(QgsProcessingException, match=re.escape(message)):
        processing.run("geoseg:segment", parameters, context=context)


def test_too_many_unnamed_bands_are_asked_for() -> None:
    card = {"name": "m", "bands": ["red", "nir"]}
    with pytest.raises(QgsProcessingException, match=r"has 3 \(1, 2, 3\); say .* as in 1,2"):
        bands_for(card, "chip", [Band(1), Band(2), Band(3)], "")


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ("", "3,1"),
        ("2,1", "2,1"),
        ("b04, B03", "3,2"),
        ("1,transparency", "1,4"),
        ("2019,4", "5,4"),
    ],
)
def test_bands_are_told_by_the_files_own_numbers(stated: str, told: str) -> None:
    card = {"name": "m", "bands": ["red", "nir"]}
    names = ("B08", "B03", "B04", "", "2019")
    bands = [Band(number, name, is_alpha=not name) for number, name in enumerate(names, 1)]
    assert bands_for(card, "chip", bands, stated) == told


@pytest.mark.parametrize(
    "target", ["memory:", "memory:classes", "ogr:dbname='a.gpkg' table=\"p\"", "postgis:x"]
)
def test_a_destination_that_is_no_file_is_refused(
    scene: QgsRasterLayer, target: str, provider: GeosegProvider, context: QgsProcessingContext
) -> None:
    parameters = asked(scene, OUTPUT="TEMPORARY_OUTPUT", POLYGONS=target)
    with pytest.raises(QgsProcessingException, match=r"POLYGONS is .* cannot write"):
        processing.run("geoseg:segment", parameters, context=context)
    made = provider.algorithm("segment").create()
    messages: list[str] = []
    voice = Heard()
    _, worked = made.run(parameters, context, voice)
    messages += voice.errors
    assert not worked
    assert "choose a file, or a temporary one (TEMPORARY_OUTPUT)" in messages[0]


def test_an_unknown_model_is_told_in_the_engines_words(
    scene: QgsRasterLayer, heard: Heard, context: QgsProcessingContext
) -> None:
    parameters = {**asked(scene), "MODEL": "nonsense", "OUTPUT": "TEMPORARY_OUTPUT"}
    with pytest.raises(QgsProcessingException, match=r"^[^\n]*nonsense[^\n]*$"):
        processing.run("geoseg:segment", parameters, context=context, feedback=heard)


def test_the_layers_crs_is_used_where_the_file_has_none(
    scene: QgsRasterLayer, tmp_path: Path, context: QgsProcessingContext, heard: Heard
) -> None:
    bare = tmp_path / "bare.tif"
    pipe = QgsRasterPipe()
    pipe.set(scene.dataProvider().clone())
    QgsRasterFileWriter(str(bare)).writeRaster(
        pipe,
        SIDE,
        SIDE,
        scene.extent(),
        QgsCoordinateReferenceSystem(),
        context.transformContext(),
    )
    layer = QgsRasterLayer(str(bare), "bare")
    assert not layer.dataProvider().crs().isValid()
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32652"))
    output = str(tmp_path / "map.tif")
    processing.run("geoseg:segment", asked(layer, OUTPUT=output), context=context, feedback=heard)
    assert QgsRasterLayer(output, "map").crs().authid() == "EPSG:32652"


def test_a_web_map_is_classified_with_its_colours_in_the_models_order(
    web_map: QgsRasterLayer, tmp_path: Path, context: QgsProcessingContext, heard: Heard
) -> None:
    output = str(tmp_path / "map.tif")
    parameters = {
        "INPUT": web_map, "MODEL": "sentinel2-landcover", "OUTPUT": output, "PIXEL_SIZE": 10,
        "EXTENT": "-1000,1000,0,1000 [EPSG:3857]",
    }  # fmt: skip
    processing.run("geoseg:segment", parameters, context=context, feedback=heard)
    made = QgsRasterLayer(output, "map")
    assert (made.width(), made.height()) == (200, 100)
    assert made.crs().authid() == "EPSG:3857"
    assert '"bands": ["3", "2", "1"]' in made.htmlMetadata().replace("&quot;", '"')
    assert any(each.startswith("Exporting 200 x 100 pixels") for each in heard.infos)


class Listening(Heard):
    """Hears what the engine tells, and cancels after some blocks."""

    def __init__(self, blocks: float = float("inf")) -> None:
        super().__init__()
        self._blocks, self.starts = blocks, []

    def hear(self, event: dict[str, Any]) -> None:
        if event["event"] == "start":
            self.starts.append((event["done"], event["total"]))
        if event.get("done", -1) >= self._blocks:
            self.cancel()


@pytest.fixture
def in_memory(scene: QgsRasterLayer) -> Iterator[QgsRasterLayer]:
    """The chip in nine blocks, where only QGIS can read it."""
    gdal.Translate("/vsimem/chip.tif", scene.source(), width=3 * SIDE, height=3 * SIDE)
    layer = QgsRasterLayer("/vsimem/chip.tif", "in memory")
    yield layer
    forget(layer)
    gdal.Unlink("/vsimem/chip.tif")


def stopped_and_started(
    parameters: dict[str, Any], context: QgsProcessingContext, between: Callable[[], Any]
) -> tuple[int, int]:
    """Cancel a run after a block and start it again: blocks that were there, and all."""
    parameters |= {"WINDOW": 128, "HALO": 0, "VIEWS": "flips", "GSD": "native", "MEMORY": "100MB"}
    with pytest.raises(QgsProcessingException, match="cancelled; the same run"):
        processing.run("geoseg:segment", parameters, context=context, feedback=Listening(1))
    between()
    heard = Listening()
    processing.run("geoseg:segment", parameters, context=context, feedback=heard)
    return heard.starts[0]


def test_a_cancelled_run_of_an_exported_layer_goes_on(
    in_memory: QgsRasterLayer, tmp_path: Path, context: QgsProcessingContext
) -> None:
    parameters = asked(in_memory, OUTPUT=str(tmp_path / "map.tif"))
    done, total = stopped_and_started(parameters, context, lambda: None)
    assert 1 <= done < total


def test_a_cancelled_run_of_a_layer_that_changed_begins_anew(
    in_memory: QgsRasterLayer, tmp_path: Path, context: QgsProcessingContext
) -> None:
    def change() -> None:
        made = gdal.Open("/vsimem/chip.tif", gdal.GA_Update)
        made.GetRasterBand(2).WriteRaster(256, 256, 1, 1, b"\x01")

    parameters = asked(in_memory, OUTPUT=str(tmp_path / "map.tif"))
    done, _ = stopped_and_started(parameters, context, change)
    assert done == 0


def test_a_cancelled_run_of_a_web_map_goes_on(
    web_map: QgsRasterLayer, tmp_path: Path, context: QgsProcessingContext
) -> None:
    extent = "-10000,10000,0,10000 [EPSG:3857]"
    parameters = {**asked(web_map), "BANDS": "", "EXTENT": extent, "PIXEL_SIZE": 10}
    parameters["OUTPUT"] = str(tmp_path / "map.tif")
    done, total = stopped_and_started(parameters, context, lambda: None)
    assert 1 <= done < total


def test_of_a_cancelled_run_to_a_temporary_map_nothing_is_promised(
    scene: QgsRasterLayer, context: QgsProcessingContext
) -> None:
    parameters = asked(scene, OUTPUT="TEMPORARY_OUTPUT")
    with pytest.raises(QgsProcessingException, match="cancelled; nothing is kept of a run to a t"):
        processing.run("geoseg:segment", parameters, context=context, feedback=Listening(0))


def test_a_layer_is_classified_where_it_was_set_to_lie(
    scene: QgsRasterLayer, tmp_path: Path, context: QgsProcessingContext
) -> None:
    """The chip's coordinates are 9 zones of UTM further west as well."""
    scene.setCrs(QgsCoordinateReferenceSystem("EPSG:32643"))
    corner = QgsGeometry.fromWkt(f"POINT({LEFT + 2000} {TOP - 1000})")
    away = QgsCoordinateTransform(
        QgsCoordinateReferenceSystem("EPSG:32643"),
        QgsCoordinateReferenceSystem("EPSG:4326"),
        context.transformContext(),
    )
    corner.transform(away)
    place = corner.asPoint()
    wanted = f"{place.x()},{place.x() + 0.01},{place.y() - 0.01},{place.y()} [EPSG:4326]"
    output = str(tmp_path / "map.tif")
    processing.run("geoseg:segment", asked(scene, EXTENT=wanted, OUTPUT=output), context=context)
    made = QgsRasterLayer(output, "map")
    assert made.crs().authid() == "EPSG:32643"
    assert made.extent().xMinimum() == pytest.approx(LEFT + 2000, abs=40)
    assert made.extent().yMaximum() == pytest.approx(TOP - 1000, abs=40)


def test_a_web_map_has_no_infrared(web_map: QgsRasterLayer, context: QgsProcessingContext) -> None:
    parameters = {"INPUT": web_map, "MODEL": "demo-landscape", "OUTPUT": "TEMPORARY_OUTPUT"}
    with pytest.raises(QgsProcessingException, match=r"has 3 \(1 red, 2 green, 3 blue\); choose"):
        processing.run("geoseg:segment", parameters, context=context)


def test_bands_of_an_exported_picture_are_found_by_other_names_too(
    web_map: QgsRasterLayer,
) -> None:
    card = {"name": "m", "bands": ["B02", "G", "B04"]}
    bands = sources.take(web_map).bands
    assert bands_for(card, "tiles", bands, "") == "3,2,1"
    assert bands_for(card, "tiles", bands, "1,1,1") == "1,1,1"


RED, GREEN, BLUE, ALPHA = (
    gdal.GCI_RedBand, gdal.GCI_GreenBand, gdal.GCI_BlueBand, gdal.GCI_AlphaBand,
)  # fmt: skip


def marked(path: Path, marks: list[int], names: list[str] | None = None) -> QgsRasterLayer:
    """An image whose bands 1, 2, ... hold 50, 100, ..., marked as colours."""
    made = gdal.GetDriverByName("GTiff").Create(str(path), 128, 128, len(marks), gdal.GDT_Byte)
    made.SetGeoTransform((500_000, 10, 0, 5_400_000, 0, -10))
    made.SetProjection(QgsCoordinateReferenceSystem("EPSG:32633").toWkt())
    for number, mark in enumerate(marks, 1):
        band = made.GetRasterBand(number)
        band.SetColorInterpretation(mark)
        band.Fill(50 * number)
        if names:
            band.SetDescription(names[number - 1])
    del made, band
    return QgsRasterLayer(str(path), path.stem)


def bands_in(output: str) -> list[str]:
    """What a class map says that it was made of."""
    return list(json.loads(gdal.Open(output).GetMetadataItem("GEOSEG_OPTIONS"))["bands"])


@pytest.mark.parametrize(
    ("marks", "names", "stated", "used"),
    [
        ([RED, GREEN, BLUE, ALPHA], None, "3,2,1,4", ["3", "2", "1", "4"]),
        ([RED, GREEN, BLUE, ALPHA], ["red", "green", "blue", "nir"], "", ["3", "2", "1", "4"]),
        ([ALPHA, RED, GREEN, BLUE], None, "4,3,2,1", ["4", "3", "2", "1"]),
    ],
)
def test_a_band_marked_as_transparency_can_be_used(
    marks: list[int], names: list[str] | None, stated: str, used: list[str],
    tmp_path: Path, context: QgsProcessingContext,
) -> None:  # fmt: skip
    layer = marked(tmp_path / "image.tif", marks, names)
    output = str(tmp_path / "map.tif")
    parameters = {
        "INPUT": layer, "MODEL": "demo-landscape", "BANDS": stated, "OUTPUT": output,
    }  # fmt: skip
    processing.run("geoseg:segment", parameters, context=context)
    assert bands_in(output) == used
    forget(layer)


def test_transparency_before_the_other_bands_does_not_shift_them(
    tmp_path: Path, context: QgsProcessingContext
) -> None:
    layer = marked(tmp_path / "image.tif", [ALPHA, RED, GREEN, BLUE])
    output = str(tmp_path / "map.tif")
    parameters = {"INPUT": layer, "MODEL": "sentinel2-landcover", "OUTPUT": output}
    processing.run("geoseg:segment", parameters, context=context)
    assert bands_in(output) == ["4", "3", "2"]
    forget(layer)
