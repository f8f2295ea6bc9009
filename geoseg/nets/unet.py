"""U-Net on the m46 encoder (Rakhlin, Davydov, Nikolenko, DeepGlobe workshop, CVPR 2018).

Worked shapes, for widths 16-32-64-128-256 and an image of 288 x 288 (stride 32)::

    encoder   p1  16 @ 144    p2  32 @ 72    p3  64 @ 36    p4 128 @ 18    p5 256 @ 9
    decoder   d5 = up(p5)            128 @ 18
              d4 = up(d5 + p4)        64 @ 36
              d3 = up(d4 + p3)        32 @ 72
              d2 = up(d3 + p2)        32 @ 144
              d1 = up(d2 [+ p1])      32 @ 288    head -> classes @ 288

The paper prints "1M" parameters for this encoder; widths, the second convolution of 1 x 1, added
skips and their places are those of its first author's public code, which give 1,111,063.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own habit)

__all__ = ["M46_WIDTHS", "UNetM46", "m46_block"]

M46_WIDTHS = (16, 32, 64, 128, 256)
MAX_LEVELS = 8  # a stride of 256; deeper ones see no image at all


class UNetM46(nn.Module):
    """U-Net with the m46 encoder and added skips.

    Parameters
    ----------
    in_channels : int
        Bands of the image.
    classes : int
        Scores a pixel.
    widths : sequence of int
        Channels of the encoder's blocks, each at half the resolution of the one before; two to
        eight. The stride is ``2 ** len(widths)``.
    skip_p1 : bool
        Whether the finest pooled features join the last step, through a 1 x 1 projection.
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 7,
        widths: Sequence[int] = M46_WIDTHS,
        skip_p1: bool = False,
    ) -> None:
        super().__init__()
        if not 2 <= len(widths) <= MAX_LEVELS:
            raise ValueError(f"widths {tuple(widths)} must be 2 to {MAX_LEVELS} numbers")
        self.stride = 2 ** len(widths)
        self.encoder = nn.ModuleList(
            m46_block(before, after)
            for before, after in zip((in_channels, *widths), widths, strict=False)
        )
        finest = widths[1]  # the two finest steps keep the width of p2
        steps = [widths[-1], *reversed(widths[1:-1]), finest, finest]
        self.decoder = nn.ModuleList(
            _decoder_block(before, after) for before, after in zip(steps, steps[1:], strict=False)
        )
        self.project = nn.Conv2d(widths[0], finest, 1) if skip_p1 else None
        self.head = nn.Sequential(
            nn.Conv2d(finest, finest, 3, padding=1), nn.ELU(), nn.Conv2d(finest, classes, 1)
        )
        self.apply(_he_normal)

    def forward(self, image: Tensor) -> Tensor:
        """Scores before softmax: (B, C, h, w) -> (B, K, h, w)."""
        pooled = []
        features = image
        for block in self.encoder:
            # The author's pooling: 3 x 3, stride 2, padding 1, so p_i lies on every second pixel.
            features = F.max_pool2d(block(features), 3, 2, 1)
            pooled.append(features)
        for depth, block in zip(range(len(pooled) - 1, -1, -1), self.decoder, strict=True):
            if 0 < depth < len(pooled) - 1:
                features = features + pooled[depth]
            elif depth == 0 and self.project is not None:
                features = features + self.project(pooled[0])
            features = block(F.interpolate(features, scale_factor=2.0, mode="nearest"))
        return cast(Tensor, self.head(features))


def m46_block(before: int, after: int) -> nn.Sequential:
    """3 x 3 and 1 x 1 convolution, each ELU before batch-norm (Mishkin et al. 2017)."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1),
        nn.ELU(),
        nn.BatchNorm2d(after),
        nn.Conv2d(after, after, 1),
        nn.ELU(),
        nn.BatchNorm2d(after),
    )


def _decoder_block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1),
        nn.ELU(),
        nn.BatchNorm2d(after),
        nn.Conv2d(after, after, 3, padding=1),
        nn.ELU(),
        nn.BatchNorm2d(after),
    )


def _he_normal(module: nn.Module) -> None:
    """Normal with variance 2 / fan-in (He et al. 2015, eq. 10)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
