"""Bands are found by name, in order, or as they were asked for; nothing is guessed."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from pointwise import pointwise

from geoseg.bands import band_names, choose_bands
from geoseg.card import Card
from geoseg.errors import UserError


def card_of(*bands: str) -> Card:
    return pointwise(len(bands), bands=bands).card


def image_of(
    names: tuple[str, ...] | None, count: int | None = None, **coords: list[object]
) -> xr.DataArray:
    """An image whose bands hold their place: 0, 1, 2, ..."""
    length = len(names) if names is not None else count
    pixels = np.broadcast_to(np.arange(length)[:, None, None], (length, 2, 3))
    attrs = {} if names is None else {"long_name": names}
    return xr.DataArray(pixels, dims=("band", "y", "x"), coords=coords, attrs=attrs)


def chosen(*args: object) -> list[int]:
    """Places of the bands that were chosen."""
    return choose_bands(*args)[:, 0, 0].values.tolist()


@given(st.permutations(["red", "green", "blue", "nir", "swir16"]))
def test_named_bands_are_found_in_any_order(names: list[str]) -> None:
    wanted = ["nir", "red", "green"]
    assert chosen(image_of(tuple(names)), card_of(*wanted)) == [names.index(w) for w in wanted]


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [
        (("B02", "B03", "B04", "B08"), ("blue", "green", "red", "nir")),
        (("Blue", "GREEN", " red ", "Near Infrared"), ("blue", "green", "red", "nir")),
        (("B1", "B2", "B3", "B4"), ("coastal", "blue", "green", "red")),
        (("blue", "green", "red", "nir"), ("B02", "B03", "B04", "B08")),
        (("b5", "b6", "b7"), ("B5", "B6", "B7")),
    ],
)
def test_common_names_and_band_numbers_of_satellites_mean_the_same(
    stated: tuple[str, ...], wanted: tuple[str, ...]
) -> None:
    assert chosen(image_of(stated), card_of(*wanted)) == list(range(len(wanted)))
    assert chosen(image_of(stated[::-1]), card_of(*wanted)) == list(range(len(wanted)))[::-1]


def test_another_order_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "geoseg"):
        assert chosen(image_of(("red", "green", "blue")), card_of("blue", "red")) == [2, 0]
    assert "bands blue, red are the image's 3 blue, 1 red, by its names or" in caplog.text
    assert "if it is wrong there, say so: --bands 1,2,3, say" in caplog.text


@pytest.mark.parametrize("stated", [("B8", "red"), ("b8", "red")])
def test_the_band_that_means_two_things_stands_for_neither(stated: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="say which they are"):
        choose_bands(image_of(stated), card_of("nir", "red"))


@pytest.mark.parametrize(
    "names",
    [None, ("", "", ""), ("Band 1", "Band 2", "Band 3"), ("1", "2", "3"), ("layer_1", "band2", "")],
)
def test_bands_without_names_are_taken_in_order_and_told_of(
    names: tuple[str, ...] | None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "geoseg"):
        assert chosen(image_of(names, 3), card_of("red", "green", "blue")) == [0, 1, 2]
    assert "in the image's order as red, green, blue" in caplog.text


@pytest.mark.parametrize("names", [("B8", "B04"), ("B4", ""), ("", "near infrared")])
def test_bands_are_not_taken_in_order_where_one_of_them_is_found_elsewhere(
    names: tuple[str, ...],
) -> None:
    with pytest.raises(UserError, match="say which they are"):
        choose_bands(image_of(names), card_of("red", "nir"))


@pytest.mark.parametrize(
    ("names", "count", "message"),
    [
        (None, 4, r"takes 3 bands \(red, green, blue\) but the image has 4 \(1, 2, 3, 4\)"),
        (None, 2, r"has 2 \(1, 2\); take an image that has them, or another model"),
        (("red", "green", "nir"), None, r"has 3 \(1 red, 2 green, 3 nir\)"),
        (("red", "", ""), None, r"has 3 \(1 red, 2, 3\)"),
    ],
)
def test_bands_that_do_not_fit_are_refused_with_both_lists(
    names: tuple[str, ...] | None, count: int | None, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        choose_bands(image_of(names, count), card_of("red", "green", "blue"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "remedy"),
    [
        (None, r"say which they are, --bands with numbers or names in that order$"),
        (("p", "q", "s", "t"), r"--bands with numbers or names in that order$"),
        (("nir", "B4", "x", "blue"), r"--bands 2,\?,4 with a number or name for each \?$"),
    ],
)
def test_numbers_of_bands_are_proposed_only_where_names_match(
    names: tuple[str, ...] | None, remedy: str
) -> None:
    with pytest.raises(UserError, match=remedy):
        choose_bands(image_of(names, 4), card_of("red", "green", "blue"))


@given(st.lists(st.integers(1, 5), min_size=3, max_size=3))
def test_numbers_count_from_one_and_may_repeat(numbers: list[int]) -> None:
    places = [n - 1 for n in numbers]
    assert chosen(image_of(None, 5), card_of("r", "g", "b"), numbers) == places
    assert chosen(image_of(None, 5), card_of("r", "g", "b"), [str(n) for n in numbers]) == places


def test_numbers_are_those_of_the_file_where_the_image_keeps_them() -> None:
    image = image_of(None, 3, band=[1, 2, 4])
    assert chosen(image, card_of("a", "b"), [4, "2"]) == [2, 1]
    with pytest.raises(UserError, match="no band 3"):
        choose_bands(image, card_of("a", "b"), [1, 3])


def test_a_number_is_a_number_though_a_band_is_called_so() -> None:
    image = image_of(("3", "2", "1"))
    for bands in ([1, 2, 3], ["1", "2", "3"]):
        assert chosen(image, card_of("red", "green", "blue"), bands) == [0, 1, 2]


def test_asking_goes_over_names() -> None:
    image = image_of(("red", "green", "blue"))
    assert chosen(image, card_of("red", "green", "blue"), ["blue", "Green ", 1]) == [2, 1, 0]


@pytest.mark.parametrize("band", ["", " ", "nir", 0, 9, -1, "1.5"])
def test_a_band_that_is_not_there_is_refused_with_those_that_are(band: str | int) -> None:
    with pytest.raises(UserError, match=r"has no band .* its bands are 1 red, 2, 3 blue"):
        choose_bands(image_of(("red", "", "blue")), card_of("red"), [band])


def test_asking_for_another_number_of_bands_is_refused() -> None:
    with pytest.raises(UserError, match=r"2 bands are named \(1, 2\) but Conv2d takes 3: r, g, b"):
        choose_bands(image_of(None, 3), card_of("r", "g", "b"), [1, 2])


def test_an_image_without_bands_is_refused_with_the_remedy() -> None:
    flat = xr.DataArray(np.zeros((3, 4)), dims=("y", "x"))
    with pytest.raises(UserError, match=r"image.expand_dims\('band'\) for a single band"):
        choose_bands(flat, card_of("grey"))


@pytest.mark.parametrize(
    ("image", "names"),
    [
        (image_of(None, 2), ["", ""]),
        (image_of(("a", "b")), ["a", "b"]),
        (image_of(None, 2, band=["x", "y"]), ["x", "y"]),
        (image_of(None, 2, band=[1, 2]), ["", ""]),
        (image_of(None, 1).assign_attrs(long_name="height"), ["height"]),
        (image_of(None, 2).assign_attrs(long_name="reflectance"), ["", ""]),
        (image_of(None, 2).assign_attrs(long_name=("of", "three", "bands")), ["", ""]),
    ],
)
def test_names_are_looked_for_in_attributes_and_coordinates(
    image: xr.DataArray, names: list[str]
) -> None:
    assert band_names(image) == names
