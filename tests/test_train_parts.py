"""The pieces of training: losses and settings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.cli import main
from geoseg.errors import UserError
from geoseg.loader import IGNORE
from geoseg.recipes import RECIPES, find_recipe
from geoseg.train.losses import class_weights, cross_entropy
from geoseg.train.settings import Settings, change

seeds = st.integers(0, 2**32 - 1)


# -- losses ----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(2, 5), st.booleans())
def test_cross_entropy_is_the_weighted_mean_over_labelled_pixels(
    seed: int, classes: int, weighted: bool
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (2, classes, 3, 4))
    labels = rng.integers(0, classes, (2, 3, 4))
    labels[rng.random(labels.shape) < 0.3] = IGNORE
    weights = rng.uniform(0.1, 3, classes) if weighted else np.ones(classes)
    total = share = 0.0
    for image, row, column in np.argwhere(labels != IGNORE):
        scores = logits[image, :, row, column]
        true = labels[image, row, column]
        total += weights[true] * (np.log(np.exp(scores).sum()) - scores[true])
        share += weights[true]
    given_weights = torch.from_numpy(weights) if weighted else None
    loss = cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels), given_weights)
    assert float(loss) == pytest.approx(total / share if share else 0.0, rel=1e-9)


@pytest.mark.parametrize("weights", [None, torch.ones(3)])
def test_windows_without_a_label_teach_nothing(weights: torch.Tensor | None) -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = cross_entropy(logits, torch.full((1, 4, 4), IGNORE), weights)
    loss.backward()
    assert loss.detach().item() == 0.0
    assert not logits.grad.any()


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=8).filter(any),
    st.floats(0, 1, allow_nan=False),
)
def test_class_weights_average_to_one_and_lift_rare_classes(
    pixels: list[int], power: float
) -> None:
    counts = np.array(pixels)
    weights = class_weights(counts, power).double().numpy()
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1, rel=1e-5)
    assert (weights[counts == 0] == weights[counts > 0].max()).all()  # it may be there all the same
    rare_first = np.argsort(counts[counts > 0], kind="stable")
    assert (np.diff(weights[counts > 0][rare_first]) <= 1e-6 * weights.max()).all()


def test_class_weights_of_power_zero_and_one_treat_pixels_and_classes_alike() -> None:
    counts = np.array([10, 30, 60])
    assert class_weights(counts, 0.0).tolist() == pytest.approx([1, 1, 1])
    assert (class_weights(counts, 1.0).numpy() * counts).tolist() == pytest.approx([100 / 3] * 3)


# -- settings --------------------------------------------------------------------------------------


def test_settings_are_changed_by_yaml_values() -> None:
    changed = change(
        Settings(), ["steps=12", "lr=1e-3", "widths=[4, 8]", "schedule=poly", "clip=2"]
    )
    expected = Settings(steps=12, lr=1e-3, options={"widths": [4, 8]}, schedule="poly", clip=2.0)
    assert changed == expected


def test_without_changes_settings_stay() -> None:
    assert change(Settings(seed=3), []) == Settings(seed=3)


def test_every_recipe_is_found_by_its_name() -> None:
    assert all(find_recipe(name) is recipe for name, recipe in RECIPES.items())


def test_an_unknown_recipe_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match=r"no recipe 'unte'; choose from unet"):
        find_recipe("unte")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step=3", r"no setting 'step'; choose from net, .*crop.*steps.*gain.*widths"),
        ("options={}", r"no setting 'options'"),
        ("in_channels=3", r"no setting 'in_channels'"),
        ("steps", r"'steps': write it as key=value"),
        ("steps=many", r"steps=many: give a whole number"),
        ("steps=2.5", r"steps=2.5: give a whole number"),
        ("steps=true", r"steps=True: give a whole number"),
        ("steps=0", r"steps=0: give a whole number of 1 or more"),
        ("lr=1" + "0" * 400, r"lr=10+: give a number"),
        ("lr=fast", r"lr=fast: give a number"),
        ("lr=.nan", r"lr=nan: give a number"),
        ("lr=-1", r"lr=-1.0: give a number above 0"),
        ("gain=-0.1", r"gain=-0.1: give a number of 0 or more"),
        ("schedule=steep", r"schedule=steep: choose from poly, cosine"),
        ("net=vgg", r"no network 'vgg'"),
        ("widths=[4", r"'\[4' is no YAML value"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        change(Settings(), [text])


def test_options_that_the_network_lacks_are_refused() -> None:
    with pytest.raises(UserError, match=r"'unet' has no option depth; choose from widths"):
        Settings(options={"depth": 3})


def test_the_overview_names_every_recipe_with_what_can_be_chosen() -> None:
    done = CliRunner().invoke(main, ["recipes"])
    assert done.exit_code == 0
    for name, recipe in RECIPES.items():
        lines = done.output.split(f"{name}\n", 1)[1].splitlines()
        assert lines[0].strip() == recipe.about
        told = " ".join(lines[1:3])
        for choice in (*recipe.presets, *(each for axis in recipe.variants for each in axis)):
            assert choice in told
    assert "--set variant=A+B --set preset=quick" in done.output


def test_the_help_of_training_says_where_recipes_are_listed() -> None:
    told = CliRunner().invoke(main, ["train", "--help"]).output
    assert "`geoseg recipes`" in " ".join(told.split())
    assert "--report" in told


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_tells_where_it_is_from(name: str) -> None:
    done = CliRunner().invoke(main, ["recipes", name])
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) >= 1
    assert "Parameters" not in done.stdout


def test_an_unknown_recipe_is_told_nothing_of() -> None:
    done = CliRunner().invoke(main, ["recipes", "vgg"])
    assert done.exit_code == 2
    assert "no recipe 'vgg'; choose from unet" in done.stderr
