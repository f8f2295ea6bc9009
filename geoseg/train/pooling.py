"""From a map of scores to the scores of the image: how labels of images teach maps.

All of them take scores (B, K, h, w) before the sigmoid and give scores (B, K) before it, which a
binary cross-entropy with the classes that occur in the image can take.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from torch import Tensor

__all__ = ["POOLINGS", "Pooling", "highest", "log_sum_exp", "mean", "noisy_or", "top_share"]

SHARPNESS = 5.0  # Pinheiro and Collobert 2015, section 3.2, use this one
SHARE = 0.1  # no source: fields of a tenth of a window teach as one, single pixels do not


def mean(scores: Tensor) -> Tensor:
    """Every pixel counts alike: the class must fill the window for a high score."""
    return scores.mean((2, 3))


def highest(scores: Tensor) -> Tensor:
    """The one best pixel counts."""
    return scores.amax((2, 3))


def top_share(scores: Tensor, share: float = SHARE) -> Tensor:
    """Mean over the best pixels of each class, that share of all, at least one."""
    flat = scores.flatten(2)
    count = max(1, round(share * flat.shape[2]))
    return flat.topk(count, dim=2).values.mean(2)


def log_sum_exp(scores: Tensor, sharpness: float = SHARPNESS) -> Tensor:
    """Between mean and maximum: ``log(mean(exp(r * score))) / r``.

    P. Pinheiro and R. Collobert, From Image-level to Pixel-level Labeling with Convolutional
    Networks (CVPR 2015), eq. 2. A low sharpness r gives the mean, a high one the maximum.
    """
    flat = sharpness * scores.flatten(2)
    count = torch.tensor(flat.shape[2], dtype=flat.dtype, device=flat.device)
    return (flat.logsumexp(2) - count.log()) / sharpness


def noisy_or(scores: Tensor) -> Tensor:
    """The class is there unless it is at no pixel: ``p = 1 - prod(1 - sigmoid(score))``.

    Pixels are taken for independent (O. Maron and T. Lozano-Pérez, A Framework for
    Multiple-Instance Learning, NIPS 1997). Given as ``log(p / (1 - p))``.
    """
    # S = -log(1 - p), and log(p / (1 - p)) = S + log(1 - exp(-S)), which does not overflow.
    nowhere = F.softplus(scores).sum((2, 3)).clamp(min=torch.finfo(scores.dtype).tiny)
    return nowhere + (-torch.expm1(-nowhere)).log()


Pooling = Callable[[Tensor], Tensor]
"""From scores of pixels (B, K, h, w) to scores of windows (B, K)."""

POOLINGS: Mapping[str, Pooling] = {
    "mean": mean,
    "log_sum_exp": log_sum_exp,
    "top_share": top_share,
    "highest": highest,
    "noisy_or": noisy_or,
}
