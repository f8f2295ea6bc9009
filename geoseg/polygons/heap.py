"""Binary heaps of whole numbers in flat arrays, the least one on top."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.polygons.kernel import inlined

__all__ = ["pop", "push"]


@inlined
def push(heap: NDArray[np.int64], size: int, key: int) -> int:
    """Put a key into a heap whose least one is on top; gives its new size."""
    i = size
    while i and heap[(i - 1) // 2] > key:
        heap[i] = heap[(i - 1) // 2]
        i = (i - 1) // 2
    heap[i] = key
    return size + 1


@inlined
def pop(heap: NDArray[np.int64], size: int) -> int:
    """Take the least key off a heap; gives its new size."""
    size -= 1
    key, i = heap[size], 0
    while 2 * i + 1 < size:
        child = 2 * i + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if key <= heap[child]:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = key
    return size
