"""How far a network sees, measured on the network itself.

An output pixel depends on input pixels up to `halo` away. Windows that carry so much context, at
origins that are multiples of the total `stride`, give the same scores as one forward pass over the
whole image: tiling is then exact and needs no blending.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from geoseg.errors import UserError

__all__ = ["Reach", "measure_reach"]

STRIDES = (1, 2, 4, 8, 16, 32, 64)
UNIT = STRIDES[-1]  # probes have sides that are multiples of it, which any of these nets takes
WIDEST = (
    4096  # a network that still sees everything from this far is taken to see all of its window
)
SAME = 1e-9  # double precision, so that rounding lies far below and real differences far above


@dataclass(frozen=True)
class Reach:
    """How far a network sees.

    Parameters
    ----------
    halo : int or None
        Pixels beyond its own that an output pixel depends on; None when on the whole window.
    stride : int
        Smallest shift of the input, in pixels, that shifts the output alike.
    """

    halo: int | None
    stride: int


def measure_reach(net: nn.Module, bands: int) -> Reach:
    """Measure halo and stride of a network by probing it.

    Pixels on one side of a line are set to NaN: outputs that stay numbers do not depend on them,
    whatever the weights are. Afterwards a shifted cut of a random image must give the same scores
    as the whole, else the network looks at its whole window in some other way (pooling over all of
    it, normalising by its own statistics) and has no halo.

    A network whose attribute `stride` is a step of `STRIDES` is tried at that step first: of a deep
    one, each step that fails costs seconds.

    Parameters
    ----------
    net : Module
        ``(B, bands, h, w) -> (B, K, h, w)``; it is copied, not changed.
    bands : int
        Input channels.

    Returns
    -------
    Reach

    Raises
    ------
    UserError
        When the network does not give scores of the size of its input.
    """
    probe = copy.deepcopy(net).to("cpu", torch.float64).eval()
    with torch.no_grad():
        _refuse_other_sizes(probe, bands)
        halo = _halo(copy.deepcopy(probe).float(), bands)
        if halo is not None:
            for stride in (*_told(net), *STRIDES):
                if _is_equivariant(probe, bands, halo, stride):
                    return Reach(halo, stride)
        return Reach(None, _accepted_stride(probe, bands))


def _told(net: nn.Module) -> tuple[int, ...]:
    """The stride that a network tells; a convolution has an attribute of that name, too: a pair."""
    stride = getattr(net, "stride", None)
    return (stride,) if isinstance(stride, int) and stride in STRIDES else ()


def _refuse_other_sizes(probe: nn.Module, bands: int) -> None:
    image = torch.zeros(1, bands, UNIT, UNIT, dtype=torch.float64)
    try:
        scores = probe(image)
    except RuntimeError as error:
        raise UserError(
            f"the network does not take {bands} bands ({str(error).splitlines()[0]}); "
            "name as many bands as it has input channels"
        ) from error
    if not isinstance(scores, Tensor) or scores.ndim != 4 or scores.shape[2:] != image.shape[2:]:
        found = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise UserError(
            f"the network gives {found} for an image of {tuple(image.shape)}; wrap it so that it "
            "returns one tensor (batch, class, rows, columns) of the image's rows and columns"
        )


def _halo(probe: nn.Module, bands: int) -> int | None:
    """The farthest that a missing half plane is felt, over the four sides."""
    length = 4 * UNIT
    while length <= WIDEST:
        reaches = _felt_on_all_sides(probe, bands, length)
        if reaches is not None:
            return max(reaches)
        length *= 2
    return None


def _felt_on_all_sides(probe: nn.Module, bands: int, length: int) -> list[int] | None:
    """`_felt` on the four sides; None as soon as the strip is too short for one."""
    reaches = []
    for transposed, flipped in product((False, True), repeat=2):
        reach = _felt(probe, bands, length, transposed, flipped)
        if reach is None:
            return None
        reaches.append(reach)
    return reaches


def _felt(probe: nn.Module, bands: int, length: int, transposed: bool, flipped: bool) -> int | None:
    """How far before its begin a missing half is felt; None when up to the end of the strip."""
    strip = torch.zeros(1, bands, UNIT, length)  # what is a number and what is none needs no digits
    strip[..., length // 2 :] = torch.nan
    image = strip.flip(3) if flipped else strip
    scores = probe(image.transpose(2, 3) if transposed else image)
    scores = scores.transpose(2, 3) if transposed else scores
    felt = (scores.flip(3) if flipped else scores).isnan().any(dim=1).any(dim=1)[0]
    first = int(felt.nonzero()[0])
    return length // 2 - first if first > 0 else None


def _is_equivariant(probe: nn.Module, bands: int, halo: int, stride: int) -> bool:
    """Whether cuts of a random strip, begun one stride further in, give the scores of the whole."""
    length = -(-(2 * halo + UNIT) // UNIT) * UNIT + 2 * UNIT
    generator = torch.Generator().manual_seed(0)
    for axis in (2, 3):
        shape = [1, bands, UNIT, UNIT]
        shape[axis] = length
        image = torch.randn(shape, generator=generator, dtype=torch.float64)
        cut = image.narrow(axis, stride, length - UNIT)
        inner = length - UNIT - 2 * halo
        whole = probe(image).narrow(axis, stride + halo, inner)
        part = probe(cut).narrow(axis, halo, inner)
        if not torch.allclose(whole, part, rtol=SAME, atol=SAME):
            return False
    return True


def _accepted_stride(probe: nn.Module, bands: int) -> int:
    """The smallest step in which the sides of a window may grow."""
    for stride in STRIDES:
        side = UNIT + stride
        try:
            scores = probe(torch.zeros(1, bands, side, side, dtype=torch.float64))
        except RuntimeError:
            continue
        if scores.shape[2:] == (side, side):
            return stride
    return UNIT
