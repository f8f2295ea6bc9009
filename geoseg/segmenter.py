"""A network and its card: normalise, run, save, load."""

from __future__ import annotations

import copy
import hashlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from os import PathLike, fspath, replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from geoseg import nets
from geoseg.allocator import keep_memory
from geoseg.card import Card, card_from_json, card_to_json
from geoseg.classes import ClassInfo, as_classes
from geoseg.errors import UserError
from geoseg.nets.fold import fold_batch_norms
from geoseg.pixels import rounded, standardise
from geoseg.reach import Reach, measure_reach
from geoseg.windows import grown, reflect

__all__ = ["Segmenter", "find_model", "load", "shipped_models", "told_reach"]

keep_memory()  # whoever has a model is about to run it

METADATA_KEY = "geoseg"
PROBE = 1 << 20  # values of a window that is run to see what a network takes and gives
MODELS = Path(__file__).parent / "models"
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Segmenter:
    """A network that says what it takes and gives.

    Parameters
    ----------
    net : Module
        ``(B, C, h, w)`` float32 to ``(B, K, h, w)`` scores before softmax, of the same rows and
        columns whenever these are multiples of its total stride.
    classes : sequence of str or ClassInfo
        Names, or complete classes, of the K output channels.
    bands : sequence of str
        Names of the C input channels, e.g. ``("red", "green", "blue")``.
    mean, std : sequence of float
        Per band, in the units of the pixels.
    gsd : float, optional
        Ground sample distance it was trained on, in metres.
    **facts
        Any other field of `Card`.

    Raises
    ------
    UserError
        When the parts do not fit each other.

    Notes
    -----
    Halo and stride are measured from the network unless `facts` give them, or the network itself by
    attributes of these names.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        classes: Iterable[str | ClassInfo],
        bands: Sequence[str],
        mean: Sequence[float],
        std: Sequence[float],
        gsd: float | None = None,
        **facts: Any,
    ) -> None:
        facts = {
            "name": type(net).__name__,
            "description": "",
            "architecture": "",
            "options": {},
        } | facts
        if "halo" not in facts:
            reach = told_reach(net) or measure_reach(net, len(bands))
            facts |= {"halo": reach.halo, "stride": reach.stride}
        if gsd is not None and facts.get("gsd_range") is None:
            facts["gsd_range"] = (0.8 * gsd, 1.25 * gsd)
        self.net = net.eval()
        self.device, self.precision = _device_of(net), "fp32"
        self.card = Card(
            classes=as_classes(classes),
            bands=tuple(bands),
            mean=tuple(map(float, mean)),
            std=tuple(map(float, std)),
            gsd=gsd,
            **facts,
        )

    @classmethod
    def from_card(cls, net: nn.Module, card: Card) -> Self:
        """Join a network with the card that describes it; nothing is measured."""
        segmenter = cls.__new__(cls)
        segmenter.net = net.eval()
        segmenter.device, segmenter.precision = _device_of(net), "fp32"
        segmenter.card = card
        return segmenter

    def on(self, device: torch.device, precision: str = "fp32") -> Self:
        """A copy that runs on a device.

        Parameters
        ----------
        device : torch.device
        precision : {"fp32", "bf16", "fp16"}
            Of the network's arithmetic; scores are float32 all the same.
        """
        net = copy.deepcopy(self.net).to(device)
        fold_batch_norms(net)
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stub gap
        there = copy.copy(self)
        there.net, there.device, there.precision = net, device, precision
        return there

    def __repr__(self) -> str:
        names = ", ".join(each.name for each in self.card.classes)
        return f"Segmenter({self.card.name!r}: {', '.join(self.card.bands)} -> {names})"

    @property
    def channels(self) -> int:
        """Values of a pixel that the network takes."""
        return len(self.card.bands)

    @property
    def state(self) -> tuple[tuple[int, int], ...]:
        """Changes whenever weights of the network are changed or replaced."""
        tensors = self.net.state_dict(keep_vars=True).values()
        return tuple(
            (each.data_ptr(), 0 if each.is_inference() else each._version) for each in tensors
        )

    @property
    def digest(self) -> str:
        """SHA-256 over card and weights, in hexadecimal: the same model has the same digest."""
        sha = hashlib.sha256(card_to_json(self.card).encode())
        for name, tensor in sorted(self.net.state_dict().items()):
            sha.update(name.encode())
            sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return sha.hexdigest()

    def normalise(self, pixels: Tensor, nodata: float | None) -> tuple[Tensor, Tensor]:
        """What the network sees, and where there is something to see.

        Parameters
        ----------
        pixels : Tensor, shape (B, C, h, w)
            As read, any real dtype.
        nodata : float or None
            Value of missing pixels; NaN and infinity are missing as well.

        Returns
        -------
        values : Tensor of float32, shape (B, C, h, w)
            ``(pixel - mean) / std``, 0 (the mean) where a band is missing.
        valid : Tensor of bool, shape (B, h, w)
            False where the card's policy finds no data.
        """
        values = pixels.to(torch.float32)
        missing = ~values.isfinite() if pixels.is_floating_point() else None
        if nodata is not None and nodata == nodata:  # NaN is covered by isfinite
            marked = values == torch.tensor(nodata, dtype=torch.float32)
            missing = marked if missing is None else missing | marked
        mean, std = (
            torch.tensor(each, device=values.device)[:, None, None]
            for each in (self.card.mean, self.card.std)
        )
        values = (values - mean) / std
        if missing is None:
            return values, torch.ones_like(values[:, 0], dtype=torch.bool)
        gone = missing.all(1) if self.card.nodata == "all" else missing.any(1)
        return values.masked_fill(missing, 0.0), ~gone

    def _sent(self, pixels: Tensor) -> Tensor:
        """Pixels on the device; a GPU fetches them itself while the processor goes on."""
        pinned = pixels.pin_memory() if self.device.type == "cuda" else pixels
        return pinned.to(self.device, non_blocking=True)

    def _values(self, pixels: Tensor, nodata: float | None) -> Tensor:
        """The values of `normalise`, made in one pass over memory and with channels last."""
        count, bands, rows, columns = pixels.shape
        values = np.empty((count, rows, columns, bands), np.float32)
        mean, std = (np.array(each, np.float32) for each in (self.card.mean, self.card.std))
        for own, target in zip(pixels.numpy(), values, strict=True):
            standardise(own, mean, std, rounded(nodata), target)
        return torch.from_numpy(values).permute(0, 3, 1, 2)

    @torch.inference_mode()
    def logits(self, pixels: Tensor, nodata: float | None) -> Tensor:
        """Scores before softmax of windows as they were read.

        Parameters
        ----------
        pixels : Tensor, shape (B, C, h, w)
            As read; rows and columns that are not multiples of the stride are mirrored up to it.
        nodata : float or None

        Returns
        -------
        Tensor of float32, shape (B, K, h, w)
            Minus infinity for classes that the card withholds.
        """
        if self.device.type == "cpu":
            values = self._values(pixels, nodata)
        else:
            values, _ = self.normalise(self._sent(pixels), nodata)
        rows, columns = values.shape[2:]
        padded = _pad_to_multiple(values, self.card.stride)
        lower = self.precision != "fp32"
        with (
            torch.autocast(self.device.type, _DTYPES[self.precision], enabled=lower),
            _whole_floats if self.device.type == "cuda" else nullcontext(),
        ):
            scores: Tensor = self.net(padded.contiguous(memory_format=torch.channels_last))
        if scores.shape[1] != len(self.card.classes):
            raise UserError(
                f"the network gives {scores.shape[1]} scores a pixel but {len(self.card.classes)} "
                "classes are named; name one class for each"
            )
        scores = scores[..., :rows, :columns].float()
        if self.card.withheld:
            scores[:, self.card.withheld_channels] = -torch.inf
        return scores

    def save(self, path: str | PathLike[str]) -> None:
        """Write weights and card as one ``.safetensors`` file, whole or not at all.

        Raises
        ------
        UserError
            When the network is not one that `load` can build again.
        """
        if not self.card.architecture:
            raise UserError(
                f"{self.card.name} has no architecture name, so no file can tell how to build it; "
                f"use one of {', '.join(nets.REGISTRY)} (geoseg.nets.build)"
            )
        state = {k: v.detach().cpu().contiguous() for k, v in self.net.state_dict().items()}
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        _refuse_other_shapes(self.card, shapes, fspath(path))
        _refuse_other_channels(self.card, self.net, fspath(path))
        draft = Path(f"{fspath(path)}.part")
        # Written by Python, for safetensors' own file could be read by its owner alone.
        draft.write_bytes(save(state, metadata={METADATA_KEY: card_to_json(self.card)}))
        replace(draft, path)


class _WholeFloats:
    """Keeps a GPU from rounding float32 to 10 bits in convolutions, which is its default.

    It is a setting of the process: the first of the threads that need it makes it, the last one
    takes it back.
    """

    def __init__(self) -> None:
        self._lock, self._users = threading.Lock(), 0
        self._before: Any = None
        self._place: Any = torch.backends.cudnn
        self._name, self._wanted = "allow_tf32", cast(Any, False)
        if hasattr(torch.backends.cudnn, "conv"):  # torch >= 2.9, which warns about the old way
            self._place = torch.backends.cudnn.conv
            self._name, self._wanted = "fp32_precision", "ieee"

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = getattr(self._place, self._name)
                setattr(self._place, self._name, self._wanted)
            self._users += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                setattr(self._place, self._name, self._before)


_whole_floats = _WholeFloats()


def told_reach(net: Any) -> Reach | None:
    """What a network says of itself, if it does."""
    return Reach(net.halo, net.stride) if hasattr(net, "halo") else None


def _device_of(net: nn.Module) -> torch.device:
    first = next(net.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def _pad_to_multiple(values: Tensor, stride: int) -> Tensor:
    """Mirror rows and columns at the far border up to a multiple of the stride."""
    for dim in (2, 3):
        length = values.shape[dim]
        if length % stride:
            places = torch.from_numpy(reflect(slice(0, grown(length, stride)), length))
            values = values.index_select(dim, places.to(values.device))
    return values


def shipped_models() -> dict[str, Path]:
    """The models that come with geoseg, by name."""
    return {path.stem: path for path in sorted(MODELS.glob("*.safetensors"))}


def load(model: str | PathLike[str]) -> Segmenter:
    """Load a model file, or a shipped model by its name. No code in the file is ever run.

    Parameters
    ----------
    model : path-like or str
        A ``.safetensors`` file written by `Segmenter.save`, or a name of `shipped_models`.

    Returns
    -------
    Segmenter

    Raises
    ------
    UserError
        When there is no such model, or it is damaged, or of an unknown architecture.
    """
    path = find_model(fspath(model))
    try:
        with safe_open(path, framework="pt") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            if METADATA_KEY not in metadata:
                raise UserError(
                    f"{path} holds weights but no geoseg card; add one with geoseg model import"
                )
            card = card_from_json(metadata[METADATA_KEY])
            names = file.keys()
            _refuse_other_shapes(
                card, {n: tuple(file.get_slice(n).get_shape()) for n in names}, path
            )
            state = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} is not a model file or is damaged ({error}); get a fresh copy"
        ) from error
    net = nets.build(card.architecture, **card.options)
    net.load_state_dict(state)
    _refuse_other_channels(card, net.eval(), path)
    return Segmenter.from_card(net, card)


def find_model(model: str) -> str:
    """The path of a model file, or of a shipped model by its name.

    Raises
    ------
    UserError
        When there is no such model.
    """
    shipped = shipped_models()
    if os.path.isfile(model):
        return model
    if model in shipped:
        return str(shipped[model])
    raise UserError(
        f"there is no model {model!r}: neither a file nor one of the shipped models "
        f"({', '.join(shipped) or 'none'}); see geoseg model list"
    )


def _refuse_other_shapes(card: Card, shapes: Mapping[str, tuple[int, ...]], path: str) -> None:
    """Refuse weights that are not the card's network, before any memory is spent on it."""
    with torch.device("meta"):
        net = nets.build(card.architecture, **card.options)
    expected = net.state_dict()
    differing = [
        name
        for name in sorted({*shapes, *expected})
        if name not in shapes or name not in expected or shapes[name] != tuple(expected[name].shape)
    ]
    if differing:
        raise UserError(
            f"{path}: {len(differing)} weights, first {differing[0]}, are not those of "
            f"{card.architecture} with {dict(card.options)}; the file is damaged or mislabelled"
        )


def _refuse_other_channels(card: Card, net: nn.Module, path: str) -> None:
    """Refuse a card whose bands or classes are not as many as the channels of the network."""
    # Tensors without values would do, but torch takes a second to import what computes with them.
    huge = len(card.bands) * card.stride**2 > PROBE
    probe = copy.deepcopy(net).to("meta") if huge else net
    device = torch.device("meta") if huge else _device_of(net)
    pixels = torch.zeros(1, len(card.bands), card.stride, card.stride, device=device)
    try:
        with torch.inference_mode():
            scores = probe(pixels)
    except RuntimeError:  # from torch, in many lines
        scores = pixels[..., :0]
    if scores.shape[2:] != pixels.shape[2:]:
        raise UserError(
            f"{path}: the card names {len(card.bands)} bands and a stride of {card.stride}, which "
            f"{card.architecture} with {dict(card.options)} does not take; the file is mislabelled"
        )
    classes = scores.shape[1]
    if classes != len(card.classes):
        raise UserError(
            f"{path}: the card names {len(card.classes)} classes but {card.architecture} with "
            f"{dict(card.options)} tells {classes} apart; the file is mislabelled"
        )
