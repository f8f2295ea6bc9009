"""A class map against the truth: counted block by block, told as a table, a folder and JSON."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from geoseg.charts import draw_confusion, draw_differences, draw_iou
from geoseg.classes import PALETTE, ClassInfo
from geoseg.errors import UserError
from geoseg.metrics import IGNORE, BinnedRoc, ConfusionMatrix
from geoseg.page import class_scores, figure, number, numbers, page, section, table
from geoseg.places import refuse_long
from geoseg.raster import class_table, open_raster, opened
from geoseg.windows import Box, tiles

__all__ = ["Evaluation", "evaluate", "refuse_report"]

log = logging.getLogger(__name__)

PIECE = (512, 8192)  # pixels counted at a time: rows of whole tiles, 4 MB a raster
SHOWN = 1200  # pixels a side, at most, of the map of differences
REPORT = "report.json"


@dataclass(frozen=True)
class Evaluation:
    """Counts of true and predicted classes, and what they mean.

    Parameters
    ----------
    classes : tuple of ClassInfo
    matrix : ConfusionMatrix
        In the order of `classes`.
    ignored : mapping of int to int
        Pixels of the truth by value that is no class.
    predicted, truth : str
        The files compared.
    auc : float, optional
        Area under the ROC curve of the probabilities of the second of two classes.
    """

    classes: tuple[ClassInfo, ...]
    matrix: ConfusionMatrix
    predicted: str
    truth: str
    ignored: Mapping[int, int] = field(default_factory=dict)
    auc: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON; scores without any pixel are null."""
        columns = self.matrix.by_class()
        return {
            "predicted": self.predicted,
            "truth": self.truth,
            "mIoU": _number(self.matrix.miou()),
            "overall_accuracy": _number(self.matrix.accuracy()),
            "average_accuracy": _number(self.matrix.average_accuracy()),
            **({} if self.auc is None else {"auc": _number(self.auc)}),
            "kappa": _number(self.matrix.kappa()),
            "pixels": int(self.matrix.support().sum()),
            "classes": [
                {"value": each.value, "name": each.name, "color": each.color}
                | {name: _number(column[i]) for name, column in columns.items()}
                for i, each in enumerate(self.classes)
            ],
            "confusion": self.matrix.counts.tolist(),
            "ignored_truth": {str(value): count for value, count in self.ignored.items()},
        }

    def table(self) -> str:
        """Scores as text: a line for each class, then those of the whole map."""
        columns = self.matrix.by_class()
        width = max(len(each.name) for each in self.classes)
        lines = [" " * width + "".join(f"{name:>12}" for name in columns)]
        for i, each in enumerate(self.classes):
            cells = [
                f"{int(column[i]):12,d}" if name == "support" else f"{_cell(column[i]):>12}"
                for name, column in columns.items()
            ]
            lines.append(f"{each.name:<{width}}{''.join(cells)}")
        missed = int(self.matrix.counts[:, -1].sum())
        lines += [
            "",
            f"mIoU {_cell(self.matrix.miou())}   "
            f"overall accuracy {_cell(self.matrix.accuracy())}   "
            f"average accuracy {_cell(self.matrix.average_accuracy())}   "
            f"kappa {_cell(self.matrix.kappa())}   {int(self.matrix.support().sum()):,} pixels",
        ]
        if self.auc is not None:
            lines.append(f"area under the ROC curve of {self.classes[1].name} {_cell(self.auc)}")
        if missed:
            lines.append(f"{missed:,} known pixels have no class in the map; they count as missed")
        return "\n".join(lines)

    def write_report(self, folder: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Write figures, JSON and a page that shows them into a folder.

        Raises
        ------
        UserError
            When the folder holds anything but an earlier report that may be replaced.
        """
        target = Path(folder)
        refuse_report(target, overwrite)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.part")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            draw_confusion(self.classes, self.matrix, draft / "confusion.png")
            draw_iou(self.classes, self.matrix, draft / "iou.png")
            draw_differences(_differences(self), draft / "differences.png")
            (draft / REPORT).write_text(json.dumps(self.to_dict(), indent=1), encoding="utf-8")
            (draft / "index.html").write_text(_page(self), encoding="utf-8")
            _swap(draft, target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def evaluate(
    predicted: str | PathLike[str],
    truth: str | PathLike[str],
    *,
    classes: Sequence[ClassInfo] | str | PathLike[str] | None = None,
    scores: str | PathLike[str] | None = None,
) -> Evaluation:
    """Compare a class map with a labelled raster of the same place, of any size.

    Parameters
    ----------
    predicted : path-like
        Class map.
    truth : path-like
        Labelled raster. On another grid it is read by nearest neighbour onto that of the map.
    classes : sequence of ClassInfo, or path-like, optional
        The classes that count, or a JSON or YAML file that maps values to names; by default those
        of either file, else the values that the truth holds. Other values of the truth are left
        out, and counted.

    Returns
    -------
    Evaluation

    Raises
    ------
    UserError
        When a file cannot be read, has several bands, or the two do not lie on each other.
    """
    paths = fspath(predicted), fspath(truth)
    for path in paths:
        _refuse_bands(path)
    chosen = _classes(classes, paths)
    if scores is not None:
        _refuse_other_scores(fspath(scores), paths[0], chosen)
    index = _index_of([each.value for each in chosen])
    matrix, ignored = ConfusionMatrix(len(chosen)), np.zeros(65536, np.int64)
    for found, true in _pieces(*paths):
        labels = index[true]
        matrix.update(np.where(labels < len(chosen), labels, IGNORE), index[found])
        ignored += np.bincount(true[labels == OTHER], minlength=ignored.size)
    left_out = {int(value): int(ignored[value]) for value in np.flatnonzero(ignored)}
    if left_out:
        log.warning("%s holds values that are no class and are left out: %s", truth, left_out)
    if not matrix.support().any():
        raise UserError(
            f"{paths[1]} has no pixel of a class where {paths[0]} lies; are they a pair?"
        )
    auc = None if scores is None else _auc(fspath(scores), paths[1], index)
    return Evaluation(chosen, matrix, *paths, left_out, auc)


def _refuse_other_scores(path: str, predicted: str, classes: Sequence[ClassInfo]) -> None:
    with opened(path) as found, opened(predicted) as labels:
        bands, kind, alike = found.count, found.dtypes[0], _same_grid(labels, found)
    if (bands, len(classes)) != (2, 2):
        raise UserError(
            f"{path} has {bands} bands and there are {len(classes)} classes; an area under the ROC "
            "curve is of the scores of two classes"
        )
    if not np.issubdtype(np.dtype(kind), np.floating) or not alike:
        raise UserError(
            f"{path} has {kind} pixels that are no scores on the grid of {predicted}; give what "
            "geoseg predict --scores wrote beside it"
        )


def _auc(scores: str, truth: str, index: NDArray[np.uint8]) -> float:
    """Area under the ROC curve of the second of two classes, over pixels of both."""
    roc = BinnedRoc()
    for found, true in _pieces(scores, truth, _read_second):
        labels = np.where(np.isnan(found) | (index[true] > 1), IGNORE, index[true])
        roc.update(np.clip(found, 0, 1), labels)
    return roc.auc()


OTHER = 254  # index of a value that is no class
MISSING = 65535  # stands for no data while two rasters are read


def _index_of(values: Sequence[int]) -> NDArray[np.uint8]:
    """Index of the class of each pixel value."""
    if len(values) >= OTHER:
        raise UserError(f"{len(values)} classes cannot be compared; the most are {OTHER - 1}")
    index = np.full(65536, OTHER, np.uint8)
    index[list(values)] = np.arange(len(values))
    index[MISSING] = IGNORE
    return index


def _refuse_bands(path: str) -> None:
    image = open_raster(path)
    if image.shape[0] != 1 or image.dtype.kind not in "ui":
        raise UserError(
            f"{path} has {image.shape[0]} bands of {image.dtype}; a class map has one of integers"
        )


def _pieces(
    predicted: str, truth: str, read: Callable[[Any, Box], NDArray[Any]] | None = None
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Both rasters piece by piece, with `MISSING` where they have no data."""
    with ExitStack() as stack:
        first = stack.enter_context(opened(predicted))
        second = stack.enter_context(opened(truth))
        other = second if _same_grid(first, second) else stack.enter_context(_warped(first, second))
        for box in tiles(first.shape, PIECE):
            yield (read or _read)(first, box), _read(other, box)


def _same_grid(first: Any, second: Any) -> bool:
    if first.shape != second.shape:
        return False
    unlocated = first.transform.is_identity or second.transform.is_identity
    if unlocated:
        return True
    return bool(
        first.transform.almost_equals(second.transform, 1e-6 * abs(first.transform.a or 1))
        and (first.crs == second.crs or None in (first.crs, second.crs))
    )


def _warped(first: Any, second: Any) -> Any:
    if first.crs is None or second.crs is None:
        raise UserError(
            f"{first.name} has {first.shape} pixels, {second.name} {second.shape}, and they do not "
            "both say where they lie; give both on one grid"
        )
    return WarpedVRT(
        second,
        crs=first.crs,
        transform=first.transform,
        height=first.height,
        width=first.width,
        resampling=Resampling.nearest,
        nodata=second.nodata,
        add_alpha=second.nodata is None,  # pixels outside of the truth are no class 0
    )


def _read(dataset: Any, box: Box) -> NDArray[Any]:
    window = Window.from_slices(*box)
    values = dataset.read(1, window=window).astype(np.int64)
    missing = dataset.read_masks(1, window=window) == 0
    beyond = (values < 0) | (values >= MISSING)
    return np.where(missing | beyond, MISSING, values)


def _read_second(dataset: Any, box: Box) -> NDArray[Any]:
    """Probabilities of the second class, NaN for none."""
    window = Window.from_slices(*box)
    known = dataset.read_masks(2, window=window) != 0
    return np.where(known, dataset.read(2, window=window), np.nan)


def _classes(
    given: Sequence[ClassInfo] | str | PathLike[str] | None, paths: tuple[str, str]
) -> tuple[ClassInfo, ...]:
    if isinstance(given, str | PathLike):
        return _read_classes(Path(given))
    if given is not None:
        return tuple(given)
    for path in paths:
        if named := class_table(path):
            return named
    return _classes_by_value(paths)


def _classes_by_value(paths: tuple[str, str]) -> tuple[ClassInfo, ...]:
    seen = np.zeros(65536, bool)
    for _, true in _pieces(*paths):
        seen[np.unique(true)] = True
    seen[MISSING] = False
    return tuple(
        ClassInfo(int(value), f"class {value}", PALETTE[i % len(PALETTE)])
        for i, value in enumerate(np.flatnonzero(seen))
    ) or (ClassInfo(0, "class 0", PALETTE[0]),)


def _read_classes(path: Path) -> tuple[ClassInfo, ...]:
    """Classes from a JSON or YAML file that maps values to names."""
    try:
        facts = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
        return tuple(
            ClassInfo(int(value), str(name), PALETTE[i % len(PALETTE)])
            for i, (value, name) in enumerate(facts.items())
        )
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} does not name classes ({reason}); write lines such as 1: water"
        ) from error


def _differences(evaluation: Evaluation) -> NDArray[np.uint8]:
    """A small map: 0 agrees, 1 differs, 2 is left out; nearest pixels."""
    index = _index_of([each.value for each in evaluation.classes])
    with ExitStack() as stack:
        first = stack.enter_context(opened(evaluation.predicted))
        second = stack.enter_context(opened(evaluation.truth))
        other = second if _same_grid(first, second) else stack.enter_context(_warped(first, second))
        scale = max(1, max(first.shape) / SHOWN)
        shape = tuple(max(1, round(n / scale)) for n in first.shape)
        found, true = (
            np.where(
                each.read_masks(1, out_shape=shape) == 0,
                MISSING,
                each.read(1, out_shape=shape).astype(np.int64).clip(0, MISSING),
            )
            for each in (first, other)
        )
    known = index[true] < len(evaluation.classes)
    return np.where(known, (index[found] != index[true]).astype(np.uint8), np.uint8(2))


def _swap(draft: Path, target: Path) -> None:
    """Put a folder in the place of another, which is there until the new one is."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.replace(target, old)
    os.replace(draft, target)
    shutil.rmtree(old, ignore_errors=True)


def refuse_report(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that holds anything but an earlier report that may be replaced.

    Raises
    ------
    UserError
    """
    refuse_long(folder)
    if not folder.exists():
        return
    is_report = folder.is_dir() and ((folder / REPORT).is_file() or not any(folder.iterdir()))
    if not is_report:
        raise UserError(f"{folder} holds other things than a report; choose another folder")
    if any(folder.iterdir()) and not overwrite:
        raise UserError(f"{folder} holds a report; add --overwrite or choose another folder")


def _number(value: Any) -> float | int | None:
    if isinstance(value, np.integer | int):
        return int(value)
    return None if np.isnan(value) else float(value)


def _cell(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


def _page(evaluation: Evaluation) -> str:
    matrix = evaluation.matrix
    total = {
        "mIoU": matrix.miou(),
        "overall accuracy": matrix.accuracy(),
        "average accuracy": matrix.average_accuracy(),
        **({} if evaluation.auc is None else {"area under the ROC curve": evaluation.auc}),
        "kappa": matrix.kappa(),
        "pixels": int(matrix.support().sum()),
    }
    ignored = [f"{value} ({count:,} pixels)" for value, count in evaluation.ignored.items()]
    facts = [
        ("map", evaluation.predicted),
        ("truth", evaluation.truth),
        ("values of the truth that are no class", ", ".join(ignored) or "none"),
    ]
    return page(
        "Evaluation",
        [
            numbers((name, number(value)) for name, value in total.items()),
            table((), facts, text=True),
            section(
                "Classes",
                [
                    class_scores(evaluation.classes, matrix),
                    figure("iou.png", "IoU of each class."),
                    figure("confusion.png", "Which classes the pixels of each class were given."),
                ],
            ),
            section("Map", [figure("differences.png", "Where map and truth differ.")]),
        ],
    )
