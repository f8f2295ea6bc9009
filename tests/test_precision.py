"""Precision by measurement: lower only where that is faster and hardly a class changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import xarray as xr
from pointwise import pointwise, random_pixels, write
from toys import TwoLayers, segmenter_of

import geoseg
from geoseg import crew, precision
from geoseg.loader import Scene
from geoseg.precision import SIDE, Precision, choose_precision
from geoseg.raster.gaps import Gaps
from geoseg.tasks import Running


def large(pixels: np.ndarray | None = None) -> Scene:
    """A scene that is worth a sample; it takes no memory."""
    line = np.random.default_rng(0).integers(1, 255, (3, 1, 4000), np.uint8)
    rows = np.broadcast_to(line, (3, 4000, 4000)) if pixels is None else pixels
    image = xr.DataArray(rows, dims=("band", "y", "x")).rio.write_nodata(0)
    return Scene(image)


def pretend(monkeypatch: pytest.MonkeyPatch, changed: int, gain: float) -> list[int]:
    """Runs of windows in which some pixels of a million change their class; returns their log."""
    runs: list[int] = []

    def run(*args: Any) -> tuple[torch.Tensor, torch.Tensor, tuple[float, float]]:
        runs.append(1)
        whole = torch.zeros(1, 2, 1000, 1000)
        whole[:, 1] = 1
        lower = whole.clone()
        lower.view(1, 2, -1)[:, 0, :changed] = 2
        return whole, lower, (gain, 1.0)

    monkeypatch.setattr(precision, "_run", run)
    return runs


@pytest.mark.parametrize(
    ("changed", "gain", "expected"),
    [
        (0, 2.0, Precision("bf16", 1.0)),
        (1000, 2.0, Precision("bf16", 0.999)),
        (1100, 2.0, Precision("fp32", 0.9989)),
        (0, 1.2, Precision("fp32", 1.0)),
        (0, 0.1, Precision("fp32", 1.0)),
    ],
)
def test_bf16_is_chosen_where_it_is_faster_and_agrees(
    changed: int,
    gain: float,
    expected: Precision,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs = pretend(monkeypatch, changed, gain)
    caplog.set_level("INFO", logger="geoseg")
    found = choose_precision(large(), segmenter_of(TwoLayers()), Running())
    assert found.name == expected.name
    assert found.agreement == pytest.approx(expected.agreement)
    assert f"running in {expected.name}" in caplog.text
    slow = gain < precision.LEAST_GAIN
    assert len(runs) == (2 if slow else 1 + precision.SAMPLES)  # one more, to warm up


def test_a_precision_that_is_asked_for_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = pretend(monkeypatch, 0, 2.0)
    found = choose_precision(large(), segmenter_of(TwoLayers()), Running(precision="fp32"))
    assert (found, runs) == (Precision("fp32"), [])


def test_small_rasters_are_done_before_a_choice_would_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = pretend(monkeypatch, 0, 2.0)
    image = xr.DataArray(np.ones((3, 1000, 1000), np.uint8), dims=("band", "y", "x"))
    found = choose_precision(Scene(image), segmenter_of(TwoLayers()), Running())
    assert (found, runs) == (Precision("fp32"), [])


def test_the_sample_is_taken_where_there_is_data(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 0, 2.0)
    pixels = np.zeros((3, 4000, 4000), np.uint8)
    pixels[:, 2500:, 2500:] = 7
    model = segmenter_of(TwoLayers())
    boxes = [box for _, box in precision._sample(large(pixels), model, SIDE)]
    assert boxes
    assert all((pixels[0][box] > 0).mean() >= 0.5 for box in boxes)
    assert choose_precision(large(np.zeros_like(pixels)), model, Running()) == Precision("fp32")


def test_gaps_are_not_read_for_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = large()
    gone = Gaps(np.ones((8, 8), bool), (512, 512), (0, 0))
    empty = Scene(scene.image, gaps=gone)
    monkeypatch.setattr(Scene, "part", lambda *args: pytest.fail("it was read"))
    assert choose_precision(empty, segmenter_of(TwoLayers()), Running()) == Precision("fp32")


def test_both_precisions_are_really_run() -> None:
    scene, model = large(), segmenter_of(TwoLayers())
    part, box = next(precision._sample(scene, model, 64))
    whole, lower, seconds = precision._run(part, box, model, Running())
    assert whole.shape == lower.shape == (1, 4, 64, 64)
    assert 0 < (whole - lower).abs().max() < 0.1
    assert min(seconds) > 0


def test_the_choice_is_told_and_kept_by_a_run_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = write(tmp_path / "scene.tif", random_pixels((3, 200, 200)).astype(np.uint8))
    chosen = Precision("bf16", 0.9995)
    monkeypatch.setattr(crew, "choose_precision", lambda *args: chosen)
    begun: list[dict[str, Any]] = []

    class Stop(Exception):  # noqa: N818  (it stands for no error)
        pass

    def stop(event: dict[str, Any]) -> None:
        begun.append(event)
        if event["event"] == "progress":
            raise Stop

    options: dict[str, Any] = {"memory": 30_000}
    with pytest.raises(Stop):
        geoseg.predict_file(scene, tmp_path / "map.tif", pointwise(), on_progress=stop, **options)
    assert begun[0]["chosen"]["precision"] == "bf16"
    monkeypatch.setattr(crew, "choose_precision", lambda *args: pytest.fail("chosen again"))
    result = geoseg.predict_file(scene, tmp_path / "map.tif", pointwise(), **options)
    assert result.computed < result.blocks
    with rasterio.open(tmp_path / "map.tif") as file:
        tag = json.loads(file.tags()["GEOSEG_CHOSEN"])
    assert (tag["precision"], tag["agreement"]) == ("bf16", 0.9995)
