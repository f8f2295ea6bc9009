"""Several models as one: the mean of what they find probable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import lcm
from os import PathLike, fspath

import torch
from torch import Tensor, nn

from geoseg.card import Card
from geoseg.errors import UserError
from geoseg.segmenter import Segmenter, load
from geoseg.windows import grown

__all__ = ["Ensemble", "Model", "Models", "digest_of", "ensemble", "members_of"]

Model = Segmenter | str | PathLike[str]
"""A model, a model file, or the name of a shipped model."""

Models = Model | Sequence[Model]
"""A model, or several whose probabilities are averaged."""


def ensemble(models: Model | Iterable[Model]) -> Segmenter:
    """Join models whose probabilities are averaged, each weighing the same.

    Each sees pixels normalised by its own card, and where a band is missing its own mean. The mean
    is one of probabilities, after softmax; see `Ensemble` for what the joined card says.

    Parameters
    ----------
    models : Segmenter, path-like or str, or iterable of these
        Models, model files, or names of shipped models. Each file is loaded once; a single model is
        given back as it is.

    Returns
    -------
    Segmenter

    Raises
    ------
    UserError
        When there is none, when classes, bands or pixel sizes differ, or a file cannot be loaded.
    """
    given = [models] if isinstance(models, Segmenter | str | PathLike) else list(models)
    members = tuple(each if isinstance(each, Segmenter) else load(each) for each in given)
    if not members:
        raise UserError("no model is given; name at least one model or model file")
    names = [each.card.name if isinstance(each, Segmenter) else fspath(each) for each in given]
    return members[0] if len(members) == 1 else Ensemble.of(members, names)


class Ensemble(Segmenter):
    """A model that is the mean of others.

    Its network takes the values of all members, one after another as channels, and gives logarithms
    of mean probabilities: their softmax is the mean. Its card has the first member's bands, colours
    and ranges, the widest halo (None where a member has none), the least common multiple of the
    strides and the pixel sizes that all take; a pixel has no data where a member says so, and a
    class is never given that a member withholds.

    Attributes
    ----------
    members : tuple of Segmenter
        As they were joined; they share their weights with the network until it is copied.
    """

    members: tuple[Segmenter, ...]

    @classmethod
    def of(cls, members: Sequence[Segmenter], names: Sequence[str]) -> Ensemble:
        """Join two members or more, of these names in messages; see `ensemble`."""
        card = _joined([each.card for each in members], names)
        net = MeanProbability([each.net for each in members], [each.channels for each in members])
        joined = cls.from_card(net, card)
        joined.members = tuple(members)
        return joined

    @property
    def channels(self) -> int:
        """Values of a pixel that the network takes: those of all members."""
        return sum(each.channels for each in self.members)

    @property
    def digest(self) -> str:
        """The digests of the members, in order."""
        return digest_of(each.digest for each in self.members)

    def normalise(self, pixels: Tensor, nodata: float | None) -> tuple[Tensor, Tensor]:
        """What the members see, one after another as channels, and where all see something."""
        seen = [each.normalise(self._own(each, pixels), nodata) for each in self.members]
        valid = torch.stack([each for _, each in seen]).all(0)
        return torch.cat([values for values, _ in seen], 1), valid

    def _values(self, pixels: Tensor, nodata: float | None) -> Tensor:
        seen = [each._values(self._own(each, pixels), nodata) for each in self.members]
        return torch.cat(seen, 1)

    def _own(self, member: Segmenter, pixels: Tensor) -> Tensor:
        """The pixels with bands in the order of a member."""
        if member.card.bands == self.card.bands:
            return pixels
        return pixels[:, [self.card.bands.index(band) for band in member.card.bands]]

    def save(self, path: str | PathLike[str]) -> None:
        """Refused: an ensemble is its members' files.

        Raises
        ------
        UserError
        """
        raise UserError(
            f"{self.card.name} is an ensemble, which has no file of its own; save its members and "
            "name all of them: geoseg.ensemble(files), or --model more than once"
        )


def members_of(model: Segmenter) -> tuple[Segmenter, ...]:
    """The models that are files of their own."""
    return model.members if isinstance(model, Ensemble) else (model,)


def digest_of(members: Iterable[str]) -> str:
    """The digest of a model by those of its members."""
    return " + ".join(members)


class MeanProbability(nn.Module):
    """Logarithms of the mean probabilities of networks.

    Parameters
    ----------
    nets : sequence of Module
        Each maps its values to scores before softmax (B, K, h, w).
    channels : sequence of int
        Values of a pixel that each takes.
    """

    def __init__(self, nets: Sequence[nn.Module], channels: Sequence[int]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self.channels = list(channels)
        liked = {getattr(net, "sides", None) for net in nets}
        if len(liked) == 1 and None not in liked:
            self.sides = liked.pop()

    def forward(self, values: Tensor) -> Tensor:
        """Scores (B, K, h, w) of values (B, sum of channels, h, w)."""
        total = torch.zeros((), device=values.device)
        for net, own in zip(self.nets, torch.split(values, self.channels, 1), strict=True):
            scores = net(own.contiguous(memory_format=torch.channels_last))
            total = total + scores.float().softmax(1)
        return (total / len(self.nets)).log()


def _joined(cards: Sequence[Card], called: Sequence[str]) -> Card:
    first = cards[0]
    for other, name in zip(cards[1:], called[1:], strict=True):
        _refuse_different((first, other), (called[0], name))
    names = [each.name for each in cards]
    stride = lcm(*(each.stride for each in cards))
    halos = [each.halo for each in cards if each.halo is not None]
    return replace(
        first,
        name=" + ".join(names),
        description=f"Mean of the probabilities of {', '.join(names)}.",
        architecture="",
        options={},
        window=grown(max(each.window for each in cards), stride),
        halo=max(halos) if len(halos) == len(cards) else None,
        stride=stride,
        gsd_range=_common_range(cards),
        nodata="any" if any(each.nodata == "any" for each in cards) else "all",
        withheld=tuple(sorted({value for each in cards for value in each.withheld})),
        licence=" + ".join(dict.fromkeys(each.licence for each in cards)),
        training={},
        metrics={},
    )


def _refuse_different(cards: tuple[Card, Card], names: tuple[str, str]) -> None:
    (first, other), (one, two) = cards, names
    _refuse_other_names(cards, names)
    classes, others = ([f"{each.value} {each.name}" for each in card.classes] for card in cards)
    if classes != others:
        raise UserError(
            f"{one} tells {', '.join(classes)} apart but {two} {', '.join(others)}; an ensemble "
            "needs models of the same classes in the same order"
        )
    if sorted(first.bands) != sorted(other.bands):
        raise UserError(
            f"{one} takes the bands {', '.join(first.bands)} but {two} {', '.join(other.bands)}; "
            "an ensemble needs models of the same bands, in any order"
        )
    if first.gsd != other.gsd:
        raise UserError(
            f"{one} was trained on {_metres(first)} but {two} on {_metres(other)}; an ensemble "
            "needs models of one pixel size"
        )


def _refuse_other_names(cards: tuple[Card, Card], names: tuple[str, str]) -> None:
    """Refuse classes of the same values that are called otherwise."""
    mine, theirs = (card.classes for card in cards)
    if [each.value for each in mine] != [each.value for each in theirs]:
        return
    for own, other in zip(mine, theirs, strict=True):
        if own.name != other.name:
            raise UserError(
                f"class {own.value} is {own.name!r} in {names[0]} but {other.name!r} in "
                f"{names[1]}; an ensemble needs models of the same classes in the same order: "
                "train both with the same names, or where they mean the same, save the second with "
                "the classes of the first: Segmenter.from_card(b.net, dataclasses.replace(b.card, "
                "classes=a.card.classes)).save(...)"
            )


def _metres(card: Card) -> str:
    return "any pixel size" if card.gsd is None else f"pixels of {card.gsd:g} m"


def _common_range(cards: Sequence[Card]) -> tuple[float, float] | None:
    """The pixel sizes that all take without resampling; they are of one `gsd`."""
    gsd = cards[0].gsd
    if gsd is None:
        return None
    spans = [each.gsd_range or (gsd, gsd) for each in cards]
    return max(low for low, _ in spans), min(high for _, high in spans)
