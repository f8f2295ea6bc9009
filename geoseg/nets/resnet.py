"""Residual blocks, and the trunk that deep fusion and class activation maps share.

K. He, X. Zhang, S. Ren and J. Sun, Deep Residual Learning for Image Recognition (CVPR 2016),
table 1. The stride sits in the 3 x 3 convolution of a bottleneck, as in torchvision; biases are
left to the normalisation. Sizes for an image of 256 x 256 pixels and 101 layers::

    stem     64 @ 128, pooled to 64
    layer1  256 @  64      3 bottlenecks
    layer2  512 @  32      4
    layer3 1024 @  16     23
    layer4 2048 @   8      3
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["DEPTHS", "EXPANSION", "Bottleneck", "bottlenecks", "stem"]

EXPANSION = 4
"""Channels that a bottleneck gives for each of its inner ones."""

DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Bottlenecks of the four stages, by the number of layers of the network."""


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolution beside a shortcut.

    Parameters
    ----------
    inputs, width : int
        Channels that come in, and inner ones; ``EXPANSION * width`` come out.
    stride : int
        Of the 3 x 3 convolution and the shortcut.
    dilation : int
        Pixels from one tap of the 3 x 3 convolution to the next.
    """

    def __init__(self, inputs: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(
                width, width, 3, stride=stride, padding=dilation, dilation=dilation, bias=False
            ),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, EXPANSION * width, h / stride, w / stride) of (B, inputs, h, w)."""
        total: Tensor = self.shortcut(features) + self.residual(features)
        return total.relu()


def bottlenecks(
    inputs: int, width: int, depth: int, stride: int, dilation: int = 1
) -> nn.Sequential:
    """A stage: so many bottlenecks, the first of which has the stride, and the others the dilation.

    With a stride of 1 and a dilation of 2, instead of 2 and 1, a stage gives at every second pixel
    what it would have given, and something in between.
    """
    first = Bottleneck(inputs, width, stride)
    others = (Bottleneck(EXPANSION * width, width, 1, dilation) for _ in range(depth - 1))
    return nn.Sequential(first, *others)


def stem(in_channels: int) -> nn.Sequential:
    """7 x 7 convolution and pooling: a quarter of the rows and columns, 64 channels."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
    )
