"""The half of a U-Net that goes back up, and the check that its kinds share.

O. Ronneberger, P. Fischer and T. Brox, U-Net: Convolutional Networks for Biomedical Image
Segmentation (MICCAI 2015), in the form of A. Rakhlin, A. Davydow and S. Nikolenko, Land Cover
Classification from Satellite Imagery With U-Net and Lovász-Softmax Loss (CVPR Workshops 2018):
nearest up-sampling, ELU before batch normalisation, and skips that are added or concatenated after
the step that reaches their resolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from geoseg.errors import UserError
from geoseg.nets.options import MOST_CHANNELS

__all__ = ["SKIPS", "Decoder", "head", "refuse_widths"]

SKIPS = ("add", "cat")
"""How a decoder takes in what the encoder kept."""


class Decoder(nn.ModuleList):
    """Steps up, each followed by the features of the encoder that are as fine.

    Parameters
    ----------
    inputs : int
        Channels of the coarsest features.
    widths : sequence of (int, int)
        Channels of the two convolutions of every step.
    kept : sequence of int
        Channels of what the encoder kept for every step, 0 where nothing.
    skip : {"add", "cat"}
        Added ones have the channels of their step already.

    Attributes
    ----------
    channels : int
        Of the finest features.
    """

    def __init__(
        self, inputs: int, widths: Sequence[tuple[int, int]], kept: Sequence[int], skip: str
    ) -> None:
        super().__init__()
        self.concatenates = skip == "cat"
        for (inner, outer), more in zip(widths, kept, strict=True):
            self.append(decoder_step(inputs, inner, outer))
            inputs = outer + more * self.concatenates
        self.channels = inputs

    def forward(self, features: Tensor, kept: Sequence[Tensor | None]) -> Tensor:
        """The finest features (B, channels, h, w) of coarse ones and those kept on the way.

        Parameters
        ----------
        features : Tensor, shape (B, inputs, h / 2 ** steps, w / 2 ** steps)
        kept : sequence of Tensor or None
            For every step, coarse to fine, None where nothing.
        """
        for step, skip in zip(self, kept, strict=True):
            features = step(features)
            if skip is not None:
                features = torch.cat((features, skip), 1) if self.concatenates else features + skip
        return features


def decoder_step(inputs: int, inner: int, outer: int) -> nn.Sequential:
    """Twice the rows and columns, then two 3 x 3 convolutions."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(inputs, inner, 3, padding=1),
        nn.ELU(),
        nn.BatchNorm2d(inner),
        nn.Conv2d(inner, outer, 3, padding=1),
        nn.ELU(),
        nn.BatchNorm2d(outer),
    )


def head(inputs: int, width: int, classes: int) -> nn.Sequential:
    """Scores of the classes from the finest features."""
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1), nn.ELU(), nn.Conv2d(width, classes, 1)
    )


def refuse_widths(in_channels: int, classes: int, widths: Sequence[int]) -> None:
    """Refuse numbers of channels that make no network.

    Raises
    ------
    UserError
    """
    for channels in (in_channels, classes, *widths):
        if not isinstance(channels, int) or not 1 <= channels <= MOST_CHANNELS:
            raise UserError(
                f"{channels!r} channels (in_channels {in_channels}, classes {classes}, widths "
                f"{list(widths)}): give whole numbers from 1 to {MOST_CHANNELS}"
            )
