"""Real files: odd ones of other libraries, and scenes for the shipped models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from toys import TwoLayers, segmenter_of

import geoseg
from geoseg.errors import UserError
from geoseg.metrics import ConfusionMatrix
from geoseg.raster.read import open_dataset

MAP = "a map"
TORTURE = {
    "geotiff/utm.tif": MAP,
    "odcgeo/au-3577-rotated.tif": MAP,
    "opengeos/2020.tif": MAP,
    "rasterio/RGB.byte.gcp.vrt": "located by ground control points only",
    "rasterio/RGB.byte.tif": MAP,
    "rasterio/RGBA.uint16.tif": MAP,
    "rasterio/all-nodata.tif": MAP,
    "rasterio/alpha.tif": MAP,
    "rasterio/compdcs.vrt": "complex|ground control points only",
    "rasterio/corrupt.tif": "was cut short: tile 1,1 should end at byte 307086",
    "rasterio/float_nan.tif": MAP,
    "rasterio/float_raster_with_nodata.tif": MAP,
    "rasterio/rotated.tif": MAP,
    "rasterio/test_esri_wkt.tif": MAP,
    "riotiler/cog_dateline.tif": MAP,
    "riotiler/cog_rgb_mask.tif": MAP,
    "riotiler/cog_scale.tif": MAP,
    "riotiler/inverted_lat.tif": MAP,
    "rioxarray/cog.tif": MAP,
    "stars/L7_ETMs.tif": MAP,
}


def test_the_table_names_every_file(data_folder: Path) -> None:
    folder = data_folder / "io_torture"
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.suffix in (".tif", ".vrt")}
    assert found == set(TORTURE)


@pytest.mark.parametrize("name", TORTURE)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_odd_files_give_a_map_on_their_own_grid_or_one_line(
    data_folder: Path, tmp_path: Path, name: str
) -> None:
    source = data_folder / "io_torture" / name
    target = tmp_path / "map.tif"
    if TORTURE[name] != MAP:
        with pytest.raises(UserError, match=TORTURE[name]) as caught:
            geoseg.predict_file(source, target, segmenter_of(TwoLayers()))
        assert "\n" not in str(caught.value)
        assert not list(tmp_path.iterdir())
        return
    numbers = [int(n) for n in geoseg.open_raster(source)["band"].values]
    model = segmenter_of(TwoLayers(len(numbers)), bands=[f"x{n}" for n in numbers])
    geoseg.predict_file(source, target, model, bands=numbers)
    with open_dataset(str(source)) as image, open_dataset(str(target)) as labels:
        assert labels.shape == image.shape
        assert labels.crs == image.crs
        assert labels.transform == image.transform
        missing = _missing(image, numbers)
        np.testing.assert_array_equal(labels.read(1) == 255, missing)


def _missing(image: rasterio.DatasetReader, numbers: list[int]) -> np.ndarray:
    """Where no band has data, by GDAL's masks and the pixels themselves."""
    pixels = image.read(numbers).astype(float)
    hidden = image.read_masks(numbers) == 0
    return np.asarray((hidden | ~np.isfinite(pixels)).all(0))


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
