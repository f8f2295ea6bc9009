"""U-Net with the encoder Inception-ResNet-v2.

C. Szegedy, S. Ioffe, V. Vanhoucke and A. Alemi, Inception-v4, Inception-ResNet and the Impact of
Residual Connections on Learning (AAAI 2017), with the channels of the authors' public code, in the
U-Net of A. Rakhlin, A. Davydow and S. Nikolenko, Land Cover Classification from Satellite Imagery
With U-Net and Lovász-Softmax Loss (CVPR Workshops 2018), who print "61M" parameters; here they are
60 715 207 for 3 bands and 7 classes, of which the encoder has 54 306 464. Its unpadded convolutions
and poolings are padded, so that every stage halves the image and the skips meet the decoder. Shapes
for 288 x 288 pixels::

    image          3 @ 288
    e1            64 @ 144      three convolutions
    e2           192 @  72      two convolutions
    e3           320 @  36      mixed 5b, 10 blocks 35
    e4          1088 @  18      mixed 6a, 20 blocks 17
    e5          1536 @   9      mixed 7a, 10 blocks 8, a convolution
    d5    256 + 1088 @  18      skips are concatenated: channels differ
    d4    128 +  320 @  36
    d3     64 +  192 @  72
    d2     64 +   64 @ 144
    d1            32 @ 288
    logits         7 @ 288
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from geoseg.errors import UserError
from geoseg.nets.decoder import SKIPS, Decoder, head, refuse_widths
from geoseg.nets.fresh import initialise
from geoseg.nets.options import refuse_depths, refuse_unknown

__all__ = ["UNetInceptionResNetV2"]

ORDERS = ("elu_bn", "bn_relu")
LEAST_WIDTH, MOST_WIDTH = 1 / 64, 4.0  # beyond any network


class Conv(NamedTuple):
    """Channels, kernel (rows and columns, or one number for both) and stride of a convolution."""

    channels: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1


Chain = tuple[Conv, ...]

# What runs side by side is written branch by branch.
STEM_FINE = (Conv(32, 3, stride=2), Conv(32, 3), Conv(64, 3))
STEM_COARSE = (Conv(80), Conv(192, 3))
MIXED_5B = ((Conv(96),), (Conv(48), Conv(64, 5)), (Conv(64), Conv(96, 3), Conv(96, 3)))
MIXED_5B_POOLED = (Conv(64),)
BLOCK_35 = ((Conv(32),), (Conv(32), Conv(32, 3)), (Conv(32), Conv(48, 3), Conv(64, 3)))
MIXED_6A = ((Conv(384, 3, stride=2),), (Conv(256), Conv(256, 3), Conv(384, 3, stride=2)))
BLOCK_17 = ((Conv(192),), (Conv(128), Conv(160, (1, 7)), Conv(192, (7, 1))))
MIXED_7A = (
    (Conv(256), Conv(384, 3, stride=2)),
    (Conv(256), Conv(288, 3, stride=2)),
    (Conv(256), Conv(288, 3), Conv(320, 3, stride=2)),
)
BLOCK_8 = ((Conv(192),), (Conv(192), Conv(224, (1, 3)), Conv(256, (3, 1))))
LAST = (Conv(1536),)

# The share of a block that is added to its input, from the authors' code; by section 3.3 of the
# paper, shares of 0.1 to 0.3 keep the training of wide networks stable. The very last block is
# added whole and not activated.
SHARE_35, SHARE_17, SHARE_8, SHARE_LAST = 0.17, 0.10, 0.20, 1.0

STEPS = ((256, 256), (128, 128), (64, 64), (64, 64), (64, 32))  # of the decoder


class UNetInceptionResNetV2(nn.Module):
    """U-Net whose encoder is Inception-ResNet-v2, padded throughout.

    Parameters
    ----------
    in_channels : int
        Bands of the image, C.
    classes : int
        Classes to tell apart, K.
    act_order : {"elu_bn", "bn_relu"}
        Whether the encoder's convolutions are followed by ELU and then normalisation, as the land
        cover paper wants its encoders, or by normalisation and then ReLU, as published.
    repeats : sequence of int
        Blocks 35, 17 and 8, 1 to 64 each.
    width : float
        Factor on the channels of all layers but the last, 1/64 to 4; numbers are rounded.
    skip : {"cat", "add"}
        Whether skips are concatenated, or projected to the channels of the decoder by 1 x 1
        convolutions and added, which makes 59 466 439 parameters; the paper says only that they are
        combined.

    Raises
    ------
    UserError
        When a number makes no network, or there is no such order or skip.
    """

    stride = 32

    def __init__(
        self,
        in_channels: int,
        classes: int,
        act_order: str = "elu_bn",
        repeats: Sequence[int] = (10, 20, 10),
        width: float = 1.0,
        skip: str = "cat",
    ) -> None:
        super().__init__()
        refuse_widths(in_channels, classes, ())
        refuse_unknown("act_order", act_order, ORDERS)
        refuse_unknown("skip", skip, SKIPS)
        refuse_depths("repeats", repeats, 3)
        if not LEAST_WIDTH <= width <= MOST_WIDTH:
            raise UserError(f"width={width}: give a factor from 1/64 to {MOST_WIDTH:g}")
        make = Layers(act_order, width)
        stages, channels = encoder(make, in_channels, repeats)
        self.encoder = nn.ModuleList(stages)
        steps = [(make.scaled(inner), make.scaled(outer)) for inner, outer in STEPS]
        kept = channels[-2::-1]
        self.project = nn.ModuleList(
            nn.Identity() if skip == "cat" else nn.Conv2d(own, outer, 1)
            for own, (_, outer) in zip(kept, steps[:-1], strict=True)
        )
        self.decoder = Decoder(channels[-1], steps, (*kept, 0), skip)
        self.head = head(self.decoder.channels, self.decoder.channels, classes)
        self.apply(initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes, h, w) of images (B, in_channels, h, w)."""
        features, found = image, []
        for stage in self.encoder:
            features = stage(features)
            found.append(features)
        kept = [fit(each) for fit, each in zip(self.project, found[-2::-1], strict=True)]
        logits: Tensor = self.head(self.decoder(features, (*kept, None)))
        return logits


class Parallel(nn.Module):
    """Branches side by side, their channels one after the other."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, features: Tensor) -> Tensor:
        """The channels of all branches, (B, their sum, h / stride, w / stride)."""
        return torch.cat([branch(features) for branch in self.branches], 1)


class Block(nn.Module):
    """A share of what branches make of the input, added to it."""

    def __init__(self, residual: nn.Sequential, share: float, last: nn.Module) -> None:
        super().__init__()
        self.residual, self.share, self.last = residual, share, last

    def forward(self, features: Tensor) -> Tensor:
        """Features of the shape of the input."""
        total: Tensor = self.last(features + self.share * self.residual(features))
        return total


class Layers(NamedTuple):
    """Makes layers of one order and width.

    Parameters
    ----------
    act_order : {"elu_bn", "bn_relu"}
    width : float
        Factor on all channels.
    """

    act_order: str
    width: float

    def scaled(self, channels: int) -> int:
        """Channels of a layer that has so many at the width 1."""
        return max(round(channels * self.width), 1)

    def activation(self) -> nn.Module:
        """What follows a convolution, or the sum of a block."""
        return nn.ELU() if self.act_order == "elu_bn" else nn.ReLU()

    def chain(self, inputs: int, convs: Chain) -> nn.Sequential:
        """Convolutions in a row, each activated and normalised."""
        layers: list[nn.Module] = []
        for channels, kernel, stride in convs:
            outputs = self.scaled(channels)
            rows, columns = kernel if isinstance(kernel, tuple) else (kernel, kernel)
            padding = (rows // 2, columns // 2)
            # No biases, in either order, as published.
            layers.append(nn.Conv2d(inputs, outputs, (rows, columns), stride, padding, bias=False))
            after = [self.activation(), nn.BatchNorm2d(outputs)]
            layers += after if self.act_order == "elu_bn" else after[::-1]
            inputs = outputs
        return nn.Sequential(*layers)

    def parallel(self, inputs: int, branches: tuple[Chain, ...], *more: nn.Module) -> Parallel:
        """Chains side by side, and further branches."""
        return Parallel(*(self.chain(inputs, each) for each in branches), *more)

    def joined(self, branches: tuple[Chain, ...]) -> int:
        """Channels that chains side by side give together."""
        return sum(self.scaled(each[-1].channels) for each in branches)

    def block(
        self, inputs: int, branches: tuple[Chain, ...], share: float, last: nn.Module
    ) -> Block:
        """A residual block, whose branches are brought back to the channels of its input."""
        residual = nn.Sequential(
            self.parallel(inputs, branches), nn.Conv2d(self.joined(branches), inputs, 1)
        )
        return Block(residual, share, last)

    def blocks(
        self, inputs: int, branches: tuple[Chain, ...], share: float, count: int
    ) -> list[Block]:
        """So many blocks, each activated after its sum."""
        return [self.block(inputs, branches, share, self.activation()) for _ in range(count)]


def encoder(
    make: Layers, in_channels: int, repeats: Sequence[int]
) -> tuple[list[nn.Sequential], list[int]]:
    """Five stages, each of which halves the image, and the channels that they give."""
    c1, c2 = make.joined((STEM_FINE,)), make.joined((STEM_COARSE,))
    c3 = make.joined((*MIXED_5B, MIXED_5B_POOLED))
    c4 = make.joined(MIXED_6A) + c3
    wide = make.joined(MIXED_7A) + c4
    smoothed = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    pooled = nn.Sequential(smoothed, *make.chain(c2, MIXED_5B_POOLED))
    stages = [
        make.chain(in_channels, STEM_FINE),
        nn.Sequential(halving(), *make.chain(c1, STEM_COARSE)),
        nn.Sequential(
            halving(),
            make.parallel(c2, MIXED_5B, pooled),
            *make.blocks(c3, BLOCK_35, SHARE_35, repeats[0]),
        ),
        nn.Sequential(
            make.parallel(c3, MIXED_6A, halving()),
            *make.blocks(c4, BLOCK_17, SHARE_17, repeats[1]),
        ),
        nn.Sequential(
            make.parallel(c4, MIXED_7A, halving()),
            *make.blocks(wide, BLOCK_8, SHARE_8, repeats[2] - 1),
            make.block(wide, BLOCK_8, SHARE_LAST, nn.Identity()),
            *make.chain(wide, LAST),
        ),
    ]
    return stages, [c1, c2, c3, c4, make.joined((LAST,))]


def halving() -> nn.MaxPool2d:
    """Pooling that halves even numbers of rows and columns."""
    return nn.MaxPool2d(3, stride=2, padding=1)
