"""A support vector machine with a Gaussian kernel, as a layer that treats each pixel by itself.

C. Cortes and V. Vapnik, Support-Vector Networks (Machine Learning 20, 1995), eq. 34 with the kernel
``exp(-gamma * |x - v|^2)``. E. Maggiori et al. (IGARSS 2016) classify the colours of single pixels
with it, to show what the surroundings are worth.
"""

from __future__ import annotations

from math import isfinite

import torch
from torch import Tensor, nn

from geoseg.errors import UserError
from geoseg.nets.options import MOST_CHANNELS, refuse_unless_whole
from geoseg.nets.scores import count_maps, scores_of

__all__ = ["RBFSVM"]

MOST_VECTORS = 1_000_000  # beyond any machine that could be fitted
CHUNK = 1 << 20  # kernel values at a time: 4 MB, which caches hold


class RBFSVM(nn.Module):
    """Sums of Gaussians around support vectors.

    The score of a machine is ``f(x) = sum_i c_i exp(-gamma |x - v_i|^2) + b``. Two classes share
    one machine, of which the second class is the positive one: see `scores_of`. Of more classes
    each has a machine against the rest; they share the vectors. `geoseg.train.svm.fit_svm` fits
    them. Fresh weights are random; they may also be learnt by gradients.

    Parameters
    ----------
    in_channels : int
        Bands of the image, C.
    classes : int
        Classes to tell apart, K.
    vectors : int
        Support vectors, V.
    gamma : float
        Width of the kernel, in 1 / (units of the pixels)^2. The default is ``1 / (C Var)`` for
        three standardised bands.
    penalty : float
        What the machine was fitted with, see `geoseg.train.svm.fit_svm`. It is told for the record:
        vectors and coefficients are what came of it.

    Attributes
    ----------
    vectors : Parameter, shape (V, C)
    coefficients : Parameter, shape (V, machines)
        Multipliers with the signs of the labels.
    intercepts : Parameter, shape (machines,)
    stride : int
        1.

    Raises
    ------
    UserError
        When a number makes no machine.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        vectors: int = 1000,
        gamma: float = 1 / 3,
        penalty: float = 1.0,
    ) -> None:
        super().__init__()
        refuse_unless_whole(MOST_CHANNELS, in_channels=in_channels, classes=classes)
        refuse_unless_whole(MOST_VECTORS, vectors=vectors)
        for name, value in (("gamma", gamma), ("penalty", penalty)):
            if not isinstance(value, int | float) or not value > 0 or not isfinite(value):
                raise UserError(f"{name}={value!r}: give a number above 0")
        self.classes, self.stride = classes, 1
        self.gamma, self.penalty = float(gamma), float(penalty)
        machines = count_maps(classes)
        self.vectors = nn.Parameter(torch.randn(vectors, in_channels))
        self.coefficients = nn.Parameter(torch.randn(vectors, machines) / vectors**0.5)
        self.intercepts = nn.Parameter(torch.zeros(machines))

    def forward(self, image: Tensor) -> Tensor:
        """Scores (B, classes, h, w) of images (B, in_channels, h, w)."""
        pixels = image.movedim(1, 3)
        # A program that is exported for any size has no loop over its pixels.
        whole = torch.compiler.is_compiling()
        chunk = max(CHUNK // len(self.vectors), 1)
        chunks = (pixels,) if whole else torch.split(pixels.flatten(0, 2), chunk)
        scores = torch.cat([self._machines(each) for each in chunks])
        return scores_of(scores.reshape(*pixels.shape[:3], -1).movedim(3, 1), self.classes)

    def _machines(self, pixels: Tensor) -> Tensor:
        """Scores (..., machines) of pixels (..., C).

        The square of a distance is multiplied out, for one product of matrices does most of the
        work then. It is taken from the centre of the vectors, where it loses least to rounding.
        """
        centre = self.vectors.detach().mean(0)
        vectors, pixels = self.vectors - centre, pixels - centre
        exponents = pixels @ (2 * self.gamma * vectors.T)
        exponents = exponents - self.gamma * vectors.square().sum(1)
        exponents = exponents - self.gamma * pixels.square().sum(-1, keepdim=True)
        return exponents.exp() @ self.coefficients + self.intercepts
