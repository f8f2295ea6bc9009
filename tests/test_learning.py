"""What is learnt: gradients of parts, heads, margins, precision, and where training starts."""

from __future__ import annotations

import copy
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from toy_training import (
    NETS,
    Branches,
    chequered,
    data_of,
    quick,
    roads,
    three_scenes,
    unlabelled,
)

from geoseg import nets
from geoseg.errors import UserError
from geoseg.loader import IGNORE, Scene
from geoseg.segmenter import Segmenter
from geoseg.train import Settings, fit, loop, scoring
from geoseg.train.prepare import begin, prepare
from geoseg.train.processes import Group
from geoseg.train.schedules import Poly
from geoseg.train.stated_loss import LOSSES, floor_of, image_labels, loss_of

DENSE = {"enc_layers": [1, 2, 1, 1], "dec_layers": [1, 2, 1], "growth": 4}
FUSION = {"sensors": [2, 1], "blocks": [1, 1, 1, 1], "width": 4}


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, kind in NETS.items():
        monkeypatch.setitem(nets.REGISTRY, name, kind)


def weights(model: Segmenter) -> dict[str, Tensor]:
    return model.net.state_dict()


def same(one: Segmenter, other: Segmenter) -> bool:
    return all(tensor.equal(weights(other)[name]) for name, tensor in weights(one).items())


def started(settings: Settings, data: Any) -> tuple[loop.Run, loop.State]:
    torch.manual_seed(settings.seed)
    run = prepare(settings, [data], Group())
    return run, begin(run)


PLAIN_STEP = {"optimiser": "sgd", "momentum": 0.0, "weight_decay": 0.0, "clip": 0.0}


def gradients(settings: Settings, data: Any) -> dict[str, Tensor]:
    """What a step of plain descent takes from the weights, by the rate."""
    run, state = started(settings, data)
    before = copy.deepcopy(state.net.state_dict())
    loop._step(run, state, state.net, run.feed.draw(0))
    after = state.net.state_dict()
    return {name: (tensor - after[name]) / settings.lr for name, tensor in before.items()}


def gradients_by_hand(settings: Settings, data: Any, parts: int) -> dict[str, Tensor]:
    """The mean over parts of the gradients of torch's own cross-entropy."""
    run, state = started(settings, data)
    values, labels = run.feed.changed(run.feed.draw(0))
    pairs = zip(values.chunk(parts), labels.chunk(parts), strict=True)
    losses = [F.cross_entropy(state.net(v), y, ignore_index=IGNORE) for v, y in pairs]
    torch.stack(losses).mean().backward()
    return {name: p.grad for name, p in state.net.named_parameters()}


# -- parts of a batch ------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_parts_of_whole_labels_have_the_gradient_of_the_batch(parts: int) -> None:
    settings = quick(accumulate=parts, **PLAIN_STEP)
    found = gradients(settings, three_scenes())
    for name, expected in gradients_by_hand(settings, three_scenes(), 1).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_parts_of_few_labels_weigh_as_much_as_others(parts: int) -> None:
    data = data_of(chequered(0), unlabelled(chequered(1), 0.9))
    settings = quick(accumulate=parts, **PLAIN_STEP)
    found = gradients(settings, data)
    for name, expected in gradients_by_hand(settings, data, parts).items():
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-5)


def test_parts_that_are_not_of_one_size_are_refused() -> None:
    with pytest.raises(UserError, match=r"accumulate=3: a batch of 4 windows has no such parts"):
        quick(accumulate=3)


@pytest.mark.parametrize(
    ("net", "options"),
    [("fcdensenet", {**DENSE, "dec_layers": [1, 2, 1]}), ("late_fusion", FUSION)],
)
def test_features_computed_anew_teach_the_same(
    tmp_path: Path, net: str, options: dict[str, Any]
) -> None:
    settings = quick(net, crop=32, batch=2, steps=2, **options)
    kept = fit(settings, three_scenes(), tmp_path / "kept")
    anew = fit(replace(settings, checkpointing=True), three_scenes(), tmp_path / "anew")
    assert same(kept, anew)


def test_networks_that_cannot_compute_anew_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'plain' cannot compute features anew; leave checkpointi"):
        fit(quick(checkpointing=True), three_scenes(), tmp_path / "model")


# -- steps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_every_precision_learns(tmp_path: Path, precision: str) -> None:
    model = fit(
        quick(precision=precision, steps=40),
        replace(three_scenes(), held_out=[chequered(9)]),
        tmp_path / "model",
    )
    assert model.card.metrics["held_out"]["miou"] > 0.7
    assert all(tensor.dtype == torch.float32 for tensor in weights(model).values())


def test_networks_run_in_the_precision_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()

    def watched(logits: Tensor, *args: Any, **options: Any) -> Tensor:
        seen.add(logits.dtype)
        return logits.float().square().mean()

    monkeypatch.setitem(LOSSES, "cross_entropy", watched)
    gradients(quick(precision="bf16"), three_scenes())
    assert seen == {torch.bfloat16}


def test_steps_follow_the_schedule() -> None:
    settings = quick(schedule="poly", steps=5, lr=0.5)
    run, state = started(settings, three_scenes())
    rates = []
    for drawn in run.feed.from_step(0, 5):
        loop._step(run, state, state.net, drawn)
        state.step += 1
        rates.append(state.optimiser.param_groups[0]["lr"])
    assert rates == [0.5 * Poly().factor(step, 5) for step in range(5)]


def test_steep_gradients_are_scaled_down() -> None:
    settings = quick(**(PLAIN_STEP | {"clip": 1e-3}))
    found = gradients(settings, three_scenes())
    norm = torch.cat([each.flatten() for each in found.values()]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize(("net", "crop", "better"), [("unet", 18, 20), ("unet_resnet34", 40, 64)])
def test_windows_that_a_network_would_not_give_back_are_refused(
    tmp_path: Path, net: str, crop: int, better: int
) -> None:
    small = {"widths": [4, 4]} if net == "unet" else {"widths": [4] * 4, "blocks": [1] * 4}
    with pytest.raises(UserError, match=rf"crop={crop}: network '{net}' takes .* it to {better}"):
        fit(quick(net, crop=crop, **small), three_scenes(), tmp_path / "model")


# -- heads and margins -----------------------------------------------------------------------------


def test_labels_are_those_of_the_middle_where_a_network_pads_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Tensor] = []

    def watched(logits: Tensor, labels: Tensor, *args: Any, **options: Any) -> Tensor:
        seen.extend([logits, labels])
        return logits.square().mean()

    monkeypatch.setitem(LOSSES, "cross_entropy", watched)
    run, state = started(quick("edgeless"), three_scenes())
    drawn = run.feed.draw(0)
    whole = run.feed.changed(drawn)[1]
    loop._step(run, state, state.net, run.feed.draw(0))
    assert seen[0].shape == (4, 3, 12, 12)
    assert seen[1].equal(whole[:, 2:14, 2:14])


def test_a_network_without_margins_learns_which_pixel_is_which(tmp_path: Path) -> None:
    data = replace(three_scenes(), held_out=[chequered(9)])
    model = fit(quick("edgeless", steps=60), data, tmp_path / "model")
    assert model.card.metrics["held_out"]["miou"] > 0.7


def test_each_head_of_a_fusion_learns_from_its_own_loss() -> None:
    settings = quick("branches", **PLAIN_STEP)
    run, state = started(settings, three_scenes())
    twin = copy.deepcopy(state.net)
    assert isinstance(twin, Branches)
    values, labels = run.feed.changed(run.feed.draw(0))
    for head in (twin.one, twin.other):
        F.cross_entropy(head(values), labels).backward()
    found = gradients(settings, three_scenes())
    for name, parameter in twin.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-5)


def test_each_task_counts_its_own_labels() -> None:
    settings = quick("tasks", **PLAIN_STEP)
    land, road = three_scenes(), data_of(unlabelled(chequered(5, classes=2), 0.7), classes=2)
    torch.manual_seed(0)
    run = prepare(settings, [land, road], Group())
    state = begin(run)
    before, twin = copy.deepcopy(state.net.state_dict()), copy.deepcopy(state.net).train()
    values, labels = run.feed.changed(run.feed.draw(0))
    scores = twin(values)
    own = F.cross_entropy(scores[::2, :3], labels[::2])
    other = labels[1::2].where(labels[1::2] == IGNORE, labels[1::2] - 3)
    (own + F.cross_entropy(scores[1::2, 3:], other, ignore_index=IGNORE)).backward()
    loop._step(run, state, state.net, run.feed.draw(0))
    for name, parameter in twin.named_parameters():
        found = (before[name] - state.net.state_dict()[name]) / settings.lr
        torch.testing.assert_close(found, parameter.grad, rtol=1e-4, atol=1e-5)


def test_two_tasks_in_parts_learn_as_in_one(tmp_path: Path) -> None:
    settings = quick("tasks", **PLAIN_STEP)
    whole = fit(settings, three_scenes(), tmp_path / "whole", classmate=roads())
    parts = fit(replace(settings, accumulate=2), three_scenes(), tmp_path / "p", classmate=roads())
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(tensor, weights(parts)[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("net", "classmate", "message"),
    [
        ("tasks", False, r"'tasks' has a second head of 2 classes; name the data set .* classmate"),
        ("plain", True, r"'plain' has heads of \[3\] classes, the data sets have \[3, 2\]"),
        ("branches", True, r"heads of \[3, 3\] classes, the data sets have \[3, 2\]"),
    ],
)
def test_heads_that_do_not_fit_the_data_are_refused(
    tmp_path: Path, net: str, classmate: bool, message: str
) -> None:
    other = roads() if classmate else None
    with pytest.raises(UserError, match=message):
        fit(quick(net), three_scenes(), tmp_path / "model", classmate=other)


# -- validation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", ["noisy", "edgeless", "branches"])
def test_validation_is_scored_by_windows_as_a_user_would_see_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, net: str
) -> None:
    states: list[bool] = []
    scored = scoring.score_windows

    def watched(model: Segmenter, *args: Any) -> Any:
        states.append(model.net.training)
        matrix = scored(model, *args)
        assert matrix.counts.shape == (3, 4)  # of the map's classes, and of none
        assert matrix.counts.sum() == 48 * 40
        return matrix

    monkeypatch.setattr(scoring, "score_windows", watched)
    told: list[dict[str, Any]] = []
    settings = quick(net, validate_every=2)
    model = fit(settings, three_scenes(), tmp_path / "model", on_progress=told.append)
    assert states == [False, False]
    assert ["miou" in each for each in told] == [False, False, True, True, True, True]
    blind = fit(
        replace(settings, validate_every=99),
        replace(three_scenes(), validation=()),
        tmp_path / "blind",
    )
    assert same(model, blind)  # to be looked at changes nothing


@pytest.mark.parametrize("kept", ["last", "best"])
def test_the_last_step_is_scored_where_the_best_one_is_kept(tmp_path: Path, kept: str) -> None:
    settings = quick(keep=kept, validate_every=3)
    model = fit(settings, three_scenes(), tmp_path / "model")
    steps = [each["step"] for each in model.card.training["history"]]
    assert steps == ([3, 5] if kept == "best" else [3])
    assert ("kept_step" in model.card.training) == (kept == "best")


def test_the_best_weights_are_those_of_the_highest_score_of_images(tmp_path: Path) -> None:
    """Where a network has learnt about images, of equals the first."""
    settings = quick("noisy", loss="multi_label", keep="best", validate_every=1, lr=0.3, steps=8)
    training = fit(settings, three_scenes(), tmp_path / "model").card.training
    found = [each["micro_f1"] for each in training["history"]]
    assert training["kept_step"] == 1 + found.index(max(found))
    assert len(set(found)) > 1


def test_scores_that_are_none_keep_the_last_weights(tmp_path: Path) -> None:
    blank = replace(three_scenes(), validation=[unlabelled(chequered(3), 1.1)])
    model = fit(quick(keep="best"), blank, tmp_path / "model")
    assert same(model, fit(quick(), three_scenes(), tmp_path / "last"))
    assert "kept_step" not in model.card.training


def test_nothing_to_choose_the_best_weights_by_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"chequered has none; set keep=last, or name scenes"):
        fit(quick(keep="best"), data_of(chequered(0)), tmp_path / "model")
    with pytest.raises(UserError, match=r"keep=best chooses one step, and schedule=decay_then_swa"):
        quick(keep="best", schedule="decay_then_swa", decay=0.2, cycles=2)
    with pytest.raises(UserError, match=r"keep=first: choose from last, best"):
        quick(keep="first")


@pytest.mark.parametrize(("crop", "passes"), [(16, 2), (256, 1)])
@pytest.mark.parametrize("loss", ["multi_label", "single_label"])
def test_windows_are_run_once_where_pixels_and_images_are_scored_by_the_same_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crop: int, passes: int, loss: str
) -> None:
    scene = chequered(3, (256, 512))
    settings = quick(loss=loss, crop=crop, batch=1, steps=1, validate_every=1)
    data = replace(data_of(scene), validation=[scene])
    shown: list[int] = []
    logits = Segmenter.logits
    monkeypatch.setattr(
        Segmenter, "logits", lambda *args: shown.append(args[1].numel()) or logits(*args)
    )
    run, state = started(settings, data)
    state.losses.append(0.0)
    loop._look_back(run, state)
    assert sum(shown) == passes * 3 * 256 * 512
    images = scoring.score_images(run.model, [scene], crop, 3, image_labels(loss))
    assert state.history[0]["micro_f1"] == round(images.micro_f(), 4)
    matrix = scoring.score_windows(run.model, [scene], 256, 3)
    assert state.history[0]["miou"] == round(matrix.miou(), 4)


def test_unscored_classes_change_no_score(tmp_path: Path) -> None:
    scene = chequered(9)
    settings, base = quick(steps=40), replace(three_scenes(), validation=[scene], held_out=[scene])
    model = fit(settings, replace(base, unscored=(2,)), tmp_path / "model")
    assert scene.labels is not None
    truth = scene.labels.values
    whole = (slice(0, 48), slice(0, 40))
    image = torch.from_numpy(scene.read(whole)[None])
    found = model.logits(image, None)[0].argmax(0).numpy()
    ious = [
        ((truth == c) & (found == c)).sum() / (((truth == c) | (found == c)) & (truth != 2)).sum()
        for c in (0, 1)
    ]
    scores = model.card.metrics["held_out"]
    assert scores["miou"] == pytest.approx(np.mean(ious), abs=1e-4)
    assert scores["pixels"] == (truth != 2).sum()
    assert scores["iou"]["class 2"] is None


def test_a_class_that_is_found_where_it_does_not_count_leaves_the_mean_alone() -> None:
    data = three_scenes()
    truth = data.training[0].labels.values
    net = NETS["plain"](3, 3)
    with torch.no_grad():
        net.last.bias[2] = 99.0  # finds nothing else
    model = Segmenter(net, classes=data.classes, bands=data.bands, mean=[0] * 3, std=[255] * 3)
    for matrix in (
        scoring.score_windows(model, data.training[:1], 48, 4, unscored=[2]),
        scoring.score_maps(model, data.training[:1], "cpu", unscored=[2]),
    ):
        assert matrix.counts[:2, 3].sum() == (truth != 2).sum()
        assert matrix.miou() == 0.0
        assert np.isnan(matrix.iou()[2])


# -- rehearsal -------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", ["plain", "noisy"])
@pytest.mark.parametrize("sampler", ["uniform", "equibatch"])
def test_a_rehearsal_leaves_no_trace(tmp_path: Path, net: str, sampler: str) -> None:
    settings = quick(net, sampler=sampler, min_pixels=1, gain=0.2)
    plain = fit(settings, three_scenes(), tmp_path / "plain")
    rehearsed = fit(replace(settings, rehearse=3), three_scenes(), tmp_path / "rehearsed")
    assert same(plain, rehearsed)


@pytest.mark.parametrize("net", ["tasks", "dfcnet"])
def test_a_rehearsal_of_two_tasks_leaves_no_trace(tmp_path: Path, net: str) -> None:
    options = DENSE | {"dec_layers": [1, 1, 1, 1], "width": 4} if net == "dfcnet" else {}
    settings = quick(net, sampler="scene", steps=2, batch=2, **options)
    sets = three_scenes(), roads()
    plain = fit(settings, sets[0], tmp_path / "plain", classmate=sets[1])
    again = replace(settings, rehearse=2)
    assert same(plain, fit(again, sets[0], tmp_path / "rehearsed", classmate=sets[1]))


def rehearsed(settings: Settings, caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What is told of a rehearsal."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        loop._rehearse(*started(settings, three_scenes()))
    return [each for each in caplog.records if "rehearsal" in each.message]


def test_a_rehearsal_that_teaches_nothing_warns(caplog: pytest.LogCaptureFixture) -> None:
    (told,) = rehearsed(quick(**(PLAIN_STEP | {"lr": 1e-12}), rehearse=3), caplog)
    assert told.levelname == "WARNING"
    assert "rehearsal: in 3 steps on one batch the loss went from 1." in told.message
    assert "where 0 is learnt by heart; try another lr (1e-12), look whether labels" in told.message


def test_a_loss_that_falls_by_less_than_half_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (told,) = rehearsed(quick(rehearse=2), caplog)
    assert told.levelname == "WARNING"
    first, lowest = (
        float(told.message.split(f" {word} ")[1].split()[0]) for word in ("from", "to")
    )
    assert first / 2 < lowest < first


def test_a_batch_that_is_learnt_by_heart_is_told_with_its_figures(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (told,) = rehearsed(quick(rehearse=60), caplog)
    assert told.levelname == "INFO"
    assert "rehearsal: in 60 steps on one batch the loss fell from 1." in told.message
    first, lowest = (
        float(told.message.split(f" {word} ")[1].split()[0]) for word in ("from", "to")
    )
    assert lowest <= first / 2


def test_a_rehearsal_that_diverges_says_so(caplog: pytest.LogCaptureFixture) -> None:
    (told,) = rehearsed(quick(**(PLAIN_STEP | {"lr": 1e38}), rehearse=3), caplog)
    assert told.levelname == "WARNING"
    assert "the loss is no longer finite; lower lr (1e+38)" in told.message


def test_a_loss_that_goes_below_nothing_is_halved_from_its_lowest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (told,) = rehearsed(quick(rehearse=1, loss="jaccard_region"), caplog)
    assert told.levelname == "WARNING"  # from -0.2, half of which is nearer to 0
    (told,) = rehearsed(quick(rehearse=60, loss="jaccard_region"), caplog)
    assert told.levelname == "INFO"
    assert "(-1 is learnt by heart)" in told.message


@pytest.mark.parametrize(
    ("stated", "floor"),
    [
        ("cross_entropy", 0.0),
        ("jaccard_pixel", -1 / 3),
        ({"jaccard_pixel": {"unscored": 0, "weight": 0.5}}, -0.25),
        ({"jaccard_region": 0.5, "lovasz": 0.5, "jaccard_pixel": 3}, -1.5),
    ],
)
def test_perfect_scores_have_the_lowest_loss_that_there_is(stated: Any, floor: float) -> None:
    labels = torch.arange(32).reshape(2, 4, 4) % 3
    if "unscored" in str(stated):
        labels = labels.clamp(min=1)
    scores = 100 * F.one_hot(labels, 3).movedim(-1, 1).float()
    assert floor_of(stated, 3) == pytest.approx(floor)
    assert float(loss_of(stated)(scores, labels)) == pytest.approx(floor)


def test_the_lowest_loss_is_that_of_all_heads() -> None:
    jaccard = {"loss": {"jaccard_region": 0.5}}
    run, _ = started(quick("branches", **jaccard), three_scenes())
    assert run.floor == -1.0
    settings = quick("tasks", classmate_weight=3, **jaccard)
    assert prepare(settings, [three_scenes(), roads()], Group()).floor == -2.0


# -- two tasks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_the_second_task_weighs_what_is_said(weight: float) -> None:
    settings = quick("tasks", classmate_weight=weight, batch=3, classmate_batch=1)
    torch.manual_seed(0)
    run = prepare(settings, [three_scenes(), roads()], Group())
    values, labels = run.feed.changed(run.feed.draw(0))
    net = run.model.net.train()
    scores = net(values)
    own = F.cross_entropy(scores[[0, 1, 2], :3], labels[[0, 1, 2]])
    other = F.cross_entropy(scores[[3], 3:], labels[[3]] - 3)
    torch.testing.assert_close(run.loss(scores, labels), own + weight * other)


@pytest.mark.parametrize(("name", "value"), [("classmate_batch", 4), ("classmate_weight", 0.5)])
def test_what_is_said_of_a_second_data_set_needs_one(name: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"{name}={value}: there is no second data set; name it"):
        started(quick(**{name: value}), three_scenes())


@pytest.mark.parametrize("turns", [(1, 1), (3, 1)])
def test_a_network_of_two_tasks_is_told_whose_windows_come_when(turns: tuple[int, int]) -> None:
    options = DENSE | {"dec_layers": [1, 1, 1, 1], "width": 4}
    settings = quick("classmatenet", batch=turns[0] * 2, classmate_batch=2, crop=33, **options)
    run = prepare(settings, [three_scenes(), roads()], Group())
    assert run.model.net.turns == turns
    values, labels = run.feed.changed(run.feed.draw(0))
    scores = run.model.net.train()(values)
    for window, truth in zip(scores, labels, strict=True):
        second = bool((truth >= 3).all())
        assert window[:3].any() != second
        assert window[3:].any() == second


@pytest.mark.parametrize("crop", [33, 48])
def test_coarse_scores_meet_the_labels_nearest_to_them(crop: int) -> None:
    options = {**DENSE, "loss_at": "logit"}
    settings = quick("fcdensenet", batch=2, crop=crop, **options)
    run, state = started(settings, three_scenes())
    values, labels = run.feed.changed(run.feed.draw(0))
    torch.manual_seed(1)
    scores = state.net.train()(values)
    side = {33: 9, 48: 12}[crop]
    assert scores.shape[2:] == (side, side)
    places = [
        min(range(crop), key=lambda p: abs(p - i * (crop - 1) / (side - 1))) for i in range(side)
    ]
    if crop == 33:
        assert places == list(range(0, 33, 4))
    expected = F.cross_entropy(scores, labels[:, places][:, :, places], ignore_index=IGNORE)
    torch.testing.assert_close(loop._loss(run, state.net, values, labels), expected)
    loop._step(run, state, state.net, run.feed.draw(0))
    assert state.net.eval()(values).shape[2:] == (crop, crop)


# -- another model's weights -----------------------------------------------------------------------


def test_training_starts_from_the_weights_of_another_model(tmp_path: Path) -> None:
    before = fit(quick(), three_scenes(), tmp_path / "before")
    still = quick(start=str(tmp_path / "before"), seed=5, lr=1e-12, weight_decay=0.0)
    after = fit(still, three_scenes(), tmp_path / "after")
    for name, tensor in weights(after).items():
        torch.testing.assert_close(tensor, weights(before)[name])


def test_weights_of_another_shape_start_afresh_and_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = fit(quick(), three_scenes(), tmp_path / "before")
    still = quick(start=str(tmp_path / "before"), seed=5, lr=1e-12, weight_decay=0.0)
    with caplog.at_level(logging.INFO):
        after = fit(still, roads(), tmp_path / "after")  # two classes instead of three
    assert "2 of 4 weights are those of" in caplog.text
    assert "before have another shape here and start afresh, first last." in caplog.text
    torch.testing.assert_close(weights(after)["first.weight"], weights(before)["first.weight"])


def test_a_resumed_run_needs_no_start(tmp_path: Path) -> None:
    fit(quick(), three_scenes(), tmp_path / "before")
    settings = quick(start=str(tmp_path / "before"))

    def stop(event: dict[str, Any]) -> None:
        if event.get("done") == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(settings, three_scenes(), tmp_path / "after", on_progress=stop)
    (tmp_path / "before").unlink()
    fit(settings, three_scenes(), tmp_path / "after", resume=True)


def test_a_start_of_which_nothing_fits_is_refused(tmp_path: Path) -> None:
    fit(quick("branches"), three_scenes(), tmp_path / "before")
    with pytest.raises(UserError, match=r"before: none of its weights fit this network; choose an"):
        fit(quick(start=str(tmp_path / "before")), three_scenes(), tmp_path / "after")


def test_a_start_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no model '.*nowhere'"):
        fit(quick(start=str(tmp_path / "nowhere")), three_scenes(), tmp_path / "after")


@pytest.mark.parametrize("stated", [[0.0, 1.0], [0.0] * 4])
def test_numbers_for_other_bands_are_refused(tmp_path: Path, stated: list[float]) -> None:
    settings = quick(mean=stated, std=[1.0] * len(stated))
    with pytest.raises(UserError, match=rf"have {len(stated)} numbers for 3 bands; give one, or"):
        fit(settings, three_scenes(), tmp_path / "model")


def test_one_number_is_that_of_every_band(tmp_path: Path) -> None:
    model = fit(quick(mean=[127.5], std=[63.0]), three_scenes(), tmp_path / "model")
    assert (model.card.mean, model.card.std) == ((127.5,) * 3, (63.0,) * 3)


def test_scenes_of_one_pixel_type_are_shown_together(tmp_path: Path) -> None:
    floats = [Scene(each.image.astype("float32"), each.labels) for each in three_scenes().training]
    whole = fit(quick(steps=1), three_scenes(), tmp_path / "whole")
    other = fit(quick(steps=1), data_of(*floats), tmp_path / "other")
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(tensor, weights(other)[name])


def test_colours_of_other_pixels_than_those_of_8_bits_are_not_changed(tmp_path: Path) -> None:
    data = three_scenes()
    dark = [Scene(each.image.astype("uint16") * 16, each.labels) for each in data.training]
    deep = replace(data, training=dark, validation=(), held_out=())
    with pytest.raises(UserError, match=r"of 8 bits, but these are .*; set hue=0, saturation=0"):
        fit(quick(hue=0.1), deep, tmp_path / "model")
    fit(quick(steps=1), deep, tmp_path / "model")


def test_a_run_that_has_gone_further_is_not_cut_short(tmp_path: Path) -> None:
    def stop(event: dict[str, Any]) -> None:
        if event.get("done") == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(quick(), three_scenes(), tmp_path / "model", on_progress=stop)
    with pytest.raises(UserError, match=r"has gone \d steps already; set steps to more than that"):
        fit(quick(steps=1), three_scenes(), tmp_path / "model", resume=True)


def test_the_class_that_a_data_set_does_not_count_is_left_out_of_a_loss_that_asks() -> None:
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(32).reshape(2, 4, 4) % 3
    asked = {"lovasz": {"unscored": "data"}}
    for unscored in (0, 2):
        found = loss_of(asked, None, (unscored,))(logits, labels)
        assert found == loss_of({"lovasz": {"unscored": unscored}})(logits, labels)
    assert loss_of(asked)(logits, labels) == loss_of("lovasz")(logits, labels)
    with pytest.raises(UserError, match=r"classes \[0, 1\] of the data set do not count"):
        loss_of(asked, None, (0, 1))
