# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import processing
import pytest
from pretence import engine_that
from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsFeatureRequest,
    QgsFillSymbol,
    QgsGeometry,
    QgsPalettedRasterRenderer,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSource,
    QgsRasterLayer,
    QgsRectangle,
    QgsRendererCategory,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor
from voice import Heard, forget

from geoseg_qgis import sources
from geoseg_qgis.algorithms.labels import classes_of_raster, classes_of_vector, shown_in
from geoseg_qgis.algorithms.train import Train

SMALL = {"STEPS": 2, "WINDOW": 64, "BATCH": 2}
NAMES = {10: "Gebäude", 30: "road", 50: "field", 70: "forest", 100: "other"}


@pytest.fixture
def part(scene: QgsRasterLayer, tmp_path: Path) -> Iterator[QgsRasterLayer]:
    """160 x 160 pixels of the chip, which are quick to learn from."""
    yield from cut(scene, tmp_path)


@pytest.fixture
def part_labels(labels: QgsRasterLayer, tmp_path: Path) -> Iterator[QgsRasterLayer]:
    yield from cut(labels, tmp_path)


def cut(layer: QgsRasterLayer, folder: Path) -> Iterator[QgsRasterLayer]:
    middle = layer.extent().center()
    corner = QgsRectangle(middle.x() - 800, middle.y() - 800, middle.x() + 800, middle.y() + 800)
    region = sources.Region(corner)
    transforms = QgsCoordinateTransformContext()
    path = sources.export(sources.take(layer), folder, region, transforms, Heard())
    made = QgsRasterLayer(path, layer.name())
    yield made
    forget(made)


@pytest.fixture
def parcels(part: QgsRasterLayer) -> Iterator[QgsVectorLayer]:
    """Two halves of the part: wood in the west, number 7 in the east."""
    layer = QgsVectorLayer(
        "Polygon?crs=EPSG:32652&field=kind:string&field=code:int", "parcels", "memory"
    )
    box = part.extent()
    middle = box.center().x()
    west = QgsRectangle(box.xMinimum(), box.yMinimum(), middle - 100, box.yMaximum())
    east = QgsRectangle(middle + 100, box.yMinimum(), box.xMaximum(), box.yMaximum())
    for kind, code, part in (("wood", 3, west), ("town", 7, east)):
        feature = QgsFeature(layer.fields())
        feature.setAttributes([kind, code])
        feature.setGeometry(QgsGeometry.fromRect(part))
        layer.dataProvider().addFeature(feature)
    layer.updateExtents()
    yield layer
    forget(layer)


def paletted(layer: QgsRasterLayer) -> None:
    entries = [
        QgsPalettedRasterRenderer.Class(value, QColor("#0000ff"), name)
        for value, name in NAMES.items()
    ]
    layer.setRenderer(QgsPalettedRasterRenderer(layer.dataProvider(), 1, entries))


def test_classes_of_a_raster_are_its_values(labels: QgsRasterLayer) -> None:
    classes = classes_of_raster(labels.dataProvider(), {}, Heard())
    assert [each.value for each in classes] == [10, 30, 50, 70, 100]
    assert [list(each.codes) for each in classes] == [[10], [30], [50], [70], [100]]
    assert classes[0].name == "class 10"


def test_a_raster_shown_by_class_names_its_classes(labels: QgsRasterLayer) -> None:
    paletted(labels)
    classes = classes_of_raster(labels.dataProvider(), shown_in(labels, ""), Heard())
    assert {each.value: each.name for each in classes} == NAMES
    assert {each.color for each in classes} == {"#0000ff"}


def test_a_picture_holds_no_labels(radar: QgsRasterLayer) -> None:
    with pytest.raises(QgsProcessingException, match="more than 200 values, so they are a pict"):
        classes_of_raster(radar.dataProvider(), {}, Heard())


def test_classes_of_polygons_are_the_values_of_a_field(parcels: QgsVectorLayer) -> None:
    classes = classes_of_vector([3, 7, 7, None], {7: ("town", "#ff0000")}, True)
    assert [(each.value, each.name, each.color) for each in classes] == [
        (0, "background", ""), (1, "3", ""), (2, "town", "#ff0000"),
    ]  # fmt: skip
    assert [each.polygons for each in classes] == ["none", [3], [7]]


def test_polygons_shown_together_are_one_class(parcels: QgsVectorLayer) -> None:
    symbol = QgsFillSymbol.createSimple({"color": "#123456"})
    category = QgsRendererCategory(["wood", "town"], symbol, "both")
    parcels.setRenderer(QgsCategorizedSymbolRenderer("kind", [category]))
    (only,) = classes_of_vector(["wood", "town"], shown_in(parcels, "kind"), False)
    assert (only.name, only.color, only.polygons) == ("both", "#123456", ["town", "wood"])


def test_labels_are_read_no_further_when_it_is_cancelled(
    labels: QgsRasterLayer, parcels: QgsVectorLayer, tmp_path: Path
) -> None:
    heard, path = Heard(), tmp_path / "labels.gpkg"
    heard.cancel()
    with pytest.raises(QgsProcessingException, match="cancelled; nothing was written"):
        classes_of_raster(labels.dataProvider(), {}, heard)
    algorithm = Train()
    algorithm._labels, algorithm._field, algorithm._shown = None, "kind", {}
    algorithm._polygons = QgsProcessingFeatureSource(parcels, QgsProcessingContext())
    with pytest.raises(QgsProcessingException, match="cancelled; nothing was written"):
        algorithm._classes(False, heard)
    source = QgsProcessingFeatureSource(parcels, QgsProcessingContext())
    with pytest.raises(QgsProcessingException, match="cancelled; nothing was written"):
        sources.write_features(source, path, parcels.crs(), heard)
    assert QgsVectorLayer(str(path), "written").featureCount() == 0


def test_a_field_of_too_many_values_is_refused() -> None:
    with pytest.raises(QgsProcessingException, match="has 201 values; choose one with a name"):
        classes_of_vector(range(201), {}, True)


def test_counting_labels_can_be_stopped(labels: QgsRasterLayer, heard: Heard) -> None:
    heard.cancel()
    with pytest.raises(QgsProcessingException, match="cancelled; nothing was written"):
        classes_of_raster(labels.dataProvider(), {}, heard)


def test_a_polygon_that_crosses_itself_stops_no_training(
    provider: Any, parcels: QgsVectorLayer, part: QgsRasterLayer, tmp_path: Path,
    context: QgsProcessingContext, heard: Heard, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    feature = QgsFeature(parcels.fields())
    feature.setAttributes(["bow tie", 9])
    feature.setGeometry(QgsGeometry.fromWkt("POLYGON((0 0, 10 10, 10 0, 0 10, 0 0))"))
    parcels.dataProvider().addFeature(feature)
    context.setInvalidGeometryCheck(QgsFeatureRequest.InvalidGeometryCheck.GeometryAbortOnInvalid)
    monkeypatch.setenv("GEOSEG_PYTHON", engine_that("sys.exit(3)\n", tmp_path))
    asked = {"INPUT": part, "LABELS": parcels, "FIELD": "kind", "OUTPUT": str(tmp_path / "a.pt")}
    with pytest.raises(QgsProcessingException):  # the engine's end, after the polygons
        processing.run("geoseg:train", asked, context=context, feedback=heard)
    assert "Classes: 1 bow tie, 2 town, 3 wood" in heard.infos


def test_counting_polygons_can_be_stopped(
    provider: Any, parcels: QgsVectorLayer, part: QgsRasterLayer, tmp_path: Path,
    context: QgsProcessingContext, heard: Heard, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("GEOSEG_PYTHON", engine_that("", tmp_path))
    heard.cancel()
    asked = {"INPUT": part, "LABELS": parcels, "FIELD": "kind", "OUTPUT": str(tmp_path / "a.pt")}
    with pytest.raises(QgsProcessingException, match="cancelled; nothing was written"):
        processing.run("geoseg:train", asked, context=context, feedback=heard)


@pytest.mark.parametrize(
    ("active", "labels"), [("raster", "chip_"), ("polygons", "parcels_"), ("none", "None")]
)
def test_the_dialog_opens_whatever_layer_is_active(
    scene: QgsRasterLayer, active: str, labels: str
) -> None:
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here.parents[1]), *sys.path])
    ended = subprocess.run(
        [sys.executable, str(here / "train_dialog.py"), scene.source(), active],
        env={**os.environ, "PYTHONPATH": paths, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert f"labels: {labels}" in ended.stdout
    assert "still here" in ended.stdout


def test_a_field_that_is_not_there_is_told_with_those_that_are(
    provider: Any, parcels: QgsVectorLayer, part: QgsRasterLayer, tmp_path: Path,
    context: QgsProcessingContext, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("GEOSEG_PYTHON", engine_that("", tmp_path))
    asked = {"INPUT": part, "LABELS": parcels, "FIELD": "sort", "OUTPUT": str(tmp_path / "a.pt")}
    told = "layer “parcels” of labels has no field sort; choose one of: kind, code$"
    with pytest.raises(QgsProcessingException, match=told):
        processing.run("geoseg:train", asked, context=context)


@pytest.mark.parametrize("told", ["kind", " KIND", "Land use"])
def test_a_field_may_be_told_by_its_alias_or_in_other_letters(
    parcels: QgsVectorLayer, part: QgsRasterLayer, context: QgsProcessingContext, told: str
) -> None:
    parcels.setFieldAlias(0, "Land use")
    algorithm = Train().create()
    asked = {"INPUT": part, "LABELS": parcels, "FIELD": told}
    assert algorithm.prepareAlgorithm(asked, context, Heard())
    assert algorithm._field == "kind"


Training = Callable[..., dict[str, Any]]


@pytest.fixture
def train(
    provider: Any, engine: str, part: QgsRasterLayer, tmp_path: Path,
    context: QgsProcessingContext, heard: Heard,
) -> Training:  # fmt: skip
    def run(**more: Any) -> dict[str, Any]:
        output = str(tmp_path / "a model.safetensors")
        parameters = {"INPUT": part, "OUTPUT": output, **SMALL, **more}
        return processing.run("geoseg:train", parameters, context=context, feedback=heard)

    return run


def test_a_model_is_trained_on_a_raster_of_labels(
    train: Training, part_labels: QgsRasterLayer, part: QgsRasterLayer, heard: Heard,
    context: QgsProcessingContext, tmp_path: Path,
) -> None:  # fmt: skip
    paletted(part_labels)
    found = train(LABELS=part_labels)
    told = json.loads(found["CLASSES"])
    assert {each["value"]: each["name"] for each in told} == NAMES
    assert 0 <= found["MIOU"] < 1
    assert Path(found["REPORT"]).is_file()
    assert heard.percents[-1] == 100
    assert any("loss" in each for each in heard.texts)
    output = str(tmp_path / "map.tif")
    asked = {"INPUT": part, "MODEL": found["OUTPUT"], "BANDS": "1,2,3", "OUTPUT": output}
    processing.run("geoseg:segment", asked, context=context)
    assert QgsRasterLayer(output, "map").isValid()


def test_a_model_is_trained_on_polygons_of_a_field(
    train: Training, parcels: QgsVectorLayer
) -> None:
    found = train(LABELS=parcels, FIELD="kind", BACKGROUND=True, BANDS="1,3", HELD_OUT=0)
    named = {each["value"]: each["name"] for each in json.loads(found["CLASSES"])}
    assert named == {0: "background", 1: "town", 2: "wood"}
    assert found["MIOU"] is None


def test_an_invalid_polygon_does_not_stop_a_training(
    train: Training, parcels: QgsVectorLayer, context: QgsProcessingContext
) -> None:
    box = parcels.extent()
    (west, east), (south, north) = (0, 500), (0, 1000)
    ring = f"{west} {south},{east} {north},{east} {south},{west} {north},{west} {south}"
    bow_tie = QgsGeometry.fromWkt(f"POLYGON(({ring}))")
    assert not bow_tie.isGeosValid()
    bow_tie.translate(box.xMinimum(), box.yMinimum())
    feature = QgsFeature(parcels.fields())
    feature.setAttributes(["bow tie", 9])
    feature.setGeometry(bow_tie)
    parcels.dataProvider().addFeature(feature)
    context.setInvalidGeometryCheck(QgsFeatureRequest.InvalidGeometryCheck.GeometryAbortOnInvalid)
    found = train(LABELS=parcels, FIELD="kind", HELD_OUT=0)
    named = {each["name"] for each in json.loads(found["CLASSES"])}
    assert named == {"bow tie", "town", "wood"}


def test_a_model_file_that_exists_is_replaced_and_its_report(
    train: Training, part_labels: QgsRasterLayer, tmp_path: Path
) -> None:
    model = tmp_path / "a model.safetensors"
    train(LABELS=part_labels)
    before = model.read_bytes()
    found = train(LABELS=part_labels, STEPS=3)
    assert model.read_bytes() != before
    assert Path(found["REPORT"]).is_file()


def test_a_finished_training_does_not_go_on(
    train: Training, part_labels: QgsRasterLayer, tmp_path: Path
) -> None:
    kept = tmp_path / "a model.safetensors"
    kept.write_text("mine")
    told = r"a model\.safetensors is finished, .* leave out “Go on .*” \(RESUME\) to train it anew$"
    with pytest.raises(QgsProcessingException, match=told):
        train(LABELS=part_labels, RESUME=True)
    assert kept.read_text() == "mine"


def test_bands_to_learn_from_must_be_there(train: Training, part_labels: QgsRasterLayer) -> None:
    with pytest.raises(QgsProcessingException, match="names 9, but layer “chip” has bands 1 to 4"):
        train(LABELS=part_labels, BANDS="1,9")


def test_bands_to_learn_from_have_the_files_own_numbers(part: QgsRasterLayer) -> None:
    algorithm = Train()
    algorithm._image = sources.take(part)
    *colours, alpha = algorithm._image.bands
    assert alpha.is_alpha
    assert algorithm._bands("") == {"band 1": 1, "band 2": 2, "band 3": 3}
    assert algorithm._bands("4,1") == {"band 4": 4, "band 1": 1}
    algorithm._image = replace(
        algorithm._image,
        bands=(
            replace(alpha, number=1),
            *(replace(each, number=each.number + 1) for each in colours),
        ),
    )
    assert algorithm._bands("") == {"band 2": 2, "band 3": 3, "band 4": 4}
