"""Workers that go on for a run which is over harm nobody; results survive a loss of power."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import distributed
import numpy as np
import pytest
from clusters import threads
from pointwise import leftovers, random_pixels, read, write
from toys import segmenter_of

from geoseg import nets, orders, store
from geoseg.job import predict_file
from geoseg.plan import Block
from geoseg.raster import place as raster_place
from geoseg.raster.place import publish
from geoseg.segmenter import Segmenter
from geoseg.store import BlockStore, BlockWriter, forget

LAYERS = {"classes": (1, "uint8", 255)}
COLUMNS = 6
PLAN: Any = SimpleNamespace(shape=(2, COLUMNS), chunks=((4, 4), (4,) * COLUMNS))


def begun(folder: Path, fingerprint: str) -> BlockStore:
    return BlockStore(folder, fingerprint * 64, PLAN, LAYERS, {})


def pixels(value: int) -> dict[str, Any]:
    return {"classes": np.full((1, 4, 4), value, np.uint8)}


def test_who_writes_for_a_run_that_was_given_up_writes_nothing(tmp_path: Path) -> None:
    first = begun(tmp_path, "a")
    late = BlockWriter(tmp_path, first.name, LAYERS)
    late.write(Block(0, 0), pixels(1))
    second = begun(tmp_path, "b")
    for given in (pixels(1), None):
        with pytest.raises(FileNotFoundError):
            late.write(Block(0, 0), given)
    with pytest.raises(FileNotFoundError):
        late.note_unreadable([(slice(0, 1), slice(0, 1))])
    with pytest.raises(FileNotFoundError):
        BlockWriter(tmp_path, first.name, LAYERS)
    assert not begun(tmp_path, "b").done().any()
    assert [each.name for each in tmp_path.iterdir() if each.is_dir()] == [second.name]
    second.write(Block(0, 0), pixels(2))
    box = slice(0, 4), slice(0, 4)
    assert np.array_equal(second.read("classes", box), np.full((1, 4, 4), 2))


def test_the_same_run_begun_once_more_is_another_one(tmp_path: Path) -> None:
    first = begun(tmp_path, "a")
    assert begun(tmp_path, "a").name == first.name
    forget(tmp_path)
    assert begun(tmp_path, "a").name != first.name


def test_a_folder_that_is_written_into_is_removed_all_the_same(tmp_path: Path) -> None:
    for _ in range(10):
        writer, refusals = begun(tmp_path, "a"), []
        is_writing = threading.Barrier(3)

        def write_on(writer: BlockStore, row: int, ended: list[Any], ready: Any) -> None:
            try:
                for i in range(10_000):
                    writer.write(Block(row, i % COLUMNS), pixels(1))
                    if i == 2:
                        ready.wait()
            except FileNotFoundError as error:
                ended.append(error)

        threads = [
            threading.Thread(target=write_on, args=(writer, row, refusals, is_writing))
            for row in (0, 1)
        ]
        for each in threads:
            each.start()
        is_writing.wait()
        assert forget(tmp_path)
        for each in threads:
            each.join()
        assert len(refusals) == 2
        assert leftovers(tmp_path) == set()


def test_files_that_come_while_a_folder_is_removed_are_removed_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(tmp_path, "a").write(Block(0, 0), pixels(1))
    real, came = store.os.rmdir, []

    def rmdir(path: Any, **options: Any) -> None:
        if not came:  # of a writer that had the folder open before it was renamed
            came.append(path)
            (folder,) = tmp_path.glob("gone-*")
            (folder / "late").mkdir()
            (folder / "late" / "file").write_text("")
        real(path, **options)

    monkeypatch.setattr(os, "rmdir", rmdir)
    monkeypatch.setattr(store, "LATE", (0.0,))
    assert forget(tmp_path)
    assert came
    assert leftovers(tmp_path) == set()


OPTIONS = {"in_channels": 3, "classes": 4, "widths": [4, 4]}


def model(seed: int) -> Segmenter:
    net = nets.build("unet", **OPTIONS)
    return segmenter_of(net, seed=seed, architecture="unet", options=OPTIONS)


@contextmanager
def cluster(workers: int = 1) -> Iterator[distributed.Client]:
    """Workers that are threads of this process, so that what they do can be looked at."""
    with (
        threads(workers) as started,
        distributed.Client(started, set_as_default=False) as client,
    ):
        yield client


def test_a_worker_that_goes_on_for_a_stopped_run_does_not_touch_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = write(tmp_path / "scene.tif", random_pixels((3, 150, 150)).astype(np.uint8))
    go_on, ended = threading.Event(), []
    real, out = orders.finish_block, tmp_path / "out"
    out.mkdir()
    over = threading.Event()

    def finish_block(task: Any, kept: BlockWriter, block: Block, part: Any) -> Any:
        if (block.row, block.column) != (last.row, last.column):
            return real(task, kept, block, part)
        go_on.wait(60)  # as a worker does that is busy when the client is stopped
        try:
            return real(task, kept, block, part)
        except BaseException as error:
            ended.append(error)
            raise
        finally:
            over.set()

    last, total = Block(-1, -1), 0

    def stop(event: dict[str, Any]) -> None:
        nonlocal last, total
        if event["event"] == "start":
            total = event["total"]
            side = round(total**0.5)
            assert side**2 == total >= 4
            last = Block(side - 1, side - 1)
        if event["event"] == "progress" and event["done"] == total - 1:
            raise KeyboardInterrupt

    def let_go(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == event["total"]:
            go_on.set()
            assert over.wait(60)

    monkeypatch.setattr(orders, "finish_block", finish_block)
    options: dict[str, Any] = {"memory": 200_000}
    with cluster() as client:
        options["scheduler"] = client.scheduler.address
        with pytest.raises(KeyboardInterrupt):
            predict_file(scene, out / "map.tif", model(1), on_progress=stop, **options)
        options["scheduler"] = "local"
        predict_file(scene, out / "map.tif", model(2), on_progress=let_go, **options)
    assert [type(each) for each in ended] == [FileNotFoundError]
    for seed in (1, 2):
        predict_file(scene, tmp_path / f"{seed}.tif", model(seed), **options)
    assert (out / "map.tif").read_bytes() == (tmp_path / "2.tif").read_bytes()
    assert not np.array_equal(read(tmp_path / "1.tif"), read(tmp_path / "2.tif"))
    assert leftovers(out) == {"map.tif", "map.tif.json", "map.tif.aux.xml"}


def test_a_result_is_on_the_disk_before_it_has_its_name_and_its_name_is_there_before_more_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[str, str]] = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(number: int) -> None:
        (name,) = [p.name for p in (draft, sidecar, target.parent) if same(p, number)]
        steps.append(("sync", name))
        real_sync(number)

    def same(path: Path, number: int) -> bool:
        return path.exists() and os.path.samestat(path.stat(), os.fstat(number))

    def replace(one: Any, to: Any) -> None:
        steps.append(("replace", Path(one).name))
        real_replace(one, to)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(raster_place, "replace", replace)
    (tmp_path / "drafts").mkdir()
    (tmp_path / "maps").mkdir()
    draft, target = tmp_path / "drafts" / "new.tif", tmp_path / "maps" / "map.tif"
    sidecar = Path(f"{draft}.aux.xml")
    draft.write_text("pixels")
    sidecar.write_text("names")
    publish(draft, target)
    assert steps == [
        ("sync", "new.tif"),
        ("replace", "new.tif"),
        ("sync", "new.tif.aux.xml"),
        ("replace", "new.tif.aux.xml"),
        ("sync", "maps"),
    ]
    assert leftovers(tmp_path / "maps") == {"map.tif", "map.tif.aux.xml"}
