# SPDX-License-Identifier: GPL-2.0-or-later
"""Polygonize, evaluate, model information."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import processing
import pytest
from osgeo import gdal
from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsCoordinateReferenceSystem,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from voice import Heard, forget

from geoseg_qgis.algorithms.model_info import ModelInfo

pytestmark = pytest.mark.usefixtures("provider", "engine")


def counts(layer: QgsRasterLayer) -> dict[int, int]:
    provider = layer.dataProvider()
    block = provider.block(1, provider.extent(), provider.xSize(), provider.ySize())
    data = bytes(block.data())
    return {value: data.count(value) for value in set(data)}


def test_polygons_have_the_area_of_their_pixels(
    labels: QgsRasterLayer, tmp_path: Path, context: QgsProcessingContext
) -> None:
    output = str(tmp_path / "p.gpkg")
    found = processing.run(
        "geoseg:polygonize", {"INPUT": labels, "OUTPUT": output}, context=context
    )
    areas: dict[int, float] = {}
    polygons = QgsVectorLayer(found["OUTPUT"], "polygons")
    assert polygons.crs().authid() == "EPSG:32652"
    for each in polygons.getFeatures():
        areas[each["class_id"]] = areas.get(each["class_id"], 0) + each["area_m2"]
    assert areas == pytest.approx({value: 100 * n for value, n in counts(labels).items()})


def test_polygons_have_the_crs_that_only_the_layer_has(
    tmp_path: Path, context: QgsProcessingContext
) -> None:
    path = str(tmp_path / "map.tif")
    made = gdal.GetDriverByName("GTiff").Create(path, 4, 4, 1, gdal.GDT_Byte)
    made.SetGeoTransform([500000, 10, 0, 5600000, 0, -10])
    made.GetRasterBand(1).Fill(3)
    del made
    layer = QgsRasterLayer(path, "map")
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32632"))
    parameters = {"INPUT": layer, "OUTPUT": str(tmp_path / "p.gpkg")}
    found = processing.run("geoseg:polygonize", parameters, context=context)
    polygons = QgsVectorLayer(found["OUTPUT"], "polygons")
    assert polygons.crs().authid() == "EPSG:32632"
    (polygon,) = polygons.getFeatures()
    assert polygon["area_m2"] == pytest.approx(1600)
    forget(layer)


def class_map(path: str) -> str:
    """A map of the engine's kind, which names its only class; its file lies in EPSG:32632."""
    made = gdal.GetDriverByName("GTiff").Create(path, 4, 4, 1, gdal.GDT_Byte)
    made.SetGeoTransform([500000, 10, 0, 5600000, 0, -10])
    made.SetProjection(QgsCoordinateReferenceSystem("EPSG:32632").toWkt())
    made.SetMetadataItem("GEOSEG_CLASSES", json.dumps([[3, "moor", "#123456"]]))
    made.GetRasterBand(1).Fill(3)
    return path


def test_a_class_map_that_was_set_to_another_crs_keeps_its_names_or_is_refused(
    tmp_path: Path, context: QgsProcessingContext
) -> None:
    output = tmp_path / "p.gpkg"
    layer = QgsRasterLayer(class_map(str(tmp_path / "map.tif")), "map")
    parameters = {"INPUT": layer, "OUTPUT": str(output)}
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32633"))
    told = r"^layer “map” is set to EPSG:32633, but its file says EPSG:32632; set the layer back, "
    with pytest.raises(QgsProcessingException, match=told):
        processing.run("geoseg:polygonize", parameters, context=context)
    assert not output.exists()
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32632"))
    found = processing.run("geoseg:polygonize", parameters, context=context)
    (polygon,) = QgsVectorLayer(str(output), "polygons").getFeatures()
    assert (polygon["class_id"], polygon["class_name"]) == (3, "moor")
    assert json.loads(found["CLASSES"]) == [{"value": 3, "name": "moor", "color": "#123456"}]
    forget(layer)


def test_only_the_wanted_classes_become_polygons(
    labels: QgsRasterLayer, context: QgsProcessingContext
) -> None:
    parameters = {"INPUT": labels, "ONLY": "70, 100", "OUTPUT": "TEMPORARY_OUTPUT"}
    found = processing.run("geoseg:polygonize", parameters, context=context)
    polygons = QgsVectorLayer(found["OUTPUT"], "polygons")
    assert polygons.uniqueValues(polygons.fields().lookupField("class_id")) == {70, 100}


def test_loaded_polygons_are_drawn_by_class(
    labels: QgsRasterLayer, context: QgsProcessingContext, heard: Heard
) -> None:
    parameters = {"INPUT": labels, "OUTPUT": "TEMPORARY_OUTPUT"}
    found = processing.runAndLoadResults(
        "geoseg:polygonize", parameters, feedback=heard, context=context
    )
    (layer,) = QgsProject.instance().mapLayersByName("truth: polygons")
    renderer = layer.renderer()
    assert isinstance(renderer, QgsCategorizedSymbolRenderer)
    told = {each["value"]: each["name"] for each in json.loads(found["CLASSES"])}
    assert {each.value(): each.label() for each in renderer.categories()} == told
    assert set(told) == set(counts(labels))


def test_a_picture_is_no_class_map(radar: QgsRasterLayer, context: QgsProcessingContext) -> None:
    parameters = {"INPUT": radar, "BAND": 1, "OUTPUT": "TEMPORARY_OUTPUT"}
    with pytest.raises(QgsProcessingException, match=re.compile("class", re.IGNORECASE)):
        processing.run("geoseg:polygonize", parameters, context=context)


def test_labels_agree_with_themselves(
    labels: QgsRasterLayer, tmp_path: Path, context: QgsProcessingContext
) -> None:
    parameters = {"INPUT": labels, "TRUTH": labels, "OUTPUT": str(tmp_path / "report")}
    for _ in range(2):  # an earlier report is replaced
        found = processing.run("geoseg:evaluate", parameters, context=context)
        assert (found["MIOU"], found["ACCURACY"]) == (1.0, 1.0)
    assert Path(found["REPORT"]).parent == tmp_path / "report"
    assert "<html" in Path(found["REPORT"]).read_text(encoding="utf-8")


def test_a_map_is_scored_as_pixels_are_counted(
    scene: QgsRasterLayer, labels: QgsRasterLayer, context: QgsProcessingContext, heard: Heard
) -> None:
    asked = {"INPUT": scene, "MODEL": "sentinel2-landcover", "OUTPUT": "TEMPORARY_OUTPUT"}
    made = processing.run("geoseg:segment", asked, context=context)
    parameters: dict[str, Any] = {
        "INPUT": made["OUTPUT"], "TRUTH": labels, "OUTPUT": "TEMPORARY_OUTPUT",
    }  # fmt: skip
    found = processing.run("geoseg:evaluate", parameters, context=context, feedback=heard)
    one, other = (pixels(each) for each in (QgsRasterLayer(made["OUTPUT"]), labels))
    right = sum(a == b for a, b in zip(one, other)) / len(one)
    assert found["ACCURACY"] == pytest.approx(right)
    assert any(each.startswith("forest: IoU 0.") for each in heard.infos)


def pixels(layer: QgsRasterLayer) -> bytes:
    provider = layer.dataProvider()
    block = provider.block(1, provider.extent(), provider.xSize(), provider.ySize())
    return bytes(block.data())


def test_a_folder_of_other_things_is_not_overwritten(
    labels: QgsRasterLayer, tmp_path: Path, context: QgsProcessingContext
) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    parameters = {"INPUT": labels, "TRUTH": labels, "OUTPUT": str(tmp_path)}
    with pytest.raises(QgsProcessingException, match="holds other things than a report"):
        processing.run("geoseg:evaluate", parameters, context=context)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_a_model_is_told_as_a_page(context: QgsProcessingContext, tmp_path: Path) -> None:
    page = str(tmp_path / "page.html")
    found = processing.run(
        "geoseg:modelinfo", {"MODEL": "sentinel2-landcover", "OUTPUT": page}, context=context
    )
    text = Path(page).read_text(encoding="utf-8")
    assert found["OUTPUT"] == page
    for expected in (
        "blue, green, red", "10 m; takes 8 to 12.5 m", "mostly 0 to 255", "background:#c8353a",
        "building", "MIT", "0.466", "scenes", "Trained on 17 chips",
    ):  # fmt: skip
        assert expected in text
    assert json.loads(found["CARD"])["bands"] == ["blue", "green", "red"]


def test_a_page_shows_what_a_card_says_as_it_stands() -> None:
    evil = "<script>"
    card = {
        "name": evil, "description": evil, "bands": [evil], "gsd": None, "window": evil,
        "value_range": [[0.0, 1.0]], "licence": evil, "metrics": {evil: evil},
        "classes": [{"value": evil, "name": evil, "color": evil}],
    }  # fmt: skip
    page = ModelInfo()._page(card, {"geoseg:training": {evil: evil}})
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 14


def test_a_run_keeps_the_engine_that_it_began_with(
    provider: Any, context: QgsProcessingContext, heard: Heard, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The settings belong to the main thread, and may change while it works."""
    parameters = {"MODEL": "sentinel2-landcover", "OUTPUT": str(tmp_path / "page.html")}
    made = provider.algorithm("modelinfo").create()
    assert made.prepare(parameters, context, heard)
    monkeypatch.setenv("GEOSEG_PYTHON", "/nowhere/python")
    found = made.runPrepared(parameters, context, heard)
    assert json.loads(found["CARD"])["name"] == "sentinel2-landcover"


def test_a_file_that_is_no_model_is_told(context: QgsProcessingContext, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_text("nothing")
    with pytest.raises(QgsProcessingException, match=r"^[^\n]*wrong\.safetensors[^\n]*$"):
        processing.run(
            "geoseg:modelinfo",
            {"MODEL": str(wrong), "OUTPUT": "TEMPORARY_OUTPUT"},
            context=context,
        )
