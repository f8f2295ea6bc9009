"""Sources, blocks and results in an object storage: the same bytes as on a disk, come what may."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import distributed
import fsspec
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from clusters import processes, threads
from items import lasting
from pointwise import random_pixels, write
from toys import segmenter_of

from geoseg import finishing, job, lease, nets, orders, store
from geoseg.cli import main
from geoseg.errors import UserError
from geoseg.job import predict_file
from geoseg.orders import Failure, ModelOrder, Order, Terms
from geoseg.places import RefusedError, Remote, UnreachableError, place, scratch_of, telling
from geoseg.plan import Block
from geoseg.raster.files import open_dataset, patiently
from geoseg.runs import facts_of
from geoseg.segmenter import Segmenter
from geoseg.store import LAYOUT, BlockStore
from geoseg.tasks import Running
from geoseg.versions import VERSIONS

pytest.importorskip("s3fs", reason="needs the extra geoseg[cloud]")
pytest.importorskip("moto", reason="moto is the storage; it comes with the extra geoseg[test]")

OPTIONS = {"in_channels": 3, "classes": 4, "widths": [8, 8]}
SMALL = 1_600_000  # bytes: blocks of a few windows
OUTPUTS = {"map.tif", "map.tif.json", "map.tif.aux.xml", "map.gpkg", "sure.tif"}

SCENE = "s3://scenes/in.tif"
COUNT = itertools.count()

# A process of its own: GDAL keeps Python waiting while it reads, and would wait for its answer.
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def storage(**settings: str) -> Iterator[int]:
    """A server of S3 on loopback; gives its port."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | settings,
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server that has a scene."""
    with storage() as started:
        reached(started).mkdir("scenes")
        reached(started).pipe_file("scenes/in.tif", scene_bytes(0))
        yield started


def settle(patch: pytest.MonkeyPatch, port: int, scratch: Path) -> None:
    """Let the environment name the storage, and where drafts are made."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_MAX_ATTEMPTS", "1")
    patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    scratch.mkdir()
    patch.setenv("TMPDIR", str(scratch))
    patch.setattr(tempfile, "tempdir", None)


@pytest.fixture(autouse=True)
def _settings(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch, port, tmp_path / "scratch")


def reached(port: int) -> Any:
    return fsspec.filesystem(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        key="somebody",
        secret="secret",  # noqa: S106
        use_listings_cache=False,
    )


@pytest.fixture
def bucket(port: int) -> str:
    """Address of a bucket of this test's own."""
    name = f"bucket-{next(COUNT)}"
    reached(port).mkdir(name)
    return f"s3://{name}"


def scene_bytes(seed: int) -> bytes:
    """A GeoTIFF of random pixels."""
    with tempfile.TemporaryDirectory() as folder:
        pixels = random_pixels((3, 300, 260), seed).astype(np.uint8)
        return write(Path(folder) / "in.tif", pixels, nodata=0).read_bytes()


@pytest.fixture(scope="module")
def model() -> Segmenter:
    return segmenter_of(nets.build("unet", **OPTIONS), architecture="unet", options=OPTIONS)


def run(to: str | Path, model: Any, src: str = SCENE, **options: Any) -> job.Result:
    settings = {"polygons": f"{to}/map.gpkg", "confidence": f"{to}/sure.tif", "memory": SMALL}
    return predict_file(src, f"{to}/map.tif", model, **(settings | options))


def objects(address: str) -> dict[str, bytes]:
    """All that lies under an address."""
    fs = reached(int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2]))
    root = address.removeprefix("s3://")
    return settled({name.removeprefix(f"{root}/"): fs.cat_file(name) for name in fs.find(root)})


def contents(folder: Path) -> dict[str, bytes]:
    return settled({path.name: path.read_bytes() for path in folder.iterdir()})


def settled(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same; of items what does not depend on when and from where they were made."""
    found = dict(files)
    for name in [each for each in files if each.endswith(".tif.json")]:
        item = json.loads(lasting(files[name]))
        found[name] = json.dumps({**item, "links": []}).encode()
    return found


@pytest.fixture(scope="module")
def expected(
    port: int, tmp_path_factory: pytest.TempPathFactory, model: Segmenter
) -> dict[str, bytes]:
    """What a run into a folder makes of the scene in the storage."""
    folder = tmp_path_factory.mktemp("local")
    with pytest.MonkeyPatch.context() as patch:
        settle(patch, port, folder / "scratch")
        run(folder, model)
    (folder / "scratch").rmdir()
    return contents(folder)


def test_an_item_in_a_storage_names_rasters_beside_it(
    port: int, bucket: str, model: Segmenter, tmp_path: Path
) -> None:
    named = [{"eo:common_name": name, "nodata": 0} for name in ("red", "green", "blue")]
    item = {
        "type": "Feature",
        "id": "scene",
        "assets": {"image": {"href": "../in.tif", "type": "image/tiff", "bands": named}},
    }
    reached(port).pipe_file("scenes/items/scene.json", json.dumps(item).encode())
    run(bucket, model, "s3://scenes/items/scene.json")
    run(tmp_path, model)
    (tmp_path / "found.tif").write_bytes(reached(port).cat_file(f"{bucket}/map.tif"))
    with rasterio.open(tmp_path / "found.tif") as found, rasterio.open(tmp_path / "map.tif") as own:
        np.testing.assert_array_equal(found.read(), own.read())
    told = json.loads(reached(port).cat_file(f"{bucket}/map.tif.json"))
    (link,) = told["links"]
    assert (link["href"], link["title"]) == ("s3://scenes/items/scene.json", "scene")
    assert {"size", "etag"} <= told["properties"]["geoseg:sources"][1].keys()
    with pytest.raises(UserError, match=r"there is no object s3://scenes/items/none\.json; check"):
        run(bucket, model, "s3://scenes/items/none.json")


class Interrupted(Exception):  # noqa: N818  (it stands for no error)
    """Stands for whatever ends a run."""


def stop_after(count: int) -> Any:
    def report(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == count:
            raise Interrupted

    return report


def test_source_blocks_and_outputs_may_lie_in_a_storage(
    bucket: str, tmp_path: Path, model: Segmenter, expected: dict[str, bytes]
) -> None:
    seen: list[set[str]] = []

    def look(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and not seen:
            seen.append({name.partition("/")[0] for name in objects(f"{bucket}/out")})

    result = run(f"{bucket}/out", model, on_progress=look)
    assert seen == [{f".{name}.geoseg" for name in ("map.tif", "map.gpkg", "sure.tif")}]
    assert objects(f"{bucket}/out") == expected
    assert expected.keys() == OUTPUTS
    assert [*(tmp_path / "scratch").iterdir()] == []
    assert str(result.outputs["classes"]) == f"{bucket}/out/map.tif"
    # Beside the run into a folder, from a file: the same classes.
    (tmp_path / "in.tif").write_bytes(scene_bytes(0))
    predict_file(tmp_path / "in.tif", tmp_path / "map.tif", model, memory=SMALL)
    (tmp_path / "expected.tif").write_bytes(expected["map.tif"])
    with (
        rasterio.open(tmp_path / "map.tif") as own,
        rasterio.open(tmp_path / "expected.tif") as other,
    ):
        assert np.array_equal(own.read(), other.read())
        told = json.loads(other.tags()["GEOSEG_SOURCES"])
    (only,) = told
    assert only["name"] == SCENE
    assert only["size"] == (tmp_path / "in.tif").stat().st_size
    assert len(only["etag"]) == 32


def test_a_stopped_run_goes_on_and_ends_in_the_same_bytes(
    bucket: str, tmp_path: Path, model: Segmenter, expected: dict[str, bytes]
) -> None:
    for count in (1, 4):
        with pytest.raises(Interrupted):
            run(f"{bucket}/out", model, on_progress=stop_after(count))
        assert not OUTPUTS & objects(f"{bucket}/out").keys()
        assert [*(tmp_path / "scratch").iterdir()] == []
    result = run(f"{bucket}/out", model)
    assert 0 < result.computed <= result.blocks - 4
    assert objects(f"{bucket}/out") == expected


@pytest.mark.parametrize("moment", [3, "clean up"])
def test_a_run_that_ends_while_it_uploads_goes_on_without_computing(
    bucket: str,
    model: Segmenter,
    expected: dict[str, bytes],
    moment: int | str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uploaded: list[str] = []
    real = Remote.put

    def put(target: Remote, path: Path) -> None:
        uploaded.append(target.name)
        if len(uploaded) == moment:
            raise Interrupted
        real(target, path)

    with monkeypatch.context() as patch:
        patch.setattr(Remote, "put", put)
        if moment == "clean up":
            patch.setattr(finishing, "clean_up", lambda run: put_nothing())
        with pytest.raises(Interrupted):
            run(f"{bucket}/out", model)
    there = OUTPUTS & objects(f"{bucket}/out").keys()
    assert there == (OUTPUTS if moment == "clean up" else set(uploaded[:-1]))
    if moment == 3:  # some are there, which another call must not replace
        with pytest.raises(UserError, match=r"map\.tif exists; add --overwrite"):
            run(f"{bucket}/out", model, simplify=1.0)
    assert run(f"{bucket}/out", model).computed == 0
    assert objects(f"{bucket}/out") == expected


def put_nothing() -> None:
    raise Interrupted


def test_a_killed_process_loses_no_finished_block(
    bucket: str, tmp_path: Path, model: Segmenter, expected: dict[str, bytes]
) -> None:
    model.save(tmp_path / "model.safetensors")
    words = [SCENE, f"{bucket}/out/map.tif", "--polygons", f"{bucket}/out/map.gpkg"]
    words += ["--confidence", f"{bucket}/out/sure.tif", "--memory", str(SMALL)]
    words += ["-m", str(tmp_path / "model.safetensors"), "--progress", "json"]
    command = [sys.executable, "-m", "geoseg", "predict", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line).get("done") == 3:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert ".map.tif.geoseg/lock" in objects(f"{bucket}/out")  # of a process that is dead
    result = run(f"{bucket}/out", tmp_path / "model.safetensors")
    assert 0 < result.computed <= result.blocks - 3
    assert objects(f"{bucket}/out") == expected
    assert [*(tmp_path / "scratch").iterdir()] == []


def test_a_second_run_is_refused_while_the_first_one_lives(bucket: str, model: Segmenter) -> None:
    refused: list[str] = []

    def second(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and not refused:
            with pytest.raises(
                UserError, match=r"the same output: .*its end \(--wait\), or choose"
            ) as told:
                run(f"{bucket}/out", model)
            refused.append(str(told.value))

    run(f"{bucket}/out", model, on_progress=second)
    assert f"process {os.getpid()} on {socket.gethostname()}" in refused[0]
    assert objects(f"{bucket}/out").keys() == OUTPUTS


def test_a_damaged_object_never_reaches_a_map_and_its_block_is_computed_anew(
    bucket: str, port: int, model: Segmenter, expected: dict[str, bytes]
) -> None:
    def harm(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == event["total"]:
            raise Interrupted

    with pytest.raises(Interrupted):
        run(f"{bucket}/out", model, on_progress=harm)
    fs = reached(port)
    (blocks,) = fs.glob(f"{bucket[5:]}/out/.map.tif.geoseg/*/blocks.zarr/classes/c")
    first, *_, last = fs.find(blocks)
    data = bytearray(fs.cat_file(first))
    data[len(data) // 2] ^= 1
    fs.pipe_file(first, bytes(data))
    fs.rm_file(last)
    with pytest.raises(UserError, match=r"and 1 more in s3://.* came back otherwise than written"):
        run(f"{bucket}/out", model)
    assert not OUTPUTS & objects(f"{bucket}/out").keys()
    assert run(f"{bucket}/out", model).computed == 2
    assert objects(f"{bucket}/out") == expected


def test_marks_of_many_blocks_are_found_in_as_many_requests_as_those_of_few(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    asked: list[str] = []
    real = s3fs.S3FileSystem._call_s3

    async def call(self: Any, method: str, *words: Any, **options: Any) -> Any:
        asked.append(method)
        return await real(self, method, *words, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", call)
    requests: list[int] = []
    for count in (2, 30):
        plan: Any = SimpleNamespace(shape=(2, count), chunks=((4, 4), (4,) * count))
        what: Any = (Remote(f"{bucket}/{count}"), "run", plan, {"classes": (1, "uint8", 255)}, {})
        begun = BlockStore(*what)
        for column in range(count):
            pixels = {"classes": np.zeros((1, 4, 4), np.uint8)}
            begun.write(Block(1, column), None if column % 2 else pixels)
        (begun.folder / begun.name / "done" / ".DS_Store").write_text(
            "of a program that looked into it"
        )
        asked.clear()
        again = BlockStore(*what)
        assert again.resumed
        assert np.array_equal(again.done(), np.repeat([[False], [True]], count, axis=1))
        assert not again.is_whole()
        requests.append(len(asked))
        assert (again.read("classes", (slice(4, 8), slice(0, 8))) == [0] * 4 + [255] * 4).all()
    assert requests[0] == requests[1]


def left_behind(bucket: str, **facts: Any) -> Remote:
    """A lock that its holder does not renew."""
    lock = Remote(f"{bucket}/lock")
    own = json.loads(lease._facts()) | {"owner": "another"}
    lock.write_bytes(json.dumps(own | facts).encode())
    return lock


def test_the_lock_of_a_process_that_died_here_is_taken_over_at_once(bucket: str) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    lock = left_behind(bucket, pid=dead.pid)
    with lease.leased(lock):
        assert json.loads(lock.read_bytes())["owner"] == lease.owner()
        lease.refuse_lost(lock)
    assert not lock.exists()


def test_the_lock_of_another_machine_is_taken_over_when_it_is_not_renewed(
    bucket: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lock = left_behind(bucket, where="elsewhere", host="far")
    with pytest.raises(UserError, match=r"on far, last seen .* holds s3://"), lease.leased(lock):
        pass
    assert not caplog.messages
    monkeypatch.setattr(lease, "STALE", -1.0)
    monkeypatch.setattr(lease, "BEAT", 0.1)
    with lease.leased(lock):
        lease.refuse_lost(lock)
    told, taken = caplog.messages
    assert told.startswith(f"process {os.getpid()} on far, last seen ")
    assert told.endswith(f", holds {lock}; watching for 0.2 s whether it lives")
    assert "which is taken over" in taken


def test_the_lock_of_a_dead_process_whose_number_another_one_has_is_taken_over(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = left_behind(bucket, pid=os.getppid())
    with pytest.raises(UserError, match=r"last seen .* holds s3://"), lease.leased(lock):
        pass
    monkeypatch.setattr(lease, "STALE", -1.0)
    monkeypatch.setattr(lease, "BEAT", 0.1)
    with lease.leased(lock):
        lease.refuse_lost(lock)


@pytest.mark.parametrize("whose", [{"where": "elsewhere"}, {"pid": os.getppid()}])
def test_a_lock_that_is_renewed_is_not_taken_whatever_the_clocks_say(
    bucket: str, monkeypatch: pytest.MonkeyPatch, whose: dict[str, Any]
) -> None:
    monkeypatch.setattr(lease, "STALE", -1.0)
    monkeypatch.setattr(lease, "BEAT", 0.3)
    lock = left_behind(bucket, **whose)
    over = threading.Event()

    def renew() -> None:
        while not over.wait(0.05):
            left_behind(bucket, **whose)

    beats = threading.Thread(target=renew)
    beats.start()
    try:
        with pytest.raises(UserError, match="another run"), lease.leased(lock):
            pass
    finally:
        over.set()
        beats.join()


def test_a_lock_is_renewed_and_waited_for(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.05)
    monkeypatch.setattr(lease, "POLL", 0.05)
    lock, renewed = Remote(f"{bucket}/lock"), threading.Event()
    waited: list[bool] = []

    def wait() -> None:
        with lease.leased(lock, wait=True) as had_to:
            waited.append(had_to)

    second = threading.Thread(target=wait)
    with lease.leased(lock) as had_to:
        assert not had_to
        before = lock.version()
        second.start()
        while lock.version() == before:
            renewed.wait(0.05)
    second.join()
    assert waited == [True]
    assert not lock.exists()


def test_a_run_whose_lock_was_taken_over_writes_nothing(bucket: str, model: Segmenter) -> None:
    def steal(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == 2:
            lock = Remote(f"{bucket}/out/.map.tif.geoseg/lock")
            lock.write_bytes(json.dumps({"owner": "another"}).encode())

    with pytest.raises(UserError, match=r"took over s3://.*; nothing was written"):
        run(f"{bucket}/out", model, on_progress=steal)
    assert not OUTPUTS & objects(f"{bucket}/out").keys()


def begun(folder: Remote, fingerprint: str) -> BlockStore:
    plan: Any = SimpleNamespace(shape=(1, 2), chunks=((4,), (4, 4)))
    return BlockStore(folder, fingerprint * 64, plan, {"classes": (1, "uint8", 255)}, {})


PIXELS = {"classes": np.zeros((1, 4, 4), np.uint8)}


def test_who_writes_for_a_run_that_was_given_up_leaves_nothing(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = begun(Remote(f"{bucket}/run"), "a")
    late.write(Block(0, 0), PIXELS)
    after = begun(Remote(f"{bucket}/run"), "b")
    with pytest.raises(UserError, match=r"s3://.* is not this run's any more"):
        late.write(Block(0, 0), PIXELS)
    looks = iter([True])  # the run was given up just after it was looked
    real = store.is_begun
    monkeypatch.setattr(store, "is_begun", lambda *run: next(looks, False) or real(*run))
    with pytest.raises(UserError, match=r"s3://.* is not this run's any more"):
        late.write(Block(0, 1), PIXELS)
    assert not begun(Remote(f"{bucket}/run"), "b").done().any()
    left = objects(f"{bucket}/run")
    assert {name.partition("/")[0] for name in left} == {"run.json", after.name}


def test_a_run_that_knows_that_its_lock_was_taken_over_writes_no_more_blocks(
    bucket: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.05)
    lock, waiting = Remote(f"{bucket}/run/lock"), threading.Event()
    with lease.leased(lock):
        run = begun(Remote(f"{bucket}/run"), "a")
        run.write(Block(0, 0), PIXELS)
        left_behind(f"{bucket}/run", host="far")
        while "another run took over" not in caplog.text:
            waiting.wait(0.02)
        for go_on in (lambda: run.write(Block(0, 1), PIXELS), lambda: run.note(Block(0, 1), 1)):
            with pytest.raises(UserError, match=r"on far, last seen .* took over s3://"):
                go_on()
    assert not [name for name in objects(f"{bucket}/run") if name.endswith("0,1,1")]
    assert lock.exists()  # it is the other's


def test_a_lock_whose_renewal_was_not_answered_is_not_lost(
    bucket: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.02)
    renewed, real = threading.Semaphore(0), Remote.replace

    def replace(lock: Remote, data: bytes, version: str) -> bool:
        real(lock, data, version)
        renewed.release()
        return False  # of the second attempt, for the first one has come

    monkeypatch.setattr(Remote, "replace", replace)
    lock = Remote(f"{bucket}/lock")
    with lease.leased(lock):
        for _ in range(3):
            assert renewed.acquire(timeout=60)
        lease.refuse_known_lost(lock)
    assert not caplog.text


def test_of_two_threads_of_one_process_one_has_the_lock(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, real = Remote(f"{bucket}/lock"), Remote.create

    def create(target: Remote, data: bytes) -> bool:
        done = real(target, data)
        monkeypatch.setattr(Remote, "create", real)
        # Another thread comes before this one has done anything else.
        with pytest.raises(UserError, match="another run is writing"), lease.leased(lock):
            pass
        return done

    monkeypatch.setattr(Remote, "create", create)
    with lease.leased(lock):
        lease.refuse_lost(lock)
    assert not lock.exists()


FORKED = """
import os
import sys
from contextlib import ExitStack

from geoseg.errors import UserError
from geoseg.lease import leased, refuse_lost
from geoseg.places import Remote

lock, (taken, take), (released, release) = Remote(sys.argv[1]), os.pipe(), os.pipe()


def forked(*work):
    number = os.fork()
    if number:
        return number
    try:
        for each in work:
            each()
    except UserError as error:
        print(error, flush=True)
    finally:
        os._exit(0)


def hold(until=lambda: None):
    with leased(lock):
        print("held", flush=True)
        until()
        refuse_lost(lock)


def wait_for_brother():
    os.write(take, b".")
    os.read(released, 1)


first = forked(lambda: hold(wait_for_brother))
os.read(taken, 1)
os.waitpid(forked(hold), 0)
os.write(release, b".")
os.waitpid(first, 0)
with ExitStack() as stack:
    stack.enter_context(leased(lock))
    os.waitpid(forked(stack.close), 0)
    refuse_lost(lock)
    last = forked(lambda: os.read(released, 1), hold)
os.write(release, b".")
os.waitpid(last, 0)
"""


def test_processes_that_are_forked_are_processes_of_their_own(bucket: str) -> None:
    words = [sys.executable, "-c", FORKED, f"{bucket}/lock"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    first, second, last = done.stdout.splitlines()
    assert (first, last) == ("held", "held")
    assert second.startswith("another run is writing the same output: process ")


def test_a_run_whose_lock_is_taken_while_it_uploads_leaves_the_other_run_alone(
    bucket: str, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, put = Remote.put, []

    def upload(target: Remote, path: Path) -> None:
        real(target, path)
        put.append(target.name)
        left_behind(f"{bucket}/out/.map.tif.geoseg", host="far")

    monkeypatch.setattr(Remote, "put", upload)
    with pytest.raises(UserError, match=r"on far, .* took over s3://"):
        predict_file(SCENE, f"{bucket}/out/map.tif", model, memory=SMALL)
    assert put == ["map.tif", "map.tif.aux.xml"]  # and no item
    assert any("/blocks.zarr/" in name for name in objects(f"{bucket}/out"))


def test_a_run_whose_lock_was_taken_over_leaves_the_drafts_of_the_other_run_alone(
    bucket: str, model: Segmenter
) -> None:
    drafts = scratch_of(Remote(f"{bucket}/out/map.tif"))

    def lose(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == 2:
            left_behind(f"{bucket}/out/.map.tif.geoseg", host="far")
            (drafts / "classes-of-another").mkdir()

    with pytest.raises(UserError, match="took over s3://"):
        predict_file(SCENE, f"{bucket}/out/map.tif", model, memory=SMALL, on_progress=lose)
    assert [path.name for path in drafts.iterdir()] == ["classes-of-another"]


def test_a_source_that_was_overwritten_is_noticed(
    bucket: str, port: int, tmp_path: Path, model: Segmenter
) -> None:
    src = f"{bucket}/in.tif"
    reached(port).pipe_file(src, scene_bytes(0))
    with pytest.raises(Interrupted):
        run(f"{bucket}/out", model, src, on_progress=stop_after(2))
    reached(port).pipe_file(src, scene_bytes(1))
    result = run(f"{bucket}/out", model, src)
    assert result.computed == result.blocks
    (tmp_path / "fresh").mkdir()
    (tmp_path / "in.tif").write_bytes(scene_bytes(1))
    predict_file(tmp_path / "in.tif", tmp_path / "fresh" / "map.tif", model, memory=SMALL)
    (tmp_path / "map.tif").write_bytes(objects(f"{bucket}/out")["map.tif"])
    with (
        rasterio.open(tmp_path / "fresh" / "map.tif") as fresh,
        rasterio.open(tmp_path / "map.tif") as own,
    ):
        assert np.array_equal(fresh.read(), own.read())
    assert run(f"{bucket}/out", model, src, skip_done=True).computed == 0
    reached(port).pipe_file(src, scene_bytes(2))
    with pytest.raises(UserError, match=r"map\.tif exists, made of other input; add --overwrite"):
        run(f"{bucket}/out", model, src, skip_done=True)


@pytest.mark.parametrize("prefix", ["s3://", "/vsis3/"])
def test_info_tells_of_a_map_in_a_storage_what_its_item_says(
    bucket: str, model: Segmenter, prefix: str
) -> None:
    done = run(f"{bucket}/out", model, polygons=None, confidence=None)
    name = f"{bucket}/out/map.tif".replace("s3://", prefix)
    asked = CliRunner().invoke(main, ["info", name, "--json"])
    assert asked.exit_code == 0, asked.stderr
    facts = json.loads(asked.stdout)
    assert facts["item"] == f"{bucket}/out/map.tif.json"
    assert facts["told"]["run"]["blocks"] == done.blocks
    said = CliRunner().invoke(main, ["info", name])
    assert facts["told"]["time"] in said.stdout
    fs = reached(int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2]))
    fs.rm_file(f"{bucket}/out/map.tif.json".removeprefix("s3://"))
    assert "map.tif.json was found" in CliRunner().invoke(main, ["info", name]).stdout


def test_two_runs_that_share_polygons_are_never_at_them_together(
    bucket: str, model: Segmenter, expected: dict[str, bytes]
) -> None:
    seen = []

    def meanwhile(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and not seen:
            seen.append(event)
            with pytest.raises(UserError, match=r"another run .*/out/\.map\.gpkg\.geoseg/lock"):
                run(f"{bucket}/other", model, polygons=f"{bucket}/out/map.gpkg", confidence=None)

    run(f"{bucket}/out", model, on_progress=meanwhile)
    assert seen
    assert objects(f"{bucket}/out") == expected
    assert not objects(f"{bucket}/other")


def test_objects_that_exist_are_kept_unless_they_may_be_replaced(
    bucket: str, model: Segmenter, expected: dict[str, bytes]
) -> None:
    fs = reached(int(os.environ["AWS_ENDPOINT_URL"].rpartition(":")[2]))
    fs.pipe_file(f"{bucket}/out/sure.tif", b"mine")
    with pytest.raises(UserError, match=r"s3://.*/out/sure\.tif exists; add --overwrite"):
        run(f"{bucket}/out", model)
    assert objects(f"{bucket}/out") == {"sure.tif": b"mine"}
    run(f"{bucket}/out", model, overwrite=True)
    assert objects(f"{bucket}/out") == expected


def test_parts_that_a_dead_process_uploaded_are_dropped(
    bucket: str, port: int, model: Segmenter
) -> None:
    fs, name = reached(port), bucket.removeprefix("s3://")
    for key in ("out/map.tif", "out/map.tif.other"):
        begun = fs.call_s3("create_multipart_upload", Bucket=name, Key=key)
        fs.call_s3(
            "upload_part",
            Bucket=name,
            Key=key,
            UploadId=begun["UploadId"],
            PartNumber=1,
            Body=b"part",
        )
    predict_file(SCENE, f"{bucket}/out/map.tif", model, memory=SMALL)
    left = fs.call_s3("list_multipart_uploads", Bucket=name)["Uploads"]
    assert [each["Key"] for each in left] == ["out/map.tif.other"]


UPLOADING = """
import asyncio, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells ignore in the background
import s3fs
from geoseg import places
from geoseg.job import predict_file

def stop_uploads(how):
    real = s3fs.S3FileSystem._call_s3
    async def call(self, method, *words, **options):
        if method == "upload_part" and options["PartNumber"] > 1:
            if how == "cut off":
                raise ConnectionError("cut off")
            os.kill(os.getpid(), signal.SIGKILL if how == "killed" else signal.SIGINT)
            await asyncio.sleep(60)
        return await real(self, method, *words, **options)
    s3fs.S3FileSystem._call_s3 = call
    places.PART, places.PARTS = 512, 1

stop_uploads(sys.argv[1])
src, out, model, memory = sys.argv[2:]
names = {"polygons": f"{out}/map.gpkg", "confidence": f"{out}/sure.tif"}
predict_file(src, f"{out}/map.tif", model, memory=int(memory), **names)
"""


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("killed", None),
        ("interrupted", "KeyboardInterrupt"),
        (
            "cut off",
            r"the storage of s3://\S+ does not .*\(cut off\).* the same command again",
        ),
    ],
)
def test_an_upload_that_is_stopped_leaves_no_object_and_is_done_again(
    bucket: str,
    port: int,
    tmp_path: Path,
    model: Segmenter,
    expected: dict[str, bytes],
    how: str,
    told: str | None,
) -> None:
    model.save(tmp_path / "model.safetensors")
    words = [how, SCENE, f"{bucket}/out", str(tmp_path / "model.safetensors"), str(SMALL)]
    done = subprocess.run(
        [sys.executable, "-c", UPLOADING, *words], capture_output=True, text=True, check=False
    )
    if told is None:
        assert done.returncode == -signal.SIGKILL
    else:
        assert done.returncode != 0
        assert re.search(told, done.stderr.splitlines()[-1])
    assert not OUTPUTS & objects(f"{bucket}/out").keys()
    assert run(f"{bucket}/out", tmp_path / "model.safetensors").computed == 0
    assert objects(f"{bucket}/out") == expected
    assert "Uploads" not in reached(port).call_s3("list_multipart_uploads", Bucket=bucket[5:])


@pytest.mark.parametrize("where", ["folder", "storage"])
def test_blocks_may_be_kept_elsewhere(
    bucket: str, tmp_path: Path, model: Segmenter, expected: dict[str, bytes], where: str
) -> None:
    (tmp_path / "blocks").mkdir()
    blocks = f"{bucket}/blocks" if where == "storage" else str(tmp_path / "blocks")
    out = tmp_path / "out" if where == "storage" else f"{bucket}/out"
    (tmp_path / "out").mkdir()
    with pytest.raises(Interrupted):
        run(out, model, blocks=blocks, on_progress=stop_after(4))
    kept = objects(blocks) if where == "storage" else [*(tmp_path / "blocks").rglob("*")]
    assert any("blocks.zarr" in str(each) for each in kept)
    result = run(out, model, blocks=blocks)
    assert 0 < result.computed <= result.blocks - 4
    made = contents(tmp_path / "out") if where == "storage" else objects(f"{bucket}/out")
    assert made == expected
    assert not (objects(blocks) if where == "storage" else [*(tmp_path / "blocks").iterdir()])
    with pytest.raises(UserError, match="there is no folder"):
        run(out, model, blocks=tmp_path / "nowhere", overwrite=True)


def test_workers_of_a_cluster_write_blocks_into_the_storage(
    bucket: str, model: Segmenter, expected: dict[str, bytes]
) -> None:
    with threads() as cluster, distributed.Client(cluster):
        run(f"{bucket}/out", model)
    assert objects(f"{bucket}/out") == expected


def test_workers_that_are_processes_keep_blocks_in_the_storage(
    bucket: str, tmp_path: Path, model: Segmenter, expected: dict[str, bytes]
) -> None:
    (tmp_path / "out").mkdir()
    with processes(tmp_path / "cluster", workers=2) as group:
        options = {"blocks": f"{bucket}/blocks", "scheduler": group.address}
        result = run(tmp_path / "out", model, **options)
        assert group.logged() == result.computed > 1
    assert contents(tmp_path / "out") == expected
    assert objects(f"{bucket}/blocks") == {}


def test_a_pattern_names_sources_of_a_storage(
    bucket: str, port: int, tmp_path: Path, model: Segmenter
) -> None:
    model.save(tmp_path / "model.safetensors")
    for name in ("in/a.tif", "in/b.tif", "in/c.txt", "in/deeper/d.tif"):
        reached(port).pipe_file(f"{bucket}/{name}", scene_bytes(0))
    words = [f"{tmp_path}/maps", "-m", str(tmp_path / "model.safetensors")]
    done = CliRunner().invoke(main, ["predict", f"{bucket}/in/*.tif", *words])
    assert done.exit_code == 0, done.stderr
    assert "2 of 2 maps are in" in done.stderr
    assert {path.name for path in (tmp_path / "maps").glob("*.tif")} == {"a.tif", "b.tif"}
    done = CliRunner().invoke(main, ["predict", f"{bucket}/in/*.jp2", *words])
    assert done.exit_code == 2
    assert f"no file matches {bucket}/in/*.jp2; check the pattern" in done.stderr


def test_a_batch_goes_to_an_address(
    bucket: str, port: int, tmp_path: Path, model: Segmenter
) -> None:
    model.save(tmp_path / "model.safetensors")
    reached(port).pipe_file(f"{bucket}/other.tif", scene_bytes(3))
    words = [SCENE, f"{bucket}/other.tif", f"{bucket}/maps/"]
    words += ["--polygons", ".gpkg", "-m", str(tmp_path / "model.safetensors")]
    for line in ("2 of 2 maps are in", "2 of them were there already"):
        done = CliRunner().invoke(main, ["predict", *words])
        assert done.exit_code == 0, done.stderr
        assert line in done.stderr
        names = {"in.tif", "in.tif.json", "in.tif.aux.xml", "in.gpkg"}
        assert objects(f"{bucket}/maps").keys() == names | {
            name.replace("in.", "other.", 1) for name in names
        }


def test_the_names_that_gdal_knows_are_enough(
    bucket: str, port: int, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_S3_ENDPOINT", f"127.0.0.1:{port}")
    monkeypatch.setenv("AWS_HTTPS", "NO")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTING", "FALSE")
    predict_file(f"/vsis3/{SCENE[5:]}", f"{bucket}/map.tif", model, memory=SMALL)
    assert reached(port).exists(f"{bucket}/map.tif")


def test_an_address_of_gdal_and_one_of_fsspec_are_one_source() -> None:
    by_gdal, by_address = (facts_of([name]) for name in (f"/vsis3/{SCENE[5:]}", SCENE))
    assert by_gdal == by_address
    assert len(by_gdal) == 1


def test_a_missing_bucket_is_told_before_any_work(model: Segmenter) -> None:
    told: list[Any] = []
    with pytest.raises(
        UserError, match=r"there is no place for s3://nowhere-at-all/.*bucket first"
    ):
        run("s3://nowhere-at-all", model, on_progress=told.append)
    assert told == []


def test_a_storage_that_forbids_is_told_in_one_line(
    tmp_path: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.tif").write_bytes(scene_bytes(0))
    # This server asks who may do what, and nobody may anything.
    with storage(INITIAL_NO_AUTH_ACTION_COUNT="0") as strict:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{strict}")
        with pytest.raises(
            UserError, match=r"no access to s3://closed-bucket/\S+ \(The AWS.*; check credentials"
        ) as told:
            predict_file(tmp_path / "in.tif", "s3://closed-bucket/map.tif", model)
        with pytest.raises(RefusedError, match=r"no access to s3://closed-bucket/in.tif \(The AWS"):
            patiently(
                "s3://closed-bucket/in.tif", lambda: open_dataset("s3://closed-bucket/in.tif")
            )
    assert "\n" not in str(told.value)


@pytest.fixture(params=[{}, {"AWS_ACCESS_KEY_ID": "somebody"}, {"AWS_PROFILE": "nobody"}])
def no_credentials(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Let there be no credentials, or not all; what boto says of it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("CPL_AWS_AUTODETECT_EC2", "NO")
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)
    # A server of its own, which is never asked: fsspec keeps what it knows of the others.
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:9/{next(COUNT)}")
    told = {"AWS_ACCESS_KEY_ID": "Partial credentials", "AWS_PROFILE": "The config profile"}
    return next((told[name] for name in request.param), "Unable to locate credentials")


def test_credentials_that_are_missing_are_told_at_once(
    tmp_path: Path, model: Segmenter, no_credentials: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it was tried again"))
    (tmp_path / "in.tif").write_bytes(scene_bytes(0))
    where = r"check credentials \(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile: AWS_PR"
    with pytest.raises(
        RefusedError, match=rf"^no access to s3://b/\S+ \({no_credentials}[^\n]*\); {where}"
    ):
        predict_file(tmp_path / "in.tif", "s3://b/map.tif", model)
    with pytest.raises(RefusedError, match=rf"^no access to s3://scenes/in\.tif \(.*\); {where}"):
        predict_file(SCENE, tmp_path / "map.tif", model)
    with pytest.raises(RefusedError, match=r"^no access to s3://scenes/in\.tif "):
        patiently("/vsis3/scenes/in.tif", lambda: open_dataset("/vsis3/scenes/in.tif"))


def test_a_worker_without_credentials_is_named_and_its_work_is_not_tried_again(
    tmp_path: Path, no_credentials: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "get_worker", lambda: SimpleNamespace(address="tcp://10.0.0.7:1"))
    order = Order(
        facts={"running": Running(device="cpu")},
        model=ModelOrder((), None, None),
        sources=(SCENE,),
        files=(),
        folder=Remote("s3://b/.map.tif.geoseg"),
        name="run-1",
        layers={},
        terms=Terms(VERSIONS, "cpu"),
        cache=1 << 20,
    )
    told = orders.finish(order, 0, 0)
    assert isinstance(told, Failure)
    assert told.said.startswith(
        f"worker tcp://10.0.0.7:1: no access to s3://b/.map.tif.geoseg/run.json ({no_credentials}"
    )
    assert not told.may_pass
    (tmp_path / "run.json").write_text(
        json.dumps({"fingerprint": "0" * 64, "layout": LAYOUT, "run": "run-1"})
    )
    told = orders.finish(replace(order, folder=tmp_path), 0, 0)
    assert isinstance(told, Failure)
    assert told.said.startswith(f"worker tcp://10.0.0.7:1: no access to {SCENE} (")


def test_a_token_that_has_expired_is_no_storage_that_does_not_answer() -> None:
    from botocore.exceptions import ClientError

    for code in ("400", "ExpiredToken"):  # of a head, and of anything else
        told = OSError("Bad Request")
        told.__cause__ = ClientError({"Error": {"Code": code}}, "HeadObject")
        with (
            pytest.raises(RefusedError, match=r"no access to s3://b/map.tif \(Bad Request\); "),
            telling(Remote("s3://b/map.tif")),
        ):
            raise told


class Line:
    """A line to a server that can be cut, and mended."""

    def __init__(self, port: int) -> None:
        self._to, self._open = port, True
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        self._open = False
        while self._sockets:
            with self._sockets.pop() as each, suppress(OSError):  # the other end may be closed
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._open = True

    def _serve(self) -> None:
        while True:
            near, _ = self._listener.accept()
            if not self._open:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._to))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=pair, daemon=True).start()
            self._sockets += [near, far]

    @staticmethod
    def _pass_on(one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_a_run_whose_storage_is_lost_goes_on_when_it_is_back(
    bucket: str,
    port: int,
    model: Segmenter,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = Line(port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{line.port}")
    # The source is reached past the line, which GDAL would keep from being served.
    monkeypatch.setenv("AWS_S3_ENDPOINT", f"127.0.0.1:{port}")

    def cut(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["done"] == 3:
            line.cut()

    with pytest.raises(UserError, match=r"the storage of s3://.* give the same command") as told:
        run(f"{bucket}/out", model, on_progress=cut)
    assert "\n" not in str(told.value)
    # What cannot be asked for is not taken for absent: nothing is begun anew.
    with pytest.raises(UnreachableError, match="does not answer as it should"):
        Remote(f"{bucket}/out/map.tif").exists()
    with pytest.raises(UnreachableError, match="does not answer as it should"):
        finishing._read(Remote(f"{bucket}/out/.map.tif.geoseg/published"))
    line.mend()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    result = run(f"{bucket}/out", model)
    assert 0 < result.computed <= result.blocks - 3
    assert objects(f"{bucket}/out") == expected


@pytest.mark.parametrize(
    ("dst", "message"),
    [
        (
            "https://example.com/map.tif?sig=1",
            r"nothing can be written to https://example.com/map.tif;",
        ),
        ("s3://bucket/maps/", r"s3://bucket/maps/ is a folder; name a file in it"),
        ("s3://bucket/map.png", r"is a GeoTIFF whatever its name"),
        ("nosuch://bucket/map.tif", r"is no address that is known"),
    ],
)
def test_what_is_no_place_for_a_map_is_refused(model: Segmenter, dst: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        predict_file(SCENE, dst, model)


def test_the_source_itself_is_no_output(model: Segmenter) -> None:
    for src in (SCENE, f"/vsis3/{SCENE[5:]}"):
        with pytest.raises(UserError, match="is the input itself"):
            predict_file(src, SCENE, model, overwrite=True)


def test_a_missing_package_is_named(
    tmp_path: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.tif").write_bytes(scene_bytes(0))

    def missing(*_: Any, **__: Any) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "url_to_fs", missing)
    with pytest.raises(UserError, match=r"not installed .*pip install 'geoseg\[cloud\]'"):
        predict_file(tmp_path / "in.tif", "s3://bucket/map.tif", model)
    assert facts_of([str(tmp_path / "in.tif")])[0]["size"] > 0


def test_scratch_folders_of_others_are_not_used(
    bucket: str, tmp_path: Path, model: Segmenter
) -> None:
    scratch = scratch_of(Remote(f"{bucket}/map.tif"))
    (tmp_path / "trap").mkdir()
    scratch.symlink_to(tmp_path / "trap")
    with pytest.raises(UserError, match=r"was made by somebody else; .*TMPDIR"):
        predict_file(SCENE, f"{bucket}/map.tif", model)


def test_what_cannot_be_removed_is_told(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (Remote(bucket) / "a").write_text("1")
    monkeypatch.setattr(
        Remote, "_remove", lambda *_: None
    )  # S3 tells it in a list, not by an error
    with pytest.raises(UserError, match=r"cannot remove s3://.*/a; allow that"):
        Remote(bucket).empty()


@pytest.mark.parametrize("protocol", ["s3", "memory"])
def test_brackets_in_a_name_remove_no_objects_of_others(bucket: str, protocol: str) -> None:
    root = Remote(f"{protocol}{bucket.removeprefix('s3')}")
    names = ("map[12].tif", "map1.tif", "map*.tif", "map?.tif")
    for name in names:
        for each in ("run.json", "lock", "run-1/done/0,0,1"):
            (root / f".{name}.geoseg" / each).write_text("{}")
    for name in ("map[12].tif", "map*.tif", "map?.tif"):
        assert store.forget(root / f".{name}.geoseg")
    left = {each.partition("/")[0]: each for each in root.under() if not each.endswith("/lock")}
    assert left.keys() == {".map1.tif.geoseg"}
    assert len(root.under()) == len(names) + 2


def test_thousands_of_objects_are_removed_in_a_few_requests(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    removed: list[int] = []

    def call(self: Any, method: str, *words: Any, **options: Any) -> None:
        removed.append(len(options["Delete"]["Objects"]))

    monkeypatch.setattr(s3fs.S3FileSystem, "call_s3", call)
    (Remote(bucket) / "run")._remove([f"done/{i},0,1" for i in range(2500)], ())
    assert removed == [1000, 1000, 500]


def test_no_name_of_an_output_is_a_pattern(
    bucket: str, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    async def expand(self: Any, path: str, **_: Any) -> None:
        pytest.fail(f"{path} was taken for a pattern")

    monkeypatch.setattr(s3fs.S3FileSystem, "_glob", expand)
    outputs = {"polygons": f"{bucket}/out/map[1]?.fgb", "blocks": f"{bucket}/blocks[0-9]*"}
    target = f"{bucket}/out/map[12]*?.tif"
    with pytest.raises(Interrupted):
        predict_file(SCENE, target, model, **outputs, memory=SMALL, on_progress=stop_after(1))
    result = predict_file(SCENE, target, model, **outputs, memory=SMALL)
    assert 0 < result.computed < result.blocks
    found = objects(f"{bucket}/out")
    name = "map[12]*?.tif"
    assert found.keys() == {name, f"{name}.json", f"{name}.aux.xml", "map[1]?.fgb"}
    assert objects(f"{bucket}/blocks[0-9]*") == {}
    again = predict_file(SCENE, target, model, **outputs, memory=SMALL, overwrite=True)
    assert again.computed == again.blocks


def test_a_path_stays_a_path() -> None:
    assert place("maps/map.tif") == Path("maps/map.tif")
    assert place(Path("map.tif")) == Path("map.tif")
    assert place("file:///tmp/map.tif") == Path("/tmp/map.tif")  # noqa: S108


@pytest.mark.parametrize("name", ["scenes/none.tif", "no-bucket/a.tif"])
def test_a_source_that_a_storage_does_not_have_is_told_at_once(
    name: str, model: Segmenter, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    words = rf"^s3://{name} cannot be opened: the server has no such file; check the address"
    with pytest.raises(UserError, match=words):
        run(bucket, model, f"s3://{name}")
    assert "once more" not in caplog.text
