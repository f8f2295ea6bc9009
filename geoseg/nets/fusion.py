"""Residual networks that see several sensors at once: fused early, in the middle, or late.

Pooser and Li, Deep Fusion Networks for Land Cover Classification (technical report). Radar and
optical images of one place go into residual networks of 101 layers, which start from fresh weights.
What the text leaves open follows the authors' public code: the middle fusion comes after `layer2`,
all convolutions start from He's normal distribution, and the late networks learn each by its own
loss. The bands of all sensors are stacked in one image: optical first, radar last. Parameters for
10 classes and the default options::

    EarlyFusion(2)   42 517 514      radar alone
    EarlyFusion(10)  42 542 602      optical alone
    EarlyFusion(12)  42 548 874      both
    MiddleFusion(12) 43 984 394      the mean of 512 channels at 1/8, then one trunk
    LateFusion(12)   85 060 116      the mean of the scores of two networks

The report labels whole images; here each pixel gets scores, from one of two decoders. ``"pool"`` is
the report's own classifier, seen densely: its 1 x 1 convolution has the weights of the linear
layer. ``"fpn"`` looks at the finer stages too, as a pyramid of features::

    image            256  in_channels
    stem              64           64
    layer1            64          256   1 x 1, 128   + finer of layer2   3 x 3
    layer2            32          512   1 x 1, 128   + finer of layer3   3 x 3, to 64
    layer3            16         1024   1 x 1, 128   + finer of layer4   3 x 3, to 64
    layer4             8         2048   1 x 1, 128                       3 x 3, to 64
    their sum         64          128
    scores           256      classes   1 x 1, then interpolated
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import partial
from math import isfinite, log
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import UserError
from geoseg.nets.again import computed_again
from geoseg.nets.fresh import initialise
from geoseg.nets.options import (
    MOST_CHANNELS,
    refuse_depths,
    refuse_unknown,
    refuse_unless_whole,
)
from geoseg.nets.resnet import DEPTHS, EXPANSION, bottlenecks, stem

__all__ = ["EarlyFusion", "LateFusion", "MiddleFusion"]

STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")
STRIDE = 32  # of the last stage, in pixels
STEM = 64  # channels of the first stage
AVERAGES = ("scores", "probabilities")
PYRAMID = 128  # channels of a pyramid's levels, Kirillov et al. 2019, section 3.1
REDUCTIONS = ("mean", "sum", "max", "concat1x1", "weighted")

# A number from a damaged file is stopped here; the largest networks known stay below.
MOST_WIDTH = 512
MOST_SENSORS = 8


class EarlyFusion(nn.Module):
    """One residual network over the bands of all sensors; of one sensor, where there is one.

    Parameters
    ----------
    in_channels : int
        Bands of the image, C.
    classes : int
        Classes to tell apart, K.
    decoder : {"pool", "fpn"}
        From features to scores: the classifier of pooled features, at every 32nd pixel, or a
        pyramid of features, at every 4th; between them scores are interpolated.
    blocks : sequence of int
        Bottlenecks of the four stages; 3, 4, 23 and 3 make 101 layers.
    width : int
        Inner channels of the first stage's bottlenecks; every later stage has twice as many.
    output_stride : {32, 16}
        Pixels from one feature of the last stage to the next. With 16 the last stage is dilated
        instead: the same weights, features at twice the rows and columns, and more time.

    Attributes
    ----------
    checkpointing : bool
        Whether training keeps the output of each stage only and computes its inside once more in
        the backward pass: less memory, more time, the same gradients.

    Raises
    ------
    UserError
        When an option makes no network.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        decoder: str = "pool",
        blocks: Sequence[int] = DEPTHS[101],
        width: int = 64,
        output_stride: int = STRIDE,
    ) -> None:
        super().__init__()
        shape = _shape(in_channels, classes, blocks, width, output_stride)
        self.stride, self.checkpointing = output_stride, False
        self.trunk = _stages(in_channels, shape)
        self.decoder = _decoder(decoder, shape, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Scores (B, classes, h, w) of images (B, in_channels, h, w)."""
        scores: Tensor = self.decoder(_maps(self.trunk, image, self.checkpointing))
        return scores


class MiddleFusion(nn.Module):
    """Residual networks of several sensors that go on as one after a stage.

    With sensors of equally many bands, equal images and equal weights, the mean of the branches is
    what each of them gives, and the network equals `EarlyFusion` of one sensor.

    Parameters
    ----------
    in_channels : int
        Bands of the image, C: those of all sensors.
    classes : int
        Classes to tell apart, K.
    sensors : sequence of int
        Bands of each sensor, in the order in which they are stacked; 2 to 8 sensors.
    split : {"layer2", "stem", "layer1", "layer3", "layer4"}
        The last stage that each sensor has for itself.
    reduce : {"mean", "sum", "max", "concat1x1", "weighted"}
        How the features of the sensors become one: element by element, or by a learned 1 x 1
        convolution of all of them. A pyramid has the finer features fused alike.
    weights : sequence of float
        What each sensor weighs in the weighted mean; of no account otherwise.
    decoder, blocks, width, output_stride
        As for `EarlyFusion`.

    Attributes
    ----------
    checkpointing : bool
        As for `EarlyFusion`.

    Raises
    ------
    UserError
        When an option makes no network.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        sensors: Sequence[int] = (10, 2),
        split: str = "layer2",
        reduce: str = "mean",
        weights: Sequence[float] = (1.0, 1.0),
        decoder: str = "pool",
        blocks: Sequence[int] = DEPTHS[101],
        width: int = 64,
        output_stride: int = STRIDE,
    ) -> None:
        super().__init__()
        shape = _shape(in_channels, classes, blocks, width, output_stride)
        _refuse_other_sensors(sensors, in_channels)
        refuse_unknown("split", split, STAGES)
        self.stride, self.checkpointing, self.sensors = output_stride, False, list(sensors)
        last = STAGES.index(split)
        self.branches = nn.ModuleList(_stages(bands, shape, range(last + 1)) for bands in sensors)
        self.shared = _stages(in_channels, shape, range(last + 1, len(STAGES)))
        # The finest level that the decoder looks at, of those that the sensors have for themselves.
        self.finest = last if decoder == "pool" else min(last, 1)
        self.merges = nn.ModuleList(
            _merge(reduce, channels, sensors, weights)
            for channels in _channels(shape.width)[self.finest : last + 1]
        )
        self.decoder = _decoder(decoder, shape, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Scores (B, classes, h, w) of images (B, in_channels, h, w)."""
        apart = [
            _maps(branch, bands, self.checkpointing)[self.finest :]
            for branch, bands in zip(self.branches, _split(image, self.sensors), strict=True)
        ]
        maps = [
            merge(level) for merge, level in zip(self.merges, zip(*apart, strict=True), strict=True)
        ]
        maps += _maps(self.shared, maps[-1], self.checkpointing)
        scores: Tensor = self.decoder(maps)
        return scores


class LateFusion(nn.Module):
    """Complete residual networks of several sensors, whose scores are averaged.

    Evaluation gives their mean, pixel by pixel and image by image. Training gives the
    scores of each, one after the other, for each has its own loss. The sum of these losses trains
    them as if each were alone: no parameter is in two of them, and Adam treats each parameter by
    itself. (Gradients that are clipped by their common norm would tie them together.)

    Parameters
    ----------
    in_channels : int
        Bands of the image, C: those of all sensors.
    classes : int
        Classes to tell apart, K.
    sensors : sequence of int
        Bands of each sensor, in the order in which they are stacked; 2 to 8 sensors.
    decoder, blocks, width, output_stride
        As for `EarlyFusion`.
    average : {"scores", "probabilities"}
        What the mean is of: the scores before softmax; or probabilities of pixels after it, whose
        logarithms are given, so that softmax gives the mean. It takes the decoder "fpn", for "pool"
        makes scores of images, of which several classes may be true.

    Attributes
    ----------
    heads : tuple of int
        Channels of the networks' scores in training: K for each sensor.
    checkpointing : bool
        As for `EarlyFusion`.

    Raises
    ------
    UserError
        When an option makes no network.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        sensors: Sequence[int] = (10, 2),
        decoder: str = "pool",
        blocks: Sequence[int] = DEPTHS[101],
        width: int = 64,
        output_stride: int = STRIDE,
        average: str = "scores",
    ) -> None:
        super().__init__()
        shape = _shape(in_channels, classes, blocks, width, output_stride)
        _refuse_other_sensors(sensors, in_channels)
        self.stride, self.checkpointing, self.sensors = output_stride, False, list(sensors)
        refuse_unknown("average", average, AVERAGES)
        if average == "probabilities" and decoder == "pool":
            raise UserError(
                "average=probabilities is for those of pixels, and decoder=pool labels images; set "
                "decoder=fpn, or average=scores"
            )
        self.log_probabilities = average == "probabilities"
        self.heads = (classes,) * len(sensors)
        self.trunks = nn.ModuleList(_stages(bands, shape) for bands in sensors)
        self.decoders = nn.ModuleList(_decoder(decoder, shape, classes) for _ in sensors)

    def forward(self, image: Tensor) -> Tensor:
        """Scores of images (B, in_channels, h, w).

        Returns
        -------
        Tensor, shape (B, classes, h, w)
            In training (B, sensors * classes, h, w).
        """
        scores = [
            decoder(_maps(trunk, bands, self.checkpointing))
            for trunk, decoder, bands in zip(
                self.trunks, self.decoders, _split(image, self.sensors), strict=True
            )
        ]
        if self.training:
            return torch.cat(scores, 1)
        if self.log_probabilities:
            probable = torch.stack([each.log_softmax(1) for each in scores])
            return probable.logsumexp(0) - log(len(scores))
        return torch.stack(scores).mean(0)


class DenseClassifier(nn.Module):
    """The classifier of pooled features, applied to every place before it is pooled.

    Its mean over the image is what global pooling and a linear layer of the same weights give:
    pooling commutes with a linear map, and bilinear interpolation by a whole factor f, with borders
    clamped, keeps the mean, since along each axis the weights that one coarse pixel has in all fine
    ones add up to f, the half pixel that a border cuts off its triangle being made up by clamping.

    Parameters
    ----------
    inputs, classes : int
        Channels of the last stage, and of the scores.
    stride : int
        Pixels from one feature to the next.
    """

    def __init__(self, inputs: int, classes: int, stride: int = STRIDE) -> None:
        super().__init__()
        self.stride = stride
        self.score = nn.Conv2d(inputs, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Scores (B, classes, stride h, stride w) of maps whose last one is (B, inputs, h, w)."""
        return _enlarged(self.score(maps[-1]), self.stride)


class Pyramid(nn.Module):
    """Features of all stages brought to one width, added from coarse to fine, and summed at 1/4.

    T.-Y. Lin et al., Feature Pyramid Networks for Object Detection (CVPR 2017), section 3: 1 x 1
    convolutions, sums from the top down, 3 x 3 convolutions, nothing non-linear; here interpolation
    is bilinear. A. Kirillov et al., Panoptic Feature Pyramid Networks (CVPR 2019), section 3.1: 128
    channels, the sum at a quarter of the image's rows and columns, the scores, and four times as
    many rows and columns.

    Parameters
    ----------
    inputs : sequence of int
        Channels of the stages, from fine to coarse.
    classes : int
        Channels of the scores.
    strides : sequence of int
        Pixels from one feature to the next, of each stage.
    """

    def __init__(
        self, inputs: Sequence[int], classes: int, strides: Sequence[int] = (4, 8, 16, STRIDE)
    ) -> None:
        super().__init__()
        self.factors = [each // strides[0] for each in strides]
        self.lateral = nn.ModuleList(nn.Conv2d(each, PYRAMID, 1) for each in inputs)
        self.smooth = nn.ModuleList(nn.Conv2d(PYRAMID, PYRAMID, 3, padding=1) for _ in inputs)
        self.score = nn.Conv2d(PYRAMID, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Scores (B, classes, 4 h, 4 w); the last maps are those of the stages, from h x w on."""
        stages = maps[-len(self.lateral) :]
        levels = [lateral(each) for lateral, each in zip(self.lateral, stages, strict=True)]
        for coarse in reversed(range(1, len(levels))):
            factor = self.factors[coarse] // self.factors[coarse - 1]
            levels[coarse - 1] = levels[coarse - 1] + _enlarged(levels[coarse], factor)
        total, *coarser = (smooth(each) for smooth, each in zip(self.smooth, levels, strict=True))
        for factor, each in zip(self.factors[1:], coarser, strict=True):
            total = total + _enlarged(each, factor)
        return _enlarged(self.score(total), 4)


class WeightedSum(nn.Module):
    """The sum of maps of one shape, each times its share."""

    def __init__(self, shares: Sequence[float]) -> None:
        super().__init__()
        self.shares = list(shares)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """One map of the shape of each of `maps`."""
        first, *others = (share * each for share, each in zip(self.shares, maps, strict=True))
        for each in others:
            first = first + each
        return first


class Maximum(nn.Module):
    """The largest of maps of one shape, element by element."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """One map of the shape of each of `maps`."""
        return torch.stack(list(maps)).amax(0)


class Projection(nn.Module):
    """As many channels as one map has, learned from those of all of them.

    Without a bias: a normalisation that subtracts the mean follows, or a layer with its own.
    """

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(count * channels, channels, 1, bias=False)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """One map of the shape of each of `maps`."""
        fused: Tensor = self.project(torch.cat(list(maps), 1))
        return fused


class Shape(NamedTuple):
    """Of a residual network.

    Parameters
    ----------
    blocks : sequence of int
        Bottlenecks of the four stages.
    width : int
        Inner channels of the first one's.
    output_stride : int
        Pixels from one feature of the last stage to the next.
    """

    blocks: Sequence[int]
    width: int
    output_stride: int


def _channels(width: int) -> list[int]:
    """Channels of the five stages."""
    return [STEM, *(EXPANSION * width * 2**i for i in range(4))]


def _stages(
    in_channels: int, shape: Shape, which: Iterable[int] = range(len(STAGES))
) -> nn.Sequential:
    """Some stages of a residual network, under their names."""
    named = ((STAGES[i], _stage(i, in_channels, shape)) for i in which)
    return nn.Sequential(OrderedDict(named)).apply(initialise)


def _stage(index: int, in_channels: int, shape: Shape) -> nn.Sequential:
    if index == 0:
        return stem(in_channels)
    inputs, halvings = _channels(shape.width)[index - 1], index - 1
    paces = (1, 2) if index == 4 and shape.output_stride < STRIDE else (min(index, 2), 1)
    return bottlenecks(inputs, shape.width * 2**halvings, shape.blocks[halvings], *paces)


def _maps(stages: nn.Module, features: Tensor, checkpointing: bool) -> list[Tensor]:
    """What each stage makes of what the one before it gave."""
    maps = []
    for stage in stages.children():
        if checkpointing and torch.is_grad_enabled():
            features = computed_again(stage, stage, features)
        else:
            features = stage(features)
        maps.append(features)
    return maps


def _split(image: Tensor, sensors: list[int]) -> Sequence[Tensor]:
    """The bands of each sensor."""
    return torch.split_with_sizes(image, sensors, 1)


def _decoder(name: str, shape: Shape, classes: int) -> nn.Module:
    refuse_unknown("decoder", name, ("pool", "fpn"))
    inputs, last = _channels(shape.width)[1:], shape.output_stride
    if name == "pool":
        return DenseClassifier(inputs[-1], classes, last).apply(initialise)
    return Pyramid(inputs, classes, (4, 8, 16, last)).apply(
        partial(initialise, nonlinearity="linear")
    )


def _merge(
    reduce: str, channels: int, sensors: Sequence[int], weights: Sequence[float]
) -> nn.Module:
    refuse_unknown("reduce", reduce, REDUCTIONS)
    count = len(sensors)
    if reduce == "concat1x1":
        return Projection(channels, count).apply(initialise)
    if reduce == "max":
        return Maximum()
    if reduce == "sum":
        return WeightedSum([1.0] * count)
    if reduce == "mean":
        return WeightedSum([1 / count] * count)
    _refuse_other_weights(weights, count)
    return WeightedSum([each / sum(weights) for each in weights])


def _enlarged(features: Tensor, factor: int) -> Tensor:
    """So many times the rows and columns, bilinear between the centres of pixels."""
    if factor == 1:
        return features
    return functional.interpolate(features, scale_factor=float(factor), mode="bilinear")


def _shape(
    in_channels: int, classes: int, blocks: Sequence[int], width: int, output_stride: int
) -> Shape:
    """What a network is made by, unless an option is senseless."""
    refuse_unless_whole(MOST_CHANNELS, in_channels=in_channels, classes=classes)
    refuse_unless_whole(MOST_WIDTH, width=width)
    refuse_depths("blocks", blocks, len(STAGES) - 1)
    if type(output_stride) is not int or output_stride not in (16, STRIDE):
        raise UserError(f"output_stride={output_stride!r}: give {STRIDE} or 16")
    return Shape(blocks, width, output_stride)


def _refuse_other_sensors(sensors: Sequence[int], in_channels: int) -> None:
    if not 2 <= len(sensors) <= MOST_SENSORS:
        raise UserError(
            f"sensors={list(sensors)}: give the bands of 2 to {MOST_SENSORS} sensors; one alone "
            "needs no fusion, take EarlyFusion"
        )
    for bands in sensors:
        refuse_unless_whole(MOST_CHANNELS, sensors=bands)
    if sum(sensors) != in_channels:
        raise UserError(
            f"sensors={list(sensors)} have {sum(sensors)} bands together, but the image has "
            f"{in_channels}; give the bands of each sensor, in the order of the image's"
        )


def _refuse_other_weights(weights: Sequence[float], count: int) -> None:
    if len(weights) != count or min(weights) <= 0 or not isfinite(sum(weights)):
        raise UserError(
            f"weights={list(weights)}: give {count} numbers above 0, one for each sensor"
        )
