"""Pixel labels out of image labels: maps of a classifier, averaged, refined and decided.

The classes that are known to be in a window rule out all others::

    maps = averaged_maps(net, windows).sigmoid()
    labels = pseudo_labels(refined(maps, windows), present)

What comes out trains any network of full resolution, whose maps may make the next labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from torch import Tensor, nn

from geoseg.errors import UserError
from geoseg.loader import IGNORE
from geoseg.views import TURNS

__all__ = ["averaged_maps", "pseudo_labels", "refined"]

SCALES = (1.0, 1.5, 2.0)
DILATIONS = (1, 2, 4, 8)
ITERATIONS = 10  # Araslanov and Roth 2020, section 5.1
WIDTH = 0.1  # of the kernel, in standard deviations: not in the paper, that of its public code
FOREGROUND, BACKGROUND = 0.7, 0.2  # sure enough, and too little; between them nothing is claimed


def averaged_maps(net: nn.Module, windows: Tensor, scales: Sequence[float] = SCALES) -> Tensor:
    """Mean of the maps of windows at several scales, in all eight symmetries of each.

    Parameters
    ----------
    net : Module
        ``(B, C, h, w) -> (B, K, h, w)``, in evaluation mode.
    windows : Tensor, shape (B, C, h, w)
        As the network sees them; rows and columns that it takes.
    scales : sequence of float
        Pixels for each pixel of the windows; sides are rounded to what the network takes.

    Returns
    -------
    Tensor, shape (B, K, h, w)

    Raises
    ------
    UserError
        When the network is in training mode or there is no scale.
    """
    if net.training or not scales:
        raise UserError(
            f"maps at {len(scales)} scales of a network with training={net.training}: give one "
            "scale or more, and call net.eval() first"
        )
    total: Tensor | float = 0.0
    with torch.no_grad():
        for scale, turn in product(scales, TURNS["d4"]):
            view = turn.apply(_scaled(windows, scale, int(getattr(net, "stride", 1))))
            maps = turn.undo(net(view))
            total = total + _resized(maps, (windows.shape[2], windows.shape[3]))
        return torch.as_tensor(total / (len(scales) * len(TURNS["d4"])))


def refined(maps: Tensor, windows: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """Maps that flow between pixels that look alike, and stop where the image has an edge.

    Pixel-adaptive mask refinement (N. Araslanov and S. Roth, Single-Stage Semantic Segmentation
    from Image Labels, CVPR 2020, eqs. 4 to 6): in each iteration a pixel takes the mean of 32
    others, 8 in each of four distances, weighted by a softmax over how little they differ, in terms
    of the standard deviation around the pixel and on average over the bands.

    Parameters
    ----------
    maps : Tensor, shape (B, K, h, w)
    windows : Tensor, shape (B, C, h, w)
        In any units. Give few at a time: over 130 times their memory is needed.
    iterations : int
        0 changes nothing.

    Returns
    -------
    Tensor, shape (B, K, h, w)
        Nowhere above the maximum or below the minimum of `maps`.
    """
    weights = _likeness(windows)
    for _ in range(iterations):
        maps = (_around(maps) * weights).sum(2)
    return maps


def pseudo_labels(
    maps: Tensor,
    present: Tensor | None = None,
    foreground: float = FOREGROUND,
    background: float = BACKGROUND,
) -> Tensor:
    """Classes of the pixels of which maps are sure.

    Parameters
    ----------
    maps : Tensor, shape (B, K, h, w)
        From 0 to 1; the first class is the background, whose own map is not looked at.
    present : Tensor of bool, shape (B, K), optional
        Classes that are known to be in each window; by default any may be.
    foreground, background : float
        The highest of the other classes is a pixel's when its map is above the one; the background
        is where all of them are below the other.

    Returns
    -------
    Tensor of int64, shape (B, h, w)
        `IGNORE` where neither is so.

    Raises
    ------
    UserError
        When the thresholds overlap, or there is no class beside the background.
    """
    if not 0 <= background <= foreground <= 1:
        raise UserError(
            f"background {background} and foreground {foreground}: give two numbers from 0 to 1, "
            "the background's no higher than the other"
        )
    if maps.shape[1] < 2:
        raise UserError(f"maps of {maps.shape[1]} classes: give the background and another one")
    known = torch.ones_like(maps[:, :, 0, 0], dtype=torch.bool) if present is None else present
    highest, index = maps[:, 1:].where(known[:, 1:, None, None], 0).max(1)
    empty = (highest < background) & known[:, :1, None]
    labels = torch.full_like(index, IGNORE).where(~empty, 0)
    return labels.where(highest <= foreground, index + 1)


def _scaled(windows: Tensor, scale: float, stride: int) -> Tensor:
    if scale == 1:
        return windows
    rows, columns = (max(1, round(n * scale / stride)) * stride for n in windows.shape[2:])
    return _resized(windows, (rows, columns))


def _resized(images: Tensor, shape: tuple[int, int]) -> Tensor:
    if images.shape[2:] == shape:
        return images
    return F.interpolate(images, shape, mode="bilinear", align_corners=False)


def _likeness(windows: Tensor) -> Tensor:
    """Weights (B, 1, 32, h, w) of the pixels around each pixel; they sum to one."""
    around, own = _around(windows), windows[:, :, None]
    spread = torch.cat([around, own], 2).std(2, keepdim=True)
    tiny = torch.finfo(windows.dtype).tiny  # flat ground: all are alike
    differences = (around - own).abs() / (WIDTH * spread).clamp(min=tiny)
    return (-differences.mean(1, keepdim=True)).softmax(2)


def _around(images: Tensor) -> Tensor:
    """The 8 pixels around each pixel in four distances, (B, C, 32, h, w); borders go on outside."""
    rows, columns = images.shape[2:]
    found = []
    for far in DILATIONS:
        padded = F.pad(images, (far,) * 4, mode="replicate")
        for down, right in product((0, far, 2 * far), repeat=2):
            if (down, right) != (far, far):
                found.append(padded[..., down : down + rows, right : right + columns])
    return torch.stack(found, 2)
