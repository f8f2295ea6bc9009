"""Devices are shared fairly, and a GPU's settings and memory are treated with care."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from geoseg import devices
from geoseg.devices import Capacity, capacity_of
from geoseg.segmenter import _WholeFloats


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two GPUs of which 20 and 9 GiB are free, and eight cores."""
    free = {0: 20 << 30, 1: 9 << 30}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free[device.index], 80 << 30))
    monkeypatch.setattr(devices, "cores", lambda: 8)


@pytest.mark.parametrize(
    ("names", "has"),
    [
        ("cpu", Capacity("cpu", 8, 1, (4 << 30) / 2 / 8, 8)),
        ("auto", Capacity("cuda", 2, 8, (16 << 30) / 2 / 2, 2)),  # the first GPU
        # Windows fit the smaller one as well.
        ("cuda:0,cuda:1", Capacity("cuda", 4, 8, (8 << 30) / 2 / 2, 4)),
        ("cuda:0,cpu", Capacity("cuda", 10, 1, (4 << 30) / 2 / 10, 10)),
    ],
)
@pytest.mark.usefixtures("two_gpus")
def test_work_is_shared_out_by_what_devices_take(names: str, has: Capacity) -> None:
    assert capacity_of(names, 4 << 30) == has


def test_whole_floats_are_asked_for_while_any_thread_needs_them() -> None:
    whole = _WholeFloats()

    def setting() -> object:
        return getattr(whole._place, whole._name)

    before, wanted = setting(), whole._wanted
    assert before != wanted
    inside, leave = threading.Barrier(3, timeout=60), threading.Event()

    def first() -> None:
        with whole:
            inside.wait()

    def second() -> None:
        with whole:
            inside.wait()
            assert leave.wait(60)

    with ThreadPoolExecutor(2) as pool:
        done, other = pool.submit(first), pool.submit(second)
        inside.wait()
        done.result()
        assert setting() == wanted  # the other one still computes
        leave.set()
        other.result()
    assert setting() == before
