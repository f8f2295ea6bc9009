"""A cluster of a scheduler and workers, each a process of its own, makes what one process makes."""

from __future__ import annotations

import json
import math
import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import distributed
import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import torch
from click.testing import CliRunner
from clusters import Processes, processes, threads, wait_until
from items import contents
from pointwise import UTM, random_pixels, spoil, write
from toys import segmenter_of

from geoseg import batch, cluster, devices, nets, orders
from geoseg.batch import SceneJob
from geoseg.cli import main
from geoseg.cluster import Cluster, Errands, connected
from geoseg.crew import CACHE_SHARE, Spent
from geoseg.devices import Capacity, Room
from geoseg.errors import UserError
from geoseg.job import Result, predict_file
from geoseg.orders import Failure, Means, ModelOrder, Order, Terms
from geoseg.places import UnreachableError
from geoseg.plan import Block
from geoseg.precision import Precision
from geoseg.runs import facts_of
from geoseg.segmenter import Segmenter
from geoseg.store import LAYOUT
from geoseg.tasks import Running
from geoseg.versions import VERSIONS, Versions

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


def test_workers_that_are_killed_cost_the_blocks_that_they_held_and_are_told(
    scene: Path,
    model: Segmenter,
    expected: dict[str, bytes],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
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
    told = re.findall(r"worker tcp://[\d.:]+ was lost", caplog.text)
    assert 1 <= len(told) <= deaths  # of one that is killed before it has joined nobody knows


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


def test_a_run_goes_on_with_its_blocks_on_other_machines(
    scene: Path, model: Segmenter, tmp_path: Path
) -> None:
    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            raise InterruptedError

    options: dict[str, Any] = {"memory": 1_000_000}
    folder, before = tmp_path / "map", torch.get_num_threads()
    with processes(tmp_path / "first", workers=2) as group:
        blocks = run(scene, tmp_path / "whole", model, scheduler=group.address, **options).blocks
        with pytest.raises(InterruptedError):
            run(scene, folder, model, scheduler=group.address, on_progress=stop, **options)
    with pytest.MonkeyPatch.context() as patch:  # a process with more cores than those workers
        patch.setattr(devices, "cores", lambda: 4)
        assert run(scene, tmp_path / "four", model, **options).blocks != blocks
        with pytest.raises(InterruptedError):
            run(scene, folder, model, on_progress=stop, **options)
    torch.set_num_threads(before)
    with processes(tmp_path / "second", workers=0) as group:
        group.add_worker("--nthreads", "3")
        result = run(scene, folder, model, scheduler=group.address, **options)
        assert group.logged() == result.computed
    assert result.blocks == blocks
    assert 0 < result.computed <= blocks - 2
    assert contents(folder) == contents(tmp_path / "whole")


def order_for(crew: int) -> Any:
    """An order of one run, for so many blocks at once."""
    terms = SimpleNamespace(refuse_others=lambda _: None)
    facts = {"crew": crew, "running": Running(device="cpu")}
    model = ModelOrder((), None, None)
    return Order(facts, model, (), (), Path("map"), "run-1", {}, terms, 0)  # type: ignore[arg-type]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of orders are opened, though there is neither a file nor a model."""
    task = SimpleNamespace(
        scene=SimpleNamespace(part=lambda _: None), plan=SimpleNamespace(hull=lambda _: None)
    )
    monkeypatch.setattr(orders, "_sites", {})
    monkeypatch.setattr(orders, "is_begun", lambda *_: True)
    monkeypatch.setattr(ModelOrder, "loaded", lambda _: None)
    monkeypatch.setattr(orders, "Task", lambda **_: task)
    monkeypatch.setattr(orders, "BlockWriter", lambda *_: SimpleNamespace(mark=lambda _: 0))


@pytest.mark.usefixtures("opened")
def test_a_worker_has_no_more_blocks_at_once_than_the_newest_order_of_their_run_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes, begun, go_on = threading.Lock(), threading.Semaphore(0), threading.Event()
    at_work: set[int] = set()
    together: list[int] = []

    def finish_block(_task: Any, _store: Any, block: Block, _part: Any) -> Spent:
        with changes:
            at_work.add(block.row)
            together.append(len(at_work))
        begun.release()
        go_on.wait()
        time.sleep(0.01)
        with changes:
            at_work.remove(block.row)
        return Spent()

    monkeypatch.setattr(orders, "finish_block", finish_block)
    with ThreadPoolExecutor(8) as pool:
        blocks = [pool.submit(orders._finish, order_for(3), row, 0) for row in range(8)]
        for _ in range(3):
            assert begun.acquire(timeout=60)
        orders._site(order_for(1))  # while three are at work and five wait
        blocks += [pool.submit(orders._finish, order_for(1), row, 0) for row in range(8, 16)]
        go_on.set()
        for block in blocks:
            block.result()
    assert together == [1, 2, 3] + [1] * 13


@pytest.mark.usefixtures("opened")
def test_a_worker_has_more_blocks_at_once_when_a_newer_order_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    all_at_once = threading.Barrier(4, timeout=60)
    monkeypatch.setattr(orders, "finish_block", lambda *_: Spent(read=all_at_once.wait()))
    orders._site(order_for(1))
    with ThreadPoolExecutor(4) as pool:
        turns = pool.map(lambda row: orders._finish(order_for(4), row, 0)[1].read, range(4))
        assert len(list(turns)) == 4


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


def test_a_scheduler_that_dask_cannot_ask_any_more_is_gone() -> None:
    crew = Cluster(SimpleNamespace(scheduler_info=lambda n_workers: {}))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"^the scheduler of the cluster is gone, and what is fin"):
        crew.threads()


def test_workers_that_differ_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = Room("cpu", 1, 1, math.inf, on_host=True)
    ours = Means(cpu, 1 << 30, VERSIONS)
    crew = Cluster(None)  # type: ignore[arg-type]
    gpu = Means(Room("cuda", 2, 1, 2e9, on_host=False), 1 << 30, VERSIONS)
    monkeypatch.setattr(crew, "_look", lambda _: [ours, gpu])
    with pytest.raises(UserError, match="workers compute on cpu and cuda, which round otherwise"):
        crew.means("auto", 1 << 30)
    for package, at in (("geoseg", 0), ("torch", 1), ("numpy", 2), ("GDAL", 3)):
        old = Means(cpu, 1 << 30, versions_but(package))
        monkeypatch.setattr(crew, "_look", lambda _, old=old: [ours, old])
        own = re.escape(VERSIONS[at][1])
        with pytest.raises(
            UserError, match=rf"workers have {package} 0\.0\.1, this process {package} {own}; inst"
        ):
            crew.means("auto", 1 << 30)


def versions_but(package: str) -> Versions:
    """Our versions, but for that of a package."""
    return tuple((name, "0.0.1" if name == package else own) for name, own in VERSIONS)


GPU = """
from geoseg import orders
from geoseg.devices import Room
orders.room_of = lambda devices: Room("cuda", 2, 1, 2e9, False)
"""


def test_workers_that_are_given_no_work_beside_gpus_are_not_asked(tmp_path: Path) -> None:
    (tmp_path / "gpu.py").write_text(GPU)
    with (
        processes(tmp_path / "own", workers=1) as group,
        connected(group.address) as crew,
    ):
        group.add_worker("--resources", "GPU=2", "--preload", str(tmp_path / "gpu.py"))
        wait_until(lambda: crew.threads() == 2)
        _, has = crew.means("auto", 1 << 30)
        assert has.kind == "cuda"
        group.workers[0].send_signal(signal.SIGSTOP)  # nor waited for
        assert crew.means("auto", 1 << 30) == (1 << 30, has)


def test_workers_beside_gpus_are_sent_nothing_that_they_could_not_read(
    scene: Path, expected: dict[str, bytes], model: Segmenter, tmp_path: Path
) -> None:
    with processes(tmp_path / "own", workers=0) as group:
        for _ in range(3):
            group.add_worker(bare=True)
        group.add_worker("--resources", "GPU=1")
        with connected(group.address) as crew:
            wait_until(lambda: crew.threads() == 4)
        result = run(scene, tmp_path / "map", model, scheduler=group.address)
        assert result.computed > 1
        assert [worker.poll() for worker in group.workers] == [None] * 4
    assert contents(tmp_path / "map") == expected


@pytest.mark.parametrize(
    ("bare", "told"),
    [
        ("scheduler", "the scheduler cannot read what it is sent"),
        ("worker", r"worker tcp://[\d.:]+ cannot import geoseg"),
    ],
)
def test_a_cluster_without_geoseg_is_refused_and_told_where_it_lacks(
    bare: str, told: str, tmp_path: Path
) -> None:
    remedy = r"install the same versions everywhere: pip install 'geoseg\[cluster\]'"
    with (
        processes(tmp_path / "own", workers=1, bare=bare) as group,
        connected(group.address) as crew,
        pytest.raises(UserError, match=rf"^{told} \(No module named 'geoseg'\); {remedy}$"),
    ):
        crew.means("cpu", 1 << 30)


def test_workers_that_are_lost_whenever_they_are_asked_are_told_and_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    crew = Cluster(SimpleNamespace(status="running"))  # type: ignore[arg-type]
    there = ["tcp://10.0.0.7:1", "tcp://10.0.0.7:2", "tcp://10.0.0.7:3"]
    monkeypatch.setattr(
        crew,
        "_workers",
        lambda: {name: {"resources": {}, "status": "running"} for name in there[:1]},
    )
    monkeypatch.setattr(crew, "_asked", lambda address, devices: address)
    monkeypatch.setattr(crew, "_answered", lambda asked: there.pop(0) and [])
    with pytest.raises(UserError, match=r"lost as soon as they are asked .*:3 last; see its log, "):
        crew.means("cpu", 1 << 30)
    lost = [record.getMessage() for record in caplog.records]
    assert lost == [
        f"tcp://10.0.0.7:{i} was lost when it was asked what it has; see its log" for i in (1, 2, 3)
    ]
    # Where it comes back by the same address each time, dask gives it up.
    there = ["tcp://10.0.0.7:4"]
    dead = Answer(distributed.KilledWorker("key", None, 3), "key")
    monkeypatch.setattr(crew, "_asked", lambda address, devices: dead)
    monkeypatch.setattr(crew, "_answered", lambda asked: [dead])
    with pytest.raises(UserError, match=r"lost as soon as they are asked .*:4 last; see its log, "):
        crew.means("cpu", 1 << 30)


OLD = """
from geoseg import orders
orders.VERSIONS = (("geoseg", "0.0.1"), *orders.VERSIONS[1:])
"""


def test_a_worker_of_another_version_that_joins_late_writes_nothing(
    scene: Path, model: Segmenter, tmp_path: Path
) -> None:
    def change(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == 4:
            group.kill_worker()
            group.add_worker("--preload", str(tmp_path / "old.py"))

    (tmp_path / "old.py").write_text(OLD)
    with (
        processes(tmp_path / "own", workers=1) as group,
        pytest.raises(
            UserError, match=r"worker tcp://\S+ has geoseg 0\.0\.1, the run was begun with geoseg"
        ),
    ):
        run(scene, tmp_path / "map", model, scheduler=group.address, on_progress=change)
    assert contents(tmp_path / "map") == {}


def test_terms_are_those_of_versions_and_kinds_of_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "get_worker", Here)
    Terms(VERSIONS, "cpu").refuse_others("cpu")
    with pytest.raises(UserError, match=r"worker \S+ has numpy .*, the run was begun with numpy 0"):
        Terms(versions_but("numpy"), "cpu").refuse_others("cpu")
    with pytest.raises(UserError, match=r"7:1 computes on cpu, the run was begun on cuda, which r"):
        Terms(VERSIONS, "cuda").refuse_others("cpu")


def test_workers_are_asked_once_and_the_least_sets_the_size_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    one = Means(Room("cpu", 1, 1, math.inf, on_host=True), 1 << 30, VERSIONS)
    four = Means(Room("cpu", 4, 1, math.inf, on_host=True), 1 << 29, VERSIONS)

    def look(devices: str) -> list[Means]:
        asked.append(devices)
        return [one, four]

    crew = Cluster(None)  # type: ignore[arg-type]
    monkeypatch.setattr(crew, "_look", look)
    least = 1 << 29, Capacity("cpu", 4, 1, 2**29 / 2 / 4, 5)
    assert crew.means("cpu", None) == least
    assert asked == ["cpu"]
    assert crew.means("cpu", 1 << 29) == least  # as a run finds that is taken up again
    with pytest.raises(UserError, match="memory 0 must be a number of bytes"):
        crew.means("cpu", 0)


def test_blocks_get_what_a_worker_has_left_of_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = SimpleNamespace(
        state=SimpleNamespace(nthreads=1),
        memory_manager=SimpleNamespace(memory_limit=2 << 30, memory_pause_fraction=0.8),
        monitor=SimpleNamespace(get_process_memory=lambda: held.pop()),
    )
    held = [3_000_000_000, 1_500_000_000, 800_000_000, 0]
    monkeypatch.setattr(orders, "get_worker", lambda: worker)
    monkeypatch.setattr(orders, "_use_threads", lambda count: None)
    monkeypatch.setattr(orders, "memory_budget", lambda: 1 << 40)
    found = [orders.means_of_worker("cpu").memory for _ in range(4)]
    assert found == [1 << 30, 1 << 29, 1 << 27, 1 << 26]


def test_a_worker_hands_back_what_blocks_have_freed_before_dask_pauses_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held, handed_back = [700, 500, 900], []
    worker = SimpleNamespace(
        memory_manager=SimpleNamespace(memory_limit=1000),
        monitor=SimpleNamespace(get_process_memory=lambda: held[-1]),
        address="tcp://10.0.0.7:1",
    )
    monkeypatch.setattr(orders, "get_worker", lambda: worker)
    monkeypatch.setattr(orders, "_finish", lambda order, row, column: (row, Spent()))
    monkeypatch.setattr(orders, "release_memory", lambda: handed_back.append(held[-1]))
    while held:
        assert orders.finish(SimpleNamespace(cache=0), 7, 0) == (7, Spent(), worker.address)  # type: ignore[arg-type]
        held.pop()
    assert handed_back == [900, 700]
    worker.memory_manager.memory_limit = None
    orders.finish(SimpleNamespace(cache=0), 7, 0)  # type: ignore[arg-type]  # asks for nothing


def test_workers_that_dask_pauses_are_told_and_a_run_that_has_no_others_stops(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    about = {"nthreads": 1, "resources": {}, "last_seen": 7.0, "status": "running"}
    about |= {"memory_limit": 2_000_000_000, "metrics": {"memory": 1_620_000_000}}
    workers = {name: about | {} for name in "ab"}
    crew = Cluster(None)  # type: ignore[arg-type]
    monkeypatch.setattr(crew, "_workers", lambda: workers)
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(cluster.time, "monotonic", lambda: next(clock))
    for _ in range(3):
        workers["a"]["status"] = "paused"
        assert crew.threads() == 2
    assert caplog.text.count("worker a is paused by dask: it holds 1.6 of its 2.0 GB of mem") == 1
    assert (
        "give workers more (dask worker --memory-limit), or blocks less (--memory)" in caplog.text
    )
    workers["b"]["status"] = "paused"
    crew.threads()
    crew.threads()
    with pytest.raises(
        UserError, match=r"all workers are paused by dask, a for one, which .* is kept: giv"
    ):
        crew.threads()
    workers["a"]["status"] = "running"
    assert crew.threads() == 2


def test_a_worker_that_sees_other_files_refuses(
    scene: Path, model: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "get_worker", Here)
    task = {"running": Running(device="cpu")}
    terms = Terms(VERSIONS, "cpu")
    order = Order(
        task, ModelOrder((), None, None), (str(scene),), (), tmp_path, "run-1", {}, terms, 1 << 20
    )
    unseen = "worker tcp://10.0.0.7:1 does not see what was put into"
    told = orders.finish(order, 0, 0)
    assert isinstance(told, Failure)
    assert told.said.startswith(unseen)
    assert not told.may_pass
    facts = {"fingerprint": "0" * 64, "layout": LAYOUT, "run": "run-1"}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    planned = [{**each, "size": 1} for each in facts_of([str(scene)])]
    told = orders.finish(replace(order, files=tuple(planned)), 0, 0)
    assert isinstance(told, Failure)
    assert "sees another scene.tif than was planned with; put the input where" in told.said
    model.save(tmp_path / "toy.safetensors")
    with pytest.raises(UserError, match=r"sees another model in .*toy\.safetensors; put the file"):
        orders.loaded("1" * 64, str(tmp_path / "toy.safetensors"))


class Here:
    """A worker."""

    address = "tcp://10.0.0.7:1"


class Answer:
    """A future that is done."""

    def __init__(self, outcome: Any, key: str) -> None:
        is_error = isinstance(outcome, BaseException)
        self.key = key
        self.status, self._outcome = "error" if is_error else "finished", outcome

    def exception(self) -> Any:
        return self._outcome

    def result(self) -> Any:
        if self.status == "error":
            raise self._outcome
        return self._outcome

    def add_done_callback(self, tell: Any) -> None:
        tell(self)


class Client:
    """Gives answers in turn, at once."""

    status = "closed"

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes, self.calls = list(outcomes), 0
        self.events: dict[str, list[tuple[float, Any]]] = {}

    def get_events(self, topic: str) -> list[tuple[float, Any]]:
        return self.events[topic]

    def submit(self, *_: Any, **__: Any) -> Answer:
        self.calls += 1
        return Answer(self.outcomes.pop(0), f"key-{self.calls}")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PAUSE", 0.0)


def tried(client: Client, *items: str) -> list[tuple[str, Any]]:
    errands: Errands[str] = Errands(client, print, lambda item: (item,), None)  # type: ignore[arg-type]
    return list(errands.run(items or ["block 1,2"], lambda: 1))


@pytest.mark.usefixtures("at_once")
def test_work_is_given_again_when_its_worker_or_its_disk_was_lost() -> None:
    lost, away = distributed.KilledWorker("key", None, 3), Failure("it does not answer", True)
    client = Client(lost, OSError("the network is down"), away, lost, away, "done")
    assert tried(client) == [("block 1,2", "done")]
    assert client.calls == 6


@pytest.mark.usefixtures("at_once")
def test_work_that_fails_for_good_is_told() -> None:
    for error, calls in ((UserError("no"), 1), (PermissionError("no"), 1), (OSError("no"), 4)):
        client = Client(*[error] * 9)
        assert tried(client) == [("block 1,2", error)]
        assert client.calls == calls
    for may_pass, calls in ((False, 1), (True, 4)):
        client = Client(*[Failure("no way", may_pass)] * 9)
        ((_, told),) = tried(client)
        assert isinstance(told, UserError)
        assert str(told) == "no way"
        assert client.calls == calls


def test_an_item_that_kills_its_workers_is_told_and_the_others_are_done() -> None:
    lost = distributed.KilledWorker("key", None, 3)
    told = dict(tried(Client(lost, "one", "two", lost, lost), "poison", "first", "second"))
    assert (told["first"], told["second"]) == ("one", "two")
    assert isinstance(told["poison"], UserError)
    assert re.match("poison took 3 workers with it, of which memory", str(told["poison"]))


def test_a_worker_that_is_lost_is_told_once_with_the_scenes_that_others_go_on_with(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 0.0)  # look each time
    about = {"nthreads": 1, "resources": {}, "last_seen": 7.0, "status": "running"}
    workers = {name: about | {} for name in "abc"}
    client = Client("one", "two", "three")
    left = {"action": "remove-worker", "processing-tasks": {"key-2", "key-3", "another's"}}
    client.events = {
        "a": [(1.0, {"action": "add-worker"}), (2.0, left | {"expected": False})],
        "b": [(3.0, left | {"expected": True})],  # as it was told to
    }
    crew = Cluster(client)  # type: ignore[arg-type]
    monkeypatch.setattr(crew, "_workers", lambda: workers)
    for _ in crew.each(print, ["1.tif", "2.tif", "3.tif"], lambda item: (item,)):
        workers.pop("a", None) or workers.pop("b", None)
    told = [record.getMessage() for record in caplog.records]
    assert told == ["worker a was lost; others go on with 2.tif, 3.tif"]


def test_others_go_on_while_one_waits_for_its_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PAUSE", 0.05)
    client = Client(OSError("no"), "one", "two", "late")
    assert tried(client, "waits", "a", "b") == [("a", "one"), ("b", "two"), ("waits", "late")]


def test_the_loss_of_all_workers_with_a_resource_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    workers = {
        "a": {"nthreads": 2, "resources": {"GPU": 2.0}, "last_seen": 7.0, "status": "running"},
        "b": {"nthreads": 8, "resources": {}, "last_seen": 7.0, "status": "running"},
    }
    crew = Cluster(None)  # type: ignore[arg-type]
    monkeypatch.setattr(crew, "_workers", lambda: workers)
    assert crew.threads() == 10
    assert crew.threads({"GPU": 1}) == 2
    del workers["a"]
    monkeypatch.setattr(cluster, "PATIENCE", 0.0)  # look each time
    looks = iter([2])
    errands: Errands[str] = Errands(
        Client("one", "two"),  # type: ignore[arg-type]
        *(print, lambda item: (item,), {"GPU": 1}),
    )
    assert len([*errands.run(["a", "b"], lambda: next(looks, crew.threads({"GPU": 1})))]) == 2
    assert "all workers that name GPU are gone; waiting for others" in caplog.text


def test_a_worker_that_is_stopped_is_named_and_not_waited_for(
    group: Processes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with connected(group.address) as crew:
        wait_until(lambda: crew.threads() == 3)
        assert crew.means("cpu", 1 << 30)[0] == 1 << 30  # all have imported torch then
        monkeypatch.setattr(cluster, "PATIENCE", 0.5)
        monkeypatch.setattr(cluster, "COLD", 0.2)
        monkeypatch.setattr(cluster, "SILENCE", 1.0)
        caplog.clear()
        group.workers[1].send_signal(signal.SIGSTOP)
        try:
            assert crew.means("cpu", 1 << 30)[0] == 1 << 30
        finally:
            group.workers[1].send_signal(signal.SIGCONT)
    waited, left = (record.getMessage() for record in caplog.records)
    told = r"waiting for workers to say what they have, they may be importing torch: tcp://[\d.:]+$"
    assert re.match(told, waited)
    assert re.match(r"tcp://[\d.:]+, hung or busy, is not waited for any more$", left)


@pytest.mark.parametrize(("seconds", "named"), [(15, False), (25, True)])
def test_workers_have_time_to_import_torch_before_they_are_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, seconds: int, named: bool
) -> None:
    clock = [0.0]

    def wait(client: object, futures: list[SimpleNamespace]) -> None:
        clock[0] += cluster.PATIENCE
        if clock[0] >= seconds:
            return
        raise TimeoutError

    worker = SimpleNamespace(done=lambda: clock[0] >= seconds)
    monkeypatch.setattr(cluster, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(cluster, "_wait", wait)
    crew = Cluster(None)  # type: ignore[arg-type]
    monkeypatch.setattr(crew, "_workers", lambda: {"tcp://slow": {}})
    assert crew._answered({"tcp://slow": worker}) == [worker]  # type: ignore[dict-item, comparison-overlap]
    told = "waiting for workers to say what they have, they may be importing torch: tcp://slow\n"
    assert (told in caplog.text) is named


def test_a_worker_that_hangs_later_is_named_once(
    group: Processes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cluster, "SILENCE", 2.0)
    with connected(group.address) as crew:
        wait_until(lambda: crew.threads() == 3)
        group.workers[1].send_signal(signal.SIGSTOP)
        try:
            wait_until(lambda: crew.threads() and "no sign of life" in caplog.text)
            assert crew.threads() == 3
        finally:
            group.workers[1].send_signal(signal.SIGCONT)
    assert caplog.text.count("gives no sign of life; dask gives it up") == 1


@contextmanager
def within() -> Iterator[str]:
    """A cluster of one worker within this process; gives the address of its scheduler."""
    with threads() as started:
        yield started.scheduler_address


@pytest.mark.parametrize(("failures", "message"), [(3, None), (4, "the storage is away")])
@pytest.mark.usefixtures("at_once")
def test_a_block_whose_storage_does_not_answer_is_tried_four_times(
    scene: Path,
    model: Segmenter,
    expected: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failures: int,
    message: str | None,
) -> None:
    left, real, caches = [UnreachableError("the storage is away")] * failures, None, set()
    real = orders.finish_block

    def finish_block(task: Any, store: Any, block: Block, part: Any) -> Any:
        caches.add(rasterio.env.getenv()["GDAL_CACHEMAX"])
        if (block.row, block.column) == (2, 2) and left:
            raise left.pop()
        return real(task, store, block, part)

    monkeypatch.setattr(orders, "finish_block", finish_block)
    told = nullcontext() if message is None else pytest.raises(UserError, match=message)
    with within() as address, told:
        run(scene, tmp_path / "map", model, scheduler=address)
    assert left == []
    assert contents(tmp_path / "map") == (expected if message is None else {})
    assert caches == {SMALL // CACHE_SHARE}  # bytes of tiles that GDAL keeps


def test_the_precision_is_chosen_by_a_worker_that_loads_the_model_by_its_digest(
    scene: Path,
    model: Segmenter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[tuple[Any, str]] = []

    def choose(given: Any, segmenter: Segmenter, running: Any) -> Precision:
        seen.append((running.precision, segmenter.digest))
        assert segmenter is not model
        return Precision("fp32", 0.9995)

    monkeypatch.setattr(orders, "choose_precision", choose)
    saved: list[str] = []
    real = Segmenter.save

    def save(segmenter: Segmenter, path: Any) -> None:
        saved.append(Path(path).name)
        real(segmenter, path)

    monkeypatch.setattr(Segmenter, "save", save)
    monkeypatch.setattr(distributed.Client, "scatter", lambda *_, **__: pytest.fail("it was sent"))
    with within() as address, caplog.at_level("INFO", "geoseg"):
        run(scene, tmp_path / "map", model, scheduler=address)
    assert seen == [("auto", model.digest)]
    assert saved == [f"{model.digest[:40]}.safetensors"]  # once for both
    with rasterio.open(tmp_path / "map" / "map.tif") as file:
        assert json.loads(file.tags()["GEOSEG_CHOSEN"])["agreement"] == 0.9995
    assert f"cluster {address}\n" in caplog.text  # without a page, for there is none
    assert {path.name for path in (tmp_path / "map").iterdir() if path.is_dir()} == set()


def scenes_of(folder: Path, *names: str) -> list[SceneJob]:
    (folder / "out").mkdir()
    for seed, name in enumerate(names):
        write(folder / name, random_pixels((3, 90, 90), seed).astype(np.uint8))
    return [SceneJob(str(folder / each), (("dst", folder / "out" / each),)) for each in names]


def spread(folder: Path, jobs: list[SceneJob], model: Segmenter, **more: Any) -> dict[str, Any]:
    """What comes of scenes on a cluster."""
    model.save(folder / "toy.safetensors")
    with within() as address:
        options = {"scheduler": address, "device": "cpu", "memory": SMALL, **more}
        found = batch.predict_scenes(
            jobs, model, [folder / "toy.safetensors"], options, lambda _: print
        )
        return {Path(job.source).name: outcome for job, outcome in found}


def test_what_a_worker_says_it_wrote_is_looked_for_and_who_did_is_told(
    model: Segmenter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    real = batch.predict_file

    def elsewhere(**arguments: Any) -> Result:
        result = real(**arguments)
        if "a.tif" in arguments["src"]:  # as where another disk lies at that path for the worker
            for path in result.outputs.values():
                Path(str(path)).unlink()
        return result

    monkeypatch.setattr(batch, "predict_file", elsewhere)
    with caplog.at_level("DEBUG", "geoseg.batch"):
        told = spread(tmp_path, scenes_of(tmp_path, "a.tif", "b.tif"), model)
    assert re.search(r"/b\.tif done by inproc://\S+: read [\d.]+, network", caplog.text)
    assert isinstance(told["a.tif"], UserError)
    assert re.match(r"a worker says that it wrote .*a\.tif, which is not there", str(told["a.tif"]))
    assert isinstance(told["b.tif"], Result)
    names = {"b.tif", "b.tif.json", "b.tif.aux.xml", "a.tif.aux.xml"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names


def test_a_folder_that_a_batch_cannot_write_into_is_told_in_one_line(
    model: Segmenter, tmp_path: Path
) -> None:
    jobs = scenes_of(tmp_path, "a.tif")
    (tmp_path / "out").rmdir()
    with pytest.raises(UserError, match=r"cannot write into .*out: it is gone"):
        spread(tmp_path, jobs, model)


def save_mask(path: Path, side: int) -> Path:
    """The upper left corner of scenes, so many pixels wide."""
    left, top = UTM @ (0, 0)
    right, bottom = UTM @ (side, side)
    shape = shapely.box(left, bottom, right, top)
    gpd.GeoDataFrame(geometry=[shape], crs="EPSG:32633").to_file(path, engine="pyogrio")
    return path


def save_item(path: Path, bands: Sequence[str]) -> Path:
    """An item whose asset is the raster beside it."""
    asset = {
        "href": f"{path.stem}.tif",
        "type": "image/tiff; application=geotiff",
        "bands": [{"name": name} for name in bands],
    }
    item = {
        "type": "Feature", "stac_version": "1.1.0", "id": path.stem, "geometry": None, "links": [],
        "properties": {"datetime": "2026-01-01T00:00:00Z"}, "assets": {"image": asset},
    }  # fmt: skip
    path.write_text(json.dumps(item))
    return path


def test_paths_of_a_batch_that_hold_in_its_folder_alone_are_told_to_workers_in_full(
    model: Segmenter, group: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes_of(tmp_path, "a.tif", "b.tif")
    model.save(tmp_path / "toy.safetensors")
    save_mask(tmp_path / "fields.gpkg", 40)
    (tmp_path / "kept").mkdir()
    monkeypatch.chdir(tmp_path)  # where the workers were not started
    words = ["a.tif", "b.tif", "-m", "toy.safetensors", "--mask", "fields.gpkg", "--blocks", "kept"]
    for name, scheduler in (("one", "local"), ("many", group.address)):
        arguments = ["predict", *words[:2], name, *words[2:], "--scheduler", scheduler]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    with rasterio.open(tmp_path / "many" / "b.tif") as file:
        assert (file.read(1) != file.nodata).sum() == 40 * 40


def test_a_worker_that_sees_another_mask_or_asset_than_the_batch_refuses(
    model: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, jobs = batch.predict_scene, scenes_of(tmp_path, "a.tif", "b.tif", "c.tif")
    mask = save_mask(tmp_path / "fields.gpkg", 40)
    jobs[1] = SceneJob(str(save_item(tmp_path / "b.json", model.card.bands)), jobs[1].outputs)

    def predict_scene(order: Any) -> Any:
        name = Path(order.arguments["src"]).name
        if name == "b.json":
            write(tmp_path / "b.tif", random_pixels((3, 90, 90), seed=9).astype(np.uint8))
        if name == "c.tif":
            save_mask(mask, 50)
        return real(order)

    monkeypatch.setattr(batch, "predict_scene", predict_scene)
    told = spread(tmp_path, jobs, model, mask=mask)
    assert isinstance(told["a.tif"], Result)
    assert "sees another b.tif than was planned with" in str(told["b.json"])
    assert "sees another fields.gpkg than was planned with" in str(told["c.tif"])


def test_a_worker_that_sees_another_scene_or_folder_than_the_batch_refuses(
    model: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, jobs = batch.predict_scene, scenes_of(tmp_path, "a.tif", "b.tif", "c.tif")
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    jobs.append(SceneJob(str(tmp_path / "broken.tif"), jobs[0].outputs))

    def predict_scene(order: Any) -> Any:
        name = Path(order.arguments["src"]).name
        if name == "a.tif":
            write(tmp_path / name, random_pixels((3, 90, 90), seed=9).astype(np.uint8))
        if name == "b.tif":
            order = replace(order, signs=(tmp_path / "out" / ".geoseg-unseen",))
        return real(order)

    monkeypatch.setattr(batch, "predict_scene", predict_scene)
    told = spread(tmp_path, jobs, model)
    assert "sees another a.tif than was planned with" in str(told["a.tif"])
    assert "does not see what was put into" in str(told["b.tif"])
    assert isinstance(told["c.tif"], Result)
    assert "broken.tif is not a raster" in str(told["broken.tif"])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "c.tif", "c.tif.json", "c.tif.aux.xml",
    }  # fmt: skip
