"""geoseg beside its rivals: the same rasters and networks, in turn, each a process of its own.

    python tests/benchmarks/speed.py FOLDER [--sides 4096 10240] [--networks two-layers u-net]
        [--repeats 3] [--only NAME ...]

Makes what it needs in FOLDER, runs everybody in turn as often as asked, and prints medians. Every
process has the allocator settings of `MALLOC` but geoseg, which must be fast without them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from prepare import prepare
from scene import CLASSES

HERE = Path(__file__).parent
RIVALS = ("plain", "plain-onnx", "dask", "monai")
FLOORS = ("forward", "forward-bf16", "read", "write")
COLUMNS = (
    *("job s", "process s", "Mpx/s", "peak GB", "in network"),
    *("run / raster", "read / file", "differs"),
)
LOWER = "-bf16"  # at the end of a name: in that precision
MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sides", type=int, nargs="+", default=[4096, 10240])
    parser.add_argument("--networks", nargs="+", default=["two-layers", "u-net"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=["geoseg", f"geoseg{LOWER}", *FLOORS, *RIVALS])
    options = parser.parse_args()
    prepare(options.folder, options.sides)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, ", end="")
    print(f"{torch.backends.cpu.get_cpu_capability()}, {time.strftime('%Y-%m-%d')}")
    for network in options.networks:
        for side in options.sides:
            compare(options.folder, network, side, options.only, options.repeats)


def compare(folder: Path, network: str, side: int, names: list[str], repeats: int) -> None:
    """Run some contenders in turn and print a table of medians."""
    scene, weights = folder / f"scene-{side}.tif", folder / f"{network}.pt"
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(repeats):
        for name in names:
            runs[name].append(run(name, scene, network, weights))
    truth = reference(scene, network, weights) if side <= 4096 else None
    print(f"\n{network}, {side} x {side}: medians of {repeats}\n")
    print(f"| | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}")
    for name, each in runs.items():
        middle = {key: statistics.median(one[key] for one in each) for key in each[0]}
        differs = differing(output(scene, network, name), truth)
        print(
            f"| {name} | {middle['seconds']:.2f} | {middle['process']:.2f} "
            f"| {side**2 / 1e6 / middle['seconds']:.1f} | {middle['peak'] / 1e9:.2f} "
            f"| {middle['network_seconds'] / middle['seconds']:.0%} "
            f"| {middle['pixels'] / side**2:.2f} | {middle['bytes'] / scene.stat().st_size:.2f} "
            f"| {differs} |",
            flush=True,
        )


def output(scene: Path, network: str, name: str) -> Path:
    return scene.with_name(f"{scene.stem}-{network}-{name}.tif")


def run(name: str, scene: Path, network: str, weights: Path) -> dict[str, Any]:
    """One process: what it says of itself, its time and the memory of it and its children."""
    own = name.removesuffix(LOWER)
    words = [sys.executable, "contenders.py", own, scene, network, weights]
    words += [output(scene, network, name), "--precision", "bf16" if own != name else "fp32"]
    if name == "write":
        words += ["--map", output(scene, network, "geoseg")]
    environment = os.environ | ({} if own == "geoseg" else MALLOC)
    begun = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, words)), cwd=HERE, env=environment, stdout=subprocess.PIPE, text=True
    )
    memory = Memory(process.pid)
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{name} failed")
    facts: dict[str, Any] = json.loads(said.splitlines()[-1])
    return facts | {"process": time.perf_counter() - begun, "peak": memory.stop()}


class Memory:
    """The largest sum of proportional set sizes over a process and its children, polled."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak, self._ended = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def _poll(self) -> None:
        while not self._ended.wait(0.2):
            self._peak = max(self._peak, sum(map(_pss, _family(self._pid))))

    def stop(self) -> int:
        """The peak in bytes."""
        self._ended.set()
        self._thread.join()
        return self._peak


def _family(pid: int) -> list[int]:
    found, pending = [], [pid]
    while pending:
        found.append(pending.pop())
        for listing in Path(f"/proc/{found[-1]}/task").glob("*/children"):
            try:
                pending += map(int, listing.read_text().split())
            except OSError:  # it ended meanwhile
                continue
    return found


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def reference(scene: Path, network: str, weights: Path) -> np.ndarray:
    """The classes by one forward pass over the whole image."""
    import networks
    from contenders import NODATA, normalised

    with rasterio.open(scene) as source:
        pixels = source.read()
    with torch.inference_mode():
        scores = networks.build(network, CLASSES, weights)(normalised(pixels)[None])
        found = scores.argmax(1)[0].to(torch.uint8).numpy()
    found[(pixels == 0).all(0)] = NODATA
    return found


def differing(path: Path, truth: np.ndarray | None) -> str:
    """Share of the pixels whose class is another than in the reference.

    Away from missing pixels, which everybody fills as he thinks best.
    """
    if truth is None or not path.exists():
        return ""
    rows, columns = np.ogrid[: truth.shape[0], : truth.shape[1]]
    away = rows + columns > len(truth) // 5 + 2 * 256
    with rasterio.open(path) as source:
        return f"{(source.read(1) != truth)[away].mean():.1e}"


if __name__ == "__main__":
    main()
