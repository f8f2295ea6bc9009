"""Many scenes over a cluster: which go to one worker, which to all, and what that costs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from items import contents
from pointwise import pointwise, random_pixels, write
from toys import segmenter_of

from geoseg import batch, cli, inputs, nets
from geoseg.batch import SceneJob, Seen, predict_scenes, refuse_clashes
from geoseg.cli import main
from geoseg.errors import UserError
from geoseg.places import place


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
    jobs, asked, opened = [], [], inputs.opened
    for name, side in (("a", 30), ("b", 60), ("c", 20)):
        scene = write(tmp_path / f"{name}.tif", random_pixels((3, side, side)).astype("uint8"))
        jobs.append(SceneJob(str(scene), (("dst", tmp_path / f"{name}-map.tif"),)))

    def counted(source: str) -> Any:
        asked.append(Path(source).stem)
        return opened(source)

    monkeypatch.setattr(inputs, "opened", counted)
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


def test_scores_of_one_scene_never_replace_the_map_of_another(tmp_path: Path) -> None:
    options = {"in_channels": 3, "classes": 4, "widths": [8, 8]}
    model = segmenter_of(nets.build("unet", **options), architecture="unet", options=options)
    model.save(tmp_path / "model.safetensors")
    (tmp_path / "in").mkdir()
    for name in ("a", "a_scores"):
        write(tmp_path / "in" / f"{name}.tif", random_pixels((3, 40, 30)).astype(np.uint8))
    words = ["predict", tmp_path / "in", tmp_path / "out", "-m", tmp_path / "model.safetensors"]
    words += ["--scores", ".tif", "--overwrite"]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 2
    assert "a_scores.tif would both become" in done.stderr
    assert not (tmp_path / "out").exists()
    apart = [str(word) for word in words if word not in ("--scores", ".tif")]
    assert CliRunner().invoke(main, apart).exit_code == 0
    assert {"a.tif", "a_scores.tif"} <= contents(tmp_path / "out").keys()


@pytest.mark.parametrize("folder", ["maps", "s3://bucket/maps"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("dst", "a.tif"), ("dst", "a.tif")),
        (("dst", "a.tif"), ("scores", "a.tif")),
        (("scores", "s.tif"), ("confidence", "s.tif")),
        (("dst", "a.tif"), ("polygons", "a.tif.json")),
        (("polygons", "a.gpkg"), ("dst", "a.gpkg.aux.xml")),
    ],
)
def test_no_file_of_a_scene_has_the_name_of_one_of_another(
    first: tuple[str, str], second: tuple[str, str], folder: str
) -> None:
    jobs = [
        SceneJob(source, tuple({"dst": place(f"{folder}/of-{source}"), name: own}.items()))
        for source, name, own in (
            (f"{i}.tif", name, place(folder) / each)
            for i, (name, each) in enumerate((first, second))
        )
    ]
    with pytest.raises(UserError, match=r"0\.tif and 1\.tif would both become .*maps.*; rename"):
        refuse_clashes(jobs)
    refuse_clashes(jobs[:1])


def test_no_file_of_a_scene_replaces_another_scene(tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.symlink_to(tmp_path)
    own = (("dst", tmp_path / "a.tif"), ("scores", tmp_path / "a_scores.tif"))
    scenes = [SceneJob(str(tmp_path / "a.png"), own)]
    scenes.append(SceneJob(str(linked / "a_scores.tif"), (("dst", tmp_path / "b.tif"),)))
    with pytest.raises(UserError, match=r"a_scores\.tif, which .* of .*a\.png, is a source itself"):
        refuse_clashes(scenes)
    stored = SceneJob("s3://bucket/a.png", (("dst", place("s3://bucket/b.tif")),))
    other = SceneJob("/vsis3/bucket/b.tif", (("dst", place("s3://bucket/c.tif")),))
    with pytest.raises(UserError, match="is a source itself; predict into another folder"):
        refuse_clashes([stored, other])


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("folder/scene.v2.tif", "scene.v2"),
        ("folder/scene.v2", "scene"),
        ("folder/what?.tif", "what?"),
        ("https://h/s/scene.TIF?sv=2024&sig=SE/CRET.x%3D", "scene"),
        ("/vsicurl/https://h/scene.tif?sig=SECRET.tif", "scene"),
        ("s3://bucket/scene.v2.jp2", "scene.v2"),
        ("https://h/collections/c/items/LC08.v1", "LC08.v1"),
        ("https://h/items/LC08.v1.json?token=a.b", "LC08.v1"),
    ],
)
def test_maps_of_a_batch_are_named_after_scenes_and_never_after_signatures(
    source: str, name: str
) -> None:
    arguments = {"polygons": Path(".gpkg"), "scores": None, "confidence": None}
    targets = dict(cli._targets(source, Path("maps"), arguments))
    assert targets == {"dst": Path(f"maps/{name}.tif"), "polygons": Path(f"maps/{name}.gpkg")}


def test_a_batch_without_a_folder_for_its_maps_is_refused_and_no_scene_is_touched(
    tmp_path: Path,
) -> None:
    scenes = [write(tmp_path / f"{i}.tif", random_pixels((3, 20, 20))) for i in range(3)]
    options = {"in_channels": 3, "classes": 4, "widths": [8, 8]}
    model = segmenter_of(nets.build("unet", **options), architecture="unet", options=options)
    model.save(tmp_path / "toy.safetensors")
    before = contents(tmp_path)
    for last, told in (
        (scenes[-1], r"2\.tif is a file, and several scenes need a folder for their maps; name"),
        (scenes[-1] / "in", r"cannot make the folder .*2\.tif/in \(Not a directory\); choose"),
    ):
        words = [*scenes[:2], last, "-m", tmp_path / "toy.safetensors"]
        done = CliRunner().invoke(main, ["predict", *map(str, words)])
        assert done.exit_code == 2
        assert re.search(told, done.stderr)
    assert contents(tmp_path) == before
