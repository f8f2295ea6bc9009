"""Arrow columns of numpy arrays, made of their memory.

`pyarrow.array` does the same, but imports pandas to see whether it was given a Series, for which
whoever writes a small file waits longer than for all the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["column", "values_of"]


def column(values: NDArray[Any]) -> pa.Array:
    """A column of int64, of float64 with NaN as null, or of text (an array of str)."""
    if values.dtype == object:
        return _texts([str(each).encode() for each in values])
    known = None
    if values.dtype == np.float64 and np.isnan(values).any():
        known = pa.py_buffer(np.packbits(~np.isnan(values), bitorder="little"))
    buffers = [known, pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), values.size, buffers)


def _texts(texts: list[bytes]) -> pa.Array:
    ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
    return pa.Array.from_buffers(pa.string(), len(texts), buffers)


def values_of(numbers: pa.DoubleArray) -> NDArray[np.float64]:
    """The values of a column of float64 without nulls."""
    values = np.frombuffer(numbers.buffers()[1], np.float64)
    return values[numbers.offset : numbers.offset + len(numbers)]
