"""The page of a training run: how it goes, what came of it, from what."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from geoseg import page
from geoseg.card import Card
from geoseg.metrics import ConfusionMatrix
from geoseg.segmenter import Segmenter
from geoseg.train.data.dataset import Dataset
from geoseg.train.report.pictures import told_bands
from geoseg.train.report.published import Published
from geoseg.train.scoring import scores
from geoseg.train.settings import Settings

__all__ = ["Account", "account_of", "counted", "page_of"]

UNROUNDED = 15  # digits: what is rounded twice may end in another one

PARTS = {"held_out": "held-out", "validation": "validation"}
"""Scored scenes in words; those first that a run knows least about."""
METRICS = {
    "miou": "mIoU",
    "overall_accuracy": "overall accuracy",
    "average_accuracy": "mean recall of classes",
    "majority_accuracy": "accuracy of the commonest class",
    "auc": "area under the ROC curve",
    "discontinuity": "change across seams over that elsewhere",
    "iou": "IoU",
    "pixels": "pixels",
}
"""Scores of a card in words; others are told by their own names."""

OF_IMAGES = {
    "micro_f1": "micro-F1 of images",
    "average_accuracy": "decisions about images",
    "overall_accuracy": "overall accuracy of images",
    "average_recall": "mean recall of images",
}
"""Scores that come first where images are what is classified, in words."""


@dataclass(frozen=True)
class Account:
    """What there is to tell of a run.

    Parameters
    ----------
    settings : Settings
    data : Dataset
    card : Card
        Of the model; with its metrics once it is trained.
    parameters : int
        Numbers that the network learns.
    device : str
    published : Published, optional
        What a paper printed.
    step : int
        Steps done.
    history : sequence of mapping
    matrices : mapping of str to ConfusionMatrix, optional
        Of ``held_out`` and ``validation`` maps, as far as there are any; None while the run is
        under way.
    """

    settings: Settings
    data: Dataset
    card: Card
    parameters: int
    device: str
    published: Published | None = None
    step: int = 0
    history: Sequence[Mapping[str, float]] = ()
    matrices: Mapping[str, ConfusionMatrix] | None = None

    @property
    def decisive(self) -> str:
        """Name of the scored part that the run knew least about; empty where there is none."""
        return next((part for part in PARTS if part in (self.matrices or {})), "")

    @property
    def stepwise(self) -> bool:
        """Whether the network learns step by step; a support vector machine is fitted at once."""
        return self.settings.net != "svm"

    def facts(self) -> dict[str, Any]:
        """What the run is, for JSON."""
        card = self.card
        return {
            "finished": self.matrices is not None,
            "step": self.step,
            "metrics": card.metrics,
            "settings": asdict(self.settings),
            "data": {
                "name": self.data.name,
                "scenes": _scenes(self.data),
                "bands": card.bands,
                "mean": card.mean,
                "std": card.std,
                "value_range": card.value_range,
                "classes": {each.name: each.value for each in card.classes},
                "pixels": card.training["pixels"],
            },
            "network": {"parameters": self.parameters, "options": card.options},
            "device": self.device,
        }


def account_of(
    settings: Settings, data: Dataset, model: Segmenter, published: Published | None
) -> Account:
    """The account of a run before its first step."""
    parameters = sum(each.numel() for each in model.net.parameters())
    return Account(settings, data, model.card, parameters, str(model.device), published)


def page_of(run: Account) -> str:
    """The page, in HTML; pictures and tables that it names lie beside it."""
    state = "under way, or stopped" if run.matrices is None else "finished"
    steps = f"{run.step:,} of {run.settings.steps:,} steps, {state}. " if run.stepwise else ""
    return page.page(
        f"Training of {run.data.name}",
        [
            page.paragraph(
                f"{steps}Network {run.settings.net} with {run.parameters:,} parameters, on "
                f"{run.device}."
            ),
            page.numbers(_headline(run)),
            page.section("How it went", _curves(run)),
            page.section("Scores", _scores(run)),
            page.section("Beside the paper", _comparison(run)),
            page.section("Samples", _samples(run)),
            page.section("The first batch", _first_batch(run)),
            page.section("Data", _told_data(run)),
            page.section("Settings", _told_settings(run)),
            page.section("Files", [page.bullets(_files(run))]),
        ],
    )


def _headline(run: Account) -> list[tuple[str, str]]:
    """The numbers that matter most at this point."""
    if run.matrices and run.decisive:
        matrix, part = run.matrices[run.decisive], PARTS[run.decisive]
        found = run.card.metrics[run.decisive]
        of_images = found.get("of_images", {})
        area = [(f"{METRICS['auc']}, {part}", page.number(found["auc"]))] if "auc" in found else []
        return [
            *(
                (f"{word}, {part}", page.number(of_images[key]))
                for key, word in OF_IMAGES.items()
                if key in of_images
            ),
            (f"mIoU, {part}", page.number(matrix.miou())),
            (f"overall accuracy, {part}", page.number(matrix.accuracy())),
            *area,
            ("pixels scored", page.number(int(matrix.support().sum()))),
        ]
    last: dict[str, float] = {}
    for row in run.history:
        last |= row
    told = {"loss": "loss", "miou": "mIoU, validation"}
    return [(name, page.number(last[key])) for key, name in told.items() if key in last]


def _curves(run: Account) -> list[str]:
    if not run.stepwise:
        return []
    if not run.history:
        return [page.paragraph("Nothing to show yet.")]
    note = "Loss: mean over the steps since the point before."
    if any("miou" in row for row in run.history):
        note += (
            " Scores: over windows of the validation scenes, which see less around them than those "
            "of a finished map."
        )
    return [page.figure("curves.png", note)]


def _scores(run: Account) -> list[str]:
    if run.matrices is None:
        return []
    if not run.decisive:
        return [page.paragraph(f"There are no validation or held-out scenes to score. {REMEDY}")]
    matrix = run.matrices[run.decisive]
    return [
        page.paragraph(_measured(run)),
        page.class_scores(run.card.classes, matrix, f"Classes, {PARTS[run.decisive]} scenes."),
        page.figure("confusion.png", "Which classes the pixels of each class were given."),
    ]


REMEDY = (
    "To hold some out, name a split in the YAML file of the data set (geoseg recipes data), or give "
    "scenes as held_out."
)


def _measured(run: Account) -> str:
    """On which pixels our own scores were measured."""
    pixels = [
        f"{matrix.support().sum():,} labelled pixels of {counted(run.data, part)}, {_KNOWN[part]}"
        for part, matrix in sorted((run.matrices or {}).items())
    ]
    left_out = [run.card.classes[label].name for label in run.data.unscored]
    without = f" Pixels of {', '.join(left_out)} do not count." if left_out else ""
    return f"Measured on {'; '.join(pixels)}. Maps as a user gets them.{without}"


def counted(data: Dataset, part: str) -> str:
    """How many scenes a part has, in words."""
    count = _scenes(data)[part]
    return f"{count:,} {PARTS[part]} scene{'s' if count > 1 else ''}"


_KNOWN = {
    "held_out": "scored once, at the end",
    "validation": "never learnt from, but looked at while training",
}


def _comparison(run: Account) -> list[str]:
    if run.published is None:
        return []
    theirs = _theirs(run.published)
    if not run.card.metrics:
        return [theirs]
    return [page.side_by_side([theirs, _ours(run)])]


def _theirs(published: Published) -> str:
    """What a paper printed, as fractions where it printed per cent."""
    told = _fraction if published.per_cent else page.number
    unit = " Printed in per cent, shown as fractions of 1." if published.per_cent else ""
    rows = [[name, *map(told, cells)] for name, cells in published.rows.items()]
    return page.table(["published", *published.columns], rows, caption=f"{published.source}.{unit}")


def _fraction(per_cent: float | None) -> str:
    """With the decimals of a number of per cent that has two."""
    return page.number(None) if per_cent is None else f"{per_cent / 100:.4f}"


def _ours(run: Account) -> str:
    """The scores in the card, whatever they are, before they were rounded for it."""
    parts = [part for part in (*PARTS, *run.card.metrics) if part in run.card.metrics]
    parts = list(dict.fromkeys(parts))
    exact = {
        part: scores(matrix, run.card.classes, UNROUNDED)
        for part, matrix in (run.matrices or {}).items()
    }
    columns = [_flat(run.card.metrics[part] | exact.get(part, {})) for part in parts]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [[name, *(page.number(column.get(name)) for column in columns)] for name in names]
    head = ["this run", *(PARTS.get(part, part) for part in parts)]
    return page.table(head, rows, caption=_measured(run))


def _flat(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Scores by name, those of classes one by one, counts last."""
    found: dict[str, float | None] = {}
    for key, value in sorted(metrics.items(), key=lambda item: isinstance(item[1], int)):
        name = METRICS.get(key, key.replace("_", " "))
        if isinstance(value, Mapping):
            found |= {f"{name} {inner}": each for inner, each in _flat(value).items()}
        else:
            found[name] = value
    return found


def _samples(run: Account) -> list[str]:
    if not run.decisive:
        return []
    note = (
        f"Windows of {PARTS[run.decisive]} scenes whose labels mix most evenly; the image shows "
        f"{told_bands(run.card.bands)}."
    )
    return [page.figure("samples.png", note)]


def _first_batch(run: Account) -> list[str]:
    if not run.stepwise:
        return []
    note = (
        "Windows as the network learns from them at its first step, changed at random, beside "
        f"their labels; the image shows {told_bands(run.card.bands)}."
    )
    return [page.figure("first_batch.png", note)]


def _told_data(run: Account) -> list[str]:
    card, data = run.card, run.data
    pixels: Mapping[str, int] = card.training["pixels"]
    total = max(sum(pixels.values()), 1)
    classes = [
        [each.name, f"{each.value}", f"{pixels[each.name]:,}", f"{pixels[each.name] / total:.1%}"]
        for each in card.classes
    ]
    ranges = card.value_range or [(None, None)] * len(card.bands)
    bands = [
        [name, *(f"{number:.5g}" for number in (mean, std, *span) if number is not None)]
        for name, mean, std, span in zip(card.bands, card.mean, card.std, ranges, strict=True)
    ]
    facts = [
        ("scenes", ", ".join(f"{n:,} {_word(part)}" for part, n in _scenes(data).items() if n)),
        ("pixel size", "any" if data.gsd is None else f"{data.gsd:g} m"),
        ("licence", data.licence),
    ]
    return [
        *([page.paragraph(data.description)] if data.description else []),
        page.table((), facts, text=True),
        page.side_by_side(
            [
                page.table(
                    ["class", "value", "pixels", "share"],
                    classes,
                    caption="Labelled pixels of the training scenes.",
                    colors=[each.color for each in card.classes],
                ),
                page.table(
                    ["band", "mean", "std", "0.1 %", "99.9 %"],
                    bands,
                    caption="What pixels are normalised by, and percentiles of those learnt from.",
                ),
            ]
        ),
    ]


def _word(part: str) -> str:
    return "to learn from" if part == "training" else PARTS[part]


def _told_settings(run: Account) -> list[str]:
    own, usual = _settings(run.settings), _settings(Settings())
    rows = [
        [name, value, usual.get(name, "") if usual.get(name) != value else ""]
        for name, value in own.items()
    ]
    options = [[f"network: {name}", _worded(v), ""] for name, v in run.card.options.items()]
    return [
        page.table(["setting", "value", "default, where it is another"], rows + options, text=True)
    ]


def _settings(settings: Settings) -> dict[str, str]:
    facts = asdict(settings)
    augment = facts.pop("augment")
    del facts["options"]  # the card's are complete
    told = facts | {f"augment: {name}": value for name, value in augment.items()}
    return {name: _worded(value) for name, value in told.items()}


def _worded(value: Any) -> str:
    if value in ("", [], (), {}):
        return "–"
    return value if isinstance(value, str) else json.dumps(value)


def _files(run: Account) -> list[tuple[str, str]]:
    history = [("history.csv", "loss, learning rate and validation scores by step")]
    by_class = [("scores.csv", "scores of each class")] if run.decisive else []
    return [
        *(history if run.stepwise else []),
        *by_class,
        ("run.json", "settings, data, network and scores"),
    ]


def _scenes(data: Dataset) -> dict[str, int]:
    return {
        "training": len(data.training),
        "validation": len(data.validation),
        "held_out": len(data.held_out),
    }
