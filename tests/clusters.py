"""Clusters of processes on this machine: a scheduler, and workers that may be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import distributed


class Processes:
    """A scheduler and its workers, each a process.

    Parameters
    ----------
    folder : Path
        For their files and logs.
    hosts : sequence of sequence of str, optional
        What is put before the commands of the scheduler and of the workers, to run them elsewhere.
    options : sequence of str, optional
        More options of the scheduler.
    bare : {"scheduler", "worker"}, optional
        Those for which there is no geoseg.
    """

    def __init__(
        self,
        folder: Path,
        hosts: Sequence[Sequence[str]] = ((), ()),
        options: Sequence[str] = (),
        bare: str | None = None,
    ) -> None:
        self.folder, self._file = folder, folder / "scheduler.json"
        self._hosts = dict(zip(("scheduler", "worker"), hosts, strict=True))
        self._bare, self._stack = bare, ExitStack()
        own = ("--port", "0", "--dashboard-address", ":0", *options)
        self.scheduler = self._start("scheduler", *own)
        wait_until(self._is_there)
        self.address: str = json.loads(self._file.read_text())["address"]
        self.workers: list[subprocess.Popen[bytes]] = []

    def _is_there(self) -> bool:
        """Whether the scheduler has written where it is, and not begun to."""
        try:
            return "address" in json.loads(self._file.read_text())
        except (FileNotFoundError, ValueError):
            return False

    def _start(self, kind: str, *arguments: str, bare: bool = False) -> subprocess.Popen[bytes]:
        log = self._stack.enter_context((self.folder / f"{kind}-{time.time_ns()}.log").open("wb"))
        command = [*self._hosts[kind], sys.executable, "-m", f"distributed.cli.dask_{kind}"]
        # Debug lines of geoseg, and no thread of torch's own beside those of the workers.
        settings = {"OMP_NUM_THREADS": "1", "DASK_LOGGING__GEOSEG": "debug"}
        home = None
        if bare or kind == self._bare:
            home = without_geoseg(self.folder / "bare")
            settings["PYTHONPATH"] = str(home)
        return subprocess.Popen(
            [*command, "--scheduler-file", str(self._file), *arguments],
            env=os.environ | settings,
            cwd=home,
            stdout=log,
            stderr=log,
        )

    def add_worker(self, *more: str, bare: bool = False) -> None:
        """Start a worker of one thread, without a nanny that would start another in its place."""
        self.workers.append(
            self._start(
                "worker", "--nthreads", "1", "--no-nanny", "--no-dashboard",
                "--local-directory", str(self.folder / "scratch"), *more, bare=bare,
            )
        )  # fmt: skip

    def kill_worker(self, which: int = 0) -> None:
        """End a worker at once; by default that which is there for longest."""
        worker = self.workers.pop(which)
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    def logged(self, what: str = " begun") -> int:
        """Lines of all workers; by default of blocks that were begun, finished or not."""
        logs = self.folder.glob("worker-*.log")
        return sum(log.read_text(errors="replace").count(what) for log in logs)

    def close(self) -> None:
        """End all."""
        for process in [self.scheduler, *self.workers]:
            process.kill()
            process.wait()
        self._stack.close()


def without_geoseg(folder: Path) -> Path:
    """A folder that hides geoseg from processes that look for modules there first."""
    (folder / "geoseg").mkdir(parents=True, exist_ok=True)
    line = "raise ModuleNotFoundError(\"No module named 'geoseg'\")\n"
    (folder / "geoseg" / "__init__.py").write_text(line)
    return folder


def wait_until(is_so: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@contextmanager
def processes(folder: Path, workers: int, bare: str | None = None) -> Iterator[Processes]:
    folder.mkdir()
    group = Processes(folder, bare=bare)
    try:
        for _ in range(workers):
            group.add_worker()
        yield group
    finally:
        group.close()


@contextmanager
def threads(workers: int = 1) -> Iterator[distributed.LocalCluster]:
    """A cluster of threads of this process, which shows no page and needs no port of its own."""
    with distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=False,
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": ":0"},  # tests run side by side
    ) as started:
        yield started
