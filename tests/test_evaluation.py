"""Evaluation of files: the same counts as in memory, on any grid, and a report that can be read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner

import geoseg
from geoseg.classes import as_classes
from geoseg.cli import main
from geoseg.errors import UserError
from geoseg.evaluation import evaluate
from geoseg.metrics import ConfusionMatrix, roc_auc
from geoseg.raster.files import unlocated_is_fine

NAMES = as_classes(["water", "forest", "built up"])


def write(path: Path, pixels: np.ndarray, **profile: object) -> Path:
    settings = {
        "driver": "GTiff",
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "count": 1,
        "dtype": pixels.dtype,
        "crs": "EPSG:32633",
        "transform": Affine(10, 0, 500_000, 0, -10, 5_000_000),
        "nodata": 255,
    } | profile
    with unlocated_is_fine(), rasterio.open(path, "w", **settings) as file:
        file.write(pixels, 1)
    return path


def write_bands(path: Path, scores: np.ndarray) -> Path:
    """A raster of several bands on the grid of `write`."""
    first = write(path, scores[0], count=len(scores), nodata=np.nan)
    with rasterio.open(first, "r+") as file:
        file.write(scores)
    return path


def maps(shape: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, shape).astype(np.uint8)
    found = np.where(rng.random(shape) < 0.7, truth, rng.integers(0, 3, shape)).astype(np.uint8)
    truth[rng.random(shape) < 0.1] = 255
    found[rng.random(shape) < 0.1] = 255
    return found, truth


def by_hand(found: np.ndarray, truth: np.ndarray) -> ConfusionMatrix:
    matrix = ConfusionMatrix(3)
    matrix.update(truth, found)
    return matrix


@pytest.mark.parametrize("shape", [(1, 1), (700, 30), (600, 9000)])
def test_counting_by_pieces_equals_counting_at_once(tmp_path: Path, shape: tuple[int, int]) -> None:
    found, truth = maps(shape, seed=7)
    truth[0, 0] = 1
    result = evaluate(
        write(tmp_path / "map.tif", found), write(tmp_path / "truth.tif", truth), classes=NAMES
    )
    assert result.matrix == by_hand(found, truth)


def test_a_truth_on_another_grid_is_read_onto_that_of_the_map(tmp_path: Path) -> None:
    found, truth = maps((60, 80))
    double = np.repeat(np.repeat(truth, 2, 0), 2, 1)
    padded = np.full((140, 180), 255, np.uint8)
    padded[10:130, 10:170] = double
    moved = Affine(5, 0, 500_000 - 50, 0, -5, 5_000_000 + 50)
    path = write(tmp_path / "truth.tif", padded, transform=moved)
    result = evaluate(write(tmp_path / "map.tif", found), path, classes=NAMES)
    assert result.matrix == by_hand(found, truth)


def test_pixels_outside_of_the_truth_count_for_no_class(tmp_path: Path) -> None:
    found, truth = maps((40, 40))
    truth[truth == 255] = 0
    path = write(tmp_path / "truth.tif", truth[:20], nodata=None)
    result = evaluate(write(tmp_path / "map.tif", found), path, classes=NAMES)
    assert result.matrix == by_hand(found[:20], truth[:20])


def test_values_of_the_truth_that_are_no_class_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found, truth = maps((50, 50))
    truth[:5] = 9
    result = evaluate(
        write(tmp_path / "map.tif", found), write(tmp_path / "truth.tif", truth), classes=NAMES
    )
    assert result.ignored == {9: 250}
    assert "no class and are left out: {9: 250}" in caplog.text
    assert result.matrix == by_hand(found[5:], truth[5:])


def test_classes_come_from_the_map_from_a_file_or_from_the_values(tmp_path: Path) -> None:
    found, truth = maps((50, 50))
    plain = write(tmp_path / "truth.tif", truth)
    other = write(tmp_path / "map.tif", found)
    assert [c.name for c in evaluate(other, plain).classes] == ["class 0", "class 1", "class 2"]
    (tmp_path / "names.yaml").write_text("0: water\n2: town\n")
    named = evaluate(other, plain, classes=tmp_path / "names.yaml")
    assert [(c.value, c.name) for c in named.classes] == [(0, "water"), (2, "town")]
    labels = geoseg.open_raster(other)[0].assign_attrs(
        flag_values=[0, 1, 2],
        category_names=[c.name for c in NAMES],
        category_colors=[c.color for c in NAMES],
    )
    geoseg.write_raster(labels, tmp_path / "named.tif")
    assert evaluate(tmp_path / "named.tif", plain).classes == NAMES


def test_the_table_and_the_json_hold_the_scores(tmp_path: Path) -> None:
    found, truth = maps((50, 50))
    result = evaluate(
        write(tmp_path / "map.tif", found), write(tmp_path / "truth.tif", truth), classes=NAMES
    )
    matrix = by_hand(found, truth)
    table = result.table()
    assert f"{matrix.iou()[1]:.3f}" in next(row for row in table.splitlines() if "forest" in row)
    assert f"mIoU {matrix.miou():.3f}" in table
    assert "known pixels have no class in the map" in table
    facts = json.loads(json.dumps(result.to_dict()))
    assert facts["mIoU"] == pytest.approx(matrix.miou())
    assert facts["classes"][2]["support"] == matrix.support()[2]


def test_scores_of_two_classes_give_the_area_under_the_curve(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 2, (600, 90)).astype(np.uint8)
    second = (rng.random(truth.shape) * 0.7 + 0.3 * truth).astype(np.float32)
    second[:4] = np.nan
    truth[10:14] = 255
    two = np.stack([1 - second, second])
    known = (truth != 255) & ~np.isnan(second)
    labels = write(tmp_path / "map.tif", (second > 0.5).astype(np.uint8))
    plain = write(tmp_path / "truth.tif", truth)
    scores = write_bands(tmp_path / "scores.tif", two)
    result = evaluate(labels, plain, scores=scores)
    assert result.auc == pytest.approx(roc_auc(second[known], truth[known]), abs=1e-4)
    assert 0.7 < result.auc < 0.95
    assert f"ROC curve of class 1 {result.auc:.3f}" in result.table()
    assert result.to_dict()["auc"] == result.auc
    assert "auc" not in evaluate(labels, plain).to_dict()
    report = tmp_path / "report"
    words = ["evaluate", *map(str, (labels, plain)), "--scores", str(scores)]
    assert CliRunner().invoke(main, [*words, "--report", str(report)]).exit_code == 0
    assert f"ROC curve</dt><dd>{result.auc:.3f}" in (report / "index.html").read_text()
    with pytest.raises(UserError, match=r"has 2 bands and there are 3 classes"):
        evaluate(labels, plain, classes=NAMES, scores=scores)
    with pytest.raises(UserError, match=r"has 1 bands and there are 2 classes"):
        evaluate(labels, plain, scores=labels)
    with pytest.raises(UserError, match=r"float32 pixels that are no scores on the grid of"):
        evaluate(labels, plain, scores=write_bands(tmp_path / "small.tif", two[:, :50]))


def test_the_average_accuracy_is_the_mean_recall_of_the_classes_that_occur(
    tmp_path: Path,
) -> None:
    truth = np.array([[0, 0, 0, 0, 1, 1]], np.uint8)
    found = np.array([[0, 0, 0, 1, 1, 2]], np.uint8)
    paths = write(tmp_path / "map.tif", found), write(tmp_path / "truth.tif", truth)
    result = evaluate(*paths, classes=NAMES)
    assert result.matrix.average_accuracy() == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert result.to_dict()["average_accuracy"] == pytest.approx(0.625)
    assert "average accuracy 0.625" in result.table()


def test_the_report_is_whole_and_replaced_only_when_asked(tmp_path: Path) -> None:
    found, truth = maps((50, 70))
    result = evaluate(
        write(tmp_path / "map.tif", found), write(tmp_path / "truth.tif", truth), classes=NAMES
    )
    folder = tmp_path / "report"
    result.write_report(folder)
    names = {path.name for path in folder.iterdir()}
    figures = {"confusion.png", "iou.png", "differences.png"}
    assert names == {*figures, "report.json", "index.html"}
    page = (folder / "index.html").read_text()
    assert f"mIoU</dt><dd>{result.matrix.miou():.3f}" in page
    for name in figures:
        assert f'src="{name}"' in page
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="holds a report; add --overwrite"):
        result.write_report(folder)
    result.write_report(folder, overwrite=True)
    with pytest.raises(UserError, match="holds other things than a report"):
        result.write_report(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_report_in_the_way_is_told_before_anything_is_counted(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    words = ["evaluate", "none.tif", "none.tif", "--report", str(tmp_path)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "holds other things than a report" in done.output


def test_files_on_one_grid_are_a_pair_though_one_does_not_say_its_coordinate_system(
    tmp_path: Path,
) -> None:
    found, truth = maps((50, 40))
    good, bare = write(tmp_path / "map.tif", found), write(tmp_path / "t.tif", truth, crs=None)
    for pair, matrix in (
        ((good, bare), by_hand(found, truth)),
        ((bare, good), by_hand(truth, found)),
    ):
        np.testing.assert_array_equal(evaluate(*pair, classes=NAMES).matrix.counts, matrix.counts)
    beside = Affine(10, 0, 500_010, 0, -10, 5_000_000)
    apart = write(tmp_path / "apart.tif", truth, crs=None, transform=beside)
    with pytest.raises(UserError, match="do not both say where they lie"):
        evaluate(good, apart, classes=NAMES)


def test_files_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    found, truth = maps((50, 50))
    good = write(tmp_path / "map.tif", found)
    unlocated = write(tmp_path / "small.tif", truth[:9], crs=None, transform=Affine.identity())
    with pytest.raises(UserError, match="do not both say where they lie"):
        evaluate(good, unlocated, classes=NAMES)
    floats = write(tmp_path / "floats.tif", truth.astype(np.float32))
    with pytest.raises(UserError, match="has 1 bands of float32; a class map has one of integers"):
        evaluate(good, floats)
    empty = write(tmp_path / "empty.tif", np.full((50, 50), 255, np.uint8))
    with pytest.raises(UserError, match="has no pixel of a class"):
        evaluate(good, empty, classes=NAMES)
    (tmp_path / "names.json").write_text("[1, 2]")
    with pytest.raises(UserError, match="does not name classes"):
        evaluate(good, good, classes=tmp_path / "names.json")


def test_the_command_tells_programs_the_scores_of_the_map_and_of_each_class(
    tmp_path: Path,
) -> None:
    pixels = np.random.default_rng(0).integers(0, 3, (2, 20, 30)).astype(np.uint8)
    paths = [str(write(tmp_path / f"{i}.tif", pixels[i])) for i in (0, 1)]
    done = CliRunner().invoke(main, ["evaluate", *paths, "--progress", "json"])
    assert done.exit_code == 0, done.output
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["event"] == "done"
    expected = [
        (found & true).sum() / (found | true).sum()
        for found, true in ([each == value for each in pixels] for value in range(3))
    ]
    assert [each["IoU"] for each in last["classes"]] == pytest.approx(expected)
    assert last["miou"] == last["mIoU"] == pytest.approx(np.mean(expected))
    assert last["overall_accuracy"] == pytest.approx((pixels[0] == pixels[1]).mean())
    assert [each["value"] for each in last["classes"]] == [0, 1, 2]
    assert all(re.fullmatch("#[0-9a-f]{6}", each["color"]) for each in last["classes"])
