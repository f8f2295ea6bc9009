"""How much of the speed of a network is left when it is trained from compressed GeoTIFFs.

    python tests/benchmarks/training.py FOLDER [--steps 15] [--rounds 3]

"Bare" is forward and backward pass with the loss on one batch that stays in memory: no pixels read,
cut, normalised or changed, no step of an optimiser. The rest is `fit` as users run it, from a scene
and its labels that are tiled and deflated: read as they are asked for, and held in memory as `fit`
holds what fits. All take turns; figures are medians of the seconds of a step, the first two of a
run left out. Settings are the defaults, and those of the recipe unet-lovasz, whose loss sorts all
pixels and whose windows change in colour.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from prepare import prepare
from scene import CLASSES, truth_of

from geoseg import nets
from geoseg.classes import as_classes
from geoseg.devices import find_devices
from geoseg.loader import Scene
from geoseg.raster import open_raster
from geoseg.recipes import RECIPES
from geoseg.train import Dataset, Settings, changed, fit
from geoseg.train.data import dataset
from geoseg.train.stated_loss import loss_of

SIDE = 4096
WARM = 2  # steps that do not count
BOTH = {"cross_entropy": 0.5, "lovasz": 0.5}  # no class is unscored here
SETTINGS = {
    "defaults, crop 288": Settings(crop=288, batch=8),
    "unet-lovasz": changed(
        RECIPES["unet-lovasz"].settings, {"loss": BOTH, "cycles": 1, "rehearse": 0}
    ),
}
SOURCES = {"read as asked for": 0, "in memory": dataset.IN_MEMORY}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    prepare(options.folder, [SIDE])
    scene = Scene(
        open_raster(options.folder / f"scene-{SIDE}.tif"),
        open_raster(_labels(options.folder)).squeeze("band"),
    )
    data = Dataset(
        name="parcels",
        description="",
        classes=as_classes([f"class {i}" for i in range(CLASSES)]),
        bands=("red", "green", "blue"),
        training=[scene],
    )
    print("| settings | | s / step | images / s | of the bare speed |\n|---|---|---:|---:|---:|")
    for name, settings in SETTINGS.items():
        chosen = replace(settings, steps=options.steps, save_every=10**6)
        print_rows(name, chosen, data, options)


def print_rows(name: str, settings: Settings, data: Dataset, options: argparse.Namespace) -> None:
    """Time all ways in turn."""
    seconds: dict[str, list[float]] = {way: [] for way in ("bare", *SOURCES)}
    for _ in range(options.rounds):
        seconds["bare"] += bare(settings, options.device)
        for way, limit in SOURCES.items():
            dataset.IN_MEMORY = limit
            seconds[way] += trained(settings, data, options)
    medians = {way: statistics.median(each) for way, each in seconds.items()}
    for way, median in medians.items():
        speed, share = settings.batch / median, medians["bare"] / median
        print(f"| {name} | {way} | {median:.3f} | {speed:.2f} | {share:.1%} |", flush=True)


def bare(settings: Settings, device: str) -> list[float]:
    """Seconds of passes over tensors that stay where they are."""
    there = find_devices(device)[0]
    net = nets.build(settings.net, in_channels=3, classes=CLASSES, **settings.options)
    net = net.to(there, memory_format=torch.channels_last).train()
    shape = (settings.batch, 3, settings.crop, settings.crop)
    values = torch.randn(shape, device=there).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (shape[0], *shape[2:]), device=there)
    loss = loss_of(settings.loss)
    ends = [time.perf_counter()]
    for _ in range(settings.steps):
        net.zero_grad()
        loss(net(values), labels).backward()
        if there.type == "cuda":
            torch.cuda.synchronize(there)
        ends.append(time.perf_counter())
    return between(ends)


def trained(settings: Settings, data: Dataset, options: argparse.Namespace) -> list[float]:
    """Seconds of the steps of a run."""
    ends: list[float] = []

    def notice(event: dict[str, Any]) -> None:
        ends.append(time.perf_counter())

    target = options.folder / "trained.safetensors"
    target.unlink(missing_ok=True)
    fit(settings, data, target, device=options.device, on_progress=notice)
    return between(ends)


def between(ends: Sequence[float]) -> list[float]:
    return np.diff(ends)[WARM:].tolist()


def _labels(folder: Path) -> Path:
    path = folder / f"labels-{SIDE}.tif"
    if not path.exists():
        with rasterio.open(folder / f"scene-{SIDE}.tif") as source:
            profile = source.profile | {"count": 1, "photometric": None, "nodata": 255}
            gone = (source.read() == 0).all(0)
        with rasterio.open(path, "w", **profile) as target:
            target.write(np.where(gone, 255, truth_of(SIDE, 1)).astype(np.uint8), 1)
    return path


if __name__ == "__main__":
    main()
