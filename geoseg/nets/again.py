"""Features that are computed once more in the backward pass instead of being kept."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # what all kinds of it are, over processes too
from torch.utils.checkpoint import checkpoint

__all__ = ["computed_again"]


def computed_again(function: Callable[..., Tensor], layers: nn.Module, *features: Tensor) -> Tensor:
    """What a function of features gives, of which only the features are kept.

    G. Pleiss et al., Memory-Efficient Implementation of DenseNets (arXiv:1707.06990).

    Parameters
    ----------
    function : callable
        Makes a tensor of `features`; draws nothing at random.
    layers : Module
        What it computes with.
    *features : Tensor
    """
    # Contexts of the first and of the second computation; there is nothing to keep in the first.
    made: Tensor = checkpoint(
        function,
        *features,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (_StatisticsKept(nn.Identity()), _StatisticsKept(layers)),
    )
    return made


class _StatisticsKept:
    """What is computed inside leaves the running statistics of layers as they are.

    Else each batch would count twice in them, for its forward pass is run once more.
    """

    def __init__(self, layers: nn.Module) -> None:
        self.norms = [each for each in layers.modules() if isinstance(each, _BatchNorm)]

    def __enter__(self) -> None:
        self.before = [(norm.momentum, norm.num_batches_tracked) for norm in self.norms]
        for norm in self.norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None

    def __exit__(self, *_: object) -> None:
        for norm, before in zip(self.norms, self.before, strict=True):
            norm.momentum, norm.num_batches_tracked = before
