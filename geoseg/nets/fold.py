"""Networks made ready to run: what is known beforehand is computed beforehand."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["fold_batch_norms"]


def fold_batch_norms(net: nn.Module) -> None:
    """Fold batch normalisation into the convolution right before it, in place.

    Only inside of `Sequential`, where what follows what is written down. Scores change by no more
    than rounding.

    Parameters
    ----------
    net : Module
        In eval mode.
    """
    for module in net.modules():
        if isinstance(module, nn.Sequential):
            _fold(module)


def _fold(layers: nn.Sequential) -> None:
    names = list(layers._modules)
    for before, name in pairwise(names):
        conv, norm = layers._modules[before], layers._modules[name]
        if type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d and norm.track_running_stats:
            layers._modules[before] = fuse_conv_bn_eval(conv, norm)
            layers._modules[name] = nn.Identity()
