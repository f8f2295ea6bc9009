"""U-Net with the m46 encoder.

A. Rakhlin, A. Davydow and S. Nikolenko, Land Cover Classification from Satellite Imagery With U-Net
and Lovász-Softmax Loss (CVPR Workshops 2018). The paper names the encoder and prints "1M"
parameters. Order and widths of the layers are those of the first author's public code; they give
1 111 063 parameters for 3 bands and 7 classes. Shapes for 288 x 288 pixels and the default widths::

    image    3 @ 288
    p1      16 @ 144      encoder: block, then pooling
    p2      32 @  72
    p3      64 @  36
    p4     128 @  18
    p5     256 @   9
    d5     128 @  18      + p4: skips are added before the next up-sampling
    d4      64 @  36      + p3
    d3      32 @  72      + p2
    d2      32 @ 144      (+ p1 through a 1 x 1 convolution, `skip_p1`)
    d1      32 @ 288      (+ the first block before pooling, 1 x 1 convolution, `skip_full`)
    logits   7 @ 288
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from geoseg.errors import UserError
from geoseg.nets.decoder import SKIPS, Decoder, head, refuse_widths
from geoseg.nets.fresh import initialise
from geoseg.nets.options import refuse_unknown

__all__ = ["UNet"]

FINE = 32  # channels of the decoder's two finest steps and of the head, at most
MOST_LEVELS = 8  # a total stride of 256 pixels; a window must be a multiple of it


class UNet(nn.Module):
    """U-Net whose encoder halves the resolution once for every width.

    Parameters
    ----------
    in_channels : int
        Bands of the image, C.
    classes : int
        Classes to tell apart, K.
    widths : sequence of int
        Channels of the encoder's blocks, from the image down; 2 to 8 of them. Fewer levels see less
        far: the total stride is ``2 ** len(widths)``. The decoder mirrors them; its two finest
        steps have 32 channels, or as many as the second block where these are fewer. With the
        blocks of the first author's bone age network, (32, 64, 128, 128, 256) or the same and 384,
        there are 1 548 199 or 4 058 791 parameters.
    skip_p1 : bool
        Whether the finest encoder output is added too, projected to the decoder's width.
    skip_full : bool
        Whether the first block's output before pooling, which is as fine as the image, is added
        before the head, projected likewise. Not in the paper: for objects of one pixel, and where
        the spectrum of a pixel tells its class.
    skip : {"add", "cat"}
        Whether skips are added, as the author's code does, or concatenated; the paper says only
        that they are combined. Concatenated ones need no projection; all of them but `skip_full`
        make 1 217 047 parameters.

    Raises
    ------
    UserError
        When a number of channels or of levels makes no network.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        skip_p1: bool = False,
        skip_full: bool = False,
        skip: str = "add",
    ) -> None:
        super().__init__()
        _refuse_senseless(in_channels, classes, widths, skip)
        self.stride = 2 ** len(widths)
        inputs = (in_channels, *widths[:-1])
        self.encoder = nn.ModuleList(map(m46_block, inputs, widths))
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        # Each step ends with the width of the skip it meets; the two finest meet none.
        fine = min(widths[1], FINE)
        outputs = (*widths[-2:0:-1], fine, fine)
        finest = [widths[0] if wanted else 0 for wanted in (skip_p1, skip_full)]
        kept = (*widths[-2:0:-1], *finest)
        steps = [(width, width) for width in outputs]
        self.decoder = Decoder(widths[-1], steps, kept, skip)
        self.project = _finest(widths[0], fine, skip) if skip_p1 else None
        self.project_full = _finest(widths[0], fine, skip) if skip_full else None
        self.head = head(self.decoder.channels, fine, classes)
        self.apply(initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes, h, w) of images (B, in_channels, h, w)."""
        features, blocks, pooled = image, [], []
        for block in self.encoder:
            blocks.append(block(features))
            features = self.pool(blocks[-1])
            pooled.append(features)
        p1 = None if self.project is None else self.project(pooled[0])
        full = None if self.project_full is None else self.project_full(blocks[0])
        logits: Tensor = self.head(self.decoder(features, (*pooled[-2:0:-1], p1, full)))
        return logits


def m46_block(inputs: int, width: int) -> nn.Sequential:
    """3 x 3 and 1 x 1 convolution, each activated before it is normalised, biases kept."""
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1),
        nn.ELU(),
        nn.BatchNorm2d(width),
        nn.Conv2d(width, width, 1),
        nn.ELU(),
        nn.BatchNorm2d(width),
    )


def _finest(inputs: int, width: int, skip: str) -> nn.Module:
    """What brings the finest features to the width of the decoder, where they are added to it."""
    return nn.Identity() if skip == "cat" else nn.Conv2d(inputs, width, 1)


def _refuse_senseless(in_channels: int, classes: int, widths: Sequence[int], skip: str) -> None:
    if not 2 <= len(widths) <= MOST_LEVELS:
        raise UserError(f"widths={list(widths)}: give 2 to {MOST_LEVELS} numbers of channels")
    refuse_widths(in_channels, classes, widths)
    refuse_unknown("skip", skip, SKIPS)
