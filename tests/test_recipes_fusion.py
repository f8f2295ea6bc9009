"""Fusion of radar and optical images as published, small enough to be trained here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import yaml
from fixtures_published import fake_sen12ms, write_image
from rasterio.enums import ColorInterp

import geoseg
from geoseg.errors import UserError
from geoseg.loader import Scene
from geoseg.recipes import RECIPES, train_files
from geoseg.segmenter import Segmenter
from geoseg.train import read_dataset, scoring
from geoseg.train.data.readers import sen12ms
from geoseg.train.data.readers.sen12ms import STATISTICS, igbp_table
from geoseg.train.stated_loss import ImageLabels, image_labels

RECIPE = RECIPES["deep-fusion"]
EXAMPLES = Path(__file__).parents[1] / "examples"
LABELS = ImageLabels(min_fraction=0.1)
S2 = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Patches of forest, grassland, croplands and water."""
    folder = tmp_path_factory.mktemp("sen12ms")
    return fake_sen12ms(folder, n=4, size=96, codes=(1, 10, 12, 17))


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Segmenter]:
    """Models that were trained already, by variant; see `train`."""
    return {}


def train(variant: str, root: Path, trained: dict[str, Segmenter], folder: Path) -> Segmenter:
    if variant not in trained:
        settings = [f"variant={variant}+patch-third", "preset=quick"]
        path = folder / "model.safetensors"
        trained[variant] = train_files("deep-fusion", root, path, settings, device="cpu")
    return trained[variant]


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "net", "rate", "decay", "bands"),
    [
        ("middle", "middle_fusion", 4e-3, 1e-6, (*S2, "VV", "VH")),
        ("late", "late_fusion", 2e-3, 1e-6, (*S2, "VV", "VH")),
        ("early", "early_fusion", 1e-3, 1e-5, (*S2, "VV", "VH")),
        ("s2", "early_fusion", 1e-3, 1e-5, S2),
        ("s1", "early_fusion", 1e-3, 1e-5, ("VV", "VH")),
        ("rgb", "early_fusion", 1e-3, 1e-5, ("B02", "B03", "B04")),
    ],
)
def test_settings_are_those_of_the_paper_and_of_its_toolbox(
    variant: str, net: str, rate: float, decay: float, bands: tuple[str, ...]
) -> None:
    settings = RECIPE.chosen(variant)
    assert (settings.net, settings.lr, settings.weight_decay) == (net, rate, decay)
    assert settings.options == {}  # 101 layers, fused after layer2 by the mean
    assert (settings.optimiser, settings.schedule, settings.clip) == ("adam", "constant", 0)
    assert (settings.crop, settings.batch, settings.sampler) == (256, 25, "scene")
    assert settings.steps * settings.batch == 100 * 108_912  # epochs of so many patches
    assert settings.loss == {"multi_label": {"min_fraction": 0.1}}
    assert settings.augment.symmetries == "none"
    assert settings.keep == RECIPE.chosen(variant, "recommended").keep == "best"
    assert settings.mean == tuple(STATISTICS[band][0] for band in bands)
    assert settings.std == tuple(STATISTICS[band][1] for band in bands)


@pytest.mark.parametrize("variant", ["middle", "s2", "s1", "rgb"])
def test_unit_brings_the_bands_of_a_variant_to_0_to_1(variant: str) -> None:
    settings = RECIPE.chosen(f"unit+{variant}")
    bands = {"middle": 12, "s2": 10, "s1": 2, "rgb": 3}[variant]
    lowest, span = ([*[0.0] * 10, -25.0, -25.0], [*[1e4] * 10, 25.0, 25.0])
    own = slice(-bands, None) if variant in ("middle", "s1") else slice(bands)
    assert settings.mean == tuple(lowest[own])
    assert settings.std == tuple(span[own])


def test_no_place_is_learnt_from_and_validated_with_unless_asked_for(tmp_path: Path) -> None:
    """In every preset, of scenes of several patches."""
    root = fake_sen12ms(tmp_path, n=3, scenes=tuple(range(20, 30)))

    def scenes(part: Any) -> set[str]:
        return {each.image.variable._data.array.read.patch.scene for each in part}

    for preset in RECIPE.presets:
        own, third = (RECIPE.reader(variant, preset)(root) for variant in ("", "patch-third"))
        assert own.validation
        assert not scenes(own.training) & scenes(own.validation)
        assert scenes(third.training) & scenes(third.validation)


def test_dense_variants_learn_from_pixels_with_a_pyramid() -> None:
    for variant in ("s1+dense", "s2+dense", "early+dense", "middle+dense", "late+dense"):
        settings = RECIPE.chosen(variant)
        assert (settings.loss, settings.options) == ("cross_entropy", {"decoder": "fpn"})
        assert settings.class_power == 0


def test_average_accuracy_as_printed_is_the_mean_over_classes() -> None:
    published = RECIPE.published
    assert published is not None
    assert len(published.columns) == 12
    for row in published.rows.values():
        assert np.mean([each for each in row[2:] if each is not None]) == pytest.approx(
            row[1], abs=0.006
        )


@pytest.mark.parametrize(
    ("variant", "preset", "options"),
    [
        ("", "paper", {"validation": "scene"}),
        ("", "recommended", {"validation": "scene", "nan_fill": -25}),
        ("patch-third", "paper", {"validation": "patch_third"}),
        ("patch-third", "recommended", {"validation": "patch_third", "nan_fill": -25}),
        ("s1", "paper", {"bands": "s1"}),
        ("rgb", "quick", {"bands": "rgb"}),
        ("by-scene+s2+unit", "recommended", {"bands": "s2", "nan_fill": -25, "saturate": True}),
    ],
)
def test_a_variant_reads_its_own_sensors(
    root: Path, variant: str, preset: str, options: dict[str, Any]
) -> None:
    read = RECIPE.reader(variant, preset)
    assert read is not None
    found, expected = read(root), sen12ms(root, **options)
    assert found.bands == expected.bands
    parts = ("training", "validation", "held_out")
    for one, other in ((getattr(found, part), getattr(expected, part)) for part in parts):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine.image.values, theirs.image.values)


# -- training --------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["middle", "late", "early", "s2", "s1"])
def test_images_are_told_apart_better_than_by_the_commonest_decision(
    root: Path, trained: dict[str, Segmenter], tmp_path: Path, variant: str
) -> None:
    model = train(variant, root, trained, tmp_path)
    found = model.card.metrics["held_out"]["of_images"]
    assert found["images"] == 4 * 9  # windows of 32 of patches of 96
    assert found["average_accuracy"] > found["majority_accuracy"] + 0.01
    assert set(found["f1"]) == {each.name for each in model.card.classes}
    assert found["support"]["snow or ice"] == 0
    assert found["accuracy"]["snow or ice"] == 1


@pytest.mark.parametrize(
    "variant", ["middle+dense", "late+dense", "early+dense", "s2+dense", "s1+dense"]
)
def test_pixels_are_told_apart_better_than_by_the_commonest_class(
    root: Path, trained: dict[str, Segmenter], tmp_path: Path, variant: str
) -> None:
    model = train(variant, root, trained, tmp_path)
    found = model.card.metrics["held_out"]
    read = RECIPE.reader(variant)
    assert read is not None
    truth = np.stack([each.labels.values for each in read(root).held_out])  # type: ignore[union-attr]
    assert found["overall_accuracy"] > np.bincount(truth.ravel()).max() / truth.size
    assert "of_images" not in found


def test_a_model_file_of_two_sensors_predicts(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "late.safetensors"
    train_files("deep-fusion", root, path, ["variant=late", "preset=quick", "steps=2"])
    scene = sen12ms(root).held_out[0]
    image = scene.image.assign_attrs(long_name=(*S2, "VV", "VH"))
    labels = geoseg.predict(image, str(path)).values
    assert labels.shape == (96, 96)
    assert set(np.unique(labels)) <= set(range(1, 11))


def test_images_of_a_single_class_are_told_apart(root: Path, tmp_path: Path) -> None:
    settings = ["variant=early+single+patch-third", "preset=quick", "steps=60", "keep=best"]
    model = train_files("deep-fusion", root, tmp_path / "m", settings, device="cpu")
    found = model.card.metrics["held_out"]["of_images"]
    truth, given = [], []
    for scene in sen12ms(root).held_out:
        for top, left in np.ndindex(3, 3):
            box = slice(32 * top, 32 * top + 32), slice(32 * left, 32 * left + 32)
            truth.append(np.bincount(scene.read_labels(box).ravel(), minlength=10).argmax())
            scores = model.logits(torch.from_numpy(scene.read(box))[None], scene.nodata)
            given.append(int(scores.mean((0, 2, 3)).argmax()))
    right = np.equal(truth, given)
    assert found["overall_accuracy"] == found["micro_f1"] == round(right.mean(), 4)
    assert found["overall_accuracy"] > np.bincount(truth).max() / len(truth)
    recalls = [right[np.equal(truth, each)].mean() for each in np.unique(truth)]
    assert found["average_recall"] == round(np.mean(recalls), 4)
    assert found["average_recall_of_all"] == round(np.sum(recalls) / 10, 4)
    assert found["recall"]["snow or ice"] is None
    assert found["support"]["forest"] == truth.count(0)
    assert [each["step"] for each in model.card.training["history"]] == [60]


@pytest.mark.parametrize("kind", ["early", "middle", "late"])
def test_dense_networks_of_finer_features_learn(root: Path, tmp_path: Path, kind: str) -> None:
    settings = [f"variant={kind}+dense+unit", "preset=quick", "steps=2", "output_stride=16"]
    settings += ["average=probabilities"] if kind == "late" else []
    model = train_files("deep-fusion", root, tmp_path / "m", settings, device="cpu")
    assert model.card.options["output_stride"] == model.card.stride == 16


def test_probabilities_of_pixels_are_not_averaged_for_labels_of_images(
    root: Path, tmp_path: Path
) -> None:
    settings = ["variant=late", "preset=quick", "average=probabilities"]
    with pytest.raises(UserError, match=r"decoder=pool labels images; set decoder=fpn, or average"):
        train_files("deep-fusion", root, tmp_path / "m", settings)
    for loss in ("multi_label", "single_label"):
        own = [*settings, "decoder=fpn", f"loss={loss}"]
        with pytest.raises(UserError, match=r"the loss is one of images; set average=scores"):
            train_files("deep-fusion", root, tmp_path / "m", own)


# -- labels of images ------------------------------------------------------------------------------


def test_classes_are_merged_before_a_share_of_a_tenth_is_asked_for() -> None:
    """Of a hundred pixels: forests and croplands of two kinds each have a tenth only together."""
    shares = {1: 6, 4: 6, 9: 9, 12: 50, 14: 5, 17: 24}
    codes = np.repeat(list(shares), list(shares.values())).astype(np.uint8)
    assert [code for code, share in shares.items() if share >= 10] == [12, 17]
    shuffled = np.random.default_rng(0).permutation(codes).reshape(1, 10, 10)
    labels = torch.from_numpy(igbp_table()(shuffled)[0].astype(np.int64))[None]
    merged = np.bincount(labels.ravel(), minlength=10) / 100
    np.testing.assert_allclose(merged, [0.12, 0, 0.09, 0, 0, 0.55, 0, 0, 0, 0.24])
    several = image_labels(RECIPE.chosen("image").loss)
    single = image_labels(RECIPE.chosen("single").loss)
    assert several is not None
    assert single is not None
    assert (several.present(labels, 10)[0].nonzero().ravel() + 1).tolist() == [1, 6, 10]
    assert (single.present(labels, 10)[0].nonzero().ravel() + 1).tolist() == [6]


def test_a_share_of_exactly_a_tenth_makes_a_label() -> None:
    labels = torch.tensor([0] * 10 + [1] * 9 + [5] * 81).reshape(1, 10, 10)
    several = image_labels(RECIPE.chosen().loss)
    assert several is not None
    assert several.present(labels, 10)[0].nonzero().ravel().tolist() == [0, 5]


# -- scores of images ------------------------------------------------------------------------------


def test_fused_scores_do_not_depend_on_how_images_were_batched(
    root: Path, trained: dict[str, Segmenter], tmp_path: Path
) -> None:
    model = train("late", root, trained, tmp_path)
    scenes = sen12ms(root).held_out
    one = scoring.score_images(model, scenes, 32, 1, LABELS)
    for batch in (2, 7, 25, 100):
        many = scoring.score_images(model, scenes, 32, batch, LABELS)
        for name, counts in vars(one).items():
            np.testing.assert_array_equal(getattr(many, name), counts)


def test_late_fusion_averages_both_sensors_of_the_same_image(
    root: Path, trained: dict[str, Segmenter], tmp_path: Path
) -> None:
    """Against the decisions of two networks that are run apart, image by image."""
    model = train("late", root, trained, tmp_path)
    net: Any = model.net
    tables = np.zeros((10, 2, 2), int)
    for scene in sen12ms(root).held_out:
        for top, left in np.ndindex(3, 3):
            box = slice(32 * top, 32 * top + 32), slice(32 * left, 32 * left + 32)
            pixels = torch.from_numpy(scene.read(box))[None]
            values, _ = model.normalise(pixels, scene.nodata)
            with torch.no_grad():
                scores = [
                    decoder.score(trunk(bands)).mean((0, 2, 3))
                    for trunk, decoder, bands in zip(
                        net.trunks, net.decoders, (values[:, :10], values[:, 10:]), strict=True
                    )
                ]
            probable = torch.sigmoid((scores[0] + scores[1]) / 2).numpy() >= 0.5
            shares = np.bincount(scene.read_labels(box).ravel(), minlength=10) / 32**2
            for which in range(10):
                tables[which, int(shares[which] >= 0.1), int(probable[which])] += 1
    found = scoring.score_images(model, sen12ms(root).held_out, 32, 5, LABELS)
    np.testing.assert_array_equal(found.tables, tables)


def test_windows_without_labels_are_not_scored(
    root: Path, trained: dict[str, Segmenter], tmp_path: Path
) -> None:
    model = train("late", root, trained, tmp_path)
    scene = sen12ms(root).held_out[0].load()
    assert scene.labels is not None
    labels = scene.labels.copy()
    labels[:32] = 255
    half = scoring.score_images(model, [Scene(scene.image, labels)], 32, 4, LABELS)
    assert half.images() == 6


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("multi_label", ImageLabels()),
        ({"multi_label": 0.5, "lovasz": 1}, ImageLabels()),
        (
            {"multi_label": {"weight": 2, "pooling": "highest", "min_pixels": 3}},
            ImageLabels("highest", 3, 0.0),
        ),
        ("single_label", ImageLabels(single=True)),
        ({"single_label": {"pooling": "highest"}}, ImageLabels("highest", single=True)),
        ("cross_entropy", None),
        ({"lovasz": 1}, None),
    ],
)
def test_a_stated_loss_tells_what_labels_of_images_are(
    stated: Any, expected: ImageLabels | None
) -> None:
    assert image_labels(stated) == expected


# -- files of several sensors ----------------------------------------------------------------------


def two_sensors(folder: Path) -> dict[str, Any]:
    """Three bands and two, in files whose names end differently; every pixel tells its band."""
    for name in ("a_1", "b_2"):
        for ending, first, count in (("optical", 0, 3), ("radar", 10, 2)):
            bands = np.arange(first, first + count)[:, None, None]
            pixels = np.broadcast_to(bands, (count, 8, 8)) + 100.0 * (name == "b_2")
            write_image(folder / f"{name}_{ending}.tif", pixels.astype(np.float32))
        write_image(folder / f"{name}_labels.tif", np.eye(8, dtype=np.uint8)[None])
    return {
        "name": "two",
        "images": ["*_optical.tif", "*_radar.tif"],
        "labels": "*_labels.tif",
        "bands": {"vh": 5, "red": 1},
        "classes": [{"name": "land", "codes": [0]}, {"name": "water", "codes": [1]}],
    }


def described(folder: Path, stated: dict[str, Any]) -> Path:
    path = folder / "dataset.yaml"
    path.write_text(yaml.safe_dump(stated, sort_keys=False))
    return path


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_bands_of_several_files_are_counted_through(tmp_path: Path) -> None:
    data = read_dataset(described(tmp_path, two_sensors(tmp_path)))
    assert [each.image[:, 3, 4].values.tolist() for each in data.training] == [[11, 0], [111, 100]]
    assert data.bands == ("vh", "red")
    assert all((each.labels.values == np.eye(8)).all() for each in data.training)  # type: ignore[union-attr]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bands": {"x": 6}}, r"no band 6: its 2 files have 5 together; give numbers from 1 to 5"),
        ({"bands": {"x": "red"}}, r"no band 'red': .* give numbers from 1 to 5"),
        ({"images": []}, r"images is \[\]; give a pattern, or a list"),
        ({"images": ["*_optical.tif", 3]}, r"give a pattern, or a list of them to be stacked"),
        ({"images": ["*_optical.tif", "*_sonar.tif"]}, r"no image matches .*_sonar.tif"),
        ({"images": ["*_optical.tif", "a*_radar.tif"]}, r"no partner, first b_2_optical.tif and"),
    ],
)
def test_files_that_are_not_there_or_do_not_fit_are_told(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_dataset(described(tmp_path, {**two_sensors(tmp_path), **changes}))


@pytest.mark.parametrize(
    ("name", "training", "bands"),
    [("terramesh_s1_s2", 4, 12), ("chesapeake_multisource", 1, 22)],
)
def test_the_examples_of_several_sensors_read_real_files(
    data_folder: Path, name: str, training: int, bands: int
) -> None:
    data = read_dataset(EXAMPLES / f"{name}.yaml", data_folder / name)
    assert (len(data.training), len(data.held_out), len(data.bands)) == (training, 1, bands)
    scene = data.held_out[0]
    pixels = scene.image.values
    assert np.isfinite(pixels).all()
    assert pixels.reshape(bands, -1).std(1).min() > 0
    if name == "terramesh_s1_s2":
        optical, radar = pixels[:10].mean((1, 2)), pixels[10:].mean((1, 2))
        assert (optical > 100).all()
        assert ((radar < 0) & (radar > -30)).all()
        assert radar[0] > radar[1]  # VV echoes more than VH


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_band_that_a_file_calls_alpha_is_data_when_it_is_asked_for(tmp_path: Path) -> None:
    """As the infrared of many an aerial image; where it is 0, the others are still there."""
    stated = two_sensors(tmp_path)
    for path in tmp_path.glob("*_optical.tif"):
        pixels = np.stack([np.full((8, 8), each, np.uint8) for each in (7, 8, 9, 0)])
        write_image(path, pixels)
        with rasterio.open(path, "r+") as file:
            interps = [*file.colorinterp[:3], ColorInterp.alpha]
            file.colorinterp = interps
    stated["bands"] = {"vv": 5, "nir": 4, "red": 1}
    data = read_dataset(described(tmp_path, stated))
    assert [each.image[:, 3, 4].values.tolist() for each in data.training] == [
        [10, 0, 7],
        [110, 0, 7],
    ]
