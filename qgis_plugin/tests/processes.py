# SPDX-License-Identifier: GPL-2.0-or-later
"""What has become of processes that tests have begun."""

from __future__ import annotations

import subprocess
from pathlib import Path


def is_alive(number: int) -> bool:
    """Whether a process still does something; one that is dead may wait to be buried."""
    if Path("/proc/self/stat").exists():
        try:
            state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):  # gone, or going while it is looked at
            return False
        return state != "Z"
    told = subprocess.run(
        ["/bin/ps", "-o", "stat=", "-p", str(number)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(told) and not told.startswith("Z")
