"""Who does the work of a run: this process, or the workers of a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from geoseg.crew import LocalCrew

if TYPE_CHECKING:
    from geoseg.cluster import Cluster

__all__ = ["hired"]


@contextmanager
def hired(scheduler: str | None) -> Iterator[LocalCrew | Cluster]:
    """Who does the work: a cluster that is named or that this process has a client of, else we."""
    if scheduler == "local":
        yield LocalCrew()
    elif scheduler is not None:
        from geoseg.cluster import connected

        with connected(scheduler) as cluster:
            yield cluster
    elif (active := _active_client()) is not None:
        from geoseg.cluster import Cluster

        yield Cluster(active)
    else:
        yield LocalCrew()


def _active_client() -> Any:
    """The dask client of this process, if there is one."""
    if "distributed" not in sys.modules:
        return None
    try:
        return sys.modules["distributed"].default_client()
    except ValueError:
        return None
