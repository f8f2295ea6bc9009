"""Networks by name. All map (B, C, h, w) float32 to (B, K, h, w) scores before softmax.

Rows and columns must be multiples of the network's ``stride``; whoever calls pads.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from geoseg.errors import UserError
from geoseg.nets.unet import UNetM46

__all__ = ["REGISTRY", "build"]

REGISTRY: dict[str, Callable[..., nn.Module]] = {"unet-m46": UNetM46}


def build(name: str, **options: Any) -> nn.Module:
    """Build a network with fresh weights.

    Parameters
    ----------
    name : str
        Key of `REGISTRY`.
    **options
        Arguments of the network.

    Raises
    ------
    UserError
        When there is no such network, or it has no such option or not with such a value.
    """
    if name not in REGISTRY:
        raise UserError(f"architecture {name!r} is unknown; choose one of {', '.join(REGISTRY)}")
    known = inspect.signature(REGISTRY[name]).parameters
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UserError(f"{name} has no option {unknown[0]!r}; its options are {', '.join(known)}")
    try:
        return REGISTRY[name](**options)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{name} cannot be built with {options}: {reason}") from error
