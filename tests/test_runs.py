"""Runs of files: stopped, taken up again, refused; the same bytes whatever happened on the way."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from math import ceil, prod
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rasterio.shutil
import torch
import xarray as xr
import zarr
from click.testing import CliRunner
from items import contents
from pointwise import pointwise, random_pixels, read, write
from rasterio.errors import NotGeoreferencedWarning
from serving import serving
from toys import segmenter_of

import geoseg
from geoseg import crew, devices, finishing, footprint, identity, job, nets, runs
from geoseg.cli import main
from geoseg.crew import Spent, Threads
from geoseg.devices import Capacity
from geoseg.errors import UserError
from geoseg.identity import facts_of_file, untold
from geoseg.info import examine
from geoseg.job import predict_file
from geoseg.loader import Scene
from geoseg.places import Remote, scratch_of
from geoseg.plan import Block, Tiling
from geoseg.raster import CogDraft, files
from geoseg.runs import facts_of
from geoseg.segmenter import Segmenter
from geoseg.tasks import Fit, Running, at_once, make_task
from geoseg.versions import VERSIONS

OPTIONS = {"in_channels": 3, "classes": 4, "widths": [8, 8]}
SMALL = 200_000  # bytes: blocks of a few windows
LARGE = 6_000_000  # 9 blocks of a cheap model on one core
OUTPUTS = ("map.tif", "map.tif.aux.xml", "map.tif.json", "map.gpkg", "sure.tif", "scores.tif")


@pytest.fixture(scope="module")
def model() -> Segmenter:
    return segmenter_of(nets.build("unet", **OPTIONS), architecture="unet", options=OPTIONS)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write(tmp_path / "scene.tif", random_pixels((3, 300, 260)).astype(np.uint8), nodata=0)


def run(scene: Path, folder: Path, model: Any, **options: Any) -> job.Result:
    folder.mkdir(exist_ok=True)
    settings = {
        "polygons": folder / "map.gpkg",
        "confidence": folder / "sure.tif",
        "scores": folder / "scores.tif",
        "memory": SMALL,
    }
    return predict_file(scene, folder / "map.tif", model, **(settings | options))


class Interrupted(Exception):  # noqa: N818  (it stands for no error)
    """Stands for whatever ends a run."""


def stop_after(count: int) -> Any:
    def report(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == count:
            raise Interrupted

    return report


@pytest.fixture
def undisturbed(scene: Path, tmp_path: Path, model: Segmenter) -> dict[str, bytes]:
    run(scene, tmp_path / "whole", model)
    return contents(tmp_path / "whole")


def test_an_interrupted_run_goes_on_and_ends_in_the_same_bytes(
    scene: Path, tmp_path: Path, model: Segmenter, undisturbed: dict[str, bytes]
) -> None:
    folder = tmp_path / "parts"
    for count in (1, 4):
        with pytest.raises(Interrupted):
            run(scene, folder, model, on_progress=stop_after(count))
        assert not contents(folder)
    result = run(scene, folder, model)
    assert result.blocks > 6
    # Blocks that were finished beside those that were told about need not be computed, either.
    assert 0 < result.computed <= result.blocks - 4
    assert contents(folder) == undisturbed
    assert sorted(undisturbed) == sorted(OUTPUTS)
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize(
    ("where", "step"),
    [(CogDraft, "finish"), (finishing, "polygonize_file"), (finishing, "publish")],
    ids=["finish", "polygonize_file", "publish"],
)
def test_a_run_that_ends_while_it_is_assembled_goes_on_without_computing(
    scene: Path,
    tmp_path: Path,
    model: Segmenter,
    undisturbed: dict[str, bytes],
    where: Any,
    step: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []
    real = getattr(where, step)

    def once(*args: Any, **kwargs: Any) -> None:
        calls.append(1)
        if len(calls) == (2 if step == "publish" else 1):
            raise Interrupted
        real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(where, step, once)
        with pytest.raises(Interrupted):
            run(scene, tmp_path / "parts", model)
    assert run(scene, tmp_path / "parts", model).computed == 0
    assert contents(tmp_path / "parts") == undisturbed


def test_a_run_that_ends_while_it_cleans_up_is_done(
    scene: Path,
    tmp_path: Path,
    model: Segmenter,
    undisturbed: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(finishing, "clean_up", _interrupt)
        with pytest.raises(Interrupted):
            run(scene, tmp_path / "map", model)
    assert run(scene, tmp_path / "map", model).computed == 0
    assert contents(tmp_path / "map") == undisturbed
    assert [path.name for path in (tmp_path / "map").iterdir() if path.is_dir()] == []


def _interrupt(*_: object) -> None:
    raise Interrupted


def _touch(scene: Path) -> None:
    with rasterio.open(scene, "r+") as file:
        pixels = file.read()
        pixels[:, 5, 5] += 1
        file.write(pixels)


@pytest.mark.parametrize("change", ["input", "model", "bands", "window", "gsd", "restart"])
def test_what_differs_never_continues_an_old_run(
    scene: Path, tmp_path: Path, model: Segmenter, change: str
) -> None:
    with pytest.raises(Interrupted):
        run(scene, tmp_path / "map", model, on_progress=stop_after(2))
    options: dict[str, Any] = {
        "bands": {"bands": [3, 2, 1]},
        "window": {"window": 128},
        "gsd": {"gsd": 17.0},
        "restart": {"restart": True},
    }.get(change, {})
    if change == "input":
        _touch(scene)
    other = segmenter_of(nets.build("unet", **OPTIONS), seed=5) if change == "model" else model
    result = run(scene, tmp_path / "map", other, **options)
    assert result.computed == result.blocks
    run(scene, tmp_path / "fresh", other, **options)
    assert contents(tmp_path / "map") == contents(tmp_path / "fresh")


def test_outputs_that_exist_are_kept_unless_they_may_be_replaced(
    scene: Path, tmp_path: Path, model: Segmenter
) -> None:
    run(scene, tmp_path / "map", model)
    before = contents(tmp_path / "map")
    with pytest.raises(UserError, match=r"map\.tif exists; add --overwrite"):
        run(scene, tmp_path / "map", model)
    other = segmenter_of(nets.build("unet", **OPTIONS), seed=5)
    with pytest.raises(Interrupted):
        run(scene, tmp_path / "map", other, overwrite=True, on_progress=stop_after(2))
    assert contents(tmp_path / "map") == before
    run(scene, tmp_path / "map", other, overwrite=True)
    assert contents(tmp_path / "map").keys() == before.keys()
    assert contents(tmp_path / "map") != before


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks are worked on four at a time, whatever the machine has."""
    monkeypatch.setattr(devices, "cores", lambda: 4)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_cores")
def test_blocks_side_by_side_give_what_they_give_one_by_one(
    scene: Path, tmp_path: Path, model: Segmenter
) -> None:
    options: dict[str, Any] = {"memory": 4 * SMALL, "window": 64}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "cores", lambda: 1)
        run(scene, tmp_path / "alone", model, **options)
    with pytest.raises(Interrupted):
        run(scene, tmp_path / "together", model, on_progress=stop_after(4), **options)
    result = run(scene, tmp_path / "together", model, **options)
    assert result.blocks > 4
    assert 0 < result.computed < result.blocks
    for name in ("map.tif", "scores.tif", "sure.tif"):
        one, other = (geoseg.open_raster(tmp_path / f / name) for f in ("alone", "together"))
        np.testing.assert_array_equal(one, other)


def test_blocks_come_in_order_whichever_is_finished_first() -> None:
    blocks = [Block(0, i) for i in range(9)]
    waits = [threading.Event() for _ in blocks]
    seen: list[int] = []

    def finish(block: Block, part: Any) -> Spent:
        if block.column % 3 == 0:  # waits for the two behind it
            assert waits[block.column + 1].wait(60)
            assert waits[block.column + 2].wait(60)
        seen.append(block.column)
        waits[block.column].set()
        return Spent()

    found = Threads(lambda block: block, finish, 3).run(blocks)  # type: ignore[arg-type, return-value]
    assert [block for block, _ in found] == blocks
    assert seen != sorted(seen)


@pytest.mark.parametrize("step", ["read", "finish"])
def test_what_goes_wrong_in_a_thread_ends_the_run(step: str) -> None:
    blocks = [Block(0, i) for i in range(50)]
    done: list[Block] = []

    def read(block: Block) -> Any:
        if step == "read" and block.column == 5:
            raise Interrupted
        return block

    def finish(block: Block, part: Any) -> Spent:
        if step == "finish" and block.column == 5:
            raise Interrupted
        done.append(block)
        return Spent()

    with pytest.raises(Interrupted):
        list(Threads(read, finish, 4).run(blocks))
    assert len(done) < 20  # the rest was not begun


def test_a_run_that_is_left_early_leaves_no_thread() -> None:
    blocks = [Block(0, i) for i in range(50)]
    before = threading.active_count()
    with closing(
        Threads(lambda block: block, lambda *_: Spent(), 4).run(blocks)  # type: ignore[arg-type, return-value]
    ) as found:
        assert next(found)[0] == blocks[0]
    assert threading.active_count() == before


def test_a_run_that_was_stopped_between_its_outputs_puts_all_of_them_in_place(
    scene: Path, tmp_path: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, other = tmp_path / "map", pointwise(window=64)
    run(scene, folder, other)
    run(scene, tmp_path / "expected", model)
    real, calls = finishing.publish, []

    def once(draft: Any, target: Any, *more: Any) -> None:
        calls.append(target)
        if len(calls) == 3:
            raise Interrupted
        real(draft, target)

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "publish", once)
        with pytest.raises(Interrupted):
            run(scene, folder, model, overwrite=True)
    (folder / "other.gpkg").write_text("somebody's")
    with pytest.raises(
        UserError, match="exists, made by another model, no longer as"
    ):  # it is another call
        run(scene, folder, model, polygons=folder / "other.gpkg")
    (folder / "other.gpkg").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(job, "finish_drafts", once)  # stopped again, before anything is put in place
        calls[:] = [folder] * 2
        with pytest.raises(Interrupted):
            run(scene, folder, model)
    assert run(scene, folder, model).computed == 0
    assert contents(folder) == contents(tmp_path / "expected")


def test_polygons_of_an_older_map_are_not_taken_for_those_of_this_one(
    scene: Path, tmp_path: Path, model: Segmenter
) -> None:
    folder = tmp_path / "map"
    run(scene, folder, pointwise(window=64))
    run(scene, folder, model, polygons=None, overwrite=True)
    again = run(scene, folder, model, overwrite=True, skip_done=True)
    assert again.computed > 0
    run(scene, tmp_path / "expected", model)
    assert contents(folder) == contents(tmp_path / "expected")
    assert run(scene, folder, model, overwrite=True, skip_done=True).computed == 0


def test_a_run_goes_on_though_there_is_less_memory_now(
    scene: Path, tmp_path: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprint, "_free", lambda: 8 << 30)
    options: dict[str, Any] = {"memory": None, "window": 64}
    with pytest.raises(Interrupted):
        run(scene, tmp_path / "map", model, on_progress=stop_after(1), **options)
    monkeypatch.setattr(footprint, "_free", lambda: 1 << 20)
    assert run(scene, tmp_path / "map", model, **options).computed < 4


@contextmanager
def cores(count: int) -> Iterator[None]:
    """A machine with so many cores."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "cores", lambda: count)
        yield
    torch.set_num_threads(before)


def stop_soon(event: dict[str, Any]) -> None:
    if event["event"] == "progress":
        raise Interrupted


@pytest.mark.parametrize("blend", ["crop", "hann"])
def test_a_run_goes_on_with_its_blocks_whatever_the_number_of_cores(
    scene: Path, tmp_path: Path, blend: str
) -> None:
    model, options = pointwise(), {"memory": LARGE, "blend": blend}
    with cores(1):
        blocks = run(scene, tmp_path / "whole", model, **options).blocks
    with cores(4):
        assert run(scene, tmp_path / "four", model, **options).blocks != blocks
    for count in (1, 2):
        with cores(count), pytest.raises(Interrupted):
            run(scene, tmp_path / "map", model, on_progress=stop_soon, **options)
    with cores(4):
        result = run(scene, tmp_path / "map", model, **options)
    assert result.blocks == blocks
    assert 0 < result.computed <= blocks - 2
    assert contents(tmp_path / "map") == contents(tmp_path / "whole")


@pytest.mark.parametrize("blend", ["crop", "hann"])
@pytest.mark.parametrize("workers", [1, 2, 3, 5, 16])
def test_there_are_blocks_for_all_workers_of_a_cluster(workers: int, blend: Any) -> None:
    band = {"band": [1, 2, 3]}
    image = xr.DataArray(np.zeros((3, 4000, 4000), np.uint8), band, dims=("band", "y", "x"))
    has = Capacity("cpu", 1, 1, 2e9, workers)
    model = pointwise(window=512, halo=64, stride=16)
    given: Any = Tiling(blend=blend), Running(device="cpu"), 4 << 30
    task = make_task(Scene(image), model, ("classes",), *given, has)
    # None waits for long: neither from the begin, nor while others do the last blocks.
    assert ceil(task.plan.count / workers) * workers <= 1.25 * task.plan.count


@pytest.mark.parametrize("zoom", [1.0, 0.25, 0.1])
@pytest.mark.parametrize("crew", [1, 2, 3, 7, 8])
def test_blocks_at_once_fit_into_the_memory_that_is_there_now(crew: int, zoom: float) -> None:
    has, large = Capacity("cpu", crew, 1, 50e6 / crew, crew), 100_000_000
    band = {"band": [1, 2, 3]}
    image = xr.DataArray(np.zeros((3, 4000, 4000), np.uint8), band, dims=("band", "y", "x"))
    scene = Scene(image, zoom=(zoom, zoom))
    fixed: Any = scene, pointwise(), ("classes",), Tiling(), Running(device="cpu")
    task = make_task(*fixed, large, has)
    assert at_once(task, large, has) == task.crew == crew  # as it was planned
    assert at_once(task, large, replace(has, crew=1, tensors=50e6)) == 1
    window, block = prod(task.plan.windows.size), prod(map(max, task.plan.chunks))
    assert (crew + 2) * block * 6 <= large / 4 * 1.8  # one and a half windows become two a side
    back = window * 4 * 4 / zoom**2 if zoom < 1 else 0.0  # scores of a window's image pixels
    assert crew * back <= large / 2 or window <= 64**2  # none is made smaller
    counts = []
    for memory in (100 * large, 4 * large, large, large // 2, large // 5, large // 100):
        counts.append(at_once(task, memory, Capacity("cpu", 16, 1, memory / 2 / 16, 16)))
        assert counts[-1] * window * 44 <= memory / 2  # what the network holds of a pixel,
        share = min(block * 6, large / 4 / (crew + 2))  # and what is read and made of it
        assert not counts[-1] or (counts[-1] + 2) * share <= memory / 4 * 1.000001
    assert counts == sorted(counts, reverse=True)
    assert (counts[0], counts[-1]) == (16, 0)
    assert counts[2] == crew


@pytest.mark.usefixtures("four_cores")
def test_no_more_blocks_are_worked_on_at_once_than_fit(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []

    class Counted(Threads):
        def run(self, blocks: Any) -> Any:
            counts.append(self.count)
            raise Interrupted

    monkeypatch.setattr(crew, "Threads", Counted)
    for memory in (2 * LARGE, LARGE, 8 * LARGE):
        with pytest.raises(Interrupted):
            run(scene, tmp_path / "map", pointwise(), memory=memory)
    assert counts == [4, 1, 4]


def test_blocks_that_do_not_fit_into_less_memory_are_neither_lost_nor_computed_in_it(
    scene: Path, tmp_path: Path
) -> None:
    model, folder, kept = pointwise(), tmp_path / "map", tmp_path / "kept"
    told = rf"has blocks for {LARGE} bytes .* into 30000; .*--memory {LARGE}\), .*: --restart"
    with cores(1):
        run(scene, tmp_path / "whole", model, memory=LARGE)
        for each in (folder, kept):
            with pytest.raises(Interrupted):
                run(scene, each, model, memory=LARGE, on_progress=stop_soon)
            with pytest.raises(UserError, match=told):
                run(scene, each, model, memory=30_000)
        assert run(scene, kept, model, memory=LARGE).computed < 9
        assert contents(kept) == contents(tmp_path / "whole")
        result = run(scene, folder, model, memory=30_000, restart=True)
    assert result.computed == result.blocks > 9


def test_less_memory_that_makes_the_same_blocks_refuses_none(scene: Path, tmp_path: Path) -> None:
    with cores(1):
        with pytest.raises(Interrupted):
            run(scene, tmp_path / "map", pointwise(), memory=30_000, on_progress=stop_soon)
        result = run(scene, tmp_path / "map", pointwise(), memory=10_000)
    assert result.computed < result.blocks


@pytest.mark.parametrize("options", [{}, {"restart": True}])
def test_a_run_that_is_given_up_leaves_nothing_to_the_next_one(
    scene: Path, tmp_path: Path, model: Segmenter, options: dict[str, bool]
) -> None:
    with pytest.raises(Interrupted):
        run(scene, tmp_path / "map", model, on_progress=stop_after(2))
    other = model if options else segmenter_of(nets.build("unet", **OPTIONS), seed=5)
    result = run(scene, tmp_path / "map", other, memory=None, **options)
    assert result.computed == result.blocks
    assert result.blocks == run(scene, tmp_path / "alone", other, memory=None).blocks


HUGE = 10**400, float("inf")


@pytest.mark.parametrize(
    "facts",
    [None, [], {}, {"memory": 1, "crew": 1, "tensors": 1}]
    + [
        {"memory": 1, "crew": 1, "tensors": 1, "hands": 1, name: each}
        for name in ("memory", "crew", "tensors", "hands")
        for each in (0, -1, "x", None, float("nan"), *([] if name == "tensors" else HUGE))
    ],
)
def test_what_a_run_was_fitted_to_may_be_damaged(facts: Any) -> None:
    assert Fit.told(facts) is None
    sound = {"memory": 9, "crew": 2, "tensors": 1.5, "hands": 6}
    assert Fit.told(sound) == Fit(9, 2, 1.5, 6)


def test_signatures_of_addresses_are_not_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "/vsicurl/https://127.0.0.1:9/a.tif?sig=SECRET"
    monkeypatch.setattr(files, "PAUSES", ())
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9/a\.tif does not say") as error:
        facts_of_file(address)
    assert "SECRET" not in str(error.value)
    monkeypatch.setattr(identity, "remote_facts", lambda _: {})
    assert facts_of_file(address) == {"name": "/vsicurl/https://127.0.0.1:9/a.tif"}


@pytest.mark.parametrize("memory", [30_000, 600_000, 4_000_000_000])
def test_what_is_in_the_files_does_not_depend_on_the_size_of_blocks(
    scene: Path, tmp_path: Path, model: Segmenter, undisturbed: dict[str, bytes], memory: int
) -> None:
    run(scene, tmp_path / "other", model, memory=memory, window=model.card.window)
    for name in undisturbed:
        first, second = tmp_path / "whole" / name, tmp_path / "other" / name
        if name == "map.tif.json":  # tells the tags, and sums of files that have them
            continue
        if first.suffix != ".tif":
            assert first.read_bytes() == second.read_bytes()
            continue
        with rasterio.open(first) as one, rasterio.open(second) as other:
            assert one.profile == other.profile
            np.testing.assert_array_equal(one.read(), other.read())
            differing = {key for key, value in one.tags().items() if other.tags()[key] != value}
            assert differing <= {"GEOSEG_CHOSEN", "GEOSEG_OPTIONS"}  # window was asked for


@pytest.mark.parametrize("confidence", [True, False])
def test_small_regions_go_to_their_neighbours_on_the_map_and_in_its_polygons(
    scene: Path, tmp_path: Path, model: Segmenter, confidence: bool
) -> None:
    options: dict[str, Any] = {} if confidence else {"confidence": None, "scores": None}
    run(scene, tmp_path / "plain", model, **options)
    run(scene, tmp_path / "sieved", model, min_area=900, simplify=1.5, **options)
    # The same through files: the plain map, sieved and drawn afterwards.
    geoseg.polygonize_file(
        tmp_path / "plain" / "map.tif",
        tmp_path / "map.gpkg",
        min_area=900,
        simplify=1.5,
        sieve=tmp_path / "map.tif",
        confidence=tmp_path / "plain" / "sure.tif" if confidence else None,
    )
    with (
        rasterio.open(tmp_path / "plain" / "map.tif") as plain,
        rasterio.open(tmp_path / "sieved" / "map.tif") as made,
        rasterio.open(tmp_path / "map.tif") as expected,
    ):
        assert (made.read() == expected.read()).all()
        assert (made.read() != plain.read()).any()
        assert json.loads(made.tags()["GEOSEG_OPTIONS"])["min_area"] == 900
    drawn = (tmp_path / "sieved" / "map.gpkg", tmp_path / "map.gpkg")
    one, two = (gpd.read_file(path, layer="map") for path in drawn)
    assert one.equals(two)
    if confidence:
        sure = [(tmp_path / name / "sure.tif") for name in ("plain", "sieved")]
        with rasterio.open(sure[0]) as first, rasterio.open(sure[1]) as second:
            assert (first.read() == second.read()).all()


def run_until_clean_up(
    monkeypatch: pytest.MonkeyPatch, scene: Path, folder: Path, model: Segmenter, **options: Any
) -> None:
    """A run whose outputs are in place and which ends before it has cleaned up."""

    def fail(run: Any) -> None:
        raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "clean_up", fail)
        with pytest.raises(Interrupted):
            run(scene, folder, model, **options)


def test_another_least_area_is_another_map_though_its_blocks_are_there(
    scene: Path, tmp_path: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_until_clean_up(monkeypatch, scene, tmp_path / "maps", model)
    result = run(scene, tmp_path / "maps", model, min_area=900, overwrite=True)
    assert result.computed == 0
    run(scene, tmp_path / "fresh", model, min_area=900)
    assert contents(tmp_path / "maps") == contents(tmp_path / "fresh")


@pytest.mark.parametrize("gsd", [10.0, "native"])
def test_another_stated_pixel_size_is_another_map(
    tmp_path: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch, gsd: Any
) -> None:
    pixels = random_pixels((3, 120, 130)).astype(np.uint8)
    scene = write(tmp_path / "nowhere.tif", pixels, nodata=0, crs=None, transform=None)
    options: dict[str, Any] = {"gsd": gsd, "min_area": 90}
    run_until_clean_up(monkeypatch, scene, tmp_path / "maps", model, pixel_size=8, **options)
    with pytest.raises(UserError, match="exists, made with other options; add --overwrite"):
        run(scene, tmp_path / "maps", model, pixel_size=2, skip_done=True, **options)
    result = run(scene, tmp_path / "maps", model, pixel_size=2, overwrite=True, **options)
    assert result.computed == (0 if gsd == "native" else result.blocks)  # the network sees the same
    fresh = run(scene, tmp_path / "fresh", model, pixel_size=2, **options)
    assert fresh.computed == fresh.blocks
    assert contents(tmp_path / "maps") == contents(tmp_path / "fresh")
    assert (
        run(scene, tmp_path / "fresh", model, pixel_size=2.0, skip_done=True, **options).computed
        == 0
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"polygons": None}, {}),
        ({}, {"co": {"COMPRESS": "ZSTD"}}),
        ({"min_area": 900}, {}),
    ],
)
def test_a_call_that_was_cleaning_up_does_not_answer_for_another(
    scene: Path, tmp_path: Path, model: Segmenter, first: Any, second: Any, monkeypatch: Any
) -> None:
    run_until_clean_up(monkeypatch, scene, tmp_path / "maps", model, **first)
    why = r"made with(out some of these outputs| other options)"
    with pytest.raises(UserError, match=rf"exists, {why}; add --overwrite"):
        run(scene, tmp_path / "maps", model, **second)
    run(scene, tmp_path / "maps", model, **second, overwrite=True)
    run(scene, tmp_path / "fresh", model, **second)
    assert contents(tmp_path / "maps") == contents(tmp_path / "fresh")


def test_polygons_that_cannot_be_placed_are_refused_before_the_work(
    tmp_path: Path, model: Segmenter
) -> None:
    pixels = random_pixels((3, 40, 40)).astype(np.uint8)
    scene = write(tmp_path / "nowhere.tif", pixels, nodata=0, crs=None, transform=None)
    with pytest.raises(UserError, match="does not say where it lies, which GeoJSON needs"):
        predict_file(scene, tmp_path / "map.tif", model, polygons=tmp_path / "map.geojson")
    assert [each.name for each in tmp_path.iterdir()] == ["nowhere.tif"]


@pytest.mark.parametrize("memory", [SMALL, 4 * SMALL])
def test_a_sieved_map_is_the_same_from_any_blocks_and_after_a_stop(
    scene: Path, tmp_path: Path, model: Segmenter, memory: int
) -> None:
    options: dict[str, Any] = {"min_area": 900, "simplify": 1, "memory": memory}
    run(scene, tmp_path / "whole", model, **options)
    with pytest.raises(Interrupted):
        run(scene, tmp_path / "parts", model, on_progress=stop_after(1), **options)
    run(scene, tmp_path / "parts", model, **options)
    assert contents(tmp_path / "whole") == contents(tmp_path / "parts")
    run(scene, tmp_path / "other", model, **{**options, "memory": 10 * SMALL})
    for name in ("map.gpkg", "sure.tif"):
        one, two = ((tmp_path / folder / name) for folder in ("whole", "other"))
        if name == "map.gpkg":
            assert one.read_bytes() == two.read_bytes()
        else:
            with rasterio.open(one) as first, rasterio.open(two) as second:
                assert (first.read() == second.read()).all()


def test_simplify_without_polygons_is_refused(
    scene: Path, tmp_path: Path, model: Segmenter
) -> None:
    with pytest.raises(UserError, match="simplify is for polygons, and none are asked for"):
        predict_file(scene, tmp_path / "map.tif", model, simplify=2)


# ---- through the command line ----------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path, model: Segmenter) -> Path:
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "geoseg", *map(str, words)]


def call(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, check=False)


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_stopped_goes_on_where_it_was(
    scene: Path, tmp_path: Path, saved: Path, number: signal.Signals
) -> None:
    words = ["predict", scene, tmp_path / "map.tif", "-m", saved, "--memory", SMALL]
    words += ["--progress", "json", "--polygons", tmp_path / "map.fgb"]
    process = subprocess.Popen(command(*words), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while json.loads(process.stdout.readline()).get("done", 0) < 2:
        pass
    asked = time.monotonic()
    process.send_signal(number)
    process.communicate()
    assert time.monotonic() - asked < 10  # a hang would never end; the promise of 2 s is measured
    expected = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    assert process.returncode == expected
    assert not (tmp_path / "map.tif").exists()
    again = call(*words)
    assert again.returncode == 0, again.stderr
    start = events(again.stdout)[0]
    assert start["done"] >= 2
    fresh = call(*[tmp_path / "new.tif" if w == tmp_path / "map.tif" else w for w in words[:-2]])
    assert fresh.returncode == 0, fresh.stderr
    assert (tmp_path / "new.tif").read_bytes() == (tmp_path / "map.tif").read_bytes()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_polygonize_takes_its_options_and_tells_areas(tmp_path: Path) -> None:
    values = np.ones((40, 50), np.uint8)
    values[10:20, 10:20], values[30, 30] = 2, 3
    map_path = write(tmp_path / "map.tif", values[None], nodata=0)
    words = ["polygonize", map_path, tmp_path / "map.gpkg", "--simplify", 2, "--min-area", 400]
    words += ["--classes", "1, 2", "--sieve", tmp_path / "sieved.tif", "--connectivity", 8]
    done = call(*words, "--summary", "--progress", "json")
    assert done.returncode == 0, done.stderr
    last = events(done.stdout)[-1]
    assert last["event"] == "done"
    assert set(last["outputs"]) == {"polygons", "sieve"}
    assert [each["pixels"] for each in last["classes"]] == [1900, 100]
    assert [(each["value"], each["name"]) for each in last["classes"]] == [
        (1, "class 1"),
        (2, "class 2"),
    ]
    assert last["nodata"] == 0
    assert len(gpd.read_file(tmp_path / "map.gpkg", layer="map")) == 2
    table = call("polygonize", map_path, "--summary")
    assert table.returncode == 0, table.stderr
    assert [line.split()[:4] for line in table.stdout.splitlines()[1:]] == [
        ["1", "class", "1", "1,899"],
        ["2", "class", "2", "100"],
        ["3", "class", "3", "1"],
    ]
    assert table.stdout.splitlines()[0].split() == ["class", "name", "pixels", "m2", "share"]
    dropped = call("polygonize", map_path, "--summary", "--classes", 1)
    assert dropped.returncode == 2
    assert "--classes is about polygons; name the file to write" in dropped.stderr
    neither = call("polygonize", map_path)
    assert neither.returncode == 2
    assert "name the file to write, e.g. map.gpkg" in neither.stderr


def test_polygonize_takes_the_coordinate_system_of_a_map_that_has_none(tmp_path: Path) -> None:
    path = write(tmp_path / "map.tif", np.ones((1, 4, 8), np.uint8), crs=None)
    words = ["--summary", "--assume-crs", "EPSG:32633"]
    alone = call("polygonize", path, *words)
    assert alone.returncode == 0, alone.stderr
    head, row = alone.stdout.splitlines()
    assert head.split()[3] == "m2"
    done = call("polygonize", path, tmp_path / "p.gpkg", *words)
    assert done.stdout.splitlines() == [head, row]
    frame = gpd.read_file(tmp_path / "p.gpkg")
    assert frame.crs.to_epsg() == 32633
    assert float(row.split()[4].replace(",", "")) == pytest.approx(frame.area.sum())


def test_areas_of_a_map_without_coordinates_are_headed_pixels(tmp_path: Path) -> None:
    path = tmp_path / "bare.tif"
    shape = {"width": 8, "height": 4, "count": 1, "dtype": "uint8"}
    with (
        pytest.warns(NotGeoreferencedWarning),
        rasterio.open(path, "w", driver="GTiff", **shape) as bare,
    ):
        bare.write(np.ones((1, 4, 8), np.uint8))
    table = call("polygonize", path, "--summary")
    assert table.returncode == 0, table.stderr
    head, row = table.stdout.splitlines()
    assert head.split() == ["class", "name", "pixels", "pixels", "share"]
    assert row.split() == ["1", "class", "1", "32", "32.0", "100.00%"]
    values = xr.DataArray(np.ones((4, 8), np.uint8), dims=("y", "x"))
    assert geoseg.area_by_class(values).attrs["unit"] == "pixels"
    placed = values.assign_coords(y=[7.0, 5.0, 3.0, 1.0], x=np.arange(8) * 2.0)
    assert geoseg.area_by_class(placed).attrs["unit"] == "units2"
    assert geoseg.area_by_class(placed.rio.write_crs(32633)).attrs["unit"] == "m2"


def test_json_lines_are_all_there_is_on_standard_output(
    scene: Path, tmp_path: Path, saved: Path
) -> None:
    done = call("predict", scene, tmp_path / "m.tif", "-m", saved, "--progress", "json")
    assert done.returncode == 0
    found = events(done.stdout)
    assert found[0]["event"] == "start"
    assert {"total", "unit"} <= set(found[0])
    steps = [event for event in found if event["event"] == "progress"]
    assert steps[-1]["done"] == steps[-1]["total"]
    assert {"mpx_per_s", "eta_s"} <= set(steps[0])
    (last,) = [event for event in found if event["event"] == "done"]
    assert last["outputs"]["classes"] == str(tmp_path / "m.tif")
    assert last["seconds"] > 0
    with rasterio.open(tmp_path / "m.tif") as written:
        assert last["nodata"] == written.nodata
    told = [geoseg.ClassInfo(**each) for each in last["classes"]]
    assert told == list(geoseg.class_table(tmp_path / "m.tif"))


def test_drawing_polygons_tells_its_progress_too(scene: Path, tmp_path: Path, saved: Path) -> None:
    paths = tmp_path / "m.tif", "--polygons", tmp_path / "m.fgb"
    done = call("predict", scene, *paths, "-m", saved, "--progress", "json")
    found = events(done.stdout)
    begins = [event for event in found if event["event"] == "start"]
    assert [event["unit"] for event in begins] == ["block", "row"]
    (last,) = [event for event in found if event["event"] == "done"]
    rows = found[found.index(begins[1]) + 1 : found.index(last)]
    assert {event["event"] for event in rows} == {"progress"}
    assert rows[-1]["done"] == begins[1]["total"] == geoseg.open_raster(scene).sizes["y"]
    assert last["outputs"].keys() == {"classes", "polygons", "item"}


def test_a_batch_with_polygons_never_goes_back(scene: Path, tmp_path: Path, saved: Path) -> None:
    options = "-m", saved, "--polygons", ".fgb", "--progress", "json"
    done = call("predict", scene, f"{tmp_path / 'maps'}/", *options)
    found = events(done.stdout)
    shares = [event["done"] for event in found if event["event"] == "progress"]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    classes = geoseg.class_table(tmp_path / "maps" / f"{scene.stem}.tif")
    assert [geoseg.ClassInfo(**each) for each in found[-1]["classes"]] == list(classes)
    assert (found[-1]["event"], found[-1]["nodata"]) == ("done", 255)


def test_a_mistake_is_one_line_and_status_two(scene: Path, tmp_path: Path, saved: Path) -> None:
    done = call("predict", tmp_path / "none.tif", tmp_path / "m.tif", "-m", saved)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("geoseg: there is no file")
    assert done.stderr.count("\n") == 1
    told = call("predict", scene, tmp_path / "m.tif", "-m", "x", "--progress", "json")
    (error,) = events(told.stdout)
    assert (error["event"], error["kind"], told.returncode) == ("error", "user", 2)


def test_a_bug_ends_in_status_one_and_a_traceback(scene: Path, tmp_path: Path, saved: Path) -> None:
    words = [str(each) for each in ("predict", scene, tmp_path / "m.tif", "-m", saved)]
    broken = (
        "import geoseg.job; from geoseg.cli import main; "
        f"geoseg.job._classify = lambda *_: 1 // 0; main({words})"
    )
    done = subprocess.run(
        [sys.executable, "-c", broken], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert not (tmp_path / "m.tif").exists()


def test_many_scenes_are_classified_and_the_broken_one_is_told_and_named_at_the_end(
    tmp_path: Path, saved: Path
) -> None:
    (tmp_path / "scenes").mkdir()
    for i in range(3):
        pixels = random_pixels((3, 60, 70), seed=i).astype(np.uint8)
        write(tmp_path / "scenes" / f"s{i}.tif", pixels)
    (tmp_path / "scenes" / "s1.tif").write_bytes(b"II*\0 no raster at all")
    out = tmp_path / "maps"
    done = call("predict", f"{tmp_path}/scenes/*.tif", out, "-m", saved, "--polygons", ".gpkg")
    assert done.returncode == 2
    broken = f"{tmp_path}/scenes/s1.tif"
    first, *_, last = (line for line in done.stderr.splitlines() if broken in line)
    assert first.startswith(f"geoseg: {broken} failed: ")
    assert last == f"geoseg: 1 of 3 scenes failed, as told above: {broken}"
    assert done.stderr.endswith(f"{last}\n")
    assert done.stderr.count("is not a raster that GDAL can open") == 1
    names = {path.name for path in out.iterdir()}
    endings = (".tif", ".tif.aux.xml", ".tif.json", ".gpkg")
    assert names == {f"s{i}{ending}" for i in (0, 2) for ending in endings}
    one = geoseg.predict(geoseg.open_raster(tmp_path / "scenes" / "s2.tif"), str(saved))
    with rasterio.open(out / "s2.tif") as file:
        np.testing.assert_array_equal(file.read(1), one)


def test_a_scene_that_fails_is_told_before_the_next_one_is_begun(
    tmp_path: Path, saved: Path
) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    for i in (0, 2):
        write(folder / f"s{i}.tif", random_pixels((3, 60, 70), seed=i).astype(np.uint8))
    broken = folder / "s1.tif"
    broken.write_bytes(b"II*\0 no raster at all")
    done = call("predict", folder, tmp_path / "maps", "-m", saved, "--progress", "json")
    found = events(done.stdout)
    told, last = (event for event in found if event["event"] == "error")
    assert (told["kind"], told["scene"], done.returncode) == ("user", str(broken), 2)
    assert told["message"].startswith(f"{broken} failed: ")
    begun = [event["scene"] for event in found if event.get("scene")]
    assert begun.index(str(broken)) < begun.index(str(folder / "s2.tif"))
    assert begun.index(str(folder / "s0.tif")) < begun.index(str(broken))
    summary = f"1 of 3 scenes failed, as told above: {broken}"
    assert last == {"event": "error", "kind": "user", "message": summary} == found[-1]
    assert done.stderr == f"geoseg: {summary}\n"


def test_scenes_that_would_get_one_name_are_refused(tmp_path: Path, saved: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "s.tif", random_pixels((3, 9, 9)).astype(np.uint8))
    done = call("predict", tmp_path / "a", tmp_path / "b", tmp_path / "maps", "-m", saved)
    assert done.returncode == 2
    assert "would both become" in done.stderr


def test_bands_in_separate_files_are_one_scene(tmp_path: Path, saved: Path) -> None:
    pixels = random_pixels((3, 64, 80)).astype(np.uint8)
    paths = [
        write(tmp_path / f"{name}.tif", pixels[i : i + 1])
        for i, name in enumerate(("red", "green", "blue"))
    ]
    whole = write(tmp_path / "rgb.tif", pixels)
    done = call("predict", "--stack", *reversed(paths), tmp_path / "stack.tif", "-m", saved)
    assert done.returncode == 0, done.stderr
    call("predict", whole, tmp_path / "whole.tif", "-m", saved)
    maps = [rasterio.open(tmp_path / name).read(1) for name in ("stack.tif", "whole.tif")]
    np.testing.assert_array_equal(*maps)


@pytest.mark.parametrize("crs", [None, "EPSG:4326"])
def test_a_box_gives_the_pixels_that_touch_it(
    scene: Path, tmp_path: Path, model: Segmenter, crs: str | None
) -> None:
    from rasterio.warp import transform_bounds

    box = 500_305.0, 5_598_001.0, 501_299.0, 5_599_499.0
    given = box if crs is None else transform_bounds("EPSG:32633", crs, *box)
    predict_file(scene, tmp_path / "part.tif", model, bbox=given, bbox_crs=crs)
    with rasterio.open(scene) as whole, rasterio.open(tmp_path / "part.tif") as part:
        column, row = ~whole.transform @ (part.transform.c, part.transform.f)
        assert abs(column - round(column)) < 1e-6
        assert abs(row - round(row)) < 1e-6
        near = 10 if crs is None else 60  # a box in degrees leans in UTM, so it holds more
        found = np.array(part.bounds)
        slack = (np.array(box) - found) * [1, 1, -1, -1]
        assert ((slack >= 0) & (slack <= near)).all()
        window = np.s_[
            :, round(row) : round(row) + part.height, round(column) : round(column) + part.width
        ]
        expected = geoseg.predict(geoseg.open_raster(scene)[window], model)
        np.testing.assert_array_equal(part.read(1), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bbox": (0, 0, 1, 1)}, "lies outside the image; give its coordinates in EPSG:32633"),
        ({"bbox": (5, 0, 1, 1)}, "is empty; give west south east north"),
        ({"bbox": (0, 0, 1, 1), "bbox_crs": "nonsense"}, "coordinate system 'nonsense' is unknown"),
        ({"co": {"RES": "5"}}, "RES is unknown, or would change grid or pixels of the map"),
        ({"polygons": "map.shp"}, "shapefiles cut names"),
        ({"scores": "scores.png"}, "let it end in .tif"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    scene: Path, tmp_path: Path, model: Segmenter, options: dict[str, Any], message: str
) -> None:
    here = {k: tmp_path / v if k in ("polygons", "scores") else v for k, v in options.items()}
    with pytest.raises(UserError, match=message):
        predict_file(scene, tmp_path / "map.tif", model, **here)
    assert not (tmp_path / "map.tif").exists()


def test_a_map_lies_where_the_assumed_coordinate_system_says(
    scene: Path, tmp_path: Path, saved: Path
) -> None:
    bare = write(tmp_path / "bare.tif", rasterio.open(scene).read(), nodata=0, crs=None)
    options = "-m", saved, "--bbox", 12, 50.5, 15.015, 60, "--bbox-crs", "EPSG:4326"
    told = call("predict", scene, tmp_path / "told.tif", *options)
    assert told.returncode == 0, told.stderr
    refused = call("predict", bare, tmp_path / "m.tif", *options)
    assert "the image does not say where it lies" in refused.stderr
    words = "predict", bare, tmp_path / "m.tif", *options, "--polygons", tmp_path / "m.geojson"
    done = call(*words, "--assume-crs", "EPSG:32633")
    assert done.returncode == 0, done.stderr
    with rasterio.open(tmp_path / "told.tif") as one, rasterio.open(tmp_path / "m.tif") as other:
        assert (one.crs, one.transform) == (other.crs, other.transform)
        np.testing.assert_array_equal(one.read(), other.read())
    assert gpd.read_file(tmp_path / "m.geojson").total_bounds[0] == pytest.approx(15, abs=0.001)


def test_another_assumed_coordinate_system_is_another_run(
    scene: Path, tmp_path: Path, model: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    bare = write(tmp_path / "bare.tif", rasterio.open(scene).read(), nodata=0, crs=None)
    options = {"memory": SMALL, "assume_crs": "EPSG:32633"}
    with pytest.raises(Interrupted):
        predict_file(bare, tmp_path / "m.tif", model, **options, on_progress=stop_after(3))
    result = predict_file(bare, tmp_path / "m.tif", model, **options)
    assert result.computed <= result.blocks - 3
    with pytest.raises(Interrupted):
        predict_file(bare, tmp_path / "n.tif", model, **options, on_progress=stop_after(3))
    options["assume_crs"] = "EPSG:32632"
    result = predict_file(bare, tmp_path / "n.tif", model, **options)
    assert result.computed == result.blocks
    assert "an unfinished run of another input" in caplog.text


def test_creation_options_are_passed_on(scene: Path, tmp_path: Path, model: Segmenter) -> None:
    predict_file(scene, tmp_path / "map.tif", model, co={"compress": "LZW"})
    with rasterio.open(tmp_path / "map.tif") as file:
        assert file.compression.name == "lzw"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--memory", "lots"], "'lots' is no size; write e.g. 4GB"),
        (["--halo", "wide"], "neither a number nor auto"),
        (["--co", "ZSTD"], "must look like KEY=VALUE"),
    ],
)
def test_words_that_are_no_values_are_refused(
    scene: Path, tmp_path: Path, saved: Path, words: list[str], message: str
) -> None:
    done = call("predict", scene, tmp_path / "m.tif", "-m", saved, *words)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize("words", [["--help"], ["predict", "--help"], ["train", "--help"]])
def test_help_needs_no_heavy_library(words: list[str]) -> None:
    probe = (
        "import sys; from click.testing import CliRunner; from geoseg.cli import main; "
        f"assert CliRunner().invoke(main, {words}).exit_code == 0; "
        "print([m for m in ('torch', 'xarray', 'dask', 'rasterio', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_geoseg_is_light_and_every_public_name_is_there() -> None:
    probe = (
        "import sys, geoseg; heavy = {'torch', 'xarray', 'dask', 'numpy'} & set(sys.modules); "
        "assert not heavy, heavy; import xarray, numpy; "
        "assert xarray.DataArray(numpy.zeros(3)).geoseg; "
        "[getattr(geoseg, name) for name in geoseg.__all__]; print(callable(geoseg.predict))"
    )
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "True"


# ---- what else may happen to a run -----------------------------------------------------------


def test_a_second_run_to_the_same_output_is_refused_while_the_first_goes_on(
    scene: Path, tmp_path: Path, model: Segmenter, undisturbed: dict[str, bytes]
) -> None:
    refusals = []

    def meanwhile(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == 3:
            with pytest.raises(
                UserError, match=rf"process {os.getpid()} on .* since 20.* holds"
            ) as error:
                run(scene, tmp_path / "map", model, restart=True)
            refusals.append(error)

    run(scene, tmp_path / "map", model, on_progress=meanwhile)
    assert len(refusals) == 1
    assert contents(tmp_path / "map") == undisturbed


def test_a_run_that_lost_blocks_is_an_error_and_no_map(
    scene: Path, tmp_path: Path, model: Segmenter
) -> None:
    def lose(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == event["total"]:
            (mark, *_) = (tmp_path / "map").glob(".map.tif.geoseg/*/done/*")
            mark.unlink()

    with pytest.raises(UserError, match="lacks blocks that were written to it"):
        run(scene, tmp_path / "map", model, on_progress=lose)
    assert not contents(tmp_path / "map")
    assert run(scene, tmp_path / "map", model).computed == 1


def test_a_run_that_was_begun_by_an_earlier_layout_of_the_store_is_begun_anew(
    scene: Path, tmp_path: Path, model: Segmenter, undisturbed: dict[str, bytes]
) -> None:
    with pytest.raises(Interrupted):
        run(scene, tmp_path / "map", model, on_progress=stop_after(3))
    store = tmp_path / "map" / ".map.tif.geoseg"
    facts = json.loads((store / "run.json").read_text())
    del facts["layout"]  # marks were chunks of an array
    (store / "run.json").write_text(json.dumps(facts))
    assert len([*store.glob("*/done/*")]) >= 3
    done = zarr.open_array(store / "blocks.zarr" / "done", mode="w", shape=(9, 9), dtype="u1")
    done[:] = 1
    result = run(scene, tmp_path / "map", model)
    assert result.computed == result.blocks - result.empty
    assert contents(tmp_path / "map") == undisturbed


def test_outputs_on_another_disk_are_put_in_place_as_well(
    scene: Path, tmp_path: Path, model: Segmenter, undisturbed: dict[str, bytes]
) -> None:
    shared = Path("/dev/shm")  # noqa: S108  (only to have a second file system)
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")
    with tempfile.TemporaryDirectory(dir=shared) as elsewhere:
        run(scene, tmp_path / "map", model, polygons=Path(elsewhere) / "map.gpkg")
        assert contents(Path(elsewhere)) == {"map.gpkg": undisturbed["map.gpkg"]}
        assert [path.name for path in Path(elsewhere).iterdir()] == ["map.gpkg"]


def test_polygons_may_be_asked_for_when_a_run_is_taken_up_again(
    scene: Path, tmp_path: Path, model: Segmenter, undisturbed: dict[str, bytes]
) -> None:
    with pytest.raises(Interrupted):
        run(scene, tmp_path / "map", model, polygons=None, on_progress=stop_after(3))
    result = run(scene, tmp_path / "map", model)
    assert 0 < result.computed <= result.blocks - 3
    assert contents(tmp_path / "map") == undisturbed


def test_blocks_that_are_thrown_away_are_told_about(
    scene: Path, tmp_path: Path, model: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Interrupted):
        run(scene, tmp_path / "map", model, on_progress=stop_after(3))
    run(scene, tmp_path / "map", model, bands=[3, 2, 1])
    assert "an unfinished run of another input, model or option" in caplog.text


@pytest.mark.parametrize("package", ["geoseg", "torch", "numpy", "GDAL"])
def test_blocks_of_other_versions_are_not_gone_on_with_and_the_versions_are_told(
    scene: Path,
    tmp_path: Path,
    model: Segmenter,
    package: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(Interrupted):
        run(scene, tmp_path / "map", model, on_progress=stop_after(3))
    now = tuple((name, "9.9" if name == package else own) for name, own in VERSIONS)
    for module in (job, runs):
        monkeypatch.setattr(module, "VERSIONS", now)
    result = run(scene, tmp_path / "map", model)
    assert result.computed == result.blocks
    told = f"an unfinished run of {package} {dict(VERSIONS)[package]} (now 9.9) lay in"
    assert told in caplog.text


def test_a_file_that_came_meanwhile_is_not_replaced(
    scene: Path, tmp_path: Path, model: Segmenter
) -> None:
    with pytest.raises(Interrupted):
        run(scene, tmp_path / "map", model, on_progress=stop_after(3))
    (tmp_path / "map" / "map.tif").write_bytes(b"somebody else's")
    with pytest.raises(UserError, match=r"map\.tif exists; add --overwrite"):
        run(scene, tmp_path / "map", model)
    assert (tmp_path / "map" / "map.tif").read_bytes() == b"somebody else's"


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_files_behind_a_virtual_raster_are_input_too(
    scene: Path, tmp_path: Path, model: Segmenter, depth: int
) -> None:
    virtual = tmp_path / "scene-1.vrt"
    rasterio.shutil.copy(scene, virtual, driver="VRT")
    direct = virtual.read_text()
    for level in range(2, depth + 1):  # of another virtual raster, as mosaics of mosaics are
        inner = f'<SourceFilename relativeToVRT="0">{virtual}</SourceFilename>'
        virtual = tmp_path / f"scene-{level}.vrt"
        virtual.write_text(re.sub("<SourceFilename .*?</SourceFilename>", inner, direct))
    with pytest.raises(Interrupted):
        run(virtual, tmp_path / "map", model, on_progress=stop_after(3))
    _touch(scene)
    result = run(virtual, tmp_path / "map", model)
    assert result.computed == result.blocks


def packed(scene: Path, kind: str) -> str:
    """What GDAL calls a scene that is put into an archive of its own folder, anew each time."""
    archive = scene.with_name(f"s.{kind}")
    if kind == "tar":
        with tarfile.open(archive, "w") as tar:
            tar.add(scene, "sub/s.tif")
        return f"/vsitar/{archive}/sub/s.tif"
    if kind == "tif.gz":
        archive.write_bytes(gzip.compress(scene.read_bytes()))
        return f"/vsigzip/{archive}"
    with zipfile.ZipFile(archive, "w") as inner:
        inner.write(scene, "sub/s.tif")
    if kind == "outer.zip":
        with zipfile.ZipFile(scene.with_name("o.zip"), "w") as outer:
            outer.write(archive, "i.zip")
        return f"/vsizip/{{/vsizip/{{{scene.with_name('o.zip')}}}/i.zip}}/sub/s.tif"
    return (
        f"zip://{archive}!sub/s.tif"
        if kind == "of.rasterio.zip"
        else f"/vsizip/{archive}/sub/s.tif"
    )


@pytest.mark.parametrize("kind", ["zip", "tar", "tif.gz", "outer.zip", "of.rasterio.zip"])
def test_an_archive_that_was_replaced_is_another_input(
    kind: str, scene: Path, tmp_path: Path
) -> None:
    out, sees = tmp_path / "map.tif", pointwise()
    with pytest.raises(Interrupted):
        predict_file(packed(scene, kind), out, sees, memory=30_000, on_progress=stop_after(3))
    source = packed(scene, kind)
    assert source.endswith(".gz") or facts_of([source])[0]["name"].endswith("sub/s.tif")
    write(scene, random_pixels((3, 300, 260), seed=5).astype(np.uint8), nodata=0)
    result = predict_file(packed(scene, kind), out, sees, memory=30_000)
    assert result.computed == result.blocks
    predict_file(scene, tmp_path / "plain.tif", sees)
    assert (read(out) == read(tmp_path / "plain.tif")).all()
    assert predict_file(source, out, sees, skip_done=True).was_there
    write(scene, random_pixels((3, 300, 260), seed=6).astype(np.uint8), nodata=0)
    packed(scene, kind)
    with pytest.raises(UserError, match=r"map\.tif exists, made of other input; add --overwrite"):
        predict_file(source, out, sees, skip_done=True)


def test_a_run_of_an_archive_goes_on_as_long_as_it_is_the_same(scene: Path, tmp_path: Path) -> None:
    source = packed(scene, "zip")
    with pytest.raises(Interrupted):
        predict_file(
            source, tmp_path / "map.tif", pointwise(), memory=30_000, on_progress=stop_after(3)
        )
    result = predict_file(source, tmp_path / "map.tif", pointwise(), memory=30_000)
    assert 0 < result.computed <= result.blocks - 3
    (told,) = examine(tmp_path / "map.tif")["made"]["sources"]
    assert told["size"] == scene.with_name("s.zip").stat().st_size
    assert len(told["ends"]) == 64


def test_what_was_made_of_a_source_that_nothing_is_known_of_is_not_used_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, sees, source = tmp_path / "map.tif", pointwise(), f"/vsimem/{tmp_path.name}.tif"
    pixels = random_pixels((3, 300, 260)).astype(np.uint8)
    write(Path(source), pixels, nodata=0)
    with pytest.raises(Interrupted):
        predict_file(source, out, sees, memory=30_000, on_progress=stop_after(3))
    write(Path(source), np.ascontiguousarray(pixels[:, ::-1]), nodata=0)
    result = predict_file(source, out, sees, memory=30_000)
    assert result.computed == result.blocks
    assert f"run of {source}, of which nothing tells whether it has changed since," in caplog.text
    write(tmp_path / "turned.tif", np.ascontiguousarray(pixels[:, ::-1]), nodata=0)
    predict_file(tmp_path / "turned.tif", tmp_path / "turned_map.tif", sees)
    assert (read(out) == read(tmp_path / "turned_map.tif")).all()
    with pytest.raises(UserError, match=r"map\.tif exists; add --overwrite"):
        predict_file(source, out, sees, skip_done=True)
    rasterio.shutil.delete(source)


def test_blocks_that_are_not_used_again_ask_for_no_memory(tmp_path: Path) -> None:
    out, sees, source = tmp_path / "map.tif", pointwise(), f"/vsimem/{tmp_path.name}.tif"
    write(Path(source), random_pixels((3, 300, 260)).astype(np.uint8), nodata=0)
    with pytest.raises(Interrupted):
        predict_file(source, out, sees, memory=6_000_000, on_progress=stop_after(1))
    result = predict_file(source, out, sees, memory=30_000)
    assert result.computed == result.blocks > 10
    rasterio.shutil.delete(source)


def test_of_pixels_that_lie_beside_the_files_that_are_listed_nothing_is_known(
    scene: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "scene.zarr"
    with rasterio.open(scene) as file:
        kept = {key: file.profile[key] for key in ("width", "height", "count", "dtype", "crs")}
        with rasterio.open(folder, "w", "Zarr", transform=file.transform, **kept) as zarr:
            zarr.write(file.read())
    for source in (str(folder), f'ZARR:"{folder}":/scene'):
        assert untold(facts_of([source])) is not None


def test_a_source_of_unknown_age_is_not_done_because_a_run_was_cleaning_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = f"/vsimem/{tmp_path.name}.tif"
    write(Path(source), random_pixels((3, 60, 50)).astype(np.uint8), nodata=0)
    with monkeypatch.context() as patch:
        patch.setattr(finishing, "clean_up", _interrupt)
        with pytest.raises(Interrupted):
            predict_file(source, tmp_path / "map.tif", pointwise())
    with pytest.raises(UserError, match=r"map\.tif exists; add --overwrite"):
        predict_file(source, tmp_path / "map.tif", pointwise())
    rasterio.shutil.delete(source)


def test_a_part_of_a_file_is_told_by_its_name_and_that_file(scene: Path) -> None:
    named, file = facts_of([f"GTIFF_DIR:1:{scene}"])
    assert file == facts_of_file(str(scene))
    (_, other) = facts_of([f"GTIFF_DIR:off:8:{scene}"])
    assert named != other


def test_statistics_that_a_viewer_leaves_beside_the_input_change_nothing(
    scene: Path, tmp_path: Path, model: Segmenter
) -> None:
    with pytest.raises(Interrupted):
        run(scene, tmp_path / "map", model, on_progress=stop_after(3))
    Path(f"{scene}.aux.xml").write_text("<PAMDataset></PAMDataset>")
    result = run(scene, tmp_path / "map", model)
    assert 0 < result.computed <= result.blocks - 3


SAID = {  # beside an image, of how it is read
    "scale": "<Scale>0.5</Scale>",
    "offset": "<Offset>3</Offset>",
    "no data": "<NoDataValue>7</NoDataValue>",
    "description": "<Description>nir</Description>",
    "colour": "<ColorInterp>Alpha</ColorInterp>",
}


@pytest.mark.parametrize("said", SAID)
def test_what_a_file_beside_the_input_says_of_its_values_makes_it_another_input(
    said: str, scene: Path, tmp_path: Path
) -> None:
    statistics = '<Metadata><MDI key="STATISTICS_MAXIMUM">9</MDI></Metadata>'

    def describe(what: str) -> None:
        bands = (f'<PAMRasterBand band="{n}">{what}{statistics}</PAMRasterBand>' for n in (1, 2, 3))
        text = f"<PAMDataset>{''.join(bands)}</PAMDataset>"
        Path(f"{scene}.aux.xml").write_text(text)

    out, sees = tmp_path / "map.tif", pointwise()
    with pytest.raises(Interrupted):
        predict_file(scene, out, sees, bands=[1, 2, 3], memory=30_000, on_progress=stop_after(3))
    describe(SAID[said])
    result = predict_file(scene, out, sees, bands=[1, 2, 3], memory=30_000)
    assert result.computed == result.blocks - result.empty
    assert predict_file(scene, out, sees, bands=[1, 2, 3], skip_done=True).was_there
    describe("")
    with pytest.raises(UserError, match=r"map\.tif exists, made of other input; add --overwrite"):
        predict_file(scene, out, sees, bands=[1, 2, 3], skip_done=True)

    def change(event: dict[str, Any]) -> None:
        if event["event"] == "start":
            describe(SAID[said])

    with pytest.raises(UserError, match=r"scene\.tif changed while it was read"):
        predict_file(scene, tmp_path / "b.tif", sees, bands=[1, 2, 3], on_progress=change)


def test_a_geopackage_that_is_open_elsewhere_is_not_replaced(
    scene: Path, tmp_path: Path, model: Segmenter
) -> None:
    folder = tmp_path / "map"
    run(scene, folder, model)
    before = contents(folder)
    with closing(sqlite3.connect(folder / "map.gpkg")) as viewer:
        viewer.execute("PRAGMA journal_mode=WAL")
        viewer.execute("CREATE TABLE notes (text)")
        viewer.commit()
        with pytest.raises(UserError, match=r"map\.gpkg is open in another program .*close the"):
            run(scene, folder, model, overwrite=True)
        with pytest.raises(UserError, match=r"map\.gpkg is open in another program .*close the"):
            geoseg.polygonize_file(folder / "map.tif", folder / "map.gpkg", overwrite=True)
        assert (folder / "map.tif").read_bytes() == before["map.tif"]
        assert viewer.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    run(scene, folder, model, overwrite=True)
    assert contents(folder) == before


def test_the_outputs_say_what_they_were_made_of(
    scene: Path, tmp_path: Path, model: Segmenter
) -> None:
    run(scene, tmp_path / "map", model)
    with rasterio.open(tmp_path / "map" / "map.tif") as file:
        tags = file.tags()
    (source,) = json.loads(tags["GEOSEG_SOURCES"])
    assert (source["name"], source["size"]) == ("scene.tif", scene.stat().st_size)
    assert tags["GEOSEG_MODEL_DIGEST"] == model.digest
    assert json.loads(tags["GEOSEG_OPTIONS"])["bands"] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("option", "name", "ending"),
    [
        ("--polygons", "all.gpkg", ".gpkg"),
        ("--polygons", "all", ".gpkg"),
        ("--confidence", "sure.tif", ".tif"),
    ],
)
def test_a_batch_takes_endings_and_no_names(
    tmp_path: Path, saved: Path, option: str, name: str, ending: str
) -> None:
    (tmp_path / "scenes").mkdir()
    write(tmp_path / "scenes" / "s.tif", random_pixels((3, 30, 30)).astype(np.uint8))
    done = call("predict", tmp_path / "scenes", tmp_path / "maps", "-m", saved, option, name)
    assert done.returncode == 2
    assert f"give the ending alone, {option} {ending}, instead of {name}" in done.stderr
    assert not (tmp_path / "maps").exists()


def test_the_bar_tells_what_sizes_were_chosen(scene: Path, tmp_path: Path, saved: Path) -> None:
    words = ["predict", scene, tmp_path / "map.tif", "-m", saved, "--progress", "bar"]
    done = call(*words, "--window", 64, "--memory", "4GB")
    item = json.loads((tmp_path / "map.tif.json").read_text())
    chosen = item["properties"]["geoseg:run"]["sizes"]
    told = " ".join(done.stderr.split())
    assert (
        "windows of {} x {} pixels in blocks of {} x {}".format(*chosen["window"], *chosen["block"])
        in told
    )
    assert "1 at a time, crop, fp32" in told


def test_output_that_nobody_reads_to_the_end_ends_quietly() -> None:
    words = command("model", "list")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


def test_a_batch_of_pictures_tells_once_that_they_do_not_say_their_pixel_size(
    tmp_path: Path,
) -> None:
    model = segmenter_of(nets.build("unet", **OPTIONS), architecture="unet", options=OPTIONS, gsd=1)
    model.save(tmp_path / "model.safetensors")
    (tmp_path / "scenes").mkdir()
    for i in range(3):
        pixels = random_pixels((3, 40, 50), seed=i).astype(np.uint8)
        write(tmp_path / "scenes" / f"s{i}.tif", pixels, crs=None, transform=None)
    words = ["predict", tmp_path / "scenes", "-m", tmp_path / "model.safetensors"]
    done = call(*words, tmp_path / "maps")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("has learnt from pixels of 1 m, and the image does not say") == 1
    stated = call(*words, tmp_path / "stated", "--pixel-size", 0.5)
    assert stated.returncode == 0, stated.stderr
    assert "has learnt from" not in stated.stderr
    refused = call(*words, tmp_path / "none", "--pixel-size", 0)
    assert refused.returncode == 2
    assert refused.stderr.count("pixel size 0 must be a positive number of metres") == 1


def test_a_batch_that_is_taken_up_again_leaves_finished_scenes_alone(
    tmp_path: Path, saved: Path
) -> None:
    (tmp_path / "scenes").mkdir()
    for i in range(3):
        pixels = random_pixels((3, 60, 70), seed=i).astype(np.uint8)
        write(tmp_path / "scenes" / f"s{i}.tif", pixels)
    words = ["predict", tmp_path / "scenes", tmp_path / "maps", "-m", saved]
    words += ["--polygons", ".fgb"]
    assert call(*words).returncode == 0
    before = contents(tmp_path / "maps")
    changed = {p: p.stat().st_mtime_ns for p in (tmp_path / "maps").iterdir()}
    (tmp_path / "maps" / "s2.fgb").unlink()
    write(tmp_path / "scenes" / "s1.tif", random_pixels((3, 60, 70), seed=9).astype(np.uint8))
    again = call(*words)
    # The first is as it was, the second was made of other pixels, the third lacks its polygons.
    assert again.returncode == 2
    assert "s1.tif exists, made of other input; add --overwrite" in again.stderr
    assert "s2.tif exists, no longer as it was made; add --overwrite" in again.stderr
    assert "1 of 3 maps are in" in again.stderr
    first = tmp_path / "maps" / "s0.tif"
    assert first.stat().st_mtime_ns == changed[first]
    forced = call(*words, "--overwrite")
    assert forced.returncode == 0, forced.stderr
    assert contents(tmp_path / "maps").keys() == before.keys()
    assert (tmp_path / "maps" / "s2.fgb").read_bytes() == before["s2.fgb"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["predict", "a.tif"], "geoseg: Missing option '--model' / '-m'; see geoseg predict"),
        (["predict", "--memroy", "1"], "geoseg: No such option"),
        (["no-such"], "geoseg: No such command 'no-such'; see geoseg"),
        (["predict", "a", "b", "-m", "x", "--memory", "much"], "geoseg: Invalid value for"),
    ],
)
def test_a_mistake_of_usage_is_one_line_too(words: list[str], line: str) -> None:
    done = call(*words)
    assert done.returncode == 2
    assert done.stderr.startswith(line), done.stderr
    assert done.stderr.count("\n") == 1
    told = call(*words, "--progress", "json")
    assert events(told.stdout)[-1]["kind"] == "user"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": -1}, r"memory -1 must be a number of bytes"),
        ({"memory": 0}, r"memory 0 must be a number of bytes"),
        ({"device": "meta"}, r"device 'meta' is unknown; choose auto"),
    ],
)
def test_numbers_and_devices_that_cannot_be_are_refused(
    scene: Path, tmp_path: Path, model: Segmenter, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        predict_file(scene, tmp_path / "map.tif", model, **options)


def test_no_source_at_all_is_refused(tmp_path: Path, model: Segmenter) -> None:
    with pytest.raises(UserError, match="no source is given"):
        predict_file([], tmp_path / "map.tif", model)


LONG = "n" * 300
NO_FILE = "there is no file n+.*; check the name and the folder"
NO_PLACE = "nothing can be written to n+.* \\(File name too long: .*; choose a shorter one"
PREDICT = "predict -m model.safetensors scene.tif"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (f"predict -m model.safetensors {LONG}.tif map.tif", NO_FILE),
        (f"predict -m model.safetensors {LONG}/a.tif map.tif", NO_FILE),
        (f"predict -m model.safetensors {LONG}* maps", "no file matches n+.*; check the pattern"),
        (f"predict -m model.safetensors {LONG}/* maps", "cannot look for n+.*; check the pattern"),
        (f"predict -m {LONG} scene.tif map.tif", "there is no model 'n+'.*; see geoseg model list"),
        (f"{PREDICT} {LONG}.tif", NO_PLACE),
        (f"{PREDICT} {LONG}/a.tif", NO_PLACE),
        (f"{PREDICT} {LONG}/", NO_PLACE),
        (f"{PREDICT} map.tif --polygons {LONG}.fgb", f"Invalid value for '--polygons': {NO_PLACE}"),
        (f"{PREDICT} map.tif --mask {LONG}.fgb", NO_FILE),
        (f"info {LONG}.tif", NO_FILE),
        (f"polygonize {LONG}.tif a.fgb", NO_FILE),
        (f"polygonize scene.tif {LONG}.fgb", NO_PLACE),
        (f"evaluate scene.tif scene.tif --report {LONG}", NO_PLACE),
        (f"model export model.safetensors {LONG}.pt2", NO_PLACE),
        (f"train unet --data {LONG} --out new", "there is no n+; describe the data set there.*"),
        (f"demo {LONG}", NO_PLACE),
    ],
)
def test_a_name_that_is_too_long_for_a_file_is_told_in_one_line(
    words: str, line: str, scene: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scene.parent)
    before = contents(scene.parent)
    done = CliRunner().invoke(main, words.split())
    assert done.exit_code == 2
    assert re.fullmatch(f"geoseg: {line}.*\n", done.stderr)
    assert contents(scene.parent) == before


def test_names_of_wide_characters_leave_room_for_what_is_made_beside_them(
    scene: Path, tmp_path: Path, model: Segmenter
) -> None:
    (tmp_path / "blocks").mkdir()
    name = "\U00020000" * 60  # of four bytes each
    target, polygons = tmp_path / f"{name}.tif", tmp_path / f"{name}.fgb"
    predict_file(scene, target, model, blocks=tmp_path / "blocks")
    geoseg.polygonize_file(target, polygons)
    made = {target.name, f"{target.name}.json", f"{target.name}.aux.xml", polygons.name}
    assert {path.name for path in tmp_path.iterdir()} == made | {scene.name, "blocks"}
    assert len(os.fsencode(scratch_of(Remote(f"s3://bucket/{name}.tif")).name)) < 255


def test_a_name_with_brackets_is_a_file_and_an_address_with_a_question_mark_no_pattern(
    scene: Path, tmp_path: Path, saved: Path
) -> None:
    odd = scene.rename(tmp_path / "scene[1].tif")
    done = call("predict", odd, tmp_path / "map.tif", "-m", saved)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "map.tif").is_file()
    with serving(tmp_path) as address:
        source = f"/vsicurl/{address}/a.tif?s=1"
        done = call("predict", source, tmp_path / "b.tif", "-m", saved)
    assert "a.tif cannot be opened" in done.stderr
