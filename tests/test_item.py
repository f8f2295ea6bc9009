"""What a map tells of itself: the STAC Item beside it, its tags, and ``geoseg info``."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import distributed
import jsonschema
import numpy as np
import pystac
import pytest
import rasterio
import torch
from affine import Affine
from click.testing import CliRunner, Result
from clusters import threads
from items import contents
from pointwise import pointwise, random_pixels, read, write
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from rasterio.crs import CRS
from serving import serving

import geoseg
from geoseg import finishing, identity, job, nets, remote
from geoseg.cli import main
from geoseg.errors import UserError
from geoseg.extent import extent_of
from geoseg.info import describe, examine
from geoseg.job import predict_file
from geoseg.places import UnreachableError
from geoseg.raster import Grid, files
from geoseg.remote import remote_facts
from geoseg.segmenter import Segmenter

VALIDATOR = JsonSchemaSTACValidator()
NUMBERS = {"type": "array", "items": {"type": "number"}}
# What the extensions say of the fields that are written, and that they know no others.
RULES: dict[str, dict[str, Any]] = {
    "proj:": {
        "proj:code": {"type": ["string", "null"], "pattern": "^[A-Z]+:[0-9A-Za-z]+$"},
        "proj:wkt2": {"type": "string"},
        "proj:shape": {**NUMBERS, "minItems": 2, "maxItems": 2},
        "proj:transform": {**NUMBERS, "minItems": 9, "maxItems": 9},
        "proj:bbox": {**NUMBERS, "minItems": 4, "maxItems": 4},
    },
    "processing:": {
        "processing:datetime": {"type": "string", "pattern": "^[0-9-]+T[0-9:]+Z$"},
        "processing:software": {"type": "object", "additionalProperties": {"type": "string"}},
        "processing:lineage": {"type": "string"},
    },
    "file:": {
        "file:size": {"type": "integer", "minimum": 0},
        "file:checksum": {"type": "string", "pattern": "^1220[0-9a-f]{64}$"},
    },
    "classification:": {
        "classification:classes": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {
                "type": "object",
                "required": ["value", "name"],
                "properties": {
                    "value": {"type": "integer"},
                    "name": {"type": "string", "pattern": "^[0-9A-Za-z_-]+$"},
                    "title": {"type": "string"},
                    "color_hint": {"type": "string", "pattern": "^[0-9A-Fa-f]{6}$"},
                },
                "additionalProperties": False,
            },
        }
    },
}
NAMES = {"proj:": "projection", "processing:": "processing", "file:": "file"}


def follow_the_rules(item: dict[str, Any]) -> None:
    """Check an item against the schema of the core and the rules of the extensions that it uses."""
    VALIDATOR.validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")
    used = {uri.split("/")[3] for uri in item["stac_extensions"]}
    assert used == {*NAMES.values(), "classification"}
    for fields in (item["properties"], *item["assets"].values()):
        for prefix, rules in RULES.items():
            own = {name: value for name, value in fields.items() if name.startswith(prefix)}
            jsonschema.validate(own, {"properties": rules, "additionalProperties": False})


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return write(tmp_path / "in" / "a scene.tif", random_pixels((3, 90, 80)).astype(np.uint8))


def item_beside(path: Path) -> dict[str, Any]:
    item: dict[str, Any] = json.loads(Path(f"{path}.json").read_text())
    return item


def test_the_item_beside_a_map_is_valid_and_tells_of_every_output(
    scene: Path, tmp_path: Path
) -> None:
    outputs = {
        "polygons": tmp_path / "map.gpkg",
        "scores": tmp_path / "scores.tif",
        "confidence": tmp_path / "sure.tif",
    }
    model = pointwise()
    result = predict_file(scene, tmp_path / "map.tif", model, **outputs)
    assert result.outputs["item"] == tmp_path / "map.tif.json"
    item = item_beside(tmp_path / "map.tif")
    follow_the_rules(item)
    (link,) = item["links"]
    assert (link["rel"], link["href"]) == ("derived_from", "in/a%20scene.tif")
    assert item["assets"].keys() == {"classes", *outputs}
    for name, path in {"classes": tmp_path / "map.tif", **outputs}.items():
        asset, pixels = item["assets"][name], path.read_bytes()
        assert asset["href"] == path.name
        assert asset["file:size"] == len(pixels)
        assert asset["file:checksum"] == "1220" + hashlib.sha256(pixels).hexdigest()
    told = [
        (each["value"], each["title"], "#" + each["color_hint"].lower())
        for each in item["assets"]["classes"]["classification:classes"]
    ]
    assert told == [
        (each.value, each.name, each.color) for each in geoseg.class_table(tmp_path / "map.tif")
    ]
    facts = item["properties"]
    assert facts["geoseg:model"]["digest"] == model.digest
    with rasterio.open(tmp_path / "map.tif") as file:
        assert facts["geoseg:sources"] == json.loads(file.tags()["GEOSEG_SOURCES"])
        assert facts["geoseg:options"] == json.loads(file.tags()["GEOSEG_OPTIONS"])
        assert facts["proj:shape"] == list(file.shape)
        assert facts["proj:transform"][:6] == list(file.transform)[:6]
        assert facts["proj:code"] == "EPSG:32633"
    assert facts["processing:software"]["geoseg"] == geoseg.__version__
    assert facts["geoseg:run"]["computed"] == result.computed
    # Opened by the library that others read catalogues with.
    read = pystac.Item.from_file(str(tmp_path / "map.tif.json"))
    assert Path(read.assets["classes"].get_absolute_href() or "") == tmp_path / "map.tif"


def test_a_map_without_a_place_has_an_item_without_geometry(tmp_path: Path) -> None:
    pixels = random_pixels((3, 30, 40)).astype(np.uint8)
    scene = write(tmp_path / "photo.tif", pixels, crs=None, transform=None)
    predict_file(scene, tmp_path / "map.tif", pointwise())
    item = item_beside(tmp_path / "map.tif")
    follow_the_rules(item)
    assert item["geometry"] is None
    assert "bbox" not in item
    assert item["properties"]["proj:shape"] == [30, 40]


def test_a_system_without_a_code_is_told_in_words(tmp_path: Path) -> None:
    crs = CRS.from_proj4("+proj=laea +lat_0=47.3 +lon_0=11.7 +datum=WGS84 +units=m")
    pixels = random_pixels((3, 30, 40)).astype(np.uint8)
    scene = write(tmp_path / "s.tif", pixels, crs=crs, transform=Affine(10, 0, 0, 0, -10, 0))
    predict_file(scene, tmp_path / "map.tif", pointwise())
    item = item_beside(tmp_path / "map.tif")
    follow_the_rules(item)
    assert item["properties"]["proj:code"] is None
    assert "Lambert" in item["properties"]["proj:wkt2"]
    west, south, east, north = item["bbox"]
    assert (west, north) == pytest.approx((11.7, 47.3), abs=1e-5)
    assert (east, south) == pytest.approx((11.7 + 400 / 75_700, 47.3 - 300 / 111_200), abs=1e-4)


@pytest.mark.parametrize(
    ("crs", "transform", "bbox", "kind"),
    [
        ("EPSG:4326", Affine(0.1, 0, 10, 0, -0.1, 50), [10, 40, 20, 50], "Polygon"),
        ("EPSG:4326", Affine(0.1, 0, 175, 0, -0.1, 5), [175, -5, -175, 5], "MultiPolygon"),
        ("EPSG:4326", Affine(0.1, 0, 190, 0, -0.1, 5), [-170, -5, -160, 5], "Polygon"),
        ("EPSG:4326", Affine(3.6, 0, 0, 0, -1.8, 90), [-180, -90, 180, 90], "Polygon"),
        ("EPSG:3031", Affine(1, 0, -50, 0, -1, 50), [-180, -90, 180, -89.9993], "Polygon"),
        ("EPSG:3857", Affine(1e9, 0, 1e12, 0, -1e9, 1e12), None, None),
        ("EPSG:32631", Affine(10, 0, 500000, 0, -3.4e39, 0), None, None),
        # What would lie beyond a pole is cut off; the side from 109, -37 meets it at 77.5.
        ("EPSG:4326", Affine(0.8, -0.9, 109, 0.4, -1.6, -37), [77.5, -90, -171, 3], "MultiPolygon"),
    ],
)
def test_extents_are_those_of_the_ground_wherever_that_is(
    crs: str, transform: Affine, bbox: list[float] | None, kind: str | None
) -> None:
    found = extent_of(Grid((100, 100), CRS.from_user_input(crs), transform))
    if bbox is None:
        assert found is None
        return
    assert found is not None
    assert found[0]["type"] == kind
    assert found[1] == pytest.approx(bbox, abs=2e-4)


def test_a_file_of_somebody_else_is_never_replaced(scene: Path, tmp_path: Path) -> None:
    for text in ('{"type": "Feature"}', "", "[" * 100_000, '{"properties": 3}'):
        (tmp_path / "map.tif.json").write_text(text)
        for overwrite in (False, True):
            with pytest.raises(UserError, match=r"map\.tif\.json .* geoseg has not written it; mo"):
                predict_file(scene, tmp_path / "map.tif", pointwise(), overwrite=overwrite)
        assert (tmp_path / "map.tif.json").read_text() == text
        assert not (tmp_path / "map.tif").exists()


def test_what_is_left_of_a_map_that_was_removed_is_replaced(scene: Path, tmp_path: Path) -> None:
    predict_file(scene, tmp_path / "map.tif", pointwise(window=32))
    (tmp_path / "map.tif").unlink()
    predict_file(scene, tmp_path / "map.tif", pointwise())
    assert examine(tmp_path / "map.tif")["told"] is not None


def test_the_same_inputs_give_the_same_bytes_in_any_folder(scene: Path, tmp_path: Path) -> None:
    names = ("one", "two")
    for name in names:
        (tmp_path / name).mkdir()
        vectors = tmp_path / name / "map.gpkg"
        predict_file(scene, tmp_path / name / "map.tif", pointwise(), polygons=vectors)
    one, two = (contents(tmp_path / name) for name in names)
    assert one == two
    assert sorted(one) == ["map.gpkg", "map.tif", "map.tif.aux.xml", "map.tif.json"]


def test_a_run_that_was_stopped_before_its_item_was_in_place_puts_it_there(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = finishing.publish

    def stop(draft: Path, target: Path) -> None:
        if target.name.endswith(".json"):
            raise KeyboardInterrupt
        real(draft, target)

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "publish", stop)
        with pytest.raises(KeyboardInterrupt):
            predict_file(scene, tmp_path / "map.tif", pointwise())
    assert not (tmp_path / "map.tif.json").exists()
    result = predict_file(scene, tmp_path / "map.tif", pointwise(), skip_done=True)
    assert result.computed == 0
    told = examine(tmp_path / "map.tif")["told"]
    assert told is not None
    assert (told["run"]["computed"], told["run"]["blocks"]) == (0, result.blocks)
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_seconds_of_reading_network_and_writing_are_told_everywhere(
    scene: Path, tmp_path: Path
) -> None:
    events: list[dict[str, Any]] = []
    result = predict_file(
        scene,
        tmp_path / "map.tif",
        pointwise(),
        polygons=tmp_path / "map.fgb",
        on_progress=events.append,
    )
    spent = result.spent
    assert min(spent.read, spent.network, spent.write) > 0
    told = {"read": spent.read, "network": spent.network, "write": spent.write}
    assert events[-1]["spent"] == pytest.approx(told, abs=1e-3)
    run = item_beside(tmp_path / "map.tif")["properties"]["geoseg:run"]
    assert run["spent"] == events[-1]["spent"]
    assert 0 < run["seconds"] <= events[-1]["seconds"]


def test_the_time_that_polygons_take_is_time_of_writing(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, clock = finishing.polygonize_file, finishing.time.monotonic
    late = 0.0

    def slow(*args: Any, **options: Any) -> Any:
        nonlocal late
        late = 1000.0
        return real(*args, **options)

    monkeypatch.setattr(finishing, "polygonize_file", slow)
    monkeypatch.setattr(finishing.time, "monotonic", lambda: clock() + late)
    drawn = tmp_path / "map.fgb"
    result = predict_file(scene, tmp_path / "map.tif", pointwise(), polygons=drawn)
    assert 1000 < result.spent.write < 2000
    assert result.spent.network < 1000


# ---- geoseg info -----------------------------------------------------------------------------


def test_info_tells_of_what_how_and_when_a_map_was_made(scene: Path, tmp_path: Path) -> None:
    model = pointwise()
    predict_file(scene, tmp_path / "map.tif", model, min_area=300)
    facts = examine(tmp_path / "map.tif")
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert [each["name"] for each in facts["classes"]] == ["water", "forest", "field", "town"]
    text = describe(facts)
    for told in (
        "90 rows x 80 columns of pixels, 1 band of uint8; 255 stands for no data",
        "Place      EPSG:32633",
        "map.tif.aux.xml, which belongs to it",
        model.digest,
        f"geoseg {geoseg.__version__}",
        f"a scene.tif, {scene.stat().st_size} bytes, sha256 of its ends ",
        "min_area 300",
        "#117733  forest",
        "precision fp32",
        "torch ",
        "of all threads: read ",
    ):
        assert told in text, told
    assert re.search(r"Made +20\d\d-\d\d-\d\dT\S+Z in [\d.]+ s", text)


def test_info_of_a_map_alone_tells_what_its_tags_say(scene: Path, tmp_path: Path) -> None:
    predict_file(scene, tmp_path / "map.tif", pointwise())
    whole = examine(tmp_path / "map.tif")
    (tmp_path / "map.tif.json").unlink()
    facts = examine(tmp_path / "map.tif")
    assert facts == whole | {"item": None, "told": None}
    assert "map.tif.json was found" in describe(facts)


def test_info_of_an_item_asks_for_the_map(scene: Path, tmp_path: Path) -> None:
    predict_file(scene, tmp_path / "map.tif", pointwise())
    with pytest.raises(UserError, match=r"map\.tif\.json .*give the map itself"):
        examine(tmp_path / "map.tif.json")


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (
            [("red", "image/tiff")],
            r"is a STAC Item, whose .*; name one of .* /.*/red\.tif$",
        ),
        ([("red", "image/tiff")] * 3, r"holds 3 STAC Items, whose .*; name one .* /.*/red\.tif$"),
        ([("notes", "text/plain")], r"i\.json is a STAC Item without rasters; name a raster$"),
        ([], r"i\.json holds no items; the search that it comes from found none"),
    ],
)
def test_info_of_an_item_of_a_catalogue_names_a_raster_of_it(
    tmp_path: Path, items: list[tuple[str, str]], words: str
) -> None:
    found = [
        {"type": "Feature", "id": f"i{n}", "assets": {key: {"href": f"{key}.tif", "type": kind}}}
        for n, (key, kind) in enumerate(items)
    ]
    single = len(found) == 1
    text = json.dumps(found[0] if single else {"type": "FeatureCollection", "features": found})
    (tmp_path / "i.json").write_text(text)
    with pytest.raises(UserError, match=words):
        examine(tmp_path / "i.json")


@pytest.mark.parametrize("name", ["none.json", "sub/none.JSON"])
def test_info_of_an_item_that_is_not_there_says_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"there is no file .*{name}; check the name"):
        examine(tmp_path / name)


def test_info_does_not_take_the_item_of_another_map(scene: Path, tmp_path: Path) -> None:
    for name, options in (("a.tif", {}), ("b.tif", {"bands": [3, 2, 1]})):
        predict_file(scene, tmp_path / name, pointwise(), **options)
    (tmp_path / "b.tif.json").replace(tmp_path / "a.tif.json")
    facts = examine(tmp_path / "a.tif")
    assert facts["told"] is None
    assert "a.tif.json is of another map" in describe(facts)


def test_info_of_any_other_raster_says_what_it_is_not(scene: Path, tmp_path: Path) -> None:
    facts = examine(scene)
    assert (facts["made"], facts["classes"]) == (None, [])
    assert "3 bands of uint8; no value stands for no data" in describe(facts)
    assert facts["sidecars"] == []
    assert "Not made by geoseg predict" in describe(facts)
    (tmp_path / "words.txt").write_text("no raster")
    with pytest.raises(UserError, match="is not a raster that GDAL can open"):
        examine(tmp_path / "words.txt")


@pytest.mark.parametrize(
    ("crs", "transform", "place", "lines"),
    [
        (
            "EPSG:32633",
            Affine(10, 0, 500_000, 0, -20, 5_000_000),
            {
                "bounds": [500_000, 4_999_600, 500_300, 5_000_000],
                "pixel": [20, 10],
                "unit": "metre",
                "metres": [20, 10],
            },
            "Place      EPSG:32633\n"
            "Extent     west 500000, south 4999600, east 500300, north 5000000 (metre)\n"
            "Pixels     10 wide and 20 high (metre)\n",
        ),
        (  # a degree at the equator: 111.32 km along it, and 110.57 km across
            "EPSG:4326",
            Affine(0.001, 0, -0.015, 0, -0.001, 0.01),
            {"bounds": [-0.015, -0.01, 0.015, 0.01], "pixel": [0.001, 0.001], "unit": "degree"},
            "Extent     west -0.015, south -0.01, east 0.015, north 0.01 (degree)\n"
            "Pixels     0.001 wide and 0.001 high (degree)\n"
            "           on the ground 111.3 m wide and 110.6 m high\n",
        ),
        (  # turned by a right angle: columns go north, rows go east
            None,
            Affine(0, 2, 100, 3, 0, 200),
            {"bounds": [100, 200, 140, 290], "pixel": [2, 3], "unit": None, "metres": None},
            "Place      no coordinate system\n"
            "Extent     west 100, south 200, east 140, north 290\n"
            "Pixels     3 wide and 2 high\n",
        ),
        (
            None,
            Affine.identity(),
            None,
            "Place      no coordinate system, and not told where it lies\n",
        ),
    ],
)
def test_info_tells_where_a_raster_lies_and_how_large_its_pixels_are(
    tmp_path: Path, crs: str | None, transform: Affine, place: dict[str, Any] | None, lines: str
) -> None:
    pixels = random_pixels((1, 20, 30)).astype(np.uint8)
    facts = examine(write(tmp_path / "a.tif", pixels, crs=crs, transform=transform))
    if place is None:
        assert facts["place"] is None
    else:
        assert {name: facts["place"][name] for name in place} == {
            name: pytest.approx(value) if isinstance(value, list) else value
            for name, value in place.items()
        }
    assert lines in describe(facts)


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("GEOSEG_SOURCES", "["),
        ("GEOSEG_SOURCES", "3"),
        ("GEOSEG_SOURCES", "[3]"),
        ("GEOSEG_OPTIONS", "[" * 100_000),
        ("GEOSEG_CHOSEN", "7"),
    ],
)
def test_tags_that_geoseg_did_not_write_are_told_in_one_line(
    scene: Path, tmp_path: Path, tag: str, text: str
) -> None:
    predict_file(scene, tmp_path / "map.tif", pointwise())
    with rasterio.open(tmp_path / "map.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
        file.update_tags(**{tag: text})
    with pytest.raises(UserError, match=r"the tags of .*map\.tif cannot be read \(\w+: "):
        examine(tmp_path / "map.tif")


# ---- through the command line ----------------------------------------------------------------


def call(*words: object) -> Result:
    """What the command line tells, in this process."""
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    net = nets.build("unet", in_channels=3, classes=4, widths=[4, 4])
    options = {"in_channels": 3, "classes": 4, "widths": [4, 4]}
    model = geoseg.Segmenter(
        net,
        classes=("water", "forest", "field", "town"),
        bands=("red", "green", "blue"),
        mean=[120.0] * 3,
        std=[60.0] * 3,
        window=64,
        architecture="unet",
        options=options,
    )
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_how_much_is_told_is_chosen_before_or_after_the_command(
    scene: Path, tmp_path: Path, saved: Path
) -> None:
    words = ["predict", scene, tmp_path / "map.tif", "-m", saved, "--window", 64, "--overwrite"]
    usual, much, little = call(*words), call("-v", *words), call(*words, "--quiet")
    assert {usual.exit_code, much.exit_code, little.exit_code} == {0}, much.stderr
    closing = r"wrote \S+map\.tif, \S+map\.tif\.json in [\d.]+ s; of all threads: read [\d.]+, netw"
    assert re.search(closing, usual.stderr)
    assert "debug" not in usual.stderr
    done = re.findall(r"debug: block (\d+,\d+) done by (\S+): read [\d.]+, network", much.stderr)
    begun = re.findall(r"debug: block (\d+,\d+) begun", much.stderr)
    assert sorted(block for block, _ in done) == sorted(begun) != []
    assert {who.partition("_")[0] for _, who in done} == {"geoseg-block"}
    assert little.stderr == ""
    failed = call("predict", tmp_path / "none.tif", tmp_path / "m.tif", "-m", saved, "-q")
    assert failed.stderr.startswith("geoseg: there is no file")
    for group in (["model", "list", "-q"], ["-q", "model", "list"]):
        assert "demo-landscape" in call(*group).stdout
    told = call("info", tmp_path / "map.tif", "--json")
    assert json.loads(told.stdout)["told"]["run"]["blocks"] == len(done)
    assert "Version    geoseg" in call("info", tmp_path / "map.tif").stdout


def test_a_batch_tells_what_all_of_its_scenes_took(
    scene: Path, tmp_path: Path, saved: Path
) -> None:
    write(scene.with_name("second.tif"), random_pixels((3, 40, 50)).astype(np.uint8))
    done = call("predict", scene.parent, tmp_path / "maps", "-m", saved, "--progress", "json")
    assert done.exit_code == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    parts = [
        item_beside(tmp_path / "maps" / name)["properties"]["geoseg:run"]["spent"]
        for name in ("a scene.tif", "second.tif")
    ]
    assert last["spent"] == pytest.approx(
        {name: sum(part[name] for part in parts) for name in parts[0]}, abs=5e-3
    )
    assert last["seconds"] > 0


def test_a_batch_tells_of_every_block_which_scene_it_is_of_and_the_time_left_of_all(
    scene: Path, tmp_path: Path, saved: Path
) -> None:
    write(scene.with_name("second.tif"), random_pixels((3, 40, 50)).astype(np.uint8))
    words = ["-v", "predict", scene.parent, tmp_path / "maps", "-m", saved, "--progress", "json"]
    events = [json.loads(line) for line in call(*words).stdout.splitlines()]
    said = [each["message"] for each in events if each["event"] == "log"]
    blocks = [each for each in said if re.search(r"block \d+,\d+ done", each)]
    begins = [f"{scene.with_name(name)}: block 0,0 done" for name in ("a scene.tif", "second.tif")]
    assert all(each.startswith(tuple(begins)) for each in blocks)
    assert len(blocks) == 2
    steps = [each for each in events if each["event"] == "progress"]
    assert [each["done"] for each in steps] == [1, 1, 2, 2]
    assert [each["eta_s"] > 0 for each in steps] == [True, True, False, False]
    again = [json.loads(line) for line in call(*words).stdout.splitlines()]
    assert [each["eta_s"] for each in again if each["event"] == "progress"] == [None, None]
    (closing,) = [each["message"] for each in again if "maps are in" in each.get("message", "")]
    assert "2 of them were there already" in closing


def test_a_map_that_another_process_has_made_is_not_told_as_gone_on_with(
    scene: Path, tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = {"classes": tmp_path / "map.tif", "item": tmp_path / "map.tif.json"}
    made = job.Result(outputs, 1.0, blocks=9, computed=0, was_there=True)
    monkeypatch.setattr(geoseg, "predict_file", lambda *_, **__: made)
    told = call("predict", scene, tmp_path / "map.tif", "-m", saved, "--wait").stderr
    assert re.fullmatch(r"\S+map\.tif, \S+map\.tif\.json were there already, .*\n", told)


# ---- sources behind addresses, and workers of a cluster --------------------------------------


@pytest.mark.parametrize(
    ("parts", "tags", "dates", "known"),
    [
        (True, True, True, ["etag"]),
        (False, True, False, ["etag"]),
        (True, False, True, ["changed", "ends"]),
        (False, False, True, ["changed"]),
        (True, False, False, ["ends"]),
        (False, False, False, []),
    ],
)
def test_files_behind_addresses_are_known_by_what_their_server_tells(
    scene: Path,
    parts: bool,
    tags: bool,
    dates: bool,
    known: list[str],
) -> None:
    data = write(scene, random_pixels((3, 300, 260)).astype(np.uint8)).read_bytes()
    os.utime(scene, (1_400_000_000, 1_400_000_000))
    expected = {
        "etag": f'"{hashlib.md5(data).hexdigest()}"',  # noqa: S324
        "changed": 1_400_000_000 * 10**9,
        "ends": hashlib.sha256(data[:65536] + data[-65536:]).hexdigest(),
    }
    with serving(scene.parent, parts=parts, tags=tags, dates=dates) as address:
        for prefix in ("", "/vsicurl/"):
            found = remote_facts(f"{prefix}{address}/a%20scene.tif?signature=1")
            assert found.pop("size") == len(data)
            assert found == {each: expected[each] for each in known}
        with pytest.raises(UserError, match=r"none\.tif: the server has no such file; check"):
            remote_facts(f"{address}/none.tif?signature=1")
    assert remote_facts(str(scene)) == {}


@pytest.mark.parametrize("parts", [True, False])
def test_a_file_that_is_made_for_each_answer_is_not_known_by_its_date(
    scene: Path, tmp_path: Path, parts: bool
) -> None:
    with serving(scene.parent, parts=parts, tags=False, dates=True, fresh=True) as address:
        result = predict_file(f"{address}/a%20scene.tif", tmp_path / "map.tif", pointwise())
        assert not result.was_there
    (told,) = examine(tmp_path / "map.tif")["made"]["sources"]
    data = scene.read_bytes()
    ends = {"ends": hashlib.sha256(data[:65536] + data[-65536:]).hexdigest()} if parts else {}
    assert {"size": len(data), **ends, **told} == told
    assert set(told) == {"name", "size", "header", *ends}


@pytest.mark.parametrize(
    ("seconds", "more", "is_kept"),
    [
        pytest.param((0, 2), 0, True, id="put_there_just_now"),
        pytest.param((-3600, -3598), 0, True, id="dated_in_the_future"),
        pytest.param((0, 2), 2, False, id="made_for_the_answer"),
        pytest.param((0, 0), 0, False, id="from_a_cache"),
        pytest.param((3600,), 0, True, id="old"),
    ],
)
def test_a_young_date_of_a_file_counts_where_it_stays(
    seconds: tuple[int, ...], more: int, is_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [
        {
            "Content-Length": "9",
            "Last-Modified": formatdate(1_400_000_000 + more * number, usegmt=True),
            "Date": formatdate(1_400_000_000 + since, usegmt=True),
        }
        for number, since in enumerate(seconds)
    ]
    pauses: list[float] = []
    monkeypatch.setattr(remote, "_part", lambda *_: (answers.pop(0), None))
    monkeypatch.setattr(remote, "time", SimpleNamespace(sleep=pauses.append))
    changed = {"changed": 1_400_000_000 * 10**9} if is_kept else {}
    assert remote_facts("http://127.0.0.1:9/a.tif") == {"size": 9, **changed}
    assert not answers
    assert all(each > 1 for each in pauses)


@pytest.mark.parametrize(
    "named",
    [
        "/vsizip//vsicurl/{}/s.zip/sub/s.tif",
        "/vsizip/{{/vsicurl/{}/s.zip?signature=1}}/sub/s.tif",
        "zip+{}/s.zip?signature=1!sub/s.tif",
    ],
)
def test_an_archive_behind_an_address_is_known_by_what_its_server_tells(
    named: str, tmp_path: Path
) -> None:
    archive = tmp_path / "s.zip"
    archive.write_bytes(b"whatever it holds")
    with serving(tmp_path) as address:
        told = identity.facts_of_file(named.format(address))
        known = remote_facts(f"{address}/s.zip")
    assert known["size"] == archive.stat().st_size
    assert told == {"name": f"{address}/s.zip/sub/s.tif", **known}


def test_an_end_that_was_cut_off_on_its_way_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cut(io.BytesIO):
        status = 206

        @property
        def headers(self) -> dict[str, str]:
            return {"Content-Range": "bytes 0-0/500"}

    monkeypatch.setattr(remote, "urlopen", lambda *_, **__: Cut(b"I"))
    monkeypatch.setattr(files, "PAUSES", ())
    with pytest.raises(UnreachableError, match="does not say whether it is the file it was"):
        remote_facts("http://127.0.0.1:9/a.tif")


@pytest.mark.parametrize(
    ("parts", "dates", "later"),
    # Two files of one second may be one behind the other as well: at one path, by its query.
    [(True, False, 0), (True, True, 0), (False, True, 1), (False, False, 0)],
)
def test_a_file_without_a_tag_that_was_replaced_behind_its_address_is_another_input(
    scene: Path, tmp_path: Path, parts: bool, dates: bool, later: int
) -> None:
    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == 3:
            raise KeyboardInterrupt

    first, second = (random_pixels((3, 200, 180), seed=s).astype(np.uint8) for s in (1, 2))
    out, sees = tmp_path / "map.tif", pointwise()
    write(scene, first)
    os.utime(scene, (1_400_000_000, 1_400_000_000))
    with serving(scene.parent, parts=parts, tags=False, dates=dates) as address:
        source = f"{address}/a%20scene.tif"
        with pytest.raises(KeyboardInterrupt):
            predict_file(source, out, sees, memory=30_000, on_progress=stop)
        size = scene.stat().st_size
        write(scene, second)
        os.utime(scene, (1_400_000_000, 1_400_000_000 + later))
        assert scene.stat().st_size == size
        result = predict_file(source, out, sees, memory=30_000)
        assert result.computed == result.blocks
        if parts or dates:
            assert predict_file(source, out, sees, skip_done=True).was_there
        else:
            with pytest.raises(UserError, match=r"map\.tif exists; add --overwrite"):
                predict_file(source, out, sees, skip_done=True)
    predict_file(scene, tmp_path / "plain.tif", sees)
    assert (read(out) == read(tmp_path / "plain.tif")).all()


def test_another_file_behind_the_same_address_is_another_input(scene: Path, tmp_path: Path) -> None:
    with serving(scene.parent) as address:
        source = f"/vsicurl/{address}/a%20scene.tif?signature=1"
        predict_file(source, tmp_path / "map.tif", pointwise())
        again = predict_file(source, tmp_path / "map.tif", pointwise(), skip_done=True)
        assert again.computed == 0
        (told,) = examine(tmp_path / "map.tif")["made"]["sources"]
        assert told["size"] == scene.stat().st_size
        assert told["etag"].strip('"') in describe(examine(tmp_path / "map.tif"))
        (link,) = item_beside(tmp_path / "map.tif")["links"]
        assert link["href"] == f"{address}/a%20scene.tif"
        write(scene, random_pixels((3, 90, 80), seed=1).astype(np.uint8))
        with pytest.raises(UserError, match=r"map\.tif exists, made of other input; add"):
            predict_file(source, tmp_path / "map.tif", pointwise(), skip_done=True)


def test_a_model_is_hashed_once_and_sources_are_asked_when_a_run_begins_and_ends(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed, asked, digest = [], [], Segmenter.digest.fget
    assert digest is not None

    def hash_it(model: Segmenter) -> str:
        hashed.append(model)
        return str(digest(model))

    def ask(path: str) -> dict[str, Any]:
        asked.append(path)
        return remote_facts(path)

    monkeypatch.setattr(Segmenter, "digest", property(hash_it))
    monkeypatch.setattr(identity, "remote_facts", ask)
    with serving(scene.parent) as address:
        predict_file(f"{address}/a%20scene.tif", tmp_path / "map.tif", pointwise())
    (link,) = item_beside(tmp_path / "map.tif")["links"]  # though GDAL has two names for it
    assert link["href"] == f"{address}/a%20scene.tif"
    assert len(hashed) == 1
    assert asked == [f"{address}/a%20scene.tif"] * 2


def test_it_is_told_which_worker_of_a_cluster_did_a_block(
    scene: Path, tmp_path: Path, saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "geoseg")
    before = torch.get_num_threads()
    with threads() as cluster, distributed.Client(cluster) as client:
        (worker,) = client.scheduler_info()["workers"]
        result = predict_file(scene, tmp_path / "map.tif", saved, memory=200_000, window=64)
    torch.set_num_threads(before)
    done = re.findall(r"block \d+,\d+ done by (\S+): read", caplog.text)
    assert done == [worker] * result.blocks
    assert result.spent.network > 0
