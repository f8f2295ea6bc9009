"""A cluster of three workers beside one process, on the same cores and in turn.

    PYTHONPATH=tests python tests/benchmarks/cluster.py FOLDER [--side 6144] [--runs 3]

The scheduler and its workers, one thread each, are processes that have run once before they are
timed, as has the process beside them; both write the same bytes, which is checked.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import time
from pathlib import Path

from clusters import processes
from distributed import Client
from scene import make_scene

import geoseg

MODEL = "sentinel2-landcover"
WORKERS = 3


def mapped(source: Path, target: Path, scheduler: str) -> tuple[float, str]:
    """Seconds that a map took, and the checksum of its bytes."""
    began = time.perf_counter()
    geoseg.predict_file(
        source, target, MODEL, scheduler=scheduler, overwrite=True, gsd="native", precision="fp32"
    )
    return time.perf_counter() - began, hashlib.sha256(target.read_bytes()).hexdigest()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=6144)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    source, target = given.folder / f"scene-{given.side}.tif", given.folder / "map.tif"
    if not source.exists():
        make_scene(source, given.side)
    seconds: dict[str, list[float]] = {"one process": [], "cluster": []}
    with processes(given.folder / f"cluster-{time.time_ns()}", WORKERS) as group:
        address = group.address
        with Client(address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(WORKERS)  # type: ignore[no-untyped-call]
        for turn in range(1 + given.runs):
            made = set()
            for who, scheduler in (("one process", "local"), ("cluster", address)):
                taken, digest = mapped(source, target, scheduler)
                made.add(digest)
                if turn:  # the first loads libraries and models
                    seconds[who].append(taken)
                    print(f"{who}: {taken:.1f} s", flush=True)
            assert len(made) == 1, "the maps differ"
    one, many = (statistics.median(seconds[who]) for who in ("one process", "cluster"))
    print(f"medians: {one:.1f} s and {many:.1f} s; throughput of the cluster {one / many:.2f}")


if __name__ == "__main__":
    main()
