"""Architectures by name: ``(B, C, h, w)`` float32 in, ``(B, K, h, w)`` float32 logits out.

Every network takes the options `in_channels` (C) and `classes` (K), gives the rows and columns it
was given whenever both are multiples of its attribute `stride`, and treats the images of a batch
apart once it is in evaluation mode. One that is costly to probe, and whose scores no shift shifts,
says so by an attribute `halo` of None; see `geoseg.reach`. Such a one may tell by an attribute
`sides`, a step and a rest, that it likes sides of windows that are a multiple of the step and the
rest: resized views of a window get the nearest of these; see `geoseg.views`.

While it is trained a network may give more: the scores of further heads, whose numbers of channels
are its attribute `heads`; or less: the middle of the window, where it pads nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from geoseg.errors import UserError
from geoseg.nets import smp
from geoseg.nets.cam import CamBaseline, CamNet, CamResNet50
from geoseg.nets.densenet import ClassmateNet, DFCNet, FCDenseNet
from geoseg.nets.fcn import MaggioriFCN, PatchCNN
from geoseg.nets.fusion import EarlyFusion, LateFusion, MiddleFusion
from geoseg.nets.inception import UNetInceptionResNetV2
from geoseg.nets.svm import RBFSVM
from geoseg.nets.unet import UNet
from geoseg.nets.unet_resnet import UNetResNet34

__all__ = ["REGISTRY", "build", "options_of"]

REGISTRY: dict[str, Callable[..., nn.Module]] = {
    "unet": UNet,
    "unet_resnet34": UNetResNet34,
    "unet_inception_resnet_v2": UNetInceptionResNetV2,
    "fcdensenet": FCDenseNet,
    "classmatenet": ClassmateNet,
    "dfcnet": DFCNet,
    "early_fusion": EarlyFusion,
    "middle_fusion": MiddleFusion,
    "late_fusion": LateFusion,
    "maggiori_fcn": MaggioriFCN,
    "patch_cnn": PatchCNN,
    "svm": RBFSVM,
    "cam_baseline": CamBaseline,
    "cam_resnet50": CamResNet50,
    "cam": CamNet,
}


def build(name: str, **options: Any) -> nn.Module:
    """Build a network with fresh weights.

    Parameters
    ----------
    name : str
        A key of `REGISTRY`, or ``smp:ARCHITECTURE/ENCODER`` (see `geoseg.nets.smp`).
    **options
        As `options_of` lists them.

    Raises
    ------
    UserError
        When there is no such network, or it has no such option, or cannot take such a value.
    """
    known = options_of(name)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UserError(
            f"network {name!r} has no option {', '.join(unknown)}; choose from {', '.join(known)}"
        )
    missing = [each for each, default in known.items() if default is None and each not in options]
    if missing:
        raise UserError(f"network {name!r} needs the option {', '.join(missing)}; give a number")
    try:
        return _constructor(name)(**options)
    except (TypeError, RuntimeError, OverflowError) as error:  # values from a file, of any kind
        reason = str(error).splitlines()[0]
        raise UserError(f"network {name!r} cannot be built with {options}: {reason}") from error


def options_of(name: str) -> Mapping[str, Any]:
    """Options of a network and their defaults; None for those that must be given.

    Raises
    ------
    UserError
        When there is no such network.
    """
    parameters = inspect.signature(_constructor(name)).parameters.values()
    return {p.name: None if p.default is p.empty else p.default for p in parameters}


def _constructor(name: str) -> Callable[..., nn.Module]:
    if name.startswith(smp.PREFIX):
        return smp.constructor_of(name)
    if name not in REGISTRY:
        raise UserError(
            f"there is no network {name!r}; choose from {', '.join(REGISTRY)}, or "
            f"{smp.PREFIX}ARCHITECTURE/ENCODER with geoseg[smp]"
        )
    return REGISTRY[name]
