"""Labels of three kinds: codes, colours of masks, polygons."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import xarray as xr
import yaml
from fixtures_published import LAND_COLORS, UTM, write_image
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import Affine, from_origin

from geoseg import shapes as drawing
from geoseg.errors import UserError
from geoseg.loader import IGNORE, Scene, batches
from geoseg.train import read_dataset
from geoseg.train.data.decode import Codes, Palette, Threshold, table_of, told
from geoseg.train.data.lazy import lazy_image, lazy_labels
from geoseg.train.data.vectors import Meaning, Polygons, read_polygons

seeds = st.integers(0, 2**32 - 1)
LAND = Palette(tuple((tuple(map(int, color)),) for color in LAND_COLORS))
# Six classes of Dubai (MBRSC): not in the corners of the colour cube.
DUBAI = Palette(
    (
        ((60, 16, 152),),
        ((132, 41, 246),),
        ((110, 193, 228),),
        ((254, 221, 58),),
        ((226, 169, 41),),
    ),
    void=((155, 155, 155),),
)


def whole(scene: Scene) -> tuple[slice, slice]:
    return slice(0, scene.shape[0]), slice(0, scene.shape[1])


# -- colours ---------------------------------------------------------------------------------------


@given(seeds, st.sampled_from([LAND, DUBAI]))
def test_a_mask_shows_its_classes_and_is_read_back(seed: int, palette: Palette) -> None:
    indices = np.random.default_rng(seed).choice([0, 1, 2, 3, 4], (6, 7)).astype(np.uint8)
    found, strange = palette(palette.encode(indices))
    np.testing.assert_array_equal(found, indices)
    assert not strange


@given(seeds)
def test_noise_below_128_changes_no_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    indices = rng.integers(0, 7, (8, 9)).astype(np.uint8)
    noise = rng.integers(-127, 128, (3, 8, 9))
    noisy = (LAND.encode(indices).astype(int) + noise).clip(0, 255).astype(np.uint8)
    np.testing.assert_array_equal(LAND(noisy)[0], indices)


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_a_palette_of_extremes_compares_every_channel_with_128(color: tuple[int, ...]) -> None:
    red, green, blue = (value >= 128 for value in color)
    by_bits = {0: 0, 1: 5, 2: 4, 3: 1, 5: 3, 6: 2, 7: 6}  # unknown, water, forest, urban, ...
    expected = by_bits.get(4 * red + 2 * green + blue, IGNORE)
    found, strange = LAND(np.array(color, np.uint8).reshape(3, 1, 1))
    assert found.tolist() == [[expected]]
    assert bool(strange) == (expected == IGNORE)  # red alone is no class


def test_similar_colours_are_told_apart_and_others_are_none() -> None:
    # Yellow and orange differ by 52 in green, at most: half of it belongs to either.
    assert DUBAI.reach == 26
    pixels = np.array([[254, 221 - 25, 58], [226, 169 + 25, 41], [0, 0, 0], [155, 150, 160]])
    found, strange = DUBAI(pixels.T[:, None].astype(np.uint8))
    assert found.tolist() == [[3, 4, IGNORE, IGNORE]]
    assert strange == {"#000000": 1}  # what is known to be unlabelled is not strange


def test_pixels_without_data_are_ignored_without_a_word() -> None:
    pixels = np.full((3, 1, 2), 255, np.float32)
    pixels[:, 0, 1] = np.nan
    found, strange = LAND(pixels)
    assert found.tolist() == [[6, IGNORE]]
    assert not strange


def test_what_has_no_class_can_be_taken_for_one() -> None:
    palette = Palette(LAND.colors, other=0)
    found, strange = palette(np.array([255, 0, 0], np.uint8).reshape(3, 1, 1))
    assert found.tolist() == [[0]]
    assert strange == {"#ff0000": 1}


def test_a_void_colour_shows_what_is_ignored() -> None:
    palette = Palette((((255, 0, 0),),), void=((9, 9, 9),))
    assert palette.encode(np.array([[0, IGNORE]], np.uint8))[:, 0].T.tolist() == [
        [255, 0, 0],
        [9, 9, 9],
    ]


def test_a_label_without_a_colour_cannot_be_shown() -> None:
    with pytest.raises(UserError, match=r"label 255 has no colour; those of 0 to 6 are known"):
        LAND.encode(np.array([[0, IGNORE]], np.uint8))


def test_a_colour_of_two_classes_is_refused() -> None:
    with pytest.raises(UserError, match=r"colour #0000ff is listed twice"):
        Palette((((0, 0, 255),), ((0, 255, 0), (0, 0, 255))))


# -- codes -----------------------------------------------------------------------------------------


@given(seeds)
def test_a_table_says_what_codes_say(seed: int) -> None:
    codes = np.random.default_rng(seed).integers(-3, 300, (1, 9, 9)).astype(np.int16)
    classes = ((1, 5), (200, 0), (255,))
    np.testing.assert_array_equal(table_of(classes)(codes)[0], Codes(classes)(codes)[0])


def test_a_threshold_takes_the_first_band() -> None:
    pixels = np.array([[[127, 128]], [[255, 0]]], np.uint8)
    assert Threshold()(pixels)[0].tolist() == [[0, 1]]


def test_the_commonest_marks_of_no_class_are_told_first() -> None:
    _, strange = Codes(((0,),))(np.array([[[0, 9, 9, 4]]], np.uint8))
    assert told(strange) == "9 (2 pixels), 4 (1 pixels)"
    many = np.arange(1, 31, dtype=np.uint8).reshape(1, 5, 6)
    assert told(Codes(((0,),))(many)[1]).endswith(" and 10 more")


# -- reading by window -----------------------------------------------------------------------------


@given(
    st.tuples(st.integers(0, 5), st.integers(1, 6)),
    st.tuples(st.integers(0, 5), st.integers(1, 6)),
    st.lists(st.integers(0, 2), min_size=1, max_size=4),
)
def test_a_lazy_array_answers_as_the_array_in_memory(
    rows: tuple[int, int], columns: tuple[int, int], bands: list[int]
) -> None:
    pixels = np.arange(3 * 6 * 7, dtype=np.int16).reshape(3, 6, 7)
    lazy = lazy_image(lambda r, c: pixels[:, r, c], pixels.shape, "int16")  # type: ignore[arg-type]
    box = slice(rows[0], sum(rows)), slice(columns[0], sum(columns))
    np.testing.assert_array_equal(lazy[bands][:, *box].values, pixels[bands][:, *box])
    np.testing.assert_array_equal(lazy[:, ::-1, 3].values, pixels[:, ::-1, 3])
    labels = lazy_labels(lambda r, c: pixels[0, r, c], lazy)
    np.testing.assert_array_equal(labels[box].values, pixels[0][box])
    assert labels.dtype == np.uint8


def test_a_window_is_read_once_for_pixels_and_labels() -> None:
    asked: list[str] = []
    ones = np.ones((1, 20, 20), np.uint8)
    image = lazy_image(lambda r, c: asked.append("image") or ones[:, r, c], ones.shape, "uint8")  # type: ignore[arg-type,func-returns-value,return-value]
    labels = lazy_labels(lambda r, c: asked.append("labels") or ones[0, r, c], image)  # type: ignore[func-returns-value,return-value]
    next(batches([(Scene(image, labels), (slice(2, 10), slice(4, 12)))], 1))
    assert sorted(asked) == ["image", "labels"]


# -- masks and polygons in a described data set ----------------------------------------------------


def describe(folder: Path, **changes: Any) -> Path:
    stated = {"name": "towns", "bands": {"red": 1}} | changes
    path = folder / "dataset.yaml"
    path.write_text(yaml.safe_dump(stated, sort_keys=False))
    return path


COLORED = [
    {"name": "urban", "colors": ["#00ffff", "#ffffff"]},
    {"name": "forest", "color": "#004400", "colors": ["#00ff00"]},
]


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """One image, and a mask of urban, forest and one pixel of pure red."""
    mask = np.zeros((3, 10, 12), np.uint8)
    mask[1] = 250
    mask[2, :, :5] = 240
    mask[0, :2, :5] = 200
    mask[:, 9, 9] = 255, 20, 3
    where = UTM, from_origin(0, 100, 10, 10)
    write_image(tmp_path / "images" / "a.tif", mask[:1] + 1, where)
    write_image(tmp_path / "labels" / "a.tif", mask, where)
    return tmp_path


def test_masks_are_read_by_the_colours_of_their_classes(
    masked: Path, caplog: pytest.LogCaptureFixture
) -> None:
    describe(masked, classes=COLORED)
    with caplog.at_level(logging.WARNING):
        data = read_dataset(masked)
    assert [each.color for each in data.classes] == ["#00ffff", "#004400"]
    expected = np.ones((10, 12), int)
    expected[:, :5] = 0
    expected[9, 9] = IGNORE
    scene = data.training[0]
    np.testing.assert_array_equal(scene.read_labels(whole(scene)), expected)
    path = masked / "labels" / "a.tif"
    assert caplog.messages == [
        f"labels of no class are ignored wherever they are, first in {path}: #ff1403 (1 pixels)"
    ]


def test_a_mask_of_one_band_has_no_colours(masked: Path) -> None:
    describe(masked, classes=COLORED)
    write_image(
        masked / "labels" / "a.tif",
        np.ones((1, 10, 12), np.uint8),
        (UTM, from_origin(0, 100, 10, 10)),
    )
    with pytest.raises(UserError, match=r"a.tif has 1 bands .* labels have 3 of the image's size"):
        read_dataset(masked)


HOUSES = [{"name": "rest", "polygons": "none"}, {"name": "house", "polygons": ["hut", 7]}]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": [{"name": "a", "colors": []}]}, r"'a': colors are missing; list one"),
        ({"classes": [{"name": "a", "colors": ["red"]}]}, r"colour 'red' of class 'a' must look"),
        (
            {"classes": [{"name": n, "colors": ["#0000ff"]} for n in "ab"]},
            r"colour #0000ff is listed by two classes",
        ),
        (
            {"classes": [COLORED[0], {"name": "b", "codes": [1]}]},
            r"told in 2 ways \('b' codes, 'urban' colors\); tell all in one way",
        ),
        ({"classes": [{"name": "a", "polygons": 3}]}, r"'a': polygons is 3; give values"),
        ({"classes": [{"name": "a", "polygons": [1.5]}]}, r"polygons is \[1.5\]; give values"),
        ({"classes": [HOUSES[0]]}, r"polygons: no class has any"),
        ({"classes": HOUSES}, r"column is None; name the polygons' column"),
        (
            {"classes": [{"name": "a", "polygons": "all"}], "column": "kind"},
            r"column is 'kind'; name the polygons' column",
        ),
        (
            {"classes": [*HOUSES, {"name": "a", "polygons": "all"}]},
            r"all and none are for one class each",
        ),
        (
            {"classes": [*HOUSES, {"name": "b", "polygons": [7]}], "column": "kind"},
            r"value 7 is listed by two classes",
        ),
        ({"classes": COLORED, "column": "kind"}, r"no field 'column'"),
    ],
)
def test_labels_that_cannot_be_meant_are_refused(
    masked: Path, changes: dict[str, Any], message: str
) -> None:
    describe(masked, **changes)
    with pytest.raises(UserError, match=message):
        read_dataset(masked)


def write_shapes(path: Path, shapes: list[Any], crs: str = "EPSG:32633", **columns: Any) -> Path:
    frame = geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs)
    frame.to_file(path, engine="pyogrio")
    return path


def image_at(transform: Affine, shape: tuple[int, int], crs: CRS = UTM) -> xr.DataArray:
    image = xr.DataArray(np.ones((1, *shape), np.uint8), dims=("band", "y", "x"), name="image")
    return image.rio.write_crs(crs).rio.write_transform(transform)


def centres(transform: Affine, shape: tuple[int, int]) -> Any:
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    x, y = transform @ (columns.ravel(), rows.ravel())
    return shapely.points(x, y)


@pytest.mark.parametrize("ending", [".gpkg", ".geojson"])
@pytest.mark.parametrize("turn", [0.0, 20.0])
def test_a_pixel_is_of_the_polygon_that_holds_its_centre_in_any_coordinate_system(
    tmp_path: Path, ending: str, turn: float
) -> None:
    rng = np.random.default_rng(3)
    transform = from_origin(500_000, 5_500_000, 10, 12) @ Affine.rotation(turn)
    shape = 40, 50
    corners = rng.uniform(-0.1, 1.1, (12, 2)) * (50, 40)
    shapes = [
        shapely.transform(
            shapely.Point(corner).buffer(rng.uniform(2, 9), 4),
            lambda points: np.column_stack(transform @ tuple(points.T)),
        )
        for corner in corners
    ]
    kinds = rng.choice(["hut", "barn", "well"], len(shapes))
    frame = geopandas.GeoDataFrame({"kind": kinds}, geometry=shapes, crs="EPSG:32633")
    frame.to_crs("EPSG:4326").to_file(tmp_path / f"shapes{ending}", engine="pyogrio")
    meaning = Meaning(("none", ("hut",), ("barn",)), "kind")
    labels = read_polygons(tmp_path / f"shapes{ending}", meaning).on(image_at(transform, shape))
    expected = np.zeros(shape[0] * shape[1], int)
    points = centres(transform, shape)
    for one, kind in zip(shapes, kinds, strict=True):  # a later one covers those before it
        inside = shapely.contains(one, points)
        expected[inside] = {"hut": 1, "barn": 2, "well": IGNORE}[str(kind)]
    assert set(expected) == {0, 1, 2, IGNORE}
    np.testing.assert_array_equal(labels.values, expected.reshape(shape))


@given(seeds, st.integers(0, 30), st.integers(0, 30), st.integers(1, 20), st.integers(1, 20))
def test_a_window_of_polygons_is_a_piece_of_the_whole(
    seed: int, top: int, left: int, rows: int, columns: int
) -> None:
    rng = np.random.default_rng(seed)
    triangles = rng.integers(-20, 260, (8, 3, 2)) / 4  # many go through centres of pixels
    shapes = [s for each in triangles if (s := shapely.Polygon(each)).is_valid and s.area]
    frame = geopandas.GeoDataFrame(geometry=shapes, crs="EPSG:32633")
    drawn = Polygons(frame, np.arange(len(shapes), dtype=np.uint8), 99)
    labels = drawn.on(image_at(from_origin(0, 50, 1, 1), (50, 50)))
    box = slice(top, top + rows), slice(left, left + columns)
    np.testing.assert_array_equal(labels[box].values, labels.values[box])


def square(left: float, top: float, side: float) -> Any:
    return shapely.box(left, top - side, left + side, top)


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Two images side by side, one file of polygons over both."""
    for number in range(2):
        pixels = np.ones((1, 10, 10), np.uint8)
        where = UTM, from_origin(100 * number, 100, 10, 10)
        write_image(tmp_path / "images" / f"{number}.tif", pixels, where)
    shapes = [square(80, 100, 40), square(0, 20, 20), None]
    write_shapes(tmp_path / "shapes.gpkg", shapes, kind=["hut", "barn", "hut"], size=[1, 2, 3])
    return tmp_path


def test_one_file_of_polygons_serves_all_images(
    drawn: Path, caplog: pytest.LogCaptureFixture
) -> None:
    huts = [{"name": "rest", "polygons": "none"}, {"name": "hut", "polygons": ["hut"]}]
    describe(drawn, labels="shapes.gpkg", column="kind", classes=huts)
    with caplog.at_level(logging.WARNING):
        data = read_dataset(drawn)
    expected = np.zeros((2, 10, 10), int)
    expected[0, :4, 8:], expected[1, :4, :2] = 1, 1
    expected[0, 8:, :2] = IGNORE
    for scene, labels in zip(data.training, expected, strict=True):
        np.testing.assert_array_equal(scene.read_labels(whole(scene)), labels)
    path = drawn / "shapes.gpkg"
    assert caplog.messages == [
        f"{path}: 1 features have no shape and are left out",
        f"{path}: polygons of no class are ignored: barn (1 polygons)",
    ]


def test_values_of_a_column_may_be_numbers(drawn: Path) -> None:
    classes = [{"name": "small", "polygons": [1]}, {"name": "large", "polygons": [2]}]
    describe(drawn, labels="shapes.gpkg", column="size", classes=classes)
    scene = read_dataset(drawn).training[0]
    found = scene.read_labels(whole(scene))
    assert (found[:4, 8:] == 0).all()
    assert (found[8:, :2] == 1).all()
    assert (found == IGNORE).sum() == 100 - 8 - 4  # what lies outside is no class


def test_images_may_have_a_file_of_polygons_each(drawn: Path) -> None:
    (drawn / "labels").mkdir()
    for number in range(2):
        write_shapes(drawn / "labels" / f"{number}.geojson", [square(100 * number, 100, 50)])
    classes = [{"name": "rest", "polygons": "none"}, {"name": "any", "polygons": "all"}]
    describe(drawn, classes=classes, split={"by": "x", "held_out": [100, 200]})
    data = read_dataset(drawn)
    for scene in (*data.training, *data.held_out):
        found = scene.read_labels(whole(scene))
        assert found.sum() == 25
        assert found[:5, :5].all()


def test_polygons_are_drawn_when_a_window_is_asked_for(
    drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, int]] = []
    draw = drawing.rasterize

    def counting(*args: Any, **options: Any) -> Any:
        sizes.append(options["out_shape"])
        return draw(*args, **options)

    monkeypatch.setattr(drawing, "rasterize", counting)
    classes = [{"name": "rest", "polygons": "none"}, {"name": "any", "polygons": "all"}]
    describe(drawn, labels="shapes.gpkg", classes=classes)
    scene = read_dataset(drawn).training[0]
    assert sizes == []
    scene.read_labels((slice(0, 3), slice(6, 10)))
    scene.read_labels((slice(5, 7), slice(4, 8)))  # nothing is there
    assert sizes == [(3, 4)]


BOW_TIE = shapely.Polygon([(0, 0), (9, 9), (9, 0), (0, 9)])


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        ([BOW_TIE], {}, r"1 polygons are not valid, the first is feature 1 \(Self-intersection"),
        ([square(0, 9, 9), BOW_TIE], {}, r"the first is feature 2 .* ogr2ogr -makevalid"),
        ([shapely.Point(1, 1)], {}, r"1 features are no polygons, the first a Point"),
        ([None], {}, r"holds no polygon"),
        ([square(0, 9, 9)], {"column": "sort"}, r"no column 'sort'; its columns are kind"),
        ([square(0, 9, 9)], {"layer": "roads"}, r"no layer 'roads'; choose from shapes"),
    ],
)
def test_shapes_that_cannot_be_labels_are_refused_in_one_line(
    tmp_path: Path, shapes: list[Any], options: dict[str, Any], message: str
) -> None:
    path = write_shapes(tmp_path / "shapes.gpkg", shapes, kind=["hut"] * len(shapes))
    meaning = Meaning(("none", ("hut",) if "column" in options else "all"), **options)
    with pytest.raises(UserError, match=message) as caught:
        read_polygons(path, meaning)
    assert "\n" not in str(caught.value)


def test_polygons_must_say_where_they_lie(tmp_path: Path) -> None:
    path = write_shapes(tmp_path / "shapes.shp", [square(0, 9, 9)], kind=["hut"])
    path.with_suffix(".prj").unlink()
    with pytest.raises(UserError, match=r"shapes.shp has no coordinate system; give it one"):
        read_polygons(path, Meaning(("all",)))


def test_polygons_on_no_known_ground_are_refused(tmp_path: Path) -> None:
    local = 'LOCAL_CS["a site",UNIT["metre",1]]'
    path = write_shapes(tmp_path / "shapes.gpkg", [square(0, 9, 9)], crs=local)
    polygons = read_polygons(path, Meaning(("all",)))
    with pytest.raises(UserError, match=r"polygons in .*a site.* cannot be put on image"):
        polygons.on(image_at(from_origin(0, 100, 10, 10), (10, 10)))


def test_a_file_of_several_layers_needs_one_to_be_named(tmp_path: Path) -> None:
    path = tmp_path / "shapes.gpkg"
    for layer, side in (("huts", 10), ("fields", 90)):
        frame = geopandas.GeoDataFrame(geometry=[square(0, 100, side)], crs="EPSG:32633")
        frame.to_file(path, layer=layer, engine="pyogrio")
    with pytest.raises(UserError, match=r"has 2 layers, huts, fields; name one as layer"):
        read_polygons(path, Meaning(("all",)))
    image = image_at(from_origin(0, 100, 10, 10), (10, 10))
    fields = read_polygons(path, Meaning(("none", "all"), layer="fields")).on(image)
    assert fields.values.sum() == 81


def test_what_is_no_vector_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shapes.gpkg"
    path.write_text("nothing")
    with pytest.raises(UserError, match=r"shapes.gpkg is no vector file that GDAL can open"):
        read_polygons(path, Meaning(("all",)))


def test_a_table_without_shapes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"table.csv holds a table without shapes"):
        read_polygons(path, Meaning(("all",)))


def test_polygons_cannot_be_put_on_an_image_that_lies_nowhere(tmp_path: Path) -> None:
    polygons = read_polygons(
        write_shapes(tmp_path / "shapes.gpkg", [square(0, 9, 9)]), Meaning(("all",))
    )
    image = xr.DataArray(np.ones((1, 4, 4), np.uint8), dims=("band", "y", "x"), name="scan")
    with pytest.raises(UserError, match=r"scan has no coordinate system, so polygons cannot"):
        polygons.on(image)


# -- real polygons ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "shapes"),
    [
        (
            "massachusetts/buildings/22978945_15.tif",
            "massachusetts/buildings/massachusetts_buildings.gpkg",
        ),
        ("spacenet/atlanta_rgbnir_508.tif", "spacenet/atlanta_rgbnir_508_buildings.geojson"),
    ],
)
def test_drawn_buildings_cover_the_area_of_their_polygons(
    data_folder: Path, tmp_path: Path, image: str, shapes: str
) -> None:
    describe(
        tmp_path,
        root=str(data_folder),
        images=image,
        labels=shapes,
        classes=[{"name": "rest", "polygons": "none"}, {"name": "building", "polygons": "all"}],
    )
    scene = read_dataset(tmp_path).training[0]
    with rasterio.open(data_folder / image) as file:
        bounds, crs, pixel = shapely.box(*file.bounds), file.crs, abs(file.transform.determinant)
    frame = geopandas.read_file(data_folder / shapes).to_crs(crs.to_wkt())
    area = shapely.union_all(frame.geometry).intersection(bounds).area
    found = scene.read_labels(whole(scene)).sum() * pixel
    assert found == pytest.approx(area, rel=0.01)
