"""A fully convolutional network without padding, and the network for patches it grew out of.

E. Maggiori, Y. Tarabalka, G. Charpiat and P. Alliez, Fully Convolutional Neural Networks for Remote
Sensing Image Classification (IGARSS 2016). The patch network is that of V. Mnih, Machine Learning
for Aerial Image Labeling (thesis, University of Toronto 2013), with three convolutions and one full
connection. Both give one map, of buildings. Shapes for one map::

    MaggioriFCN                          PatchCNN
    image      3 @ 80                    image      3 @ 64
    conv1     64 @ 18    12 x 12 / 4     conv1     64 @ 14
    conv2    112 @ 15     4 x 4          conv2    112 @ 11
    conv3     80 @ 13     3 x 3          conv3     80 @  9
    score      1 @  5     9 x 9          all to all: 6480 -> 256
    map        1 @ 16     8 x 8 x 4      map        1 @ 16, row by row

Both maps are the centre of the image: what is near its border is context. While training this is
all they give. In evaluation the image is mirrored at its border first, so that there is a score for
every pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (the field's name for it)

from geoseg.errors import UserError
from geoseg.nets.fresh import initialise
from geoseg.nets.options import MOST_CHANNELS, refuse_unless_whole
from geoseg.nets.scores import count_maps, scores_of
from geoseg.windows import grown

__all__ = ["MaggioriFCN", "PatchCNN"]

STEP = 4  # of the first convolution
FIELD = 9  # rows and columns of features that are joined to a score
BLOCK = 16  # rows and columns that a patch has scores for
PATCH = 64


class MaggioriFCN(nn.Module):
    """Scores on a grid of every fourth pixel, and a learnt interpolation between them.

    A score has seen 64 x 64 pixels; each pixel is given by the 2 x 2 scores around it, so it
    depends on 68 x 68 pixels. For images of n pixels a side, n a multiple of 4, training gives the
    ``n - 64`` in the middle; others are first cut to what the steps of 4 cover, on either side.

    The paper's "excess beyond the border is excluded" takes 4 pixels off each side of what the
    interpolation adds up: there fewer scores overlap.

    Parameters
    ----------
    in_channels : int
        Bands of the image, C.
    classes : int
        Classes to tell apart, K. Two classes share one map of scores: see `scores_of`.

    Attributes
    ----------
    stride : int
        4.
    margin : int
        32: rows and columns that are missing on each side while training.
    seams : int
        16: rows and columns of the published windows; no seam is between them.

    Raises
    ------
    UserError
        When a number makes no network, or a training window has no centre.
    """

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        refuse_unless_whole(MOST_CHANNELS, in_channels=in_channels, classes=classes)
        self.classes, self.stride, self.margin = classes, STEP, 32
        self.seams = BLOCK
        maps = count_maps(classes)
        self.features = _features(in_channels)
        self.score = nn.Conv2d(80, maps, FIELD)
        # The padding of a transposed convolution is what it cuts off.
        self.interpolate = nn.ConvTranspose2d(
            maps, maps, 2 * STEP, stride=STEP, padding=STEP, groups=maps
        )
        self.apply(_initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Scores of images (B, in_channels, h, w).

        Returns
        -------
        Tensor, shape (B, classes, h, w)
            While training (B, classes, h - 64, w - 64), of the centre.
        """
        rows, columns = image.shape[2:]
        if self.training:
            window = _with_centre(image, self.margin, self.stride)
        else:
            window = _mirrored(image, self.margin, self.stride)
        maps = self.interpolate(self.score(self.features(window)))
        return scores_of(maps[..., :rows, :columns], self.classes)


class PatchCNN(nn.Module):
    """Scores of 16 x 16 pixels at a time, each of them out of all features of 64 x 64 pixels.

    The full connection is written as a convolution of 9 x 9 with a step of 4, a step of 16 pixels:
    the same weights are run over the whole image without computing the features of overlapping
    patches twice. `patchwise` runs them as published. Training gives the centre: 16 x 16 of 64 x
    64, and of larger images as many blocks as fit.

    Parameters
    ----------
    in_channels : int
        Bands of the image, C.
    classes : int
        Classes to tell apart, K. Two classes share one map of scores: see `scores_of`.

    Attributes
    ----------
    stride : int
        16.
    margin : int
        24: rows and columns that are missing on each side while training.
    seams : int
        16: rows and columns of the blocks whose borders a map may show.

    Raises
    ------
    UserError
        When a number makes no network, or a training window has no centre.
    """

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        refuse_unless_whole(MOST_CHANNELS, in_channels=in_channels, classes=classes)
        self.classes, self.stride, self.seams = classes, BLOCK, BLOCK
        self.margin = (PATCH - BLOCK) // 2
        self.features = _features(in_channels)
        # Channels are pixels: those of a map one after another, row by row.
        self.connect = nn.Conv2d(80, count_maps(classes) * BLOCK**2, FIELD, stride=BLOCK // STEP)
        self.apply(_initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Scores of images (B, in_channels, h, w).

        Returns
        -------
        Tensor, shape (B, classes, h, w)
            While training (B, classes, h - 48, w - 48), of the centre.
        """
        rows, columns = image.shape[2:]
        if self.training:
            window = _with_centre(image, self.margin, self.stride)
        else:
            window = _mirrored(image, self.margin, self.stride)
        return scores_of(self._maps(window)[..., :rows, :columns], self.classes)

    def patchwise(self, image: Tensor) -> Tensor:
        """What `forward` gives in evaluation, but each patch is run by itself, as published.

        Parameters
        ----------
        image : Tensor, shape (B, in_channels, h, w)

        Returns
        -------
        Tensor, shape (B, classes, h, w)
        """
        rows, columns = image.shape[2:]
        window = _mirrored(image, self.margin, self.stride)
        patches = window.unfold(2, PATCH, BLOCK).unfold(3, PATCH, BLOCK)
        maps = torch.cat([self._row_of_maps(row) for row in patches.unbind(2)], dim=2)
        return scores_of(maps[..., :rows, :columns], self.classes)

    def _row_of_maps(self, patches: Tensor) -> Tensor:
        """Maps (B, maps, 16, 16 * n) of n patches side by side (B, in_channels, n, 64, 64)."""
        maps = self._maps(patches.transpose(1, 2).flatten(0, 1))
        apart = maps.reshape(len(patches), -1, *maps.shape[1:])
        return apart.permute(0, 2, 3, 1, 4).flatten(3)

    def _maps(self, window: Tensor) -> Tensor:
        return F.pixel_shuffle(self.connect(self.features(window)), BLOCK)


def _features(in_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, 64, 12, stride=STEP),
        nn.ReLU(),
        nn.Conv2d(64, 112, 4),
        nn.ReLU(),
        nn.Conv2d(112, 80, 3),
        nn.ReLU(),
    )


def _initialise(module: nn.Module) -> None:
    """Normal with variance 2 / fan-in (He et al. 2015, eq. 10); bilinear interpolation; biases 0.

    The paper says nothing of it but that the interpolation is learnt.
    """
    if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d) or module.weight.is_meta:
        return
    if isinstance(module, nn.ConvTranspose2d):
        size = module.kernel_size[0]
        taps = 1 - (torch.arange(size) + 0.5 - size / 2).abs() / (size / 2)
        with torch.no_grad():
            module.weight.copy_(torch.outer(taps, taps))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    else:
        initialise(module)


def _with_centre(image: Tensor, margin: int, step: int) -> Tensor:
    """The image without the pixels that steps leave over, half of them taken from each side."""
    rows, columns = image.shape[2:]
    least = 2 * margin + step
    if min(rows, columns) < least:
        raise UserError(
            f"training windows of {rows} x {columns} pixels have no pixel with {margin} around it; "
            f"give a crop of at least {least}"
        )
    top, left = (length % step // 2 for length in (rows, columns))
    return image[..., top:, left:]


def _mirrored(image: Tensor, margin: int, step: int) -> Tensor:
    """The image with a margin, and beyond its far ends filled up to whole steps.

    As `geoseg.windows.reflect` does, in operations that can be exported for any size.
    """
    for axis in (2, 3):
        length = image.shape[axis]
        # A tensor, for ONNX divides by no number that is known only when the program runs.
        period = torch.full((1,), max(2 * (length - 1), 1), device=image.device)
        places = torch.arange(-margin, grown(length, step) + margin, device=image.device) % period
        image = image.index_select(axis, torch.where(places < length, places, period - places))
    return image
