"""The card keeps what it is given, is a valid STAC Item, and believes nothing it reads."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pystac
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pystac.extensions.mlm import MLMExtension
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from stac_model.schema import MLModelProperties
from toys import segmenter_of

import geoseg
from geoseg import nets
from geoseg.card import MAX_BYTES, Card, card_from_json, card_to_json, describe
from geoseg.classes import PALETTE, ClassInfo, as_classes
from geoseg.errors import UserError

NUMBER = st.floats(-1e6, 1e6)
WORDS = st.text(st.sampled_from("aZ0 -_.:,\"'\\{}éß漢🛰"), min_size=1, max_size=9)
PLAIN_FACT = NUMBER | WORDS | st.booleans() | st.none()
FACTS = st.dictionaries(
    WORDS, PLAIN_FACT | st.dictionaries(WORDS, PLAIN_FACT, max_size=2), max_size=3
)


@st.composite
def cards(draw: st.DrawFn) -> Card:
    """Cards of any legal content."""
    bands = draw(st.lists(WORDS, min_size=1, max_size=5))
    values = draw(st.lists(st.integers(0, 65534), min_size=1, max_size=6, unique=True))
    each_band = {"min_size": len(bands), "max_size": len(bands)}
    ranges = st.tuples(NUMBER, NUMBER)
    return Card(
        name=draw(WORDS),
        description=draw(WORDS | st.sampled_from(["", "Two\nlines."])),
        architecture=draw(st.sampled_from(["", "unet"])),
        options=draw(FACTS),
        classes=tuple(ClassInfo(v, draw(WORDS), draw(st.sampled_from(PALETTE))) for v in values),
        bands=tuple(bands),
        mean=tuple(draw(st.lists(NUMBER, **each_band))),
        std=tuple(draw(st.lists(st.floats(1e-6, 1e6), **each_band))),
        value_range=tuple(draw(st.lists(ranges, **each_band) | st.just([]))),
        window=draw(st.integers(1, 10**6)),
        halo=draw(st.none() | st.integers(0, 10**6)),
        stride=draw(st.integers(1, 10**6)),
        gsd=draw(st.none() | st.floats(0.01, 1000)),
        gsd_range=draw(st.none() | st.tuples(st.floats(0.01, 10), st.floats(10, 1000))),
        nodata=draw(st.sampled_from(["all", "any"])),
        withheld=tuple(draw(st.lists(st.sampled_from(values), unique=True))[: len(values) - 1]),
        licence=draw(WORDS),
        training=draw(FACTS),
        metrics=draw(FACTS),
    )


def small_card(**facts: Any) -> Card:
    settings: dict[str, Any] = {
        "name": "Two bands",
        "description": "For tests.",
        "architecture": "unet",
        "options": {"bands": 2},
        "classes": as_classes(["Open water", "Land: other"]),
        "bands": ("red", "nir"),
        "mean": (1.0, 2.0),
        "std": (3.0, 4.0),
        "value_range": ((0.0, 9.0), (1.0, 8.0)),
        "gsd": 10.0,
        "gsd_range": (8.0, 12.5),
    }
    return Card(**(settings | facts))


@settings(max_examples=40)
@given(cards())
def test_a_card_comes_back_from_json_as_it_was(card: Card) -> None:
    text = card_to_json(card)
    assert card_from_json(text) == card
    assert card_to_json(card_from_json(text)) == text
    assert "\n" not in text


@settings(max_examples=40)
@given(cards())
def test_the_card_in_words_never_fails(card: Card) -> None:
    assert card.name in describe(card)


# A STAC Item with the Machine Learning Model extension

VALIDATOR = JsonSchemaSTACValidator()


@settings(max_examples=15, deadline=None)  # the first validation reads the schemas
@given(cards())
def test_any_card_is_a_valid_item_of_stac(card: Card) -> None:
    item = json.loads(card_to_json(card))
    # The schema of the core comes with pystac; those of extensions would be fetched.
    VALIDATOR.validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")


def test_the_extension_finds_bands_scaling_and_classes_in_the_card() -> None:
    item = pystac.Item.from_dict(json.loads(card_to_json(small_card())))
    model = MLMExtension.ext(item)
    assert model.mlm_name == "Two bands"
    assert model.architecture == "unet"
    assert model.tasks == ["semantic-segmentation"]
    assert model.framework == "PyTorch"
    (image,), (scores,) = model.input, model.output
    assert image.bands == ["red", "nir"]
    assert image.input.shape == [-1, 2, 512, 512]
    assert len(image.input.dim_order) == 4
    assert image.to_dict()["value_scaling"] == [
        {"type": "z-score", "mean": 1.0, "stddev": 3.0},
        {"type": "z-score", "mean": 2.0, "stddev": 4.0},
    ]
    assert scores.result.shape == [-1, 2, 512, 512]
    found = [(c.value, c.name, c.description, c.color_hint) for c in scores.classes]
    assert found == [
        (0, "Open-water", "Open water", "332288"),
        (1, "Land-other", "Land: other", "117733"),
    ]


def test_the_card_keeps_the_rules_that_the_schema_of_the_extension_adds() -> None:
    item = json.loads(card_to_json(small_card()))
    facts, asset = item["properties"], item["assets"]["model"]
    assert {"mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"} <= set(facts)
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]", facts["mlm:name"])
    # Bands that the input names are described in the item (definition AnyBandsRef).
    assert [band["name"] for band in facts["bands"]] == facts["mlm:input"][0]["bands"]
    assert "bands" in facts["mlm:input"][0]["input"]["dim_order"]
    assert {"mlm:artifact_type", "mlm:compile_method", "mlm:entrypoint"}.isdisjoint(facts)
    assert "mlm:model" in asset["roles"]
    assert asset["mlm:artifact_type"]
    for each in facts["mlm:output"][0]["classification:classes"]:
        assert re.fullmatch("[0-9A-Za-z-_]+", each["name"])
        assert re.fullmatch("[0-9A-F]{6}", each["color_hint"])
        assert each["description"]  # classification 1.1, which the extension refers to, wants it


def test_the_reference_implementation_of_the_extension_reads_the_card() -> None:
    facts = json.loads(card_to_json(small_card()))["properties"]
    prefix = "mlm:"
    fields = {key.removeprefix(prefix): facts[key] for key in facts if key.startswith(prefix)}
    model = MLModelProperties(**fields)
    assert model.input[0].bands == ["red", "nir"]
    assert [each.description for each in model.output[0].classes] == ["Open water", "Land: other"]


# Cards of somebody else


def changed(**properties: Any) -> str:
    item = json.loads(card_to_json(small_card()))
    item["properties"].update({key.replace("__", ":"): v for key, v in properties.items()})
    return json.dumps(item)


def without(key: str) -> str:
    item = json.loads(card_to_json(small_card()))
    del item["properties"][key]
    return json.dumps(item)


PLAIN = {"value": 0, "name": "a", "color_hint": "AABBCC"}


def class_of(**facts: Any) -> str:
    return changed(mlm__output=[{"classification:classes": [PLAIN | facts]}])


def scaling_of(**facts: Any) -> str:
    image = json.loads(card_to_json(small_card()))["properties"]["mlm:input"][0]
    image["value_scaling"][0].update(facts)
    return changed(mlm__input=[image])


HOSTILE = {
    "nothing": "",
    "no JSON": "{not json",
    "a number": "5",
    "a list": "[]",
    "null": "null",
    "properties that are a list": '{"properties": []}',
    "too long": " " * (MAX_BYTES + 1),
    "nested without end": "[" * 200_000,
    "nested objects without end": '{"properties":' * 60_000,
    "a number of many digits": changed(geoseg__window=0).replace(
        '"geoseg:window": 0', '"geoseg:window": ' + "9" * 10_000
    ),
    "an endless window": changed(geoseg__window=1e308),
    "an infinite window": changed(geoseg__window=math.inf),
    "a window that is a list": changed(geoseg__window=[512]),
    "no window": without("geoseg:window"),
    "a negative halo": changed(geoseg__halo=-1),
    "a giant halo": changed(geoseg__halo=10**30),
    "a stride of 0": changed(geoseg__stride=0),
    "a pixel size that is NaN": changed(geoseg__gsd=math.nan),
    "a negative pixel size": changed(geoseg__gsd=-10),
    "a range of pixel sizes of one number": changed(geoseg__gsd_range=[5]),
    "ranges of pixel sizes that are words": changed(geoseg__gsd_range=["a", "b"]),
    "pixel sizes in a range that is none": changed(geoseg__gsd_range=[math.nan, -3]),
    "no inputs": changed(mlm__input=[]),
    "bands that are a number": changed(mlm__input=[{"bands": 3, "value_scaling": []}]),
    "no bands": changed(mlm__input=[{"bands": [], "value_scaling": []}], geoseg__value_range=[]),
    "a million bands": changed(
        mlm__input=[{"bands": ["b"] * 100_000, "value_scaling": []}], geoseg__value_range=[]
    ),
    "other bands than scalings": changed(mlm__input=[{"bands": ["b"], "value_scaling": []}]),
    "a mean that is infinite": scaling_of(mean=math.inf),
    "a mean that is an object": scaling_of(mean={}),
    "a deviation of 0": scaling_of(stddev=0),
    "a deviation that is NaN": scaling_of(stddev=math.nan),
    "ranges of values that are no pairs": changed(geoseg__value_range=[[1, 2, 3], [1, 2, 3]]),
    "ranges of values that are NaN": changed(geoseg__value_range=[[math.nan, math.nan]] * 2),
    "no classes": changed(mlm__output=[{"classification:classes": []}]),
    "a class value past 16 bits": class_of(value=65535),
    "a negative class value": class_of(value=-1),
    "a class value that is a list": class_of(value=[1]),
    "a class name of two lines": class_of(name="a\nb"),
    "an endless class name": class_of(name="a" * 10_000),
    "a colour that is none": class_of(color_hint="red; rm"),
    "two classes of one value": changed(mlm__output=[{"classification:classes": [PLAIN] * 2}]),
    "an unknown policy": changed(geoseg__nodata=["all"]),
    "a withheld class that is none": changed(geoseg__withheld=[99]),
    "withheld classes that are no list": changed(geoseg__withheld=3),
    "an architecture that is a word": changed(geoseg__architecture="unet"),
    "options that are a list": changed(geoseg__architecture={"name": "unet", "options": [1]}),
    "metrics that are a word": changed(geoseg__metrics="good"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_card_that_is_none_is_refused_in_one_line(kind: str) -> None:
    with pytest.raises(UserError, match="model card") as caught:
        card_from_json(HOSTILE[kind])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.sampled_from(sorted(json.loads(card_to_json(small_card()))["properties"])), JSON)
def test_a_card_with_any_field_replaced_is_read_or_refused(key: str, value: Any) -> None:
    item = json.loads(card_to_json(small_card()))
    item["properties"][key] = value
    try:
        card = card_from_json(json.dumps(item))
    except UserError:
        return
    assert card_from_json(card_to_json(card)) == card


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e999"])
def test_numbers_that_are_not_finite_are_refused_anywhere(number: str) -> None:
    text = card_to_json(small_card()).replace(
        '"geoseg:metrics": {', f'"geoseg:metrics": {{"a": {number}, '
    )
    assert number in text
    with pytest.raises(UserError, match=f"{number} is no finite number"):
        card_from_json(text)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"bands": ()}, "0 bands: a model takes 1 to 1000"),
        ({"mean": (1.0,)}, r"2 bands \(red, nir\) but 1 means, 2 deviations and 2 ranges"),
        ({"std": (1.0, 0.0)}, "each std positive"),
        ({"mean": (1.0, math.nan)}, "each mean must be finite"),
        ({"window": 0}, "window 0 and stride 1: both must be 1 to"),
        ({"halo": -1}, "halo -1 must be 0 to"),
        ({"gsd": 0.0}, "ground sample distance 0.0 m must be positive"),
        ({"gsd_range": (12.0, 8.0)}, r"distances \(12.0, 8.0\) m must be positive, rising"),
        ({"value_range": ((0.0, math.inf),) * 2}, "value ranges .* must be finite numbers"),
        ({"nodata": "some"}, "no-data policy 'some' must be 'all' or 'any'"),
    ],
)
def test_a_card_that_cannot_be_meant_is_refused(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        small_card(**facts)


def told(*words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "geoseg", "model", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_programs_are_told_of_each_shipped_model_what_its_card_says() -> None:
    listed = json.loads(told("list", "--json").stdout)
    assert [each["name"] for each in listed] == list(geoseg.shipped_models())
    for each in listed:
        card = geoseg.load(each["name"]).card
        assert card == geoseg.load(each["path"]).card
        assert Path(each["path"]).is_absolute()
        for name in ("description", "gsd", "window", "halo", "licence", "metrics"):
            assert each[name] == getattr(card, name)
        assert tuple(each["bands"]) == card.bands
        assert tuple(each["gsd_range"]) == card.gsd_range
        assert tuple(map(tuple, each["value_range"])) == card.value_range
        assert [ClassInfo(**one) for one in each["classes"]] == list(card.classes)
        assert json.loads(told("info", each["name"], "--json", "--brief").stdout) == each


def test_what_a_card_does_not_know_is_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"in_channels": 3, "classes": 4, "widths": [8, 8]}
    model = segmenter_of(nets.build("unet", **options), architecture="unet", options=options)
    unknown = replace(model.card, gsd=None, gsd_range=None, value_range=(), halo=None)
    geoseg.Segmenter.from_card(model.net, unknown).save(tmp_path / "own.safetensors")
    monkeypatch.chdir(tmp_path)
    done = told("info", "own.safetensors", "--json", "--brief")
    facts = json.loads(done.stdout)
    assert facts["path"] == str(tmp_path / "own.safetensors")
    assert [facts[name] for name in ("gsd", "gsd_range", "value_range", "halo")] == [None] * 4


def test_brief_is_for_programs() -> None:
    done = told("info", "demo-landscape", "--brief")
    assert done.returncode == 2
    assert "--brief is for programs, add --json" in done.stderr
