"""Densely connected networks for land cover, alone or trained beside a second task.

C. Tian, C. Li and J. Shi, Dense Fusion Classmate Network for Land Cover Classification (CVPR
Workshops 2018): a fully convolutional DenseNet (`FCDenseNet`), the same trained on two data sets at
once (`ClassmateNet`), and that with all of its blocks fused (`DFCNet`). The encoder is DenseNet-121
(G. Huang et al., Densely Connected Convolutional Networks, CVPR 2017, table 1), which the paper
counts from block 2 to 5; blocks 6 to 9 lead back up, block 9 to half of the image's resolution. The
paper prints no depths for them: here they mirror the encoder, with a small one at the end. As in
S. Jégou et al., The One Hundred Layers Tiramisu (CVPR Workshops 2017), a block hands up only the
channels that it made itself. Shapes for 513 x 513 pixels::

    stem      64 @ 257     7 x 7 convolution; pooled to 129
    block 2  256 @ 129     6 layers; what leaves a block for the next one is halved in channels and
    block 3  512 @  65    12        averaged over 2 x 2 pixels, incomplete ones at the border too
    block 4 1024 @  33    24
    block 5 1024 @  17    16
    block 6 2304 @  33    24        512 new channels of block 5, enlarged, beside block 4
    block 7 1664 @  65    12        768 of block 6                     beside block 3
    block 8  832 @ 129     6        384 of block 7                     beside block 2
    block 9  384 @ 257     4        192 of block 8                     beside the stem
    fused    256 @ 257

`FCDenseNet` ends at block 8, `ClassmateNet` at block 9.
Everything is enlarged by bilinear interpolation with corners aligned, to the exact size of what it
meets. The grids nest, every second pixel of one on a pixel of the next, where the image has
``32 k + 1`` rows and columns, which is why the paper crops 513 to 1025. Among such windows a shift
by 32 pixels shifts the scores. Others work as well, but their grids are stretched onto each other
by up to half a coarse pixel, so that no shift at all shifts the scores: windows should have 513 or
1025 rows and columns and be blended. `stride` is 1, for sizes may grow by single pixels; were it
32, nobody could ask for such windows. `sides` says that 32 k + 1 are liked: resized views of a
window are brought to the nearest of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from geoseg.nets.again import computed_again
from geoseg.nets.fresh import initialise
from geoseg.nets.options import (
    MOST_CHANNELS,
    refuse_depths,
    refuse_unknown,
    refuse_unless_share,
    refuse_unless_whole,
)
from geoseg.nets.torchvision import take_over
from geoseg.nets.turns import in_turn, of_first

__all__ = ["ClassmateNet", "DFCNet", "FCDenseNet"]

DENSENET_121 = (6, 12, 24, 16)  # Huang et al., table 1
NESTED = (32, 1)  # sides of images whose grids nest: multiples of the first and the second
BOTTLENECK = 4  # a layer's inner channels by its new ones (Huang et al., section 3)
MOST_GROWTH = 256
CASCADE = (3, 2, 1, 0, 4, 5, 6, 7)  # blocks 5, 4, 3, 2, then 6 to 9
LOSS_AT = ("label", "logit")
SLICE_AT = ("trunk_end", "block5")
UNUSED = ("features.norm5.", "classifier.")  # what torchvision's DenseNet-121 ends with


class _Dense(nn.Module):
    """A network of a trunk, in the manners that all of them share."""

    def __init__(self, trunk: Trunk, loss_at: str) -> None:
        super().__init__()
        refuse_unknown("loss_at", loss_at, LOSS_AT)
        self.stride, self.halo, self.sides = 1, None, NESTED
        self.checkpointing = False
        self.loss_at = loss_at
        self.trunk = trunk

    def coarse(self, image: Tensor) -> Tensor:
        """Logits of images at the resolution at which they are made."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, K, h, w) of images (B, in_channels, h, w), K as for `coarse`.

        In training mode those of `coarse` as they are, where the loss is taken of them.
        """
        coarse = self.coarse(image)
        return coarse if self.training and self.loss_at == "logit" else _enlarged(coarse, image)

    def load_torchvision(self, state: Mapping[str, Tensor]) -> None:
        """Start blocks 2 to 5 and the stem from torchvision's DenseNet-121; the rest stays.

        What becomes of bands that are not three, `geoseg.nets.torchvision.take_over` tells.

        Parameters
        ----------
        state : mapping of str to Tensor
            By torchvision's names (``features.denseblock1.denselayer1.conv1.weight``), or those of
            its old files (``...conv.1.weight``). The last normalisation and the classifier, which
            have no counterpart here, are not used.

        Raises
        ------
        UserError
            When names or shapes of the weights are others, as with other `enc_layers` or `growth`.
        """
        used = {
            _without_dots(name): tensor
            for name, tensor in state.items()
            if not name.startswith(UNUSED)
        }
        names = {name: theirs for name in self.state_dict() if (theirs := _torchvision_name(name))}
        take_over(
            self, names, used, "trunk.stem.0.weight", ("densenet121", "enc_layers and growth")
        )


class FCDenseNet(_Dense):
    """The baseline: blocks 2 to 8 and a 1 x 1 convolution, scores at a quarter of the resolution.

    17 289 286 parameters for 3 bands and 6 classes.

    Parameters
    ----------
    in_channels : int
        Bands of the image, C.
    classes : int
        Classes to tell apart, K.
    dec_layers : sequence of int
        Layers of blocks 6, 7 and 8.
    enc_layers : sequence of int
        Layers of blocks 2 to 5.
    growth : int
        New channels of a layer; the stem has twice as many.
    dropout : float
        Share of the new features of every layer that training drops at random. The paper names
        none; Huang et al. (section 4.2) and Jégou et al. (section 4.1) drop 0.2.
    loss_at : {"label", "logit"}
        Whether training gives logits enlarged to the labels, or as coarse as they are made, so that
        labels are made as coarse as they, by the nearest. The paper does not say.

    Attributes
    ----------
    checkpointing : bool
        Whether training computes the layers of the blocks again on the way back instead of keeping
        what is inside of them. False unless it is set.

    Raises
    ------
    UserError
        When numbers of layers or channels make no network.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        dec_layers: Sequence[int] = (24, 12, 6),
        enc_layers: Sequence[int] = DENSENET_121,
        growth: int = 32,
        dropout: float = 0.0,
        loss_at: str = "label",
    ) -> None:
        refuse_depths("dec_layers", dec_layers, 3)
        refuse_unless_whole(MOST_CHANNELS, classes=classes)
        super().__init__(Trunk(in_channels, growth, enc_layers, dec_layers, dropout), loss_at)
        self.head = nn.Conv2d(self.trunk.channels[-1], classes, 1)
        self.apply(initialise)

    def coarse(self, image: Tensor) -> Tensor:
        """Logits (B, classes, h / 4, w / 4), rounded up, of images (B, in_channels, h, w)."""
        logits: Tensor = self.head(self.trunk(image, self.checkpointing)[-1])
        return logits


class _Classmates(_Dense):
    """Two heads on what a trunk gives: land cover and an auxiliary task."""

    def __init__(
        self,
        trunk: Trunk,
        inputs: int,
        heads: tuple[int, int],
        width: int,
        slice_at: str,
        loss_at: str,
    ) -> None:
        super().__init__(trunk, loss_at)
        refuse_unknown("slice_at", slice_at, SLICE_AT)
        self.heads = heads
        self.turns: tuple[int, int] | None = None
        self.land, self.road = (_head(inputs, width, classes) for classes in heads)
        self.road_decoder = trunk.another_decoder() if slice_at == "block5" else None

    def last(self, blocks: list[Tensor]) -> Tensor:
        """What the head of the land cover sees, (B, F, h / 2, w / 2), of the blocks' outputs."""
        return blocks[-1]

    def last_of_road(self, blocks: list[Tensor]) -> Tensor:
        """The same for the auxiliary task, where blocks 6 to 9 are its own."""
        return blocks[-1]

    def coarse(self, image: Tensor) -> Tensor:
        """Logits (B, K, h / 2, w / 2), rounded up, of images (B, in_channels, h, w).

        In evaluation mode K is ``classes``; in training mode ``auxiliary`` channels follow.
        """
        trunk, again = self.trunk, self.checkpointing
        if not self.training:
            scores: Tensor = self.land(self.last(trunk(image, again)))
            return scores
        if self.road_decoder is None:
            (land,), (road,) = self._sliced([self.last(trunk(image, again))])
        else:
            own, others = self._sliced(trunk.encoded(image, again))
            land = self.last(trunk.decoded(own, trunk.decoder, again))
            road = self.last_of_road(trunk.decoded(others, self.road_decoder, again))
        return self._joined(self.land(land), self.road(road))

    def _sliced(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Features of the images of each task; of all of them where no task is told."""
        if self.turns is None:
            return features, features
        land = of_first(features[0], self.turns)
        return [each[land] for each in features], [each[~land] for each in features]

    def _joined(self, land: Tensor, road: Tensor) -> Tensor:
        """Channels of both heads; 0 where a head did not see the image."""
        if self.turns is None:
            return torch.cat((land, road), 1)
        behind = F.pad(land, (0, 0, 0, 0, 0, self.heads[1]))
        before = F.pad(road, (0, 0, 0, 0, self.heads[0], 0))
        return in_turn((behind, before), self.turns)


class ClassmateNet(_Classmates):
    """Two tasks on one trunk, blocks 2 to 9; scores at half of the resolution.

    Land cover and the auxiliary task, roads in the paper, are learnt from batches with images of
    both, over which the normalisation takes its statistics. In training mode each head scores the
    images of its own task, as `turns` tells, or else every image. In evaluation mode there is the
    land cover alone. 19 363 400 parameters for 3 bands, 6 and 2 classes.

    Parameters
    ----------
    in_channels : int
        Bands of the image, C.
    classes : int
        Classes of the land cover.
    auxiliary : int
        Classes of the auxiliary task.
    dec_layers : sequence of int
        Layers of blocks 6 to 9.
    enc_layers, growth
        As for `FCDenseNet`.
    width : int
        Channels between the two convolutions of a head.
    slice_at : {"trunk_end", "block5"}
        Where the tasks part: behind the last block, which is our reading of the paper's "deepest
        convolution layer", for its figure 3 shows features of that layer as fine as the scores;
        or behind block 5, the deepest one by the letter, with blocks 6 to 9 for each task.
    dropout, loss_at
        As for `FCDenseNet`.

    Attributes
    ----------
    heads : tuple of int
        ``(classes, auxiliary)``, as the channels follow each other in training mode.
    turns : tuple of int, optional
        How many images of the land cover and then of the auxiliary task follow each other in the
        batches of training, again and again. None, as it is until it is set, for images of which no
        head is told the task.
    checkpointing : bool
        As for `FCDenseNet`.

    Raises
    ------
    UserError
        When numbers of layers or channels make no network.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        auxiliary: int = 2,
        dec_layers: Sequence[int] = (24, 12, 6, 4),
        enc_layers: Sequence[int] = DENSENET_121,
        growth: int = 32,
        width: int = 256,
        slice_at: str = "trunk_end",
        dropout: float = 0.0,
        loss_at: str = "label",
    ) -> None:
        refuse_depths("dec_layers", dec_layers, 4)
        refuse_unless_whole(MOST_CHANNELS, classes=classes, auxiliary=auxiliary, width=width)
        trunk = Trunk(in_channels, growth, enc_layers, dec_layers, dropout)
        heads = classes, auxiliary
        super().__init__(trunk, trunk.channels[-1], heads, width, slice_at, loss_at)
        self.apply(initialise)


class DFCNet(_Classmates):
    """`ClassmateNet` whose heads see all blocks, fused; scores at half of the resolution.

    21 288 008 parameters for 3 bands, 6 and 2 classes. Training starts from the weights of a
    trained `FCDenseNet` (``--set start=``).

    Parameters
    ----------
    in_channels, classes, auxiliary, dec_layers, enc_layers, growth
        As for `ClassmateNet`.
    fusion : {"tree", "cascade"}
        "tree" fuses neighbouring blocks two by two, then what came out of them, until one is left:
        the paper's rule of pairs that do not overlap. "cascade" adds one block after the other to a
        running sum, 5, 4, 3, 2, then 6 to 9.
    post_merge : {"conv", "none"}
        What follows each sum: 1 x 1 convolution, normalisation and ReLU, or nothing. Sums alone are
        the same in any order but for the interpolation in between.
    width : int
        Channels of the fused features, and between the two convolutions of a head.
    slice_at : {"trunk_end", "block5"}
        As for `ClassmateNet`; the last block is the fusion here, of which each task has one of its
        own where they part at block 5.
    dropout, loss_at
        As for `FCDenseNet`.

    Attributes
    ----------
    heads, turns, checkpointing
        As for `ClassmateNet`.

    Raises
    ------
    UserError
        When numbers of layers or channels make no network, or there is no such fusion.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        auxiliary: int = 2,
        dec_layers: Sequence[int] = (24, 12, 6, 4),
        fusion: str = "tree",
        post_merge: str = "conv",
        width: int = 256,
        enc_layers: Sequence[int] = DENSENET_121,
        growth: int = 32,
        slice_at: str = "trunk_end",
        dropout: float = 0.0,
        loss_at: str = "label",
    ) -> None:
        refuse_depths("dec_layers", dec_layers, 4)
        refuse_unless_whole(MOST_CHANNELS, classes=classes, auxiliary=auxiliary, width=width)
        trunk = Trunk(in_channels, growth, enc_layers, dec_layers, dropout)
        super().__init__(trunk, width, (classes, auxiliary), width, slice_at, loss_at)
        self.fusion = DenseFusion(trunk.channels, width, fusion, post_merge)
        if self.road_decoder is not None:
            self.road_fusion = DenseFusion(trunk.channels, width, fusion, post_merge)
        self.apply(initialise)

    def last(self, blocks: list[Tensor]) -> Tensor:
        """The fused features (B, width, h / 2, w / 2), rounded up."""
        fused: Tensor = self.fusion(blocks)
        return fused

    def last_of_road(self, blocks: list[Tensor]) -> Tensor:
        """The same for the auxiliary task, where blocks 6 to 9 are its own."""
        fused: Tensor = self.road_fusion(blocks)
        return fused


class Trunk(nn.Module):
    """Stem and dense blocks 2 to 8 or 9.

    Parameters
    ----------
    in_channels, growth, enc_layers, dec_layers, dropout
        As for `FCDenseNet`; 3 or 4 `dec_layers`.

    Attributes
    ----------
    channels : tuple of int
        Of each block's output, from block 2 on.
    """

    def __init__(
        self,
        in_channels: int,
        growth: int,
        enc_layers: Sequence[int],
        dec_layers: Sequence[int],
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        refuse_depths("enc_layers", enc_layers, 4)
        refuse_unless_whole(MOST_CHANNELS, in_channels=in_channels)
        refuse_unless_whole(MOST_GROWTH, growth=growth)
        refuse_unless_share(dropout=dropout)
        # "2k convolutions of size 7 x 7 with stride 2" (Huang et al., section 4.2).
        fine = 2 * growth
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, fine, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(fine),
            nn.ReLU(inplace=True),
        )
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.encoder = nn.ModuleList()
        channels, inputs = [], fine
        for layers in enc_layers:
            self.encoder.append(DenseBlock(inputs, layers, growth, dropout))
            channels.append(inputs + layers * growth)
            inputs = channels[-1] // 2
        self.downs = nn.ModuleList(map(_down, channels[:-1]))
        skips = (*channels[-2::-1], fine)
        self.new = tuple(layers * growth for layers in (enc_layers[-1], *dec_layers))
        self._blocks = [
            (new + skip, layers, growth, dropout)
            for layers, new, skip in zip(dec_layers, self.new, skips, strict=False)
        ]
        self.decoder = self.another_decoder()
        made = (inputs + layers * growth for inputs, layers, growth, _ in self._blocks)
        self.channels = (*channels, *made)

    def another_decoder(self) -> nn.ModuleList:
        """Fresh blocks like those from block 6 on."""
        return nn.ModuleList(DenseBlock(*block) for block in self._blocks)

    def forward(self, image: Tensor, checkpointing: bool = False) -> list[Tensor]:
        """Outputs of the blocks, from block 2 on, of images (B, in_channels, h, w)."""
        return self.decoded(self.encoded(image, checkpointing), self.decoder, checkpointing)

    def encoded(self, image: Tensor, checkpointing: bool = False) -> list[Tensor]:
        """Outputs of the stem and of blocks 2 to 5 of images (B, in_channels, h, w)."""
        fine = self.stem(image)
        outputs = [fine, self.encoder[0](self.pool(fine), checkpointing)]
        for down, block in zip(self.downs, self.encoder[1:], strict=True):
            outputs.append(block(down(outputs[-1]), checkpointing))
        return outputs

    def decoded(
        self, encoded: list[Tensor], decoder: nn.ModuleList, checkpointing: bool = False
    ) -> list[Tensor]:
        """Outputs of blocks 2 to 5, as `encoded` gives them, and of the blocks that follow."""
        outputs = encoded[1:]
        for block, new, skip in zip(decoder, self.new, encoded[-2::-1], strict=False):
            lifted = _enlarged(outputs[-1][:, -new:], skip)
            outputs.append(block(torch.cat((lifted, skip), 1), checkpointing))
        return outputs


class DenseBlock(nn.Module):
    """Layers that each see what all layers before them made.

    Parameters
    ----------
    inputs : int
        Channels that come in; ``inputs + layers * growth`` come out.
    layers : int
    growth : int
        New channels of a layer.
    dropout : float
        Share of them that training drops.
    """

    def __init__(self, inputs: int, layers: int, growth: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.layers = nn.ModuleList(
            _dense_layer(inputs + i * growth, growth) for i in range(layers)
        )

    def forward(self, features: Tensor, checkpointing: bool = False) -> Tensor:
        """The input and what every layer made (B, inputs + layers * growth, h, w)."""
        made = [features]
        for layer in self.layers:
            joined = partial(_joined, layer)
            # Layer by layer, not block by block: going back through block 9 of `DFCNet` needs
            # 15 GiB at once then, not 54, for 16 images of 1025 x 1025 pixels in float32; 104 GiB
            # are kept, not 282.
            new = computed_again(joined, layer, *made) if checkpointing else joined(*made)
            # Outside of what is computed again, which would draw again as well.
            made.append(F.dropout(new, self.dropout, self.training) if self.dropout else new)
        return torch.cat(made, 1)


class DenseFusion(nn.Module):
    """All blocks brought to one width and summed, two at a time, the coarser one enlarged.

    Parameters
    ----------
    channels : sequence of int
        Of each block's output, from block 2 to 9.
    width : int
        Channels that come out.
    order, post_merge : str
        As `fusion` and `post_merge` of `DFCNet`.

    Raises
    ------
    UserError
        When there is no such order or no such thing to follow a sum.
    """

    def __init__(self, channels: Sequence[int], width: int, order: str, post_merge: str) -> None:
        super().__init__()
        refuse_unknown("fusion", order, ("tree", "cascade"))
        refuse_unknown("post_merge", post_merge, ("conv", "none"))
        self.order = order
        self.leaves = nn.ModuleList(_pointwise(each, width) for each in channels)
        self.merges = nn.ModuleList(
            _pointwise(width, width) if post_merge == "conv" else nn.Identity()
            for _ in channels[1:]
        )

    def forward(self, blocks: Sequence[Tensor]) -> Tensor:
        """Features (B, width, h / 2, w / 2) of the outputs of blocks 2 to 9."""
        nodes: list[Tensor] = [leaf(block) for leaf, block in zip(self.leaves, blocks, strict=True)]
        merges = iter(self.merges)

        def merged(a: Tensor, b: Tensor) -> Tensor:
            features: Tensor = next(merges)(_sum(a, b))
            return features

        if self.order == "cascade":
            total = nodes[CASCADE[0]]
            for i in CASCADE[1:]:
                total = merged(total, nodes[i])
            return total
        while len(nodes) > 1:
            nodes = list(map(merged, nodes[::2], nodes[1::2]))
        return nodes[0]


def _sum(a: Tensor, b: Tensor) -> Tensor:
    """Both added on the finer of their grids."""
    coarse, fine = (a, b) if a.shape[2:].numel() < b.shape[2:].numel() else (b, a)
    return fine + _enlarged(coarse, fine)


def _enlarged(features: Tensor, other: Tensor) -> Tensor:
    """Features with the rows and columns of another tensor; corners stay corners."""
    size = other.shape[2:]
    enlarged: Tensor = F.interpolate(features, size, mode="bilinear", align_corners=True)
    return enlarged


def _joined(layer: nn.Module, *made: Tensor) -> Tensor:
    features: Tensor = layer(torch.cat(made, 1))
    return features


def _dense_layer(inputs: int, growth: int) -> nn.Sequential:
    """1 x 1 and 3 x 3 convolution, each after normalisation and ReLU."""
    inner = BOTTLENECK * growth
    return nn.Sequential(
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(inputs, inner, 1, bias=False),
        nn.BatchNorm2d(inner),
        nn.ReLU(inplace=True),
        nn.Conv2d(inner, growth, 3, padding=1, bias=False),
    )


def _down(inputs: int) -> nn.Sequential:
    """Half the channels, rows and columns; `ceil_mode` keeps grids of ``32 k + 1`` nested."""
    return nn.Sequential(
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(inputs, inputs // 2, 1, bias=False),
        nn.AvgPool2d(2, stride=2, ceil_mode=True),
    )


def _without_dots(name: str) -> str:
    """A name of torchvision's old files as it is now: ``norm.1`` became ``norm1``."""
    for kind in ("norm", "conv"):
        name = name.replace(f".{kind}.1.", f".{kind}1.").replace(f".{kind}.2.", f".{kind}2.")
    return name


def _torchvision_name(name: str) -> str | None:
    """Torchvision's name of an entry of our state dict; None beyond block 5.

    Blocks, layers and transitions count from 1, and what stands in a row here is numbered by kind.
    """
    layer, _, entry = name.removeprefix("trunk.").rpartition(".")
    part, *place = layer.split(".")
    if part == "stem":
        return f"features.{('conv0', 'norm0')[int(place[0])]}.{entry}"
    if part == "downs":
        which = {"0": "norm", "2": "conv"}[place[1]]
        return f"features.transition{int(place[0]) + 1}.{which}.{entry}"
    if part == "encoder":
        block, _, number, within = place
        which = {"0": "norm1", "2": "conv1", "3": "norm2", "5": "conv2"}[within]
        return f"features.denseblock{int(block) + 1}.denselayer{int(number) + 1}.{which}.{entry}"
    return None


def _pointwise(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )


def _head(inputs: int, width: int, classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, classes, 1),
    )
