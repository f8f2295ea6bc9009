"""Weights before training."""

from __future__ import annotations

from typing import Literal

from torch import nn

__all__ = ["initialise"]


def initialise(module: nn.Module, nonlinearity: Literal["relu", "linear"] = "relu") -> None:
    """Weights of a convolution normal with variance 2 / fan-in, biases 0.

    For ``module.apply``. K. He et al., Delving Deep into Rectifiers (ICCV 2015), eq. 10. Where
    nothing is rectified the variance is half of it, for nothing then halves what comes in.
    """
    # Weights without values, of which only shapes are wanted, need none.
    if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
        nn.init.kaiming_normal_(module.weight, nonlinearity=nonlinearity)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
