"""Which part a place belongs to: by a digest of its name, the same on every machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypedDict

from geoseg.loader import Scene
from geoseg.train.data.spec import PARTS

__all__ = ["FOUR_FIFTHS", "SEVEN_TENTHS", "in_parts", "shared_out"]

FOUR_FIFTHS = (0.8, 0.8, 1.0)
"""Where training, validation and held out end: a fifth held out, nothing to validate with."""
SEVEN_TENTHS = (0.7, 0.8, 1.0)
"""A tenth to validate with, a fifth held out."""


def in_parts(groups: Sequence[str], ends: Sequence[float]) -> list[str]:
    """Part of every item, such that items of one group are never parted.

    Groups are put in the order of the BLAKE2b digests of their names, and their items counted: a
    group is of the part in which its middle falls. Groups of one item fill parts exactly.

    Parameters
    ----------
    groups : sequence of str
        The place of each item.
    ends : sequence of float
        Share of the items up to which each of `PARTS` goes, rising to 1.

    Returns
    -------
    list of str
        One of `PARTS` for each item.
    """
    limits = [round(end * len(groups)) for end in ends]
    part_of, before = {}, 0
    for group, count in sorted(Counter(groups).items(), key=lambda each: _digest(each[0])):
        middle = before + count / 2
        part_of[group] = PARTS[sum(middle > limit for limit in limits)]
        before += count
    return [part_of[group] for group in groups]


def _digest(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=16).digest()


class Parts(TypedDict):
    """Scenes by part, as `Dataset` takes them."""

    training: list[Scene]
    validation: list[Scene]
    held_out: list[Scene]
    regions: tuple[str, ...]


def shared_out(scenes: Sequence[Scene], parts: Sequence[str], regions: Sequence[str] = ()) -> Parts:
    """Scenes by part, as `Dataset` takes them.

    Parameters
    ----------
    scenes : sequence of Scene
    parts : sequence of str
        One of `PARTS` for each.
    regions : sequence of str, optional
        Where each lies.
    """
    pairs = list(zip(scenes, parts, strict=True))
    training, validation, held_out = (
        [scene for scene, own in pairs if own == part] for part in PARTS
    )
    learnt = zip(regions, parts, strict=True) if regions else ()
    return {
        "training": training,
        "validation": validation,
        "held_out": held_out,
        "regions": tuple(region for region, own in learnt if own == PARTS[0]),
    }
