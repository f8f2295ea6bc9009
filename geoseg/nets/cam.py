"""Classifiers of whole images whose scores are the mean of a map, and class activation maps.

Y. Chen, Y. Guo and S. Wang, Deep Learning for Semantic Segmentation of Remote Sensing Imagery
(poster, Stanford) train a small CNN and a ResNet-50 on the classes that occur in windows of 50 x 50
Landsat pixels, and read a class map from the second by class activation mapping (B. Zhou et al.,
Learning Deep Features for Discriminative Localization, CVPR 2016, eq. 2)::

    CAM_c(y, x) = sum over k of w_ck A_k(y, x)

with the last features A and the weights w of the linear layer behind their global mean. Mean and
sum change places: ``mean(CAM_c) + b_c`` is the score of the image. A 1 x 1 convolution with the
weights of the linear layer thus gives a map whose mean are the scores, and that map is what these
networks give: a loss that pools it is the loss of the classifier. Sizes of the ResNet for 50 x 50
pixels and 7 bands::

    stem     64 @ 25, pooled without padding to 12
    stage 2 256 @ 12      3 bottlenecks     sees  35 pixels        239 173 parameters (5 classes)
    stage 3 512 @ 12      4                       67             1 460 037
    stage 4 1024 @ 12     6                      115             8 560 965
    stage 5 2048 @ 12     3                      139            23 530 821

The poster sets "all strides" to 1 and has 12 x 12 features: only the strides of the stages can be
meant, in a network whose pooling is not padded.

A network of full resolution needs nothing of this: a U-Net gives a dense map already, and becomes
the U-CAM of S. Wang et al., Weakly Supervised Deep Learning for Segmentation of Remote Sensing
Imagery (Remote Sensing 12(2), 2020) by a loss that pools it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import isfinite

import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from torch import Tensor, nn

from geoseg.errors import UserError
from geoseg.nets.fresh import initialise
from geoseg.nets.options import MOST_CHANNELS, refuse_unknown, refuse_unless_whole
from geoseg.nets.resnet import DEPTHS, EXPANSION, bottlenecks

__all__ = [
    "METHODS",
    "CamBaseline",
    "CamNet",
    "CamResNet50",
    "Classifier",
    "fused_layer_cam",
    "gated",
    "max_normalised",
    "sampled",
]

MOST_POWER = 100.0  # beyond any use; a number from a damaged file is stopped here
ALIGNMENTS = ("exact", "resize")
FUSED = "layercam-fused"
TINY = 1e-5  # added to the maximum that maps are divided by


class Classifier(nn.Module):
    """A classifier of images that gives the map whose mean are its scores.

    In training mode the map has the rows and columns of the features, fewer than the image, so that
    its mean is exactly what the linear layer gives. In evaluation mode it has those of the image.

    Parameters
    ----------
    features : Sequential
        Images (B, in_channels, h, w) to features (B, D, m, n).
    head : Conv2d
        Features to scores.
    grid : tuple of float and int
        Pixel on whose centre the first score is centred, counted from 0 along either axis, and
        pixels from one score to the next.
    align : {"exact", "resize"}
        How the map comes to the size of the image: sampled where the scores are centred, or
        stretched over the whole image, whatever its size, as published.
    """

    def __init__(
        self, features: nn.Sequential, head: nn.Conv2d, grid: tuple[float, int], align: str
    ) -> None:
        super().__init__()
        refuse_unknown("align", align, ALIGNMENTS)
        self.features, self.head = features, head
        self.first, self.stride = grid
        self.align = align
        self.apply(initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Scores (B, classes, h, w) of images (B, in_channels, h, w); coarser in training."""
        scores = self.pooled(image)
        return scores if self.training else self.enlarged(scores, image)

    def pooled(self, image: Tensor) -> Tensor:
        """The map (B, classes, m, n) whose mean are the scores of the image."""
        scores: Tensor = self.head(self.features(image))
        return scores

    def enlarged(self, maps: Tensor, image: Tensor) -> Tensor:
        """Maps (B, K, m, n) at the rows and columns of the image they were made of."""
        rows, columns = image.shape[2:]
        if self.align == "resize":
            return F.interpolate(maps, (rows, columns), mode="bilinear", align_corners=False)
        return sampled(sampled(maps, 2, rows, self), 3, columns, self)


class CamBaseline(Classifier):
    """The plain CNN of the poster: four convolutions of 3 x 3, each rectified and pooled.

    Parameters
    ----------
    in_channels, classes : int
        Bands of the image and classes.
    head : {"flatten", "gap"}
        A dense layer over the 3 x 3 cells that are left of 50 x 50 pixels, written as a valid
        convolution so that it runs over images of any size; or the mean and a linear layer. The
        poster says "dense" and no more; its "increasing filters" are taken as 32, 64, 128, 256.
    align : {"exact", "resize"}
        See `Classifier`.

    Raises
    ------
    UserError
        When a number of channels or a name makes no network.

    Notes
    -----
    401 093 parameters for 7 bands and 5 classes, 390 853 with ``head="gap"``.
    """

    def __init__(
        self, in_channels: int, classes: int, head: str = "flatten", align: str = "exact"
    ) -> None:
        refuse_unless_whole(MOST_CHANNELS, in_channels=in_channels, classes=classes)
        refuse_unknown("head", head, ("flatten", "gap"))
        widths = (in_channels, 32, 64, 128, 256)
        layers: list[nn.Module] = []
        for inputs, width in pairwise(widths):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        cells = 1 if head == "gap" else 3
        features = nn.Sequential(*layers, AtLeast(cells))
        # A cell is 16 pixels wide, its centre between the eighth and the ninth.
        grid = (7.5 + 16 * (cells // 2), 16)
        super().__init__(features, nn.Conv2d(widths[-1], classes, cells), grid, align)


class CamResNet50(Classifier):
    """ResNet-50 whose stages keep the resolution of its stem, a quarter of the image's.

    Parameters
    ----------
    in_channels, classes : int
        Bands of the image and classes.
    num_stages : int
        2 to 5, the stem being the first. Fewer see less far, and therefore localise better.
    align : {"exact", "resize"}
        See `Classifier`.

    Raises
    ------
    UserError
        When a number or a name makes no network.
    """

    def __init__(
        self, in_channels: int, classes: int, num_stages: int = 5, align: str = "exact"
    ) -> None:
        refuse_unless_whole(MOST_CHANNELS, in_channels=in_channels, classes=classes)
        if not isinstance(num_stages, int) or not 2 <= num_stages <= 5:
            raise UserError(f"num_stages={num_stages!r}: give a whole number from 2 to 5")
        stages: list[nn.Module] = []
        outputs = 64
        for stage, depth in enumerate(DEPTHS[50][: num_stages - 1]):
            stages.append(bottlenecks(outputs, 64 << stage, depth, stride=1))
            outputs = EXPANSION * 64 << stage
        features = nn.Sequential(_stem(in_channels), *stages)
        # The first cell pools the first three results of the stem, centred on pixels 0, 2 and 4.
        super().__init__(features, nn.Conv2d(outputs, classes, 1), (2.0, 4), align)


class CamNet(nn.Module):
    """Class activation maps of a classifier, by any of five methods, as scores of a segmenter.

    In training mode it gives what its classifier gives, so that it is trained as one. Everything
    below concerns evaluation: the same weights serve any choice of it. The defaults are the
    published maps; ``normalise="max", gate=True`` makes better ones where most images hold most
    classes.

    Parameters
    ----------
    in_channels, classes : int
        Bands of the image and classes; the first class is the background.
    base : {"resnet50", "baseline"}
        `CamResNet50`, or `CamBaseline` with the head that has class activation maps, "gap".
    num_stages : int
        Of the ResNet.
    method : {"cam", "gradcam", "gradcam++", "layercam", "layercam-fused"}
        A key of `METHODS`, or `fused_layer_cam` of the stages of the ResNet, which cannot be
        exported. All but "cam" depend on the size of the window.
    bias : bool
        Whether the class's bias is added, which makes a map of "cam" that of the classifier.
    normalise : {"none", "max"}
        "max": maps are rectified and divided by their maximum over the window.
    gate : bool
        Whether classes that the classifier finds improbable in the whole window (below 1/2) are
        ruled out; the most probable one never is.
    background : {"class", "const", "power"}
        Score of the first class: its own map; the constant beta; or ``(1 - m) ** gamma`` with the
        highest of the other maps, m, which must be normalised (J. Ahn and S. Kwak, Learning
        Pixel-level Semantic Affinity, CVPR 2018, eq. 2). A background that is not a class of its
        own is never ruled out.
    background_value : float
        beta or gamma; best chosen on validation scenes.
    align : {"exact", "resize"}
        See `Classifier`.

    Raises
    ------
    UserError
        When a value makes no network, or some do not go together.

    Notes
    -----
    ``base`` is the classifier: ``net.base.load_state_dict(trained.state_dict())`` takes the weights
    of one that was trained by itself. A window's maximum and the classes in it depend on all of its
    pixels, so normalised or gated maps have no finite halo and want windows that are blended, of
    the size that the classifier was trained on.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        base: str = "resnet50",
        num_stages: int = 5,
        method: str = "cam",
        bias: bool = False,
        normalise: str = "none",
        gate: bool = False,
        background: str = "class",
        background_value: float = 0.5,
        align: str = "exact",
    ) -> None:
        super().__init__()
        refuse_unknown("method", method, (*METHODS, FUSED))
        refuse_unknown("normalise", normalise, ("none", "max"))
        refuse_unknown("background", background, ("class", "const", "power"))
        self.base = _classifier(in_channels, classes, base, num_stages, align)
        self.stride = self.base.stride
        self.method, self.bias, self.normalise, self.gate = method, bias, normalise, gate
        self.background, self.background_value = background, background_value
        if gate or normalise == "max" or method in ("gradcam++", FUSED):
            self.halo = None  # told, since to find it out by trying takes seconds
        if bias and method != "cam":
            raise UserError(f"bias with method {method!r}: only maps of method 'cam' have a bias")
        if method == FUSED and base != "resnet50":
            raise UserError(f"method {method!r}: base {base!r} has no stages; choose layercam")
        if background != "class":
            self._refuse_senseless_background(classes)

    def forward(self, image: Tensor) -> Tensor:
        """Scores (B, classes, h, w) of images (B, in_channels, h, w); coarser in training."""
        if self.training:
            return self.pooled(image)
        features = self.base.features(image)
        maps = self.base.enlarged(self._maps(features, image), image)
        if self.gate:
            maps = gated(maps, self.base.head(features).mean((2, 3)))
        return self._before_background(maps)

    def pooled(self, image: Tensor) -> Tensor:
        """As `Classifier.pooled`, whatever the method."""
        scores: Tensor = self.base.pooled(image)
        return scores

    def _maps(self, features: Tensor, image: Tensor) -> Tensor:
        """Maps (B, classes, m, n) at the rows and columns of the features of an image."""
        head = self.base.head
        if self.method == FUSED:
            return fused_layer_cam(self.base, image)  # normalised as they are
        maps = METHODS[self.method](features, head.weight[..., 0, 0])
        if self.bias and head.bias is not None:
            maps = maps + head.bias[:, None, None]
        return max_normalised(maps) if self.normalise == "max" else maps

    def _before_background(self, maps: Tensor) -> Tensor:
        """The maps with the chosen score of the first class."""
        if self.background == "class":
            return maps
        others = maps[:, 1:]
        highest = others.amax(1, keepdim=True).clamp(0, 1)  # 0 where all others are ruled out
        score = torch.full_like(highest, self.background_value)
        if self.background == "power":
            score = (1 - highest) ** self.background_value
        return torch.cat([score, others], 1)

    def _refuse_senseless_background(self, classes: int) -> None:
        if classes < 2:
            raise UserError(f"background {self.background!r} needs 2 classes or more, not 1")
        value = self.background_value
        if not isinstance(value, int | float) or not isfinite(value):
            raise UserError(f"background_value={value!r}: give a number")
        if self.background == "power":
            if self.normalise != "max":
                raise UserError("background 'power' needs maps from 0 to 1: give normalise 'max'")
            if not 0 < value <= MOST_POWER:
                raise UserError(f"background_value={value}: give a power up to {MOST_POWER:g}")


def cam(features: Tensor, weights: Tensor) -> Tensor:
    """Class activation maps (B, K, m, n): features (B, D, m, n) by the weights (K, D)."""
    return F.conv2d(features, weights[..., None, None])


def grad_cam(features: Tensor, weights: Tensor) -> Tensor:
    """Grad-CAM (R. Selvaraju et al., ICCV 2017, eqs. 1 and 2), of features behind a global mean.

    A feature's gradient is there its weight by the number of positions, the same at each of them.
    No gradient has to be computed, which prediction would not allow.
    """
    return cam(features, weights).relu() / _positions(features)


def grad_cam_plus_plus(features: Tensor, weights: Tensor) -> Tensor:
    """Grad-CAM++ (A. Chattopadhyay et al., WACV 2018, eqs. 10 and 19), behind a global mean.

    With the gradient g, the same at each of Z positions, and the sum S of a feature over them::

        alpha = g^2 / (2 g^2 + S g^3) = 1 / (2 + S g)        weight = Z alpha relu(g)

    and with ``g = w / Z`` the weight is ``relu(w) / (2 + w mean)``. Features are not negative, so
    the map is not either.
    """
    positive = weights.relu()
    lifted = positive / (2 + positive * features.mean((2, 3))[:, None])
    return torch.einsum("bkd,bdmn->bkmn", lifted, features)


def layer_cam(features: Tensor, weights: Tensor) -> Tensor:
    """LayerCAM (P.-T. Jiang et al., IEEE TIP 30, 2021), of features behind a global mean."""
    return cam(features, weights.relu()) / _positions(features)


METHODS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cam": cam,
    "gradcam": grad_cam,
    "gradcam++": grad_cam_plus_plus,
    "layercam": layer_cam,
}
"""Maps of features (B, D, m, n), none negative, and the weights (K, D) of their global means."""


def max_normalised(maps: Tensor) -> Tensor:
    """Maps (B, K, m, n) rectified and divided by their maximum over each image, from 0 to 1.

    Each class was told apart from its absence only, never from another class: its maps have a scale
    of their own, which this takes away.
    """
    positive = maps.relu()
    return positive / (positive.amax((2, 3), keepdim=True) + TINY)


def fused_layer_cam(net: Classifier, windows: Tensor) -> Tensor:
    """LayerCAM of every stage, each normalised by its maximum, and the highest of them.

    P.-T. Jiang et al., LayerCAM: Exploring Hierarchical Class Activation Maps for Localization
    (IEEE TIP 30, 2021): a feature counts where it is found and where more of it means more of the
    class. Early stages see less far and draw finer.

    Parameters
    ----------
    net : Classifier
        In evaluation mode, with a stem and stages behind it.
    windows : Tensor, shape (B, C, h, w)
        As the network sees them.

    Returns
    -------
    Tensor, shape (B, K, m, n)
        From 0 to 1, at the rows and columns of the features.
    """
    # Gradients also for those who predict, and therefore ask for none.
    with torch.inference_mode(False), torch.enable_grad():
        stages = list(_stages(net, windows.detach().clone().requires_grad_()))
        logits = net.head(stages[-1]).mean((2, 3))
        maps = [_layer_cams(stages, each) for each in logits.sum(0)]
        return torch.stack([max_normalised(each).amax(0) for each in maps], 1)


def _stages(net: Classifier, windows: Tensor) -> Iterator[Tensor]:
    """Features behind each stage, without those of the stem."""
    features = windows
    for position, stage in enumerate(net.features):
        features = stage(features)
        if position > 0:
            yield features


def _layer_cams(stages: Sequence[Tensor], score: Tensor) -> Tensor:
    """Maps (stages, B, m, n) of a score: gradients that are positive, times what they are of."""
    gradients = torch.autograd.grad(score, stages, retain_graph=True)
    maps = [(g.relu() * a.detach()).sum(1) for g, a in zip(gradients, stages, strict=True)]
    return torch.stack(maps)


def gated(maps: Tensor, logits: Tensor) -> Tensor:
    """Maps (B, K, h, w) with minus infinity for classes whose logits (B, K) say they are absent.

    The most probable class of an image stays, for every pixel has one.
    """
    absent = (logits < 0) & (logits < logits.amax(1, keepdim=True))
    # Zero times the logit, not zero: so every pixel of the window is seen to matter.
    return maps + torch.where(absent, -torch.inf, 0 * logits)[..., None, None]


def sampled(maps: Tensor, axis: int, length: int, grid: Classifier) -> Tensor:
    """Maps at every pixel of an axis, linear between the two nearest scores.

    Before the first and behind the last score there is none to draw near: theirs go on.

    Parameters
    ----------
    maps : Tensor, shape (B, K, m, n)
    axis : int
        2 for rows, 3 for columns.
    length : int
        Pixels of the image along the axis.
    grid : Classifier
        Where the scores are centred.
    """
    # Whole float32 even where scores are half: halves do not tell pixel 2049 from 2050.
    pixels = torch.arange(length, device=maps.device, dtype=torch.float32)
    places = ((pixels - grid.first) / grid.stride).clamp(0, maps.shape[axis] - 1)
    before, behind = places.floor(), places.ceil()
    share = (places - before).to(maps.dtype)
    share = share[:, None] if axis == 2 else share
    near, far = (maps.index_select(axis, each.long()) for each in (before, behind))
    return near * (1 - share) + far * share


class AtLeast(nn.Module):
    """Zeros behind the last row and column of features that have fewer than so many.

    Parameters
    ----------
    side : int
        Rows and columns. Zero is what rectified features are where nothing was found, and never
        more than what a pooling finds beside it.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, D, max(m, side), max(n, side)) of (B, D, m, n)."""
        rows, columns = (_lacking(self.side, each) for each in features.shape[2:])
        return F.pad(features, (0, columns, 0, rows))


def _stem(in_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        AtLeast(3),
        nn.MaxPool2d(3, stride=2),
    )


def _classifier(
    in_channels: int, classes: int, base: str, num_stages: int, align: str
) -> Classifier:
    refuse_unknown("base", base, ("resnet50", "baseline"))
    if base == "resnet50":
        return CamResNet50(in_channels, classes, num_stages, align)
    if num_stages != 5:
        raise UserError(f"num_stages={num_stages!r} with base 'baseline': it has none; omit it")
    return CamBaseline(in_channels, classes, "gap", align)


def _lacking(side: int, length: int) -> int:
    # Not Python's max, which an export would settle once and for all.
    lacking: int = torch.sym_max(side - length, 0)  # type: ignore[no-untyped-call]
    return lacking


def _positions(features: Tensor) -> int:
    return features.shape[2] * features.shape[3]
