"""How far planning, the store of blocks and a cluster's scheduler go: no pixel is computed.

    PYTHONPATH=tests python tests/benchmarks/scale.py FOLDER --side 500000 --files 1000

A raster of `side` x `side` pixels is planned for the shipped model of Sentinel-2 scenes, the marks
of its blocks are written and read again, and as many calls as it has blocks, which do nothing, go
through a cluster of a scheduler and two workers, each a process; then one call for each of so many
scenes. What the client does for a scene before it sends such a call, whether it is huge and what
its files are, is done for so many files. Beside them stands a graph that holds all blocks at once,
as a lazy array does.
"""

from __future__ import annotations

import argparse
import os
import pickle
import resource
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from clusters import processes
from distributed import Client
from distributed.protocol.pickle import dumps
from pointwise import random_pixels, write

import geoseg
from geoseg.batch import SceneJob, Seen, _shown, _spread, refuse_clashes
from geoseg.cluster import Cluster
from geoseg.crew import Spent
from geoseg.devices import Capacity
from geoseg.plan import Plan, Tiling
from geoseg.prediction import scene_of
from geoseg.store import BlockStore
from geoseg.tasks import Running, make_task

MEMORY = 4 << 30
LAYERS = {"classes": (1, "uint8", 255)}
GRAPH = 50_000  # pixels a side; a larger graph is told by this one


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Tell how long something took, and how much memory this process has had so far."""
    began = time.perf_counter()
    yield
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what}: {time.perf_counter() - began:.1f} s; {most:.2f} GB at most so far", flush=True)


def image_of(side: int) -> xr.DataArray:
    """An image of three bands that takes no memory."""
    pixels = np.broadcast_to(np.uint8(0), (3, side, side))
    names = geoseg.load("sentinel2-landcover").card.bands
    return xr.DataArray(pixels, dims=("band", "y", "x"), attrs={"long_name": names})


def planned(side: int) -> Plan:
    """How it is cut into windows and blocks on a worker of one thread."""
    model = geoseg.load("sentinel2-landcover")
    scene = scene_of(image_of(side), model.card, gsd="native")
    has = Capacity("cpu", 1, 1, MEMORY / 2, 1)
    return make_task(scene, model, ("classes",), Tiling(), Running(), MEMORY, has).plan


def nothing(number: int) -> tuple[int, Spent]:
    """What a worker does that finds all done."""
    return 1, Spent()


def scheduler_memory() -> int:
    """Bytes of memory of the scheduler's process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    return 0


def through_a_cluster(client: Client, count: int, what: str) -> None:
    """Send calls that do nothing through a cluster, and watch its scheduler."""
    before: int = client.run_on_scheduler(scheduler_memory)  # type: ignore[no-untyped-call]
    most, began = before, time.perf_counter()
    for number, _ in Cluster(client).each(nothing, range(count), lambda each: (each,)):
        if number % 2000 == 0:
            now: int = client.run_on_scheduler(scheduler_memory)  # type: ignore[no-untyped-call]
            most = max(most, now)
    seconds = time.perf_counter() - began
    print(
        f"{what}: {count:,} calls in {seconds:.1f} s ({count / seconds:.0f}/s); the scheduler had "
        f"{before / 1e6:.0f} MB before and {most / 1e6:.0f} MB at most",
        flush=True,
    )


class Sending:
    """Stands in for a cluster: what would be sent to workers is made ready, and that is all."""

    def __init__(self) -> None:
        self.bytes = 0

    def means(self, devices: str, asked: int | None) -> tuple[int, Capacity]:
        """What workers have."""
        return MEMORY, Capacity("cpu", 1, 1, MEMORY / 2, 1)

    def each(
        self, function: object, items: Iterable[Seen], order: Callable[[Seen], Any]
    ) -> Iterator[tuple[Seen, None]]:
        """One call for each scene."""
        for item in items:
            self.bytes += len(dumps((function, order(item))))
            yield item, None


def by_the_client(folder: Path, count: int) -> None:
    """All that is done for each scene of a batch before its call is sent, of files of a tile."""
    scenes, results = folder / "scenes", folder / "maps"
    for each in (scenes, results):
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir()
    kind = write(folder / "scene.tif", random_pixels((3, 64, 64)).astype(np.uint8))
    jobs = []
    for number in range(count):
        source = scenes / f"{number:05}.tif"
        os.link(kind, source)
        stem = results / source.stem
        outputs = ("dst", Path(f"{stem}.tif")), ("scores", Path(f"{stem}_scores.tif"))
        jobs.append(SceneJob(str(source), outputs))
    name = "sentinel2-landcover"
    sending: Any = Sending()
    options = {"device": "auto", "memory": None}
    began, busy = time.perf_counter(), time.process_time()
    with timed(f"the outputs of {count:,} scenes compared"):
        refuse_clashes(jobs)
    with timed(f"{count:,} scenes opened, their files' facts taken, their calls made ready"):
        model = geoseg.load(name)
        sent = len([*_spread(sending, jobs, [], model, _shown(model, [name]), options)])
    assert sent == count
    took, work = time.perf_counter() - began, time.process_time() - busy
    print(
        f"a scene: {1e3 * took / count:.2f} ms, of them {1e3 * work / count:.2f} ms of one core, "
        f"and {sending.bytes / count:.0f} bytes",
        flush=True,
    )


def marks(folder: Path, plan: Plan) -> None:
    """Write the mark of each block, and read all of them as a run does that goes on."""
    facts: dict[str, Any] = {}
    with timed(f"an empty store for {plan.count:,} blocks"):
        store = BlockStore(folder, "scale", plan, LAYERS, facts)
    with timed("marks of all blocks"):
        for block in plan.blocks():
            store.write(block, None)
    with timed("the same store opened again"):
        again = BlockStore(folder, "scale", plan, LAYERS, facts)
    assert again.done().all()
    with timed("its marks looked at before the map is finished"):
        assert again.is_whole()


def lazy_graph(side: int) -> None:
    """The graph of a lazy array, all blocks of which a scheduler holds at once."""
    pixels = da.zeros((3, side, side), dtype=np.uint8, chunks=(3, 1024, 1024))  # type: ignore[no-untyped-call]
    image = image_of(side).copy(data=pixels)
    build: Callable[[], Any] = lambda: geoseg.predict(image, "sentinel2-landcover", gsd="native")  # noqa: E731
    with timed(f"the lazy map of {side:,} x {side:,} pixels"):
        graph = dict(build().__dask_graph__())
    print(f"its graph: {len(graph):,} tasks, {len(pickle.dumps(graph)) / 1e6:.0f} MB", flush=True)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=500_000)
    parser.add_argument("--scenes", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=1000)
    given = parser.parse_args()
    with timed(f"the plan of {given.side:,} x {given.side:,} pixels"):
        plan = planned(given.side)
    print(f"{plan.count:,} blocks in {plan.shape[0]} rows", flush=True)
    store = given.folder / "scale.geoseg"
    given.folder.mkdir(parents=True, exist_ok=True)
    marks(store, plan)
    shutil.rmtree(store)
    by_the_client(given.folder, given.files)
    with (
        TemporaryDirectory(dir=given.folder) as scratch,
        processes(Path(scratch) / "cluster", workers=2) as group,
        Client(group.address, set_as_default=False) as client,  # type: ignore[no-untyped-call]
    ):
        through_a_cluster(client, given.scenes, "scenes of a batch")
        through_a_cluster(client, plan.count, "blocks of the raster")
    lazy_graph(min(given.side, GRAPH))


if __name__ == "__main__":
    main()
