"""Many scenes over a cluster: which go to one worker, which to all, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pointwise import pointwise, random_pixels, write

from geoseg import batch
from geoseg.batch import SceneJob, Seen, predict_scenes


class Workers:
    """Stand in for a cluster."""

    def means(self, devices: str, asked: int | None) -> tuple[int, SimpleNamespace]:
        return asked or 10**9, SimpleNamespace(crew=2, kind="cpu")

    def each(
        self, function: object, items: Iterable[Seen], arguments: Callable[..., Any]
    ) -> Iterator[tuple[Seen, str]]:
        return ((item, "by one worker") for item in items)


def test_each_scene_of_a_batch_is_opened_once_to_see_who_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, asked, opened = [], [], batch.opened
    for name, side in (("a", 30), ("b", 60), ("c", 20)):
        scene = write(tmp_path / f"{name}.tif", random_pixels((3, side, side)).astype("uint8"))
        jobs.append(SceneJob(str(scene), (("dst", tmp_path / f"{name}-map.tif"),)))

    def counted(source: str) -> Any:
        asked.append(Path(source).stem)
        return opened(source)

    monkeypatch.setattr(batch, "opened", counted)
    monkeypatch.setattr(batch, "HUGE", 50 * 50)
    monkeypatch.setattr(batch, "hired", lambda scheduler: nullcontext(Workers()))
    monkeypatch.setattr(batch, "predict_file", lambda **_: "by all workers")
    named = ["toy.safetensors"]
    options = {"scheduler": "tcp://nowhere", "memory": None, "device": "cpu"}
    found = predict_scenes(jobs, pointwise(), named, options, lambda job: print)
    assert [(Path(job.source).stem, outcome) for job, outcome in found] == [
        ("a", "by one worker"),
        ("c", "by one worker"),
        ("b", "by all workers"),
    ]
    assert asked == ["a", "b", "c"]
