"""Scenes, trained weights and their ONNX twins, made once into a folder."""

from __future__ import annotations

from pathlib import Path

import networks
import rasterio
import torch
from scene import CLASSES, make_scene, truth_of

__all__ = ["prepare"]

STEPS = {"two-layers": 150, "u-net": 250}


def prepare(folder: Path, sides: list[int]) -> None:
    """Make what is not there yet: ``scene-SIDE.tif``, ``NETWORK.pt``, ``NETWORK.onnx``."""
    folder.mkdir(parents=True, exist_ok=True)
    for side in {4096, *sides}:
        path = folder / f"scene-{side}.tif"
        if not path.exists():
            print(f"making {path}", flush=True)
            make_scene(path.with_suffix(".part.tif"), side)
            path.with_suffix(".part.tif").rename(path)
    for name, steps in STEPS.items():
        path = folder / f"{name}.pt"
        if not path.exists():
            print(f"training {path}", flush=True)
            with rasterio.open(folder / "scene-4096.tif") as source:
                pixels = source.read()
            net = networks.train(name, pixels, truth_of(4096, 1), CLASSES, steps)
            torch.save(net.state_dict(), path)
        if not path.with_suffix(".onnx").exists():
            _export(networks.build(name, CLASSES, path), path.with_suffix(".onnx"))


def _export(net: torch.nn.Module, path: Path) -> None:
    example = torch.rand(2, 3, 512, 512)
    torch.onnx.export(
        net,
        (example,),
        path,
        input_names=["x"],
        output_names=["y"],
        dynamic_shapes={"x": {0: torch.export.Dim("n")}},
        dynamo=True,
        external_data=False,
        verbose=False,
    )
