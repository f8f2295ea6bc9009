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

__all__ = ["UNet"]

MOST_LEVELS = 8  # a total stride of 256 pixels; a window must be a multiple of it
MOST_CHANNELS = 65_536  # beyond any network; a number from a damaged file is stopped here


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
        far: the total stride is ``2 ** len(widths)``.
    skip_p1 : bool
        Whether the finest encoder output is added too, projected to the decoder's width.
    skip_full : bool
        Whether the first block's output before pooling, which is as fine as the image, is added
        before the head, projected likewise. Not in the paper: for objects of one pixel, and where
        the spectrum of a pixel tells its class.

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
    ) -> None:
        super().__init__()
        _refuse_senseless(in_channels, classes, widths)
        self.stride = 2 ** len(widths)
        inputs = (in_channels, *widths[:-1])
        self.encoder = nn.ModuleList(map(m46_block, inputs, widths))
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        # Each step ends with the width of the skip it meets; the two finest keep the second one.
        outputs = (*widths[-2:0:-1], widths[1], widths[1])
        self.decoder = nn.ModuleList(map(decoder_step, (widths[-1], *outputs[:-1]), outputs))
        self.project = nn.Conv2d(widths[0], widths[1], 1) if skip_p1 else None
        self.project_full = nn.Conv2d(widths[0], widths[1], 1) if skip_full else None
        self.head = nn.Sequential(
            nn.Conv2d(widths[1], widths[1], 3, padding=1),
            nn.ELU(),
            nn.Conv2d(widths[1], classes, 1),
        )
        self.apply(_initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes, h, w) of images (B, in_channels, h, w)."""
        features, blocks, pooled = image, [], []
        for block in self.encoder:
            blocks.append(block(features))
            features = self.pool(blocks[-1])
            pooled.append(features)
        p1 = None if self.project is None else self.project(pooled[0])
        full = None if self.project_full is None else self.project_full(blocks[0])
        for step, skip in zip(self.decoder, (*pooled[-2:0:-1], p1, full), strict=True):
            features = step(features)
            if skip is not None:
                features = features + skip
        logits: Tensor = self.head(features)
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


def decoder_step(inputs: int, width: int) -> nn.Sequential:
    """Twice the rows and columns, then two 3 x 3 convolutions."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(inputs, width, 3, padding=1),
        nn.ELU(),
        nn.BatchNorm2d(width),
        nn.Conv2d(width, width, 3, padding=1),
        nn.ELU(),
        nn.BatchNorm2d(width),
    )


def _initialise(module: nn.Module) -> None:
    """Normal with variance 2 / fan-in (He et al. 2015, eq. 10), biases 0."""
    # Weights without values, of which only shapes are wanted, need none.
    if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _refuse_senseless(in_channels: int, classes: int, widths: Sequence[int]) -> None:
    if not 2 <= len(widths) <= MOST_LEVELS:
        raise UserError(f"widths {list(widths)}: give 2 to {MOST_LEVELS} numbers of channels")
    for channels in (in_channels, classes, *widths):
        if not isinstance(channels, int) or not 1 <= channels <= MOST_CHANNELS:
            raise UserError(
                f"{channels!r} channels (in_channels {in_channels}, classes {classes}, widths "
                f"{list(widths)}): give whole numbers from 1 to {MOST_CHANNELS}"
            )
