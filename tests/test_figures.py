from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from geoseg import figures
from geoseg.classes import ClassInfo
from geoseg.errors import UserError
from geoseg.raster import Grid, class_layout, to_cog

UTM = CRS.from_epsg(32633)
NORTH_UP = Affine(10, 0, 500_000, 0, -10, 5_400_000)
CLASSES = (ClassInfo(0, "lake", "#3060c0"), ClassInfo(1, "field", "#e0b040"))
# Left, middle and right third of the picture: image, class map, polygons.
PANELS = [(slice(100, 600), slice(600 * i + 50, 600 * i + 550)) for i in range(3)]

pytestmark = [  # scenes without a place on Earth are written on purpose
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
    pytest.mark.filterwarnings("ignore:'crs' was not provided:UserWarning"),
]


def write_scene(folder, pixels, labels, transform=NORTH_UP, crs=UTM, names=()):
    profile = {"driver": "GTiff", "dtype": pixels.dtype, "count": len(pixels), "nodata": 0}
    shape = dict(zip(("height", "width"), pixels.shape[1:], strict=True))
    with rasterio.open(
        folder / "scene.tif", "w", **profile, **shape, crs=crs, transform=transform
    ) as out:
        out.write(pixels)
        out.descriptions = names or out.descriptions
    layout = class_layout(Grid(labels.shape, crs, transform), CLASSES, {})
    to_cog(folder / "classes.tif", layout, lambda box: labels[None, box[0], box[1]])


def write_polygons(path, boxes, transform=NORTH_UP, crs=UTM, as_crs=None):
    """Boxes of (class, first row, last row, first column, last column)."""
    shapes = [
        shapely.Polygon([transform @ (x, y) for x, y in ((c, r), (d, r), (d, s), (c, s))])
        for _, r, s, c, d in boxes
    ]
    frame = gpd.GeoDataFrame({"class_id": [each[0] for each in boxes]}, geometry=shapes, crs=crs)
    (frame.to_crs(as_crs) if as_crs else frame).to_file(path)


def draw(folder, polygons="classes.gpkg", **options):
    out = folder / "preview.png"
    inputs = (folder / "scene.tif", folder / "classes.tif", folder / polygons)
    figures.preview(*inputs, out, **options)
    with rasterio.open(out) as dataset:
        return dataset.read()[:3]


def halves(size=200):
    """A map of lake on the left and field on the right."""
    return np.repeat((np.arange(size) >= size // 2).astype(np.uint8)[None], size, axis=0)


def grey(size=200):
    """An even image, with one white and one black row for the stretch."""
    pixels = np.full((1, size, size), 100, np.uint8)
    pixels[:, 0], pixels[:, -1] = 255, 1
    return pixels


def share_of(picture, color):
    return np.mean(np.all(picture == np.array(color)[:, None, None], axis=0))


def test_a_preview_is_a_png_of_1800_by_700_pixels_that_shows_the_classes_in_their_colours(tmp_path):
    write_scene(tmp_path, grey(), halves())
    write_polygons(tmp_path / "classes.gpkg", [(1, 0, 200, 100, 200)])
    picture = draw(tmp_path)
    assert picture.shape == (3, 700, 1800)
    for each in CLASSES:
        assert share_of(picture[:, *PANELS[1]], each.rgb) > 0.4
    assert (tmp_path / "preview.png").stat().st_size < 1_500_000
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


@pytest.mark.parametrize(
    ("transform", "crs"),
    [
        (NORTH_UP, UTM),
        (Affine(10, 0, 500_000, 0, 10, 5_400_000), UTM),
        (NORTH_UP @ Affine.rotation(30), UTM),
        (Affine(1e-4, 0, 15, 0, -1e-4, 48), CRS.from_epsg(4326)),
        (Affine.identity(), None),
    ],
    ids=["north up", "south up", "rotated", "degrees", "nowhere"],
)
def test_polygons_lie_over_the_pixels_they_were_made_from(tmp_path, transform, crs):
    write_scene(tmp_path, grey(), halves(), transform, crs)
    write_polygons(tmp_path / "classes.gpkg", [(1, 10, 190, 110, 190)], transform, crs)
    panel = draw(tmp_path)[:, *PANELS[2]].astype(int)
    yellow = panel[0] - panel[2] > 20  # the image is grey, the field is not
    inside, outside = yellow[50:450, 300:430], yellow[:, :220]
    assert inside.mean() > 0.9
    assert outside.mean() < 0.1


def test_polygons_in_another_coordinate_system_are_drawn_at_the_same_place(tmp_path):
    write_scene(tmp_path, grey(), halves())
    boxes = [(0, 20, 180, 20, 90), (1, 10, 190, 110, 190)]
    write_polygons(tmp_path / "classes.gpkg", boxes)
    write_polygons(tmp_path / "classes.geojson", boxes, as_crs="EPSG:4326")
    same, other = draw(tmp_path).astype(int), draw(tmp_path, "classes.geojson").astype(int)
    assert np.mean(np.abs(same - other).max(axis=0) > 8) < 0.005


def test_holes_of_polygons_stay_empty(tmp_path):
    write_scene(tmp_path, grey(), halves())
    corners = [(NORTH_UP @ (c, r)) for c, r in ((5, 5), (195, 5), (195, 195), (5, 195))]
    hole = [(NORTH_UP @ (c, r)) for c, r in ((50, 50), (150, 50), (150, 150), (50, 150))]
    frame = gpd.GeoDataFrame(
        {"class_id": [1]}, geometry=[shapely.Polygon(corners, [hole])], crs=UTM
    )
    frame.to_file(tmp_path / "classes.gpkg")
    panel = draw(tmp_path)[:, *PANELS[2]].astype(int)
    yellow = panel[0] - panel[2] > 20
    assert not yellow[150:350, 150:350].any()
    assert yellow[60:100].mean() > 0.8


def test_bands_named_red_green_and_blue_are_shown_wherever_they_are(tmp_path):
    pixels = np.repeat(grey(), 4, axis=0)
    pixels[3, :, 50:150] = 250  # the fourth band is the red one
    write_scene(tmp_path, pixels, halves(), names=("blue", "nir", "green", "red"))
    write_polygons(tmp_path / "classes.gpkg", [(1, 0, 200, 100, 200)])
    panel = draw(tmp_path)[:, *PANELS[0]].astype(int)
    middle = panel[:, 200:300, 200:300]
    assert np.all(middle[0] > middle[1] + 50)
    np.testing.assert_array_equal(middle[1], middle[2])


def test_the_bands_to_show_can_be_chosen(tmp_path):
    pixels = np.repeat(grey(), 4, axis=0)
    pixels[3, :, 50:150] = 250
    write_scene(tmp_path, pixels, halves())
    write_polygons(tmp_path / "classes.gpkg", [(1, 0, 200, 100, 200)])
    middle = draw(tmp_path, bands=(1, 4, 2))[:, *PANELS[0]].astype(int)[:, 200:300, 200:300]
    assert np.all(middle[1] > middle[0] + 50)
    with pytest.raises(UserError, match=r"bands \(1, 2, 5\) cannot be shown; .* from 1 to 4"):
        draw(tmp_path, bands=(1, 2, 5))


def test_pixels_without_data_are_not_painted(tmp_path):
    pixels, labels = grey(), halves()
    pixels[:, 50:150, 50:150], labels[50:150, 50:150] = 0, 255
    write_scene(tmp_path, pixels, labels)
    write_polygons(tmp_path / "classes.gpkg", [(1, 0, 200, 100, 200)])
    picture = draw(tmp_path)
    for panel in PANELS[:2]:
        centre = picture[:, *panel][:, 200:300, 200:300]
        assert share_of(centre, list(bytes.fromhex(figures.MISSING[1:]))) == 1


def test_the_polygons_shown_are_where_the_classes_mix(tmp_path):
    labels = np.zeros((1500, 1000), np.uint8)
    labels[1200:1300, 700:800] = 1
    write_scene(tmp_path, np.full((1, 1500, 1000), 9, np.uint16), labels)
    shown = figures._read_class_map(tmp_path / "classes.tif")
    rows, columns = figures._most_varied(shown)
    assert rows.start < 1210
    assert rows.stop > 1290
    assert columns.start < 710
    assert columns.stop > 790
    assert (rows.stop - rows.start, columns.stop - columns.start) == (320, 320)


def test_a_map_of_another_image_is_refused(tmp_path):
    write_scene(tmp_path, grey(100), halves())
    with pytest.raises(UserError, match=r"has \(100, 100\) rows and columns.*\(200, 200\); give"):
        draw(tmp_path)


@given(st.floats(1e-3, 1e7))
def test_scale_bars_have_a_round_length_not_much_shorter_than_allowed(longest):
    length = figures._round_length(longest)
    assert longest / 2.5 <= length * (1 + 1e-9)
    assert length <= longest
    assert f"{length:.0e}"[0] in "125"
