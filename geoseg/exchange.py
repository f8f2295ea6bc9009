"""Models for other runtimes, with the same card, and weights from elsewhere."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike, fspath, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from geoseg import nets
from geoseg.card import card_from_json, card_to_json
from geoseg.ensembles import Ensemble
from geoseg.errors import UserError
from geoseg.places import refuse_long
from geoseg.segmenter import METADATA_KEY, Segmenter

__all__ = ["export_model", "import_weights", "refuse_existing_model"]

EXPORTER = "torch.onnx._internal.exporter._registration"
"""The logger that tells of each operator of torchvision that it skips where that is missing."""


def export_model(segmenter: Segmenter, path: str | PathLike[str]) -> None:
    """Write a model for another runtime; its metadata hold the card under the key ``geoseg``.

    The exported network takes normalised pixels, as the card describes, in windows of any number
    and of any rows and columns that are multiples of its stride. Scores of classes that the card
    withholds are -inf.

    Parameters
    ----------
    segmenter : Segmenter
    path : path-like
        ``.onnx`` (needs the extra ``geoseg[onnx]``) or ``.pt2`` (`torch.export`).

    Raises
    ------
    UserError
        When the ending is unknown, the file exists, packages are missing, or it is an ensemble.
    """
    if isinstance(segmenter, Ensemble):
        raise UserError(f"{segmenter.card.name} is an ensemble; export its members one by one")
    target = Path(path)
    writers = {".onnx": _write_onnx, ".pt2": _write_pt2}
    if target.suffix not in writers:
        raise UserError(f"{target} must end in .onnx or .pt2, the formats models are exported to")
    refuse_existing_model(target)
    draft = target.with_name(f".{target.name}.part{target.suffix}")
    try:
        writers[target.suffix](segmenter, draft)
        replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def refuse_existing_model(target: Path) -> None:
    """Refuse a file that is there, or whose folder is not.

    Raises
    ------
    UserError
    """
    refuse_long(target)
    if target.exists():
        raise UserError(f"{target} exists; choose another name")
    if not target.parent.is_dir():
        raise UserError(f"there is no folder {target.parent}; make it first")


class _Withholding(nn.Module):
    """A network whose maps never show some classes, whoever decides by its scores."""

    def __init__(self, net: nn.Module, classes: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.net = net
        lowered = torch.zeros(1, classes, 1, 1)
        lowered[:, list(channels)] = -torch.inf
        self.register_buffer("lowered", lowered)
        self.lowered: torch.Tensor

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores of windows, as the network gives them, but for the classes it withholds."""
        scores: torch.Tensor = self.net(image) + self.lowered
        return scores


def _exported(segmenter: Segmenter) -> nn.Module:
    card = segmenter.card
    if not card.withheld:
        return segmenter.net
    return _Withholding(segmenter.net, len(card.classes), card.withheld_channels).eval()


def _example(segmenter: Segmenter) -> tuple[torch.Tensor]:
    side = max(2 * segmenter.card.stride, 64 // segmenter.card.stride * segmenter.card.stride)
    return (torch.zeros(2, len(segmenter.card.bands), side, side),)


def _write_pt2(segmenter: Segmenter, path: Path) -> None:
    program = torch.export.export(
        _exported(segmenter),
        _example(segmenter),
        dynamic_shapes=(_free_sizes(segmenter.card.stride),),
    )
    torch.export.save(program, path, extra_files={METADATA_KEY: card_to_json(segmenter.card)})


def _free_sizes(stride: int) -> dict[int, object]:
    """Batch, rows and columns may vary; sides in steps of the stride."""
    rows, columns = torch.export.Dim("rows", min=2), torch.export.Dim("columns", min=2)
    free: dict[int, object] = {0: torch.export.Dim("batch", min=1)}
    return free | {2: stride * rows, 3: stride * columns}


def _write_onnx(segmenter: Segmenter, path: Path) -> None:
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch's exporter needs it)
    except ImportError as error:
        raise UserError(
            f"export to ONNX needs a package that is missing ({error.name}); "
            "pip install 'geoseg[onnx]'"
        ) from error
    with warnings.catch_warnings(), _quiet(EXPORTER):
        warnings.simplefilter("ignore", FutureWarning)  # torch's exporter about torch itself
        program = torch.onnx.export(
            _exported(segmenter),
            _example(segmenter),
            dynamo=True,
            input_names=["image"],
            output_names=["scores"],
            dynamic_shapes=(_free_sizes(segmenter.card.stride),),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch gave no ONNX program")
    model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, card_to_json(segmenter.card)
    onnx.save(model, path)


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Let a logger tell errors only."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def import_weights(weights: str | PathLike[str], card: str | PathLike[str]) -> Segmenter:
    """Join plain weights with a card.

    Parameters
    ----------
    weights : path-like
        A ``.safetensors`` file whose tensors are named as those of the card's architecture.
    card : path-like
        A STAC Item as ``geoseg model info --json`` prints it.

    Raises
    ------
    UserError
        When a file cannot be read or the two do not fit each other.
    """
    try:
        facts = card_from_json(Path(card).read_text(encoding="utf-8"))
        state = load_file(weights)
    except (OSError, SafetensorError, UnicodeDecodeError) as error:
        raise UserError(
            f"{fspath(weights)} or {fspath(card)} cannot be read ({error}); give a .safetensors "
            "file and a card as JSON"
        ) from error
    net: nn.Module = nets.build(facts.architecture, **facts.options)
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise UserError(
            f"{fspath(weights)} does not fit {facts.architecture}: {reason}; rename its tensors"
        ) from error
    return Segmenter.from_card(net, facts)
