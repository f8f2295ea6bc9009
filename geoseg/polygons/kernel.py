"""Compiled functions over flat arrays: what is done for every pixel and every vertex."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

__all__ = ["find", "inlined", "kernel", "ranges", "representatives", "unite", "unite_pairs"]

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function once, keep the machine code on disk, let other threads run meanwhile."""
    compiled: Any = numba.njit(cache=True, nogil=True)(function)
    return cast(F, compiled)


def inlined(function: F) -> F:
    """Compile a function into the kernels that use it; Python itself runs it as it is."""
    shared: Any = register_jitable(function)
    return cast(F, shared)


@kernel
def find(parent: NDArray[Any], item: int) -> int:
    """The representative of a set in a disjoint-set forest, halving the path to it."""
    while parent[item] != item:
        parent[item] = parent[parent[item]]
        item = parent[item]
    return item


@kernel
def unite(parent: NDArray[Any], one: int, other: int) -> None:
    """Make one set of two; its lowest item represents it, so a parent comes before its items."""
    one, other = find(parent, one), find(parent, other)
    if one < other:
        parent[other] = one
    else:
        parent[one] = other


@kernel
def unite_pairs(
    parent: NDArray[np.int64], ones: NDArray[np.int64], others: NDArray[np.int64]
) -> None:
    """Make one set of the sets of each pair."""
    for i in range(ones.size):
        unite(parent, ones[i], others[i])


@kernel
def representatives(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lowest item of the set of each item."""
    out = np.empty_like(parent)
    for item in range(parent.size):
        out[item] = find(parent, item)
    return out


def ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Every place of every range, one range after the other."""
    before = np.cumsum(lengths) - lengths
    places: NDArray[np.int64] = np.repeat(starts - before, lengths)
    return places + np.arange(places.size)
