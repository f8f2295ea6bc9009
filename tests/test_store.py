"""What is kept of blocks in memory: little, and nothing once a run is over, without any search."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from pointwise import pointwise, random_pixels, write
from toys import segmenter_of

from geoseg import batch, job, nets, store
from geoseg.batch import SceneJob, predict_scenes
from geoseg.cli import main
from geoseg.errors import UserError
from geoseg.job import predict_file
from geoseg.plan import Block
from geoseg.raster.read import RasterArray
from geoseg.store import BlockStore

SMALL = 200_000  # bytes: several blocks
ROWS, COLUMNS, SIDE = 2, 6, 4
LAYERS = {"classes": (1, "uint8", 255)}
PLAN: Any = SimpleNamespace(shape=(ROWS, COLUMNS), chunks=((SIDE,) * ROWS, (SIDE,) * COLUMNS))


@pytest.fixture
def unsearched() -> Iterator[None]:
    """What nobody refers to goes at once; cycles stay."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[NDArray[Any]]]:
    """Every strip that is decoded, for as long as somebody keeps it."""
    real, seen = BlockStore._stored, []

    def stored(self: BlockStore, layer: str, block: Block, index: int) -> NDArray[Any]:
        strip = real(self, layer, block, index)
        seen.append(weakref.ref(strip))
        return strip

    monkeypatch.setattr(BlockStore, "_stored", stored)
    return seen


def kept(decoded: list[weakref.ref[NDArray[Any]]]) -> int:
    """Bytes of strips that somebody keeps."""
    return sum(strip.nbytes for each in decoded if (strip := each()) is not None)


def alive(kind: type) -> int:
    """How many there are; by types, for stand-ins of torch warn when they are asked for theirs."""
    return sum(issubclass(type(each), kind) for each in gc.get_objects())


def scenes(folder: Path, count: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    return [
        write(folder / f"s{i}.tif", random_pixels((3, 200, 180), seed=i).astype(np.uint8))
        for i in range(count)
    ]


@pytest.mark.usefixtures("unsearched")
def test_a_run_that_is_over_keeps_no_blocks(
    tmp_path: Path, decoded: list[weakref.ref[NDArray[Any]]]
) -> None:
    (scene,) = scenes(tmp_path / "scenes", 1)
    others = alive(BlockStore)  # that errors of other tests may keep
    beside = {"scores": tmp_path / "scores.tif", "confidence": tmp_path / "sure.tif"}
    predict_file(scene, tmp_path / "map.tif", pointwise(), memory=SMALL, **beside)
    assert len(decoded) > 3
    assert kept(decoded) == 0
    assert alive(BlockStore) <= others


@pytest.mark.usefixtures("unsearched")
@pytest.mark.parametrize("error", [UserError("no luck"), RuntimeError("no luck")])
def test_scenes_that_fail_keep_no_blocks_until_the_end_of_the_batch(
    error: Exception,
    tmp_path: Path,
    decoded: list[weakref.ref[NDArray[Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    jobs = [
        SceneJob(str(each), (("dst", tmp_path / f"map-{each.name}"),))
        for each in scenes(tmp_path / "scenes", 3)
    ]

    def fail(*_: object) -> None:
        raise type(error)("no room") from error

    monkeypatch.setattr(job, "write_item", fail)
    options = {"scheduler": None, "memory": SMALL, "device": "cpu"}
    failed, others = [], alive(BlockStore)
    for each, outcome in predict_scenes(jobs, pointwise(), ["toy"], options, lambda _: print):
        assert isinstance(outcome, type(error))
        failed.append((each, outcome))
        assert kept(decoded) == 0
        assert alive(BlockStore) <= others
    assert len(failed) == 3
    assert len(decoded) > 3


@pytest.mark.usefixtures("unsearched")
def test_a_batch_of_the_command_line_keeps_no_rasters_of_scenes_that_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"in_channels": 3, "classes": 4, "widths": [8, 8]}
    model = segmenter_of(nets.build("unet", **options), architecture="unet", options=options)
    saved = tmp_path / "model.safetensors"
    model.save(saved)
    scenes(tmp_path / "scenes", 3)
    there: list[int] = []

    def counted(**arguments: Any) -> job.Result:
        there.append(alive(RasterArray))
        return predict_file(**arguments)

    monkeypatch.setattr(batch, "predict_file", counted)
    words = [
        "predict",
        tmp_path / "scenes",
        tmp_path / "maps",
        "-m",
        tmp_path / "model.safetensors",
    ]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.stderr
    assert there == [there[0]] * 3


def test_strips_are_kept_for_the_next_piece_in_so_many_bytes(
    tmp_path: Path, decoded: list[weakref.ref[NDArray[Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CACHED", COLUMNS * SIDE**2)  # a row of blocks
    own = BlockStore(tmp_path, "a" * 64, PLAN, LAYERS, {})
    whole = random_pixels((1, ROWS * SIDE, COLUMNS * SIDE)).astype(np.uint8)
    for row in range(ROWS):
        for column in range(COLUMNS):
            rows = slice(row * SIDE, (row + 1) * SIDE)
            columns = slice(column * SIDE, (column + 1) * SIDE)
            own.write(Block(row, column), {"classes": whole[:, rows, columns]})
    everywhere = slice(0, COLUMNS * SIDE)
    for top in range(ROWS * SIDE):  # pieces of one line, each of all blocks of a row
        box = slice(top, top + 1), everywhere
        pixels = own.read("classes", box)
        assert pixels is not None
        np.testing.assert_array_equal(pixels, whole[:, *box])
        assert kept(decoded) == store.CACHED
    assert len(decoded) == ROWS * COLUMNS
    monkeypatch.setattr(store, "CACHED", 0)
    again = BlockStore(tmp_path, "a" * 64, PLAN, LAYERS, {})
    assert np.array_equal(again.read("classes", (slice(0, ROWS * SIDE), everywhere)), whole)
    del own
    assert kept(decoded) == 0


def test_where_no_run_is_remembered_nothing_is_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(store, "names_in", lambda folder: asked.append(folder) or [])
    assert store.unreadable(tmp_path) == []
    assert asked == []
