"""Bad days: each fault ends in the right map, or in one line and no map, and can be mended.

docs/bad-days.md tells which faults there are, what is promised, and which test of this or another
file provokes each.
"""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import re
import shutil
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from items import contents
from numpy.typing import NDArray
from pointwise import UTM, map_of, pointwise, random_pixels, read, refused, spoil, write
from rasterio._err import CPLE_AppDefinedError, CPLE_OutOfMemoryError, CPLE_UserInterruptError
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from toys import TwoLayers, random_image, segmenter_of

import geoseg
from geoseg import crew, finishing, job, lease, locks, nets, orders, polygons, refusals, runs, store
from geoseg.assembly import Assembly
from geoseg.console import Console
from geoseg.errors import UserError
from geoseg.info import describe, examine
from geoseg.job import predict_file
from geoseg.places import UnreachableError
from geoseg.polygons import polygonize_file
from geoseg.raster import files
from geoseg.raster.read import Source, tiles_of
from geoseg.runs import Run, Targets, facts_of
from geoseg.shapes import read_mask

ROOT = Path(__file__).parents[1]
SMALL = 60_000  # bytes: several blocks
TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write(tmp_path / "scene.tif", random_pixels((3, 200, 180)).astype(np.uint8), **TILED)


@pytest.fixture
def expected(scene: Path) -> NDArray[np.uint8]:
    return map_of(read(scene, None))


def run(scene: Path | str, **options: Any) -> job.Result:
    """Classify into ``map.tif`` beside the scene, in several blocks."""
    folder = options.pop("folder", None) or Path(scene).parent
    return predict_file(scene, folder / "map.tif", pointwise(), **{"memory": SMALL, **options})


def stop_after(count: int) -> Any:
    """What stops a run when so many blocks are finished."""

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == count:
            raise KeyboardInterrupt

    return stop


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


# ---- files that lie ---------------------------------------------------------------------------


def header(path: Path, columns: int, rows: int, tile: int) -> Path:
    """A TIFF of one byte band that declares so many pixels, and holds a thousand zeros."""
    size = min(tile * tile, 1000)
    entries = [(256, 4, columns), (257, 4, rows), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    entries += [(277, 3, 1), (322, 4, tile), (323, 4, tile), (324, 4, 8), (325, 4, size)]
    data = b"II*\0" + struct.pack("<IH", 8, len(entries))
    for tag, kind, value in entries:
        data += struct.pack("<HHII", tag, kind, 1, value)
    path.write_bytes(data + struct.pack("<I", 0) + bytes(1000))
    return path


def virtual(path: Path, side: int, source: Path, more: str = "") -> Path:
    """A VRT of one byte band over another file."""
    path.write_text(
        f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}">'
        f'<VRTRasterBand dataType="Byte" band="1">{more}<SimpleSource>'
        f"<SourceFilename>{source}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return path


def grey(path: Path) -> Path:
    return write(path, random_pixels((1, 60, 60)).astype(np.uint8))


LIARS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "header_bomb_of_2_31_pixels_a_side": (
        lambda folder: header(folder / "a.tif", 2**31 - 1, 2**31 - 1, 256),
        "is not a raster that GDAL can open",
    ),
    "header_bomb_of_one_long_row": (
        lambda folder: header(folder / "a.tif", 2**31 - 1, 1, 256),
        r"declares 1 x 2147483647 pixels, more than \d+ a side",
    ),
    "header_bomb_of_a_terabyte_tile": (
        lambda folder: header(folder / "a.tif", 1000, 1000, 1 << 20),
        "has tiles of 1048576 x 1048576 pixels, 1100 GB each",
    ),
    "virtual_bomb_of_2_31_pixels_a_side": (
        lambda folder: virtual(folder / "a.vrt", 2**31 - 1, grey(folder / "b.tif")),
        "declares 2147483647 x 2147483647 pixels",
    ),
}


@pytest.mark.parametrize("fault", LIARS)
def test_a_header_that_lies_is_refused_before_anything_is_written(
    fault: str, tmp_path: Path
) -> None:
    make, message = LIARS[fault]
    source = make(tmp_path)
    with refused(message, tmp_path):
        predict_file(source, tmp_path / "map.tif", pointwise(1))


def test_a_tile_index_that_is_too_short_gives_no_map(tmp_path: Path) -> None:
    source = header(tmp_path / "a.tif", 256 * 400, 256, 256)
    with pytest.raises(UserError, match=r"cannot read .*a\.tif"):
        predict_file(source, tmp_path / "map.tif", pointwise(1))
    assert not (tmp_path / "map.tif").exists()


@pytest.mark.parametrize("fault", ["virtual_file_without_its_source", "virtual_file_of_itself"])
@pytest.mark.parametrize("on_read_error", ["refuse", "nodata"])
def test_a_virtual_file_that_reads_nothing_gives_no_map(
    fault: str, on_read_error: Any, tmp_path: Path
) -> None:
    gone = "a.vrt" if fault == "virtual_file_of_itself" else "gone.tif"
    source = virtual(tmp_path / "a.vrt", 60, tmp_path / gone)
    options: dict[str, Any] = {"on_read_error": on_read_error}
    if fault == "virtual_file_of_itself" and on_read_error == "nodata":
        result = predict_file(source, tmp_path / "map.tif", pointwise(1), **options)
        assert result.unreadable.pixels == 3600
        assert (read(tmp_path / "map.tif") == 255).all()
        return
    with pytest.raises(UserError, match="cannot read"):
        predict_file(source, tmp_path / "map.tif", pointwise(1), **options)
    assert not (tmp_path / "map.tif").exists()


def test_a_no_data_value_that_no_pixel_can_have_hides_nothing(tmp_path: Path) -> None:
    source = virtual(
        tmp_path / "a.vrt", 60, grey(tmp_path / "b.tif"), "<NoDataValue>-9999</NoDataValue>"
    )
    predict_file(source, tmp_path / "map.tif", pointwise(1))
    np.testing.assert_array_equal(
        read(tmp_path / "map.tif"), map_of(read(tmp_path / "b.tif", None))
    )


def test_degrees_that_are_called_metres_are_refused(tmp_path: Path) -> None:
    source = write(
        tmp_path / "scene.tif",
        random_pixels((3, 60, 60)).astype(np.uint8),
        transform=rasterio.Affine(0.0001, 0, 15, 0, -0.0001, 50),
    )
    with refused("pixels of 0.0001 x 0.0001 m are more than 8 times off", tmp_path):
        predict_file(source, tmp_path / "map.tif", pointwise(gsd=10.0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_pixels_that_are_no_numbers_have_no_class(value: float, tmp_path: Path) -> None:
    pixels = random_pixels((3, 60, 60)).astype(np.float32)
    pixels[:, 10:20, 30:50] = value
    predict_file(write(tmp_path / "s.tif", pixels), tmp_path / "map.tif", pointwise())
    told = pixels if value == np.float32(3e38) else np.where(np.isfinite(pixels), pixels, np.nan)
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), map_of(told))


def test_a_source_that_changes_while_it_is_read_gives_no_map(scene: Path) -> None:
    changed = read(scene, None)[:, ::-1]

    def change(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == 2:
            write(scene, changed, **TILED)

    with pytest.raises(UserError, match=r"scene.tif changed while it was read.*give the same"):
        run(scene, on_progress=change)
    assert not scene.with_name("map.tif").exists()
    run(scene)
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), map_of(changed))


# ---- tiles that cannot be read ----------------------------------------------------------------


def without(expected: NDArray[np.uint8], *tiles: tuple[int, int]) -> NDArray[np.uint8]:
    made = expected.copy()
    for row, column in tiles:
        made[row * 64 : row * 64 + 64, column * 64 : column * 64 + 64] = 255
    return made


LOCAL = 'LOCAL_CS["Site of the mill",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
LOST = (1, 1), (3, 2)  # the second is cut by both borders: 8 rows of 52 columns
GONE = 64 * 64 + 8 * 52


@pytest.mark.parametrize("memory", [SMALL, 4_000_000])
def test_unreadable_pixels_have_no_data_where_that_is_asked_for_and_are_told(
    memory: int, scene: Path, expected: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    spoil(scene, *LOST)
    events: list[dict[str, Any]] = []
    result = run(scene, memory=memory, on_read_error="nodata", on_progress=events.append)
    found = scene.with_name("map.tif")
    np.testing.assert_array_equal(read(found), without(expected, *LOST))
    told = {"pixels": GONE, "boxes": [[64, 127, 64, 127], [192, 199, 128, 179]]}
    assert result.unreadable.told == told
    assert events[-1]["unreadable"] == told
    with rasterio.open(found) as dataset:
        assert json.loads(dataset.tags()["GEOSEG_UNREADABLE"]) == told
    item = json.loads(scene.with_name("map.tif.json").read_text())
    assert item["properties"]["geoseg:run"]["unreadable"] == told
    facts = examine(found)
    assert facts["made"]["unreadable"] == told
    assert f"Gaps       {GONE:,} pixels cannot be read and have no data (rows" in describe(facts)
    assert f"{GONE:,} pixels cannot be read and have no data (rows 64 to 127" in caplog.text


def test_an_unreadable_tile_is_refused_by_default_and_blocks_are_kept(
    scene: Path, expected: NDArray[np.uint8]
) -> None:
    spoil(scene, (3, 2))
    with pytest.raises(UserError, match=r"cannot read .*scene.tif: .*copy it again") as error:
        run(scene)
    assert "\n" not in str(error.value)
    assert not scene.with_name("map.tif").exists()
    result = run(scene, on_read_error="nodata")
    assert result.computed < result.blocks
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), without(expected, (3, 2)))


def test_gaps_that_were_allowed_are_no_part_of_a_map_that_allows_none(scene: Path) -> None:
    spoil(scene, (0, 0))

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(scene, on_read_error="nodata", on_progress=stop)
    with pytest.raises(UserError, match="cannot read"):
        run(scene)


def test_what_was_unreadable_before_a_stop_is_told_after_it(
    scene: Path, expected: NDArray[np.uint8]
) -> None:
    spoil(scene, (0, 0))

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(scene, on_read_error="nodata", on_progress=stop)
    result = run(scene, on_read_error="nodata")
    assert 0 < result.computed < result.blocks
    assert result.unreadable.pixels == 64 * 64
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), without(expected, (0, 0)))


def test_a_sound_scene_has_the_same_map_whatever_is_done_about_errors(
    tmp_path: Path,
) -> None:
    pixels = random_pixels((3, 150, 140)).astype(np.uint8)
    pixels[:, 20:40, 30:70], pixels[0, 100:110] = 0, 0
    source = write(tmp_path / "scene.tif", pixels, nodata=0, **TILED)
    run(source, on_read_error="nodata")
    found = read(tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert "GEOSEG_UNREADABLE" not in dataset.tags()
    run(source, overwrite=True)
    np.testing.assert_array_equal(found, read(tmp_path / "map.tif"))


def test_a_tile_of_one_band_that_cannot_be_read_hides_the_pixels_of_all(tmp_path: Path) -> None:
    pixels = random_pixels((3, 150, 140)).astype(np.uint8)
    source = write(tmp_path / "scene.tif", pixels, interleave="band", **TILED)
    spoil(source, (1, 0), band=2)
    result = run(source, on_read_error="nodata")
    assert result.unreadable.pixels == 64 * 64
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), without(map_of(pixels), (1, 0)))


def test_an_unreadable_tile_of_one_file_of_a_stack_hides_the_pixels_of_all(tmp_path: Path) -> None:
    pixels = random_pixels((3, 150, 140)).astype(np.uint8)
    sources = [write(tmp_path / f"{i}.tif", pixels[i : i + 1], **TILED) for i in range(3)]
    spoil(sources[2], (0, 1))
    predict_file(
        sources, tmp_path / "map.tif", pointwise(), bands=[1, 2, 3], on_read_error="nodata"
    )
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), without(map_of(pixels), (0, 1)))


def test_only_unreadable_pixels_of_the_box_are_counted(
    scene: Path, expected: NDArray[np.uint8]
) -> None:
    spoil(scene, (1, 1))
    left, top = 500_000.0 + 10 * 100, 5_600_000.0 - 10 * 90
    result = run(scene, bbox=(left, top - 600, left + 500, top), on_read_error="nodata")
    assert result.unreadable.told == {"pixels": 38 * 28, "boxes": [[0, 37, 0, 27]]}
    part = without(expected, (1, 1))[90:150, 100:150]
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), part)


def test_a_tile_that_the_disk_does_not_give_is_no_damage(
    scene: Path, expected: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(io.FileIO):
        """A file on a disk that has lost what comes after its header."""

        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 4096:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(size) or b""

    real = Path.open

    def failing(path: Path, *args: Any, **options: Any) -> Any:
        bare = path == scene and options.get("buffering") == 0
        return Failing(path) if bare else real(path, *args, **options)

    spoil(scene, LOST[0])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing)
        with pytest.raises(UserError, match=r"cannot read .*scene\.tif: the disk fails .*same"):
            run(scene, on_read_error="nodata")
    run(scene, on_read_error="nodata")
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), without(expected, LOST[0]))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (CPLE_OutOfMemoryError(3, 2, "VSIMalloc3(): Out of memory"), "memory ran out; .*free some"),
        (CPLE_AppDefinedError(3, 1, "Cannot allocate 12 bytes"), "memory ran out; .*free some"),
        (CPLE_UserInterruptError(3, 9, "User terminated"), "cannot read .*User terminated"),
    ],
)
def test_what_never_came_to_decoding_is_no_damage(
    said: Exception, message: str, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Source, *_: Any) -> Any:
        with files.reading(source.path):
            raise rasterio.errors.RasterioIOError("Read failed") from said

    def spoilt(event: dict[str, Any]) -> None:
        if event["event"] == "start":
            monkeypatch.setattr(Source, "_read", fail)

    with pytest.raises(UserError, match=message):
        run(scene, on_read_error="nodata", on_progress=spoilt)
    assert not scene.with_name("map.tif").exists()


def test_the_end_of_a_file_that_was_cut_short_has_no_data_where_that_is_asked_for(
    scene: Path, expected: NDArray[np.uint8]
) -> None:
    with rasterio.open(scene) as dataset:
        ends = int(dataset.get_tag_item("BLOCK_OFFSET_2_3", "TIFF", bidx=1))
    scene.write_bytes(scene.read_bytes()[:ends])
    with refused("was cut short", scene.parent):
        run(scene)
    run(scene, on_read_error="nodata")
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), without(expected, (3, 2)))


def test_the_closing_line_tells_what_could_not_be_read(scene: Path, tmp_path: Path) -> None:
    spoil(scene, (1, 1))
    model = nets.build("unet", in_channels=3, classes=4, widths=[4, 4])
    options = {"in_channels": 3, "classes": 4, "widths": [4, 4]}
    segmenter_of(model, architecture="unet", options=options).save(tmp_path / "m.safetensors")
    words = ["predict", scene, tmp_path / "map.tif", "-m", tmp_path / "m.safetensors"]
    done = command(*words, "--on-read-error", "nodata")
    assert done.returncode == 0, done.stderr
    assert re.search(r"wrote .* s; 4,096 pixels cannot be read", done.stderr.splitlines()[-1])


def test_what_a_network_fails_to_bring_never_becomes_a_gap(tmp_path: Path) -> None:
    with refused("is read over a network, whose failures would become gaps", tmp_path):
        run("/vsicurl/http://127.0.0.1/scene.tif", folder=tmp_path, on_read_error="nodata")


def test_a_source_that_is_gone_is_no_damage(scene: Path) -> None:
    def lose(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == 1:
            os.truncate(scene, 0)
            scene.unlink()

    with pytest.raises(UserError, match=r"cannot read|there is no file"):
        run(scene, on_read_error="nodata", on_progress=lose)
    assert not scene.with_name("map.tif").exists()


# ---- networks ---------------------------------------------------------------------------------


class Server(BaseHTTPRequestHandler):
    """Serves one file by ranges, and fails as it is told to."""

    data: ClassVar[bytes] = b""
    asked: ClassVar[int] = 0
    failing: ClassVar[range] = range(0)
    status: ClassVar[int | None] = 503
    busy: ClassVar[int] = 0  # how often the first byte alone is not given

    def do_GET(self) -> None:
        Server.asked += 1
        if Server.asked in Server.failing:
            if Server.status is not None:
                self._answer(Server.status, b"")
            self.close_connection = True
            return
        if Server.busy and self.headers.get("Range") == "bytes=0-0":
            Server.busy -= 1
            self._answer(Server.status or 503, b"")
            return
        if not self.path.split("?")[0].endswith("scene.tif"):
            self._answer(404, b"")
            return
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        part = slice(int(first), min(int(last or len(self.data)) + 1, len(self.data)))
        place = f"bytes {part.start}-{part.stop - 1}/{len(self.data)}"
        status = 206 if "Range" in self.headers else 200
        self._answer(status, self.data[part], {"Content-Range": place})

    do_HEAD = do_GET  # noqa: N815  (a name of the library)

    def _answer(self, status: int, body: bytes, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(more or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(
    scene: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[str]:
    monkeypatch.setattr(files, "PAUSES", (0.01, 0.02))
    # GDAL lists folders without letting other threads of this process, as the server's, run Python.
    monkeypatch.setenv("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")
    patience = {"GDAL_HTTP_RETRY_DELAY": 0.01, "GDAL_HTTP_MAX_RETRY": 1}
    monkeypatch.setattr(files, "PATIENT", files.PATIENT | patience)
    monkeypatch.setattr(Server, "data", scene.read_bytes())
    monkeypatch.setattr(Server, "asked", 0)
    monkeypatch.setattr(Server, "failing", range(0))
    monkeypatch.setattr(Server, "busy", 0)
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # GDAL remembers files by their addresses.
        yield f"/vsicurl/http://127.0.0.1:{server.server_port}/scene.tif?sig=SECRET{time.time_ns()}"
        server.shutdown()


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A scene of which GDAL does not fetch much with its header."""
    return write(tmp_path / "wide.tif", random_pixels((3, 700, 180)).astype(np.uint8), **TILED)


@pytest.mark.parametrize("status", [503, None], ids=["server_busy", "connection_dropped"])
def test_a_network_that_fails_for_a_while_gives_the_right_map(
    status: int | None, served: str, wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "data", wide.read_bytes())
    monkeypatch.setattr(Server, "status", status)

    def fail(event: dict[str, Any]) -> None:
        if event["event"] == "start":
            Server.failing = range(Server.asked + 1, Server.asked + 3)

    run(served, folder=wide.parent, on_progress=fail)
    np.testing.assert_array_equal(read(wide.with_name("map.tif")), map_of(read(wide, None)))


def test_a_network_that_is_gone_stops_the_run_which_goes_on_later(
    served: str, wide: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Server, "data", wide.read_bytes())

    def fail(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == 2:
            Server.failing = range(Server.asked + 1, 10**6)

    with pytest.raises(
        UserError, match=r"the network or the server failed|the server fails or is too busy"
    ) as error:
        run(served, folder=wide.parent, on_progress=fail)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("are kept, and the same command goes on from there")
    assert not wide.with_name("map.tif").exists()
    ours = [each.getMessage() for each in caplog.records if each.name.startswith("geoseg")]
    assert any("once more in" in each for each in ours)
    assert not any("SECRET" in each for each in [*ours, str(error.value)])
    Server.failing = range(0)
    result = run(served, folder=wide.parent)
    assert 0 < result.computed < result.blocks
    np.testing.assert_array_equal(read(wide.with_name("map.tif")), map_of(read(wide, None)))


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_is_busy_costs_no_finished_block(
    status: int,
    served: str,
    wide: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(Server, "data", wide.read_bytes())
    monkeypatch.setattr(Server, "status", status)
    with pytest.raises(KeyboardInterrupt):
        run(served, folder=wide.parent, on_progress=stop_after(2))
    Server.busy = 10**6
    with pytest.raises(UserError, match=r"does not say whether it is the file .*same command"):
        run(served, folder=wide.parent)
    Server.busy = 2

    def fail(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == event["total"]:
            Server.busy = 2  # when it is asked whether the file has changed

    result = run(served, folder=wide.parent, on_progress=fail)
    assert 0 < result.computed < result.blocks
    assert "starting over" not in caplog.text
    assert "SECRET" not in caplog.text
    np.testing.assert_array_equal(read(wide.with_name("map.tif")), map_of(read(wide, None)))


def test_an_address_without_a_file_is_told_without_its_signature(
    served: str, tmp_path: Path
) -> None:
    with refused(r"nothing\.tif cannot be opened: .*check the address", tmp_path) as _:
        run(served.replace("scene.tif", "nothing.tif"), folder=tmp_path)


@pytest.mark.parametrize(
    ("status", "words"),
    [(403, "does not allow it; check the credentials"), (503, "fails or is too busy; try again")],
)
def test_a_server_that_refuses_is_told_in_words(
    status: int, words: str, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "failing", range(1, 1000))
    monkeypatch.setattr(Server, "status", status)
    with refused(rf"scene\.tif cannot be opened: the server {words}", tmp_path):
        run(served, folder=tmp_path)


@pytest.mark.parametrize(
    ("status", "passes"),
    [(400, False), (401, False), (403, False), (404, False), (410, False),
     (408, True), (429, True), (500, True), (503, True), (None, True)],
)  # fmt: skip
def test_only_what_may_pass_is_tried_again_and_by_other_workers_as_well(
    status: int | None,
    passes: bool,
    served: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(Server, "failing", range(1, 1000))
    monkeypatch.setattr(Server, "status", status)
    with pytest.raises(UserError, match="cannot be opened") as error:
        files.patiently(served, lambda: files.open_dataset(served))
    assert caplog.text.count("once more in") == (len(files.PAUSES) if passes else 0)
    assert orders.failing(error.value) == orders.Failure(str(error.value), may_pass=passes)


def test_a_page_in_place_of_a_raster_is_not_asked_for_again(
    served: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Server, "data", b"<html><body>Welcome</body></html>" * 99)
    with pytest.raises(UserError, match="what the server gives is no raster"):
        files.patiently(served, lambda: files.open_dataset(served))
    assert "once more" not in caplog.text


def test_a_server_that_is_gone_is_asked_four_times_for_a_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    pauses: list[float] = []
    real = files.open_dataset

    def noted(path: str) -> rasterio.DatasetReader:
        opened.append(path)
        return real(path)

    monkeypatch.setattr(geoseg.raster.read, "open_dataset", noted)
    monkeypatch.setattr(files, "PATIENT", files.PATIENT | {"GDAL_HTTP_MAX_RETRY": 0})
    monkeypatch.setattr(files, "time", SimpleNamespace(sleep=pauses.append))
    source = Source("http://127.0.0.1:9/scene.tif", (1,), masked=True)
    with pytest.raises(UnreachableError, match=r"the server cannot be reached; check the address"):
        source.read([0], slice(0, 1), slice(0, 1))
    assert len(opened) == 4
    assert pauses == [1, 4, 16]


def test_a_server_that_fails_when_it_is_seen_how_a_file_is_tiled_is_asked_again(
    served: str, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = geoseg.open_raster(scene)
    fails = [UnreachableError("the server is busy")]
    real = geoseg.raster.read.opened

    def sometimes(path: str) -> AbstractContextManager[rasterio.DatasetReader]:
        if fails:
            raise fails.pop()
        return real(path)

    monkeypatch.setattr(geoseg.raster.read, "opened", sometimes)
    tiles = tiles_of(served, image)
    assert (tiles.rows, tiles.columns, tiles.bytes) == (64, 64, 64 * 64 * 3)


def test_a_server_that_fails_once_all_blocks_are_done_is_asked_again(
    served: str, wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "data", wide.read_bytes())
    fails: list[UserError] = []
    real = files.opened

    def sometimes(path: str) -> AbstractContextManager[rasterio.DatasetReader]:
        if path == served and fails:
            raise fails.pop()
        return real(path)

    def fail(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == event["total"]:
            fails.extend([UnreachableError("the server cannot be reached")] * 2)

    monkeypatch.setattr(files, "opened", sometimes)
    run(served, folder=wide.parent, on_progress=fail)
    assert not fails
    np.testing.assert_array_equal(read(wide.with_name("map.tif")), map_of(read(wide, None)))


def test_a_server_that_cannot_be_reached_at_first_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(files, "PATIENT", files.PATIENT | {"GDAL_HTTP_MAX_RETRY": 0})
    monkeypatch.setattr(files, "time", SimpleNamespace(sleep=pauses.append))
    with pytest.raises(UnreachableError, match=r"the server cannot be reached; check the address"):
        facts_of(["/vsicurl/http://127.0.0.1:9/scene.tif"])
    assert pauses == [1, 4, 16]


def test_options_for_networks_that_the_user_set_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert files._options()["GDAL_HTTP_MAX_RETRY"] == files.PATIENT["GDAL_HTTP_MAX_RETRY"]
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "9")
    assert "GDAL_HTTP_MAX_RETRY" not in files._options()
    with rasterio.Env(GDAL_HTTP_CONNECTTIMEOUT=2):
        assert "GDAL_HTTP_CONNECTTIMEOUT" not in files._options()


# ---- models -----------------------------------------------------------------------------------


def tensors(facts: dict[str, Any], data: bytes = b"") -> bytes:
    text = json.dumps(facts).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(shape: list[int], first: int, last: int) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [first, last]}


DAMAGED = {
    "tensor_past_the_end": tensors({"a": tensor([10], 0, 40)}),
    "tensor_of_10_18_values": tensors({"a": tensor([10**18], 0, 40)}, bytes(40)),
    "tensors_that_overlap": tensors({x: tensor([10], 0, 40) for x in "ab"}, bytes(40)),
    "tensor_that_ends_before_it_begins": tensors({"a": tensor([10], 40, 0)}, bytes(40)),
    "tensor_of_another_size_than_its_shape": tensors({"a": tensor([9], 0, 40)}, bytes(40)),
    "header_longer_than_the_file": struct.pack("<Q", 2**62) + b"{}",
    "header_that_is_no_json": struct.pack("<Q", 4) + b"\xff{]\0",
    "zip_bomb": b"PK\x03\x04" + bytes(26) + b"data.pkl" + bytes(1000),
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_a_damaged_model_file_is_refused(fault: str, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(DAMAGED[fault])
    with refused("is not a model file or is damaged", tmp_path):
        geoseg.load(tmp_path / "m.safetensors")


def with_facts(path: Path, **facts: Any) -> Path:
    """A small model whose card says something else."""
    options = {"in_channels": 3, "classes": 4, "widths": [4, 4]}
    segmenter_of(nets.build("unet", **options), architecture="unet", options=options).save(path)
    with safe_open(path, framework="pt") as file:
        card = json.loads(file.metadata()["geoseg"])
    card["properties"] |= facts
    save_file(load_file(path), path, {"geoseg": json.dumps(card)})
    return path


def options_of(**facts: Any) -> dict[str, Any]:
    return {"geoseg:architecture": {"name": "unet", "options": {"in_channels": 3, **facts}}}


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (options_of(classes=4, widths=[10**9, 10**9]), "give whole numbers from 1 to 65536"),
        (options_of(classes=4, widths=[8] * 100_000), "widths="),
        ({"geoseg:halo": 10**30}, "must be 0 to 1000000 pixels"),
        ({"geoseg:architecture": {"name": "../../x", "options": {}}}, "../../x"),
    ],
    ids=["10_9_channels", "100000_layers", "number_past_64_bits", "path_for_an_architecture"],
)
def test_a_card_of_huge_numbers_or_hostile_names_is_refused(
    facts: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = with_facts(tmp_path / "m.safetensors", **facts)
    with refused(message, tmp_path):
        geoseg.load(path)


def test_a_name_that_is_a_path_or_moves_the_cursor_harms_nothing(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = with_facts(tmp_path / "m.safetensors", **{"mlm:name": "../../x\n\x1b[2Jgeoseg: done"})
    before = {each.name for each in tmp_path.parent.iterdir()}
    predict_file(scene, tmp_path / "map.tif", path)
    assert {each.name for each in tmp_path.parent.iterdir()} == before
    with Console("none") as console:
        console.message(geoseg.load(path).card.name, "warning")
        console.error("x" * 10**6, "user")
    first, second = capsys.readouterr().err.splitlines()
    assert first == "warning: ../../x  [2Jgeoseg: done"
    assert len(second) < 1100


# ---- scores -----------------------------------------------------------------------------------


class Overflowing(TwoLayers):
    """Gives one value that is no score, where the pixel is brightest."""

    value = torch.nan

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = super().forward(x).clone()
        return torch.where(x[:, :1] > 2.2, torch.full_like(scores, self.value), scores)


@pytest.mark.parametrize("output", ["classes", "confidence", "scores"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_scores_that_are_no_numbers_name_the_model_and_the_place(
    value: float, output: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Overflowing, "value", value)
    model = segmenter_of(Overflowing(), halo=2, stride=1, name="hot")
    image = _one_bright_pixel(37, 21)
    message = r"hot gave scores that are not numbers in row 37, column 21 of the image; its weights"
    with pytest.raises(UserError, match=message):
        geoseg.predict(image, model, output=output, window=16).compute()


def _one_bright_pixel(row: int, column: int) -> Any:
    image = random_image((60, 50))
    image.values[0] = np.minimum(image.values[0], 200)
    image.values[0, row, column] = 254
    return image


def test_one_class_of_minus_infinity_is_no_fault() -> None:
    """What a logarithm of a probability may be; the best class is known."""
    model = segmenter_of(TwoLayers())
    with torch.no_grad():
        model.net.last.bias[1] = -torch.inf  # type: ignore[union-attr, index]
    assert (geoseg.predict(_one_bright_pixel(3, 3), model) != 1).all()


def test_a_run_of_such_a_model_leaves_no_map(scene: Path) -> None:
    model = segmenter_of(TwoLayers())
    with torch.no_grad():
        model.net.last.bias[1] = torch.nan  # type: ignore[union-attr, index]
    with pytest.raises(UserError, match="gave scores that are not numbers in row 0, column 0"):
        predict_file(scene, scene.with_name("map.tif"), model)
    assert not scene.with_name("map.tif").exists()


# ---- disks ------------------------------------------------------------------------------------

STAGES: dict[str, tuple[Any, str]] = {
    "when_the_folder_is_made": (store, "_begin"),
    "while_blocks_are_written": (store.BlockWriter, "write"),
    "while_the_map_is_put_together": (Assembly, "_extend"),
    "while_the_map_is_finished": (Assembly, "finish"),
    "while_polygons_are_written": (finishing, "polygonize_file"),
    "while_outputs_are_put_in_place": (finishing, "publish"),
}

DISKS = {
    "disk_full": (errno.ENOSPC, "is full .*MB are free"),
    "quota_used_up": (errno.EDQUOT, "is full .*MB are free"),
    "permission_lost": (errno.EACCES, "cannot write into .*may not be written to any more"),
    "disk_became_read_only": (errno.EROFS, "cannot write into .*may not be written to any more"),
    "disk_fails": (errno.EIO, "cannot write into .*the disk fails"),
    "share_gone": (errno.ESTALE, "cannot write into .*the disk is gone"),
}


@pytest.fixture
def undisturbed(scene: Path, tmp_path: Path) -> dict[str, bytes]:
    (tmp_path / "whole").mkdir()
    run(scene, folder=tmp_path / "whole", polygons=tmp_path / "whole" / "map.gpkg")
    return contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("fault", "stage"),
    [("disk_full", stage) for stage in STAGES]
    + [(fault, "while_blocks_are_written") for fault in DISKS if fault != "disk_full"],
)
def test_a_disk_that_fails_stops_the_run_which_goes_on_to_the_same_bytes(
    fault: str,
    stage: str,
    scene: Path,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number, message = DISKS[fault]
    where, name = STAGES[stage]
    real, calls = getattr(where, name), []
    (tmp_path / "map").mkdir()
    options = {"folder": tmp_path / "map", "polygons": tmp_path / "map" / "map.gpkg"}

    def fail(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == (2 if stage == "while_blocks_are_written" else 1):
            raise OSError(number, os.strerror(number))
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(where, name, fail)
        with pytest.raises(UserError, match=f"{message}.*the same command goes on") as error:
            run(scene, **options)
    assert "\n" not in str(error.value)
    assert contents(tmp_path / "map") == {}
    run(scene, **options)
    assert contents(tmp_path / "map") == undisturbed
    assert hidden(tmp_path / "map") == []


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_faults import run
from geoseg.errors import UserError
try:
    run(Path({scene!r}), folder=Path({folder!r}), polygons=Path({folder!r}) / "map.{ending}")
except UserError as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.parametrize(
    ("limit", "ending"),
    [(3_000, "gpkg"), (60_000, "fgb"), (60_000, "parquet")],
)
def test_a_write_that_the_system_cuts_off_is_one_line_and_no_part_of_a_file(
    limit: int, ending: str, scene: Path, tmp_path: Path
) -> None:
    """As on a full disk, the libraries see writes that fail wherever they are."""
    (tmp_path / "map").mkdir()
    words = {"limit": limit, "tests": str(ROOT / "tests"), "scene": str(scene), "ending": ending}
    code = LIMITED.format(folder=str(tmp_path / "map"), **words)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "the same command goes on" in done.stdout
    assert done.stdout.count("\n") == 1
    assert contents(tmp_path / "map") == {}


SMALL_DISK = """
import json, shutil, subprocess, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from items import contents
from test_faults import hidden, run
from geoseg.errors import UserError
scene, folder = Path({scene!r}), Path({folder!r})
def mount(*words):
    subprocess.run(["mount", *words, str(folder)], check=True)
def told():
    try:
        run(scene, folder=folder, **{{k: folder / v for k, v in {beside!r}.items()}})
        return ""
    except UserError as error:
        return str(error)
for size in {room!r}:
    mount("-t", "tmpfs", "-o", f"size={{size}}k", "geoseg")
    first, partial = told(), [*contents(folder)]
    mount("-o", "remount,size=64m")
    second, left = told(), hidden(folder)
    print(json.dumps([first, partial, second, left]))
    shutil.copytree(folder, folder.with_name(f"made-{{size}}"))
    subprocess.run(["umount", str(folder)], check=True)
"""
ROOM = (140, 600, 3000)  # kB: too little for the blocks, for the scores, for the polygons
OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")


@pytest.fixture
def mounts() -> None:
    """A process may have file systems of its own."""
    try:
        subprocess.run(
            [*OWN_MOUNTS, "mount", "-t", "tmpfs", "geoseg", "/tmp"],  # noqa: S108  (its own)
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")


@pytest.mark.usefixtures("mounts")
def test_a_disk_that_fills_up_stops_the_run_which_goes_on_once_there_is_room(
    scene: Path, tmp_path: Path
) -> None:
    """Noise compresses less than is reckoned with, and nobody knows how large polygons are."""
    beside = {"scores": "scores.tif", "polygons": "map.gpkg"}
    (tmp_path / "whole").mkdir()
    (tmp_path / "full").mkdir()
    run(scene, folder=tmp_path / "whole", **{k: tmp_path / "whole" / v for k, v in beside.items()})
    words = {"tests": str(ROOT / "tests"), "scene": str(scene), "folder": str(tmp_path / "full")}
    code = SMALL_DISK.format(**words, room=ROOM, beside=beside)
    done = subprocess.run(
        [*OWN_MOUNTS, sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for line, room in zip(done.stdout.splitlines(), ROOM, strict=True):
        first, partial, second, left = json.loads(line)
        assert re.fullmatch(r"the disk of .* is full \(.*MB are free\).*goes on from there", first)
        assert (partial, second, left) == ([], "", [])
        assert contents(tmp_path / f"made-{room}") == contents(tmp_path / "whole")


def test_a_full_disk_is_told_by_polygonize_as_well(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(scene)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    monkeypatch.setattr(polygons.convert, "write", _fail_like_sqlite)
    with refused("the disk of .* is full", tmp_path):
        polygonize_file(tmp_path / "map.tif", tmp_path / "map.gpkg")


def _fail_like_sqlite(*_: object) -> None:

    raise sqlite3.OperationalError("database or disk is full")


def test_a_folder_that_vanishes_is_told_in_one_line(scene: Path) -> None:
    def lose(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == 2:
            scene.with_name(".map.tif.geoseg").rename(scene.with_name("elsewhere"))

    with pytest.raises(
        UserError, match=r"cannot write into .*it is gone|lacks blocks that were written"
    ):
        run(scene, on_progress=lose)
    assert not scene.with_name("map.tif").exists()


@pytest.mark.parametrize("error", [MemoryError("hull"), torch.OutOfMemoryError("CUDA out of it")])
def test_memory_that_runs_out_beside_the_network_is_one_line(
    error: Exception, scene: Path, expected: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(crew, "run_block", fail)
        with pytest.raises(UserError, match=r"memory ran out; give blocks less \(--memory \d+MB\)"):
            run(scene)
    run(scene)
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), expected)


# ---- blocks that are not what was written -----------------------------------------------------


def flip(chunk: Path) -> None:
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)


def zero(chunk: Path) -> None:
    chunk.write_bytes(bytes(chunk.stat().st_size))


HARMS: dict[str, Callable[[Path], None]] = {
    "flipped_bit": flip,
    "cut_short": lambda chunk: os.truncate(chunk, chunk.stat().st_size - 1),
    "emptied": lambda chunk: os.truncate(chunk, 0),
    "zeroed": zero,  # as a loss of power may leave it
    "lost": Path.unlink,
}


def stop_at_the_end(event: dict[str, Any]) -> None:
    """Stop when all blocks are finished, and nothing is in place."""
    if event["event"] == "progress" and event["done"] == event["total"]:
        raise KeyboardInterrupt


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("layer", ["classes", "confidence"])
def test_a_damaged_block_never_reaches_a_map_and_is_computed_anew(
    harm: str, layer: str, scene: Path, tmp_path: Path
) -> None:
    for name in ("whole", "harmed"):
        (tmp_path / name).mkdir()
    options: dict[str, Any] = {"folder": tmp_path / "whole"}
    run(scene, confidence=tmp_path / "whole" / "sure.tif", **options)
    options = {"folder": tmp_path / "harmed", "confidence": tmp_path / "harmed" / "sure.tif"}
    with pytest.raises(KeyboardInterrupt):
        run(scene, on_progress=stop_at_the_end, **options)
    (blocks,) = (tmp_path / "harmed").glob(f".map.tif.geoseg/*/blocks.zarr/{layer}/c")
    chunks = sorted(path for path in blocks.rglob("*") if path.is_file())
    assert len(chunks) > 4
    for chunk in (chunks[1], chunks[-1]):
        HARMS[harm](chunk)
    with pytest.raises(
        UserError, match=r"block 0,1 and 1 more in .*geoseg came back otherwise.*gi"
    ):
        run(scene, **options)
    assert contents(tmp_path / "harmed") == {}
    assert run(scene, **options).computed == 2
    assert contents(tmp_path / "harmed") == contents(tmp_path / "whole")


@pytest.mark.parametrize("harm", HARMS)
def test_a_store_whose_description_is_damaged_is_begun_anew(
    harm: str, scene: Path, expected: NDArray[np.uint8], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(scene, on_progress=stop_at_the_end)
    (description,) = scene.parent.glob(".map.tif.geoseg/*/blocks.zarr/classes/zarr.json")
    HARMS[harm](description)
    result = run(scene)
    assert result.computed == result.blocks
    assert re.search(r"map\.tif\.geoseg is damaged; starting over", caplog.text)
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), expected)


# ---- names ------------------------------------------------------------------------------------

NAMES = {
    "name_of_247_bytes": "n" * 243 + ".tif",
    "name_in_many_scripts": "карта Łąka 地図 é.tif",
    "name_with_spaces_and_quotes": " a  map 'of' \"it\"; %d #1.tif",
    "name_like_an_option": "--overwrite.tif",
    "name_like_a_pattern": "map[1-9]*?.tif",
}


@pytest.mark.parametrize("fault", NAMES)
def test_names_of_any_kind_give_the_right_map(
    fault: str, scene: Path, expected: NDArray[np.uint8], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    source = scene.rename(tmp_path / NAMES[fault])
    target = tmp_path / "out" / NAMES[fault]
    predict_file(source, target, pointwise(), polygons=target.with_suffix(".fgb"))
    np.testing.assert_array_equal(read(target), expected)
    assert hidden(tmp_path / "out") == []


def test_a_name_that_leaves_no_room_for_a_sidecar_is_refused(scene: Path, tmp_path: Path) -> None:
    for name in ("n" * 246 + ".tif", "é" * 122 + ".tif"):
        with refused("bytes, more than 247, which leaves room", tmp_path):
            predict_file(scene, tmp_path / name, pointwise())


# ---- clocks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-(10**8), 10**8])
def test_a_clock_that_jumps_changes_no_map(
    jump: int, scene: Path, expected: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(scene, (time.time() + jump, time.time() + jump))
    real = time.time

    def skip(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == 2:
            monkeypatch.setattr(time, "time", lambda: real() + jump)
        if event["event"] == "progress" and event["done"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(scene, on_progress=skip)
    result = run(scene)
    assert result.computed < result.blocks
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), expected)


@pytest.mark.parametrize("date", [10**8, 2**31 - 10**8], ids=["1973", "2034"])
def test_a_map_is_known_as_done_whatever_the_date_of_its_source(date: int, scene: Path) -> None:
    os.utime(scene, (date, date))
    drawn = {"polygons": scene.with_name("map.gpkg"), "skip_done": True}
    assert run(scene, **drawn).computed > 0
    assert run(scene, **drawn).computed == 0


def test_an_older_file_of_the_same_size_and_ends_is_another_source(tmp_path: Path) -> None:
    scene = write(tmp_path / "scene.tif", random_pixels((3, 300, 300)).astype(np.uint8))
    run(scene)
    data = bytearray(scene.read_bytes())
    assert len(data) > 2 * 65_536 + 1000
    data[len(data) // 2 : len(data) // 2 + 1000] = bytes([7]) * 1000
    scene.write_bytes(data)
    os.utime(scene, (10**8, 10**8))
    told = r"map\.tif exists, made of files that have other dates now; add --overwrite"
    with pytest.raises(UserError, match=told):
        run(scene, skip_done=True)


def test_what_stands_in_the_way_of_a_batch_is_told_with_what_it_was_made_of(scene: Path) -> None:
    run(scene)
    for options, told in (
        ({"window": 64}, "made with other options"),
        ({"scores": scene.with_name("scores.tif")}, "made without some of these outputs"),
        ({"bands": [3, 2, 1], "confidence": scene.with_name("sure.tif")},
         "made with other options, made without some of these outputs"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=rf"map\.tif exists, {told}; add --overwrite"):
            run(scene, skip_done=True, **options)
    names = ("a sea", "forest", "field", "town")
    other = predict_file(scene, scene.with_name("o.tif"), pointwise(classes=names))
    assert other.computed
    os.replace(scene.with_name("o.tif"), scene.with_name("map.tif"))
    with pytest.raises(UserError, match=r"map\.tif exists, no longer as it was made; add --over"):
        run(scene, skip_done=True)
    os.replace(scene.with_name("o.tif.json"), scene.with_name("map.tif.json"))
    with pytest.raises(UserError, match=r"map\.tif exists, made by another model"):
        run(scene, skip_done=True)
    write(scene, random_pixels((3, 40, 50)).astype(np.uint8))
    with pytest.raises(UserError, match=r"map\.tif exists, made of other input, made by another"):
        run(scene, skip_done=True)


def test_an_output_that_another_run_replaced_is_not_taken_for_this_ones(scene: Path) -> None:
    drawn = {"polygons": scene.with_name("map.gpkg"), "skip_done": True}
    run(scene, **drawn)
    write(scene.with_name("other.tif"), random_pixels((3, 40, 50)).astype(np.uint8))
    predict_file(
        scene.with_name("other.tif"),
        scene.with_name("o.tif"),
        pointwise(),
        polygons=scene.with_name("map.gpkg"),
        overwrite=True,
    )
    with pytest.raises(
        UserError, match=r"map\.\w+ exists, no longer as it was made; add --overwrite"
    ):
        run(scene, **drawn)


def test_a_link_as_an_output_means_its_target(scene: Path, expected: NDArray[np.uint8]) -> None:
    kept, links = scene.parent / "kept", scene.parent / "links"
    for folder in (kept, links):
        folder.mkdir()
    for name in ("map.tif", "map.gpkg"):
        (links / name).symlink_to(Path("..") / "kept" / name)  # dangling by now
    drawn = {"folder": links, "polygons": links / "map.gpkg"}
    result = run(scene, **drawn)
    assert result.outputs["classes"].samefile(kept / "map.tif")
    names = {"map.tif", "map.tif.aux.xml", "map.tif.json", "map.gpkg"}
    assert {each.name for each in kept.iterdir()} == names
    assert {each.name for each in links.iterdir()} == {"map.tif", "map.gpkg"}
    assert all(each.is_symlink() for each in links.iterdir())
    np.testing.assert_array_equal(read(links / "map.tif"), expected)
    told = examine(links / "map.tif")["told"]
    assert told is not None
    with pytest.raises(UserError, match=r"kept/map\.tif exists; add --overwrite"):
        run(scene, **drawn)
    assert run(scene, **drawn, skip_done=True).computed == 0
    run(scene, **drawn, overwrite=True)
    assert all(each.is_symlink() for each in links.iterdir())


def test_a_dangling_link_is_no_way_around_a_refusal_of_polygonize(scene: Path) -> None:
    run(scene)
    link, target = scene.with_name("link.gpkg"), scene.with_name("target.gpkg")
    link.symlink_to(target)
    polygonize_file(scene.with_name("map.tif"), link)
    assert link.is_symlink()
    assert target.is_file()
    with pytest.raises(UserError, match=r"target\.gpkg exists; add --overwrite"):
        polygonize_file(scene.with_name("map.tif"), link)


def test_links_that_lead_to_each_other_are_refused(scene: Path) -> None:
    scene.with_name("map.tif").symlink_to(scene.with_name("other.tif"))
    scene.with_name("other.tif").symlink_to(scene.with_name("map.tif"))
    with pytest.raises(UserError, match=r"map\.tif is a symbolic link that leads back to itself"):
        run(scene)


# ---- two processes on one output --------------------------------------------------------------

FAR = json.dumps({"pid": 7, "host": "far", "machine": "another", "since": "2026-11-22 10:00:00"})
HOLDING = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_faults import run

def tell(event):
    if event["event"] == "progress" and event["done"] == 2:
        print("holding", flush=True)
        sys.stdin.readline()

run(Path({scene!r}), on_progress=tell)
"""


@pytest.fixture
def holder(scene: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has finished two blocks of a run, and waits to be told to go on."""
    code = HOLDING.format(tests=str(ROOT / "tests"), scene=str(scene))
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_and_told_who_holds_the_output(
    scene: Path, holder: subprocess.Popen[str]
) -> None:
    message = rf"process {holder.pid} on .*, since 20\d\d-.* UTC, holds .*\(--wait\), or choose"
    with pytest.raises(UserError, match=message) as error:
        run(scene)
    assert "\n" not in str(error.value)


def test_a_second_process_may_wait_and_finds_the_work_done(
    scene: Path,
    holder: subprocess.Popen[str],
    expected: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def go_on(_: float) -> None:
        holder.communicate("\n")

    told: list[dict[str, Any]] = []
    monkeypatch.setattr(lease, "time", SimpleNamespace(sleep=go_on))
    with caplog.at_level(logging.WARNING):
        result = run(scene, wait=True, on_progress=told.append)
    assert (result.computed, result.was_there) == (0, True)
    assert [each["was_there"] for each in told if each["event"] == "done"] == [True]
    assert f"waiting for the end of another run: process {holder.pid}" in caplog.text
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), expected)


def sparse(path: Path) -> Path:
    """A scene of the same grid of which all tiles but the first row's were never written."""
    profile = {
        "driver": "GTiff",
        "count": 3,
        "dtype": "uint8",
        "height": 200,
        "width": 180,
        "nodata": 0,
    }
    place = {"crs": "EPSG:32633", "transform": UTM}
    with rasterio.open(path, "w", **profile, **place, **TILED, sparse_ok=True) as file:
        file.write(random_pixels((3, 64, 180)).astype(np.uint8), window=((0, 64), (0, 180)))
    return path


@contextmanager
def held_until(scene: Path, change: Callable[[], object]) -> Iterator[None]:
    """Hold the output of a scene until a run waits for it; then do something, and let it go."""
    holding, over = threading.Event(), threading.Event()

    def hold() -> None:
        with locks.locked(scene.parent / ".map.tif.geoseg"):
            holding.set()
            over.wait()

    class Waits(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("waiting for the end of another run"):
                change()
                over.set()

    thread, ear = threading.Thread(target=hold), Waits()
    thread.start()
    holding.wait()
    logging.getLogger("geoseg").addHandler(ear)
    try:
        yield
    finally:
        over.set()
        thread.join()
        logging.getLogger("geoseg").removeHandler(ear)


def test_a_run_that_has_waited_is_planned_with_the_input_as_it_is_then(
    scene: Path, expected: NDArray[np.uint8]
) -> None:
    full = scene.rename(scene.with_name("full.tif"))
    sparse(scene)
    with held_until(scene, lambda: full.replace(scene)):
        run(scene, wait=True)
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), expected)
    (told,) = examine(scene.with_name("map.tif"))["made"]["sources"]
    assert told["size"] == scene.stat().st_size
    assert not hidden(scene.parent)


@pytest.mark.parametrize("where", [refusals, job], ids=["before the lock", "under the lock"])
def test_a_source_that_is_replaced_once_it_was_looked_at_gives_no_map(
    where: Any, scene: Path, expected: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = scene.rename(scene.with_name("full.tif"))
    sparse(scene)
    step = "check_values" if where is refusals else "recall"
    real = getattr(where, step)

    def swap(*args: Any) -> Any:
        if full.exists():
            full.replace(scene)
        return real(*args)

    monkeypatch.setattr(where, step, swap)
    with pytest.raises(UserError, match=r"scene\.tif changed while it was read.*same command"):
        run(scene)
    assert not scene.with_name("map.tif").exists()
    run(scene)
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), expected)


def test_a_file_that_comes_beside_a_source_while_it_is_read_gives_no_map(scene: Path) -> None:
    def add(event: dict[str, Any]) -> None:
        if event["event"] == "start":
            scene.with_name("scene.tif.ovr").write_bytes(scene.read_bytes())

    with pytest.raises(UserError, match=r"scene\.tif\.ovr changed while it was read"):
        run(scene, on_progress=add)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.EACCES])
def test_a_disk_that_fails_for_a_moment_makes_no_source_another_one(
    number: int, scene: Path, expected: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(scene, on_progress=stop_after(2))
    real = Path.open

    def fail(path: Path, *words: Any, **options: Any) -> Any:
        if path == scene:
            raise OSError(number, os.strerror(number), str(path))
        return real(path, *words, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fail)
        with pytest.raises(
            UserError, match=r"scene\.tif is the file it was \(.*same command"
        ) as told:
            run(scene)
    assert os.strerror(number) in str(told.value)
    result = run(scene)
    assert 0 < result.computed <= result.blocks - 2
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), expected)


@pytest.mark.parametrize("name", ["polygons", "confidence", "scores"])
def test_two_runs_that_share_any_output_are_never_at_it_together(name: str, scene: Path) -> None:
    shared, second = scene.parent / "shared", scene.parent / "second"
    for folder in (shared, second):
        folder.mkdir()
    output = {name: shared / ("p.gpkg" if name == "polygons" else "p.tif")}
    refused_for = []

    def meanwhile(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and not refused_for:
            with pytest.raises(UserError, match=r"another run .* holds .*shared/\.p\.\w+\.geoseg"):
                run(scene, folder=second, **output)
            refused_for.append(event)

    run(scene, **output, on_progress=meanwhile)
    assert len(refused_for) == 1
    item = json.loads(scene.with_name("map.tif.json").read_text())
    assert item["assets"][name]["file:size"] == output[name].stat().st_size
    with pytest.raises(UserError, match=r"shared/p\.\w+ exists; add --overwrite"):
        run(scene, folder=second, **output)
    assert not [each for each in (scene.parent, shared, second) if hidden(each)]
    assert not [*second.iterdir()]


def test_runs_with_the_same_outputs_lock_them_in_the_same_order(tmp_path: Path) -> None:
    one, other = tmp_path / "a.tif", tmp_path / "b.tif"
    locks = Targets(one, None, other, None).locks
    assert len(locks) == 2
    assert locks == Targets(other, None, one, None).locks


def test_machines_that_know_a_share_by_other_paths_lock_its_outputs_in_one_order(
    tmp_path: Path,
) -> None:
    def order(maps: str, shapes: str) -> list[str]:
        places = tmp_path / maps / "a.tif", tmp_path / shapes / "b" / "a.tif"
        locks = Targets(*places, None, tmp_path / shapes / "a.gpkg").locks
        return [str(each.parent.name) for each in locks]

    # Each would wait for what the other holds, were the order that of the paths.
    first, second = order("1-maps/out", "2-shapes"), order("9-maps/out", "5-shapes")
    assert [each.split("-")[-1] for each in first] == [each.split("-")[-1] for each in second]


def test_what_another_program_wrote_meanwhile_is_not_replaced(
    scene: Path, expected: NDArray[np.uint8]
) -> None:
    drawn = {"polygons": scene.with_name("p.gpkg")}

    def write_it(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == 2:
            drawn["polygons"].write_text("somebody's")

    with pytest.raises(UserError, match=r"p\.gpkg exists; add --overwrite"):
        run(scene, **drawn, on_progress=write_it)
    assert drawn["polygons"].read_text() == "somebody's"
    assert not scene.with_name("map.tif").exists()
    assert hidden(scene.parent) == [".map.tif.geoseg"]  # the extra locks are gone
    assert run(scene, **drawn, overwrite=True).computed == 0
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), expected)
    assert not hidden(scene.parent)


def test_the_lock_of_a_dead_process_is_taken_and_its_work_gone_on_with(
    scene: Path, holder: subprocess.Popen[str], expected: NDArray[np.uint8]
) -> None:
    holder.kill()
    holder.wait()
    assert (scene.with_name(".map.tif.geoseg") / locks.HOLDER).exists()
    result = run(scene)
    assert 0 < result.computed < result.blocks
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), expected)
    assert hidden(scene.parent) == []


def test_a_run_of_another_machine_is_seen_where_locks_are_not_shared(
    scene: Path, expected: NDArray[np.uint8]
) -> None:
    holder = scene.with_name(".map.tif.geoseg") / locks.HOLDER
    holder.parent.mkdir()
    facts = {"pid": 7, "host": "far", "machine": "another", "since": "2026-11-22 10:00:00 UTC"}
    holder.write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"process 7 on far, since .*, last seen less than 120 s"):
        run(scene)
    assert json.loads(holder.read_text()) == facts
    long_ago = time.time() - 10 * lease.STALE
    os.utime(holder, (long_ago, long_ago))
    run(scene)
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), expected)
    assert hidden(scene.parent) == []


def test_a_run_gives_signs_of_life_to_other_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.01)
    with locks.locked(tmp_path / "run"):
        holder = tmp_path / "run" / locks.HOLDER
        assert json.loads(holder.read_text())["machine"] == lease.machine()
        os.utime(holder, (0, 0))
        while not holder.stat().st_mtime:
            time.sleep(0.01)
    assert not (tmp_path / "run").exists()


def test_a_run_that_slept_while_another_machine_took_over_puts_no_part_of_a_file_in_place(
    scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, drafts = finishing._refuse_outputs, []

    def sleep(run: Run, goes_on: bool, overwrite: bool) -> None:
        real(run, goes_on, overwrite)
        if goes_on:  # it is about to put its outputs in place
            (run.folder / locks.HOLDER).write_text(FAR)
            drafts.append(run.draft("classes"))
            with monkeypatch.context() as patch:
                patch.setattr(runs, "owner", lambda: "another")
                drafts.append(run.draft("classes"))
            drafts[1].parent.mkdir()
            drafts[1].write_bytes(b"its beginning")

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "_refuse_outputs", sleep)
        with pytest.raises(UserError, match=r"process 7 on far, .* took over .*; nothing was wri"):
            run(scene)
    assert not scene.with_name("map.tif").exists()
    assert drafts[0] != drafts[1]
    assert drafts[1].read_bytes() == b"its beginning"
    assert (drafts[1].parents[1] / locks.HOLDER).read_text() == FAR


def test_a_run_that_was_taken_over_between_two_outputs_puts_no_more_in_place(
    scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = finishing.publish

    def publish(draft: Path, target: Path) -> None:
        real(draft, target)
        (scene.with_name(".map.tif.geoseg") / locks.HOLDER).write_text(FAR)

    monkeypatch.setattr(finishing, "publish", publish)
    with pytest.raises(UserError, match="took over"):
        run(scene, confidence=scene.with_name("sure.tif"))
    assert scene.with_name("map.tif").exists()
    assert not scene.with_name("sure.tif").exists()


def test_a_run_gives_no_signs_of_life_for_another(tmp_path: Path) -> None:
    holder = tmp_path / locks.HOLDER
    with locks.locked(tmp_path):
        assert locks._touched(tmp_path)
        holder.write_text(FAR)
        os.utime(holder, (0, 0))
        assert not locks._touched(tmp_path)
        assert holder.stat().st_mtime == 0
    assert holder.read_text() == FAR


@pytest.mark.parametrize("method", ["read_text", "unlink", "glob"])
def test_a_disk_that_fails_at_the_end_leaves_no_lock_and_hides_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with (  # noqa: PT012
        monkeypatch.context() as patch,
        pytest.raises(ZeroDivisionError) as met,
        locks.locked(tmp_path / "run"),
    ):
        patch.setattr(Path, method, fail)
        raise ZeroDivisionError
    assert met.value.__context__ is None
    with locks.locked(tmp_path / "run"):  # while the traceback keeps the first lock in memory
        pass
    assert not (tmp_path / "run").exists()


def test_drafts_of_a_process_that_died_are_removed(
    scene: Path, expected: NDArray[np.uint8], tmp_path: Path
) -> None:
    polygons = tmp_path / "drawn" / "map.gpkg"
    for left in (
        scene.with_name(".map.tif.geoseg") / "classes-of-another",
        polygons.with_name(".map.gpkg.geoseg") / "polygons-of-another",
    ):
        left.mkdir(parents=True)
        (left / "map").write_bytes(b"a part")
    run(scene, polygons=polygons)
    np.testing.assert_array_equal(read(scene.with_name("map.tif")), expected)
    assert hidden(scene.parent) == []
    assert hidden(polygons.parent) == []


def test_a_holder_that_cannot_be_read_is_no_bug(scene: Path, holder: Any) -> None:
    (scene.with_name(".map.tif.geoseg") / locks.HOLDER).write_text("[]")
    with pytest.raises(UserError, match="a process that has not said which holds"):
        run(scene)


# ---- what is promised -------------------------------------------------------------------------


def test_every_promise_names_a_test_that_is_there() -> None:
    rows = [
        line.split("|")[1:-1]
        for line in (ROOT / "docs" / "bad-days.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith("| Fault")
    ]
    assert len(rows) >= 40
    assert len({fault for fault, *_ in rows}) == len(rows)
    for fault, *_, named in rows:
        module, _, name = named.strip().strip("`").partition("::")
        text = (ROOT / "tests" / module).read_text(encoding="utf-8")
        assert re.search(rf"^def {name}\(", text, re.M), (fault, named)


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "geoseg", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "transform",
    [
        Affine(0.0, 0.0, 5e5, 0.0, 0.0, 5.6e6),
        Affine(10.0, 0.0, float("nan"), 0.0, -10.0, 5.6e6),
        Affine(10.0, 0.0, 5e5, 0.0, float("inf"), 5.6e6),
        Affine(10.0, 0.0, 5e5, 0.0, -1e-310, 5.6e6),
    ],
)
def test_a_transform_that_puts_pixels_nowhere_is_refused(tmp_path: Path, transform: Affine) -> None:
    source = write(tmp_path / "scene.tif", np.ones((3, 20, 20), np.uint8), transform=transform)
    with pytest.raises(UserError, match="has a transform that puts its pixels nowhere"):
        geoseg.open_raster(source)


@pytest.mark.parametrize("bad", [b"\x98", b"\xff"])
def test_a_header_whose_names_are_no_text_is_refused_in_one_line(
    bad: bytes, tmp_path: Path
) -> None:
    path = write(tmp_path / "scene.tif", random_pixels((3, 40, 40)).astype(np.uint8), crs=LOCAL)
    named = path.read_bytes()
    assert b"Site of the mill" in named
    path.write_bytes(named.replace(b"Site of the mill", b"Site " + bad + b"f the mill"))
    try:
        with rasterio.open(path) as dataset:
            assert dataset.crs
        pytest.fail("GDAL reads it")
    except UnicodeDecodeError:
        pass
    with pytest.raises(UserError, match=r"cannot read .*scene\.tif: .*copy it again"):
        run(path)
    assert [each.name for each in tmp_path.iterdir()] == ["scene.tif"]


def test_a_header_with_any_tag_lost_or_doubled_gives_a_map_or_one_line(tmp_path: Path) -> None:
    pixels = random_pixels((3, 40, 40)).astype(np.uint8)
    source = write(tmp_path / "scene.tif", pixels, tiled=True, blockxsize=16, blockysize=16)
    whole, model = source.read_bytes(), pointwise()
    start = struct.unpack_from("<I", whole, 4)[0]
    (count,) = struct.unpack_from("<H", whole, start)
    places = [start + 2 + 12 * entry for entry in range(count)]
    first = whole[places[0] : places[0] + 2]
    refused_with: list[str] = []
    for place in places:
        for tag in (b"\0\0", b"\x1c\0", first):
            source.write_bytes(whole[:place] + tag + whole[place + 2 :])
            try:
                geoseg.predict_file(
                    source, tmp_path / "map.tif", model, gsd="native", overwrite=True
                )
            except UserError as error:
                refused_with.append(str(error))
    assert 0 < len(refused_with) < 3 * count
    assert not [told for told in refused_with if "\n" in told]


def test_a_mask_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mask.fgb"
    square = gpd.GeoDataFrame({"name": ["a"]}, geometry=[shapely.box(0, 0, 1, 1)], crs=4326)
    square.to_file(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 16):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"mask\.fgb (holds no polygon|is no vector file)"):
            read_mask(path)
