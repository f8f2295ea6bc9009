"""Recipes: axes that combine, presets, and the numbers of U-Net with Lovász-Softmax."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from ast import literal_eval
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from fixtures_published import fake_deepglobe_land
from pointwise import read, write
from scipy import ndimage
from toy_training import chequered, data_of
from toys import segmenter_of

import geoseg
from geoseg import nets, recipes
from geoseg.errors import UserError
from geoseg.loader import IGNORE
from geoseg.metrics import ConfusionMatrix
from geoseg.raster.files import unlocated_is_fine
from geoseg.recipes import OWN, RECIPES, Recipe, train_files, unet_lovasz
from geoseg.recipes.reading import checked, options_of, told
from geoseg.recipes.unet_lovasz import RECIPE
from geoseg.train import Augmentation, Dataset, Settings, changed
from geoseg.train.data.readers import deepglobe_land
from geoseg.train.data.readers.coarse import coarser
from geoseg.train.data.spec import read_spec
from geoseg.train.schedules import SCHEDULES
from geoseg.train.scoring import scores
from geoseg.train.settings import names

TWO_AXES = Recipe(
    name="both",
    about="For these tests.",
    settings=Settings(steps=7),
    variants=(
        {"small": {"widths": [4, 8]}, "other": {"net": "unet_resnet34"}},
        {"calm": {}, "steep": {"lr": 0.5, "clip": 2}},
    ),
    presets={
        "paper": {},
        "quick": {"steps": 3, "lr": 0.25},
        "recommended": {"steps": 9, "lr": 0.25},
    },
    small={"unet_resnet34": {"widths": [4, 4, 4, 4]}},
    recommended={"steep": {"lr": 0.125}},
)


# -- recipes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "preset", "expected"),
    [
        ("", "paper", {"widths": [4, 8]}),
        ("steep", "paper", {"widths": [4, 8], "lr": 0.5, "clip": 2.0}),
        ("other", "paper", {"net": "unet_resnet34"}),
        ("steep+other", "paper", {"net": "unet_resnet34", "lr": 0.5, "clip": 2.0}),
        ("other+steep", "paper", {"net": "unet_resnet34", "lr": 0.5, "clip": 2.0}),
        ("small", "quick", {"widths": [4, 8], "steps": 3, "lr": 0.25}),
        ("small", "recommended", {"widths": [4, 8], "steps": 9, "lr": 0.25}),
        ("steep", "recommended", {"widths": [4, 8], "steps": 9, "lr": 0.125, "clip": 2.0}),
        (
            "other+steep",
            "quick",
            {"net": "unet_resnet34", "widths": [4] * 4, "steps": 3, "lr": 0.25, "clip": 2.0},
        ),
    ],
)
def test_names_of_several_axes_combine_and_presets_come_last(
    variant: str, preset: str, expected: dict[str, Any]
) -> None:
    assert TWO_AXES.chosen(variant, preset) == changed(Settings(steps=7), expected)


@pytest.mark.parametrize("variant", ["wide", "small+wide", "small+other"])
def test_names_of_no_axis_and_two_of_one_are_refused(variant: str) -> None:
    last = variant.split("+")[-1]
    with pytest.raises(
        UserError,
        match=rf"recipe both has no variant '{last}'; choose .*\(small \| other\) \+ \(calm \| st",
    ):
        TWO_AXES.chosen(variant)


def test_unknown_presets_are_refused() -> None:
    with pytest.raises(UserError, match=r"recipe both has no preset 'fast'; choose from paper, qu"):
        TWO_AXES.chosen(preset="fast")


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_variant_of_every_recipe_is_settings_in_every_preset(name: str) -> None:
    recipe = RECIPES[name]
    for preset in recipe.presets:
        for axis in recipe.variants or [{"": {}}]:
            for variant in axis:
                assert recipe.chosen(variant, preset).steps > 0
    assert recipe.chosen() == recipe.chosen(preset="paper")


@pytest.mark.parametrize("text", ["variant", "preset", "root", "classmate"])
def test_what_is_no_pair_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=rf"--set '{text}': write it as key=value"):
        train_files("unet", tmp_path, tmp_path / "model", [text])


# -- settings by name ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"gain": 1, "gamma": ["0.5", 2]}, {"gain": 1.0, "gamma": (0.5, 2.0)}),
        ({"symmetries": "flips", "scale": [1, 2]}, {"symmetries": "flips", "scale": (1.0, 2.0)}),
    ],
)
def test_augmentation_is_changed_by_its_own_names(
    values: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = changed(Settings(augment=Augmentation(hue=0.1)), values)
    assert found == Settings(augment=Augmentation(hue=0.1, **expected))


def test_options_of_a_schedule_are_kept_with_it_and_dropped_with_another_one() -> None:
    first = changed(Settings(), {"schedule": "decay_then_swa", "cycles": 3, "low": "1e-3"})
    assert first.schedule_options == {"cycles": 3, "low": 1e-3}
    assert changed(first, {"cycles": 4}).schedule_options == {"cycles": 4, "low": 1e-3}
    assert changed(first, {"schedule": "cyclic"}).schedule_options == {}
    assert changed(first, {"schedule": "cyclic", "low": 0.5}).schedule_options == {"low": 0.5}


def test_options_of_a_network_are_kept_with_it_and_dropped_with_another_one() -> None:
    first = changed(Settings(), {"widths": [4, 8], "skip": "cat"})
    assert changed(first, {"widths": [4, 4]}).options == {"widths": [4, 4], "skip": "cat"}
    assert changed(first, {"net": "unet", "lr": 1}).options == first.options
    assert changed(first, {"net": "svm"}).options == {}
    assert changed(first, {"net": "svm", "vectors": 9}).options == {"vectors": 9}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"options": {}}, r"there is no setting 'options'; choose from net, start"),
        ({"augment": {}}, r"there is no setting 'augment'"),
        ({"schedule_options": {}}, r"there is no setting 'schedule_options'"),
        ({"classes": 3}, r"there is no setting 'classes'"),
        ({"cycles": 3}, r"there is no setting 'cycles'"),
        ({"schedule": "cyclic", "cycles": 2.5}, r"cycles=2.5: give a whole number"),
        ({"schedule": "cyclic", "low": "deep"}, r"low=deep: give a number"),
        ({"schedule": "cyclic", "low": 2}, r"low=2.0: give a number above 0, at most 1"),
        ({"schedule": "cyclic", "steps": 3}, r"10 cycles in 3 steps"),
        ({"net": 3}, r"net=3: give a name"),
        ({"start": 3}, r"start=3: give a name"),
        ({"checkpointing": 1}, r"checkpointing=1: give true or false"),
        ({"batch": "two"}, r"batch=two: give a whole number"),
        ({"mean": ["x"]}, r"mean=x: give a number"),
        ({"mean": 1, "std": 0}, r"std"),
        ({"gamma": 2}, r"gamma=\[2.0\]: give the lowest and the highest"),
        ({"symmetries": "some"}, r"symmetries=some: choose from none, flips, all"),
        ({"optimiser": "lion"}, r"optimiser=lion: choose from adamw, adam, sgd"),
        ({"sampler": "best"}, r"sampler=best: choose from uniform, scene, stratified, equibatch"),
        ({"precision": "int8"}, r"precision=int8: choose from fp32, bf16, fp16"),
        ({"loss": "focal"}, r"there is no loss 'focal'"),
        ({"loss": {"lovasz": {"best": 1}}}, r"loss lovasz has no option best"),
        ({"rehearse": -1}, r"rehearse=-1: give a number of 0 or more"),
        ({"classmate_batch": -1}, r"classmate_batch=-1: give a number of 0 or more"),
        ({"classmate_batch": 2.5}, r"classmate_batch=2.5: give a whole number"),
        ({"classmate_weight": -0.5}, r"classmate_weight=-0.5: give a number of 0 or more"),
        ({"classmate_batch": 3, "accumulate": 2}, r"a batch of 3 windows .*set classmate_batch to"),
        ({"schedule": "poly", "power": -1}, r"power=-1.0: give a number above 0"),
        ({"min_pixels": 0}, r"min_pixels=0: give a whole number of 1 or more"),
        ({"accumulate": 3}, r"accumulate=3: a batch of 8 windows has no such parts of one size"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        changed(Settings(), values)


def test_no_two_kinds_of_settings_share_a_name() -> None:
    own = {each.name for each in fields(Settings)}
    views = {each.name for each in fields(Augmentation)}
    paces = {each.name for kind in SCHEDULES.values() for each in fields(kind)}  # type: ignore[arg-type]
    for name in nets.REGISTRY.keys() - {"svm"}:  # whose weights are not learnt in steps
        options = set(nets.options_of(name))
        assert not options & (own | views | paces), name
    assert not own & views
    assert not (own | views) & paces


# -- options of readers ----------------------------------------------------------------------------


def made_reader(
    root: Path,
    kind: Literal["wide", "narrow"] = "wide",
    *,
    white: bool = False,
    share: float | None = None,
    block: int = 3,
    fill: float = 0.0,
    years: Sequence[int] = (),
) -> Dataset:
    seen = {"kind": kind, "white": white, "share": share, "block": block, "fill": fill}
    seen["years"] = years
    return replace(data_of(chequered(0)), description=repr(seen))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, Any]]:
    """Settings, and what the reader was asked for, of each run of a recipe "made"."""
    recipe = Recipe(
        name="made",
        about="For these tests.",
        settings=Settings(net="unet"),
        read=made_reader,
        variants=({"plain": {}, "filled": {}},),
        reading={"filled": {"fill": -1.0}},
    )
    runs: list[tuple[Settings, Any]] = []
    monkeypatch.setitem(recipes.RECIPES, "made", recipe)
    monkeypatch.setitem(recipes.MODULES, "made", made)
    monkeypatch.setattr(
        recipes,
        "fit",
        lambda settings, data, *_, **__: runs.append((settings, literal_eval(data.description))),
    )
    return runs


made = ModuleType("made", "Words about it.")
DEFAULTS = {"kind": "wide", "white": False, "share": None, "block": 3, "fill": 0.0, "years": ()}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], {}),
        (["white=true"], {"white": True}),
        (["kind=narrow", "block=7"], {"kind": "narrow", "block": 7}),
        (["share=1e-1", "fill=-25"], {"share": 0.1, "fill": -25.0}),
        (["share=null"], {}),
        (["years=[2019, 2020]"], {"years": (2019, 2020)}),
        (["variant=filled"], {"fill": -1.0}),
        (["variant=filled", "fill=2"], {"fill": 2.0}),
    ],
)
def test_options_of_a_reader_are_set_by_name(
    tmp_path: Path, seen: list[Any], changes: list[str], expected: dict[str, Any]
) -> None:
    train_files("made", tmp_path, tmp_path / "model", [*changes, "steps=9", "widths=[4, 8]"])
    settings, asked = seen[0]
    assert asked == DEFAULTS | expected
    assert [type(each) for each in asked.values()] == [
        type(each) for each in (DEFAULTS | expected).values()
    ]
    assert settings == Settings(net="unet", steps=9, options={"widths": [4, 8]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("white=1", r"white=1: give true or false"),
        ("kind=broad", r"kind=broad: give wide or narrow"),
        ("share=half", r"share=half: give a number or null"),
        ("share=true", r"share=true: give a number or null"),
        ("block=2.5", r"block=2.5: give a whole number"),
        ("years=2019", r"years=2019: give a list, each a whole number"),
        ("years=[2019, x]", r"years=\[2019, x\]: give a list, each a whole number"),
        ("block=null", r"block=null: give a whole number"),
        ("fill=[1]", r"fill=\[1\]: give a number"),
        ("root=elsewhere", r"root=elsewhere is for data sets that a YAML file describes"),
        ("whit=true", r"no setting 'whit'; choose from net, .*widths.*, kind, white, share, block"),
    ],
)
def test_options_of_a_reader_are_checked(
    tmp_path: Path, seen: list[Any], change: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train_files("made", tmp_path, tmp_path / "model", [change])
    assert not seen


def test_options_of_a_reader_are_refused_where_a_file_describes_the_data(
    tmp_path: Path, seen: list[Any]
) -> None:
    described = tmp_path / "other.yaml"
    described.write_text("name: x")
    within = tmp_path / "folder"
    within.mkdir()
    (within / "dataset.yaml").write_text("name: x")
    for path in (described, within):
        message = r"block, white: how a folder in the published .* by a YAML file; leave it out"
        with pytest.raises(UserError, match=message):
            train_files("made", path, tmp_path / "model", ["white=true", "block=3"])
    assert not seen


def test_what_can_be_set_of_a_reader_is_told_with_its_recipe(seen: list[Any]) -> None:
    words = recipes.describe("made")
    assert words.startswith("Words about it.\n\nSettings, as published")
    assert "\n\nOf the folder, to be changed by --set as well:\n\n" in words
    assert [each.strip() for each in words.splitlines()[-6:]] == [
        "kind=wide: wide or narrow",
        "white=false: true or false",
        "share=null: a number or null",
        "block=3: a whole number",
        "fill=0.0: a number",
        "years=[]: a list, each a whole number",
    ]
    assert "--set" not in recipes.describe("unet").splitlines()[-1]


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_setting_is_told_with_its_value_and_what_it_means(name: str) -> None:
    words, chosen = recipes.describe(name), RECIPES[name].chosen()
    told = words.partition("Settings, as published")[2].partition("The folder of --data")[0]
    for key in names(chosen, {}):
        line = rf"^    {key}=(.*)(\n {{38}}\S.*)?"
        found = re.search(line, told, re.MULTILINE)
        assert found, key
        meaning = found[2] or found[1][38 - 5 - len(key) :]
        assert meaning.strip(), key
    assert f"    crop={chosen.crop} " in told
    assert max(map(len, told.splitlines())) < 200


def test_values_of_a_quick_run_stand_beside_those_of_the_paper() -> None:
    words = recipes.describe("unet")
    assert re.search(r"^    steps=4000 \(quick: 60\) +Steps in all\.$", words, re.MULTILINE)
    assert re.search(r"^    lr=0\.002 +The highest learning rate\.$", words, re.MULTILINE)
    assert "(quick: [8, 16, 32])" in words


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("unet", "a folder of ``images/`` and ``labels/``"),
        ("unet-lovasz", "``train/<id>_sat.jpg`` with ``<id>_mask.png``"),
        ("dfcnet", "``train/<id>_sat.jpg`` with ``<id>_mask.png``"),
        ("deep-fusion", "folder that holds the seasons"),
        ("fcn-buildings", "``train|valid|test/{sat,map}/<id>.tiff|.tif``"),
        ("cam-landsat", "``image.tif`` and ``cdl.tif``"),
    ],
)
def test_the_folder_that_a_recipe_reads_is_told_with_it(name: str, said: str) -> None:
    words = recipes.describe(name).partition("The folder of --data")[2]
    assert said in words
    assert "----" not in words


def test_the_description_of_data_sets_is_told_and_can_be_read(tmp_path: Path) -> None:
    words = recipes.describe("data")
    example = words.partition("For example::\n\n")[2].partition("\n\nCodes that")[0]
    file = tmp_path / "dataset.yaml"
    file.write_text(example, encoding="utf-8")
    assert read_spec(file).name == "sentinel2-landcover"
    assert "geoseg recipes data" in recipes.overview()


def test_an_unknown_setting_is_answered_with_those_of_the_recipe_as_well(
    tmp_path: Path, seen: list[Any]
) -> None:
    message = "no setting 'stepss'; .*steps, .*variant, preset, root, classmate$"
    with pytest.raises(UserError, match=message):
        train_files("made", tmp_path, tmp_path / "model", ["stepss=9"])
    assert not seen


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_no_option_of_a_reader_has_the_name_of_a_setting_and_all_can_be_told(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.read is not None
    options = options_of(recipe.read)
    others = {*OWN}
    for net in nets.REGISTRY:
        for schedule in SCHEDULES:
            others |= {*names(Settings(), {"net": net, "schedule": schedule})}
    assert not options.keys() & others
    own = recipe.reader()
    assert own is not None
    values = {key: default for key, (_, default) in options_of(own).items()}
    assert checked(own, values) == values
    assert "<" not in told(own)  # as a kind would be written that there are no words for


# -- U-Net with Lovász-Softmax ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("net", "unet"),
        ("crop", 288),
        ("batch", 8),
        ("steps", 160 * (642 // 8)),
        ("optimiser", "adam"),
        ("lr", 1e-3),
        ("weight_decay", 0.0),
        ("clip", 0.0),
        ("class_power", 0.0),
        ("mean", (127.5,)),
        ("std", (127.5,)),
        ("schedule", "decay_then_swa"),
        ("sampler", "equibatch"),
        ("min_pixels", 1000),
        ("loss", {"cross_entropy": 0.5, "lovasz": {"weight": 0.5, "unscored": "data"}}),
        ("accumulate", 1),
        ("precision", "fp32"),
    ],
)
def test_settings_are_those_of_the_paper(name: str, value: object) -> None:
    assert getattr(RECIPE.chosen(), name) == value


def test_colours_change_as_in_the_code_of_the_first_author() -> None:
    expected = {
        "symmetries": "all",
        "hue": 10 / 180,
        "saturation": 20 / 255,
        "value": 10 / 255,
        "gamma": (0.8, 1.5),
        "colour_chance": 0.9,
        "gain": 0.0,
        "offset": 0.0,
        "drop_band": 0.0,
        "scale": (1.0, 1.0),
    }
    assert asdict(RECIPE.chosen().augment) == expected


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 1e-3),
        (80 * 100 - 1, 1e-4),  # the last step of epoch 100
        (80 * 106 - 1, 1e-5),  # of epoch 106: the end of the first cycle
        (80 * 109 - 1, 5.5e-5),  # the middle of the second one
        (80 * 160 - 1, 1e-5),
    ],
)
def test_the_rate_goes_down_in_100_epochs_and_then_in_10_cycles_of_6(
    step: int, rate: float
) -> None:
    settings = RECIPE.chosen()
    assert settings.lr * settings.rates.factor(step, settings.steps) == pytest.approx(rate)


def test_weights_are_averaged_over_the_ends_of_the_cycles() -> None:
    settings = RECIPE.chosen()
    expected = tuple(80 * epoch for epoch in range(106, 161, 6))
    assert settings.rates.snapshots(settings.steps) == expected


@pytest.mark.parametrize(
    ("variant", "net", "loss", "sampler"),
    [
        ("m46", "unet", "lovasz", "equibatch"),
        ("resnet34", "unet_resnet34", "lovasz", "equibatch"),
        ("inception+jaccard", "unet_inception_resnet_v2", "jaccard_pixel", "equibatch"),
        ("jaccard-region+uniform", "unet", "jaccard_region", "scene"),
    ],
)
def test_variants_are_those_of_the_tables(variant: str, net: str, loss: str, sampler: str) -> None:
    found = RECIPE.chosen(variant)
    assert (found.net, found.sampler) == (net, sampler)
    assert isinstance(found.loss, dict)
    assert loss in found.loss


def test_what_is_recommended_is_as_long_and_scales_gradients_down() -> None:
    for variant in ("", "jaccard", "resnet34+jaccard-region"):
        paper, found = RECIPE.chosen(variant), RECIPE.chosen(variant, "recommended")
        assert found.steps == paper.steps
        assert (paper.clip, found.clip) == (0.0, 1.0)


def test_a_recut_that_is_coarser_already_is_not_halved(tmp_path: Path) -> None:
    folder = fake_deepglobe_land(tmp_path, n=2, size=512)
    assert RECIPE.read is not None
    assert RECIPE.read(folder).gsd == pytest.approx(1.195, abs=1e-3)
    assert {scene.shape for scene in RECIPE.read(folder).training} == {(512, 512)}


@pytest.mark.parametrize("encoder", ["m46", "resnet34", "inception"])
def test_a_quick_run_beats_the_majority_class(tmp_path: Path, encoder: str) -> None:
    folder = fake_deepglobe_land(tmp_path / "data", n=6, size=128)
    changes = [f"variant={encoder}", "preset=quick"]
    model = train_files("unet-lovasz", folder, tmp_path / "model", changes, device="cpu")
    assert RECIPE.read is not None
    truth = RECIPE.read(folder).held_out[0].labels.values
    truth = np.where(truth == 0, IGNORE, truth)  # unknown is not scored
    majority = ConfusionMatrix(7)
    majority.update(truth, np.full(truth.shape, np.bincount(truth[truth != IGNORE]).argmax()))
    found, floor = model.card.metrics["held_out"], scores(majority, model.card.classes)
    assert found["pixels"] == floor["pixels"]
    assert found["miou"] > 2 * floor["miou"]
    assert found["overall_accuracy"] > floor["overall_accuracy"]
    assert (model.card.mean, model.card.std) == ((127.5,) * 3, (127.5,) * 3)


# -- seen from farther away ------------------------------------------------------------------------

TAPS = {1: 1 / 8, 0: 3 / 8, -1: 3 / 8, -2: 1 / 8}


def test_the_command_of_the_paper_takes_a_picture_that_does_not_say_its_pixel_size(
    tmp_path: Path,
) -> None:
    options = {"in_channels": 3, "classes": 4, "widths": [8, 8]}
    for seed, name in enumerate("ab"):
        net = nets.build("unet", **options)
        model = segmenter_of(net, seed, architecture="unet", options=options, gsd=1.0)
        model.save(tmp_path / f"{name}.safetensors")
    parts = np.random.default_rng(0).integers(0, 255, (3, 7, 8), dtype=np.uint8)
    pixels = np.repeat(np.repeat(parts, 100, 1), 100, 2)
    pixels[:, 130:170, 130:170] ^= 255  # 400 square metres within their part
    profile = {"driver": "JPEG", "crs": None, "transform": None}
    write(tmp_path / "scene.jpg", pixels, **profile)

    (command,) = re.findall(r"geoseg predict .*\\\n.*", str(unet_lovasz.__doc__))
    _, *words = shlex.split(command.replace("\\\n", ""))
    line = [sys.executable, "-m", "geoseg", *words]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with unlocated_is_fine(), rasterio.open(tmp_path / "map.tif") as file:
        found = file.read(1)
    half = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_600_000.0)
    located = write(tmp_path / "scene.tif", read(tmp_path / "scene.jpg", None), transform=half)
    models = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    plain = geoseg.predict(
        geoseg.open_raster(located), models, gsd=1.0, window=288, blend="mean", stride=57
    ).values
    assert found.shape == plain.shape == (700, 800)
    for labels, small in ((plain, True), (found, False)):
        sizes = [
            size
            for value in range(4)
            for size in np.bincount(ndimage.label(labels == value)[0].ravel())[1:]
        ]
        assert (min(sizes) < 3500) == small
        assert len(sizes) > 1
    # Large regions keep their class but for what small ones beside them bring.
    assert (found == plain).mean() > 0.8


def test_images_are_halved_as_for_prediction_and_labels_to_middles(tmp_path: Path) -> None:
    folder = fake_deepglobe_land(tmp_path, n=3)
    assert RECIPE.read is not None
    whole, halved = deepglobe_land(folder), RECIPE.read(folder)
    for fine, coarse in zip(whole.training, halved.training, strict=True):
        pixels = fine.image.values.astype(float)
        for axis in (1, 2):  # weights fall linearly from the middle of a pixel to its neighbours'
            four = [np.roll(pixels, shift, axis).take(range(0, 64, 2), axis) for shift in TAPS]
            pixels = sum(weight * each for weight, each in zip(TAPS.values(), four, strict=True))
        assert coarse.image.dtype == np.uint8
        inner = np.s_[:, 1:-1, 1:-1]
        assert np.abs(coarse.image.values[inner] - pixels[inner]).max() <= 0.5 + 1e-4
        np.testing.assert_array_equal(coarse.labels.values, fine.labels.values[1::2, 1::2])
        box = slice(5, 20), slice(11, 13)
        np.testing.assert_array_equal(coarse.read(box), coarse.image.values[:, *box])
        np.testing.assert_array_equal(coarse.read_labels(box), coarse.labels.values[box])


def test_scenes_that_cannot_be_divided_keep_their_far_ends() -> None:
    found = coarser(data_of(chequered(0, (48, 40))), 7).training[0]
    assert found.shape == found.labels.shape
    whole = found.read_labels((slice(0, found.shape[0]), slice(0, found.shape[1])))
    assert (whole < 3).all()


def test_pixels_that_are_missing_do_not_count_in_a_mean() -> None:
    scene = chequered(0)
    pixels = scene.image.astype("float32")
    pixels[:, :3, :2] = -1.0
    data = data_of(type(scene)(pixels.rio.write_nodata(-1.0), scene.labels))
    found = coarser(data, 2).training[0].image.values
    assert np.isnan(found[:, 0, 0]).all()
    there = np.where(pixels.values == -1.0, np.nan, pixels.values)[:, 1:5, :3]
    assert (np.nanmin(there, (1, 2)) <= found[:, 1, 0]).all()
    assert (found[:, 1, 0] <= np.nanmax(there, (1, 2))).all()


# -- every recipe, as it is ------------------------------------------------------------------------


def _variants(recipe: Recipe) -> list[str]:
    """Every name of every axis, beside the first ones of the other axes."""
    return [name for axis in recipe.variants for name in axis] or [""]


EVERY = [
    (name, variant, preset)
    for name, recipe in RECIPES.items()
    for variant in _variants(recipe)
    for preset in recipe.presets
]


@pytest.mark.parametrize(("name", "variant", "preset"), EVERY)
def test_a_network_takes_the_windows_of_its_recipe(name: str, variant: str, preset: str) -> None:
    settings = RECIPES[name].chosen(variant, preset)
    options = {} if settings.net == "svm" else settings.options
    bands = sum({**nets.options_of(settings.net), **options}.get("sensors", (3,)))
    with torch.device("meta"):
        net = nets.build(settings.net, in_channels=bands, classes=5, **options).train()
        scores = net(torch.empty(2, bands, settings.crop, settings.crop))
    heads = sum(getattr(net, "heads", (5,)))
    assert scores.shape[:2] == (2, heads)
    if not (hasattr(net, "margin") or hasattr(net, "pooled")):
        assert scores.shape[2:] == (settings.crop, settings.crop)
    assert settings.rates.snapshots(settings.steps) == tuple(
        sorted(settings.rates.snapshots(settings.steps))
    )


def test_a_root_is_refused_where_nothing_describes_the_data(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"root=/ is for data sets that a YAML file describes, and"):
        train_files("unet", tmp_path, tmp_path / "model", ["root=/"])
    with pytest.raises(UserError, match=r"there is no .*none.yaml; describe the data set there"):
        train_files("unet", tmp_path / "none.yaml", tmp_path / "model")
