"""Blocks read in turn hold what they would hold read one by one, and nothing is decoded twice."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from pointwise import random_pixels, write
from toys import Hourglass, random_image, segmenter_of

from geoseg.loader import Scene
from geoseg.plan import Block, Tiling
from geoseg.raster import open_raster
from geoseg.raster.files import block_cache
from geoseg.raster.read import Tiles, tiles_of
from geoseg.reading import BlockReader
from geoseg.tasks import Running, Task, make_task


def task_of(image: xr.DataArray, side: int, blend: str, zoom: float = 1.0) -> Task:
    model = segmenter_of(Hourglass())
    scene = Scene(image, zoom=(zoom, zoom))
    return make_task(scene, model, ("classes",), Tiling(64, block=side, blend=blend), Running())  # type: ignore[arg-type]


@given(
    side=st.sampled_from([40, 64, 150]),
    tile=st.sampled_from([1, 16, 100, 1000]),
    blend=st.sampled_from(["crop", "hann"]),
    zoom=st.sampled_from([1.0, 0.6, 1.7]),
    top=st.integers(0, 40),
    keep=st.sampled_from([0, 20_000, 10**9]),
    skipped=st.sets(st.integers(0, 30), max_size=10),
)
@settings(max_examples=40)
def test_blocks_read_in_turn_are_what_they_are_read_alone(
    side: int, tile: int, blend: str, zoom: float, top: int, keep: int, skipped: set[int]
) -> None:
    task = task_of(random_image((230, 260), nodata=0), side, blend, zoom)
    reader = BlockReader(task, Tiles(tile, 64, 0, top), keep)
    for index, block in enumerate(task.plan.blocks()):
        if index in skipped:  # done by an earlier run
            continue
        found, expected = reader.read(block), task.scene.part(task.plan.hull(block))
        assert (found.origin, found.extent) == (expected.origin, expected.extent)
        assert found.nodata == pytest.approx(expected.nodata, nan_ok=True)
        np.testing.assert_array_equal(found.pixels, expected.pixels)
        np.testing.assert_array_equal(found.native.pixels, expected.native.pixels)


def test_every_row_of_a_column_of_blocks_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, task = _rows_taken(monkeypatch)
    reader = BlockReader(task, Tiles(50, 64, 0, top=7), keep=10**9)
    for row in range(task.plan.shape[0]):
        reader.read(Block(row, 0))
    assert task.plan.shape[0] > 5
    assert (taken == 1).all()


def test_what_must_not_be_kept_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, task = _rows_taken(monkeypatch)
    few = 1000  # bytes; a halo on both sides has 4,224
    reader = BlockReader(task, Tiles(900, 64, 0), few)  # one tile is all of the image
    for row in range(task.plan.shape[0]):
        reader.read(Block(row, 0))
        assert sum(kept.pixels.nbytes for kept in reader._kept.values()) <= few
    hulls = [task.plan.rows.hull(row).indices(900) for row in range(task.plan.shape[0])]
    assert 900 < taken.sum() <= sum(stop - start for start, stop, _ in hulls)


def _rows_taken(monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, Task]:
    """How often each row of an image is read, and a task of one column of blocks."""
    image = random_image((900, 64))
    task = task_of(image, 64, "crop")
    taken = np.zeros(900, int)
    real = xr.DataArray.__getitem__

    def counted(array: xr.DataArray, key: object) -> xr.DataArray:
        if isinstance(key, tuple) and array.shape == image.shape:
            taken[key[1]] += 1
        return real(array, key)

    monkeypatch.setattr(xr.DataArray, "__getitem__", counted)
    return taken, task


@pytest.mark.skipif(sys.platform != "linux", reason="bytes are counted by Linux alone")
def test_a_file_is_read_hardly_more_than_once(tmp_path: Path) -> None:
    pixels = random_pixels((3, 1500, 4000)).astype(np.uint8)
    facts = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    path = write(tmp_path / "scene.tif", pixels, **facts)
    task = task_of(open_raster(path), 300, "crop")
    assert min(task.plan.shape) > 3
    reader = BlockReader(task, tiles_of(str(path), task.scene.image), keep=10**8)
    with block_cache(20 * 256 * 256 * 3):  # a block and what is around it, not a row of blocks
        before = _bytes_read()
        for block in task.plan.blocks():
            reader.read(block)
        assert _bytes_read() - before <= 1.2 * path.stat().st_size


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar"))


@pytest.mark.parametrize("blend", ["crop", "hann"])
@pytest.mark.parametrize("side", [4096, 20_480, 100_000])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_windows_are_hardly_evaluated_more_often_than_there_are(
    blend: str, side: int, dtype: str
) -> None:
    pixels = np.broadcast_to(np.zeros((), dtype), (3, side, side))
    model = segmenter_of(Hourglass(), window=512)
    scene = Scene(xr.DataArray(pixels, dims=("band", "y", "x")))
    tiling = Tiling(blend=blend)  # type: ignore[arg-type]
    plan = make_task(scene, model, ("classes",), tiling, Running(), 4 << 30).plan
    evaluated = sum(
        len(plan.rows.evaluated(row)) * len(plan.columns.evaluated(column))
        for row, column in product(*map(range, plan.shape))
    )
    assert evaluated / len(plan.windows) <= (1.02 if blend == "crop" else 1.10)
