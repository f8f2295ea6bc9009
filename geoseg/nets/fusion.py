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
from collections.abc import Collection, Iterable, Sequence
from math import isfinite
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from geoseg.errors import UserError
from geoseg.nets.resnet import DEPTHS, EXPANSION, bottlenecks, stem

__all__ = ["EarlyFusion", "LateFusion", "MiddleFusion"]

Net = TypeVar("Net", bound=nn.Module)

STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")
STRIDE = 32  # of the last stage, in pixels
STEM = 64  # channels of the first stage
PYRAMID = 128  # channels of a pyramid's levels, Kirillov et al. 2019, section 3.1
REDUCTIONS = ("mean", "sum", "max", "concat1x1", "weighted")

# A number from a damaged file is stopped here; the largest networks known stay below.
MOST_CHANNELS = 65_536
MOST_WIDTH = 512
MOST_BLOCKS = 64
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
    ) -> None:
        super().__init__()
        _refuse_senseless(in_channels, classes, blocks, width)
        self.stride, self.checkpointing = STRIDE, False
        self.trunk = _stages(in_channels, blocks, width)
        self.decoder = _decoder(decoder, width, classes)

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
    decoder, blocks, width
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
    ) -> None:
        super().__init__()
        _refuse_senseless(in_channels, classes, blocks, width)
        _refuse_other_sensors(sensors, in_channels)
        _refuse_unknown("split", split, STAGES)
        self.stride, self.checkpointing, self.sensors = STRIDE, False, list(sensors)
        last = STAGES.index(split)
        self.branches = nn.ModuleList(
            _stages(bands, blocks, width, range(last + 1)) for bands in sensors
        )
        self.shared = _stages(in_channels, blocks, width, range(last + 1, len(STAGES)))
        # The finest level that the decoder looks at, of those that the sensors have for themselves.
        self.finest = last if decoder == "pool" else min(last, 1)
        self.merges = nn.ModuleList(
            _merge(reduce, channels, sensors, weights)
            for channels in _channels(width)[self.finest : last + 1]
        )
        self.decoder = _decoder(decoder, width, classes)

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

    Evaluation gives the mean of their scores, pixel by pixel and image by image. Training gives the
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
    decoder, blocks, width
        As for `EarlyFusion`.

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
    ) -> None:
        super().__init__()
        _refuse_senseless(in_channels, classes, blocks, width)
        _refuse_other_sensors(sensors, in_channels)
        self.stride, self.checkpointing, self.sensors = STRIDE, False, list(sensors)
        self.heads = (classes,) * len(sensors)
        self.trunks = nn.ModuleList(_stages(bands, blocks, width) for bands in sensors)
        self.decoders = nn.ModuleList(_decoder(decoder, width, classes) for _ in sensors)

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
        return torch.cat(scores, 1) if self.training else torch.stack(scores).mean(0)


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
    """

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(inputs, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Scores (B, classes, 32 h, 32 w) of maps whose last one is (B, inputs, h, w)."""
        return _enlarged(self.score(maps[-1]), STRIDE)


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
    """

    def __init__(self, inputs: Sequence[int], classes: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(each, PYRAMID, 1) for each in inputs)
        self.smooth = nn.ModuleList(nn.Conv2d(PYRAMID, PYRAMID, 3, padding=1) for _ in inputs)
        self.score = nn.Conv2d(PYRAMID, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Scores (B, classes, 4 h, 4 w); the last maps are those of the stages, of h, h / 2, ..."""
        stages = maps[-len(self.lateral) :]
        levels = [lateral(each) for lateral, each in zip(self.lateral, stages, strict=True)]
        for coarse in reversed(range(1, len(levels))):
            levels[coarse - 1] = levels[coarse - 1] + _enlarged(levels[coarse], 2)
        total, *coarser = (smooth(each) for smooth, each in zip(self.smooth, levels, strict=True))
        for halvings, each in enumerate(coarser, 1):
            total = total + _enlarged(each, 2**halvings)
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


def _channels(width: int) -> list[int]:
    """Channels of the five stages."""
    return [STEM, *(EXPANSION * width * 2**i for i in range(4))]


def _stages(
    in_channels: int, blocks: Sequence[int], width: int, which: Iterable[int] = range(len(STAGES))
) -> nn.Sequential:
    """Some stages of a residual network, under their names."""
    named = ((STAGES[i], _stage(i, in_channels, blocks, width)) for i in which)
    return _initialised(nn.Sequential(OrderedDict(named)))


def _stage(index: int, in_channels: int, blocks: Sequence[int], width: int) -> nn.Sequential:
    if index == 0:
        return stem(in_channels)
    inputs, halvings = _channels(width)[index - 1], index - 1
    return bottlenecks(inputs, width * 2**halvings, blocks[halvings], min(index, 2))


def _maps(stages: nn.Module, features: Tensor, checkpointing: bool) -> list[Tensor]:
    """What each stage makes of what the one before it gave."""
    maps = []
    for stage in stages.children():
        if checkpointing and torch.is_grad_enabled():
            features = _checkpointed(stage, features)
        else:
            features = stage(features)
        maps.append(features)
    return maps


def _split(image: Tensor, sensors: list[int]) -> Sequence[Tensor]:
    """The bands of each sensor."""
    return torch.split_with_sizes(image, sensors, 1)


def _checkpointed(stage: nn.Module, features: Tensor) -> Tensor:
    """The output of a stage whose inside is computed again when gradients are."""
    # Contexts of the first and of the second computation; there is nothing to keep in the first.
    output: Tensor = checkpoint(
        stage,
        features,
        use_reentrant=False,
        context_fn=lambda: (_StatisticsKept(nn.Identity()), _StatisticsKept(stage)),
    )
    return output


class _StatisticsKept:
    """What is computed inside leaves the running statistics of a stage as they are.

    Else each batch would count twice in them, for its forward pass is run once more.
    """

    def __init__(self, stage: nn.Module) -> None:
        self.norms = [each for each in stage.modules() if isinstance(each, _BatchNorm)]

    def __enter__(self) -> None:
        self.before = [(norm.momentum, norm.num_batches_tracked) for norm in self.norms]
        for norm in self.norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None

    def __exit__(self, *_: object) -> None:
        for norm, before in zip(self.norms, self.before, strict=True):
            norm.momentum, norm.num_batches_tracked = before


def _decoder(name: str, width: int, classes: int) -> nn.Module:
    _refuse_unknown("decoder", name, ("pool", "fpn"))
    inputs = _channels(width)[1:]
    if name == "pool":
        return _initialised(DenseClassifier(inputs[-1], classes))
    return _initialised(Pyramid(inputs, classes), "linear")


def _merge(
    reduce: str, channels: int, sensors: Sequence[int], weights: Sequence[float]
) -> nn.Module:
    _refuse_unknown("reduce", reduce, REDUCTIONS)
    count = len(sensors)
    if reduce == "concat1x1":
        return _initialised(Projection(channels, count))
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
    return functional.interpolate(features, scale_factor=float(factor), mode="bilinear")


def _initialised(net: Net, nonlinearity: Literal["relu", "linear"] = "relu") -> Net:
    """Weights of convolutions normal with variance 2 / fan-in (He et al. 2015, eq. 10), biases 0.

    Half the variance where nothing is rectified, for nothing then halves what comes in.
    """
    for module in net.modules():
        # Weights without values, of which only shapes are wanted, need none.
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, nonlinearity=nonlinearity)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net


def _refuse_senseless(in_channels: int, classes: int, blocks: Sequence[int], width: int) -> None:
    _refuse_outside("in_channels", in_channels, MOST_CHANNELS)
    _refuse_outside("classes", classes, MOST_CHANNELS)
    _refuse_outside("width", width, MOST_WIDTH)
    if len(blocks) != 4:
        raise UserError(f"blocks {list(blocks)}: give four numbers, one for each stage")
    for depth in blocks:
        _refuse_outside("blocks", depth, MOST_BLOCKS)


def _refuse_other_sensors(sensors: Sequence[int], in_channels: int) -> None:
    if not 2 <= len(sensors) <= MOST_SENSORS:
        raise UserError(
            f"sensors {list(sensors)}: give the bands of 2 to {MOST_SENSORS} sensors; one alone "
            "needs no fusion, take EarlyFusion"
        )
    for bands in sensors:
        _refuse_outside("sensors", bands, MOST_CHANNELS)
    if sum(sensors) != in_channels:
        raise UserError(
            f"sensors {list(sensors)} have {sum(sensors)} bands together, but the image has "
            f"{in_channels}; give the bands of each sensor, in the order of the image's"
        )


def _refuse_other_weights(weights: Sequence[float], count: int) -> None:
    if len(weights) != count or min(weights) <= 0 or not isfinite(sum(weights)):
        raise UserError(
            f"weights {list(weights)}: give {count} numbers above 0, one for each sensor"
        )


def _refuse_outside(name: str, value: int, most: int) -> None:
    if not isinstance(value, int) or not 1 <= value <= most:
        raise UserError(f"{name} of {value!r}: give whole numbers from 1 to {most}")


def _refuse_unknown(name: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise UserError(f"there is no {name} {value!r}; choose from {', '.join(known)}")
