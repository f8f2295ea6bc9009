"""From labels of images to maps: a classifier as a segmenter, and labels of pixels from its maps.

A classifier that was trained with ``multi_label`` becomes a segmenter without further training.
With a method chosen, its maps are labels from which any network of full resolution learns::

    maps = as_segmenter(classifier, method="layercam")
    labelled = pseudo_dataset(maps, data, Labelling(size=50, labels=ImageLabels(min_fraction=0.05)))
    fit(Settings(), labelled, "segmenter.safetensors")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor, nn

from geoseg import nets
from geoseg.errors import UserError
from geoseg.loader import IGNORE, Scene
from geoseg.metrics import ConfusionMatrix
from geoseg.nets.cam import FUSED, max_normalised
from geoseg.reach import measure_reach
from geoseg.segmenter import Segmenter, told_reach
from geoseg.train import scoring
from geoseg.train.data.dataset import Dataset
from geoseg.train.pseudo import (
    BACKGROUND,
    FOREGROUND,
    averaged_maps,
    pseudo_labels,
    refined,
)
from geoseg.train.stated_loss import ImageLabels
from geoseg.windows import Windows, tiles

__all__ = [
    "WAYS",
    "Labelling",
    "as_segmenter",
    "compare_maps",
    "majority",
    "point_dataset",
    "pseudo_dataset",
]

WAYS: Mapping[str, Mapping[str, Any]] = {
    "cam": {"method": "cam"},
    "cam, bias": {"method": "cam", "bias": True},
    "cam, gate": {"method": "cam", "gate": True},
    "cam, max": {"method": "cam", "normalise": "max"},
    "cam, max, gate": {"method": "cam", "normalise": "max", "gate": True},
    "gradcam": {"method": "gradcam"},
    "gradcam++": {"method": "gradcam++"},
    "gradcam++, max, gate": {"method": "gradcam++", "normalise": "max", "gate": True},
    "layercam": {"method": "layercam"},
    "layercam, max, gate": {"method": "layercam", "normalise": "max", "gate": True},
    "layercam of all stages": {"method": FUSED},
}
"""Options of `geoseg.nets.cam.CamNet` by which maps are compared. Rectified and divided by their
maximum, Grad-CAM's maps are those of "cam". Networks without stages have no map of the last way."""

PLAIN = {"method": "cam", "bias": False, "normalise": "none", "gate": False}


def as_segmenter(classifier: Segmenter, /, **options: Any) -> Segmenter:
    """A trained classifier as a segmenter, with the same weights and maps of another kind.

    Parameters
    ----------
    classifier : Segmenter
        Of the architecture ``cam``, ``cam_resnet50``, or ``cam_baseline`` with ``head="gap"``.
    **options
        Of `geoseg.nets.cam.CamNet`: ``method``, ``bias``, ``normalise``, ``gate``, ``background``,
        ``background_value`` and ``align``. What is not given stays as it is.

    Returns
    -------
    Segmenter
        Of the architecture ``cam``. Of the scores in its card those of images stay; those of maps
        were of other maps. Where a map depends on its whole window, windows are of the size that
        the classifier was trained on.

    Raises
    ------
    UserError
        When the network has no class activation maps, or an option cannot be meant or would be
        another network.
    """
    card, net = classifier.card, _with_maps(classifier, options)
    reach = told_reach(net) or measure_reach(net, len(card.bands))
    settings = card.training.get("settings", {})
    metrics = {
        part: {"of_images": found["of_images"]}
        for part, found in card.metrics.items()
        if "of_images" in found
    }
    described = replace(
        card,
        architecture="cam",
        options=_options(classifier, options),
        halo=reach.halo,
        stride=reach.stride,
        window=card.window if reach.halo is not None else settings.get("crop", card.window),
        metrics=metrics,
    )
    return Segmenter.from_card(net, described)


def _options(classifier: Segmenter, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a CamNet with the weights of a classifier."""
    card = classifier.card
    fixed = sorted(set(changes) & {"in_channels", "classes", "base", "num_stages"})
    if fixed:
        raise UserError(f"{fixed[0]} is settled by the weights of {card.name}; leave it out")
    own, _ = _as_cam(card.architecture, card.options)
    return {**own, **changes}


def _with_maps(classifier: Segmenter, changes: Mapping[str, Any]) -> nn.Module:
    net = nets.build("cam", **_options(classifier, changes))
    _, prefix = _as_cam(classifier.card.architecture, classifier.card.options)
    weights = classifier.net.state_dict()
    net.load_state_dict({f"{prefix}{name}": each for name, each in weights.items()})
    return net.to(classifier.device).eval()


def _as_cam(architecture: str, options: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Options of a CamNet with the weights of a classifier, and what its names begin with."""
    same = {k: options[k] for k in ("in_channels", "classes", "align") if k in options}
    if architecture == "cam":
        return dict(options), ""
    if architecture == "cam_resnet50":
        return {**same, "base": "resnet50", "num_stages": options.get("num_stages", 5)}, "base."
    if architecture == "cam_baseline" and options.get("head") == "gap":
        return {**same, "base": "baseline"}, "base."
    raise UserError(
        f"{architecture or 'a wrapped module'} with {dict(options)} has no class activation maps; "
        "train cam, cam_resnet50, or cam_baseline with head=gap"
    )


def compare_maps(
    classifier: Segmenter, scenes: Sequence[Scene], size: int, batch: int = 64
) -> dict[str, ConfusionMatrix]:
    """Score the maps of all `WAYS` on windows side by side.

    Parameters
    ----------
    classifier : Segmenter
        As for `as_segmenter`.
    scenes : sequence of Scene
        With labels.
    size : int
        Rows and columns of a window: those that the classifier was trained on.
    batch : int
        Windows run together.
    """
    found = {}
    own = _options(classifier, PLAIN)
    for name, options in WAYS.items():
        if options["method"] == FUSED and own.get("base") == "baseline":
            continue
        net = _with_maps(classifier, {**PLAIN, **options})
        maps = Segmenter.from_card(net, classifier.card)
        found[name] = scoring.score_windows(maps, scenes, size, batch)
    return found


def majority(matrix: ConfusionMatrix) -> ConfusionMatrix:
    """The matrix of the same truth, had every pixel been given its commonest class."""
    truth = matrix.counts.sum(1)
    constant = ConfusionMatrix(len(truth))
    constant.counts[:, int(truth.argmax())] = truth
    return constant


@dataclass(frozen=True)
class Labelling:
    """How labels of pixels are made of maps.

    Parameters
    ----------
    size : int
        Rows and columns of a window: those that the classifier was trained on.
    labels : ImageLabels
        Which classes a window is known to have. Nothing else is looked at of the true labels.
    scales : sequence of float
        As for `geoseg.train.pseudo.averaged_maps`.
    iterations : int
        As for `geoseg.train.pseudo.refined`.
    foreground : float
        The class with the highest map is a pixel's where that map, divided by its maximum over the
        window, is above it.
    background : float, optional
        Where all maps are below it, a pixel is of the first class, whose own map is then not looked
        at. None: the first class is one like any other, with a map of its own.
    """

    size: int
    labels: ImageLabels = field(default_factory=ImageLabels)
    scales: Sequence[float] = (1.0,)
    iterations: int = 0
    foreground: float = FOREGROUND
    background: float | None = BACKGROUND


def pseudo_dataset(model: Segmenter, data: Dataset, labelling: Labelling) -> Dataset:
    """A data set whose training pixels are labelled by maps, as far as these are sure.

    Parameters
    ----------
    model : Segmenter
        Gives maps: a classifier by `as_segmenter`, a network of full resolution that was trained
        with ``multi_label``, or one that learnt from labels made like this before.
    data : Dataset
    labelling : Labelling

    Returns
    -------
    Dataset
        Scenes to validate with and held out are those of `data`, with the true labels. What is to
        be learnt from is in memory.

    Raises
    ------
    UserError
        When no map is sure of any pixel.
    """
    training = [_labelled(model, scene.load(), labelling) for scene in data.training]
    if all((scene.labels == IGNORE).all() for scene in training if scene.labels is not None):
        raise UserError(
            f"{data.name}: no map is above {labelling.foreground} anywhere; lower foreground, or "
            "train the classifier for longer"
        )
    return replace(data, training=training)


def point_dataset(data: Dataset, size: int, seed: int = 0) -> Dataset:
    """A data set of whose training pixels one in each window has a label.

    That is the weak supervision beside labels of images of S. Wang et al., Weakly Supervised Deep
    Learning for Segmentation of Remote Sensing Imagery (Remote Sensing 12(2), 2020). Windows lie
    side by side; the pixel is drawn once, of those with a label.

    Parameters
    ----------
    data : Dataset
    size : int
        Rows and columns of a window.
    seed : int
        Of the draw.

    Returns
    -------
    Dataset
        Scenes to validate with and held out are those of `data`.

    Raises
    ------
    UserError
        When there is no such window.
    """
    if size < 1:
        raise UserError(f"windows of {size} pixels: give 1 or more")
    rng = np.random.default_rng(seed)
    return replace(data, training=[_pointed(scene, size, rng) for scene in data.training])


def _pointed(scene: Scene, size: int, rng: np.random.Generator) -> Scene:
    assert scene.labels is not None  # noqa: S101  (a Dataset's scenes all have labels)
    found = np.full(scene.shape, IGNORE, np.uint8)
    for box in tiles(scene.shape, (size, size)):
        labels = scene.read_labels(box)
        known = np.argwhere(labels != IGNORE)
        if len(known):
            row, column = known[rng.integers(len(known))]
            found[box][row, column] = labels[row, column]
    return replace(scene, labels=xr.DataArray(found, dims=("y", "x")))


def _labelled(model: Segmenter, scene: Scene, labelling: Labelling) -> Scene:
    """The scene with the labels of its windows side by side, later ones over earlier ones."""
    assert scene.labels is not None  # noqa: S101  (a Dataset's scenes all have labels)
    side = labelling.size
    found = np.full(scene.shape, IGNORE, np.uint8)
    for box in Windows(scene.shape, (side, side), (side, side)):
        rows, columns = found[box].shape  # a scene may be smaller than a window
        part = scene.part(box)
        labels = _labels_of(model, part.read(box), part.read_labels(box), scene.nodata, labelling)
        found[box] = labels[:rows, :columns]
    return replace(scene, labels=scene.labels.copy(data=found))


def _labels_of(
    model: Segmenter,
    pixels: NDArray[Any],
    truth: NDArray[np.uint8],
    nodata: float | None,
    labelling: Labelling,
) -> NDArray[np.uint8]:
    values, valid = model.normalise(torch.from_numpy(pixels)[None].to(model.device), nodata)
    known = torch.from_numpy(truth.astype(np.int64))[None]
    present = labelling.labels.present(known, len(model.card.classes)).to(model.device)
    with torch.no_grad():
        maps = max_normalised(averaged_maps(model.net, values, labelling.scales))
        maps = refined(maps, values, labelling.iterations)
        labels = _decided(maps, present, labelling)
    return labels.masked_fill(~valid, IGNORE)[0].cpu().numpy().astype(np.uint8)


def _decided(maps: Tensor, present: Tensor, labelling: Labelling) -> Tensor:
    """Classes (B, h, w) of the pixels of which maps are sure."""
    sure = labelling.foreground
    if labelling.background is not None:
        return pseudo_labels(maps, present, sure, labelling.background)
    # A class before the first, which is nowhere, in the place of the background.
    maps, present = _behind_nothing(maps), _behind_nothing(present)
    labels = pseudo_labels(maps, present, sure, 0.0)
    return labels.where(labels == IGNORE, labels - 1)


def _behind_nothing(each: Tensor) -> Tensor:
    """With zeros before the first of the channels."""
    return torch.cat([torch.zeros_like(each[:, :1]), each], 1)
