"""What a training run is made of: data that were looked at, network, loss, optimiser."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from geoseg import nets
from geoseg.errors import UserError
from geoseg.segmenter import METADATA_KEY, Segmenter, load
from geoseg.train import averaging
from geoseg.train.checkpoint import State
from geoseg.train.data.dataset import Dataset, Statistics, measure
from geoseg.train.feed import Feed
from geoseg.train.losses import Loss, class_weights, over_heads
from geoseg.train.processes import Group
from geoseg.train.report.logbook import Logbook
from geoseg.train.settings import Settings
from geoseg.train.stated_loss import floor_of, image_labels, loss_of

__all__ = [
    "Run",
    "as_model",
    "begin",
    "normalisation",
    "optimiser_of",
    "prepare",
    "start_from",
    "weights_of",
]

log = logging.getLogger(__name__)

# Names that torchvision's residual networks have, and its densely connected ones.
TORCHVISION = ("layer1.0.conv1.weight", "features.conv0.weight")


@dataclass(frozen=True)
class Run:
    """What stays the same while a network is trained.

    Parameters
    ----------
    settings : Settings
    data : Dataset
        Whose classes the model has.
    model : Segmenter
        Around the network that is trained.
    loss : callable
        Of scores and labels, over all heads of the network.
    feed : Feed
    group : Group
    floor : float
        What the loss never falls below.
    logbook : Logbook, optional
        Of the process that tells.
    """

    settings: Settings
    data: Dataset
    model: Segmenter
    loss: Loss
    feed: Feed
    group: Group
    floor: float = 0.0
    logbook: Logbook | None = None

    def facts(self) -> dict[str, Any]:
        """What the run is, in JSON's types."""
        card = self.model.card
        data = {
            "bands": card.bands,
            "classes": [each.name for each in card.classes],
            "mean": card.mean,
            "std": card.std,
            "scenes": card.training["scenes"],
            "pixels": card.training["pixels"],
        }
        settings = {**asdict(self.settings), "processes": self.group.size}
        return _plain({"settings": settings, "data": data})


def prepare(settings: Settings, sets: Sequence[Dataset], group: Group) -> Run:
    """Look at the data and build what learns from it.

    Parameters
    ----------
    settings : Settings
    sets : sequence of Dataset
        That of the model, and one for each further head that learns from its own.
    group : Group

    Raises
    ------
    UserError
        When data, network and settings do not fit each other.
    """
    data = sets[0]
    for other in sets[1:]:
        if len(other.bands) != len(data.bands):
            raise UserError(
                f"{data.name} has {len(data.bands)} bands, its classmate {other.name} "
                f"{len(other.bands)}; choose the same ones of both"
            )
    _refuse_idle(settings, sets)
    if settings.keep == "best" and not data.validation:
        raise UserError(
            f"keep=best chooses by scores on validation scenes, and {data.name} has none; set "
            "keep=last, or name scenes to validate with"
        )
    statistics = measure(data)
    model = _untrained(settings, data, statistics, group.device)
    _refuse_crop(settings, model)
    _tell_of_mirrors(settings, sets)
    weights = class_weights(statistics.class_pixels, settings.class_power).to(group.device)
    loss = _loss_of(settings, model.net, sets, weights)
    _refuse_colours(settings, statistics)
    feed, floor = Feed(settings, sets, model, group), _floor(settings, model.net, sets)
    if len(sets) > 1 and hasattr(model.net, "turns"):
        model.net.turns = feed.turns  # type: ignore[assignment]
    return Run(settings, data, model, loss, feed, group, floor)


def begin(run: Run) -> State:
    """The network before its first step."""
    settings, net = run.settings, run.model.net
    average = averaging.begin(net) if settings.rates.snapshots(settings.steps) else None
    return State(net, *optimiser_of(settings, net), average=average)


def optimiser_of(
    settings: Settings, net: nn.Module
) -> tuple[torch.optim.Optimizer, torch.amp.GradScaler]:
    """What takes the steps, and what keeps gradients in range."""
    rate, shrink = settings.lr, settings.weight_decay
    optimiser: torch.optim.Optimizer
    if settings.optimiser == "sgd":
        optimiser = torch.optim.SGD(
            net.parameters(), rate, momentum=settings.momentum, weight_decay=shrink
        )
    else:
        kind = torch.optim.AdamW if settings.optimiser == "adamw" else torch.optim.Adam
        optimiser = kind(net.parameters(), rate, weight_decay=shrink)
    device = next(net.parameters()).device
    return optimiser, torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")


def weights_of(path: str) -> dict[str, Tensor]:
    """Weights that a network can start with.

    Parameters
    ----------
    path : str
        A model file, the name of a shipped model, or plain weights: a ``.safetensors`` file without
        a card.

    Raises
    ------
    UserError
        When there is no such file, or it is damaged.
    """
    plain = _plain_weights(path)
    if plain is not None:
        return plain
    with torch.random.fork_rng([]):  # to build a network draws its weights
        return load(path).net.state_dict()


def start_from(net: nn.Module, given: dict[str, Tensor], path: str) -> None:
    """Give a network the weights that have the same names and shapes.

    Parameters
    ----------
    net : Module
    given : dict of str to Tensor
        By the names of the network, or torchvision's for a ResNet-34 encoder in one of
        torchvision's variants (see `UNetResNet34.load_torchvision`) and for DenseNet-121 (see
        `FCDenseNet.load_torchvision`).
    path : str
        Where they are from, for messages.

    Raises
    ------
    UserError
        When none of them fit.
    """
    if any(name in given for name in TORCHVISION) and hasattr(net, "load_torchvision"):
        cast(Any, net).load_torchvision(given)
        log.info("the encoder has the weights of %s", path)
        return
    own = net.state_dict()
    fitting = {
        name: tensor
        for name, tensor in given.items()
        if name in own and own[name].shape == tensor.shape
    }
    if not fitting:
        raise UserError(f"start={path}: none of its weights fit this network; choose another model")
    net.load_state_dict(own | fitting)
    log.info("%d of %d weights are those of %s", len(fitting), len(own), path)
    differing = [name for name in given if name in own and name not in fitting]
    if differing:
        log.warning(
            "%d weights of %s have another shape here and start afresh, first %s",
            len(differing),
            path,
            differing[0],
        )


def _plain_weights(path: str) -> dict[str, Tensor] | None:
    """Weights of a file that says nothing else; None for model files, which have a card."""
    if not os.path.isfile(path):
        return None
    try:
        with safe_open(path, framework="pt") as file:
            if METADATA_KEY in (file.metadata() or {}):
                return None
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(
            f"start={path} is no .safetensors file or is damaged ({error}); convert the weights, "
            "e.g. with safetensors.torch.save_file"
        ) from error


def _loss_of(settings: Settings, net: nn.Module, sets: Sequence[Dataset], weights: Tensor) -> Loss:
    """The loss over all heads of a network.

    Each of several data sets has a head of its own. With one, all heads learn from it, as the
    branches of a late fusion do.
    """
    own = loss_of(settings.loss, weights, sets[0].unscored)
    if image_labels(settings.loss) and getattr(net, "log_probabilities", False):
        raise UserError(
            "average=probabilities is for those of pixels, and the loss is one of images; set "
            "average=scores"
        )
    classes = [len(each.classes) for each in sets]
    heads: Sequence[int] = getattr(net, "heads", (classes[0],))
    if len(sets) > 1:
        if list(heads) != classes:
            raise UserError(
                f"network {settings.net!r} has heads of {list(heads)} classes, the data sets have "
                f"{classes}; choose a network with a head for each, e.g. classmatenet"
            )
        others = (loss_of(settings.loss, None, each.unscored) for each in sets[1:])
        return over_heads(
            [own, *(_weighed(settings.classmate_weight, each) for each in others)], heads
        )
    if any(head != classes[0] for head in heads):
        raise UserError(
            f"network {settings.net!r} has a second head of {heads[-1]} classes; name the data set "
            "that it learns from as classmate"
        )
    if len(heads) == 1:
        return own

    def of_all_heads(scores: Tensor, labels: Tensor) -> Tensor:
        return torch.stack(
            [own(each, labels) for each in torch.split(scores, list(heads), 1)]
        ).sum()

    return of_all_heads


def _weighed(weight: float, loss: Loss) -> Loss:
    return lambda scores, labels: weight * loss(scores, labels)


def _floor(settings: Settings, net: nn.Module, sets: Sequence[Dataset]) -> float:
    """What the loss over all heads never falls below."""
    own, *others = (floor_of(settings.loss, len(each.classes), each.unscored) for each in sets)
    if others:
        return own + settings.classmate_weight * sum(others)
    return own * len(getattr(net, "heads", (0,)))


def _refuse_idle(settings: Settings, sets: Sequence[Dataset]) -> None:
    """Refuse settings of a second data set where there is none."""
    for name, default in (("classmate_batch", 0), ("classmate_weight", 1.0)):
        if len(sets) == 1 and getattr(settings, name) != default:
            raise UserError(
                f"{name}={getattr(settings, name):g}: there is no second data set; name it as "
                f"classmate, or leave {name} out"
            )


def _untrained(
    settings: Settings, data: Dataset, statistics: Statistics, device: torch.device
) -> Segmenter:
    options = _plain(
        {"in_channels": len(data.bands), "classes": len(data.classes), **settings.options}
    )
    net = nets.build(settings.net, **options)
    if settings.checkpointing:
        _compute_anew(net, settings.net)
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1/4 faster on CPU
    return as_model(settings, data, statistics, net.to(device), options)


def as_model(
    settings: Settings,
    data: Dataset,
    statistics: Statistics,
    net: nn.Module,
    options: Mapping[str, Any],
) -> Segmenter:
    """A network with the card that its settings and its data set give it."""
    counts = map(int, statistics.class_pixels)
    mean, std = normalisation(settings, statistics)
    model = Segmenter(
        net,
        name=data.name,
        description=data.description,
        architecture=settings.net,
        options=options,
        classes=data.classes,
        bands=data.bands,
        mean=mean,
        std=std,
        value_range=statistics.value_range,
        gsd=data.gsd,
        withheld=_withheld(settings, data),
        licence=data.licence,
        training={
            "scenes": len(data.training),
            "pixels": dict(zip((each.name for each in data.classes), counts, strict=True)),
            "settings": _plain(asdict(settings)),
        },
    )
    if model.card.halo is not None:
        return model
    # What a network that looks at its whole window sees at work is as large as in training.
    return Segmenter.from_card(model.net, replace(model.card, window=settings.crop))


def _withheld(settings: Settings, data: Dataset) -> tuple[int, ...]:
    """Values of the classes that the model never gives."""
    if settings.withhold_unscored and not data.unscored:
        raise UserError(
            f"withhold_unscored=True, but every class of {data.name} is scored; leave it out"
        )
    unscored = data.unscored if settings.withhold_unscored else ()
    return tuple(data.classes[label].value for label in unscored)


def normalisation(
    settings: Settings, statistics: Statistics
) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation of each band, as stated or else as measured."""
    bands = len(statistics.mean)
    mean, std = _a_band(settings.mean, bands), _a_band(settings.std, bands)
    return mean or statistics.mean, std or statistics.std


def _a_band(stated: Sequence[float], bands: int) -> Sequence[float]:
    """One number a band of what was stated for all of them, or for each."""
    if len(stated) in (0, bands):
        return stated
    if len(stated) > 1:
        raise UserError(
            f"mean and std have {len(stated)} numbers for {bands} bands; give one, or one a "
            "band, or none: []"
        )
    return list(stated) * bands


def _compute_anew(net: nn.Module, name: str) -> None:
    able = [module for module in net.modules() if hasattr(module, "checkpointing")]
    if not able:
        raise UserError(f"network {name!r} cannot compute features anew; leave checkpointing out")
    for module in able:
        module.checkpointing = True  # type: ignore[assignment]


def _refuse_crop(settings: Settings, model: Segmenter) -> None:
    """Refuse windows that a network does not give back in their size, where it has to.

    Without padding none are, and where labels are those of whole windows it does not matter.
    """
    stride = model.card.stride
    free = hasattr(model.net, "margin") or hasattr(model.net, "pooled")
    if settings.crop % stride and not free:
        raise UserError(
            f"crop={settings.crop}: network {settings.net!r} takes multiples of {stride}; set it "
            f"to {-(-settings.crop // stride) * stride}"
        )


def _tell_of_mirrors(settings: Settings, sets: Sequence[Dataset]) -> None:
    """Tell of windows that are larger than every image, and so show mirrored borders always."""
    for data in sets:
        rows, columns = max((scene.shape for scene in data.training), key=min)
        if settings.crop > min(rows, columns):
            log.warning(
                "crop=%d is more than any image of %s has, at most %d x %d pixels: all windows are "
                "filled up with mirrored borders; set crop=%d or less",
                settings.crop, data.name, rows, columns, min(rows, columns),
            )  # fmt: skip


def _refuse_colours(settings: Settings, statistics: Statistics) -> None:
    """Refuse changes of colour, which know black as 0 and white as 255, of other pixels."""
    low = min(span[0] for span in statistics.value_range)
    high = max(span[1] for span in statistics.value_range)
    if settings.augment.recolours and not 0 <= low <= high <= 255:
        raise UserError(
            f"hue, saturation, value and gamma change pixels of 8 bits, but these are {low:g} to "
            f"{high:g}; set hue=0, saturation=0, value=0 and gamma=[1,1]"
        )


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The same facts in JSON's types, as they come back from a file."""
    plain: dict[str, Any] = json.loads(json.dumps(facts))
    return plain
