"""Masks: inside of them the map is what it is without, outside there is none, and no work."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
import xarray as xr
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pointwise import UTM, random_pixels, read, refused, write
from toys import Hourglass, Pooled, TwoLayers, random_image, segmenter_of

import geoseg
from geoseg import blocks, loader, nets
from geoseg.blocks import run_block
from geoseg.decisions import Output
from geoseg.errors import UserError
from geoseg.job import predict_file
from geoseg.loader import Scene
from geoseg.plan import Tiling
from geoseg.raster import Grid, grid_of, open_raster
from geoseg.segmenter import Segmenter
from geoseg.shapes import Area
from geoseg.tasks import Running, Task, make_task

CRS = "EPSG:32633"
OPTIONS = {"in_channels": 3, "classes": 4, "widths": [8, 8]}
SMALL = 200_000  # bytes: blocks of a few windows
SHAPE = 300, 260
EASY = shapely.Polygon([(100.3, 40.2), (180.7, 90.4), (120.1, 170.9), (80.6, 120.2)])  # in pixels


def placed(shapes: Any, transform: Affine = UTM) -> list[Any]:
    """Shapes given in (column, row), where these lie."""
    a, b, c, d, e, f = list(transform)[:6]
    return [shapely.affinity.affine_transform(each, (a, b, d, e, c, f)) for each in shapes]


def mask_of(shapes: Any, crs: str = CRS, transform: Affine = UTM) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(geometry=placed(shapes, transform), crs=CRS).to_crs(crs)


def inside(shapes: Any, shape: tuple[int, int]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether each centre is inside of shapes in (column, row), and whether that can be told."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    centres = shapely.points(columns, rows)
    found = np.zeros(shape, bool)
    clear = np.ones(shape, bool)
    for each in shapes:
        found |= shapely.contains_properly(each, centres)
        clear &= shapely.distance(shapely.boundary(each), centres) > 1e-6
    return found, clear


@st.composite
def polygons(draw: st.DrawFn, shape: tuple[int, int]) -> list[shapely.Polygon]:
    """Some polygons, with dents and holes, that reach beyond the image as well."""
    place = st.tuples(
        st.floats(-20, shape[1] + 20).map(lambda x: round(x, 3)),
        st.floats(-20, shape[0] + 20).map(lambda y: round(y, 3)),
    )
    hulls = st.lists(place, min_size=3, max_size=7).map(lambda p: shapely.MultiPoint(p).convex_hull)
    found = []
    for _ in range(draw(st.integers(1, 3))):
        parts = shapely.get_parts(draw(hulls).difference(draw(hulls)))
        found += [each for each in parts if each.geom_type == "Polygon" and each.area > 1e-3]
    assume(found)
    return found


# -- the pixels ------------------------------------------------------------------------------------

MODELS: dict[str, Callable[[], Segmenter]] = {
    "two layers": lambda: segmenter_of(TwoLayers(), window=32),
    "hourglass": lambda: segmenter_of(Hourglass(), window=64),
    "whole windows": lambda: segmenter_of(Pooled(), window=32),
}
OUTPUTS: tuple[Output, ...] = "classes", "scores", "confidence"


def by_blocks(task: Task) -> dict[str, NDArray[Any]]:
    """Results put together by hand, block after block."""
    found: dict[str, NDArray[Any]] = {}
    for block in task.plan.blocks():
        result = run_block(task, block, task.scene.part(task.plan.hull(block)))
        for name, values in result.items():
            whole = (*values.shape[:-2], *task.scene.image.shape[1:])
            found.setdefault(name, np.empty(whole, values.dtype))
            found[name][(..., *task.plan.output(block))] = values
    return found


@pytest.mark.parametrize("blend", ["crop", "hann", "mean"])
@pytest.mark.parametrize("zoom", [(1.0, 1.0), (0.6, 0.7), (1.7, 1.4)], ids=str)
@pytest.mark.parametrize("name", MODELS)
@given(data=st.data(), block=st.sampled_from([20, 50, 90, 400]), nodata=st.sampled_from([None, 0]))
@settings(max_examples=8)
def test_inside_of_a_mask_are_the_pixels_that_are_there_without_it_and_outside_none(
    name: str,
    zoom: tuple[float, float],
    blend: Any,
    data: st.DataObject,
    block: int,
    nodata: int | None,
) -> None:
    model = MODELS[name]()
    shape = 90, 110
    shapes = data.draw(polygons(shape))
    known, clear = inside(shapes, shape)
    assume(known.any())
    image = random_image(shape, 0, nodata=nodata)
    grid = Grid(shape, rasterio.crs.CRS.from_user_input(CRS), UTM)
    area = Area.of(mask_of(shapes), grid, "image")
    tiling = Tiling(blend=blend, block=block, halo=4 if name == "whole windows" else None)
    if blend != "crop":
        tiling = Tiling(blend=blend, block=block)
    every, some = (
        by_blocks(make_task(scene, model, OUTPUTS, tiling, Running()))
        for scene in (Scene(image, zoom=zoom), Scene(image, zoom=zoom, area=area))
    )
    kept = area.drawn((slice(0, shape[0]), slice(0, shape[1])))
    np.testing.assert_array_equal(kept[clear], known[clear])
    for output, values in every.items():
        missing = values.dtype.type(255 if output == "classes" else np.nan)
        np.testing.assert_array_equal(some[output], np.where(kept, values, missing))


@given(data=st.data(), edges=st.tuples(*[st.integers(0, 120)] * 4))
@settings(max_examples=60)
def test_a_window_of_an_area_is_that_part_of_the_whole(
    data: st.DataObject, edges: tuple[int, int, int, int]
) -> None:
    shape = 121, 121
    shapes = data.draw(polygons(shape))
    grid = Grid(shape, rasterio.crs.CRS.from_user_input(CRS), UTM)
    known, _ = inside(shapes, shape)
    assume(known.any())
    area = Area.of(mask_of(shapes), grid, "image")
    rows, columns = (slice(min(pair), max(pair) + 1) for pair in (edges[:2], edges[2:]))
    whole = area.drawn((slice(0, shape[0]), slice(0, shape[1])))
    np.testing.assert_array_equal(area.drawn((rows, columns)), whole[rows, columns])
    assert area.meets((rows, columns)) == whole[rows, columns].any()


@pytest.mark.parametrize("blend", ["crop", "mean"])
def test_windows_that_nothing_inside_depends_on_are_not_run(
    blend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[Any] = []
    logits = blocks.Work.logits

    def noticed(work: blocks.Work, windows: Any) -> Any:
        run.extend(windows)
        return logits(work, windows)

    monkeypatch.setattr(blocks.Work, "logits", noticed)
    image = random_image((200, 200))
    grid = Grid((200, 200), rasterio.crs.CRS.from_user_input(CRS), UTM)
    one = shapely.box(100.2, 60.2, 100.8, 60.8)  # around the centre of one pixel
    scene = Scene(image, area=Area.of(mask_of([one]), grid, "image"))
    stride = None if blend == "crop" else 16
    tiling = Tiling(window=32, blend=blend, stride=stride, block=400)
    by_blocks(
        make_task(scene, segmenter_of(TwoLayers(), window=32), ("classes",), tiling, Running())
    )
    assert len(run) == (1 if blend == "crop" else 4)
    assert all(r.start <= 60 < r.stop and c.start <= 100 < c.stop for r, c in run)


# -- files -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Segmenter:
    return segmenter_of(nets.build("unet", **OPTIONS), architecture="unet", options=OPTIONS)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write(tmp_path / "scene.tif", random_pixels((3, *SHAPE)).astype(np.uint8), nodata=0)


def save_mask(path: Path, shapes: Any, crs: str = CRS) -> Path:
    mask_of(shapes, crs).to_file(path, engine="pyogrio")
    return path


@pytest.mark.parametrize(
    ("name", "crs"),
    [("mask.gpkg", CRS), ("mask.shp", "EPSG:32632"), ("mask.geojson", "EPSG:4326")],
)
def test_all_that_is_written_ends_where_the_mask_does(
    scene: Path, tmp_path: Path, model: Segmenter, name: str, crs: str
) -> None:
    shapes = [EASY, shapely.box(200.3, 200.3, 240.6, 250.4)]
    mask = save_mask(tmp_path / name, shapes, crs)
    for folder, options in (("all", {}), ("some", {"mask": mask})):
        (tmp_path / folder).mkdir()
        others = {each: tmp_path / folder / f"{each}.tif" for each in ("scores", "confidence")}
        others["polygons"] = tmp_path / folder / "map.gpkg"
        predict_file(scene, tmp_path / folder / "map.tif", model, memory=SMALL, **others, **options)
    known, _ = inside(shapes, SHAPE)  # a metre is a tenth of a pixel; no centre is so near
    for each in ("map.tif", "scores.tif", "confidence.tif"):
        every, some = (tmp_path / folder / each for folder in ("all", "some"))
        np.testing.assert_array_equal(read(some, None), np.where(known, read(every, None), 255))
        assert grid_of(open_raster(some)) == grid_of(open_raster(every))
    drawn = gpd.read_file(tmp_path / "some" / "map.gpkg", layer="map")
    again = geoseg.polygonize(open_raster(tmp_path / "some" / "map.tif")[0])
    assert drawn.area.sum() == again.area.sum() == known.sum() * 100
    assert sorted(drawn.class_id) == sorted(again.class_id)


def test_blocks_without_a_pixel_inside_are_neither_read_nor_counted(
    scene: Path, tmp_path: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes: list[Any] = []
    part_of = loader.Scene.part_of

    def noticed(scene: Scene, native: NDArray[Any], box: Any) -> loader.Part:
        boxes.append(box)
        return part_of(scene, native, box)

    monkeypatch.setattr(loader.Scene, "part_of", noticed)
    events: list[dict[str, Any]] = []
    result = predict_file(
        scene,
        tmp_path / "map.tif",
        model,
        memory=SMALL,
        mask=save_mask(tmp_path / "mask.gpkg", [EASY]),
        on_progress=events.append,
    )
    known, _ = inside([EASY], SHAPE)
    assert all(known[box].any() for box in boxes)
    assert len(boxes) == result.computed == result.blocks - result.empty < result.blocks / 2
    assert (events[0]["total"], events[0]["done"]) == (result.computed, 0)
    assert [each["done"] for each in events[1:-1]] == list(range(1, result.computed + 1))


class Interrupted(Exception):  # noqa: N818  (it stands for no error)
    """Stands for whatever ends a run."""


def stop(event: dict[str, Any]) -> None:
    if event["event"] == "progress" and event["done"] == 2:
        raise Interrupted


def test_a_run_goes_on_by_what_the_mask_holds_whatever_its_file(
    scene: Path, tmp_path: Path, model: Segmenter
) -> None:
    wide = shapely.box(20.2, 20.2, 240.3, 280.4)
    mask = save_mask(tmp_path / "mask.gpkg", [wide])
    predict_file(scene, tmp_path / "whole.tif", model, memory=SMALL, mask=mask)
    with pytest.raises(Interrupted):
        predict_file(scene, tmp_path / "map.tif", model, memory=SMALL, mask=mask, on_progress=stop)
    moved = save_mask(tmp_path / "moved.geojson", [wide], "EPSG:4326")
    written = gpd.read_file(mask)
    shutil.move(mask, tmp_path / "other.gpkg")
    written.to_file(tmp_path / "again.fgb", engine="pyogrio")
    result = predict_file(
        scene, tmp_path / "map.tif", model, memory=SMALL, mask=tmp_path / "again.fgb"
    )
    assert 0 < result.computed <= result.blocks - result.empty - 2
    assert (tmp_path / "map.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert moved.exists()


def test_another_mask_of_the_same_name_is_another_run(
    scene: Path, tmp_path: Path, model: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    mask = save_mask(tmp_path / "mask.gpkg", [shapely.box(20, 20, 240, 280)])
    options = {"memory": SMALL, "mask": mask}
    with pytest.raises(Interrupted):
        predict_file(scene, tmp_path / "map.tif", model, **options, on_progress=stop)
    mask.unlink()
    save_mask(mask, [shapely.box(20, 20, 240, 281)])
    result = predict_file(scene, tmp_path / "map.tif", model, **options)
    assert result.computed == result.blocks - result.empty
    assert "an unfinished run of another input, model or option" in caplog.text
    done = predict_file(scene, tmp_path / "map.tif", model, **options, skip_done=True)
    assert done.computed == 0
    mask.unlink()
    save_mask(mask, [EASY])
    again = predict_file(
        scene, tmp_path / "map.tif", model, **options, skip_done=True, overwrite=True
    )
    assert again.computed > 0


def test_a_mask_cuts_a_box_no_smaller(scene: Path, tmp_path: Path, model: Segmenter) -> None:
    mask = save_mask(tmp_path / "mask.gpkg", [EASY])
    box = 500_305.0, 5_598_001.0, 501_699.0, 5_599_499.0
    predict_file(scene, tmp_path / "box.tif", model, bbox=box)
    predict_file(scene, tmp_path / "both.tif", model, bbox=box, mask=mask)
    one, other = (open_raster(tmp_path / name) for name in ("box.tif", "both.tif"))
    assert grid_of(one) == grid_of(other)
    top, left = (round(edge) for edge in ((5_600_000 - one.rio.bounds()[3]) / 10, 30))
    known, _ = inside([EASY], SHAPE)
    kept = known[top : top + one.shape[1], left : left + one.shape[2]]
    np.testing.assert_array_equal(other, np.where(kept, one, 255))


@pytest.mark.parametrize("gsd", [6.0, 14.0])
@pytest.mark.parametrize("blend", ["crop", "hann"])
def test_a_mask_lies_on_the_pixels_of_the_image_whatever_the_network_sees(
    scene: Path, tmp_path: Path, model: Segmenter, gsd: float, blend: Any
) -> None:
    mask = save_mask(tmp_path / "mask.gpkg", [EASY])
    options = {"gsd": gsd, "blend": blend, "memory": SMALL}
    predict_file(scene, tmp_path / "all.tif", model, **options)
    predict_file(scene, tmp_path / "some.tif", model, **options, mask=mask)
    known, _ = inside([EASY], SHAPE)
    found = read(tmp_path / "some.tif")
    np.testing.assert_array_equal(found, np.where(known, read(tmp_path / "all.tif"), 255))


BOW_TIE = shapely.Polygon([(20.1, 20.1), (90.2, 90.3), (90.2, 20.1), (20.1, 90.3)])


def test_rings_that_cross_are_mended_and_told_of(
    scene: Path, tmp_path: Path, model: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    mask = save_mask(tmp_path / "mask.gpkg", [EASY, BOW_TIE])
    predict_file(scene, tmp_path / "map.tif", model, mask=mask)
    assert "1 polygons are not valid, the first is feature 2 (Self-intersection" in caplog.text
    assert "they are mended" in caplog.text
    halves = [
        shapely.Polygon([(20.1, 20.1), (20.1, 90.3), (55.15, 55.2)]),
        shapely.Polygon([(90.2, 20.1), (90.2, 90.3), (55.15, 55.2)]),
    ]
    known, clear = inside([EASY, *halves], SHAPE)
    np.testing.assert_array_equal((read(tmp_path / "map.tif") != 255)[clear], known[clear])


@pytest.mark.parametrize("corner", [math.nan, math.inf])
def test_corners_that_are_no_numbers_are_refused(
    scene: Path, tmp_path: Path, model: Segmenter, corner: float
) -> None:
    with np.errstate(invalid="ignore"):
        odd = shapely.Polygon([(20.1, 20.1), (90.2, corner), (90.2, 20.1), (40, 90.3)])
    mask = tmp_path / "mask.fgb"
    frame = gpd.GeoDataFrame(geometry=[EASY, odd], crs=32631)
    pyogrio.write_dataframe(frame, mask, layer_options={"SPATIAL_INDEX": "NO"})
    with pytest.raises(UserError, match="1 features have corners that are no finite numbers, the"):
        predict_file(scene, tmp_path / "map.tif", model, mask=mask)
    assert not (tmp_path / "map.tif").exists()


def test_polygons_to_the_ends_of_the_world_are_cut_where_the_image_knows_no_place(
    scene: Path, tmp_path: Path, model: Segmenter
) -> None:
    west_of = gpd.GeoDataFrame(geometry=[shapely.box(-180, -90, 15.018, 90)], crs="EPSG:4326")
    west_of.to_file(tmp_path / "mask.gpkg", engine="pyogrio")
    predict_file(scene, tmp_path / "map.tif", model, mask=tmp_path / "mask.gpkg")
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    x, y = UTM @ (columns, rows)
    longitudes = gpd.GeoSeries(gpd.points_from_xy(x.ravel(), y.ravel()), crs=CRS).to_crs(4326).x
    known = (longitudes < 15.018).to_numpy().reshape(SHAPE)
    assert 0 < known.mean() < 1
    found = read(tmp_path / "map.tif") != 255
    assert (found == known).mean() > 0.999  # the meridian leans by less than a pixel between rows


def test_the_style_that_qgis_keeps_in_a_geopackage_is_no_layer_to_choose(
    scene: Path, tmp_path: Path, model: Segmenter
) -> None:
    predict_file(scene, tmp_path / "a.tif", model, polygons=tmp_path / "a.gpkg")
    predict_file(scene, tmp_path / "b.tif", model, mask=tmp_path / "a.gpkg")
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), read(tmp_path / "b.tif"))


def _points(path: Path) -> None:
    gpd.GeoDataFrame(geometry=placed([shapely.Point(9, 9)]), crs=CRS).to_file(path)


def _bare(path: Path) -> None:
    save_mask(path, [EASY])
    path.with_suffix(".prj").unlink()


def _layers(path: Path) -> None:
    for layer in ("lakes", "roads"):
        mask_of([EASY]).to_file(path, layer=layer, engine="pyogrio")


def _flat(path: Path) -> None:
    save_mask(path, [shapely.Polygon([(1, 1), (9, 9), (5, 5)])])


REFUSED: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "apart": (
        "mask.gpkg",
        lambda path: save_mask(path, [shapely.box(900, 900, 950, 950)]),
        r"no pixel of .*scene.tif lies inside of the mask; give polygons that lie on it",
    ),
    "between centres": (
        "mask.gpkg",
        lambda path: save_mask(path, [shapely.box(100.6, 60.6, 101.4, 61.4)]),
        r"no pixel of .*scene.tif lies inside of the mask",
    ),
    "points": ("mask.gpkg", _points, r"1 features are no polygons, the first a Point"),
    "no system": ("mask.shp", _bare, r"mask.shp has no coordinate system; give it one"),
    "layers": (
        "mask.gpkg",
        _layers,
        r"has 2 layers, lakes, roads; name one as layer, or give a file of one: ogr2ogr one.gpkg",
    ),
    "nothing": ("mask.gpkg", lambda path: save_mask(path, []), r"mask.gpkg holds no polygon"),
    "flat": ("mask.gpkg", _flat, r"mask.gpkg holds no polygon"),
    "missing": ("mask.gpkg", lambda path: None, r"there is no file .*mask.gpkg; check the name"),
    "no vectors": (
        "mask.gpkg",
        lambda path: path.write_text("nothing"),
        r"mask.gpkg is no vector file that GDAL can open",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mask_that_cannot_be_meant_is_refused_before_any_work(
    scene: Path, tmp_path: Path, model: Segmenter, case: str
) -> None:
    name, make, message = REFUSED[case]
    make(tmp_path / name)
    with refused(message, tmp_path):
        predict_file(scene, tmp_path / "map.tif", model, mask=tmp_path / name)


def test_an_image_that_lies_nowhere_takes_no_mask_until_it_is_told_where(
    scene: Path, tmp_path: Path, model: Segmenter
) -> None:
    bare = write(tmp_path / "bare.tif", read(scene, None), nodata=0, crs=None)
    mask = save_mask(tmp_path / "mask.gpkg", [EASY])
    with refused(r"bare.tif has no coordinate system, so polygons cannot be put", tmp_path):
        predict_file(bare, tmp_path / "map.tif", model, mask=mask)
    predict_file(bare, tmp_path / "map.tif", model, mask=mask, assume_crs=CRS)
    predict_file(scene, tmp_path / "same.tif", model, mask=mask)
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), read(tmp_path / "same.tif"))


def test_the_mask_is_not_written_over(scene: Path, tmp_path: Path, model: Segmenter) -> None:
    mask = save_mask(tmp_path / "mask.gpkg", [EASY])
    with pytest.raises(UserError, match=r"mask.gpkg is the input itself or a part of it"):
        predict_file(scene, tmp_path / "map.tif", model, mask=mask, polygons=mask, overwrite=True)


def test_the_command_takes_a_mask_and_calls_no_finished_run_interrupted(
    scene: Path, tmp_path: Path, model: Segmenter
) -> None:
    model.save(tmp_path / "model.safetensors")
    mask = save_mask(tmp_path / "mask.gpkg", [EASY])
    words: list[Any] = [
        "predict",
        scene,
        tmp_path / "map.tif",
        "-m",
        tmp_path / "model.safetensors",
    ]
    words += ["--memory", SMALL, "--mask", mask, "--progress", "json"]
    line = [sys.executable, "-m", "geoseg", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "interrupted" not in done.stdout
    known, _ = inside([EASY], SHAPE)
    np.testing.assert_array_equal(read(tmp_path / "map.tif") != 255, known)
    assert json.loads(done.stdout.splitlines()[0])["total"] > 1


def test_labels_of_an_image_and_its_mask_are_drawn_alike(tmp_path: Path) -> None:
    from geoseg.train.data.vectors import Meaning, read_polygons

    image = xr.DataArray(np.ones((1, *SHAPE), np.uint8), dims=("band", "y", "x"), name="image")
    image = image.rio.write_crs(CRS).rio.write_transform(UTM)
    path = save_mask(tmp_path / "mask.gpkg", [EASY])
    labels = read_polygons(path, Meaning(("none", "all"))).on(image).values
    area = Area.of(gpd.read_file(path), grid_of(image), "image")
    whole = slice(0, SHAPE[0]), slice(0, SHAPE[1])
    np.testing.assert_array_equal(labels == 1, area.drawn(whole))
