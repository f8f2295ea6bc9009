# SPDX-License-Identifier: GPL-2.0-or-later
"""On Windows: a process and all it starts, which end with this program however that ends."""

from __future__ import annotations

import ctypes
import struct
from ctypes import wintypes
from typing import Any

__all__ = ["Job"]

EXTENDED_LIMITS = 9
KILL_ON_CLOSE = 0x2000
AFTER_TIMES, REST = 16, 124  # bytes of the structure of limits before and behind the flags


class Job:
    """A job object; the system closes it when this program dies, and with it ends what is in it.

    Parameters
    ----------
    process : int
        Handle of a process that has just been started.
    """

    def __init__(self, process: int) -> None:
        self._system = _system()
        self._handle = self._system.CreateJobObjectW(None, None)
        limits = struct.pack(f"={AFTER_TIMES}xI{REST}x", KILL_ON_CLOSE)
        self._system.SetInformationJobObject(self._handle, EXTENDED_LIMITS, limits, len(limits))
        self._system.AssignProcessToJobObject(self._handle, process)

    def close(self) -> None:
        """End what still runs in it."""
        handle, self._handle = self._handle, None
        if handle:
            self._system.CloseHandle(handle)


def _system() -> Any:
    """Functions of Windows, whose handles are wider than what ctypes takes numbers for."""
    system = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]
    system.CreateJobObjectW.argtypes = [ctypes.c_void_p, wintypes.LPCWSTR]
    system.CreateJobObjectW.restype = wintypes.HANDLE
    system.SetInformationJobObject.argtypes = [
        wintypes.HANDLE, ctypes.c_int, ctypes.c_char_p, wintypes.DWORD,
    ]  # fmt: skip
    system.AssignProcessToJobObject.argtypes = [wintypes.HANDLE, wintypes.HANDLE]
    system.CloseHandle.argtypes = [wintypes.HANDLE]
    return system
