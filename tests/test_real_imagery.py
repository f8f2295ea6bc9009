"""The shipped models at work on real scenes of their held-out parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml

import geoseg
from geoseg.metrics import ConfusionMatrix

EXAMPLES = Path(__file__).parents[1] / "examples"
SCENES = {  # tiles of the held-out part
    "sentinel2-landcover": (
        "sentinel2_landcover.yaml",
        "korea_sentinel2",
        ["202412_patchN_7", "202412_patchN_12"],
        {"bands": [1, 2, 3]},  # the files call them red, green, blue but hold blue, green, red
    ),
    "landsat8-crops": (
        "landsat8_crops.yaml",
        "landsat8_cdl",
        ["006_032", "007_031", "008_033"],
        {},
    ),
}


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_shipped_models_know_more_than_the_commonest_class(
    data_folder: Path, tmp_path: Path, name: str
) -> None:
    description, folder, files, options = SCENES[name]
    stated = yaml.safe_load((EXAMPLES / description).read_text())["classes"]
    values = [each.value for each in geoseg.load(name).card.classes]
    matrix, majority = ConfusionMatrix(len(values)), ConfusionMatrix(len(values))
    for file in files:
        source = data_folder / folder / "images" / f"{file}.tif"
        geoseg.predict_file(source, tmp_path / f"{file}.tif", name, **options)  # type: ignore[arg-type]
        truth = rasterio.open(data_folder / folder / "labels" / f"{file}.tif").read(1)
        found = rasterio.open(tmp_path / f"{file}.tif").read(1)
        true, given = np.full(truth.shape, 255), np.full(found.shape, 255)
        for i, (value, each) in enumerate(zip(values, stated, strict=True)):
            true[np.isin(truth, each["codes"])] = i
            given[found == value] = i
        matrix.update(true, given)
        commonest = int(np.bincount(true[true != 255]).argmax())
        majority.update(true, np.full(true.shape, commonest))
    assert matrix.accuracy() > majority.accuracy()
    assert matrix.miou() > majority.miou() + 0.1


def test_a_map_compares_with_the_published_labels_as_they_are(
    data_folder: Path, tmp_path: Path
) -> None:
    folder = data_folder / "korea_sentinel2"
    name = "202412_patchN_7.tif"
    geoseg.predict_file(
        folder / "images" / name, tmp_path / "map.tif", "sentinel2-landcover", bands=[1, 2, 3]
    )
    result = geoseg.evaluate(tmp_path / "map.tif", folder / "labels" / name)
    assert [each.value for each in result.classes] == [10, 30, 50, 70, 100]
    with rasterio.open(folder / "labels" / name) as file:
        known = np.isin(file.read(1), [10, 30, 50, 70, 100]).sum()
    assert result.matrix.support().sum() == known
    assert result.matrix.miou() > 0.3
