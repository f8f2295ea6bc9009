"""Polygons on an image: what of a map they leave, and what cannot be put on one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pointwise import random_pixels, write
from rasterio.crs import CRS
from toys import segmenter_of

from geoseg import nets
from geoseg.errors import UserError
from geoseg.job import Result, predict_file
from geoseg.raster.grid import Grid
from geoseg.segmenter import Segmenter
from geoseg.shapes import read_area

OPTIONS = {"in_channels": 3, "classes": 4, "widths": [8, 8]}
SHAPE = (150, 130)
GONE = 255
SMALL = 200_000  # bytes: blocks of a few windows

WAYS: dict[str, dict[str, Any]] = {
    "cropped": {},
    "blended": {"blend": "hann", "window": 48},
    "zoomed": {"gsd": 7.0},
}


@pytest.fixture(scope="module")
def model() -> Segmenter:
    return segmenter_of(nets.build("unet", **OPTIONS), architecture="unet", options=OPTIONS)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = random_pixels((3, *SHAPE)).astype(np.uint8)
    pixels[:, :40, 60:90] = 0
    return write(tmp_path_factory.mktemp("scene") / "scene.tif", pixels, nodata=0)


@pytest.fixture(scope="module")
def whole(
    scene: Path, model: Segmenter, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, NDArray[Any]]:
    folder = tmp_path_factory.mktemp("whole")
    return {way: classified(scene, folder, model, way=way)[0] for way in WAYS}


def classified(
    scene: Path, folder: Path, model: Segmenter, way: str = "cropped", **options: Any
) -> tuple[NDArray[Any], Result]:
    path = folder / f"{way}.tif"
    given = {"memory": SMALL, "overwrite": True} | WAYS[way] | options
    result = predict_file(scene, path, model, **given)
    return read(path), result


def read(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as file:
        return np.asarray(file.read(1))


def where(scene: Path) -> tuple[CRS, Affine]:
    with rasterio.open(scene) as file:
        return file.crs, file.transform


def drawn(scene: Path, path: Path, polygons: list[Any], crs: str | None = None) -> Path:
    """Write polygons of (column, row) as they lie in the scene, or in another system."""
    own, transform = where(scene)
    there = [
        shapely.transform(each, lambda points: np.column_stack(transform @ tuple(points.T)))
        for each in polygons
    ]
    frame = gpd.GeoDataFrame(geometry=there, crs=own.to_wkt())
    (frame if crs is None else frame.to_crs(crs)).to_file(path)
    return path


def holding_centres(polygons: list[Any]) -> NDArray[np.bool_]:
    rows, columns = np.indices(SHAPE) + 0.5
    return np.asarray(shapely.contains_xy(shapely.union_all(polygons), columns, rows))


def blob(column: float, row: float, radius: float, corners: int) -> Any:
    angles = np.linspace(0.1, 0.1 + 2 * np.pi, corners, endpoint=False)
    far = radius * np.where(np.arange(corners) % 2, 1.0, 0.45)
    return shapely.Polygon(
        np.column_stack([column + far * np.cos(angles), row + far * np.sin(angles)])
    )


# Off the lattice of centres, where a pixel could be said to lie on either side.
PLACES = st.floats(-20, 150).map(lambda value: round(value) + 0.2371)
BLOBS = st.builds(blob, PLACES, PLACES, st.floats(3.1, 60), st.integers(3, 12))


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(polygons=st.lists(BLOBS, min_size=1, max_size=4), memory=st.sampled_from([SMALL, 10**9]))
def test_inside_of_polygons_the_map_is_that_of_the_whole_image_and_outside_there_is_none(
    scene: Path,
    model: Segmenter,
    whole: dict[str, NDArray[Any]],
    tmp_path_factory: pytest.TempPathFactory,
    way: str,
    polygons: list[Any],
    memory: int,
) -> None:
    folder = tmp_path_factory.mktemp("masked")
    mask = drawn(scene, folder / "mask.gpkg", polygons)
    inside = holding_centres(polygons)
    try:
        masked, _ = classified(scene, folder, model, way, mask=mask, memory=memory)
    except UserError:
        assert not inside.any()
        return
    np.testing.assert_array_equal(masked, np.where(inside, whole[way], GONE))


def test_polygons_may_be_in_another_coordinate_system(
    scene: Path, model: Segmenter, whole: dict[str, NDArray[Any]], tmp_path: Path
) -> None:
    polygon = blob(60.2, 70.3, 50, 30)
    mask = drawn(scene, tmp_path / "mask.geojson", [polygon], "EPSG:4326")
    masked, _ = classified(scene, tmp_path, model, mask=mask)
    inside = holding_centres([polygon])
    np.testing.assert_array_equal(masked, np.where(inside, whole["cropped"], GONE))


def test_scores_confidence_and_polygons_end_with_the_mask(
    scene: Path, model: Segmenter, tmp_path: Path
) -> None:
    polygon = blob(40.2, 100.3, 35, 12)
    layers = {"scores": tmp_path / "scores.tif", "confidence": tmp_path / "sure.tif"}
    vectors = tmp_path / "map.gpkg"
    mask = drawn(scene, tmp_path / "mask.gpkg", [polygon])
    masked, _ = classified(scene, tmp_path, model, mask=mask, polygons=vectors, **layers)
    for path in layers.values():
        np.testing.assert_array_equal(read(path) == GONE, masked == GONE)
    _, transform = where(scene)
    pixels = (masked != GONE).sum()
    area = gpd.read_file(vectors, layer="map").area.sum()
    assert area == pytest.approx(pixels * abs(transform.a * transform.e))


def test_blocks_that_no_polygon_touches_are_not_computed(
    scene: Path, model: Segmenter, tmp_path: Path
) -> None:
    options = {"memory": 10_000, "window": 40}
    _, all_of_it = classified(scene, tmp_path, model, **options)
    mask = drawn(scene, tmp_path / "mask.gpkg", [blob(10.2, 10.2, 6, 8)])
    _, part = classified(scene, tmp_path, model, mask=mask, **options)
    assert part.blocks == all_of_it.blocks == all_of_it.computed > 4
    assert part.computed == 1


def test_another_mask_is_another_run(scene: Path, model: Segmenter, tmp_path: Path) -> None:
    path = tmp_path / "mask.gpkg"
    maps = []
    for size in (20, 30):
        path.unlink(missing_ok=True)
        mask = drawn(scene, path, [blob(50.2, 60.2, size, 8)])
        found, result = classified(scene, tmp_path, model, mask=mask, skip_done=True)
        again = classified(scene, tmp_path, model, mask=mask, skip_done=True)[1]
        assert result.computed > 0 == again.computed
        maps.append(found)
    assert (maps[0] != GONE).sum() < (maps[1] != GONE).sum()


def test_a_mask_that_misses_the_image_is_refused(
    scene: Path, model: Segmenter, tmp_path: Path
) -> None:
    mask = drawn(scene, tmp_path / "mask.gpkg", [blob(900, 900, 9, 8)])
    with pytest.raises(UserError, match=r"no polygon of .*mask.gpkg touches the image; check"):
        classified(scene, tmp_path, model, mask=mask)


def test_a_mask_on_an_image_without_a_place_is_refused(scene: Path, tmp_path: Path) -> None:
    mask = drawn(scene, tmp_path / "mask.gpkg", [blob(9, 9, 9, 8)])
    with pytest.raises(UserError, match=r"does not say where it lies, so polygons cannot be put"):
        read_area(mask, Grid((9, 9), None, Affine.identity()))


def test_a_file_of_several_layers_is_refused_with_the_command_that_helps(
    scene: Path, tmp_path: Path
) -> None:
    mask = drawn(scene, tmp_path / "mask.gpkg", [blob(9, 9, 9, 8)])
    gpd.read_file(mask).to_file(mask, layer="second")
    with pytest.raises(UserError, match=r"2 layers, mask, second; copy one .* ogr2ogr one.gpkg"):
        read_area(mask, Grid(SHAPE, *where(scene)))


def test_the_mask_is_never_replaced_by_an_output(
    scene: Path, model: Segmenter, tmp_path: Path
) -> None:
    mask = drawn(scene, tmp_path / "mask.gpkg", [blob(50, 50, 9, 8)])
    before = mask.read_bytes()
    with pytest.raises(UserError, match=r"mask.gpkg is the input itself or a part of it"):
        classified(scene, tmp_path, model, mask=mask, polygons=mask)
    assert mask.read_bytes() == before
