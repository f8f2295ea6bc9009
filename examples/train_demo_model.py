"""Make the landscapes that the demo's model learns from, and train it.

    python train_demo_model.py demo-landscape.safetensors

Some ten minutes on two cores. The same seeds give the same file on one kind of processor.
"""

from __future__ import annotations

import logging
import sys

import torch
import xarray as xr

from geoseg import landscape
from geoseg.loader import Scene
from geoseg.train import Dataset, Settings, fit

SEEDS = range(1, 17)
HELD_OUT = range(1001, 1003)  # the demo's own landscape is in neither
SHAPE = (1024, 1024)
THREADS = 1  # sums are rounded in another order with another number of them

SETTINGS = Settings(
    options={"widths": (16, 24, 48, 96), "skip_p1": True},  # roads are as narrow as two pixels
    crop=192,
    batch=4,
    steps=1600,
    lr=4e-3,
    class_power=0.0,  # the map is to have as many roads as the ground, not more
    seed=0,
)
DESCRIPTION = (
    "Land cover of the synthetic landscapes of geoseg.landscape, for the demo and for tests. "
    "It was trained on landscapes of the same make with other seeds and knows nothing of the "
    "real Earth."
)


def main(out: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(THREADS)
    data = Dataset(
        name="demo-landscape",
        description=DESCRIPTION,
        classes=landscape.CLASSES,
        bands=landscape.BANDS,
        training=[make_scene(seed) for seed in SEEDS],
        held_out=[make_scene(seed) for seed in HELD_OUT],
        gsd=landscape.GSD,
        licence="Apache-2.0",
    )
    model = fit(SETTINGS, data, out, resume=True, device="cpu", on_progress=report)
    print(model.card.metrics)


def make_scene(seed: int) -> Scene:
    pixels, truth = landscape.make(SHAPE, seed)
    image = xr.DataArray(pixels, dims=("band", "y", "x"), coords={"band": list(landscape.BANDS)})
    labels = xr.DataArray(truth, dims=("y", "x"))
    return Scene(image.rio.write_nodata(landscape.NODATA), labels)


def report(event: dict[str, object]) -> None:
    if event["event"] == "progress" and int(str(event["done"])) % 100 == 0:
        print(f"step {event['done']}: loss {event['loss']:.3f}, {event['eta_s']:.0f} s to go")


if __name__ == "__main__":
    main(sys.argv[1])
