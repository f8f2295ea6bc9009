"""U-Net with the encoder ResNet-34, and torchvision's weights for it.

K. He, X. Zhang, S. Ren and J. Sun, Deep Residual Learning for Image Recognition (CVPR 2016),
table 1, in the form of A. Rakhlin, A. Davydow and S. Nikolenko, Land Cover Classification from
Satellite Imagery With U-Net and Lovász-Softmax Loss (CVPR Workshops 2018): ELU, and in the order
that activates before it normalises. The paper prints "25M" parameters; shortcuts and skips are
those of the first author's public code and give 25 170 791 for 3 bands and 7 classes, of which the
encoder has 22 706 496. Shapes for 288 x 288 pixels and the default widths::

    image    3 @ 288
    stem    64 @ 144, pooled to 72
    s1      64 @  72      3 units
    s2     128 @  36      4
    s3     256 @  18      6
    s4     512 @   9      3
    d5     256 @  18      + s3
    d4     128 @  36      + s2
    d3      64 @  72      + s1
    d2      64 @ 144
    d1      32 @ 288
    logits   7 @ 288

A pixel of s4 sees 899 x 899 pixels of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from geoseg.errors import UserError
from geoseg.nets.decoder import SKIPS, Decoder, head, refuse_widths
from geoseg.nets.fresh import initialise
from geoseg.nets.options import refuse_depths, refuse_unknown
from geoseg.nets.torchvision import take_over

__all__ = ["UNetResNet34"]

VARIANTS = ("paper", "paper_1x1", "torchvision_elu", "torchvision")
OWN = VARIANTS[:2]  # which torchvision has no weights for
STAGES = 4
FIRST = "stem.0.weight"
UNUSED = {"fc.weight", "fc.bias"}  # torchvision's classifier of whole images


class UNetResNet34(nn.Module):
    """U-Net whose encoder is a residual network of units of two 3 x 3 convolutions.

    Parameters
    ----------
    in_channels : int
        Bands of the image, C.
    classes : int
        Classes to tell apart, K.
    widths : sequence of int
        Channels of the four stages, from the image down.
    blocks : sequence of int
        Units of the four stages, 1 to 64 each. (2, 2, 2, 2) is ResNet-18.
    variant : {"paper", "paper_1x1", "torchvision_elu", "torchvision"}
        "paper": biases; ELU before normalisation, but in the stem; the first unit of every stage
        has a 3 x 3 convolution as its shortcut, the others an ELU. "paper_1x1": the same with
        1 x 1 convolutions as shortcuts, as He et al. have them, which makes 23 761 767 parameters;
        the paper says nothing of them. "torchvision": the layers that
        torchvision has weights for, which `load_torchvision` takes in: no biases, ReLU after
        normalisation, a 1 x 1 convolution as shortcut where shapes change, nothing elsewhere.
        "torchvision_elu": the same with ELU in place of ReLU. The order stays, for stored means and
        variances are those of convolutions that nothing has activated yet.
    skip : {"add", "cat"}
        Whether skips are added, as the author's code does, or concatenated, which makes 25 576 295
        parameters; the paper says only that they are combined.

    Raises
    ------
    UserError
        When a number makes no network, or there is no such variant.
    """

    stride = 32

    def __init__(
        self,
        in_channels: int,
        classes: int,
        widths: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] = (3, 4, 6, 3),
        variant: str = "paper",
        skip: str = "add",
    ) -> None:
        super().__init__()
        _refuse_senseless(in_channels, classes, widths, blocks)
        refuse_unknown("variant", variant, VARIANTS)
        refuse_unknown("skip", skip, SKIPS)
        self.variant = variant
        self.stem = stem(in_channels, widths[0], variant)
        inputs, strides = (widths[0], *widths[:-1]), (1, 2, 2, 2)
        shapes = zip(inputs, widths, blocks, strides, strict=True)
        self.stages = nn.ModuleList(stage(*shape, variant) for shape in shapes)
        first, second, third, last = widths
        finest = max(first // 2, 1)
        outputs = (third, second, first, first)
        steps = [*zip(outputs, outputs, strict=True), (first, finest)]
        self.decoder = Decoder(last, steps, (third, second, first, 0, 0), skip)
        self.head = head(self.decoder.channels, finest, classes)
        self.apply(initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, classes, h, w) of images (B, in_channels, h, w)."""
        features, kept = self.stem(image), []
        for each in self.stages:
            features = each(features)
            kept.append(features)
        logits: Tensor = self.head(self.decoder(features, (*kept[-2::-1], None, None)))
        return logits

    def load_torchvision(self, state: Mapping[str, Tensor]) -> None:
        """Start the encoder from the weights of torchvision's ResNet-34; the decoder stays.

        The network must be of the variant "torchvision" or "torchvision_elu"; what becomes of bands
        that are not three, `geoseg.nets.torchvision.take_over` tells.

        Parameters
        ----------
        state : mapping of str to Tensor
            By torchvision's names (``layer1.0.conv1.weight``). The classifier ``fc`` is not used.
            Counts of batches (``num_batches_tracked``), which old files lack, may be missing.

        Raises
        ------
        UserError
            When the network is of another variant, or names or shapes of the weights are others.
        """
        if self.variant in OWN:
            raise UserError(
                f"the variant {self.variant!r} has other layers than torchvision's weights are "
                "for; build the network with variant 'torchvision' or 'torchvision_elu'"
            )
        own = self.state_dict()
        names = {name: theirs for name in own if (theirs := _torchvision_name(name))}
        used = {name: tensor for name, tensor in state.items() if name not in UNUSED}
        take_over(self, names, used, FIRST, ("resnet34", "widths and blocks"))


class Unit(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, activated after their sum."""

    def __init__(self, residual: nn.Sequential, shortcut: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.residual, self.shortcut, self.last = residual, shortcut, last

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, outputs, h / stride, w / stride) of (B, inputs, h, w)."""
        total: Tensor = self.last(self.residual(features) + self.shortcut(features))
        return total


def stem(in_channels: int, width: int, variant: str) -> nn.Sequential:
    """7 x 7 convolution and pooling: a quarter of the rows and columns."""
    # The bias does nothing before a normalisation; it counts among the published parameters.
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=variant in OWN),
        nn.BatchNorm2d(width),
        _activation(variant),
        nn.MaxPool2d(3, stride=2, padding=1),
    )


def stage(inputs: int, width: int, depth: int, stride: int, variant: str) -> nn.Sequential:
    """So many units, the first of which has the stride."""
    projects = variant in OWN or stride != 1 or inputs != width
    first = unit(inputs, width, stride, projects, variant)
    return nn.Sequential(first, *(unit(width, width, 1, False, variant) for _ in range(depth - 1)))


def unit(inputs: int, width: int, stride: int, projects: bool, variant: str) -> Unit:
    """A unit whose shortcut has a convolution of its own, or none."""
    residual: list[nn.Module]
    shortcut: nn.Module
    if variant in OWN:
        residual = [*_activated_first(inputs, width, 3, stride)]
        residual += _activated_first(width, width, 3, 1)
        kernel = 3 if variant == "paper" else 1
        shortcut = nn.ELU()
        if projects:
            shortcut = nn.Sequential(*_activated_first(inputs, width, kernel, stride))
    else:
        first, second = _normalised(inputs, width, 3, stride), _normalised(width, width, 3, 1)
        residual = [*first, _activation(variant), *second]
        shortcut = nn.Sequential(*_normalised(inputs, width, 1, stride) if projects else ())
    return Unit(nn.Sequential(*residual), shortcut, _activation(variant))


def _activated_first(inputs: int, width: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, width, kernel, stride=stride, padding=kernel // 2)
    return convolution, nn.ELU(), nn.BatchNorm2d(width)


def _normalised(inputs: int, width: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    padding = kernel // 2
    convolution = nn.Conv2d(inputs, width, kernel, stride=stride, padding=padding, bias=False)
    return convolution, nn.BatchNorm2d(width)


def _activation(variant: str) -> nn.Module:
    return nn.ReLU() if variant == "torchvision" else nn.ELU()


def _torchvision_name(name: str) -> str | None:
    """Torchvision's name of an entry of our state dict; None in the decoder.

    Stages count from 1, and what stands in a row here is numbered by kind.
    """
    layers = {"residual.0": "conv1", "residual.1": "bn1", "residual.3": "conv2"}
    layers |= {"residual.4": "bn2", "shortcut.0": "downsample.0", "shortcut.1": "downsample.1"}
    layer, _, entry = name.rpartition(".")
    if layer in ("stem.0", "stem.1"):
        return f"{'conv1' if layer == 'stem.0' else 'bn1'}.{entry}"
    if not layer.startswith("stages."):
        return None
    _, level, block, within = layer.split(".", 3)
    return f"layer{int(level) + 1}.{block}.{layers[within]}.{entry}"


def _refuse_senseless(
    in_channels: int, classes: int, widths: Sequence[int], blocks: Sequence[int]
) -> None:
    if len(widths) != STAGES:
        raise UserError(f"widths={list(widths)}: give {STAGES} numbers of channels")
    refuse_widths(in_channels, classes, widths)
    refuse_depths("blocks", blocks, STAGES)
