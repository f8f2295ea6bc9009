# SPDX-License-Identifier: GPL-2.0-or-later
"""What is said of an image and a model before the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from geoseg_qgis.fitting import (
    NOTE,
    STOP,
    WARNING,
    Band,
    Finding,
    LayerFacts,
    ModelCard,
    about_export,
    bands_argument,
    card_from,
    findings,
    first_sentence,
    metres,
    percentiles,
    size_words,
    suggested_bands,
)

SENTINEL = {
    "name": "sentinel",
    "path": "/models/sentinel.safetensors",
    "description": "Land cover. It works at 10 m.",
    "bands": ["blue", "green", "red"],
    "gsd": 10.0,
    "gsd_range": [8.0, 12.5],
    "value_range": [[0.0, 255.0], [0.0, 255.0], [0.0, 255.0]],
    "classes": [{"value": 1, "name": "field", "color": "#e3c35a"}],
    "licence": "MIT",
}


def card(**changes: Any) -> ModelCard:
    return card_from({**SENTINEL, **changes})


def unnamed(count: int) -> tuple[Band, ...]:
    return tuple(Band(number) for number in range(1, count + 1))


def named(*names: str) -> tuple[Band, ...]:
    return tuple(Band(number, name) for number, name in enumerate(names, 1))


def found(
    facts: LayerFacts, model: ModelCard, chosen: Sequence[int | None] | None = None
) -> list[Finding]:
    return findings(
        facts, model, suggested_bands(facts.bands, model.bands) if chosen is None else chosen
    )


def only(
    facts: LayerFacts, model: ModelCard, chosen: Sequence[int | None] | None = None
) -> Finding:
    (finding,) = found(facts, model, chosen)
    return finding


FITS = LayerFacts(unnamed(3), (10.0, 10.0), {1: (3, 250), 2: (5, 251), 3: (1, 240)})


def test_nothing_is_said_of_an_image_that_fits() -> None:
    assert found(FITS, card()) == []


def test_a_card_is_taken_from_what_the_engine_tells() -> None:
    taken = card()
    assert taken.bands == ("blue", "green", "red")
    assert taken.gsd_range == (8.0, 12.5)
    assert taken.value_range == ((0.0, 255.0),) * 3
    assert taken.licence == "MIT"


def test_a_card_may_lack_what_a_model_need_not_know() -> None:
    taken = card_from({"name": "bare", "bands": ["red"], "gsd": None, "value_range": None})
    assert (taken.path, taken.gsd, taken.gsd_range, taken.value_range) == ("bare", None, None, ())
    facts = LayerFacts(unnamed(1), (10.0, 10.0), {1: (0, 1e9)})
    assert found(facts, taken) == []


# Bands


def test_too_few_bands_stop_the_run_and_both_numbers_are_said() -> None:
    facts = LayerFacts(unnamed(2), (10.0, 10.0))
    finding = only(facts, card())
    assert finding.severity == STOP
    assert finding.text.startswith("The model needs 3 bands (blue, green, red), the layer has 2.")


def test_more_bands_than_the_model_has_must_be_chosen() -> None:
    finding = only(LayerFacts(unnamed(4), (10.0, 10.0)), card())
    assert finding.severity == STOP
    assert finding.text == "Choose under Bands which band of the layer is: blue, green, red."


def test_only_the_bands_without_a_choice_are_asked_for() -> None:
    facts = LayerFacts(unnamed(4), (10.0, 10.0))
    assert only(facts, card(), [3, None, 1]).text.endswith("band of the layer is: green.")
    assert found(facts, card(), [3, 2, 1]) == []


def test_a_band_that_is_used_twice_is_pointed_out() -> None:
    finding = only(LayerFacts(unnamed(3), (10.0, 10.0)), card(), [1, 1, 2])
    assert (finding.severity, finding.text) == (
        WARNING,
        "One band is used twice. Check the choice under Bands.",
    )


RGB = (Band(1, "", "red"), Band(2, "", "green"), Band(3, "", "blue"))


def test_bands_without_names_are_found_by_the_colours_they_are_marked_as() -> None:
    assert suggested_bands(RGB, ("blue", "green", "red")) == [3, 2, 1]
    assert suggested_bands(RGB, ("red", "nir")) == [1, None]
    assert found(LayerFacts(RGB, (10.0, 10.0)), card()) == []


def test_another_choice_than_the_file_marks_is_pointed_out() -> None:
    finding = only(LayerFacts(RGB, (10.0, 10.0)), card(), [1, 2, 3])
    assert finding.severity == NOTE
    assert finding.text.startswith("Band 1 is taken as blue, but the file marks it as red.")


@pytest.mark.parametrize(
    ("names", "wanted", "numbers"),
    [
        (("B04", "B03", "B02"), ("blue", "green", "red"), [3, 2, 1]),
        (("Red", "GREEN", "b"), ("blue", "green", "red"), [3, 2, 1]),
        (("B8", "B04"), ("red", "nir"), [2, None]),
        (("B08", "B04"), ("red", "nir"), [2, 1]),
        (("Near-infrared", "red"), ("red", "nir"), [2, 1]),
        (("VV", "VH"), ("VH", "VV"), [2, 1]),
        (("red", "red"), ("red",), [1]),
        (("elevation", "slope"), ("red", "nir"), [None, None]),
    ],
)
def test_bands_are_found_by_their_names(
    names: tuple[str, ...], wanted: tuple[str, ...], numbers: list[int | None]
) -> None:
    assert suggested_bands(named(*names), wanted) == numbers


@pytest.mark.parametrize("names", [("", "", ""), ("Band 1", "band_2", "3"), ("layer_1", "b-2", "")])
def test_names_that_are_mere_numbers_count_as_none(names: tuple[str, ...]) -> None:
    assert suggested_bands(named(*names), ("x", "y", "z")) == [1, 2, 3]
    assert suggested_bands(named(*names), ("x", "y")) == [None, None]


def test_bands_that_a_model_knows_by_number_are_those_of_the_layer() -> None:
    wanted = ("band 4", "band 2")
    assert suggested_bands(named("", "", "", ""), wanted) == [4, 2]
    assert suggested_bands(named("a", "b", "c", "d"), wanted) == [4, 2]
    assert suggested_bands(named("band 2", "band 4"), wanted) == [2, 1]
    assert suggested_bands(RGB, wanted) == [None, 2]
    assert suggested_bands(RGB, ("band 4", "red")) == [None, 1]


def test_transparency_is_never_suggested_and_the_others_keep_their_numbers() -> None:
    bands = (Band(1, is_alpha=True), Band(2), Band(3), Band(4))
    assert suggested_bands(bands, ("x", "y", "z")) == [2, 3, 4]
    assert suggested_bands(bands, ("w", "x", "y", "z")) == [None] * 4


def test_transparency_may_be_chosen() -> None:
    bands = (*RGB, Band(4, is_alpha=True))
    model = card(bands=["blue", "green", "red", "nir"])
    assert found(LayerFacts(bands, (10.0, 10.0)), model, [3, 2, 1, 4]) == []
    (asked,) = found(LayerFacts(bands, (10.0, 10.0)), model)
    assert asked.text == "Choose under Bands which band of the layer is: nir."


def test_the_engine_is_told_the_bands_that_are_shown() -> None:
    assert bands_argument([4, 3, 2]) == "4,3,2"
    assert bands_argument([4, None, 2]) == ""


# Size of pixels


@pytest.mark.parametrize("side", [8.0, 10.0, 12.5])
def test_pixels_within_the_models_range_are_fine(side: float) -> None:
    assert found(LayerFacts(unnamed(3), (side, side)), card()) == []


@pytest.mark.parametrize(
    ("size", "words", "effect"),
    [
        ((30.0, 30.0), "Pixels of 30 m are coarser than the 10 m ", "will be missed"),
        ((2.5, 2.5), "Pixels of 2.5 m are finer than the 10 m ", "not used"),
        ((10.0, 20.0), "Pixels of 10 × 20 m are coarser ", "will be missed"),
    ],
)
def test_pixels_that_must_be_resampled_are_warned_of(
    size: tuple[float, float], words: str, effect: str
) -> None:
    finding = only(LayerFacts(unnamed(3), size), card())
    assert finding.severity == WARNING
    assert finding.text.startswith(words)
    assert effect in finding.text
    assert "resampled" in finding.text


@pytest.mark.parametrize(
    ("side", "severity"), [(80.0, WARNING), (80.5, STOP), (1.25, WARNING), (1.2, STOP)]
)
def test_beyond_eight_times_the_engine_refuses(side: float, severity: str) -> None:
    finding = only(LayerFacts(unnamed(3), (side, side)), card())
    assert finding.severity == severity
    assert ("more than 8 times off the 10 m" in finding.text) == (severity == STOP)


def test_a_model_with_one_size_takes_only_that() -> None:
    assert found(LayerFacts(unnamed(3), (10.0, 10.0)), card(gsd_range=None)) == []
    assert only(LayerFacts(unnamed(3), (9.0, 9.0)), card(gsd_range=None)).severity == WARNING


def test_without_a_coordinate_system_the_size_is_unknown() -> None:
    finding = only(LayerFacts(unnamed(3)), card())
    assert finding.severity == WARNING
    assert "no coordinate system" in finding.text
    assert "expects 10 m" in finding.text


def test_a_model_of_any_size_takes_pixels_of_any_size() -> None:
    assert found(LayerFacts(unnamed(3), (1000.0, 1000.0)), card(gsd=None, gsd_range=None)) == []
    assert found(LayerFacts(unnamed(3)), card(gsd=None, gsd_range=None)) == []


# Values


def reaching(*highest: float) -> LayerFacts:
    values = {number: (0.0, high) for number, high in enumerate(highest, 1)}
    return LayerFacts(unnamed(len(highest)), (10.0, 10.0), values)


@pytest.mark.parametrize("high", [64.0, 255.0, 1020.0])
def test_values_within_four_times_of_the_usual_are_fine(high: float) -> None:
    assert found(reaching(high, high, high), card()) == []


@pytest.mark.parametrize(
    ("high", "severity"),
    [(63.0, WARNING), (1021.0, WARNING), (12.0, STOP), (5101.0, STOP), (5100.0, WARNING)],
)
def test_values_in_other_units_are_warned_of_or_refused(high: float, severity: str) -> None:
    finding = only(reaching(high, high, high), card())
    assert finding.severity == severity
    assert finding.text.startswith(
        f"Pixel values go up to {high:g}, but the model was trained on values up to 255"
    )
    assert ("the units differ" in finding.text) == (severity == STOP)


def test_one_band_off_is_a_matter_of_the_scene() -> None:
    assert found(reaching(10_000.0, 200.0, 200.0), card()) == []


def test_values_of_the_chosen_bands_count() -> None:
    facts = reaching(20_000, 200, 200, 200)
    assert found(facts, card(), [4, 3, 2]) == []
    three = LayerFacts(unnamed(4), (10.0, 10.0), {1: (0, 9e3), 2: (0, 8e3), 3: (0, 7e3), 4: (0, 9)})
    finding = only(three, card(), [1, 2, 3])
    assert finding.text.startswith("Pixel values go up to 7000–9000, but")


def test_values_that_are_not_known_yet_are_not_judged() -> None:
    assert found(LayerFacts(unnamed(3), (10.0, 10.0)), card()) == []
    some = LayerFacts(unnamed(3), (10.0, 10.0), {1: (0, 1e6), 2: (0, 1e6)})
    assert found(some, card()) == []


def test_an_image_of_zeros_alone_is_left_to_the_engine() -> None:
    assert found(reaching(0, 0, 0), card()) == []


def test_backscatter_on_a_linear_scale_is_refused_where_decibels_are_meant() -> None:
    radar = card(bands=["VV", "VH"], value_range=[[-25.0, -3.0], [-32.0, -9.0]])
    linear = LayerFacts(named("VV", "VH"), (10.0, 10.0), {1: (0.0, 0.8), 2: (0.0, 0.1)})
    finding = only(linear, radar)
    assert finding.severity == STOP
    assert finding.text.startswith(
        "Band VV has values from 0 to 0.8, but the model was trained on dec"
    )
    decibels = LayerFacts(named("VV", "VH"), (10.0, 10.0), {1: (-20.0, -4.0), 2: (-30.0, -8.0)})
    assert found(decibels, radar) == []


def test_what_stops_is_said_before_what_warns() -> None:
    facts = LayerFacts(unnamed(3), (30.0, 30.0), {1: (0, 1), 2: (0, 1), 3: (0, 1)})
    assert [each.severity for each in found(facts, card())] == [STOP, WARNING]


# Web maps


def test_a_whole_web_map_is_refused() -> None:
    (finding,) = about_export(None)
    assert finding.severity == STOP
    assert "Choose an area" in finding.text


@pytest.mark.parametrize(
    ("pixels", "severities"),
    [
        (25_000_000, []),
        (26_000_000, [WARNING]),
        (100_000_000, [WARNING]),
        (150_000_000, [STOP]),
    ],
)
def test_the_size_of_an_export_is_bounded(pixels: int, severities: list[str]) -> None:
    told = about_export(pixels)
    assert [each.severity for each in told] == severities
    assert all(f"{pixels // 1_000_000:,} million pixels" in each.text for each in told)


# Words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((10.0, 10.0), "10 m"),
        ((0.3, 0.3), "0.3 m"),
        ((10.0, 10.05), "10 m"),
        ((18.3456, 22.1), "18.3 × 22.1 m"),
        ((1500.0, 1500.0), "1500 m"),
    ],
)
def test_the_size_of_a_pixel_is_said_in_few_words(size: tuple[float, float], words: str) -> None:
    assert size_words(size) == words


def test_a_length_is_said_in_metres() -> None:
    assert metres(0.05) == "0.05 m"
    assert metres(2400.0) == "2400 m"


def test_a_description_begins_with_its_first_sentence() -> None:
    assert first_sentence("  Water from 0.3 m images. It fails at night.") == (
        "Water from 0.3 m images."
    )
    assert first_sentence("Water") == "Water"


def test_a_sample_is_described_by_its_percentiles() -> None:
    assert percentiles([*range(1000), 10**9]) == (10, 990)
    assert percentiles([7.0]) == (7.0, 7.0)
    assert percentiles([]) is None
