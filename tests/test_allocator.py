"""Memory that is freed stays with the process while networks run, whichever thread had it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from geoseg.allocator import _libc

CODE = """
import resource
{first}
import geoseg.segmenter
import torch
from concurrent.futures import ThreadPoolExecutor

def touch(_):
    for side in (1024, 1500, 3000):  # up to 36 MB
        torch.zeros(side, side).add_(1)

with ThreadPoolExecutor(1) as pool:
    list(pool.map(touch, range(2)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    list(pool.map(touch, range(20)))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(_libc(), "mallopt"), reason="only glibc can be told")
@pytest.mark.parametrize("first", ["", "import geoseg, dask.array, rioxarray, pandas"])
def test_memory_is_not_fetched_from_the_system_again(first: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(first=first)],
        capture_output=True,
        text=True,
        check=True,
    )
    pages = 20 * sum(4 * side**2 for side in (1024, 1500, 3000)) // 4096
    assert int(done.stdout) < pages / 10
