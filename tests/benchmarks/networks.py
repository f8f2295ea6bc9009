"""Two networks: one that costs little, so that what is around it shows, and one of a usual kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MEAN", "NETWORKS", "STD", "build", "train"]

MEAN, STD = (106.0, 115.0, 92.0), (48.0, 33.0, 33.0)


class TwoLayers(nn.Module):
    """Two 3 x 3 convolutions with 8 channels between."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(functional.relu(self.first(x)))


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True)
    )


class SmallUNet(nn.Module):
    """0.8 million weights; the stem halves the image, the deepest level sees a sixteenth."""

    def __init__(self, classes: int, widths: tuple[int, ...] = (16, 32, 64, 128)) -> None:
        super().__init__()
        w = widths
        self.one = nn.Sequential(_conv(3, w[0], 2), _conv(w[0], w[0]))
        self.two = nn.Sequential(_conv(w[0], w[1], 2), _conv(w[1], w[1]))
        self.three = nn.Sequential(_conv(w[1], w[2], 2), _conv(w[2], w[2]))
        self.four = nn.Sequential(
            _conv(w[2], w[3], 2), _conv(w[3], w[3]), _conv(w[3], w[3]), _conv(w[3], w[3])
        )
        self.back = nn.ModuleList(
            nn.Sequential(_conv(w[i + 1] + w[i], w[i]), _conv(w[i], w[i])) for i in range(3)
        )
        self.last = nn.Conv2d(w[0], classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        levels = [self.one(x)]
        for level in (self.two, self.three, self.four):
            levels.append(level(levels[-1]))
        y = levels.pop()
        for i in (2, 1, 0):
            y = self.back[i](torch.cat([_twice(y), levels.pop()], 1))
        return _twice(self.last(y))


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


NETWORKS = {"two-layers": TwoLayers, "u-net": SmallUNet}


def build(name: str, classes: int, weights: Path | None = None) -> nn.Module:
    """A network in eval mode, with weights that `train` wrote."""
    torch.manual_seed(0)
    net = NETWORKS[name](classes)
    if weights is not None:
        net.load_state_dict(torch.load(weights, weights_only=True))
    return net.eval().requires_grad_(False)


def train(name: str, pixels: np.ndarray, truth: np.ndarray, classes: int, steps: int) -> nn.Module:
    """Fit a network to a scene, so that what seams do to classes is what it would do at work."""
    net, rng = build(name, classes).train().requires_grad_(True), np.random.default_rng(0)
    mean, std = (torch.tensor(each)[:, None, None] for each in (MEAN, STD))
    optimiser = torch.optim.AdamW(net.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, steps)
    for _ in range(steps):
        places = rng.integers(truth.shape[0] // 5, truth.shape[0] - 192, (8, 2))
        crops = [(slice(r, r + 192), slice(c, c + 192)) for r, c in places]
        x = torch.from_numpy(np.stack([pixels[:, r, c] for r, c in crops])).float()
        y = torch.from_numpy(np.stack([truth[r, c] for r, c in crops])).long()
        loss = functional.cross_entropy(net((x - mean) / std), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval().requires_grad_(False)
