"""Networks of the library segmentation-models-pytorch, by names like ``smp:unet/efficientnet-b4``.

Their weights are random: nothing is downloaded. A model that was trained from them is a file like
any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from geoseg.errors import UserError
from geoseg.nets.options import MOST_CHANNELS, refuse_unless_whole

__all__ = ["PREFIX", "constructor_of"]

PREFIX = "smp:"
# What takes no window of 64 pixels (PAN needs 128), or none of the library's own encoders.
UNFIT = {"pan", "dpt"}


def constructor_of(name: str) -> Callable[..., nn.Module]:
    """What builds a network, given `in_channels` and `classes`.

    Parameters
    ----------
    name : str
        ``smp:ARCHITECTURE/ENCODER``.

    Returns
    -------
    callable
        Gives the library's own network with fresh weights and the names that it has for them; its
        attribute `stride` is that of the encoder. A UserError says where it cannot be built.

    Raises
    ------
    UserError
        When the library is not installed or has no such network.
    """
    library = _library(name)
    architecture, slash, encoder = name.removeprefix(PREFIX).partition("/")
    if not slash:
        raise UserError(
            f"{name!r} has no encoder; write {PREFIX}ARCHITECTURE/ENCODER, "
            f"e.g. {PREFIX}unet/resnet34"
        )
    architectures = [each for each in library.MODEL_ARCHITECTURES_MAPPING if each not in UNFIT]
    _refuse_unknown(name, "architecture", architecture, architectures)
    # Only the library's own encoders, for other names may stand for files to be fetched.
    _refuse_unknown(name, "encoder", encoder, library.encoders.get_encoder_names())

    def construct(in_channels: int, classes: int) -> nn.Module:
        refuse_unless_whole(MOST_CHANNELS, in_channels=in_channels, classes=classes)
        try:
            model = _created(library, architecture, encoder, (in_channels, classes))
        except (ValueError, KeyError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{name!r} cannot be built ({reason}); choose another encoder"
            ) from error
        model.stride = model.encoder.output_stride
        built: nn.Module = model
        return built

    return construct


def _created(library: Any, architecture: str, encoder: str, channels: tuple[int, int]) -> Any:
    options = {
        "encoder_weights": None,  # others are downloaded
        "in_channels": channels[0],
        "classes": channels[1],
    }
    try:
        return library.create_model(architecture, encoder, **options)
    except RuntimeError:
        if torch.get_default_device().type != "meta":
            raise
        # Some encoders read values back while they are made, which only tensors with values allow.
        with torch.device("cpu"):
            return library.create_model(architecture, encoder, **options).to("meta")


def _library(name: str) -> Any:
    try:
        import segmentation_models_pytorch
    except ImportError as error:
        raise UserError(
            f"{name!r} needs segmentation-models-pytorch, which is not installed; "
            "pip install 'geoseg[smp]'"
        ) from error
    return segmentation_models_pytorch


def _refuse_unknown(name: str, kind: str, chosen: str, known: list[str]) -> None:
    if chosen not in known:
        raise UserError(f"{name!r}: there is no {kind} {chosen!r}; choose from {', '.join(known)}")
