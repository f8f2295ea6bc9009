"""Small networks and images that tests share; every net is cheap and its reach known by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from geoseg.segmenter import Segmenter

BANDS = ("red", "green", "blue")


class TwoLayers(nn.Module):
    """Two 3x3 convolutions: sees 2 pixels around, stride 1."""

    def __init__(self, bands: int = 3, classes: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(bands, 8, 3, padding=1)
        self.last = nn.Conv2d(8, classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.first(x)))


class Hourglass(nn.Module):
    """Down by 4 through two pools and up again: strided, with borders that matter."""

    def __init__(self, bands: int = 3, classes: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(bands, 8, 3, padding=1)
        self.deep = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(16, classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        fine = F.elu(self.first(x))
        coarse = F.elu(self.deep(F.max_pool2d(fine, 3, 2, 1)))
        coarse = F.interpolate(F.max_pool2d(coarse, 3, 2, 1), scale_factor=4.0, mode="bilinear")
        return self.last(torch.cat([fine, coarse], 1))


class Pooled(nn.Module):
    """Adds the mean of the whole window: no halo is wide enough."""

    def __init__(self, bands: int = 3, classes: int = 4) -> None:
        super().__init__()
        self.only = nn.Conv2d(bands, classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.only(x) + x.mean((1, 2, 3), keepdim=True)


def segmenter_of(
    net: nn.Module, seed: int = 0, bands: Sequence[str] = BANDS, **facts: object
) -> Segmenter:
    """A model of random weights whose classes all occur on random pixels."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) / weight[0].numel() ** 0.5)
    settings = {"window": 64} | facts
    return Segmenter(
        net,
        classes=("water", "forest", "field", "town"),
        bands=bands,
        mean=[120.0] * len(bands),
        std=[60.0] * len(bands),
        **settings,  # type: ignore[arg-type]
    )


def random_image(shape: tuple[int, int], seed: int = 0, nodata: int | None = None) -> xr.DataArray:
    """Random uint8 pixels in three named bands; with a no-data value, a corner is missing."""
    pixels = np.random.default_rng(seed).integers(1, 255, (3, *shape), dtype=np.uint8)
    if nodata is not None:
        pixels[:, : shape[0] // 3, : shape[1] // 2] = nodata
    image = xr.DataArray(pixels, dims=("band", "y", "x"), attrs={"long_name": BANDS})
    return image if nodata is None else image.rio.write_nodata(nodata)


def whole_image_scores(segmenter: Segmenter, pixels: np.ndarray) -> np.ndarray:
    """One forward pass over all pixels: probabilities (class, rows, columns).

    Written apart from the engine: mirrored by numpy, normalised by hand.
    """
    rows, columns = pixels.shape[1:]
    stride = segmenter.card.stride
    pad = (0, -rows % stride), (0, -columns % stride)
    grown = np.pad(pixels.astype(np.float32), ((0, 0), *pad), mode="reflect")
    mean, std = (
        np.array(each, np.float32)[:, None, None]
        for each in (segmenter.card.mean, segmenter.card.std)
    )
    with torch.no_grad():
        logits = segmenter.net(torch.from_numpy((grown - mean) / std)[None])
    return logits[0, :, :rows, :columns].softmax(0).numpy()
