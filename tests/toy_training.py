"""Small data sets and networks to train on, shared by tests; run as a program it trains.

``python toy_training.py OUT [KEY=VALUE ...]``, also in several processes; ``die=RANK,STEP`` kills
one of them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from geoseg import nets
from geoseg.classes import as_classes
from geoseg.loader import IGNORE, Scene
from geoseg.train import Augmentation, Dataset, Settings, change, changed, fit, loop

BASE = Settings(
    crop=16,
    batch=4,
    steps=5,
    lr=1e-2,
    save_every=1,
    class_power=0,
    augment=Augmentation(symmetries="none"),
)


class Plain(nn.Module):
    """Two convolutions and no batch statistics: windows do not touch each other in training."""

    stride, halo = 1, 2

    def __init__(self, in_channels: int, classes: int, width: int = 6) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.last = nn.Conv2d(width, classes, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(image)))


class Noisy(nn.Module):
    """Batch statistics, and a layer that draws in training."""

    stride, halo = 1, 2

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, 6, 3, padding=1)
        self.drop = nn.Dropout(0.3)
        self.norm = nn.BatchNorm2d(6)
        self.last = nn.Conv2d(6, classes, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(self.norm(self.drop(torch.tanh(self.first(image)))))


class Edgeless(nn.Module):
    """Gives the middle of a window only while it is trained."""

    stride, halo, margin = 1, 2, 2

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(in_channels, classes, 5)

    def forward(self, image: Tensor) -> Tensor:
        pad = 0 if self.training else self.margin
        return self.layer(nn.functional.pad(image, (pad,) * 4, mode="constant"))


class Branches(nn.Module):
    """Two heads of the same classes while it is trained; their mean afterwards."""

    stride, halo = 1, 1

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.heads = (classes, classes)
        self.one, self.other = (nn.Conv2d(in_channels, classes, 3, padding=1) for _ in range(2))

    def forward(self, image: Tensor) -> Tensor:
        scores = self.one(image), self.other(image)
        return torch.cat(scores, 1) if self.training else (scores[0] + scores[1]) / 2


class Tasks(nn.Module):
    """Two heads of two tasks while it is trained; the first one afterwards."""

    stride, halo = 1, 2

    def __init__(self, in_channels: int, classes: int, other: int = 2) -> None:
        super().__init__()
        self.heads = (classes, other)
        self.trunk = nn.Conv2d(in_channels, 6, 3, padding=1)
        self.land, self.road = (nn.Conv2d(6, each, 3, padding=1) for each in self.heads)

    def forward(self, image: Tensor) -> Tensor:
        features = torch.tanh(self.trunk(image))
        own = self.land(features)
        return torch.cat([own, self.road(features)], 1) if self.training else own


NETS = {
    "plain": Plain,
    "noisy": Noisy,
    "edgeless": Edgeless,
    "branches": Branches,
    "tasks": Tasks,
}


def quick(net: str = "plain", **values: Any) -> Settings:
    """Few steps on small windows, with some settings changed."""
    return changed(BASE, {"net": net, **values})


def chequered(seed: int, shape: tuple[int, int] = (48, 40), classes: int = 3) -> Scene:
    """Classes in squares of 8 pixels, each of another brightness in one of three bands."""
    rng = np.random.default_rng(seed)
    squares = rng.integers(0, classes, (shape[0] // 8, shape[1] // 8))
    labels = np.kron(squares, np.ones((8, 8), int)).astype(np.uint8)
    pixels = rng.normal(100, 15, (3, *shape))
    for band in range(3):
        pixels[band] += 70 * (labels == band)
    return Scene(
        xr.DataArray(pixels.clip(0, 255).astype(np.uint8), dims=("band", "y", "x")),
        xr.DataArray(labels, dims=("y", "x")),
    )


def unlabelled(scene: Scene, share: float, seed: int = 0) -> Scene:
    """The scene with some of its labels ignored."""
    assert scene.labels is not None
    gone = np.random.default_rng(seed).random(scene.shape) < share
    return Scene(scene.image, scene.labels.copy(data=np.where(gone, IGNORE, scene.labels.values)))


def data_of(*training: Scene, classes: int = 3, **others: Any) -> Dataset:
    names = [f"class {number}" for number in range(classes)]
    return Dataset("chequered", "Made up.", as_classes(names), tuple("rgb"), training, **others)


def three_scenes() -> Dataset:
    return data_of(chequered(0), chequered(1), chequered(2), validation=[chequered(3)])


def roads() -> Dataset:
    """Another task on other places: two classes."""
    return data_of(chequered(5, classes=2), chequered(6, classes=2), classes=2)


def main(out: str, *changes: str) -> None:
    nets.REGISTRY.update(NETS)
    own = dict(each.split("=", 1) for each in changes if each.startswith(("die=", "resume=")))
    settings = change(quick(), [each for each in changes if each.partition("=")[0] not in own])
    rank, step = map(int, own.get("die", "-1,-1").split(","))
    learn, mine = loop._step, int(os.environ.get("RANK", "0"))

    def mortal(run: Any, state: Any, *rest: Any) -> float:
        if (mine, state.step) == (rank, step):
            os.kill(os.getpid(), signal.SIGKILL)
        return learn(run, state, *rest)

    loop._step = mortal
    fit(
        settings,
        three_scenes(),
        out,
        resume="resume" in own,
        device="cpu",
        on_progress=lambda event: print(mine, json.dumps(event), flush=True),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
