"""Several views of each window: mirrored, turned, resized; the mean of what a model finds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pointwise import pointwise, random_pixels, write
from test_ensemble import OPTIONS, holey, member, scores_of
from toys import Hourglass, Pooled, TwoLayers, random_image, segmenter_of, whole_image_scores

import geoseg
from geoseg import nets
from geoseg.errors import UserError
from geoseg.job import predict_file
from geoseg.reach import measure_reach
from geoseg.segmenter import Segmenter
from geoseg.views import viewed

Way = Callable[[np.ndarray], np.ndarray]


def turns_of(views: str | None) -> list[tuple[Way, Way]]:
    """Each way to lay (band, rows, columns), and the way back, by numpy's quarter turns."""
    quarters = {None: [0], "flips": [0, 2], "d4": [0, 1, 2, 3]}[views]
    mirrors = [False] if views is None else [False, True]

    def to(pixels: np.ndarray, quarter: int, mirror: bool) -> np.ndarray:
        turned = np.rot90(pixels, quarter, (1, 2))
        return np.ascontiguousarray(turned[:, :, ::-1] if mirror else turned)

    def back(pixels: np.ndarray, quarter: int, mirror: bool) -> np.ndarray:
        return np.rot90(pixels[:, :, ::-1] if mirror else pixels, -quarter, (1, 2))

    return [
        (lambda p, q=q, m=m: to(p, q, m), lambda p, q=q, m=m: back(p, q, m))  # type: ignore[misc]
        for q in quarters
        for m in mirrors
    ]


def resized(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bilinear, antialiased towards fewer pixels, by torch in double precision."""
    tensor = torch.from_numpy(values.astype(np.float64))[None]
    done = torch.nn.functional.interpolate(
        tensor, shape, mode="bilinear", align_corners=False, antialias=True
    )
    return np.asarray(done[0].numpy())


def by_hand(
    model: Segmenter, pixels: np.ndarray, views: str | None, scales: tuple[float, ...] = (1.0,)
) -> np.ndarray:
    """Mean probabilities of the whole image; its sides are multiples of all that is wanted."""
    shape, found = pixels.shape[1:], []
    for scale in scales:
        sides = round(shape[0] * scale), round(shape[1] * scale)
        shown = resized(pixels, sides) if scale != 1 else pixels
        for to, back in turns_of(views):
            seen = back(whole_image_scores(model, to(shown)))
            found.append(resized(seen, shape) if scale != 1 else seen)
    return np.asarray(np.mean(found, 0))


@pytest.mark.parametrize("views", ["flips", "d4"])
@pytest.mark.parametrize("make", [TwoLayers, Hourglass])
def test_mirrored_and_turned_views_of_windows_are_those_of_the_whole_image(
    make: Any, views: str
) -> None:
    model = segmenter_of(make())
    image = random_image((160, 136))
    expected = by_hand(model, image.values, views)
    assert np.abs(expected - by_hand(model, image.values, None)).max() > 0.05
    for window in (32, 56, None):
        found = scores_of(image, model, views=views, window=window)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_turns_change_neither_halo_nor_stride() -> None:
    model = segmenter_of(Hourglass())
    card = viewed(model, "d4").card
    assert (card.halo, card.stride) == (model.card.halo, model.card.stride)
    measured = measure_reach(viewed(model, "d4").net, 3)
    assert (measured.halo, measured.stride) == (card.halo, card.stride)


@pytest.mark.parametrize("views", [None, "flips"])
@pytest.mark.parametrize("scales", [(0.75, 1, 1.25), (0.5,), (2,), (1 / 3, 1.5)])
def test_resized_views_of_windows_are_those_of_the_whole_image(
    views: Any, scales: tuple[float, ...]
) -> None:
    model = segmenter_of(Hourglass())
    image = random_image((192, 240))
    expected = by_hand(model, image.values, views, scales)
    for window in (128, None):
        found = scores_of(image, model, views=views, scales=scales, window=window)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@given(
    scale=st.fractions(min_value="1/3", max_value=2, max_denominator=6),
    rows=st.integers(60, 110),
    columns=st.integers(60, 110),
)
@settings(max_examples=5)
def test_tiling_is_exact_at_any_scale(scale: Any, rows: int, columns: int) -> None:
    model = segmenter_of(Hourglass())
    image = holey(random_image((rows, columns)))
    seen = viewed(model, None, (float(scale),))
    whole = scores_of(image, seen, window=2 * seen.card.halo + 110)
    least = 2 * seen.card.halo + seen.card.stride
    np.testing.assert_allclose(scores_of(image, seen, window=least), whole, atol=1e-5)


@pytest.mark.parametrize(
    ("stride", "scales", "halo", "step"),
    [
        (4, (0.75, 1, 1.25), 16, 16),  # 10 / 0.75 + 2 / 0.75, and 16 * 0.75 = 12
        (4, (1,), 10, 4),
        (4, (0.5,), 24, 8),
        (4, (2,), 7, 2),
        (32, (0.75, 1, 1.25), 16, 128),
        (6, (0.75,), 16, 8),
    ],
)
def test_halo_and_stride_of_resized_views_are_bounded(
    stride: int, scales: tuple[float, ...], halo: int, step: int
) -> None:
    model = segmenter_of(TwoLayers(), halo=10, stride=stride)
    card = viewed(model, "flips", scales).card
    assert (card.halo, card.stride) == (halo, step)
    for scale in scales:
        assert step * scale % stride == 0
    assert viewed(segmenter_of(Pooled()), "flips", scales).card.halo is None


def test_a_network_of_single_pixels_sees_the_same_in_all_turns() -> None:
    model = pointwise()
    image = random_image((90, 70), nodata=0)
    expected = scores_of(image, model)
    np.testing.assert_allclose(scores_of(image, model, views="d4"), expected, atol=1e-6)


def test_views_of_an_ensemble_are_the_mean_of_views_of_its_members() -> None:
    members = [member(TwoLayers(), 1), member(Hourglass(), 2)]
    image = holey(random_image((64, 80)))
    options: dict[str, Any] = {"views": "flips", "scales": (1, 0.5)}
    mean = np.mean([scores_of(image, each, **options) for each in members], 0)
    np.testing.assert_allclose(scores_of(image, members, **options), mean, atol=1e-6)


def test_networks_that_see_their_whole_window_are_blended() -> None:
    model = segmenter_of(Pooled())
    image = random_image((128, 192))
    found = scores_of(image, model, views="d4", blend="mean", window=64, stride=64)
    boxes = [(slice(i, i + 64), slice(j, j + 64)) for i in (0, 64) for j in (0, 64, 128)]
    for rows, columns in boxes:
        expected = by_hand(model, image.values[:, rows, columns], "d4")
        np.testing.assert_allclose(found[:, rows, columns], expected, atol=1e-5)


class Nested(Pooled):
    """Likes windows of 32 k + 1 pixels, and remembers which it saw."""

    halo, stride, sides = None, 1, (32, 1)
    seen: list[tuple[int, int]] = []  # noqa: RUF012  (shared by copies, on purpose)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(x.shape[2:]))
        return super().forward(x)


SCALES = {0.5: (65, 33), 0.75: (97, 65), 1: (129, 70), 1.25: (161, 97)}


@pytest.mark.parametrize("several", [False, True])
def test_a_network_that_likes_some_sides_is_shown_resized_windows_of_these(several: bool) -> None:
    model = segmenter_of(Nested(), window=129)
    image = random_image((129, 70))
    mean = np.mean(
        [
            resized(whole_image_scores(model, resized(image.values, shown)), (129, 70))
            for shown in SCALES.values()
        ],
        0,
    )
    Nested.seen.clear()
    given = [model, segmenter_of(Nested(), window=129)] if several else model
    found = scores_of(image, given, scales=tuple(SCALES))
    assert set(SCALES.values()) <= set(Nested.seen)  # memory is measured on others
    assert {shape for shape in Nested.seen if shape[1] < shape[0]} == set(SCALES.values())
    np.testing.assert_allclose(found, mean, atol=1e-5)


def test_windows_of_networks_without_a_halo_stay_as_they_are_where_views_are_resized() -> None:
    small = {"enc_layers": (1, 1, 1, 1), "dec_layers": (1, 1, 1, 1), "growth": 4, "width": 4}
    net = nets.build("dfcnet", in_channels=3, classes=4, **small)
    model = segmenter_of(net, window=1025)
    seen = viewed(model, "flips", (0.75, 1, 1.25))
    assert (seen.card.window, seen.card.stride, seen.card.halo) == (1025, 1, None)
    sides = [seen.net._side(1025, scale) for scale in seen.net.scales]
    assert sides == [769, 1025, 1281]
    assert [viewed(model, None, (0.75,)).net._side(n, seen.net.scales[0]) for n in (1, 65)] == [
        33,
        33,
    ]


@pytest.mark.parametrize("views", [None, "d4"])
def test_a_network_of_a_stride_and_no_halo_is_shown_multiples_of_it(views: Any) -> None:
    model = segmenter_of(Hourglass(), halo=None, stride=4, window=64)
    image = random_image((64, 64))
    shown = resized(image.values, (84, 84))  # 1.3 times 64 is 83.2
    turned = [
        resized(back(whole_image_scores(model, to(shown))), (64, 64))
        for to, back in turns_of(views)
    ]
    found = scores_of(image, model, views=views, scales=(1.3,), blend="mean")
    np.testing.assert_allclose(found, np.mean(turned, 0), atol=1e-5)


def test_lower_precision_averages_in_float32() -> None:
    options: dict[str, Any] = {"views": "d4", "scales": (0.5, 1), "precision": "bf16"}
    found = scores_of(random_image((64, 64)), segmenter_of(Hourglass()), **options)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)


def test_one_view_is_the_model_itself_and_the_same_views_are_one_model() -> None:
    model = segmenter_of(TwoLayers())
    assert viewed(model) is model
    assert viewed(model, None, (1.0,)) is model
    assert viewed(model, "d4", (0.5,)) is viewed(model, "d4", [0.5])


def test_a_network_that_learnt_since_gives_its_new_map() -> None:
    model, image = segmenter_of(TwoLayers()), random_image((40, 40))
    scores_of(image, model, views="d4")
    with torch.no_grad():
        model.net.last.bias += torch.arange(4.0)
    expected = by_hand(model, image.values, "d4")
    np.testing.assert_allclose(scores_of(image, model, views="d4"), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": "d8"}, "views 'd8' are unknown; choose flips or d4"),
        ({"scales": ()}, "no scale is given"),
        ({"scales": (1, 0.1)}, "scale 0.1 must be 0.25 to 4.0"),
        ({"scales": (5,)}, "scale 5 must be"),
        ({"scales": (0.7071,)}, "scale 0.7071 .* denominator is at most 20"),
        ({"scales": (float("nan"),)}, "scale nan must be"),
    ],
)
def test_views_that_cannot_be_meant_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        geoseg.predict(random_image((9, 9)), segmenter_of(TwoLayers()), **options)
    assert "\n" not in str(caught.value)


# ---- how published systems predict -------------------------------------------------------------


def located(image: xr.DataArray, size: float) -> xr.DataArray:
    """The image with pixels of so many metres."""
    affine = Affine(size, 0, 500_000, 0, -size, 5_000_000)
    return image.rio.write_crs(32633).rio.write_transform(affine)


def test_at_half_scale_scores_are_brought_back_before_the_class_is_decided() -> None:
    model = segmenter_of(Hourglass(), gsd=0.5)
    image = located(random_image((160, 192)), 0.5)
    pixels = resized(image.values, (80, 96))
    expected = resized(whole_image_scores(model, pixels), (160, 192))
    found = scores_of(image, model, gsd=1.0, window=64)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    second, first = np.sort(expected, axis=0)[-2:]
    clear = first - second > 2e-5
    labels = geoseg.predict(image, model, gsd=1.0, window=64).values
    np.testing.assert_array_equal(labels[clear], expected.argmax(0)[clear])
    assert clear.mean() > 0.999


def mean_of_windows(model: Segmenter, pixels: np.ndarray, side: int, step: int) -> np.ndarray:
    """Every pixel's mean over the windows that hold it; the last ones end at the border."""
    total, count = np.zeros((4, *pixels.shape[1:])), np.zeros(pixels.shape[1:])
    starts = [[*range(0, length - side, step), length - side] for length in pixels.shape[1:]]
    for top in starts[0]:
        for left in starts[1]:
            box = slice(top, top + side), slice(left, left + side)
            total[:, *box] += whole_image_scores(model, pixels[:, *box])
            count[box] += 1
    return np.asarray(total / count)


@pytest.mark.parametrize("make", [Pooled, Hourglass])  # of stride 1 and 4
def test_windows_of_288_at_every_57_pixels_are_averaged_at_half_scale(make: Any) -> None:
    model = segmenter_of(make(), gsd=0.5)
    image = located(random_image((700, 818)), 0.5)
    pixels = resized(image.values, (350, 409))  # no multiples of the stride, and none is needed
    assert [*range(0, 409 - 288, 57), 409 - 288] == [0, 57, 114, 121]
    expected = resized(mean_of_windows(model, pixels, 288, 57), (700, 818))
    options: dict[str, Any] = {"gsd": 1.0, "window": 288, "blend": "mean", "stride": 57}
    np.testing.assert_allclose(scores_of(image, model, **options), expected, atol=1e-5)


# ---- files and the command line ----------------------------------------------------------------


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write(tmp_path / "scene.tif", random_pixels((3, 200, 180)).astype(np.uint8), nodata=0)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = segmenter_of(nets.build("unet", **OPTIONS), architecture="unet", options=OPTIONS)
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def call(*words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "geoseg", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_the_command_line_takes_views_and_the_map_tells_them(
    scene: Path, tmp_path: Path, saved: Path
) -> None:
    words = ["predict", scene, tmp_path / "map.tif", "-m", saved]
    done = call(*words, "--views", "d4", "--scales", "0.75, 1,1.25")
    assert done.returncode == 0, done.stderr
    with rasterio.open(tmp_path / "map.tif") as file:
        tags, labels = file.tags(), file.read(1)
    asked = json.loads(tags["GEOSEG_OPTIONS"])
    assert (asked["views"], asked["scales"]) == ("d4", [0.75, 1.0, 1.25])
    assert tags["GEOSEG_MODEL_DIGEST"] == geoseg.load(saved).digest
    image = geoseg.open_raster(scene)
    expected = geoseg.predict(image, saved, views="d4", scales=(0.75, 1, 1.25)).values
    np.testing.assert_array_equal(labels, expected)
    assert (labels != geoseg.predict(image, saved).values).mean() > 0.01


@pytest.mark.parametrize("change", [{"views": "d4"}, {"views": None}, {"scales": (1, 0.5)}])
def test_other_views_are_another_run(
    scene: Path, tmp_path: Path, saved: Path, change: dict[str, Any]
) -> None:
    options: dict[str, Any] = {"views": "flips", "halo": 32, "window": 128}
    target = tmp_path / "map.tif"
    predict_file(scene, target, saved, **options)
    assert predict_file(scene, target, saved, **options, skip_done=True).computed == 0
    with pytest.raises(UserError, match="exists"):
        predict_file(scene, target, saved, **(options | change), skip_done=True)


class Interrupted(Exception):  # noqa: N818  (it stands for no error)
    """Stands for whatever ends a run."""


def stop(event: dict[str, Any]) -> None:
    if event["event"] == "progress" and event["done"] == 2:
        raise Interrupted


def test_blocks_of_other_views_are_never_gone_on_with(
    scene: Path, tmp_path: Path, saved: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {"window": 64, "memory": 200_000}
    target = tmp_path / "map.tif"
    with pytest.raises(Interrupted):
        predict_file(scene, target, saved, views="flips", **options, on_progress=stop)
    result = predict_file(scene, target, saved, views="d4", **options)
    assert result.computed == result.blocks > 2
    assert "an unfinished run of another input, model or option" in caplog.text


def test_views_that_cannot_be_meant_are_told_once_on_the_command_line(
    scene: Path, tmp_path: Path, saved: Path
) -> None:
    (tmp_path / "maps").mkdir()
    done = call("predict", scene, tmp_path / "maps/", "-m", saved, "--scales", "0.7071")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "denominator" in done.stderr
    done = call("predict", scene, tmp_path / "map.tif", "-m", saved, "--scales", "half")
    assert done.returncode == 2
    assert "'half' must be numbers, as in 0.75,1,1.25" in done.stderr
