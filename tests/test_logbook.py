"""The report of a training run: what is in it, that it follows the run, and that none is lost."""

from __future__ import annotations

import csv
import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from click.testing import CliRunner
from matplotlib.image import imread

import geoseg
from geoseg import Segmenter, recipes, segmenter
from geoseg.classes import as_classes
from geoseg.cli import main
from geoseg.errors import UserError
from geoseg.loader import IGNORE, Scene
from geoseg.metrics import ConfusionMatrix
from geoseg.reach import Reach, measure_reach
from geoseg.recipes import RECIPES
from geoseg.train import Augmentation, Dataset, Published, Settings, fit, loop, scoring
from geoseg.train.checkpoint import checkpoint_of
from geoseg.train.feed import Feed
from geoseg.train.losses import cross_entropy
from geoseg.train.processes import Group
from geoseg.train.report import logbook
from geoseg.train.report.account import account_of, page_of
from geoseg.train.report.events import Events
from geoseg.train.report.pictures import draw_batch, draw_samples, told_bands
from geoseg.train.stated_loss import LOSSES

CLASSES = as_classes(["land", "water", "town"])
SETTINGS = Settings(
    options={"widths": (4, 8)},
    crop=16,
    batch=4,
    steps=8,
    lr=1e-2,
    validate_every=4,
    save_every=3,
    augment=Augmentation(),
)
QUICK = ("widths=[4,8]", "crop=16", "batch=4", "steps=2")
PUBLISHED = Published("mIoU on <their> pixels", ("A & B", "C"), {"ours, 2018": (0.5, None)})


def chequered(seed: int, shape: tuple[int, int] = (40, 32)) -> Scene:
    """Three classes in squares of 8 pixels, each brightest in another band."""
    rng = np.random.default_rng(seed)
    squares = rng.integers(0, 3, (shape[0] // 8, shape[1] // 8))
    labels = np.kron(squares, np.ones((8, 8), int)).astype(np.uint8)
    pixels = rng.normal(100, 15, (3, *shape))
    pixels += 70 * (labels == np.arange(3)[:, None, None])
    return Scene(
        xr.DataArray(pixels.clip(0, 255).astype(np.uint8), dims=("band", "y", "x")),
        xr.DataArray(labels, dims=("y", "x")),
    )


@pytest.fixture(autouse=True, scope="module")
def _networks_are_probed_once() -> Iterator[None]:
    known: dict[str, Reach] = {}

    def once(net: torch.nn.Module, bands: int) -> Reach:
        return known.get(repr(net)) or known.setdefault(repr(net), measure_reach(net, bands))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmenter, "measure_reach", once)
        yield


@pytest.fixture(scope="module")
def data() -> Dataset:
    return Dataset(
        name="squares <i>",
        description="Made up & small.",
        classes=CLASSES,
        bands=("red", "green", "blue"),
        training=[chequered(0), chequered(1)],
        validation=[chequered(2)],
        held_out=[chequered(3)],
    )


@pytest.fixture(scope="module")
def finished(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Segmenter, Path]:
    """A model and its report."""
    root = tmp_path_factory.mktemp("finished")
    model = fit(SETTINGS, data, root / "model", report=root / "report", published=PUBLISHED)
    return model, root / "report"


def stop_after(steps: int) -> Callable[[dict[str, Any]], None]:
    def listen(event: dict[str, Any]) -> None:
        if event.get("done") == steps:
            raise KeyboardInterrupt

    return listen


def history_in(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Page(HTMLParser):
    """What a browser would see: words, tables as rows of cells, addresses of other files."""

    VOID = ("meta", "img", "br")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.rows, self.addresses = "", [], []
        self.open: list[str] = []
        self.scripts = 0
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.scripts += tag == "script" or any(name.startswith("on") for name, _ in attrs)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


# -- what is in it ---------------------------------------------------------------------------------


def test_a_report_holds_curves_scores_samples_and_a_page_that_shows_them(
    finished: tuple[Segmenter, Path],
) -> None:
    model, folder = finished
    pictures = {f"{name}.png" for name in ("curves", "first_batch", "samples", "confusion")}
    others = {"history.csv", "scores.csv", "run.json", "index.html"}
    assert {path.name for path in folder.iterdir()} == pictures | others
    for name in pictures:
        assert imread(folder / name).shape[2] in (3, 4)
    page = Page(folder / "index.html")
    assert set(page.addresses) == pictures | {"history.csv", "scores.csv", "run.json"}
    assert page.scripts == 0
    assert "Training of squares <i>" in page.text
    assert "Made up & small." in page.text
    found = model.card.metrics["held_out"]
    assert ["mIoU", f"{found['miou']:.3f}"] in [row[:2] for row in page.rows]
    assert ["steps", "8", "4000"] in page.rows
    assert ["network: widths", "[4, 8]", ""] in page.rows


def test_the_paper_stands_beside_the_scores_of_the_maps_and_both_say_on_which_pixels(
    data: Dataset, finished: tuple[Segmenter, Path]
) -> None:
    model, folder = finished
    page = Page(folder / "index.html")
    assert ["published", "A & B", "C"] in page.rows
    assert ["ours, 2018", "0.500", "–"] in page.rows
    assert "mIoU on <their> pixels." in page.text
    assert ["this run", "held-out", "validation"] in page.rows
    ours = [scoring.score_maps(model, part, "cpu") for part in (data.held_out, data.validation)]
    assert ["mIoU", *(f"{each.miou():.3f}" for each in ours)] in page.rows
    assert ["IoU town", *(f"{each.iou()[2]:.3f}" for each in ours)] in page.rows
    assert "1,280 labelled pixels of 1 held-out scene, scored once, at the end" in page.text


def page_with(
    data: Dataset, model: Segmenter, tmp_path: Path, published: Published, counts: list[list[int]]
) -> Page:
    """The page of a run whose held-out maps gave these counts."""
    matrix = ConfusionMatrix(3)
    matrix.counts[:] = counts
    card = replace(model.card, metrics={"held_out": scoring.scores(matrix, CLASSES)})
    run = account_of(SETTINGS, data, model, published)
    file = tmp_path / "index.html"
    file.write_text(
        page_of(replace(run, card=card, matrices={"held_out": matrix})), encoding="utf-8"
    )
    return Page(file)


def test_a_score_is_the_same_number_all_over_the_page(
    data: Dataset, finished: tuple[Segmenter, Path], tmp_path: Path
) -> None:
    # The card keeps 0.66847 as 0.6685, which rounded once more is 0.669 or 0.668.
    counts = [[66847, 33153, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    page = page_with(data, finished[0], tmp_path, PUBLISHED, counts)
    assert ["land", "0.668", "0.801", "1.000", "0.668", "100,000"] in page.rows
    assert ["IoU land", "0.668"] in page.rows
    assert "0.669" not in page.text
    assert ["mIoU", "0.334"] in page.rows  # 0.33424, the mean of land and of water


def test_the_page_says_how_classes_without_pixels_count(
    data: Dataset, finished: tuple[Segmenter, Path], tmp_path: Path
) -> None:
    absent = page_with(
        data, finished[0], tmp_path, PUBLISHED, [[8, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    )
    assert ["water", "0.000", "0.000", "0.000", "–", "0"] in absent.rows
    assert ["mIoU", "0.400"] in absent.rows  # land 0.8, water 0, town not at all
    assert "Classes without support have no pixel in the truth" in absent.text
    there = page_with(
        data, finished[0], tmp_path, PUBLISHED, [[8, 2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    )
    assert "without support" not in there.text


def test_what_was_printed_in_per_cent_is_shown_as_fractions_like_ours(
    data: Dataset, finished: tuple[Segmenter, Path], tmp_path: Path
) -> None:
    printed = replace(PUBLISHED, rows={"theirs": (43.57, None)}, per_cent=True)
    counts = [[8, 2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    page = page_with(data, finished[0], tmp_path, printed, counts)
    assert ["theirs", "0.4357", "–"] in page.rows
    assert "Printed in per cent, shown as fractions of 1." in page.text


def test_recipes_say_where_their_paper_printed_per_cent() -> None:
    for recipe in RECIPES.values():
        if recipe.published:
            scores = [
                number
                for row in recipe.published.rows.values()
                for name, number in zip(recipe.published.columns, row, strict=True)
                if number is not None and name != "seconds"
            ]
            assert (max(scores) > 1) == recipe.published.per_cent


def test_scores_are_told_at_the_end(
    data: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        model = fit(replace(SETTINGS, steps=1), data, tmp_path / "model")
    for part, told in ((data.held_out, "held-out"), (data.validation, "validation")):
        matrix = scoring.score_maps(model, part, "cpu")
        assert (
            f"mIoU {matrix.miou():.3f}, overall accuracy {matrix.accuracy():.3f} on 1 {told} scene"
            in caplog.messages
        )


def test_scores_of_classes_are_those_of_the_held_out_map(
    data: Dataset, finished: tuple[Segmenter, Path]
) -> None:
    model, folder = finished
    matrix = scoring.score_maps(model, data.held_out, "cpu")
    with (folder / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["land", "water", "town"]
    assert [float(row["IoU"]) for row in rows] == pytest.approx(matrix.iou().tolist())
    assert [int(row["support"]) for row in rows] == matrix.support().tolist()


def test_without_scenes_to_score_the_report_says_so(data: Dataset, tmp_path: Path) -> None:
    bare = replace(data, validation=(), held_out=())
    fit(SETTINGS, bare, tmp_path / "model", report=tmp_path / "report")
    page = Page(tmp_path / "report" / "index.html")
    assert "no validation or held-out scenes to score" in page.text
    assert "name a split in the YAML file" in page.text
    assert "published" not in page.text
    assert "8 of 8 steps, finished" in page.text
    assert set(page.addresses) == {"curves.png", "first_batch.png", "history.csv", "run.json"}


# -- it follows the run ----------------------------------------------------------------------------


def test_the_first_batch_is_drawn_before_anything_is_learnt(data: Dataset, tmp_path: Path) -> None:
    def at_the_start(event: dict[str, Any]) -> None:
        if event["event"] == "start":
            raise KeyboardInterrupt

    folder = tmp_path / "report"
    with pytest.raises(KeyboardInterrupt):
        fit(SETTINGS, data, tmp_path / "model", report=folder, on_progress=at_the_start)
    assert (folder / "first_batch.png").exists()
    page = Page(folder / "index.html")
    assert "0 of 8 steps, under way" in page.text
    assert "curves.png" not in page.addresses
    assert history_in(folder) == []


def test_rows_of_the_history_are_means_since_the_row_before_with_scores_where_there_are_some(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logbook, "POINTS", 4)
    told: list[dict[str, Any]] = []
    settings = replace(
        SETTINGS, steps=9, validate_every=3
    )  # a row every 3 steps, and at each score
    folder = tmp_path / "report"
    fit(settings, data, tmp_path / "model", report=folder, on_progress=told.append)
    rows = history_in(folder)
    assert [row["step"] for row in rows] == ["3", "6", "9"]
    losses = [each["loss"] for each in told[1:]]
    assert [float(row["loss"]) for row in rows] == pytest.approx(
        [np.mean(losses[first : first + 3]) for first in (0, 3, 6)]
    )
    assert [float(row["validation_miou"]) for row in rows] == [
        told[step]["miou"] for step in (3, 6, 9)
    ]
    assert [float(row["lr"]) for row in rows] == pytest.approx(
        [settings.lr * settings.rates.factor(step - 1, 9) for step in (3, 6, 9)]
    )


@pytest.mark.parametrize("stop", [2, 5])
def test_a_resumed_run_ends_in_the_report_of_an_undisturbed_one(
    data: Dataset, finished: tuple[Segmenter, Path], tmp_path: Path, stop: int
) -> None:
    out, folder = tmp_path / "model", tmp_path / "report"
    with pytest.raises(KeyboardInterrupt):
        fit(SETTINGS, data, out, report=folder, on_progress=stop_after(stop))
    assert len(history_in(folder)) == stop
    fit(SETTINGS, data, out, report=folder, resume=True, published=PUBLISHED)
    assert [row["step"] for row in history_in(folder)] == list("12345678")
    for path in finished[1].iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_resumed_run_in_a_new_folder_tells_what_its_checkpoint_knows(
    data: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(SETTINGS, data, tmp_path / "model", on_progress=stop_after(7))
    fit(SETTINGS, data, tmp_path / "model", report=tmp_path / "report", resume=True)
    rows = history_in(tmp_path / "report")
    assert [row["step"] for row in rows] == ["4", "7", "8"]  # one score before the checkpoint at 6
    assert rows[0]["validation_miou"]


def test_what_led_to_a_divergence_is_shown(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def failing(*args: Any, **options: Any) -> torch.Tensor:
        calls.append(1)
        return cross_entropy(*args, **options) * (float("nan") if len(calls) == 4 else 1.0)

    monkeypatch.setitem(LOSSES, "cross_entropy", failing)
    with pytest.raises(UserError, match="diverged at step 3"):
        fit(SETTINGS, data, tmp_path / "model", report=tmp_path / "report")
    page = Page(tmp_path / "report" / "index.html")
    assert "3 of 8 steps, under way, or stopped" in page.text
    assert "curves.png" in page.addresses


# -- no report is lost -----------------------------------------------------------------------------


def test_an_empty_folder_is_taken(data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    fit(SETTINGS, data, tmp_path / "model", report=tmp_path / "report")
    assert (tmp_path / "report" / "index.html").exists()


def test_a_report_of_another_run_is_never_lost(data: Dataset, tmp_path: Path) -> None:
    folder, path = tmp_path / "report", tmp_path / "model"
    with pytest.raises(KeyboardInterrupt):
        fit(SETTINGS, data, path, report=folder, on_progress=stop_after(2))
    before = (folder / "index.html").read_bytes()
    with pytest.raises(UserError, match=r"run that did not finish; give --resume to go on with it"):
        fit(SETTINGS, data, path, report=folder)
    with pytest.raises(UserError, match=r"report is the report of the model model; choose another"):
        fit(SETTINGS, data, tmp_path / "other", report=folder, resume=True)
    assert (folder / "index.html").read_bytes() == before
    fit(SETTINGS, data, path, report=folder, resume=True)
    path.unlink()
    with pytest.raises(UserError, match=r"report is the report of a finished run; delete it or"):
        fit(SETTINGS, data, path, report=folder, resume=True)
    assert not checkpoint_of(path).exists()


@pytest.mark.parametrize("text", ["{}", "[", '{"model": "x"}', "[1]"])
def test_a_folder_with_other_things_is_refused(data: Dataset, tmp_path: Path, text: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "run.json").write_text(text)
    with pytest.raises(UserError, match=r"mine holds other things than a report of training"):
        fit(SETTINGS, data, tmp_path / "model", report=folder)
    with pytest.raises(UserError, match=r"run.json holds other things than a report of training"):
        fit(SETTINGS, data, tmp_path / "model", report=folder / "run.json")
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_a_report_and_its_model_may_be_moved_together(data: Dataset, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    with pytest.raises(KeyboardInterrupt):
        fit(SETTINGS, data, first / "m", report=first / "m-report", on_progress=stop_after(4))
    first.rename(second)
    fit(SETTINGS, data, second / "m", report=second / "m-report", resume=True)
    assert json.loads((second / "m-report" / "run.json").read_text())["finished"] is True


# -- pictures --------------------------------------------------------------------------------------


def share_of(picture: np.ndarray, color: tuple[int, int, int]) -> float:
    """Share of the pixels of a picture (rows, columns, 0 to 1) that have a colour."""
    near = np.abs(picture[..., :3] * 255 - np.array(color)).max(-1) < 2
    return float(near.mean())


def test_windows_are_drawn_in_false_colour_beside_their_labels(tmp_path: Path) -> None:
    values = torch.full((2, 4, 16, 16), -1.0)
    values[:, 3, :, 8:] = 1.0  # near infrared is bright on the right
    values[0, :, :4] = 0.0  # no data
    labels = torch.zeros((2, 16, 16), dtype=torch.int64)
    labels[:, :, 8:] = 2
    labels[0, :4] = IGNORE
    bands = ("blue", "green", "red", "nir")
    draw_batch(values, labels, bands, CLASSES, tmp_path / "batch.png")
    picture = imread(tmp_path / "batch.png")
    assert told_bands(bands) == "nir, red, green as red, green, blue"
    red = share_of(picture, (248, 0, 0))
    assert red > 0.1
    assert share_of(picture, CLASSES[2].rgb) == pytest.approx(red, rel=0.1)
    assert share_of(picture, CLASSES[1].rgb) < 0.01  # in the legend alone


def test_pixels_without_a_class_are_hatched_beside_a_white_class(tmp_path: Path) -> None:
    white = (replace(CLASSES[0], color="#ffffff"), *CLASSES[1:])
    values, labels = torch.ones((1, 3, 64, 64)), torch.zeros((1, 64, 64), dtype=torch.int64)
    shares = []
    for label in (0, IGNORE):
        labels[:] = label
        draw_batch(values, labels, ("red", "green", "blue"), white, tmp_path / "batch.png")
        shares.append(share_of(imread(tmp_path / "batch.png"), (0x7F, 0x7F, 0x7F)))
    assert shares[0] < 0.01  # the legend alone
    assert shares[1] > 0.05


def test_of_two_tasks_the_first_batch_shows_the_one_that_the_model_is_for(
    data: Dataset, finished: tuple[Segmenter, Path]
) -> None:
    sets = [data, replace(data, training=[chequered(8)])]
    feed = Feed(SETTINGS, sets, finished[0], Group())
    values, labels = loop._first_batch(SimpleNamespace(feed=feed))
    assert values.shape == (4, 3, 16, 16)
    assert labels.shape == (4, 16, 16)
    assert int(labels.max()) < 3  # those of the other task count on from there
    both, _ = feed.changed(feed.draw(0))
    assert len(both) == 8


@pytest.mark.parametrize(
    ("bands", "told"),
    [
        (("B02", "B03", "B04", "B08"), "B08, B04, B03 as red, green, blue"),
        (("blue", "green", "red"), "red, green, blue as red, green, blue"),
        (("a", "b", "c", "d"), "a, b, c as red, green, blue"),
        (("VV", "VH"), "VV in grey"),
    ],
)
def test_the_bands_that_are_shown_follow_from_their_names(bands: tuple[str], told: str) -> None:
    assert told_bands(bands) == told


def test_samples_are_where_the_labels_mix(
    data: Dataset, finished: tuple[Segmenter, Path], tmp_path: Path
) -> None:
    plain = Scene(data.training[0].image, xr.zeros_like(data.training[0].labels))
    draw_samples(finished[0], [plain] * 9 + [chequered(5)] * 4, 16, "cpu", tmp_path / "samples.png")
    picture = imread(tmp_path / "samples.png")
    assert share_of(picture, CLASSES[2].rgb) > 0.05
    rows = picture.shape[0] // 9  # the first of four rows, without title
    truth = picture[rows : 2 * rows, picture.shape[1] * 2 // 5 : picture.shape[1] * 3 // 5]
    assert max(share_of(truth, each.rgb) for each in CLASSES) < 0.9


# -- the command line ------------------------------------------------------------------------------


def test_the_report_lies_beside_the_model_unless_it_is_named(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "read_dataset", lambda path: data)
    described = tmp_path / "dataset.yaml"
    described.touch()
    words = ["train", "unet", "--data", str(described), "--progress", "json"]
    words += [part for each in QUICK for part in ("--set", each)]
    for more, folder in (
        (["--out", str(tmp_path / "a.b.safetensors")], tmp_path / "a.b-report"),
        (["--out", str(tmp_path / "c"), "--report", str(tmp_path / "d")], tmp_path / "d"),
    ):
        done = CliRunner().invoke(main, [*words, *more])
        assert done.exit_code == 0, done.output
        events = [json.loads(line) for line in done.stdout.splitlines()]
        (last,) = [each for each in events if each["event"] == "done"]
        assert last["outputs"] == {"model": more[1], "report": str(folder)}
        card = geoseg.load(more[1]).card
        assert last["scores"] == card.metrics
        assert last["scores"]["validation"].keys() >= {"miou", "overall_accuracy", "iou"}
        assert [each["name"] for each in last["classes"]] == [each.name for each in card.classes]
        assert (folder / "index.html").exists()


# -- TensorBoard -----------------------------------------------------------------------------------


class Writer:
    """Notes what TensorBoard would be told."""

    def __init__(self, folder: str, purge_step: int) -> None:
        self.folder, self.purge_step, self.told = folder, purge_step, []

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.told.append((name, value, step))

    def flush(self) -> None:
        self.told.append("flushed")

    def close(self) -> None:
        self.told.append("closed")


def test_tensorboard_is_told_where_it_is_installed(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writers: list[Writer] = []

    def opened(*args: Any, **options: Any) -> Writer:
        writers.append(Writer(*args, **options))
        return writers[-1]

    fake = SimpleNamespace(SummaryWriter=opened)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    with pytest.raises(KeyboardInterrupt):
        fit(SETTINGS, data, tmp_path / "m", report=tmp_path / "r", on_progress=stop_after(5))
    fit(SETTINGS, data, tmp_path / "m", report=tmp_path / "r", resume=True)
    first, second = writers
    assert first.folder == second.folder == str(tmp_path / "r")
    assert (first.purge_step, second.purge_step) == (1, 4)  # the checkpoint is of step 3
    rows = {int(row["step"]): row for row in history_in(tmp_path / "r")}
    scores = [each for each in second.told if each[0] == "validation/mIoU"]
    assert scores == [
        ("validation/mIoU", float(rows[step]["validation_miou"]), step) for step in (4, 8)
    ]
    losses = [each[2] for each in second.told if each[0] == "loss"]
    assert losses == [4, 5, 6, 7, 8]
    assert second.told[-1] == "closed"


def test_without_tensorboard_nothing_is_told_and_nothing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    events = Events(tmp_path, 0)
    events.add({"step": 1, "loss": 0.5})
    events.close()
    assert not list(tmp_path.iterdir())
