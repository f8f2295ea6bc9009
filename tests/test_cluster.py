"""A cluster of a scheduler and workers, each a process of its own, makes what one process makes."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pytest
from click.testing import CliRunner
from clusters import Processes, processes
from items import contents
from pointwise import random_pixels, spoil, write
from toys import segmenter_of

from geoseg import batch, nets, orders
from geoseg.cli import main
from geoseg.cluster import Cluster, Errands
from geoseg.devices import Capacity, Room
from geoseg.errors import UserError
from geoseg.job import Result, predict_file
from geoseg.orders import Means, Order
from geoseg.runs import facts_of
from geoseg.segmenter import Segmenter
from geoseg.store import LAYOUT

OPTIONS = {"in_channels": 3, "classes": 4, "widths": [8, 8]}
SMALL = 200_000  # bytes: blocks of a few windows


@pytest.fixture(scope="module")
def model() -> Segmenter:
    return segmenter_of(nets.build("unet", **OPTIONS), architecture="unet", options=OPTIONS)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = random_pixels((3, 400, 360)).astype(np.uint8)
    pixels[:, :150, :100] = 0
    return write(tmp_path_factory.mktemp("input") / "scene.tif", pixels, nodata=0)


def run(scene: Path, folder: Path, model: Any, **options: Any) -> Result:
    folder.mkdir(exist_ok=True)
    settings = {
        "polygons": folder / "map.gpkg",
        "confidence": folder / "sure.tif",
        "scores": folder / "scores.tif",
        "memory": SMALL,
        "scheduler": "local",
    }
    return predict_file(scene, folder / "map.tif", model, **(settings | options))


@pytest.fixture(scope="module")
def expected(
    scene: Path, model: Segmenter, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """What one process makes."""
    folder = tmp_path_factory.mktemp("one") / "process"
    run(scene, folder, model)
    return contents(folder)


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with processes(tmp_path_factory.mktemp("cluster") / "own", workers=3) as started:
        yield started


def test_three_workers_make_the_bytes_of_one_process(
    scene: Path, model: Segmenter, expected: dict[str, bytes], group: Processes, tmp_path: Path
) -> None:
    before = group.logged()
    result = run(scene, tmp_path / "map", model, scheduler=group.address)
    assert contents(tmp_path / "map") == expected
    assert result.computed == result.blocks - result.empty > 30
    assert group.logged() - before == result.computed  # all of them by workers, each once
    assert [path.name for path in (tmp_path / "map").iterdir() if path.is_dir()] == []


def test_an_active_client_is_used(
    scene: Path, model: Segmenter, expected: dict[str, bytes], group: Processes, tmp_path: Path
) -> None:
    before = group.logged()
    with distributed.Client(group.address):
        result = run(scene, tmp_path / "map", model, scheduler=None)
    assert contents(tmp_path / "map") == expected
    assert group.logged() - before == result.computed


def test_views_of_several_models_are_the_same_on_a_cluster(
    model: Segmenter, group: Processes, tmp_path: Path
) -> None:
    other = segmenter_of(
        nets.build("unet", **OPTIONS), seed=5, architecture="unet", options=OPTIONS
    )
    small = write(tmp_path / "small.tif", random_pixels((3, 150, 130)).astype(np.uint8))
    options: dict[str, Any] = {"views": "flips", "scales": [1, 0.5], "memory": 10_000_000}
    run(small, tmp_path / "one", [model, other], **options)
    run(small, tmp_path / "many", [model, other], scheduler=group.address, **options)
    assert contents(tmp_path / "many") == contents(tmp_path / "one")


def test_a_worker_loads_a_model_once_by_its_digest(
    scene: Path, group: Processes, tmp_path: Path
) -> None:
    other = segmenter_of(
        nets.build("unet", **OPTIONS), seed=7, architecture="unet", options=OPTIONS
    )
    for name in ("a", "b"):  # each run shows a file of its own
        run(scene, tmp_path / name, other, scheduler=group.address)
    assert 1 <= group.logged(f"model {other.digest[:12]} loaded") <= 3


def test_workers_that_are_killed_cost_the_blocks_that_they_held(
    scene: Path, model: Segmenter, expected: dict[str, bytes], tmp_path: Path
) -> None:
    deaths = 0

    def kill_one(event: dict[str, Any]) -> None:
        nonlocal deaths
        if event["event"] == "progress" and event["done"] % 12 == 6 and deaths < 4:
            group.kill_worker()
            group.add_worker()
            deaths += 1

    with processes(tmp_path / "own", workers=3) as group:
        folder = tmp_path / "map"
        result = run(scene, folder, model, scheduler=group.address, on_progress=kill_one)
        begun = group.logged()
    assert deaths == 4
    assert contents(folder) == expected
    assert result.computed <= begun <= result.computed + deaths  # each had one thread


def test_a_run_whose_scheduler_is_killed_stops_and_another_cluster_ends_it(
    scene: Path, model: Segmenter, expected: dict[str, bytes], tmp_path: Path
) -> None:
    def kill(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == 8:
            group.scheduler.kill()

    folder = tmp_path / "map"
    with (
        processes(tmp_path / "first", workers=2) as group,
        pytest.raises(UserError, match=r"scheduler .* is gone, and what is finished is kept; sta"),
    ):
        run(scene, folder, model, scheduler=group.address, on_progress=kill)
    assert contents(folder) == {}
    with processes(tmp_path / "second", workers=2) as group:
        result = run(scene, folder, model, scheduler=group.address)
        assert result.blocks - result.empty - result.computed >= 8
        assert group.logged() == result.computed
    assert contents(folder) == expected


def test_small_scenes_of_a_batch_are_spread_and_huge_ones_shared(
    model: Segmenter, group: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    for i, side in enumerate((90, 400, 120, 150)):
        write(scenes / f"{i}.tif", random_pixels((3, side, side), seed=i).astype(np.uint8))
    (scenes / "broken.tif").write_bytes(b"II*\0")
    monkeypatch.setattr(batch, "HUGE", 300 * 300)
    model.save(tmp_path / "toy.safetensors")
    arguments = [str(scenes), "-m", str(tmp_path / "toy.safetensors"), "--memory", "400kB"]
    before = group.logged()
    for name, more in (("one", []), ("many", ["--scheduler", group.address])):
        result = CliRunner().invoke(
            main, ["predict", *arguments[:1], str(tmp_path / name), *arguments[1:], *more,
                   "--polygons", ".gpkg"]
        )  # fmt: skip
        assert result.exit_code == 2, result.output
        assert "4 of 5 maps are in" in result.output
        assert f"{scenes / 'broken.tif'} failed: " in result.output
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    assert len(contents(tmp_path / "one")) == 4 * 4
    assert group.logged() > before  # blocks of the huge one; the others were told of as scenes


def test_tiles_that_workers_cannot_read_have_no_data_and_are_told(
    model: Segmenter, group: Processes, tmp_path: Path
) -> None:
    tiled = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    pixels = random_pixels((3, 200, 180)).astype(np.uint8)
    spoil(write(tmp_path / "scene.tif", pixels, **tiled), (1, 1), (3, 2))
    model.save(tmp_path / "toy.safetensors")
    words = ["-m", str(tmp_path / "toy.safetensors"), "--memory", str(SMALL)]
    words += ["--on-read-error", "nodata"]
    found: dict[str, str] = {}
    before = group.logged()
    for name, scheduler, progress in (
        ("one", "local", "json"),
        ("many", group.address, "json"),
        ("told", group.address, "none"),
    ):
        (tmp_path / name).mkdir()
        result = CliRunner().invoke(
            main, ["predict", str(tmp_path / "scene.tif"), str(tmp_path / name / "map.tif"), *words,
                   "--scheduler", scheduler, "--progress", progress]
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        found[name] = result.stderr if progress == "none" else result.stdout
    assert group.logged() > before + 1
    assert contents(tmp_path / "one") == contents(tmp_path / "many") == contents(tmp_path / "told")
    told = {"pixels": 64 * 64 + 8 * 52, "boxes": [[64, 127, 64, 127], [192, 199, 128, 179]]}
    for name in ("one", "many"):
        events = [json.loads(line) for line in found[name].splitlines()]
        assert [each["unreadable"] for each in events if each["event"] == "done"] == [told]
    assert "4,512 pixels cannot be read and have no data" in found["told"].splitlines()[-1]


def test_a_scheduler_that_is_not_there_is_told(
    scene: Path, model: Segmenter, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9; start one"):
        run(scene, tmp_path / "map", model, scheduler="tcp://127.0.0.1:9")


def test_workers_that_differ_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = Room("cpu", 1, 1, math.inf, on_host=True)
    ours = Means(cpu, 1 << 30, orders.VERSIONS)
    crew = Cluster(None)  # type: ignore[arg-type]
    gpu = Means(Room("cuda", 2, 1, 2e9, on_host=False), 1 << 30, orders.VERSIONS)
    monkeypatch.setattr(crew, "_look", lambda _: [ours, gpu])
    with pytest.raises(UserError, match="workers compute on cpu and cuda, which round otherwise"):
        crew.means("auto", 1 << 30)
    old = Means(cpu, 1 << 30, ("0.0.1", "2.6.0"))
    monkeypatch.setattr(crew, "_look", lambda _: [ours, old])
    with pytest.raises(UserError, match=r"workers have geoseg 0\.0\.1 and torch 2\.6\.0, this pro"):
        crew.means("auto", 1 << 30)


def test_workers_are_asked_once_and_the_least_sets_the_size_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    one = Means(Room("cpu", 1, 1, math.inf, on_host=True), 1 << 30, orders.VERSIONS)
    four = Means(Room("cpu", 4, 1, math.inf, on_host=True), 1 << 29, orders.VERSIONS)

    def look(devices: str) -> list[Means]:
        asked.append(devices)
        return [one, four]

    crew = Cluster(None)  # type: ignore[arg-type]
    monkeypatch.setattr(crew, "_look", look)
    least = 1 << 29, Capacity("cpu", 4, 1, 2**29 / 2 / 4)
    assert crew.means("cpu", None) == least
    assert asked == ["cpu"]
    assert crew.means("cpu", 1 << 29) == least  # as a run finds that is taken up again
    with pytest.raises(UserError, match="memory 0 must be a number of bytes"):
        crew.means("cpu", 0)


def test_a_worker_that_sees_other_files_refuses(
    scene: Path, model: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Here:
        address = "tcp://10.0.0.7:1"

    monkeypatch.setattr(orders, "get_worker", Here)
    order = Order({}, (), None, None, (str(scene),), (), tmp_path, {}, "0" * 64)
    unseen = r"worker tcp://10\.0\.0\.7:1 does not see the blocks in"
    assert re.match(unseen, str(orders.finish(order, 0, 0)))
    facts = {"fingerprint": "0" * 64, "layout": LAYOUT}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    planned = [{**each, "size": 1} for each in facts_of([str(scene)])]
    told = orders.finish(replace(order, files=tuple(planned)), 0, 0)
    assert isinstance(told, UserError)
    assert "sees another scene.tif than was planned with; put the input where" in str(told)
    model.save(tmp_path / "toy.safetensors")
    with pytest.raises(UserError, match=r"sees another model in .*toy\.safetensors; put the file"):
        orders.loaded("1" * 64, str(tmp_path / "toy.safetensors"))


class Answer:
    """A future that is done."""

    def __init__(self, error: BaseException | None) -> None:
        self.status, self._error = "error" if error else "finished", error

    def exception(self) -> BaseException | None:
        return self._error

    def result(self) -> str:
        return "done"

    def add_done_callback(self, tell: Any) -> None:
        tell(self)


class Client:
    """Gives answers in turn, at once."""

    def __init__(self, *errors: BaseException | None) -> None:
        self.errors, self.calls = list(errors), 0

    def submit(self, *_: Any, **__: Any) -> Answer:
        self.calls += 1
        return Answer(self.errors.pop(0))


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def tried(client: Client) -> list[tuple[str, Any]]:
    errands: Errands[str] = Errands(client, print, lambda item: (item,), None)  # type: ignore[arg-type]
    return list(errands.run(["block 1,2"], lambda: 1))


@pytest.mark.usefixtures("at_once")
def test_work_is_given_again_when_its_worker_or_its_disk_was_lost() -> None:
    lost = distributed.KilledWorker("key", None, 3)
    client = Client(lost, OSError("the network is down"), lost, None)
    assert tried(client) == [("block 1,2", "done")]
    assert client.calls == 4


@pytest.mark.usefixtures("at_once")
def test_work_that_fails_for_good_is_told() -> None:
    for error, calls in ((UserError("no"), 1), (PermissionError("no"), 1), (OSError("no"), 4)):
        client = Client(*[error] * 9)
        assert tried(client) == [("block 1,2", error)]
        assert client.calls == calls
    with pytest.raises(UserError, match=r"block 1,2 took 10 workers with it, of which memory"):
        tried(Client(*[distributed.KilledWorker("key", None, 3)] * 20))
