"""The half of a U-Net that goes back up, and the checks that its kinds share.

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

__all__ = [
    "SKIPS",
    "Decoder",
    "head",
    "initialise",
    "refuse_depths",
    "refuse_other",
    "refuse_widths",
]

SKIPS = ("add", "cat")
"""How a decoder takes in what the encoder kept."""

MOST_CHANNELS = 65_536  # beyond any network; a number from a damaged file is stopped here
MOST_BLOCKS = 64  # of a stage, likewise


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


def initialise(module: nn.Module) -> None:
    """Normal with variance 2 / fan-in (He et al. 2015, eq. 10), biases 0."""
    # Weights without values, of which only shapes are wanted, need none.
    if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


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


def refuse_depths(option: str, depths: Sequence[int], stages: int) -> None:
    """Refuse numbers of blocks that make no network of so many stages.

    Raises
    ------
    UserError
    """
    whole = all(isinstance(depth, int) and 1 <= depth <= MOST_BLOCKS for depth in depths)
    if not whole or len(depths) != stages:
        raise UserError(
            f"{option} {list(depths)}: give {stages} whole numbers from 1 to {MOST_BLOCKS}"
        )


def refuse_other(option: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a value that is not among the choices of an option.

    Raises
    ------
    UserError
    """
    if value not in choices:
        raise UserError(f"{option} {value!r}: give one of {', '.join(choices)}")
