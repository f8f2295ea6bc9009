"""Networks of the library segmentation-models-pytorch, by names like ``smp:unet/efficientnet-b4``.

Their weights are random: nothing is downloaded. A model that was trained from them is a file like
any other. Encoders are the library's own, and as ``tu-NAME`` those of timm, as far as they take
windows of any size: transformers of a fixed one are refused. DPT takes timm's vision transformers
(``smp:dpt/tu-vit_small_patch16_224``). It and PAN look at their whole window, so tiling is not
exact: windows are blended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from geoseg.errors import UserError
from geoseg.nets.options import MOST_CHANNELS, refuse_unless_whole
from geoseg.windows import grown

__all__ = ["PREFIX", "constructor_of"]

PREFIX = "smp:"
TIMM = "tu-"
PAN_LEAST = 128  # pixels: its pyramid halves features of 1/16 of the image three times


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
        attribute `stride` is that of the encoder, of DPT twice that. PAN is wrapped for windows of
        less than 128 pixels. A UserError says where it cannot be built.

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
    _refuse_unknown(name, "architecture", architecture, list(library.MODEL_ARCHITECTURES_MAPPING))
    # Only encoders that are listed, for other names may stand for files to be fetched.
    if not (encoder.startswith(TIMM) and encoder.removeprefix(TIMM) in _timm_models()):
        known = library.encoders.get_encoder_names()
        _refuse_unknown(name, "encoder", encoder, [*known, f"{TIMM}NAME of timm.list_models()"])

    def construct(in_channels: int, classes: int) -> nn.Module:
        refuse_unless_whole(MOST_CHANNELS, in_channels=in_channels, classes=classes)
        try:
            model = _created(library, architecture, encoder, (in_channels, classes))
        except (ValueError, KeyError, NotImplementedError, AttributeError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{name!r} cannot be built ({reason}); choose another encoder"
            ) from error
        return _fitted(name, architecture, model, in_channels)

    return construct


class Widened(nn.Module):
    """A network that takes windows smaller than it needs: zeros, the mean, follow behind them.

    Parameters
    ----------
    net : Module
    stride : int
        Of the network.
    side : int
        Rows and columns that it needs, a multiple of the stride.
    """

    def __init__(self, net: nn.Module, stride: int, side: int) -> None:
        super().__init__()
        self.net, self.stride, self.side = net, stride, side
        self.halo = None

    def forward(self, image: Tensor) -> Tensor:
        """Scores (B, K, h, w) of values (B, C, h, w)."""
        rows, columns = image.shape[2:]
        # Whole strides, so that the network itself refuses sides that are no multiple.
        below, beside = (grown(max(self.side - n, 0), self.stride) for n in (rows, columns))
        scores: Tensor = self.net(F.pad(image, (0, beside, 0, below)))
        return scores[:, :, :rows, :columns]


def _fitted(name: str, architecture: str, model: Any, bands: int) -> nn.Module:
    """The library's network as one that keeps to what all networks do."""
    model.stride = model.encoder.output_stride
    built: nn.Module = model
    if architecture == "dpt":
        model.stride *= 2  # it halves the grid of the transformer once more
        model.halo = None  # told, for to find it out takes a transformer minutes
    if architecture == "pan":
        built = Widened(model, model.stride, PAN_LEAST)
    if TIMM in name:
        _refuse_fixed_size(name, built, (1, bands, 2 * model.stride, 3 * model.stride))
    return built


def _refuse_fixed_size(name: str, net: nn.Module, shape: tuple[int, int, int, int]) -> None:
    """Refuse what does not take a small window (1, C, h, w) that is no square."""
    image = torch.zeros(shape, device=next(net.parameters()).device)
    training = net.training
    try:
        with torch.no_grad():
            fits = net.eval()(image).shape[2:] == shape[2:]
        reason = "its scores are of another size"
    except (RuntimeError, AssertionError, ValueError) as error:
        fits, reason = False, str(error).splitlines()[0].rstrip(".")
    net.train(training)
    if not fits:
        raise UserError(
            f"{name!r} does not take windows of any size ({reason}); choose another encoder"
        )


def _created(library: Any, architecture: str, encoder: str, channels: tuple[int, int]) -> Any:
    options = {
        "encoder_weights": None,  # others are downloaded
        "in_channels": channels[0],
        "classes": channels[1],
    }
    if architecture == "dpt":
        options["dynamic_img_size"] = True
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
    except RuntimeError as error:  # of torchvision, where it is of another build than torch
        raise UserError(
            f"{name!r} needs segmentation-models-pytorch, which does not load "
            f"({str(error).splitlines()[0]}); install torch and torchvision from one index"
        ) from error
    return segmentation_models_pytorch


def _timm_models() -> list[str]:
    import timm  # the library needs it, so it is there

    found: list[str] = timm.list_models()
    return found


def _refuse_unknown(name: str, kind: str, chosen: str, known: list[str]) -> None:
    if chosen not in known:
        raise UserError(f"{name!r}: there is no {kind} {chosen!r}; choose from {', '.join(known)}")
