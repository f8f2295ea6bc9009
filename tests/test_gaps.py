"""Sparse rasters: what was never written is neither read nor computed, and the map is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from pointwise import pointwise, random_pixels, write
from rasterio.windows import Window

import geoseg
from geoseg import loader
from geoseg.raster import clip, open_raster
from geoseg.raster.gaps import Gaps, find_gaps

TILE, SHAPE = 64, (300, 420)  # 5 x 7 tiles, those at the far ends cut


def sparse(path: Path, there: np.ndarray, **profile: Any) -> np.ndarray:
    """Write a file of which only some tiles are there; returns its pixels."""
    pixels = random_pixels((3, *SHAPE)).astype(np.uint8)
    facts = {"nodata": 0, "tiled": True, "blockxsize": TILE, "blockysize": TILE, "sparse_ok": True}
    dense = write(path, np.zeros_like(pixels), **(facts | profile))
    with rasterio.open(dense, "r+") as target:
        for row, column in np.argwhere(there):
            rows = slice(row * TILE, min((row + 1) * TILE, SHAPE[0]))
            columns = slice(column * TILE, min((column + 1) * TILE, SHAPE[1]))
            target.write(pixels[:, rows, columns], window=Window.from_slices(rows, columns))
    known = np.kron(there, np.ones((TILE, TILE), bool))[: SHAPE[0], : SHAPE[1]]
    return np.where(known, pixels, 0)


THERE = np.zeros((5, 7), bool)
THERE[1:3, 2] = THERE[4, 6] = True


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_the_tiles_that_are_not_there_are_found(tmp_path: Path, interleave: str) -> None:
    sparse(tmp_path / "scene.tif", THERE, interleave=interleave)
    gaps = find_gaps(str(tmp_path / "scene.tif"), open_raster(tmp_path / "scene.tif"))
    assert gaps is not None
    np.testing.assert_array_equal(gaps.gone, ~THERE)


def test_a_part_of_a_sparse_file_knows_its_gaps(tmp_path: Path) -> None:
    sparse(tmp_path / "scene.tif", THERE)
    image = open_raster(tmp_path / "scene.tif")
    y, x = image["y"].values, image["x"].values
    part = clip(image, (x[100] - 1, y[200] - 1, x[260] + 1, y[70] + 1), None)
    gaps = find_gaps(str(tmp_path / "scene.tif"), part)
    assert gaps is not None
    assert gaps.origin == (70, 100)
    assert gaps.cover((slice(0, 50), slice(0, 28)))  # columns 100 to 128, before the tile
    assert not gaps.cover((slice(0, 50), slice(0, 29)))


@pytest.mark.parametrize("facts", [{"nodata": None}, {"driver": "PNG", "tiled": None}])
def test_zeros_that_are_data_are_no_gaps(tmp_path: Path, facts: dict[str, Any]) -> None:
    path = tmp_path / "scene.tif"
    pixels = np.zeros((3, 130, 130), np.uint8)
    if facts.get("driver"):
        write(path, pixels, driver="PNG")
    else:
        write(path, pixels, tiled=True, blockxsize=64, blockysize=64, sparse_ok=True)
    assert find_gaps(str(path), open_raster(path)) is None


def test_a_fourth_band_that_is_data_does_not_make_zeros_missing(tmp_path: Path) -> None:
    pixels = random_pixels((4, 200, 200)).astype(np.uint8)
    names = ("red", "green", "blue", "nir")
    for name, sparse_ok in (("full", False), ("sparse", True)):
        path = tmp_path / f"{name}.tif"
        facts = {"tiled": True, "blockxsize": 64, "blockysize": 64, "sparse_ok": sparse_ok}
        write(path, np.zeros_like(pixels), **facts)
        with rasterio.open(path, "r+") as target:
            target.descriptions = names
            target.write(pixels[:, :64, :64], window=Window(0, 0, 64, 64))
        assert find_gaps(str(path), open_raster(path, bands=[1, 2, 3])) is None
        geoseg.predict_file(path, tmp_path / f"{name}-map.tif", pointwise(), bands=[1, 2, 3])
    maps = [geoseg.open_raster(tmp_path / f"{name}-map.tif") for name in ("full", "sparse")]
    np.testing.assert_array_equal(*maps)
    assert (maps[0] != 255).all()


def test_an_alpha_band_that_was_not_written_is_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    pixels = np.full((4, 200, 200), 200, np.uint8)
    facts = {"tiled": True, "blockxsize": 64, "blockysize": 64, "sparse_ok": True}
    write(path, np.zeros_like(pixels), photometric="RGB", alpha="YES", **facts)
    with rasterio.open(path, "r+") as target:
        target.write(pixels[:, :64, :64], window=Window(0, 0, 64, 64))
    gaps = find_gaps(str(path), open_raster(path))
    assert gaps is not None
    assert gaps.gone.sum() == gaps.gone.size - 1


@given(
    gone=st.lists(st.booleans(), min_size=35, max_size=35),
    ends=st.tuples(*[st.integers(0, 299)] * 2, *[st.integers(0, 419)] * 2),
)
def test_a_box_is_covered_when_all_tiles_that_it_touches_are_gone(
    gone: list[bool], ends: tuple[int, int, int, int]
) -> None:
    tiles = np.array(gone).reshape(5, 7)
    top, bottom = sorted(ends[:2])
    left, right = sorted(ends[2:])
    by_pixels = np.kron(tiles, np.ones((TILE, TILE), bool))
    box = slice(top, bottom + 1), slice(left, right + 1)
    assert Gaps(tiles, (TILE, TILE), (0, 0)).cover(box) == by_pixels[box].all()


def test_the_map_of_a_sparse_file_is_that_of_a_full_one_and_gaps_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = sparse(tmp_path / "sparse.tif", THERE)
    write(tmp_path / "full.tif", pixels, nodata=0)
    model = pointwise()
    read: list[tuple[slice, slice]] = []
    part_of = loader.Scene.part_of

    def noticed(scene: loader.Scene, native: np.ndarray, box: tuple[slice, slice]) -> loader.Part:
        read.append(box)
        return part_of(scene, native, box)

    memory = 30_000  # blocks of a window
    full = geoseg.predict_file(tmp_path / "full.tif", tmp_path / "a.tif", model, memory=memory)
    monkeypatch.setattr(loader.Scene, "part_of", noticed)
    result = geoseg.predict_file(tmp_path / "sparse.tif", tmp_path / "b.tif", model, memory=memory)
    with rasterio.open(tmp_path / "a.tif") as a, rasterio.open(tmp_path / "b.tif") as b:
        np.testing.assert_array_equal(a.read(), b.read())
        assert (b.read() != 255).any()
    assert full.computed == full.blocks == result.blocks
    assert result.computed == len(read) < result.blocks / 2
    known = np.kron(THERE, np.ones((TILE, TILE), bool))
    assert all(known[box].any() for box in read)


def test_a_file_without_any_data_gives_a_map_without_any(tmp_path: Path) -> None:
    sparse(tmp_path / "scene.tif", np.zeros_like(THERE))
    result = geoseg.predict_file(tmp_path / "scene.tif", tmp_path / "map.tif", pointwise())
    assert result.computed == 0
    with rasterio.open(tmp_path / "map.tif") as file:
        assert (file.read() == 255).all()
