"""Other views of the same ground: symmetries of the square, other light and sensor, other scale.

Kornia and torchvision.transforms.v2 were weighed and left: either is a dependency for thirty lines,
draws from torch's global generator (torchvision one factor for a whole batch) where a resumed run
needs numpy's, knows nothing of missing pixels, and scales saturation where the recipes shift it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the field's name for it)
from numpy.typing import NDArray
from torch import Tensor

from geoseg.errors import UserError
from geoseg.loader import IGNORE

__all__ = [
    "SYMMETRIES",
    "Augmentation",
    "Levels",
    "augment",
    "change_gamma",
    "drop_bands",
    "jitter",
    "random_symmetries",
    "refuse_range",
    "resized",
    "shift_hsv",
    "symmetry",
    "window_size",
]

SYMMETRIES: dict[str, tuple[int, ...]] = {
    "none": (0,),
    "flips": (0, 2, 4, 6),
    "all": tuple(range(8)),
}
"""Sets of symmetries that are drawn from alike: flips are top to bottom and left to right, each
with even odds; all are those with even odds of a quarter turn. From above there is no upright."""

FARTHEST = 8.0  # scales and gammas beyond it leave little of the ground to be made out


@dataclass(frozen=True)
class Augmentation:
    """Which changes are drawn, and how strong; the defaults change no pixel but where it lies.

    Parameters
    ----------
    symmetries : str
        none, flips, or all: flips and quarter turns, see `SYMMETRIES`.
    gain : float
        Bands are multiplied by 1 ± this at most, see `jitter`.
    offset : float
        Bands are moved by ± this many standard deviations at most, see `jitter`.
    hue, saturation, value : float
        Limit of the shift, drawn uniformly for each window, see `shift_hsv`.
    gamma : tuple of float
        Lowest and highest exponent, drawn uniformly for each window, see `change_gamma`.
    colour_chance : float
        Probability with which a window is shifted, and, drawn apart, has another gamma.
    drop_band : float
        Probability with which a band of a window is set to its mean, see `drop_bands`.
    scale : tuple of float
        Lowest and highest scale, drawn uniformly for each batch, see `window_size`.

    Raises
    ------
    UserError
        When a value cannot be meant.
    """

    symmetries: str = "all"
    gain: float = 0.0
    offset: float = 0.0
    hue: float = 0.0
    saturation: float = 0.0
    value: float = 0.0
    gamma: tuple[float, float] = (1.0, 1.0)
    colour_chance: float = 1.0
    drop_band: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if self.symmetries not in SYMMETRIES:
            raise UserError(f"symmetries={self.symmetries}: choose from {', '.join(SYMMETRIES)}")
        for name in ("gain", "offset"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"{name}={getattr(self, name)}: give a number of 0 or more")
        for name in ("hue", "saturation", "value", "colour_chance", "drop_band"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name}={getattr(self, name)}: give a number from 0 to 1")
        for name in ("gamma", "scale"):
            refuse_range(name, getattr(self, name))

    @property
    def shifts(self) -> tuple[float, float, float]:
        """Limits of the shifts of hue, saturation and value."""
        return self.hue, self.saturation, self.value

    @property
    def recolours(self) -> bool:
        """Whether any change needs to know how dark and bright a pixel is."""
        return any(self.shifts) or tuple(self.gamma) != (1, 1)


def refuse_range(name: str, stated: Sequence[float]) -> None:
    """Refuse what is no range of scales or gammas."""
    rising = len(stated) == 2 and stated[0] <= stated[1]
    if not rising or not 1 / FARTHEST <= stated[0] <= stated[1] <= FARTHEST:
        raise UserError(
            f"{name}={list(stated)}: give the lowest and the highest, from "
            f"{1 / FARTHEST:g} to {FARTHEST:g}"
        )


@dataclass(frozen=True)
class Levels:
    """How dark and bright the pixels are that normalised values stand for.

    Parameters
    ----------
    mean, std : tuple of float
        What values were normalised by, per band, with 0 for black and 1 for white: those of the
        card divided by 255 for pixels of 8 bits.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def shown(self, values: Tensor) -> Tensor:
        """Normalised values (B, C, h, w) as levels from 0 to 1."""
        mean, std = self._as(values)
        return (values * std + mean).clamp(0.0, 1.0)

    def normalised(self, levels: Tensor) -> Tensor:
        """What `shown` takes."""
        mean, std = self._as(levels)
        return (levels - mean) / std

    def _as(self, values: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = (values.new_tensor(each)[:, None, None] for each in (self.mean, self.std))
        return mean, std


def augment(
    values: Tensor,
    labels: Tensor,
    valid: Tensor,
    rng: np.random.Generator,
    settings: Augmentation,
    levels: Levels | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw another view of every window of a batch.

    Light and sensor change first, then missing pixels are made what they were, then windows are
    turned and mirrored. The scale is drawn before windows are read, see `window_size`.

    Parameters
    ----------
    values : Tensor of float32, shape (B, C, n, n)
        Normalised.
    labels : Tensor of int64, shape (B, n, n)
    valid : Tensor of bool, shape (B, n, n)
        Where there is data.
    rng : Generator
    settings : Augmentation
    levels : Levels, optional
        Needed where colours change.

    Returns
    -------
    values : Tensor of float32, shape (B, C, n, n)
        0 where nothing is valid.
    labels : Tensor of int64, shape (B, n, n)
        `IGNORE` where nothing is valid.

    Raises
    ------
    UserError
        When colours shall change of bands that have none.
    """
    if settings.recolours:
        values = _recoloured(values, rng, settings, levels)
    if settings.gain or settings.offset:
        values = jitter(values, rng, settings.gain, settings.offset)
    if settings.drop_band:
        values = drop_bands(values, rng, settings.drop_band)
    values = values.where(valid[:, None], 0)
    return random_symmetries(values, labels.where(valid, IGNORE), rng, settings.symmetries)


# -- place -----------------------------------------------------------------------------------------


def symmetry(tensor: Tensor, which: int) -> Tensor:
    """Apply one of the eight symmetries of the square.

    Parameters
    ----------
    tensor : Tensor, shape (..., n, n)
    which : int
        0 to 7; 0 changes nothing.
    """
    turned = torch.rot90(tensor, which % 4, (-2, -1))
    return turned.flip(-1) if which >= 4 else turned


def random_symmetries(
    values: Tensor, labels: Tensor, rng: np.random.Generator, among: str = "all"
) -> tuple[Tensor, Tensor]:
    """Turn and mirror every window of a batch at random, its labels alike.

    Parameters
    ----------
    values : Tensor, shape (B, C, n, n)
    labels : Tensor, shape (B, n, n)
    rng : Generator
    among : str
        Key of `SYMMETRIES`.
    """
    chosen = rng.choice(SYMMETRIES[among], size=len(values)).tolist()
    pairs = [
        (symmetry(v, each), symmetry(y, each))
        for v, y, each in zip(values, labels, chosen, strict=True)
    ]
    turned, followed = zip(*pairs, strict=True)
    return torch.stack(turned), torch.stack(followed)


def window_size(rng: np.random.Generator, crop: int, scale: Sequence[float]) -> int:
    """Draw how large a window is read, to be resized to a crop.

    Parameters
    ----------
    rng : Generator
    crop : int
        Rows and columns that the network sees.
    scale : tuple of float
        Lowest and highest scale, drawn uniformly: at 2 half the rows and columns are read, and the
        ground looks twice as large.
    """
    low, high = scale
    return crop if low == high == 1 else max(round(crop / rng.uniform(low, high)), 1)


def resized(
    values: Tensor, labels: Tensor, valid: Tensor, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Resize windows: values bilinearly, labels to those of the nearest pixels.

    Values are not smoothed before they are made fewer, as they are not in the recipes that resize
    at random. Windows of the asked size are given back as they are.

    Parameters
    ----------
    values : Tensor of float32, shape (B, C, n, n)
    labels : Tensor of int64, shape (B, n, n)
    valid : Tensor of bool, shape (B, n, n)
        Where there is data; other pixels are left out of the means.
    size : int
        Rows and columns to be.

    Returns
    -------
    values, labels, valid : Tensor
        Of `size` rows and columns. A pixel is valid where at least half of its weight is; labels
        are `IGNORE` and values 0 where it is not.
    """
    if values.shape[-1] == size:
        return values, labels, valid
    known = valid[:, None].to(values.dtype)
    weight = F.interpolate(known, (size, size), mode="bilinear")
    values = F.interpolate(values * known, (size, size), mode="bilinear")
    enough = weight >= 0.5
    values = (values / weight.clamp(min=0.5)).where(enough, 0)
    # Class indices up to 255 are exact in float32, which interpolation asks for.
    named = labels.where(valid, IGNORE)[:, None].to(torch.float32)
    nearest = F.interpolate(named, (size, size), mode="nearest-exact").to(labels.dtype)
    return values, nearest.where(enough, IGNORE)[:, 0], enough[:, 0]


# -- light and sensor ------------------------------------------------------------------------------


def jitter(values: Tensor, rng: np.random.Generator, gain: float, offset: float) -> Tensor:
    """Scale and shift every band of every window at random, as light, haze and sensors do.

    Parameters
    ----------
    values : Tensor, shape (B, C, h, w)
        In standard deviations from the mean.
    rng : Generator
    gain, offset : float
        Bands are multiplied by ``1 ± gain`` and moved by ``± offset`` standard deviations, both
        drawn uniformly.
    """
    shape = (*values.shape[:2], 1, 1)
    factor = 1 + _uniform(rng, gain, shape).to(values)
    return values * factor + _uniform(rng, offset, shape).to(values)


def drop_bands(values: Tensor, rng: np.random.Generator, chance: float) -> Tensor:
    """Set bands of windows to their mean, as if their sensor had seen nothing; never all of them.

    Parameters
    ----------
    values : Tensor, shape (B, C, h, w)
        In standard deviations from the mean.
    rng : Generator
    chance : float
        Probability of each band; one drawn at random is kept where all would go.
    """
    windows, bands = values.shape[:2]
    kept = rng.random((windows, bands)) >= chance
    spared = rng.integers(bands, size=windows)
    alone = np.arange(bands) == spared[:, None]
    kept |= alone & ~kept.any(axis=1, keepdims=True)
    return values * torch.from_numpy(kept).to(values)[:, :, None, None]


def shift_hsv(rgb: Tensor, shifts: Tensor) -> Tensor:
    """Shift hue, saturation and value.

    The formulas are those of A. R. Smith, "Color Gamut Transform Pairs", SIGGRAPH 1978, in the
    form without cases. OpenCV's units for 8 bits are 1/180 for hue and 1/255 for the others.

    Parameters
    ----------
    rgb : Tensor of float32, shape (B, 3, h, w)
        Red, green and blue from 0 to 1.
    shifts : Tensor of float32, shape (B, 3)
        What is added: to hue in turns of the colour circle, which closes; to saturation and value,
        which are clipped to 0 to 1.

    Returns
    -------
    Tensor of float32, shape (B, 3, h, w)
        From 0 to 1.
    """
    by_hue, by_saturation, by_value = shifts[:, :, None, None].unbind(1)
    hue, saturation, value = _hsv(rgb)
    hue = hue + by_hue
    saturation = (saturation + by_saturation).clamp(0.0, 1.0)
    value = (value + by_value).clamp(0.0, 1.0)
    turns = rgb.new_tensor([5.0, 3.0, 1.0])[:, None, None]
    k = (turns + 6.0 * hue[:, None]).remainder(6.0)
    strength = torch.minimum(k, 4.0 - k).clamp(0.0, 1.0)
    return value[:, None] * (1.0 - saturation[:, None] * strength)


def change_gamma(levels: Tensor, exponents: Tensor) -> Tensor:
    """Raise levels to a power: below 1 brightens, above 1 darkens; black and white stay.

    Parameters
    ----------
    levels : Tensor, shape (B, C, h, w)
        From 0 to 1.
    exponents : Tensor, shape (B,)
    """
    return levels ** exponents[:, None, None, None]


def _hsv(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue in turns, saturation and value, each (B, h, w); grey has hue 0, black saturation 0."""
    red, green, blue = rgb.unbind(1)
    value = rgb.amax(1)
    chroma = value - rgb.amin(1)
    some = chroma.where(chroma > 0, 1.0)
    sixths = ((red - green) / some + 4.0).where(value == blue, 0)
    sixths = ((blue - red) / some + 2.0).where(value == green, sixths)
    sixths = ((green - blue) / some).where(value == red, sixths)
    return sixths / 6.0, chroma / value.where(value > 0, 1.0), value


def _recoloured(
    values: Tensor, rng: np.random.Generator, settings: Augmentation, levels: Levels | None
) -> Tensor:
    if levels is None:
        raise UserError(
            "hue, saturation, value and gamma change colours of 8 bits; set them to 0 and gamma to "
            "1 for other pixels"
        )
    if any(settings.shifts) and values.shape[1] != 3:
        raise UserError(
            f"hue, saturation and value of {values.shape[1]} bands: only red, green and blue have "
            "them; set them to 0"
        )
    shown = levels.shown(values)
    shifts, exponents = _drawn_colours(rng, len(values), settings)
    if any(settings.shifts):
        shown = shift_hsv(shown, torch.from_numpy(shifts).to(values))
    return levels.normalised(change_gamma(shown, torch.from_numpy(exponents).to(values)))


def _drawn_colours(
    rng: np.random.Generator, count: int, settings: Augmentation
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shifts (count, 3) and exponents (count,); 0 and 1 for windows that keep their colours."""
    shifted, bent = rng.random((2, count)) < settings.colour_chance
    shifts = rng.uniform(-1, 1, (count, 3)) * settings.shifts
    exponents = rng.uniform(*settings.gamma, count)
    return np.where(shifted[:, None], shifts, 0.0), np.where(bent, exponents, 1.0)


def _uniform(rng: np.random.Generator, limit: float, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(rng.uniform(-limit, limit, shape))
